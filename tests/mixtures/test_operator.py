import pytest
import torch
from hypothesis import given

import contrastive_entropy as ce
import references
from contrastive_entropy.mixtures.operator import log_nuclear_norm, singular_values, weighted_gram
from contrastive_entropy.numerics import nuclear, polar
from contrastive_entropy.numerics.nuclear import effective_rank, matrix_nuclear_norm
from strategies import Problem, as_arrays, problems


def matrix(n, m, seed=0):
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 3)])
@pytest.mark.parametrize("smoothing", [0.0, 1e-2, 1.0])
def test_norm_equals_the_reference(shape, smoothing):
    a = matrix(*shape)
    value = matrix_nuclear_norm(a, smoothing=smoothing)
    assert value.item() == pytest.approx(references.smoothed_sum(a.numpy(), smoothing), abs=1e-10)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_exact_gradient(shape):
    assert torch.autograd.gradcheck(matrix_nuclear_norm, (matrix(*shape).requires_grad_(),))


@pytest.mark.parametrize("smoothing", [1e-2, 0.3])
def test_smoothed_gradient_is_that_of_the_sum_at_constant_e(smoothing):
    a = matrix(4, 3).requires_grad_()
    e = smoothing * torch.linalg.svdvals(a.detach())[0]
    ((torch.linalg.svdvals(a).square() + e**2).sqrt() - e).sum().backward()
    b = a.detach().clone().requires_grad_()
    matrix_nuclear_norm(b, smoothing=smoothing).backward()
    torch.testing.assert_close(b.grad, a.grad)


def test_gradient_of_a_matrix_of_low_rank_is_finite_and_ignores_rounding():
    left = matrix(6, 2)
    a = (left @ matrix(2, 5, seed=1)).requires_grad_()
    matrix_nuclear_norm(a).backward()
    u, _, vh = torch.linalg.svd(a.detach(), full_matrices=False)
    torch.testing.assert_close(a.grad, u[:, :2] @ vh[:2])


@pytest.mark.parametrize("smoothing", [0.0, 1e-2])
def test_a_matrix_of_zeros_has_no_gradient_and_says_so(smoothing):
    zero = torch.zeros(3, 4, requires_grad=True)
    with pytest.warns(ce.NumericalWarning, match="the matrix is 0, and so are its nuclear norm and gradient"):
        matrix_nuclear_norm(zero, smoothing=smoothing).backward()
    assert torch.equal(zero.grad, torch.zeros(3, 4))


@given(problems())
def test_weighted_gram_and_singular_values_equal_the_reference(problem: Problem):
    p, q = as_arrays(problem.p), as_arrays(problem.q)
    gram, log_scale = weighted_gram(problem.p, problem.q)
    assert gram.amax().item() == 1
    torch.testing.assert_close(gram * log_scale.exp(), torch.from_numpy(references.weighted_gram(p, q)))
    s = singular_values(problem.p, problem.q)
    assert s.sum().item() == pytest.approx(ce.fidelity(problem.p, problem.q).item(), abs=1e-9)
    assert (s.diff() <= 0).all()


def test_a_gram_that_underflows_keeps_its_shape():
    p = ce.GaussianMixture(torch.zeros(2, 1).double(), 1e-4)
    q = ce.GaussianMixture(torch.tensor([[9.0], [10.0]]).double(), 1e-4)
    gram, log_scale = weighted_gram(p, q)
    assert gram[:, 0].tolist() == [1, 1]
    assert log_scale < -1e5


def test_effective_rank_counts_equal_values():
    assert effective_rank(torch.tensor([2.0, 2, 2, 0])).item() == pytest.approx(3)
    assert effective_rank(torch.tensor([[1.0, 0], [1, 1]])).tolist() == pytest.approx([1, 2])


def test_negative_smoothing_is_refused():
    for smoothing in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="smoothing must be a finite number >= 0"):
            matrix_nuclear_norm(torch.eye(2), smoothing=smoothing)


def test_second_derivatives_are_refused():
    a = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    (gradient,) = torch.autograd.grad(matrix_nuclear_norm(a) ** 2, a, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        gradient.square().sum().backward()


def test_autocast_does_not_touch_the_gradient():
    a = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (plain,) = torch.autograd.grad(matrix_nuclear_norm(a), a)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (inside,) = torch.autograd.grad(matrix_nuclear_norm(a), a)
    assert torch.equal(plain, inside)


# log_nuclear_norm: W * K contracted onto the points


def dense(p, q, smoothing):
    """The same through weighted_gram, whose gradient autograd takes."""
    gram, log_scale = weighted_gram(p, q)
    return matrix_nuclear_norm(gram, smoothing=smoothing).double().log() + log_scale


@given(problems())
def test_log_nuclear_norm_equals_the_reference(problem: Problem):
    for smoothing in (0.0, 1e-2):
        found = log_nuclear_norm(problem.p, problem.q, smoothing=smoothing)
        expected = references.nuclear_norm(as_arrays(problem.p), as_arrays(problem.q), smoothing)
        assert found.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 1e-2])
