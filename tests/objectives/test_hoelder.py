import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contrastive_entropy as ce
from contrastive_entropy.mixtures.full import FullCovarianceMixture
from contrastive_entropy.objectives.hoelder import _nodes, conditional_hoelder, log_power_integral
from samples import generator

GAMMAS = (0.1, 0.5, 0.9, 1.0)
GRID = torch.linspace(-14, 14, 2801, dtype=torch.float64)


def law(conditions=6, components=3, dimension=1, seed=0, batch=()):
    """A batch of mixtures with weights and variances of their own."""
    shape = (*batch, conditions, components)
    draw = generator(seed)
    return ce.GaussianMixture(
        torch.randn(*shape, dimension, generator=draw, dtype=torch.float64),
        0.05 + torch.rand(*shape, dimension, generator=draw, dtype=torch.float64),
        log_weights=torch.randn(shape, generator=draw, dtype=torch.float64),
    )


def on_grid(q):
    """Log q on `GRID`, (s, n)."""
    return q.log_prob(GRID[:, None].expand(*q.batch_shape, -1, -1))


def exact(p, q, gamma, *, pointwise=False):
    """Value and limit of one-dimensional laws p and q, by quadrature over y."""
    first, second = on_grid(p), on_grid(q)
    cross = torch.trapezoid((first + gamma * second).exp(), GRID)
    own, other = (torch.trapezoid(((1 + gamma) * part).exp(), GRID) for part in (first, second))
    share = (1 + gamma) / gamma
    if pointwise:
        value = share * (cross / other ** (gamma / (1 + gamma))).mean().log()
        return value, share * (own ** (1 / (1 + gamma))).mean().log()
    return share * cross.mean().log() - other.mean().log(), own.mean().log() / gamma


def drawn(q, count=20_000):
    """Draws as the data of each condition."""
    return ce.GaussianMixture(q.sample(count, generator=generator(9)), 1.0)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("pointwise", [False, True])
def test_the_value_is_the_formula_up_to_the_draws(gamma, pointwise):
    p, q = law(seed=0), law(seed=1)
    value = conditional_hoelder(drawn(p), q, gamma=gamma, pointwise=pointwise).value
    assert float(value) == pytest.approx(float(exact(p, q, gamma, pointwise=pointwise)[0]), abs=0.02 / gamma**0.5)


@pytest.mark.parametrize("pointwise", [False, True])
@given(seed=st.integers(0, 2**20), gamma=st.floats(0.05, 1.0))
def test_no_model_passes_the_limit_and_the_truth_reaches_it(pointwise, seed, gamma):
    p, q = law(seed=seed), law(seed=seed + 1)
    value, limit = exact(p, q, gamma, pointwise=pointwise)
    assert value < limit
    value, limit = exact(p, p, gamma, pointwise=pointwise)
    assert float(value) == pytest.approx(float(limit), abs=1e-9)


@pytest.mark.parametrize("pointwise", [False, True])
def test_a_gamma_near_0_is_the_likelihood(pointwise):
    p, q = drawn(law(), 50), law(seed=1)
    near, at = (conditional_hoelder(p, q, gamma=gamma, pointwise=pointwise).value for gamma in (1e-5, 0.0))
    assert float(near) == pytest.approx(float(at), abs=1e-3)
    assert float(at) == pytest.approx(float(q.log_prob(p.centers).mean()), abs=1e-12)


def test_gamma_1_is_the_conditional_contrastive_entropy_of_exact_draws():
    p, q = law(seed=0), law(seed=1)
    value = conditional_hoelder(drawn(p, 50_000), q).value
    assert float(value) == pytest.approx(float(ce.conditional_normalized_inner_product(p, q).value), abs=0.03)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize(("nodes", "error"), [(8, 0.03), (16, 5e-3), (32, 1e-3)])
def test_the_integral_is_that_of_a_fine_grid(gamma, nodes, error):
    q = law()
    expected = torch.trapezoid(((1 + gamma) * on_grid(q)).exp(), GRID).log()
    torch.testing.assert_close(log_power_integral(q, gamma, nodes=nodes), expected, atol=error, rtol=0)


def test_the_integral_in_two_coordinates_is_an_estimate_that_does_not_change():
    q = law(dimension=2)
    grid = torch.linspace(-6, 6, 301, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid).expand(6, -1, -1)
    expected = ((1.5 * q.log_prob(points)).exp().sum(-1) * 0.04**2).log()
    found = log_power_integral(q, 0.5, nodes=4000)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)
    assert torch.equal(found, log_power_integral(q, 0.5, nodes=4000))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("pointwise", [False, True])
