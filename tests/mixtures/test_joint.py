import math

import numpy as np
import pytest
import torch

import contrastive_entropy as ce
import references
from contrastive_entropy.mixtures.joint import JointMixture, conditional_bound
from contrastive_entropy.mixtures.limits import iid_tightness
from contrastive_entropy.objectives.conditional import (
    conditional_normalized_inner_product,
)
from samples import generator, joint


def test_bound_and_parts_are_the_formulas():
    law = joint()
    _, y = law.draw(6, generator=generator())
    x, f = law.points.numpy(), law.features.numpy()
    centers = torch.randn(6, 3, 2, generator=generator(5), dtype=torch.float64)
    lookup = {float(condition): row for condition, row in zip(y, centers, strict=True)}

    def model(conditions):
        return ce.GaussianMixture(torch.stack([lookup[float(c)] for c in conditions]), 0.2)

    bound = conditional_bound(law, model, y)
    norms = [references.conditional_norm(x, f, c.numpy(), 0.3, 0.1) for c in y]
    inners = [
        references.conditional_inner(x, f, c.numpy(), z.numpy(), 0.3, 0.1, 0.2) for c, z in zip(y, centers, strict=True)
    ]
    assert bound.limit == pytest.approx(math.log(np.mean(norms)), abs=1e-10)
    np.testing.assert_allclose(bound.log_inners.exp().numpy(), inners, rtol=1e-10)
    direct = [float(ce.GaussianMixture(z, 0.2).log_norm()) for z in centers]
    value = 2 * math.log(np.mean(inners)) - math.log(np.mean(np.exp(direct)))
    assert bound.value == pytest.approx(value, abs=1e-10)
    assert bound.concentration == pytest.approx(math.exp(bound.limit - law.log_peak))


def test_draws_estimate_the_quadrature():
    law = joint(count=30)
    nodes, log_weights = law.quadrature()
    exact = law.log_norm(nodes, log_weights=log_weights)
    _, y = law.draw(20_000, generator=generator())
    logs = law.log_norms(y)
    terms = (logs - exact).exp()
    assert abs(float(terms.mean()) - 1) < 4 * float(terms.std()) / len(y) ** 0.5

    def model(conditions):
        return ce.GaussianMixture(conditions.unsqueeze(1) * torch.tensor([[1.0, -1.0], [0.5, 2.0]]).double(), 0.3)

    sampled = conditional_bound(law, model, y)
    whole = conditional_bound(law, model, nodes, log_weights=log_weights)
    assert whole.gap_error == 0
    assert abs(sampled.value - whole.value) < 4 * sampled.value_error
    assert abs(sampled.gap - whole.gap) < 4 * sampled.gap_error
    assert sampled.limit_error > 0


def test_the_quadrature_is_exact_to_double_precision(monkeypatch):
    law = joint(count=30, noise=0.02)
    coarse = law.log_norm(*law.quadrature()[:1], log_weights=law.quadrature()[1])
    monkeypatch.setattr("contrastive_entropy.mixtures.joint.NODES_PER_DEVIATION", 24)
    nodes, log_weights = law.quadrature()
    assert float(coarse) == pytest.approx(float(law.log_norm(nodes, log_weights=log_weights)), abs=1e-11)
    total = float(torch.trapezoid(law.feature_density.log_prob(nodes).exp(), nodes.squeeze(-1)))
    assert total == pytest.approx(1, abs=1e-12)


def test_groups_and_tiles_change_nothing(monkeypatch):
    law = joint(count=200, features=2, noise=0.001)
    _, y = law.draw(50, generator=generator())
    whole = law.log_norms(y)
    torch.testing.assert_close(law.conditional(y).log_norm(), whole, atol=1e-10, rtol=0)

    def model(conditions):
        return ce.GaussianMixture(conditions.unsqueeze(1).expand(-1, 3, -1) + torch.arange(3.0)[:, None], 0.2)

    inners, norms = law.log_inners_and_norms(y, model)
    torch.testing.assert_close(model(y).double().log_norm(), norms, atol=1e-10, rtol=0)
    torch.testing.assert_close(law.conditional(y).log_inner(model(y)), inners, atol=1e-10, rtol=0)
    for name, value in {"CONDITIONS": 7, "ROWS": 13, "COLUMNS": 11, "TILE": 50}.items():
        monkeypatch.setattr(f"contrastive_entropy.mixtures.joint.{name}", value)
    seen = []
    torch.testing.assert_close(law.log_norms(y, progress=seen.append), whole, atol=1e-12, rtol=0)
    assert seen[-1] == 50
    again = law.log_inners_and_norms(y, model, progress=seen.append)
    torch.testing.assert_close(again, (inners, norms), atol=1e-12, rtol=0)
    assert seen[-1] == 50


