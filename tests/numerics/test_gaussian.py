import math
import warnings

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contrastive_entropy as ce
from contrastive_entropy.numerics.gaussian import log_kernel, log_normalizer, squared_distances


def points(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shared(variance):
    return torch.tensor([[variance]], dtype=torch.float64)


@pytest.mark.parametrize(("variance", "d"), [(0.01, 784), (1e-4, 12_288), (3.0, 1)])
def test_log_normalizer_equals_mpmath(variance, d):
    expected = -mpmath.mpf(d) / 2 * mpmath.log(2 * mpmath.pi * mpmath.mpf(variance))
    assert log_normalizer(shared(variance), d).item() == pytest.approx(float(expected), rel=1e-12)
    diagonal = torch.full((1, d), variance, dtype=torch.float64)
    assert log_normalizer(diagonal, d).item() == pytest.approx(float(expected), rel=1e-12)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 12), st.integers(0, 1000))
def test_squared_distances_equal_differences(n, m, d, seed):
    x, z = points(n, d, seed), points(m, d, seed + 1)
    expected = (x[:, None] - z[None]).square().sum(-1)
    torch.testing.assert_close(squared_distances(x, z), expected)


@pytest.mark.parametrize("d", [2, 20])
def test_gradient_of_squared_distances(d):
    assert torch.autograd.gradcheck(
        squared_distances, (points(3, d).requires_grad_(), points(4, d, 1).requires_grad_())
    )


@pytest.mark.parametrize("d", [2, 8, 9, 784])
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.filterwarnings("ignore:distances are so large:contrastive_entropy.NumericalWarning")
@pytest.mark.parametrize("ratio", [1.0, 1e2, 1e4, 1e6])
def test_float32_exponents(d, offset, ratio):
    """Within 1e-4 nats, plus float32's resolution of the exponent; the diagonal of a self-Gram within 1e-4 of 1."""
    x = points(40, d, dtype=torch.float32)
    x = x / x.square().sum(-1).max().sqrt() * ratio**0.5 + offset
    v = shared(0.5)
    exponent, _ = log_kernel(x, v, x, v)
    exact, _ = log_kernel(x.double(), v, x.double(), v)
    assert (exponent <= 0).all()
    assert (exponent.diagonal().double().exp() - 1).abs().max() < 1e-4
    assert ((exponent - exact).abs() <= 1e-4 + 1e-6 * exact.abs()).all()


def test_raised_precision_is_announced():
    x = 100 * points(5, 20, dtype=torch.float32)
    with pytest.warns(ce.NumericalWarning, match="computing in float64"):
        exponent, _ = log_kernel(x, shared(0.01), x, shared(0.01))
    assert exponent.dtype == torch.float64
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert log_kernel(x, shared(1e3), x, shared(1e3))[0].dtype == torch.float32


def test_shared_and_separate_variances_agree():
    x, z = points(3, 4), points(5, 4, 1)
    exponent, constant = log_kernel(x, shared(0.3), z, shared(0.9))
    separate, zero = log_kernel(x, torch.full((3, 1), 0.3).double(), z, torch.full((5, 4), 0.9).double())
    torch.testing.assert_close(exponent + constant, separate, atol=1e-6, rtol=0)
    assert zero.item() == 0


def test_the_constants_cancel_in_every_gap():
    """Implements (E4): 2c(v_p + v_q) - c(2 v_q) - c(2 v_p) = -D log[(v_p + v_q) / 2 sqrt(v_p v_q)]."""
    a, b, d = 0.02, 0.05, 784
    left = 2 * log_normalizer(shared(a + b), d) - log_normalizer(shared(2 * a), d) - log_normalizer(shared(2 * b), d)
    assert left.item() == pytest.approx(-d * math.log((a + b) / (2 * math.sqrt(a * b))), rel=1e-9)


def test_autocast_does_not_touch_the_exponent():
    x = points(30, 64, dtype=torch.float32)
    plain, _ = log_kernel(x, shared(1.0), x, shared(1.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = log_kernel(x, shared(1.0), x, shared(1.0))
    assert torch.equal(plain, inside)


@pytest.mark.parametrize(("radius", "variance"), [(1e4, 1.0), (100.0, 1e-6)])
def test_near_points_far_from_the_origin(radius, variance):
    """Up to 8 coordinates nothing but the points' own rounding counts."""
    x = (radius * points(50, 2)).float()
    z = (x + variance**0.5 * points(50, 2, 1)).float()
    exponent, _ = log_kernel(x, shared(variance / 2), z, shared(variance / 2))
    exact, _ = log_kernel(x.double(), shared(variance / 2), z.double(), shared(variance / 2))
    near = exact > -20
    assert near.sum() >= 20
    assert (exponent - exact)[near].abs().max() < 1e-5


def test_float64_points_give_way_to_differences():
    """Two clusters far apart in 9-D: products would err by 1e-8, more than a factorisation can bear."""
    x = 1e-3 * points(40, 9) + 1e3 * (torch.arange(40) % 2).double()[:, None]
    exponent, _ = log_kernel(x, shared(0.25), x, shared(0.25))
    expected = -((x[:, None] - x) ** 2).sum(-1)
    torch.testing.assert_close(exponent, expected, atol=1e-12, rtol=1e-12)
    assert torch.autograd.gradcheck(
        lambda x: log_kernel(x, shared(0.25), x, shared(0.25))[0], 1e3 * x[:4].requires_grad_()
    )
