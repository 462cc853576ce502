import numpy as np
import pytest
import torch
from scipy import stats

from contrastive_entropy.mixtures.full import FullCovarianceMixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from samples import generator, mixture


def full(m, d, seed=0, batch=()):
    draw = generator(seed)
    centers = torch.randn(*batch, m, d, generator=draw, dtype=torch.float64)
    factor = torch.randn(*batch, m, d, d, generator=draw, dtype=torch.float64).tril(-1)
    factor = factor + torch.diag_embed(torch.rand(*batch, m, d, generator=draw, dtype=torch.float64) + 0.5)
    return FullCovarianceMixture(
        centers, factor, log_weights=torch.randn(*batch, m, generator=draw, dtype=torch.float64)
    )


def parts(q):
    """(weight, center, covariance) of each component, numpy."""
    return list(zip(q.log_weights.exp().numpy(), q.centers.numpy(), q.covariances.numpy(), strict=True))


def test_the_density_is_scipy_s():
    q, x = full(3, 3), torch.randn(7, 3, generator=generator(9), dtype=torch.float64)
    expected = sum(w * stats.multivariate_normal(z, s).pdf(x.numpy()) for w, z, s in parts(q))
    np.testing.assert_allclose(q.log_prob(x).exp().numpy(), expected, rtol=1e-10)


def test_inner_products_are_those_of_the_formula():
    p, q = full(3, 2), full(4, 2, seed=1)
    expected = sum(
        w * u * stats.multivariate_normal(np.zeros(2), s + t).pdf(z - y) for w, z, s in parts(p) for u, y, t in parts(q)
    )
    assert float(p.log_inner(q)) == pytest.approx(np.log(expected), rel=1e-10)
    assert float(p.log_inner(q)) == pytest.approx(float(q.log_inner(p)), rel=1e-10)
    assert float(p.log_norm()) == pytest.approx(float(p.log_inner(p)))


def test_an_inner_product_is_the_integral_of_the_product():
    p, q = full(2, 2), full(3, 2, seed=1)
    line = torch.linspace(-15, 15, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    product = (p.log_prob(grid) + q.log_prob(grid)).exp().sum() * (line[1] - line[0]) ** 2
    assert float(p.log_inner(q)) == pytest.approx(float(product.log()), abs=1e-6)


def test_diagonal_ones_agree_with_the_diagonal_mixture():
    diagonal = GaussianMixture(
        torch.randn(4, 3, generator=generator(), dtype=torch.float64),
        torch.rand(4, 3, generator=generator(1), dtype=torch.float64) + 0.1,
        log_weights=torch.randn(4, generator=generator(2), dtype=torch.float64),
    )
    q, other = FullCovarianceMixture.of(diagonal), mixture(5, 3)
    x = torch.randn(6, 3, generator=generator(3), dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(x), diagonal.log_prob(x))
    torch.testing.assert_close(q.log_inner(other), diagonal.log_inner(other))
    torch.testing.assert_close(q.log_norm(), diagonal.log_norm())
    torch.testing.assert_close(q.mean, diagonal.mean)
    torch.testing.assert_close(q.covariance, diagonal.covariance)
    torch.testing.assert_close(q.marginal([2, 0]).log_prob(x[:, :2]), diagonal.marginal([2, 0]).log_prob(x[:, :2]))
    values = torch.tensor([0.3], dtype=torch.float64)
    torch.testing.assert_close(
        q.conditional([1], values).log_prob(x[:, :2]), diagonal.conditional([1], values).log_prob(x[:, :2])
    )


@pytest.mark.parametrize("coordinates", [[0], [2, 0], [1, 2]])
def test_conditionals_are_joint_over_marginal(coordinates):
    q = full(3, 3)
    others = [index for index in range(3) if index not in coordinates]
    values = torch.randn(len(coordinates), generator=generator(4), dtype=torch.float64)
    x = torch.randn(5, len(others), generator=generator(5), dtype=torch.float64)
    whole = torch.empty(5, 3, dtype=torch.float64)
    whole[:, others], whole[:, coordinates] = x, values.expand(5, -1)
    expected = q.log_prob(whole) - q.marginal(coordinates).log_prob(values.unsqueeze(0))
    torch.testing.assert_close(q.conditional(coordinates, values).log_prob(x), expected)


def test_one_coordinate_has_quantiles():
    q = full(3, 2)
    law = q.marginal([1])
    assert isinstance(law, GaussianMixture)
    median = law.quantile(0.5)
    drawn = q.sample(200_000, generator=generator(6))
    assert float((drawn[:, 1] < median).double().mean()) == pytest.approx(0.5, abs=0.005)
    torch.testing.assert_close(drawn.mean(0), q.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), q.covariance, atol=0.05, rtol=0.02)


