import functools
import math

import pytest
import torch

from contrastive_entropy.networks.bodies import MLP, ConvolutionalDecoder, ConvolutionalEncoder, FourierFeatures

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 5, 9), (1, 1, 1), (3, 2, 7)]


def networks():
    yield MLP(5, 3, width=7, depth=2), 3
    for shape in SHAPES:
        yield ConvolutionalDecoder(5, shape, width=2), math.prod(shape)
    yield ConvolutionalDecoder(5, (3, 8, 7), width=2, images=3), 3 * 3 * 8 * 7
    yield torch.nn.Sequential(FourierFeatures(2, 3), MLP(5 + 12, 3)), 3


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
        (lambda: ConvolutionalDecoder(2, (1, 8, 8), images=0), "images must be at least 1"),
        (lambda: FourierFeatures(1, 0), "frequencies must be at least 1"),
        (lambda: FourierFeatures(0, 1), "inputs must be at least 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP(5, 3, width=16, depth=3),
        *[functools.partial(ConvolutionalDecoder, 5, shape, width=16) for shape in SHAPES],
    ],
    ids=["mlp", *map(str, SHAPES)],
)
def test_every_parameter_gets_a_gradient_and_no_row_sees_another(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make()
    inputs = torch.randn(16, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network(inputs)[3].sum().backward()
    others = torch.arange(16) != 3
    assert inputs.grad[3].abs().sum() > 0
    assert inputs.grad[others].abs().sum() == 0
    network.zero_grad()
    network(inputs).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("shape", [(1, 6, 6), (1, 4, 100), (3, 1, 64)])
def test_the_decoder_fits_long_and_odd_images(shape):
    assert ConvolutionalDecoder(2, shape, width=1)(torch.zeros(3, 2)).shape == (3, math.prod(shape))


def test_the_image_comes_out_channels_first():
    network = ConvolutionalDecoder(2, (3, 4, 4), width=2)
    network.layers[-1].bias.data = torch.tensor([0.0, 10.0, 20.0])
    network.layers[-1].weight.data.zero_()
    assert network(torch.zeros(1, 2)).reshape(3, 16).mean(1).tolist() == [0, 10, 20]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP(2, 0), "outputs must be at least 1, got 0"),
        (lambda: MLP(2, 3, width=-1), "width must be at least 1, got -1"),
        (lambda: ConvolutionalDecoder(0, (1, 8, 8)), "inputs must be at least 1, got 0"),
        (lambda: ConvolutionalDecoder(2, (0, 8, 8)), "channels must be at least 1, got 0"),
        (lambda: ConvolutionalDecoder(2, (1, 8, 0)), "columns must be at least 1, got 0"),
    ],
)
def test_more_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_encoded_images_spread_whatever_the_last_layer_does():
    """Without normalisation a shift of the last layer, which nothing resists, takes all features to one end of tanh."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = ConvolutionalEncoder((1, 8, 8), 1, width=4)
    images = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        [layer for layer in encoder.modules() if isinstance(layer, torch.nn.Linear)][-1].bias += 7
        for _ in range(200):
            features = encoder(images)
    assert float(features.mean()) == pytest.approx(0, abs=0.01)
    assert float(features.std()) == pytest.approx(1, abs=0.03)
    encoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), features, atol=0.05, rtol=0.05)  # by the averages
        torch.testing.assert_close(encoder(images[:1]), encoder(images)[:1])  # an image alone


def test_fourier_features_expand_the_first_inputs_only():
    inputs = torch.tensor([[0.25, -0.5, 7.0]])
    result = FourierFeatures(2, 2)(inputs)
    angles = [math.pi * wave * y for y in (0.25, -0.5) for wave in (1, 2)]
    expected = [0.25, -0.5, 7.0, *map(math.sin, angles), *map(math.cos, angles)]
    torch.testing.assert_close(result, torch.tensor([expected]))


def test_images_of_one_feature_have_maps_of_their_own_and_convolutions_in_common():
    network = ConvolutionalDecoder(2, (3, 4, 4), width=2, images=5)
    alone = ConvolutionalDecoder(2, (3, 4, 4), width=2)
    alone.layers.load_state_dict(network.layers.state_dict())
    alone.stem.load_state_dict(
        network.stem.state_dict()
        | {name: network.stem.state_dict()[name].unflatten(0, (5, -1))[3] for name in ("6.weight", "6.bias")}
    )
    features = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(features).unflatten(-1, (5, -1))[:, 3], alone(features))


def test_waves_let_a_network_follow_a_fast_function():
    """A sign that changes 16 times over [-1, 1]: after 60 steps the plain network still answers the mean."""
    x = torch.linspace(-1, 1, 512)[:, None]
    target = torch.sign(torch.sin(8 * math.pi * x))
    errors = []
    for expand in (False, True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            body = MLP(9 if expand else 1, 1, width=64)
        network = torch.nn.Sequential(FourierFeatures(1, 4), body) if expand else body
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(60):
            loss = (network(x) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors.append(float(loss.detach()))
    assert errors[1] < 0.3 < 0.7 < errors[0]
