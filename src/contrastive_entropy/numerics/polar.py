"""The smoothed polar factor of a matrix, W = K (K^T K + e^2 I)^(-1/2), and the smoothed nuclear norm (E12), four ways.

W = U diag(s / sqrt(s^2 + e^2)) V^T is the gradient of sum_k sqrt(s_k^2 + e^2) - e. No method differentiates an iteration,
and each knows its error:

    svd         the definition; the only one for e = 0
    eigh        eigenvectors of the smaller Gram matrix, in float64 where float32 is not exact enough
    krylov      leading singular triplets by block Golub-Kahan-Lanczos; the rest, whose singular values are not far
                above e, by its first-order term or by a polynomial
    polynomial  compositions of quintic polynomials on [K; eI], whose polar factor's upper block is W: products only
"""

import dataclasses
import functools
import math

import torch
from torch import Tensor

from contrastive_entropy.numerics.decompositions import Polar, by_eigh, by_svd
from contrastive_entropy.numerics.krylov import by_krylov
from contrastive_entropy.numerics.polynomials import quintics

METHODS = ("auto", "svd", "eigh", "krylov", "polynomial")

TOLERANCE = 1e-3
"""Relative Frobenius error of W, and relative error of the norm, that the fast methods may make."""

LEAST_SMOOTHING = {"eigh": 1e-6, "krylov": 1e-4, "polynomial": 1e-4}
"""Relative smoothing below which rounding would spoil a method."""

SMALL = 320
"""Up to this smaller side `eigh` is the fastest on a CPU."""


def smoothed_polar(matrix: Tensor, smoothing: float, *, tolerance: float = TOLERANCE, method: str = "auto") -> Polar:
    """The smoothed polar factor and nuclear norm of one matrix  (E12).

    Args:
        matrix: (n, m), finite; its entries should not be denormal numbers, which slow a CPU a hundredfold.
        smoothing: eps >= 0, relative to the largest singular value.
        tolerance: relative Frobenius error that W may have, and relative error of the norm. A method that cannot
            promise it hands over to one that can.
        method: of `METHODS`; `auto` takes float64 to exact decompositions and float32 to the fastest method for the
            size and the device.

    Returns:
        Polar; 0 and a factor of zeros for a matrix of zeros.

    Raises:
        ValueError: unknown method, or tolerance not positive.
    """
    check_options(tolerance, method)
    if matrix.dtype in (torch.float16, torch.bfloat16):
        found = smoothed_polar(matrix.float(), smoothing, tolerance=tolerance, method=method)
        return dataclasses.replace(found, factor=found.factor.to(matrix.dtype))
    if matrix.shape[0] < matrix.shape[1]:
        found = smoothed_polar(matrix.mT, smoothing, tolerance=tolerance, method=method)
        return dataclasses.replace(found, factor=found.factor.mT)
    largest = float(torch.linalg.vector_norm(matrix, math.inf))
    if largest == 0:
        return Polar(matrix.new_zeros((), dtype=torch.float64), torch.zeros_like(matrix), 0.0, "none", 0, 0.0)
    if not 1e-6 < largest < 1e6 and math.isfinite(largest):  # squares must neither overflow nor vanish
        found = smoothed_polar(matrix / largest, smoothing, tolerance=tolerance, method=method)
        return dataclasses.replace(found, norm=found.norm * largest, smoothing=found.smoothing * largest)
    chosen = _automatic(matrix, smoothing) if method == "auto" else method
    if chosen in ("krylov", "polynomial") and LEAST_SMOOTHING[chosen] <= smoothing <= 1:
        fast = (by_krylov if chosen == "krylov" else _polynomial)(matrix, smoothing, tolerance)
        if fast is not None and fast.error <= tolerance:
            return fast
    if chosen != "svd" and smoothing >= LEAST_SMOOTHING["eigh"]:
        return by_eigh(matrix, smoothing, tolerance)
    return by_svd(matrix, smoothing)


