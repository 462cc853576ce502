import pytest
import torch

from contrastive_entropy.networks.members import Members
from samples import generator


def test_every_member_is_a_network_of_its_own():
    network = Members(3, 2, 4, width=8, depth=2)
    x = torch.randn(3, 5, 2, generator=generator())
    found = network(x)
    for index in range(3):
        hidden = x[index]
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            hidden = torch.nn.functional.silu(hidden) if layer else hidden
            hidden = hidden @ weight[index] + bias[index]
        torch.testing.assert_close(found[index], hidden)
    found[0].sum().backward()
    assert all(weight.grad[1:].abs().sum() == 0 for weight in network.weights)


def test_dropout_keeps_the_mean_and_needs_a_generator():
    network = Members(1, 2, 1, width=4096, depth=1, dropout=0.3)
    network.weights[1].data.abs_()
    x = torch.ones(1, 1, 2)
    assert torch.equal(network(x), network(x))
    first, again = (network(x, generator=generator(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, network(x))
    with torch.no_grad():
        drawn = torch.stack([network(x, generator=generator(seed)) for seed in range(200)])
        assert float((drawn.mean(0) - network(x)).abs()) < 4 * float(drawn.std(0)) / 200**0.5


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_depth_is_the_number_of_hidden_layers(depth):
    assert len(Members(1, 2, 1, depth=depth).weights) == depth + 1


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="members, inputs, outputs and width must be at least 1"):
        Members(0, 1, 1)
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\), got 1"):
        Members(1, 1, 1, dropout=1)
