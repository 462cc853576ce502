import math

import numpy as np
import pytest
import torch
from hypothesis import given

import contrastive_entropy as ce
import references
from strategies import Problem, as_arrays, problems


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(problems())
def test_log_inner_equals_the_reference(problem: Problem):
    expected = references.log_inner(as_arrays(problem.p), as_arrays(problem.q))
    assert problem.p.log_inner(problem.q).item() == pytest.approx(expected, abs=1e-10)
    assert problem.q.log_inner(problem.p).item() == pytest.approx(expected, abs=1e-10)


@given(problems())
def test_log_norm_equals_the_reference(problem: Problem):
    q = as_arrays(problem.q)
    assert problem.q.log_norm().item() == pytest.approx(references.log_inner(q, q), abs=1e-10)
    assert problem.q.log_norm(self_terms=False).item() == pytest.approx(references.log_norm_without_self(q), abs=1e-10)
    assert problem.q.log_trace().item() == pytest.approx(references.log_trace(q), abs=1e-10)


@given(problems())
def test_log_prob_equals_the_reference(problem: Problem):
    expected = [math.log(references.density(as_arrays(problem.q), x)) for x in problem.x.numpy()]
    assert problem.q.log_prob(problem.x).tolist() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("d", [1, 9])
def test_log_prob_and_log_inner_against_monte_carlo(d):
    p = ce.GaussianMixture(torch.randn(3, d, generator=generator()).double(), 0.7)
    q = ce.GaussianMixture(
        torch.randn(4, d, generator=generator(1)).double(), 1.3, weights=torch.tensor([1.0, 2, 3, 4])
    )
    values = q.log_prob(p.sample(40_000, generator=generator(2))).exp()
    error = values.std() / 200
    assert abs(values.mean() - p.log_inner(q).exp()) < 4 * error


def test_densities_integrate_to_one_and_inner_products_match_quadrature():
    grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:, None]
    p = ce.GaussianMixture(torch.tensor([[0.0], [2.0]]).double(), torch.tensor([[0.3], [1.0]]).double())
    q = ce.GaussianMixture(torch.tensor([[1.0], [-1.0], [4.0]]).double(), 0.5, weights=torch.tensor([0.2, 0.3, 0.5]))
    fp, fq = p.log_prob(grid).exp(), q.log_prob(grid).exp()
    assert torch.trapezoid(fp, dx=0.001).item() == pytest.approx(1, abs=1e-9)
    assert torch.trapezoid(fp * fq, dx=0.001).log().item() == pytest.approx(p.log_inner(q).item(), abs=1e-9)


@given(problems())
def test_mean_and_covariance_are_those_of_the_parts(problem: Problem):
    centers, variances, weights = as_arrays(problem.q)
    mean = weights @ centers
    covariance = sum(
        w * (np.diag(v) + np.outer(z - mean, z - mean)) for z, v, w in zip(centers, variances, weights, strict=True)
    )
    np.testing.assert_allclose(problem.q.mean.numpy(), mean, atol=1e-12)
    np.testing.assert_allclose(problem.q.covariance.numpy(), covariance, atol=1e-12)


def test_samples_have_the_mixture_mean_and_covariance():
    q = ce.GaussianMixture(
        torch.randn(3, 2, generator=generator()), torch.tensor([0.1, 2.0]), weights=torch.tensor([0.5, 0.3, 0.2])
    )
    samples = q.sample(100_000, generator=generator(1))
    error = q.covariance.diagonal().sqrt() / 100_000**0.5
    assert ((samples.mean(0) - q.mean).abs() < 4 * error).all()
    assert torch.cov(samples.T) == pytest.approx(q.covariance.numpy(), abs=0.05)
    assert torch.equal(samples, q.sample(100_000, generator=generator(1)))


@given(problems())
def test_laws_of_log_inner(problem: Problem):
    value = problem.p.log_inner(problem.q)
    x, z, d = problem.x, problem.z, problem.x.shape[1]
    order = torch.randperm(len(z), generator=generator())
    variance = problem.z_variance if problem.z_variance.shape[0] == 1 else problem.z_variance[order]
    permuted = ce.GaussianMixture(z[order], variance, weights=problem.z_weights[order])
    assert problem.p.log_inner(permuted).item() == pytest.approx(value.item(), abs=1e-9)
    s = 3.0
    scaled = [
        ce.GaussianMixture(s * c + 5, s**2 * v, weights=w)
        for c, v, w in ((x, problem.x_variance, problem.x_weights), (z, problem.z_variance, problem.z_weights))
    ]
    assert scaled[0].log_inner(scaled[1]).item() == pytest.approx(value.item() - d * math.log(s), abs=1e-9)


