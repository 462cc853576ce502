import pytest
import torch

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.generator.network import Generator
from contrastive_entropy.networks.bodies import MLP
from contrastive_entropy.numerics.principal import principal_directions


def network(noise="gaussian", variance=0.25, seed=0):
    torch.manual_seed(seed)
    return Generator(
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


@pytest.mark.parametrize(("basis", "expected"), [(None, 3), (torch.eye(2, 3), 2)])
def test_a_body_that_writes_too_few_numbers_is_refused(basis, expected):
    model = Generator(
        torch.nn.Linear(2, 1),
        noise_dimension=2,
        location=torch.zeros(3),
        scale=torch.ones(()),
        variance=1.0,
        basis=basis,
    )
    with pytest.raises(ValueError, match=f"the network must write {expected} numbers per center, got 1"):
        model(torch.zeros(5, 2))


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


def affine(location, scale, **changes):
    return Generator(
        torch.nn.Identity(),
        **{"noise_dimension": 2, "location": location, "scale": scale, "variance": 0.25} | changes,
    )


@pytest.mark.parametrize("scale", [torch.tensor(3.0), torch.tensor([3.0, 0.5])])
def test_location_and_scale_are_applied_to_each_coordinate(scale):
    codes = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    mixture = affine(torch.tensor([10.0, -10.0]), scale)(codes)
    assert isinstance(mixture, GaussianMixture)
    torch.testing.assert_close(mixture.centers, torch.tensor([10.0, -10.0]) + scale * codes)
    assert (mixture.components, mixture.dimension, mixture.variance.item()) == (2, 2, 0.25)


def test_chunks_of_4096_codes_are_drawn_as_one():
    sizes, model = [], affine(torch.zeros(2), torch.tensor(1.0))
    model.body.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    assert torch.equal(model.sample(5000, generator=generator(2)), model.draw_noise(5000, generator=generator(2)))
    assert sizes == [4096, 904]


def test_the_density_spreads_around_the_same_centers():
    count, model = 40_000, affine(torch.zeros(2), torch.tensor([2.0, 1.0]))
    samples = model.sample(count, generator=generator(3), from_density=True)
    added = (samples - model.sample(count, generator=generator(3))).double()
    assert (added.mean(0).abs() < 4 * (0.25 / count) ** 0.5).all()
    assert ((added.var(0) - 0.25).abs() < 4 * 0.25 * (2 / count) ** 0.5).all()
    assert ((samples.double().var(0) - torch.tensor([4.25, 1.25])).abs() < 4 * 4.25 * (2 / count) ** 0.5).all()


@pytest.mark.parametrize("from_density", [False, True])
def test_sampling_repeats_and_keeps_no_gradient(from_density):
    model = network()
    samples = model.sample(20, generator=generator(4), from_density=from_density)
    assert samples.shape == (20, 2)
    assert samples.grad_fn is None
    assert torch.equal(samples, model.sample(20, generator=generator(4), from_density=from_density))
    assert not torch.equal(samples, model.sample(20, generator=generator(5), from_density=from_density))


def test_the_state_holds_buffers_that_are_no_parameters():
    model = network()
    assert {"location", "scale", "variance"} <= set(model.state_dict())
    assert all(name.startswith("body.") for name, _ in model.named_parameters())
    model(model.draw_noise(4, generator=generator())).centers.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_dimension": 0}, "noise_dimension must be at least 1, got 0"),
        ({"variance": -1.0}, "variance must be positive, got -1"),
        ({"variance": float("nan")}, "variance must be positive, got nan"),
    ],
)
def test_more_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        affine(torch.zeros(2), torch.tensor(1.0), **changes)


def in_span(data, count):
    """A network that passes codes on, at data's place, in their leading directions."""
    scale = data.std()
    return affine(data.mean(0), scale, noise_dimension=count, basis=principal_directions(data, count))


def test_distances_in_the_basis_are_those_in_all_coordinates():
    data = torch.randn(6, 40, generator=generator()) * 3 + 7
    model = in_span(data, 5)
    codes = model.draw_noise(8, generator=generator(1))
    centers, projected = model(codes).centers, model(codes, projected=True).centers
    assert (centers.shape, projected.shape) == ((8, 40), (8, 5))
    torch.testing.assert_close(torch.cdist(model.project(data), projected), torch.cdist(data, centers))
    torch.testing.assert_close(model.project(centers), projected, atol=1e-4, rtol=1e-4)


def test_a_fresh_network_in_a_basis_has_the_spread_of_the_data():
    data = torch.randn(400, 40, generator=generator()) * 3 + 7
    samples = in_span(data, 10).sample(4000, generator=generator(1))
    assert float(samples.var(0).sum() / data.var(0).sum()) == pytest.approx(1, rel=0.05)


def test_projections_keep_their_precision_under_autocast():
    data = torch.randn(6, 40, generator=generator()) * 3 + 100
    model = in_span(data, 5)
    expected = model.project(data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.project(data), expected)


def test_without_a_basis_nothing_is_projected():
    model = network()
    x = torch.randn(4, 2)
    assert model.project(x) is x
    codes = model.draw_noise(3, generator=generator())
    assert torch.equal(model(codes, projected=True).centers, model(codes).centers)


@pytest.mark.parametrize(("basis", "scale"), [((3, 5), ()), ((4,), ()), ((2, 4), (4,))])
def test_a_basis_must_fit(basis, scale):
    with pytest.raises(ValueError, match=r"basis must have shape \(r, 4\) and come with a scale of shape \(\)"):
        affine(torch.zeros(4), torch.ones(scale), basis=torch.zeros(basis))


def grouped(shares=(0.5, 0.3, 0.2)):
    torch.manual_seed(0)
    model = Generator(
        torch.nn.Linear(2 + 3, 2),
        noise_dimension=2,
        location=torch.zeros(2),
        scale=torch.ones(()),
        variance=1.0,
        groups=3,
    )
    model.group_shares.copy_(torch.tensor(shares))
    return model


def test_behind_the_noise_stands_a_one_at_the_place_of_the_group():
    noise = grouped().draw_noise(3, generator=generator(), groups=torch.tensor([2, 0, 1]))
    assert noise.shape == (3, 5)
    assert noise[:, 2:].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    plain = torch.randn(3, 2, generator=generator())
    assert torch.equal(noise[:, :2], plain)


def test_groups_are_drawn_by_their_shares():
    noise = grouped().draw_noise(50_000, generator=generator())
    assert noise[:, 2:].mean(0).tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.01)
    assert grouped((0.0, 1.0, 0.0)).draw_noise(100, generator=generator())[:, 3].sum() == 100
