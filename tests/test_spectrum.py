import pytest
import torch
from hypothesis import given

import contrastive_entropy as ce
import references
from contrastive_entropy.spectrum import effective_rank, matrix_nuclear_norm, singular_values, weighted_gram
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
    zero = torch.zeros(3, 3, requires_grad=True)
    matrix_nuclear_norm(zero).backward()
    assert torch.equal(zero.grad, torch.zeros(3, 3))


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
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_autocast_does_not_touch_the_gradient():
    a = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (plain,) = torch.autograd.grad(matrix_nuclear_norm(a), a)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (inside,) = torch.autograd.grad(matrix_nuclear_norm(a), a)
    assert torch.equal(plain, inside)
