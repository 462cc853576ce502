"""The smoothed polar factor: every method against its definition in float64, and none may miss its tolerance silently."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.numerics import krylov, polar, polynomials
from contrastive_entropy.numerics.polar import TOLERANCE, smoothed_polar


def gram(x, z, variance):
    """Unit kernel, float32, without the entries that would be denormal in products."""
    kernel = torch.exp(-torch.cdist(x.double(), z.double()).square() / (2 * variance))
    return kernel.masked_fill(kernel < 1e-18, 0).float()


def moons(n, m, variance):
    points = sample_toy("moons", n + m, seed=3)
    return gram(points[:n], points[n:], variance)


def digits(n, m, variance):
    points = load("digits").train.points
    return gram(points[:n], points[n : n + m], variance)


def with_values(values):
    generator = torch.Generator().manual_seed(1)
    u, v = (torch.linalg.qr(torch.randn(len(values), len(values), generator=generator).double())[0] for _ in range(2))
    return ((u * torch.tensor(values).double()) @ v.T).float()


def clusters(count, size):
    """Kernel of separate clusters: many leading values within a thousandth of each other."""
    generator = torch.Generator().manual_seed(1)
    centers = 3 * torch.randn(count, 10, generator=generator).repeat_interleave(size, 0)
    x, z = (centers + 1e-3 * torch.randn(centers.shape, generator=generator) for _ in range(2))
    return gram(x, z, 1.0)


def definition(matrix, smoothing):
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    e = smoothing * s[0]
    root = torch.hypot(s, e)
    return (s.square() / (root + e)).sum(), (u * (s / root)) @ vh  # the first is root - e


def errors(matrix, smoothing, **options):
    found = smoothed_polar(matrix, smoothing, **options)
    norm, factor = definition(matrix, smoothing)
    assert found.norm.dtype == torch.float64
    assert found.factor.dtype == matrix.dtype
    assert found.factor.shape == matrix.shape
    return found, abs(float(found.norm / norm) - 1), float((found.factor.double() - factor).norm() / factor.norm())


CASES = {
    "moons, wide": (lambda: moons(400, 400, 1.0), 1e-2),
    "moons": (lambda: moons(512, 400, 0.02), 1e-2),
    "moons, narrow": (lambda: moons(400, 640, 0.002), 1e-2),
    "moons, little smoothing": (lambda: moons(400, 400, 0.05), 1e-3),
    "digits": (lambda: digits(448, 512, 1.86), 1e-3),
    "digits, wide": (lambda: digits(512, 400, 10.0), 1e-3),
    "digits, much smoothing": (lambda: digits(400, 400, 1.86), 0.3),
    "noise": (lambda: torch.randn(400, 420, generator=torch.Generator().manual_seed(0)), 1e-2),
    "identity": (lambda: torch.eye(400), 1e-2),
    "two clusters": (lambda: torch.block_diag(torch.ones(200, 150), torch.ones(200, 250)), 1e-2),
    "one value above many": (lambda: with_values([1.003] + [1.0] * 99 + [0.005] * 300), 1e-2),
    "tight clusters": (lambda: clusters(60, 6), 1e-2),
    "one column": (lambda: torch.linspace(0, 1, 9)[:, None], 1e-2),
    "one entry": (lambda: torch.tensor([[3.0]]), 1e-2),
    "small": (lambda: moons(20, 9, 0.05), 1e-2),
}


@pytest.mark.parametrize("method", polar.METHODS)
@pytest.mark.parametrize("name", CASES)
def test_every_method_keeps_the_tolerance(name, method, device):
    make, smoothing = CASES[name]
    found, norm_error, factor_error = errors(make().to(device), smoothing, method=method)
    assert norm_error < TOLERANCE
    assert factor_error < TOLERANCE
    assert factor_error < found.error + 1e-4  # the estimate is not below what rounding leaves


@pytest.mark.parametrize("tolerance", [3e-3, 1e-3, 3e-4, 1e-4])
@pytest.mark.parametrize("name", ["moons", "digits", "digits, wide"])
def test_a_tighter_tolerance_is_kept(name, tolerance):
    make, smoothing = CASES[name]
    _, norm_error, factor_error = errors(make(), smoothing, tolerance=tolerance)
    assert norm_error < tolerance
    assert factor_error < tolerance


@settings(max_examples=25)
@given(
    n=st.integers(1, 60),
    m=st.integers(1, 60),
    rank=st.integers(1, 60),
    decay=st.floats(0, 8),
    smoothing=st.sampled_from([1e-3, 1e-2, 0.1, 1.0]),
    method=st.sampled_from(polar.METHODS),
    seed=st.integers(0, 100),
)
def test_any_spectrum(n, m, rank, decay, smoothing, method, seed):
    """Repeated (decay 0), vanishing and fast falling singular values."""
    generator = torch.Generator().manual_seed(seed)
    k = min(n, m, rank)
    u, v = (torch.linalg.qr(torch.randn(size, k, generator=generator).double())[0] for size in (n, m))
    s = torch.logspace(0, -decay, k).double() if k > 1 else torch.ones(1).double()
    _, norm_error, factor_error = errors(((u * s) @ v.T).float(), smoothing, method=method)
    assert norm_error < TOLERANCE
    assert factor_error < TOLERANCE


@pytest.mark.parametrize("method", polar.METHODS)
@pytest.mark.parametrize("smoothing", [0.0, 1e-2])
def test_a_matrix_of_zeros(method, smoothing):
    found = smoothed_polar(torch.zeros(5, 3), smoothing, method=method)
    assert float(found.norm) == 0
    assert torch.equal(found.factor, torch.zeros(5, 3))


@pytest.mark.parametrize("method", polar.METHODS)
def test_the_factor_is_that_of_the_transpose(method):
    matrix = moons(330, 350, 0.05)
    there = smoothed_polar(matrix, 1e-2, method=method)
    back = smoothed_polar(matrix.T, 1e-2, method=method)
    assert (there.factor - back.factor.T).norm() < 2 * TOLERANCE * there.factor.norm()
    assert float(there.norm) == pytest.approx(float(back.norm), rel=TOLERANCE)


@pytest.mark.parametrize("method", polar.METHODS)
def test_the_same_matrix_gives_the_same_bits(method):
    matrix = digits(400, 380, 1.86)
    first, second = (smoothed_polar(matrix, 1e-3, method=method) for _ in range(2))
    assert torch.equal(first.factor, second.factor)


def test_automatic_choice():
    assert smoothed_polar(moons(20, 20, 0.1).double(), 1e-2).method == "svd"  # float64 is exact
    assert smoothed_polar(moons(20, 20, 0.1), 0.0).method == "svd"
    assert smoothed_polar(moons(200, 200, 0.01), 1e-2).method == "eigh"
    assert smoothed_polar(moons(200, 200, 5.0), 1e-2).method == "krylov"  # few directions
    big = smoothed_polar(moons(700, 700, 0.02), 1e-2)
    assert big.method == "krylov"
    assert big.rank < 200
    # rounding would spoil it
    assert smoothed_polar(moons(400, 400, 0.02), 1e-6).method == "eigh"
    assert smoothed_polar(moons(400, 400, 0.02), 1e-8).method == "svd"


def test_the_krylov_method_gives_up_where_it_would_not_be_exact(monkeypatch):
    """Too short an interval makes the polynomial explode; a probe along the largest singular vectors sees it."""
    monkeypatch.setattr(krylov, "ladder", lambda top: top / 4)
    found, _, factor_error = errors(digits(512, 400, 10.0), 1e-3, method="krylov")
    assert found.method == "eigh"
    assert factor_error < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_largest_singular_value_from_products(name):
    matrix = CASES[name][0]()
    found, uncertainty = polar._largest_value(matrix, matrix.mT @ matrix)
    error = abs(found / float(torch.linalg.svdvals(matrix.double())[0]) - 1)
    assert error < uncertainty < 0.2 * TOLERANCE


def test_a_first_estimate_that_is_far_too_small(monkeypatch):
    """Without powers of G the estimate falls far short, and the polynomial overflows."""
    monkeypatch.setattr(polar, "_SQUARINGS", 0)
    matrix = with_values([2.0] + [1.0] * 499)
    assert polar._largest_value(matrix, matrix.mT @ matrix)[1] == math.inf
    assert smoothed_polar(matrix, 1e-2, method="polynomial").method == "eigh"


@pytest.mark.parametrize("shape", [(9, 1), (1, 1), (9, 9)])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_products_of_a_matrix_that_is_not_finite(shape, value):
    with pytest.raises(torch.linalg.LinAlgError):
        smoothed_polar(torch.full(shape, value), 1e-2, method="polynomial")


def test_the_polynomial_gives_up_where_the_largest_value_is_not_certain(monkeypatch):
    monkeypatch.setattr(polar, "_DOUBLINGS", 2)
    make, smoothing = CASES["noise"]
    found, norm_error, factor_error = errors(make(), smoothing, method="polynomial")
    assert found.method == "eigh"
    assert max(norm_error, factor_error) < TOLERANCE


def test_lapack_that_does_not_converge_is_replaced(monkeypatch):
    def fail(_):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    found, _, factor_error = errors(moons(30, 20, 0.1), 1e-2, method="eigh")
    assert found.method == "svd"
    assert factor_error < 1e-4


def test_polynomials_of_the_inverse_root():
    x = torch.linspace(-1, 1, 301, dtype=torch.float64)
    for block, groups in polynomials.SHAPES:
        degree = block * (groups + 1) - 1
        coefficients, error = polynomials.inverse_root(8.0, degree)
        assert len(coefficients) == degree + 1
        found = polynomials.chebyshev(torch.diag(x), coefficients, block).diagonal()
        deviation = (found - (1 + 4 * (x + 1)).rsqrt()).abs().amax()
        assert deviation <= error * 1.001 + 1e-12
    assert polynomials.inverse_root(8.0, 16)[1] < 0.03 * polynomials.inverse_root(8.0, 11)[1] < 1e-5


@pytest.mark.parametrize("size", [5, 800])
def test_symmetric_products(size):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(size, size, generator=generator)
    a = (a + a.T) / size**0.5
    expected = 3 * a @ (a @ a)
    torch.testing.assert_close(polynomials.symmetric_product(a, a @ a, 3), expected, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(
        polynomials.symmetric_product(a, a @ a, 3, add_to=a.clone()), expected + a, atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("least", [0.3, 1e-2, 1e-4])
def test_composed_quintics_reach_one(least):
    x = torch.linspace(least, 1, 20001, dtype=torch.float64)
    steps = polynomials.quintics(least, 1e-4)
    for a, b, c in steps:
        x = a * x + b * x**3 + c * x**5
    assert (x - 1).abs().amax() <= 1e-4
    assert len(steps) <= math.ceil(math.log(1 / least) / math.log(3.4)) + 3


def test_the_best_quintic_equioscillates():
    a, b, c, error = polynomials.best_quintic(0.1, 1.0)
    x = torch.linspace(0.1, 1, 100001, dtype=torch.float64)
    deviation = a * x + b * x**3 + c * x**5 - 1
    assert deviation.abs().amax().item() == pytest.approx(error, rel=1e-6)
    assert deviation.amax().item() == pytest.approx(-deviation.amin().item(), rel=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="method must be one of auto, svd, eigh, krylov, polynomial, got 'qr'"):
        smoothed_polar(torch.eye(2), 0.1, method="qr")
    for tolerance in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="tolerance must be positive"):
            smoothed_polar(torch.eye(2), 0.1, tolerance=tolerance)


def spectrum(values, n, m, seed=0):
    """A float32 matrix with these singular values."""
    generator = torch.Generator().manual_seed(seed)
    u, v = (torch.linalg.qr(torch.randn(size, len(values), generator=generator).double())[0] for size in (n, m))
    return ((u * values.double()) @ v.T).float()


@pytest.mark.parametrize("method", polar.METHODS)
@pytest.mark.parametrize("smoothing", [1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 100.0, 1e6])
@pytest.mark.parametrize("decay", ["harmonic", "quartic", "geometric"])
def test_the_norm_keeps_the_tolerance_where_many_small_values_add_up(decay, smoothing, method):
    k = torch.arange(1, 341).double()
    values = {"harmonic": 1 / k, "quartic": k**-4.0, "geometric": 10 ** (-6 * (k - 1) / 339)}[decay]
    _, norm_error, factor_error = errors(spectrum(values, 350, 340), smoothing, method=method)
    assert norm_error < TOLERANCE
    assert factor_error < TOLERANCE


@pytest.mark.parametrize("method", polar.METHODS)
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_the_scale_of_the_entries_does_not_matter(scale, method):
    matrix = moons(340, 350, 0.05)
    found, plain = (smoothed_polar(m, 1e-2, method=method) for m in (matrix * scale, matrix))
    assert float(found.norm) == pytest.approx(scale * float(plain.norm), rel=2 * TOLERANCE)
    assert found.smoothing == pytest.approx(scale * plain.smoothing, rel=1e-4)
    assert (found.factor - plain.factor).norm() < 2 * TOLERANCE * plain.factor.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    matrix = moons(30, 40, 0.1).to(dtype)
    found = smoothed_polar(matrix, 1e-2)
    assert found.factor.dtype == dtype
    expected = definition(matrix, 1e-2)[1]
    assert (found.factor.double() - expected).norm() < 4e-3 * expected.norm()


def test_eigenvectors_that_are_not_exact_enough_give_way_to_singular_values():
    matrix = spectrum(torch.logspace(0, -9, 120), 120, 120).double()
    found, _, factor_error = errors(matrix, 1e-6, method="eigh", tolerance=1e-7)
    assert found.method == "svd"
    assert factor_error < 1e-9


@pytest.mark.parametrize("method", polar.METHODS)
def test_a_tolerance_beyond_the_precision_does_not_crash(method):
    _, norm_error, factor_error = errors(moons(30, 20, 0.1), 1e-2, method=method, tolerance=1e-17)
    assert max(norm_error, factor_error) < 1e-6