def check_options(tolerance: float, method: str) -> None:
    """Raise ValueError for an unknown method or a tolerance that is not positive."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")


def _automatic(matrix: Tensor, smoothing: float) -> str:
    if matrix.dtype == torch.float64 or smoothing == 0:
        return "svd"
    if matrix.device.type != "cpu":
        return "polynomial"
    if matrix.shape[1] > SMALL:
        return "krylov"
    # |K|_F^2 / s_max^2 is at most this, for s_max is at least the constant vectors' share.
    mean = float(matrix.mean())
    few = mean > 0 and float(matrix.square().mean()) < 3 * mean**2
    return "krylov" if few and smoothing >= 5e-3 else "eigh"


def _polynomial(matrix: Tensor, smoothing: float, tolerance: float) -> Polar:
    """Products only, and few other kernels, for accelerators; float32's rounding costs about 1e-7 / eps."""
    n = len(matrix)
    gram = matrix.mT @ matrix
    largest, uncertainty = _largest_value(matrix, gram)
    e = smoothing * largest
    scale = largest * math.hypot(1, smoothing) * 1.01
    stacked = matrix.new_zeros((n + len(gram), len(gram)))
    stacked[:n] = matrix / scale
    stacked[n:].diagonal().fill_(e / scale)
    gram.div_(scale**2).diagonal().add_((e / scale) ** 2)
    # lower, and rounded, so that the polynomials are those of few smoothings and can be kept
    for a, b, c in quintics(float(f"{0.95 * e / scale:.2g}"), max(0.1 * tolerance, 1e-12)):
        step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        stacked = torch.addmm(stacked, stacked, step, beta=a)
        gram = stacked.mT @ stacked
    upper, lower = stacked[:n], stacked[n:]
    norm = torch.dot(upper.flatten(), matrix.flatten()).double()
    norm = norm + e * (lower.diagonal().double().sum() - matrix.shape[1])
    # |K^T K W'W + e^2 W'W - K^T K| would need more products than it is worth: orthonormality of [W; E] is the test.
    gram.diagonal().sub_(1)
    norms = [torch.linalg.matrix_norm(part).double() for part in (gram, upper, matrix)]
    deviation, own, whole, value = torch.stack([*norms, norm]).tolist()
    whole = math.hypot(whole, e * math.sqrt(matrix.shape[1]))
    error = deviation / 2 * max(1 / max(own, 1e-30), whole / max(value, 1e-300))
    return Polar(norm, upper, e, "polynomial", 0, error + uncertainty)


_PROBES = 16

_SQUARINGS, _DOUBLINGS = 3, 7


def _largest_value(matrix: Tensor, gram: Tensor) -> tuple[float, float]:
    """The largest singular value of K and its likely relative error, from G = K^T K and random X with 16 columns.

    A Ritz value on G^8 X may miss a value just above many others. T(G) X, with the 128th Chebyshev polynomial T of the
    interval up to the first estimate, contains it if it is not within the error of that: T doubles its degree by
    2 T^2 - 1, and grows as cosh(128 sqrt(8 d)) for a value that is larger by a share d, against the 1 of all others.
    """
    x = _probes(len(gram), gram.device).to(gram.dtype)
    power, largest = gram / gram.diagonal().amax(), 0.0
    for _ in range(3):
        for _ in range(_SQUARINGS):
            power = power @ power
            power = power / torch.linalg.matrix_norm(power)
        largest = _ritz(matrix, power @ x)
        beyond = gram * (2 / largest**2)
        beyond.diagonal().sub_(1)
        for _ in range(_DOUBLINGS):
            beyond = torch.addmm(beyond, beyond, beyond, beta=0, alpha=2)
            beyond.diagonal().sub_(1)
        y = beyond @ x
        if bool(y.isfinite().all()):
            # log of the growth that stands out of a random start
            shown = math.log(6 * math.sqrt(1 + len(gram) / _PROBES))
            return max(largest, _ritz(matrix, y)), (shown / 2**_DOUBLINGS) ** 2 / 8
    return largest, math.inf  # T has overflown: the first estimate was far too small


@functools.lru_cache(maxsize=16)
def _probes(size: int, device: torch.device) -> Tensor:
    """(size, 16), float32: random, and the constant, which is mostly near the leading vector of a matrix without negative
    entries.
    """
    x = torch.randn((size, min(_PROBES, size)), generator=torch.Generator().manual_seed(0))
    x[:, 0] = 1
    return x.to(device)


def _ritz(matrix: Tensor, y: Tensor) -> float:
    """The largest singular value of K on the span of Y, (m, k); directions that rounding decides are left out.

    Raises:
        LinAlgError: not finite.
    """
    y = y / y.abs().amax(0).clamp_min(torch.finfo(y.dtype).tiny)
    image = (matrix @ y).double()
    y = y.double()
    own, seen = torch.stack([y.mT @ y, image.mT @ image]).cpu()
    if not bool((own.isfinite() & seen.isfinite()).all()):
        raise torch.linalg.LinAlgError("the matrix is not finite")  # type: ignore[attr-defined]
    values, vectors = torch.linalg.eigh(own)
    kept = values > 1e-5 * values[-1]
    basis = vectors[:, kept] * values[kept].rsqrt()
    return math.sqrt(float(torch.linalg.eigvalsh(basis.mT @ seen @ basis)[-1]))