def test_batches_equal_a_loop(device):
    centers = torch.randn(2, 3, 5, 4, generator=generator(), dtype=torch.float64).to(device)
    other = torch.randn(3, 6, 4, generator=generator(1), dtype=torch.float64).to(device)
    variance = torch.rand(2, 1, 1, 1, generator=generator(2), dtype=torch.float64).to(device) + 0.1
    p, q = ce.GaussianMixture(centers, variance), ce.GaussianMixture(other, 0.5)
    whole = p.log_inner(q)
    assert whole.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            single = ce.GaussianMixture(centers[i, j], variance[i, 0]).log_inner(ce.GaussianMixture(other[j], 0.5))
            assert whole[i, j].item() == pytest.approx(single.item(), abs=1e-12)
    assert p.sample(7, generator=generator() if device.type == "cpu" else None).shape == (2, 3, 7, 4)
    assert p.mean.shape == (2, 3, 4)
    assert p.covariance.shape == (2, 3, 4, 4)


def test_gradients_of_log_inner_and_norm():
    x = torch.randn(3, 2, generator=generator(), dtype=torch.float64, requires_grad=True)
    z = torch.cat([torch.zeros(2, 2), torch.ones(1, 2), torch.randn(2, 2, generator=generator(1))]).double()
    z.requires_grad_()
    v = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    w = torch.randn(5, generator=generator(2), dtype=torch.float64, requires_grad=True)

    def both(x, z, v, w):
        q = ce.GaussianMixture(z, v, log_weights=w)
        return ce.GaussianMixture(x, 0.4).log_inner(q), q.log_norm(), q.log_norm(self_terms=False), q.log_prob(x)

    assert torch.autograd.gradcheck(both, (x, z, v, w))


def test_limits_in_the_variance():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).double()
    narrow = ce.GaussianMixture(x, 1e-6)
    # far apart: only self terms are left
    assert narrow.log_norm().item() == pytest.approx(-math.log(2) - math.log(4 * math.pi * 1e-6), abs=1e-9)
    wide = ce.GaussianMixture(x, 1e8)
    assert wide.log_norm().item() == pytest.approx(-math.log(4 * math.pi * 1e8), abs=1e-6)


def test_a_zero_weight_leaves_a_component_out():
    centers = torch.tensor([[0.0], [1.0], [9.0]]).double()
    q = ce.GaussianMixture(centers, 0.5, weights=torch.tensor([1.0, 1.0, 0.0]))
    assert q.log_norm().item() == pytest.approx(ce.GaussianMixture(centers[:2], 0.5).log_norm().item(), abs=1e-12)


def test_select_renormalises():
    q = ce.GaussianMixture(
        torch.arange(4.0)[:, None], torch.arange(1.0, 5)[:, None], weights=torch.tensor([1.0, 1, 2, 6])
    )
    part = q.select(2, 4)
    assert part.log_weights.exp().tolist() == pytest.approx([0.25, 0.75])
    assert part.variance[:, 0].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[0.0]], 1.0), TypeError, "floating-point tensor, got list"),
        ((torch.zeros(2, 2, dtype=torch.long), 1.0), TypeError, "got torch.int64"),
        ((torch.zeros(3), 1.0), ValueError, r"shape \(\.\.\., m, d\).*got \(3,\).*centers\[:, None\]"),
        ((torch.zeros(0, 3), 1.0), ValueError, r"got \(0, 3\)"),
        ((torch.zeros(3, 2), 0.0), ValueError, "variance must be positive"),
        ((torch.zeros(3, 2), -1.0), ValueError, "from -1 to -1"),
        ((torch.zeros(3, 2), float("nan")), ValueError, "variance must be positive"),
        ((torch.zeros(3, 2), float("inf")), ValueError, "finite"),
        ((torch.zeros(3, 2), torch.ones(3)), ValueError, r"shape \(1, 3\) does not broadcast.*\(3, 2\)"),
        ((torch.zeros(3, 2), torch.ones(2, dtype=torch.long)), TypeError, "variance must be a number"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        ce.GaussianMixture(*arguments)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"weights": torch.ones(2)}, r"\(\.\.\., 3\).*got \(2,\)"),
        ({"weights": torch.tensor([1.0, -1, 1])}, "negative"),
        ({"weights": torch.zeros(3)}, "not all zero"),
        ({"weights": torch.ones(3), "log_weights": torch.ones(3)}, "not both"),
    ],
)
def test_refusals_of_weights(keywords, message):
    with pytest.raises(ValueError, match=message):
        ce.GaussianMixture(torch.zeros(3, 2), 1.0, **keywords)


def test_no_tensors_are_refused_as_such():
    with pytest.raises(TypeError, match=r"weights must be a tensor, got list; convert with torch\.as_tensor"):
        ce.GaussianMixture(torch.zeros(3, 2), 1.0, weights=[0.2, 0.3, 0.5])
    with pytest.raises(TypeError, match="variance must be a number or a floating-point tensor, got list"):
        ce.GaussianMixture(torch.zeros(3, 2), [0.1, 0.2])


