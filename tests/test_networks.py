import math

import pytest
import torch

from contrastive_entropy.networks import MLP, ConvolutionalDecoder

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 5, 9), (1, 1, 1), (3, 2, 7)]


def networks():
    yield MLP(5, 3, width=7, depth=2), 3
    for shape in SHAPES:
        yield ConvolutionalDecoder(5, shape, width=2), math.prod(shape)


@pytest.mark.parametrize(("network", "outputs"), list(networks()))
def test_shape_gradient_and_independence_of_rows(network, outputs):
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    result = network(inputs)
    assert result.shape == (4, outputs)
    result.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    torch.testing.assert_close(network(inputs[2:3])[0], result[2], atol=1e-5, rtol=1e-5)


def test_depth_and_width_are_what_was_asked():
    sizes = [tuple(layer.weight.shape) for layer in MLP(5, 3, width=7, depth=2) if isinstance(layer, torch.nn.Linear)]
    assert sizes == [(7, 5), (7, 7), (3, 7)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP(0, 3), "inputs must be at least 1, got 0"),
        (lambda: MLP(2, 3, depth=0), "depth must be at least 1"),
        (lambda: ConvolutionalDecoder(2, (1, 0, 8)), "height must be at least 1"),
        (lambda: ConvolutionalDecoder(2, (1, 8, 8), width=0), "width must be at least 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