@pytest.mark.parametrize("dimension", [1, 2])
def test_gradcheck(gamma, pointwise, dimension):
    p, q = drawn(law(3, dimension=dimension), 2), law(3, dimension=dimension, seed=1)

    def value(centers, variance, log_weights):
        model = ce.GaussianMixture(centers, variance, log_weights=log_weights)
        return conditional_hoelder(p, model, gamma=gamma, pointwise=pointwise, nodes=4).value

    inputs = [part.clone().requires_grad_() for part in (q.centers, q.variance, q.log_weights)]
    assert torch.autograd.gradcheck(value, inputs)


@given(seed=st.integers(0, 2**20), scale=st.floats(0.1, 10), gamma=st.sampled_from([0.0, 0.3, 1.0]))
def test_laws(seed, scale, gamma):
    q = law(4, seed=seed)
    p = drawn(law(4, seed=seed + 1), 3)
    order, own = (torch.randperm(count, generator=generator(seed)) for count in (4, 3))

    def value(x, q):
        return float(conditional_hoelder(ce.GaussianMixture(x, 1.0), q, gamma=gamma).value)

    def changed(centers, variance, log_weights):
        return ce.GaussianMixture(centers, variance, log_weights=log_weights)

    base = value(p.centers, q)
    parts = q.centers, q.variance, q.log_weights
    assert value(p.centers[order], changed(*(part[order] for part in parts))) == pytest.approx(base, abs=1e-9)
    assert value(p.centers, changed(*(part[:, own] for part in parts))) == pytest.approx(base, abs=1e-9)
    moved = changed(q.centers + 3, q.variance, q.log_weights)
    assert value(p.centers + 3, moved) == pytest.approx(base, abs=1e-9)
    wide = changed(scale * q.centers, scale**2 * q.variance, q.log_weights)
    assert value(scale * p.centers, wide) == pytest.approx(base - math.log(scale), abs=1e-8)


@given(seed=st.integers(0, 2**20), gamma=st.floats(0, 1), dimension=st.integers(1, 2), near=st.booleans())
def test_no_model_passes_the_value_of_its_sharpest_component(seed, gamma, dimension, near):
    q = law(dimension=dimension, seed=seed)
    x = q.centers[:, :1] if near else torch.randn(6, 1, dimension, generator=generator(seed), dtype=torch.float64)
    for pointwise in (False, True):
        bound = conditional_hoelder(ce.GaussianMixture(x, 1.0), q, gamma=gamma, pointwise=pointwise)
        assert bound.value <= bound.limit + 1e-9
    one = ce.GaussianMixture(torch.zeros(2, 1, dimension, dtype=torch.float64), 0.3)
    assert float(conditional_hoelder(one, one, gamma=1.0).gap) == pytest.approx(0, abs=1e-9)


def test_models_side_by_side_have_a_value_each():
    p, q = law(batch=(2,)), law(batch=(2,), seed=1)
    p = ce.GaussianMixture(p.centers[..., :1, :], 1.0)
    values = conditional_hoelder(p, q, gamma=0.5).value
    for index in range(2):
        one = ce.GaussianMixture(p.centers[index], 1.0)
        model = ce.GaussianMixture(q.centers[index], q.variance[index], log_weights=q.log_weights[index])
        assert float(conditional_hoelder(one, model, gamma=0.5).value) == pytest.approx(float(values[index]), abs=1e-12)


def test_an_outlier_counts_little_at_gamma_1_and_without_end_at_0():
    x = torch.zeros(10, 1, 1, dtype=torch.float64)
    q = ce.GaussianMixture(torch.zeros(10, 1, 1, dtype=torch.float64), 1.0)

    def loss(away, gamma):
        moved = x.clone()
        moved[0] = away
        return float(conditional_hoelder(ce.GaussianMixture(moved, 1.0), q, gamma=gamma).value)

    assert loss(1000.0, 1.0) == pytest.approx(loss(0.0, 1.0) + 2 * math.log(0.9), abs=1e-9)
    assert loss(1000.0, 0.0) < -40_000


@pytest.mark.parametrize(
    ("gamma", "x", "z", "message"),
    [
        (1.5, (4, 1, 1), (4, 2, 1), r"gamma must lie in \[0, 1\], got 1.5"),
        (-0.1, (4, 1, 1), (4, 2, 1), r"gamma must lie in \[0, 1\], got -0.1"),
        (math.nan, (4, 1, 1), (4, 2, 1), r"gamma must lie in \[0, 1\], got nan"),
        (1.0, (4, 1, 1), (3, 2, 1), r"got batch shapes \(4,\) and \(3,\)"),
        (1.0, (1, 1), (2, 1), r"must be batches over the same conditions"),
        (1.0, (4, 1, 1), (4, 2, 2), "p has 1 coordinates and q has 2"),
    ],
)
def test_what_does_not_fit_is_refused(gamma, x, z, message):
    with pytest.raises(ValueError, match=message):
        conditional_hoelder(
            ce.GaussianMixture(torch.zeros(x), 1.0), ce.GaussianMixture(torch.zeros(z), 1.0), gamma=gamma
        )