@pytest.mark.parametrize("dimension", [1, 3, 12])
@pytest.mark.parametrize("diagonal", [False, True])
def test_gradients_equal_those_of_the_dense_form(dimension, smoothing, diagonal):
    """In centers, weights and variances, for batches, n != m."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    x, z, a, w = draw(2, 7, dimension), draw(2, 5, dimension), draw(7), draw(2, 5)
    log_v = draw(dimension) if diagonal else draw(1)
    u = torch.tensor(0.4, dtype=torch.float64).requires_grad_()

    def gradients(function):
        p = ce.GaussianMixture(x, log_v.exp(), log_weights=a)
        q = ce.GaussianMixture(z, u, log_weights=w)
        return torch.autograd.grad(function(p, q, smoothing=smoothing).sum(), (x, z, a, w, log_v, u))

    for found, expected in zip(gradients(log_nuclear_norm), gradients(dense), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7)


def test_gradcheck_with_duplicates():
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (5, 4))
    z = torch.cat([z, z[:1]])

    def value(x, z, log_weights, variance):
        p = ce.GaussianMixture(x, 0.3)
        return log_nuclear_norm(p, ce.GaussianMixture(z, variance, log_weights=log_weights), smoothing=0.0)

    inputs = (x, z, torch.randn(5, generator=generator).double(), torch.tensor(0.4).double())
    assert torch.autograd.gradcheck(value, [t.requires_grad_() for t in inputs])


@pytest.mark.parametrize("dimension", [2, 40])
@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("size", [100, 400])
def test_float32_gradients_keep_the_tolerance(dimension, offset, size):
    """Against float64, in points, on both sides of the automatic choices; far from the origin, too."""
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, dimension, generator=generator) + offset for n in (size, size + 30))
    variance = 0.05 * dimension

    def gradient(x, z):
        z = z.clone().requires_grad_()
        value = log_nuclear_norm(ce.GaussianMixture(x, variance), ce.GaussianMixture(z, variance), smoothing=1e-2)
        (found,) = torch.autograd.grad(value, z)
        return value.detach(), found.double()

    (value, found), (exact_value, exact) = gradient(x, z), gradient(x.double(), z.double())
    assert (found - exact).norm() < 2 * polar.TOLERANCE * exact.norm()
    assert abs(value - exact_value) < polar.TOLERANCE


def test_the_tolerance_reaches_the_objective():
    points = torch.randn(900, 2, generator=torch.Generator().manual_seed(0))
    p, z = ce.GaussianMixture(points[:400], 0.05), points[400:].requires_grad_()

    def gradient(tolerance):
        bound = ce.nuclear_norm(p, ce.GaussianMixture(z, 0.05), smoothing=1e-2, tolerance=tolerance)
        return torch.autograd.grad(bound.value, z)[0].double()

    exact = gradient(1e-12)
    loose, tight = ((gradient(tolerance) - exact).norm() / exact.norm() for tolerance in (1e-2, 1e-4))
    assert tight < 2e-4
    assert tight < loose < 1e-2


def test_points_that_do_not_meet_have_a_finite_gradient():
    """The log-scale keeps what underflows: the nearest pair dominates, and pulls."""
    p = ce.GaussianMixture(torch.tensor([[0.0], [1.0]]), 1e-6)
    z = torch.tensor([[9.0], [10.0]]).requires_grad_()
    value = log_nuclear_norm(p, ce.GaussianMixture(z, 1e-6), smoothing=1e-2)
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()
    assert z.grad[0, 0] < 0


def test_no_entry_is_so_small_that_products_are_slow():
    x = torch.linspace(0, 30, 50)[:, None]
    gram, _ = nuclear.unit_gram(x, x, torch.zeros(50), torch.zeros(50), differences=True, dtype=torch.float32)
    smallest = gram[gram > 0].min()
    assert smallest.square() >= torch.finfo(torch.float32).tiny
    torch.testing.assert_close(gram, torch.exp(-(x - x.T).square() / 2), atol=1e-6, rtol=0)


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match="dimensions differ: 2 coordinates on one side and 3 on the other"):
        log_nuclear_norm(ce.GaussianMixture(torch.zeros(2, 2), 1.0), ce.GaussianMixture(torch.zeros(2, 3), 1.0))


@pytest.mark.parametrize("smoothing", [1e2, 1e4, 1e8])
def test_large_smoothing_neither_cancels_nor_divides_by_zero(smoothing):
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    z = x[30:].clone().requires_grad_()
    p = ce.GaussianMixture(x[:30], 0.1)
    value = log_nuclear_norm(p, ce.GaussianMixture(z, 0.1), smoothing=smoothing)
    with torch.no_grad():
        plain = log_nuclear_norm(p, ce.GaussianMixture(z, 0.1), smoothing=smoothing)
        exact = log_nuclear_norm(p.double(), ce.GaussianMixture(z.double(), 0.1), smoothing=smoothing)
    assert value.item() == pytest.approx(exact.item(), abs=1e-4)
    assert plain.item() == pytest.approx(exact.item(), abs=1e-4)
    (gradient,) = torch.autograd.grad(value, z)
    assert gradient.isfinite().all()


def test_options_are_checked_without_a_gradient_too():
    for options, message in (({"method": "qr"}, "method must be one of"), ({"tolerance": -1.0}, "tolerance must be")):
        with pytest.raises(ValueError, match=message):
            matrix_nuclear_norm(torch.eye(2), smoothing=0.1, **options)


@pytest.mark.parametrize("shape", [(0, 3, 3), (0, 3), (2, 3, 0)])
def test_empty_matrices_have_norm_zero(shape):
    matrix = torch.zeros(shape, requires_grad=True)
    norm = matrix_nuclear_norm(matrix)
    assert norm.shape == shape[:-2]
    assert not norm.any()
    norm.sum().backward()
