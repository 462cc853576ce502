import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import contrastive_entropy as ce
from contrastive_entropy.mixtures import univariate
from samples import generator


def law(components=3, seed=0, batch=()):
    draw = generator(seed)
    return ce.GaussianMixture(
        3 * torch.randn(*batch, components, 1, generator=draw, dtype=torch.float64),
        0.05 + torch.rand(*batch, components, 1, generator=draw, dtype=torch.float64),
        log_weights=torch.randn(*batch, components, generator=draw, dtype=torch.float64),
    )


def density(q, x):
    return float(q.log_prob(torch.tensor([[x]], dtype=torch.float64)).exp())


def test_the_distribution_function_is_the_integral_of_the_density():
    q = law()
    for x in (-4.0, 0.0, 1.5, 6.0):
        expected = integrate.quad(lambda t: density(q, t), -30, x, points=[-3, 0, 3], limit=500)[0]
        assert float(q.cdf(torch.tensor([[x]]))) == pytest.approx(expected, abs=1e-7)


def test_the_distribution_function_has_its_gradient():
    q = law()
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(q.cdf(x).sum(), x)
    torch.testing.assert_close(slope.squeeze(-1), q.log_prob(x).exp().detach())
    parts = [part.clone().requires_grad_() for part in (q.centers, q.variance, q.log_weights)]
    assert torch.autograd.gradcheck(lambda z, v, w: ce.GaussianMixture(z, v, log_weights=w).cdf(x.detach()), parts)


@given(seed=st.integers(0, 2**20), components=st.integers(1, 4))
def test_quantiles_invert_the_distribution_function(seed, components):
    q = law(components, seed=seed, batch=(2,))
    levels = torch.tensor([1e-6, 0.05, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)
    found = q.quantile(levels)
    assert found.shape == (2, 5)
    torch.testing.assert_close(q.cdf(found.unsqueeze(-1)), levels.expand(2, 5), atol=1e-9, rtol=0)
    assert bool((found.diff(dim=-1) > 0).all())


def test_quantiles_of_one_component_are_the_normal_s_and_units_do_not_matter():
    one = ce.GaussianMixture(torch.tensor([[1e6]], dtype=torch.float64), 1e-6)
    assert float(one.quantile(0.975)) == pytest.approx(1e6 + 1e-3 * stats.norm.ppf(0.975), abs=1e-9)
    tiny = ce.GaussianMixture(torch.tensor([[0.0], [1e-6]], dtype=torch.float64), 1e-14)
    assert float(tiny.quantile(0.5)) == pytest.approx(5e-7, rel=1e-6)


def test_a_component_without_weight_does_not_matter():
    q = ce.GaussianMixture(torch.tensor([[0.0], [1e9]]), 1.0, weights=torch.tensor([1.0, 0.0]))
    assert float(q.quantile(0.5)) == pytest.approx(0, abs=1e-9)


def test_crps_is_the_integral_of_its_definition():
    q = law()
    for x in (-4.0, 0.3, 6.0):

        def square(t, x=x):
            return (float(q.cdf(torch.tensor([[t]], dtype=torch.float64))) - (t >= x)) ** 2

        expected = integrate.quad(square, -20, 20, points=[x, -3, 0, 3], limit=500)[0]
        assert float(q.crps(torch.tensor([[x]]))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pairs", [1, 1 << 22])
def test_crps_is_that_of_scoringrules(pairs, monkeypatch):
    scoringrules = pytest.importorskip("scoringrules")
    monkeypatch.setattr(univariate, "PAIRS", pairs)
    q = law(4, batch=(6,))
    x = torch.randn(6, 1, 1, generator=generator(3), dtype=torch.float64)
    expected = scoringrules.crps_mixnorm(
        x.squeeze().numpy(),
        q.centers.squeeze(-1).numpy(),
        q.variance.sqrt().squeeze(-1).numpy(),
        q.log_weights.exp().numpy(),
    )
    torch.testing.assert_close(q.crps(x).squeeze(-1), torch.as_tensor(expected), atol=1e-12, rtol=1e-10)


@given(seed=st.integers(0, 2**20), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_laws(seed, scale, shift):
    q = law(seed=seed)
    x = torch.randn(5, 1, generator=generator(seed), dtype=torch.float64)
    moved = ce.GaussianMixture(scale * q.centers + shift, scale**2 * q.variance, log_weights=q.log_weights)
    torch.testing.assert_close(moved.cdf(scale * x + shift), q.cdf(x))
    torch.testing.assert_close(moved.crps(scale * x + shift), scale * q.crps(x))
    torch.testing.assert_close(moved.quantile(0.3), scale * q.quantile(0.3) + shift)


def test_what_has_more_coordinates_or_no_level_is_refused():
    q = ce.GaussianMixture(torch.zeros(2, 2), 1.0)
    for ask in (lambda: q.cdf(torch.zeros(1, 1)), lambda: q.quantile(0.5), lambda: q.crps(torch.zeros(1, 1))):
        with pytest.raises(ValueError, match=r"for one coordinate, and there are 2: take marginal\(\[index\]\)"):
            ask()
    for level in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"levels must lie in \(0, 1\)"):
            law().quantile(level)
    with pytest.raises(ValueError, match=r"x must have shape \(..., n, 1\), got \(3,\): x\[:, None\]"):
        law().cdf(torch.zeros(3))


def test_a_marginal_and_a_conditional_are_those_of_the_joint_law():
    draw = generator(0)
    q = ce.GaussianMixture(
        torch.randn(4, 3, generator=draw, dtype=torch.float64),
        0.2 + torch.rand(4, 3, generator=draw, dtype=torch.float64),
        log_weights=torch.randn(4, generator=draw, dtype=torch.float64),
    )
    x = torch.randn(6, 3, generator=draw, dtype=torch.float64)
    known, rest = [2, 0], [1]
    marginal = q.marginal(known).log_prob(x[:, known])
    values = x[:, known]
    batch = ce.GaussianMixture(q.centers.expand(6, 4, 3), q.variance, log_weights=q.log_weights.expand(6, 4))
    conditional = batch.conditional(known, values).log_prob(x[:, rest].unsqueeze(1)).squeeze(-1)
    torch.testing.assert_close(marginal + conditional, q.log_prob(x))
    grid = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    whole = torch.stack([torch.full_like(grid, float(x[0, 0])), grid, torch.full_like(grid, float(x[0, 2]))], -1)
    assert float(torch.trapezoid(q.log_prob(whole).exp(), grid).log()) == pytest.approx(float(marginal[0]), abs=1e-9)
    shared = ce.GaussianMixture(q.centers, 0.5)
    assert shared.marginal([1]).variance.numel() == 1
    with pytest.raises(ValueError, match="all coordinates are given"):
        q.conditional([0, 1, 2], x[0])
    with pytest.raises(ValueError, match=r"values must have shape \(..., 1\), got \(2,\)"):
        q.conditional([0], x[0, :2])
    with pytest.raises(IndexError):
        q.marginal([3])
