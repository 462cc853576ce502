import pytest
import torch

from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.networks import MLP


def network(noise="gaussian", variance=0.25, seed=0):
    torch.manual_seed(seed)
    return MixtureDensityNetwork(
        MLP(3, 2, width=8, depth=1),
        noise_dimension=3,
        location=torch.tensor([5.0, -5.0]),
        scale=torch.tensor(2.0),
        variance=variance,
        noise=noise,
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_forward_places_the_centers():
    model = network()
    codes = model.draw_noise(6, generator=generator())
    mixture = model(codes)
    torch.testing.assert_close(mixture.centers, torch.tensor([5.0, -5.0]) + 2 * model.body(codes))
    assert mixture.variance.item() == 0.25
    assert mixture.components == 6


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_noise_has_mean_0_and_variance_1(noise):
    codes = network(noise).draw_noise(100_000, generator=generator())
    assert codes.shape == (100_000, 3)
    assert (codes.mean(0).abs() < 4 / 100_000**0.5).all()
    assert codes.var(0).tolist() == pytest.approx([1, 1, 1], abs=0.02)
    assert (codes.abs().max() <= 3**0.5) == (noise == "uniform")
    assert torch.equal(codes, network(noise).draw_noise(100_000, generator=generator()))


def test_samples_repeat_and_do_not_depend_on_chunks():
    model = network()
    samples = model.sample(5000, generator=generator(1))
    assert torch.equal(samples, model.sample(5000, generator=generator(1)))
    torch.testing.assert_close(samples, model(model.draw_noise(5000, generator=generator(1))).centers.detach())
    assert not samples.requires_grad


def test_sampling_from_the_density_adds_its_variance():
    model = network()
    noise = model.sample(50_000, generator=generator(), from_density=True) - model.sample(50_000, generator=generator())
    assert noise.var(0).tolist() == pytest.approx([0.25, 0.25], rel=4 * (2 / 50_000) ** 0.5)


def test_the_state_holds_the_variance():
    model, other = network(), network(variance=9.0, seed=1)
    model.variance.fill_(0.5)
    other.load_state_dict(model.state_dict())
    assert other.variance.item() == 0.5
    assert torch.equal(other.sample(3, generator=generator()), model.sample(3, generator=generator()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": "cauchy"}, "noise must be one of gaussian, uniform, got 'cauchy'"),
        ({"variance": 0.0}, "variance must be positive, got 0"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        network(**changes)
    with pytest.raises(ValueError, match="count must be at least 1"):
        network().sample(0, generator=generator())