def test_no_points_have_no_densities():
    q = ce.GaussianMixture(torch.zeros(4, 3, 2), 1.0)
    found = q.log_prob(torch.zeros(5, 1, 0, 2))
    assert (found.shape, found.dtype) == ((5, 4, 0), torch.float64)


def test_refusals_of_methods():
    q = ce.GaussianMixture(torch.zeros(1, 2), 1.0)
    with pytest.raises(ValueError, match="2 coordinates on one side and 3 on the other"):
        q.log_inner(ce.GaussianMixture(torch.zeros(1, 3), 1.0))
    with pytest.raises(ValueError, match="3 coordinates on one side and 2"):
        q.log_prob(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"\(\.\.\., n, 2\), got \(2,\): x\[None\]"):
        q.log_prob(torch.zeros(2))
    with pytest.raises(ValueError, match=r"\(\.\.\., n, 1\), got \(7,\): x\[:, None\]"):
        ce.GaussianMixture(torch.zeros(3, 1), 1.0).log_prob(torch.zeros(7))
    with pytest.raises(TypeError, match="x must be a tensor, got list"):
        q.log_prob([[0.0, 0.0]])
    for start, stop in ((0, 0), (5, 9), (2, 1), (-1, 2), (0, 4)):
        with pytest.raises(ValueError, match=f"expected 0 <= start < stop <= 3 components, got {start} and {stop}"):
            ce.GaussianMixture(torch.zeros(3, 1), 1.0).select(start, stop)
    with pytest.raises(ValueError, match="at least 2 components"):
        q.log_norm(self_terms=False)
    with pytest.raises(ValueError, match="count must be at least 1"):
        q.sample(0)


@pytest.mark.parametrize("small", [0.1, 1e-8, 1e-15, 1e-18])
def test_norm_without_self_terms_when_one_weight_is_nearly_all(small):
    centers = torch.tensor([[0.0], [1.0], [3.0]]).double()
    weights = torch.tensor([small, 1.0, 2 * small]).double()
    pairs = [(0, 1, small), (1, 2, 2 * small), (0, 2, 2 * small**2)]
    squares = (centers - centers.T).square()
    expected = sum(w * math.exp(-squares[i, j] / 2) for i, j, w in pairs) / sum(w for *_, w in pairs)
    found = ce.GaussianMixture(centers, 0.5, weights=weights).log_norm(self_terms=False)
    assert found.item() == pytest.approx(math.log(expected) - 0.5 * math.log(2 * math.pi), abs=1e-9)


def test_components_without_weight_are_refused_where_two_are_needed():
    q = ce.GaussianMixture(torch.zeros(4, 1), 0.5, weights=torch.tensor([1.0, 0, 0, 0]))
    with pytest.raises(ValueError, match="at least 2 components with weight, got 1"):
        q.log_norm(self_terms=False)
    with pytest.raises(ValueError, match="components 2 to 3 have no weight"):
        q.select(2, 4)


def test_to_moves_everything_and_changes_the_precision_of_centers_alone(device):
    q = ce.GaussianMixture(torch.tensor([[0.1], [2.0]]), torch.tensor([[0.5], [1.0]]), weights=torch.tensor([0.3, 0.7]))
    moved = q.to(device, torch.float64)
    assert (q.dtype, moved.dtype) == (torch.float32, torch.float64)
    assert moved.device.type == torch.device(device).type
    assert {part.device for part in (moved.centers, moved.variance, moved.log_weights)} == {moved.device}
    assert (moved.log_weights.dtype, moved.variance.dtype) == (torch.float64, torch.float32)
    back = moved.to(torch.float32).to("cpu")
    torch.testing.assert_close(back.centers, q.centers, rtol=0, atol=0)
    torch.testing.assert_close(back.log_weights, q.log_weights, rtol=0, atol=0)
    assert q.to(torch.float32, device).dtype == torch.float32
    assert q.to(torch.bfloat16).to(torch.float64).log_norm().item() == pytest.approx(q.log_norm().item(), abs=1e-3)


def test_to_keeps_gradients_and_refuses_whole_numbers():
    centers = torch.ones(2, 1, requires_grad=True)
    ce.GaussianMixture(centers, 1.0).to(torch.float64).log_norm().backward()
    assert centers.grad is not None
    with pytest.raises(TypeError, match=r"torch\.int64 is not floating point"):
        ce.GaussianMixture(centers, 1.0).to(torch.int64)


def test_an_inner_product_with_no_mixture_is_refused():
    q = ce.GaussianMixture(torch.zeros(2, 1), 1.0)
    with pytest.raises(TypeError, match=r"other must be a GaussianMixture, got Tensor of shape \(2, 1\); of points x"):
        q.log_inner(torch.zeros(2, 1))