@pytest.mark.parametrize("variance", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("centers", [1, 4])
def test_mean_gains_are_tightness_of_the_mean_over_that_of_draws(variance, centers):
    law = joint(count=40, dimension=3, variance=variance, noise=0.3)
    y = law.draw(20, generator=generator())[1].double()

    def at_the_mean(conditions):
        means = law.posterior(conditions).exp() @ law.points
        return ce.GaussianMixture(means[:, None].expand(-1, centers, -1), law.variance)

    gains = law.mean_gains(y, centers)
    for condition, gain in zip(y.split(1), gains.tolist(), strict=True):
        bound = conditional_bound(law, at_the_mean, condition)
        assert gain == pytest.approx(math.log(bound.tightness / iid_tightness(bound.concentration, centers)), abs=1e-9)
    with pytest.raises(ValueError, match="centers must be at least 1, got 0"):
        law.mean_gains(y, 0)


@pytest.mark.parametrize("centers", [1, 4])
def test_the_mean_is_preferred_above_the_variance_at_which_the_formula_says_so(centers):
    """n equally likely points, all D apart: D^2 / (8 log n - 4 log C), up to the overlap of the points themselves."""
    count, distance = 1000, 7.0
    x = distance / 2**0.5 * torch.eye(count, dtype=torch.float64)
    threshold = distance**2 / (8 * math.log(count) - 4 * math.log(centers))
    y = torch.zeros(1, 1, dtype=torch.float64)
    for factor, preferred in ((0.8, False), (1.2, True)):
        law = JointMixture(x, torch.zeros(count, 1, dtype=torch.float64), factor * threshold, 1.0)
        assert bool(law.mean_gains(y, centers) > 0) is preferred


def test_a_point_that_has_a_code_for_itself_gains_nothing_by_being_a_mean():
    x = torch.randn(50, 500, generator=generator())
    law = JointMixture(x, torch.linspace(-1, 1, 50)[:, None], 0.1, 1e-8)
    assert law.mean_gains(law.features, 4).abs().max() < 1e-6


@pytest.mark.parametrize("centers", [1, 4, 30])
def test_iid_centers_reach_the_predicted_tightness(centers):
    law = joint(count=40, dimension=3, variance=0.05, noise=0.3)
    nodes, log_weights = law.quadrature()
    concentration = float(law.concentration(nodes, log_weights=log_weights))
    ratios = []
    for seed in range(40):  # the prediction is a ratio of expectations: numerator and denominator over many draws
        draw = generator(seed)
        _, y = law.draw(400, generator=draw)
        chosen = torch.multinomial(law.posterior(y).exp(), centers, replacement=True, generator=draw)
        q = ce.GaussianMixture(law.points[chosen], law.variance)
        index = torch.multinomial(law.posterior(y).exp(), 1, generator=draw).squeeze(-1)
        p = ce.GaussianMixture(law.points[index][:, None], law.variance)
        value = conditional_normalized_inner_product(p, q).value
        ratios.append(math.exp(float(value) - float(law.log_peak)) / concentration)
    mean, error = np.mean(ratios), np.std(ratios, ddof=1) / len(ratios) ** 0.5
    assert abs(mean - iid_tightness(concentration, centers)) < 4 * error
    assert error < 0.1 * mean


def test_a_bound_that_is_not_finite_is_not_tight():
    law = joint()

    def broken(y):
        return ce.GaussianMixture(torch.full((len(y), 3, 2), math.nan), 1.0)

    assert math.isnan(conditional_bound(law, broken, law.features).tightness)
    norms = law.log_norms(torch.tensor([[0.0], [math.nan]]))
    assert norms.isnan().tolist() == [False, True]
    assert math.isnan(float(law.log_norm(torch.full((2, 1), math.nan))))
    with pytest.raises(ValueError, match=r"variance must be positive and draws at least 1, got 0\.0 and 2"):
        law.negative_entropy(torch.arange(3), law.features[:3], variance=0.0)


def test_draw_takes_every_point_as_often():
    law = joint()
    index, y = law.draw(30, generator=generator())
    assert index.bincount().tolist().count(3) == 6
    assert y.shape == (30, 1)
    big = joint(count=4000, noise=0.04)
    index, y = big.draw(4000, generator=generator())
    assert float((y - big.features[index]).var()) == pytest.approx(0.04, rel=0.1)


def test_a_quadrature_says_how_many_nodes_it_takes():
    joint = JointMixture(torch.zeros(2, 3), torch.tensor([[-1.0], [1.0]]), 1.0, 0.01)
    assert len(joint.quadrature()[0]) == joint.quadrature_size == (20 + 18) * 8 + 1
