import dataclasses

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy.data.load import load
from contrastive_entropy.metrics.distances import energy_distance, gaussian_mmd, mean_pair_distance
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.generator.settings import plan
from contrastive_entropy.objectives import peers
from contrastive_entropy.objectives.catalog import GENERATIVE, PEERS, names, parse

ALL = (*GENERATIVE, *PEERS)


def points(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixtures(x, z, variance=1.0):
    return GaussianMixture(x, variance), GaussianMixture(z, variance)


def loss(text, x, z, start=1.0):
    return -parse(text, ALL).bound(*mixtures(x, z), start=start)


@pytest.mark.parametrize("name", names(ALL))
def test_peers_draw_as_many_data_as_the_debiased_norm(name):
    settings = ce.GeneratorSettings("moons", objective=name, batch_size=32, components=64)
    halves = name in names(PEERS) or name in ("debiased_nuclear_norm", "debiased_affinity")
    assert plan(settings, load("moons")).rows == (64 if halves else 32)


def test_peers_do_not_look_from_farther_away_and_their_variance_falls_slowly():
    found = plan(ce.GeneratorSettings("digits", objective="energy", principal_components=16), load("digits"))
    assert (found.model.coarse_every, found.model.fine_every, found.variance.fraction) == (0, 0, 0.8)
    useless = ce.GeneratorSettings("digits", objective="energy", coarse_every=2).useless
    assert useless["coarse_every"] == "energy does not see the variance"
    assert "coarse_every" not in ce.GeneratorSettings("digits", coarse_every=2).useless


def test_peers_minimise_what_the_metrics_measure(monkeypatch):
    x, z = points(30, 3, 0), 0.5 * points(40, 3, 1) + 1
    bound = peers.energy(*mixtures(x, z))
    assert float(-bound) == pytest.approx(energy_distance(x, z) + mean_pair_distance(x), rel=1e-9)
    assert float(bound.gap) == pytest.approx(energy_distance(x, z), rel=1e-9)
    monkeypatch.setattr(peers, "MMD_WIDTHS", (2.0,))
    bound = peers.mmd(*mixtures(x, z), start=0.5, scale=2.0)
    own = gaussian_mmd(x, z, variance=2.0) - (torch.pdist(x).square() / -4).exp().mean()
    assert float(-bound) == pytest.approx(float(own), rel=1e-9)
    assert float(bound.gap) == pytest.approx(gaussian_mmd(x, z, variance=2.0), rel=1e-9)


@pytest.mark.parametrize("blur", [0.5, 2.0])
def test_sinkhorn_peers_equal_pot(blur):
    import ot

    x, z = points(12, 2, 0), points(16, 2, 1) + 1

    def cost(a, b):
        """Entropic transport of |a - b|^2 / 2 with the divergence of the plan from the product of its marginals."""
        matrix = (torch.cdist(a, b).square() / 2).numpy()
        plan = ot.sinkhorn(
            ot.unif(len(a)), ot.unif(len(b)), matrix, blur**2, method="sinkhorn_log", numItermax=100_000, stopThr=1e-9
        )
        product = 1 / (len(a) * len(b))
        return float((plan * matrix).sum() + blur**2 * (plan * torch.tensor(plan / product).log().numpy()).sum())

    plain = loss(f"sinkhorn:blur={blur}", x, z)
    halved = loss(f"sinkhorn_debiased:blur={blur / 2}", x, z, start=4.0)
    (x_first, x_second), (first, second) = x.chunk(2), z.chunk(2)
    assert float(plain) == pytest.approx(
        cost(x, z) - cost(x, x) / 2 - cost(z, z) / 2, rel=0.03
    )  # geomloss anneals its blur by halves
    assert float(halved) == pytest.approx(cost(x_first, first) + cost(x_second, second) - cost(first, second), rel=0.03)


@pytest.mark.parametrize("name", names(ALL))
def test_every_objective_can_be_followed(name):
    x, z = points(24, 2, 0).float(), points(16, 2, 1).float().requires_grad_()
    value = loss(name, x, z)
    (gradient,) = torch.autograd.grad(value, z)
    assert float(gradient.norm()) > 0
    for option in parse(name, ALL).objective.options:
        other = loss(f"{name}:{option.name}={0 if option.whole else 0.3}", x, z)
        if option.name != "tolerance":
            assert float(other.detach()) != float(value.detach())


@pytest.mark.parametrize("name", names(PEERS))
def test_peers_are_at_their_limit_for_equal_laws_but_for_chance(name):
    x, same, other = points(400, 2, 0), points(400, 2, 1), points(400, 2, 2) + 2
    near, far = (parse(name, PEERS).bound(*mixtures(x, z), start=1.0) for z in (same, other))
    assert abs(float(near.gap)) < 0.1 * float(far.gap)


def test_a_choice_is_spelled_as_it_is_read():
    text = "debiased_nuclear_norm:smoothing=0.001:tolerance=0.01"
    choice = parse(text, GENERATIVE)
    assert choice.spelling == text
    assert dict(choice.options) == {"smoothing": 0.001, "tolerance": 0.01}
    with pytest.raises(ce.InputError, match="gives smoothing twice"):
        parse("nuclear_norm:smoothing=1:smoothing=2", GENERATIVE)
    assert dataclasses.replace(choice, options=()).spelling == "debiased_nuclear_norm"


@pytest.mark.parametrize("name", names(PEERS))
def test_a_batch_has_the_bound_of_each(name):
    choice = parse(name, PEERS)
    wide = torch.tensor([1.0, 5.0, 0.1])[:, None, None]
    x, z = (points(36, 2, seed).reshape(3, 12, 2) * wide for seed in (0, 1))
    together = choice.bound(*mixtures(x, z), start=1.0)
    for index in range(3):
        alone = choice.bound(*mixtures(x[index], z[index]), start=1.0)
        torch.testing.assert_close(together.value[index], alone.value)
        torch.testing.assert_close(together.limit[index], alone.limit)
