import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.shape import differentiable_sample, entropy_bounds, modes
from samples import generator


def random_mixture(m, d, seed=0, spread=3.0):
    draw = generator(seed)
    centers = spread * torch.randn(m, d, generator=draw, dtype=torch.float64)
    variance = torch.rand(m, d, generator=draw, dtype=torch.float64) + 0.2
    return GaussianMixture(centers, variance, log_weights=torch.randn(m, generator=draw, dtype=torch.float64))


def entropy(q):
    """By a grid, of one coordinate."""
    x = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    logs = q.log_prob(x.unsqueeze(-1))
    return float(-(logs.exp() * logs).sum() * (x[1] - x[0]))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_modes_of_a_line_are_the_peaks_of_a_grid(m, seed):
    q = random_mixture(m, 1, seed)
    found = modes(q)[:, 0]
    found = found[~found.isnan()]
    x = torch.linspace(-20, 20, 200_001, dtype=torch.float64)
    density = q.log_prob(x.unsqueeze(-1)).exp()
    inside = density[1:-1]
    peaks = x[1:-1][(inside > density[:-2]) & (inside >= density[2:])]
    # two peaks that a grid sees may lie within what counts as one
    assert 1 <= len(found) <= len(peaks)
    assert all(float((peaks - one).abs().min()) < 0.05 for one in found)
    heights = q.log_prob(found.unsqueeze(-1))
    assert bool((heights.diff() <= 1e-9).all())
    assert float(heights[0].exp()) == pytest.approx(float(density.max()), rel=1e-6)


def test_modes_of_a_batch_are_those_of_its_mixtures():
    many = [random_mixture(4, 2, seed) for seed in range(5)]
    batch = GaussianMixture(
        *(torch.stack([getattr(q, name) for q in many]) for name in ("centers", "variance")),
        log_weights=torch.stack([q.log_weights for q in many]),
    )
    found = modes(batch)
    for own, q in zip(found, many, strict=True):
        torch.testing.assert_close(own, modes(q), equal_nan=True, atol=1e-5, rtol=0)
        for x in own[~own.isnan().any(-1)]:
            point = x.clone().requires_grad_()
            slope = torch.autograd.grad(q.log_prob(point.unsqueeze(0)).sum(), point)[0]
            assert float(slope.abs().max()) < 1e-4


def test_a_component_without_weight_is_no_mode():
    q = GaussianMixture(torch.tensor([[0.0], [9.0]]), 1.0, log_weights=torch.tensor([0.0, -math.inf]))
    found = modes(q)
    assert float(found[0]) == 0
    assert bool(found[1].isnan())


def test_two_near_centers_are_one_mode_and_two_far_ones_two():
    # equal weights and variances: bimodal exactly beyond a distance of two deviations
    for distance, count in ((1.9, 1), (2.2, 2)):
        q = GaussianMixture(torch.tensor([[0.0], [distance]], dtype=torch.float64), 1.0)
        found = modes(q, steps=20_000)[:, 0]
        assert int((~found.isnan()).sum()) == count


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_the_entropy_lies_between_its_bounds(m, seed):
    q = random_mixture(m, 1, seed)
    low, high = map(float, entropy_bounds(q))
    exact = entropy(q)
    assert low - 1e-6 <= exact <= high + 1e-6


def test_entropy_bounds_are_exact_far_apart_and_coinciding():
    weights = torch.tensor([0.2, 0.8], dtype=torch.float64)
    variance = torch.tensor([[1.0, 4.0], [0.25, 1.0]], dtype=torch.float64)
    apart = GaussianMixture(torch.tensor([[0.0, 0.0], [1e3, 0.0]], dtype=torch.float64), variance, weights=weights)
    own = 0.5 * np.log((2 * np.pi * np.e) ** 2 * variance.prod(-1).numpy())
    expected = float((weights.numpy() * (own - np.log(weights.numpy()))).sum())
    for bound in entropy_bounds(apart):
        assert float(bound) == pytest.approx(expected, rel=1e-9)
    same = GaussianMixture(torch.zeros(3, 2, dtype=torch.float64), variance[:1])
    for bound in entropy_bounds(same):
        assert float(bound) == pytest.approx(float(own[0]), rel=1e-9)


def test_entropy_bounds_have_gradients():
    centers, logs = torch.randn(2, 3, 2, generator=generator(), dtype=torch.float64), torch.zeros(2, 3).double()
    inputs = (centers.requires_grad_(), logs.requires_grad_())
    for index in (0, 1):
        assert torch.autograd.gradcheck(
            lambda z, w, index=index: entropy_bounds(GaussianMixture(z, 0.7, log_weights=w))[index], inputs
        )


def test_draws_are_those_of_the_mixture():
    q = random_mixture(3, 2)
    plain, differentiable = q.sample(50, generator=generator(5)), differentiable_sample(q, 50, generator=generator(5))
    torch.testing.assert_close(plain, differentiable)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        differentiable_sample(q, 0)


@pytest.mark.parametrize("name", ["centers", "variance", "log_weights"])
def test_gradients_of_draws_are_those_of_expectations(name):
    """d E f(x) / d theta by draws, against finite differences of the closed-form E f, f(x) = x_1 x_2 + x_1^2."""
    q = random_mixture(3, 2, seed=4, spread=1.0)
    parts = {key: getattr(q, key).clone() for key in ("centers", "variance", "log_weights")}

    def build(value):
        known = parts | {name: value}
        return GaussianMixture(known["centers"], known["variance"], log_weights=known["log_weights"])

    def expectation(value):
        p = build(value)
        weights = p.log_weights.exp()
        z, v = p.centers, p.variance.expand_as(p.centers)
        return (weights * (z[:, 0] * z[:, 1] + z[:, 0] ** 2 + v[:, 0])).sum()

    leaf = parts[name].clone().requires_grad_()
    exact = torch.autograd.grad(expectation(leaf), leaf)[0]
    leaf = parts[name].clone().requires_grad_()
    x = differentiable_sample(build(leaf), 400_000, generator=generator(1))
    found = torch.autograd.grad((x[:, 0] * x[:, 1] + x[:, 0] ** 2).mean(), leaf)[0]
    torch.testing.assert_close(found, exact, atol=0.02, rtol=0.03)


def test_a_place_between_two_peaks_is_no_mode():
    centers, variance = torch.tensor([[-3.0], [0.0], [3.0]], dtype=torch.float64), torch.tensor([[1.0], [100.0], [1.0]])
    found = modes(GaussianMixture(centers, variance.double()))[:, 0]
    assert sorted(found[~found.isnan()].round(decimals=1).tolist()) == pytest.approx([-3, 3], abs=0.1)


def test_a_narrow_component_far_away_splits_no_mode():
    centers = torch.tensor([[0.0], [19.9], [500.0]], dtype=torch.float64)
    q = GaussianMixture(centers, torch.tensor([[100.0], [100.0], [1e-6]], dtype=torch.float64))
    found = modes(q)[:, 0]
    assert found[~found.isnan()].tolist() == pytest.approx([500, 9.95], abs=0.01)


def test_saddles_of_a_plane_are_no_modes():
    centers = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    variance = torch.tensor([[1.0, 1.0], [1.0, 1.0], [100.0, 1.0]], dtype=torch.float64)
    found = modes(GaussianMixture(centers, variance))
    assert int((~found.isnan().any(-1)).sum()) == 2