def test_one_node_is_refused():
    with pytest.raises(ValueError, match="nodes must be at least 2, got 1"):
        log_power_integral(law(), 0.5, nodes=1)


def leaning(mixture):
    """The same centers and weights, with components that lean."""
    d = mixture.dimension
    draw = generator(11)
    factor = torch.randn(*mixture.centers.shape, d, generator=draw, dtype=torch.float64).tril(-1)
    factor = factor + torch.diag_embed(torch.rand(mixture.centers.shape, generator=draw, dtype=torch.float64) + 0.3)
    return FullCovarianceMixture(mixture.centers, factor, log_weights=mixture.log_weights)


def batch_of_two():
    draw = generator(3)
    q = ce.GaussianMixture(torch.randn(6, 3, 2, generator=draw, dtype=torch.float64), 0.7)
    return ce.GaussianMixture(torch.randn(6, 1, 2, generator=draw, dtype=torch.float64), 1.0), q


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_full_covariances_that_are_diagonal_change_nothing(gamma):
    p, q = batch_of_two()
    found, expected = (conditional_hoelder(p, mixture, gamma=gamma) for mixture in (FullCovarianceMixture.of(q), q))
    torch.testing.assert_close(found.value, expected.value)
    torch.testing.assert_close(found.limit, expected.limit)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_no_leaning_model_passes_the_limit(gamma):
    p, q = batch_of_two()
    for draws in (p, ce.GaussianMixture(q.centers[:, :1], 1.0)):
        bound = conditional_hoelder(draws, leaning(q), gamma=gamma)
        assert float(bound.value) <= float(bound.limit)


def test_the_integral_of_a_leaning_mixture():
    _, q = batch_of_two()
    full = leaning(q)
    line = torch.linspace(-9, 9, 721, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    logs = full.log_prob(grid.expand(6, -1, -1))
    exact = torch.logsumexp(1.5 * logs, -1) + 2 * (line[1] - line[0]).log()
    torch.testing.assert_close(log_power_integral(full, 0.5, nodes=4000), exact, atol=0.02, rtol=0)
    torch.testing.assert_close(log_power_integral(full, 1.0), full.log_norm())


def test_other_objectives_refuse_full_covariances():
    p, q = batch_of_two()
    with pytest.raises(TypeError, match="q must be a GaussianMixture, got FullCovarianceMixture"):
        ce.normalized_inner_product(p, FullCovarianceMixture.of(q))


@pytest.mark.parametrize("count", [2, 5, 16, 40])
def test_the_nodes_of_a_line_are_those_of_numpy(count):
    points, log_shares = _nodes(count, 1)
    expected, weights = np.polynomial.hermite_e.hermegauss(count)
    np.testing.assert_allclose(points[:, 0].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(log_shares.exp().numpy(), weights / weights.sum(), rtol=1e-9)


@pytest.mark.parametrize("dimension", [1, 2, 30])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_the_integral_is_exact_far_apart_and_coinciding(dimension, gamma):
    variance, weights = 0.3, torch.tensor([0.2, 0.8], dtype=torch.float64)
    apart = torch.zeros(2, dimension, dtype=torch.float64)
    apart[1, 0] = 1e3
    peak = -0.5 * dimension * math.log(2 * math.pi * variance)
    own = gamma * peak - 0.5 * dimension * math.log1p(gamma)
    for centers, expected in (
        (apart, own + float((weights ** (1 + gamma)).sum().log())),
        (torch.zeros_like(apart), own),
    ):
        for spread in (variance, torch.full((2, dimension), variance, dtype=torch.float64)):
            q = ce.GaussianMixture(centers, spread, weights=weights)
            assert float(log_power_integral(q, gamma, nodes=2)) == pytest.approx(expected, rel=1e-9)


def test_a_shared_variance_is_the_same_as_one_of_each_component():
    centers = torch.randn(4, 5, 3, generator=generator(), dtype=torch.float64)
    logs = torch.randn(4, 5, generator=generator(1), dtype=torch.float64)
    for variance in (torch.tensor(0.7), torch.tensor([0.5, 1.0, 2.0])):
        shared = ce.GaussianMixture(centers, variance.double(), log_weights=logs)
        each = ce.GaussianMixture(centers, variance.double().expand(4, 5, 3), log_weights=logs)
        torch.testing.assert_close(log_power_integral(shared, 0.4), log_power_integral(each, 0.4))


def test_many_nodes_stay_exact():
    q = law()
    torch.testing.assert_close(
        log_power_integral(q, 0.5, nodes=200), log_power_integral(q, 0.5, nodes=64), atol=1e-4, rtol=0
    )