def test_batches_are_their_mixtures():
    q, other = full(3, 2, batch=(4,)), full(2, 2, seed=1, batch=(4,))
    x = torch.randn(4, 5, 2, generator=generator(7), dtype=torch.float64)
    for index in range(4):
        own, its = (
            FullCovarianceMixture(m.centers[index], m.cholesky[index], log_weights=m.log_weights[index])
            for m in (q, other)
        )
        torch.testing.assert_close(q.log_prob(x)[index], own.log_prob(x[index]))
        torch.testing.assert_close(q.log_inner(other)[index], own.log_inner(its))
    assert q.sample(6, generator=generator()).shape == (4, 6, 2)


def test_it_has_gradients():
    q = full(2, 2)
    inputs = [part.clone().requires_grad_() for part in (q.centers, q.cholesky, q.log_weights)]
    x = torch.randn(3, 2, generator=generator(8), dtype=torch.float64)
    for method in (lambda p: p.log_prob(x), lambda p: p.log_norm(), lambda p: p.log_inner(full(3, 2, seed=2))):
        assert torch.autograd.gradcheck(
            lambda z, c, w, method=method: method(FullCovarianceMixture(z, c.tril(), log_weights=w)), inputs
        )


@pytest.mark.parametrize(
    ("centers", "cholesky", "error", "message"),
    [
        (torch.zeros(2, 3), torch.eye(2).expand(2, 2, 2), ValueError, r"\(\.\.\., m, d, d\)"),
        (torch.zeros(2, 2), -torch.eye(2).expand(2, 2, 2), ValueError, "must be positive"),
        (torch.zeros(2, 2), torch.ones(2, 2, 2), ValueError, "must be lower triangular; of covariances it is"),
        (torch.zeros(2, 2).long(), torch.eye(2).expand(2, 2, 2), TypeError, "centers must be a floating-point tensor"),
        (torch.zeros(2, 2), [[1.0]], TypeError, "cholesky must be a floating-point tensor"),
    ],
)
def test_what_is_no_mixture_is_refused(centers, cholesky, error, message):
    with pytest.raises(error, match=message):
        FullCovarianceMixture(centers, cholesky)


def test_what_does_not_fit_is_refused():
    q = full(2, 2)
    with pytest.raises(TypeError, match="other must be a GaussianMixture"):
        q.log_inner(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="dimensions differ: 2 and 3"):
        q.log_inner(full(2, 3))
    with pytest.raises(ValueError, match="all coordinates are given"):
        q.conditional([0, 1], torch.zeros(2))
    with pytest.raises(ValueError, match=r"values must have shape \(..., 1\)"):
        q.conditional([0], torch.zeros(2))
    with pytest.raises(ValueError, match="count must be at least 1"):
        q.sample(0)
    for method in (q.marginal, lambda index: q.conditional(index, torch.zeros(len(index)))):
        with pytest.raises(IndexError, match="no coordinate 5: there are 2"):
            method([5])
        with pytest.raises(ValueError, match=r"each coordinate counts once, got \[1, -1\]"):
            method([1, -1])


def test_conditionals_at_many_values_are_a_batch():
    q = full(3, 3)
    values = torch.randn(4, 1, generator=generator(4), dtype=torch.float64)
    found = q.conditional([1], values)
    assert found.batch_shape == (4,)
    x = torch.randn(2, 2, generator=generator(5), dtype=torch.float64)
    for index in range(4):
        torch.testing.assert_close(found.log_prob(x)[index], q.conditional([1], values[index]).log_prob(x))
