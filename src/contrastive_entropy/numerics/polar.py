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
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.numerics.polynomials import (
    cheapest_inverse_root,
    chebyshev,
    ladder,
    quintics,
    symmetric_product,
)

METHODS = ("auto", "svd", "eigh", "krylov", "polynomial")

TOLERANCE = 1e-3
"""Relative Frobenius error of W, and relative error of the norm, that the fast methods may make."""

LEAST_SMOOTHING = {"eigh": 1e-6, "krylov": 1e-4, "polynomial": 1e-4}
"""Relative smoothing below which rounding would spoil a method."""

SMALL = 320
"""Up to this smaller side `eigh` is the fastest on a CPU."""

LOW_RANK_SHARE = 0.3
"""Of the smaller side: with more triplets a polynomial for the rest is cheaper than going on."""

SHORT = 4.5
"""|R|_2 / e from which on a polynomial is several times cheaper than eigenvectors."""

LEAST_SHARE = 0.12
"""Of the smaller side: so many are looked at before it is decided whether that will be so."""


@dataclass(frozen=True)
class Polar:
    """A smoothed polar factor.

    Args:
        norm: sum_k sqrt(s_k^2 + e^2) - e, (), float64.
        factor: W, (n, m), in the matrix's precision.
        smoothing: e = eps s_max.
        method: what computed it in the end; "none" for a matrix of zeros.
        rank: singular triplets that were computed.
        error: estimate of W's relative Frobenius error, and of the norm's where that is larger; 0 for `svd`.
    """

    norm: Tensor
    factor: Tensor
    smoothing: float
    method: str
    rank: int
    error: float


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
        fast = (_krylov if chosen == "krylov" else _polynomial)(matrix, smoothing, tolerance)
        if fast is not None and fast.error <= tolerance:
            return fast
    if chosen != "svd" and smoothing >= LEAST_SMOOTHING["eigh"]:
        return _eigh(matrix, smoothing, tolerance)
    return _svd(matrix, smoothing)


def check_options(tolerance: float, method: str) -> None:
    """Raise ValueError for an unknown method or a tolerance that is not positive."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")


def smoothed_sum(s: Tensor, e: Tensor) -> Tensor:
    """sum_k sqrt(s_k^2 + e^2) - e over the last axis, without the cancellation: s^2 / (sqrt(s^2 + e^2) + e).

    Args:
        s: (..., k) singular values.
        e: (..., 1) or ().

    Returns:
        (...), float64.
    """
    s, e = s.double(), e.double()
    denominator = torch.hypot(s, e) + e
    return torch.where(denominator > 0, s.square() / denominator, 0.0).sum(-1)


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


def _svd(matrix: Tensor, smoothing: float) -> Polar:
    # Smoothed, the small singular values count by their size, which float32's rounding would hide.
    u, s, vh = torch.linalg.svd(matrix if smoothing == 0 else matrix.double(), full_matrices=False)
    e = smoothing * s[0]
    root = torch.hypot(s, e)
    if smoothing > 0:
        share = torch.where(root > 0, s / root, torch.zeros_like(s))
    else:
        # Directions below the rounding error of the decomposition are noise: they get weight 0, not +-1.
        share = (s > s[0] * max(matrix.shape) * torch.finfo(s.dtype).eps).to(s.dtype)
    factor = ((u * share) @ vh).to(matrix.dtype)
    return Polar(smoothed_sum(s, e), factor, float(e), "svd", len(s), 0.0)


def _eigh(matrix: Tensor, smoothing: float, tolerance: float) -> Polar:
    """In the matrix's own precision where rounding in K^T K is small against e^2, and no more is found in the result."""
    if torch.finfo(matrix.dtype).eps < 2 * tolerance * smoothing**2 and matrix.dtype != torch.float64:
        found = _by_eigenvectors(matrix, smoothing)
        if found is not None and found.error <= tolerance:
            return found
    found = _by_eigenvectors(matrix.double(), smoothing)
    if found is None or not found.error <= tolerance:
        return _svd(matrix, smoothing)
    return dataclasses.replace(found, factor=found.factor.to(matrix.dtype))


def _by_eigenvectors(matrix: Tensor, smoothing: float) -> Polar | None:
    pair = _eigenvectors(matrix.mT @ matrix)
    if pair is None:
        return None
    values, vectors = pair
    values = values.double().clamp_min(0)
    e = smoothing * values[-1].sqrt()
    roots = (values + e.square()).sqrt()
    scaled = vectors * roots.rsqrt().to(matrix.dtype)
    inverse_root = scaled @ scaled.mT
    factor = matrix @ inverse_root
    error = _relative_error(matrix, float(e), inverse_root, factor)
    return Polar((values / (roots + e)).sum(), factor, float(e), "eigh", len(values), error)


def _eigenvectors(symmetric: Tensor) -> tuple[Tensor, Tensor] | None:
    """None where LAPACK gives up, which it does on matrices with very many equal eigenvalues."""
    try:
        values, vectors = torch.linalg.eigh(symmetric)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return None
    return values, vectors


def _relative_error(matrix: Tensor, e: float, inverse_root: Tensor, factor: Tensor) -> float:
    """Of W = K P, P nearly (K^T K + e^2)^(-1/2), from random x: (K^T K + e^2) P^2 x - x is twice P's error on x."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((matrix.shape[1], 4), generator=generator).to(matrix)
    twice = inverse_root @ (inverse_root @ x)
    r = torch.addmm(twice, matrix.mT, matrix @ twice, beta=e**2).sub_(x)
    return float(torch.linalg.vector_norm(factor @ r) / torch.linalg.vector_norm(factor @ x)) / 2


# Krylov: K = U S V^T + R, with U, S, V leading singular triplets and R coupled to them by a known small amount.


def _krylov(matrix: Tensor, smoothing: float, tolerance: float) -> Polar | None:
    """None if the matrix's spectrum does not suit the method."""
    m = matrix.shape[1]
    space = _KrylovSpace(matrix, 16 if m < 768 else 32)
    target, least = 0.2, int(LEAST_SHARE * m)
    while True:
        low_rank = space.extend(target * smoothing, most=int(LOW_RANK_SHARE * m), least=least)
        size = len(space.left)
        if low_rank:
            split = _split(matrix, space, smoothing, tolerance, low_rank=True)
            if split is not None and (error := split.first_order_error()) <= tolerance:
                return split.first_order(error)
            target, low_rank = target / 2, size < LOW_RANK_SHARE * m
        if not low_rank:
            split = _split(matrix, space, smoothing, tolerance, low_rank=False)
            # A few more triplets may make the polynomial short.
            if split is not None and not (SHORT < split.next_value < 3 * SHORT and size < 0.25 * m):
                return split.by_gram(tolerance)
        if size >= LOW_RANK_SHARE * m:
            return None
        least = size + 1


class _KrylovSpace:
    """Orthonormal P and Q with K P = Q B and K^T Q = P B^T + (rest in the last block), B upper block bidiagonal."""

    def __init__(self, matrix: Tensor, block: int) -> None:
        n, m = matrix.shape
        self.matrix = matrix
        self.block = block = min(block, m)
        generator = torch.Generator().manual_seed(0)
        start = torch.randn((m, block), generator=generator).to(matrix)
        self.right = torch.linalg.qr(start)[0].mT  # (r, m)
        self.left = matrix.new_empty((0, n))  # (r, n)
        self.core = torch.zeros((0, 0), dtype=torch.float64)  # B, (r, r)
        self.coupling = matrix.new_empty((0, 0))  # (block, block): K^T Q_last = ... + next^T coupling
        self.next = self.right
        self.norms: list[float] = []
        self.largest = 0.0

    def extend(self, relative: float, *, most: int, least: int) -> bool:
        """Add blocks until what is left is small, relative to the largest singular value; False if that is too far.

        The decision needs `least` rows; it extrapolates the last decay to `most`.
        """
        most, least = max(most, 2 * self.block), max(least, 2 * self.block)
        while True:
            self._step()
            size, limit = len(self.left), relative * self.largest * math.sqrt(self.block)
            if self.norms[-1] <= limit:
                return True
            if size + self.block > min(self.matrix.shape):
                return False
            if size >= least and len(self.norms) > 2:
                rate = max(math.log(self.norms[-2] / self.norms[-1]), 1e-9)
                missing = math.log(self.norms[-1] / limit) / rate
                if size + missing * self.block > most:
                    return False

    def _step(self) -> None:
        if len(self.left):
            self.right = torch.cat([self.right, self.next])
        size, block = len(self.right), len(self.next)
        new, upper = _orthonormalized(self.next @ self.matrix.mT, self.left)
        core = torch.zeros((size, size), dtype=torch.float64)
        core[: size - block, : size - block] = self.core
        if size > block:
            core[size - 2 * block : size - block, size - block :] = self.coupling
        core[size - block :, size - block :] = upper.T
        self.core, self.left = core, torch.cat([self.left, new])
        if not self.norms:
            self.largest = float(torch.linalg.matrix_norm(core, 2))
        self.next, coupling = _orthonormalized(new @ self.matrix, self.right)
        self.coupling = coupling.double().cpu()
        self.norms.append(float(torch.linalg.matrix_norm(self.coupling)))


def _orthonormalized(rows: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal rows X, also to those of the basis, and T with rows = T X + (a part in the basis)."""
    transform = None
    while True:
        for _ in range(2):  # twice is enough
            rows = torch.addmm(rows, rows @ basis.mT, basis, alpha=-1)
        orthonormal, upper = torch.linalg.qr(rows.mT)
        rows = orthonormal.mT
        if transform is not None:
            return rows, transform @ upper.mT
        sizes = upper.diagonal().abs()
        if float(sizes.amin()) > 1e-3 * float(sizes.amax()):
            return rows, upper.mT
        # What is left of nearly dependent rows is rounding, and not orthogonal to the basis: once more.
        transform = upper.mT


@dataclass(frozen=True)
class _Split:
    """K = U S V^T + R with U, S, V converged triplets; all norms are relative to e."""

    smoothing: float
    left: Tensor  # (n, k)
    values: Tensor  # (k,), float64
    right: Tensor  # (m, k)
    rest: Tensor  # (n, m)
    rest_norm: float  # |R|_F / e
    next_value: float  # the largest value that is not converged, / e: a lower bound of |R|_2 / e, mostly tight
    coupling: float  # error that the coupling of R to the triplets, and R's rounding, may cause in W, Frobenius
    factor_norm: float  # of W's leading part, Frobenius
    probes: Tensor  # (m, 4), where to look for R's largest singular vectors

    def first_order_error(self) -> float:
        """Relative error of W if R / e stands for its part."""
        largest, _ = self._largest()
        return ((1 - 1 / math.hypot(1, largest)) * self.rest_norm + self.coupling) / self.factor_norm

    def first_order(self, error: float) -> Polar:
        """W = U h(S) V^T + R / e: for s well below e, s / sqrt(s^2 + e^2) is s / e. Overwrites R."""
        return self._polar(self.rest.div_(self.smoothing), self.smoothing * self.rest_norm**2 / 2, error)

    def by_gram(self, tolerance: float) -> Polar | None:
        """W = U h(S) V^T + R (R^T R + e^2)^(-1/2), by a polynomial or eigenvectors; None if it is not exact enough.

        Without the leading triplets R^T R is small enough against rounding to be factorised in its own precision.
        """
        allowed = tolerance * self.factor_norm / max(self.rest_norm, 1e-12)
        top, probes = max(self.next_value**2, 1e-12), None
        if cheapest_inverse_root(ladder(top), allowed)[0]:
            largest, probes = self._largest()
            top = max(top, largest**2)
        block, coefficients = cheapest_inverse_root(ladder(top), allowed)
        argument = symmetric_product(self.rest.mT, self.rest, 2 / ladder(top) / self.smoothing**2)
        argument.diagonal().sub_(1)  # spectrum within [-1, 1], if `top` is large enough
        if block:
            inverse_root = chebyshev(argument, coefficients, block)
        else:
            pair = _eigenvectors(argument)
            if pair is None:
                return None
            values, vectors = pair
            scaled = vectors * (1 + (values + 1).clamp_min(0) * (ladder(top) / 2)).pow(-0.25)
            inverse_root = symmetric_product(scaled, scaled.mT, 1)
        deviation, tail_norm, bias = self._tail_error(inverse_root, probes if block else None)
        error = (deviation + self.coupling) / math.hypot(self.factor_norm, tail_norm)
        if not error <= tolerance:
            return None
        tail = self.rest @ inverse_root
        # sum sqrt(t + 1) - 1 = sum (t + 1) p(t) - 1, t in units of e^2
        inner = torch.dot(self.rest.flatten(), tail.flatten()).double() / self.smoothing
        trace = self.smoothing * (inverse_root.diagonal().double().sum() - inverse_root.shape[0])
        found = self._polar(tail.div_(self.smoothing), trace + inner, error)
        return found if bias * self.smoothing <= tolerance * float(found.norm) else None

    def _largest(self) -> tuple[float, Tensor]:
        """An estimate of |R|_2 / e, rather too large, and vectors near to R's largest right singular vectors."""
        probes = self.probes
        for _ in range(2):
            probes = self.rest.mT @ (self.rest @ probes)
            probes = probes / torch.linalg.vector_norm(probes, dim=0).clamp_min(torch.finfo(probes.dtype).tiny)
        found = float(torch.linalg.vector_norm(self.rest @ probes, dim=0).amax()) / self.smoothing
        return 1.1 * max(found, self.next_value, 1e-12), probes

    def _tail_error(self, p: Tensor, probes: Tensor | None) -> tuple[float, float, float]:
        """Frobenius norms of the error of R p / e and of itself, and the norm's error / e, estimated from random vectors x.

        r = (1 + R^T R / e^2) p^2 x - x is twice p's relative error on x, to first order. The probes, along R's largest
        singular vectors, show whether a polynomial's interval was too short.
        """
        generator = torch.Generator().manual_seed(1)
        x = torch.randn((p.shape[0], 4), generator=generator).to(p)
        count = x.shape[1]
        if probes is not None:
            x = torch.cat([x, probes], 1)
        once = p @ x
        twice = p @ once
        r = torch.addmm(twice - x, self.rest.mT, self.rest @ twice, alpha=1 / self.smoothing**2)
        if probes is not None and not float(torch.linalg.vector_norm(r[:, count:], dim=0).amax()) < 0.1:
            return math.inf, 0.0, math.inf
        pair = torch.cat([p @ r[:, :count] / 2, once[:, :count]], 1)
        squares = torch.linalg.vector_norm(self.rest @ pair, dim=0).square()
        deviation, own = (squares.unflatten(0, (2, -1)).mean(1).sqrt() / self.smoothing).tolist()
        # The norm's error is the trace of (1 + R^T R / e^2) (p - its limit), on x about x.r / 2.
        bias = abs(float((x[:, :count] * r[:, :count]).sum(0).mean())) / 2
        return deviation, own, bias

    def _polar(self, tail: Tensor, tail_norm: Tensor | float, error: float) -> Polar:
        """Add the leading part to the tail's, in place."""
        roots = (self.values.square() + self.smoothing**2).sqrt()
        factor = tail.addmm_(self.left * (self.values / roots).to(tail.dtype), self.right.mT)
        norm = smoothed_sum(self.values, roots.new_tensor(self.smoothing)) + tail_norm
        return Polar(norm, factor, self.smoothing, "krylov", len(roots), error)


def _split(matrix: Tensor, space: _KrylovSpace, smoothing: float, tolerance: float, low_rank: bool) -> _Split | None:
    """Keep the leading triplets that are converged; None if these are too few for what is wanted."""
    values, vectors = torch.linalg.eigh(space.core @ space.core.mT)
    s, u = values.flip(0).clamp_min(0).sqrt(), vectors.flip(1)
    e = smoothing * float(s[0])
    roots = (s.square() + e**2).sqrt()
    residual = torch.linalg.vector_norm(space.coupling.mT @ u[-len(space.coupling) :], dim=0)
    # A coupling c between s_i and smaller values changes W by about c / s_i.
    coupling = (residual / roots).square().cumsum(0).sqrt()
    norm = (s / roots).square().cumsum(0).sqrt()
    kept = int(((coupling <= 0.3 * tolerance * norm) & (s > 1e-6 * s[0])).long().cumprod(0).sum())
    if kept == 0:
        return None
    factor_norm, dropped = float(norm[kept - 1]), s[kept:] / e
    next_value = float(dropped[0]) if len(dropped) else 0.0
    if low_rank:
        least = (1 - 1 / math.hypot(1, next_value)) * float(torch.linalg.vector_norm(dropped))
        if least > 0.5 * tolerance * factor_norm:
            return None
    elif next_value**2 > 0.5 * tolerance / torch.finfo(matrix.dtype).eps:
        return None  # R^T R would be too large against its rounding
    s, u, roots = s[:kept], u[:, :kept], roots[:kept]
    left = space.left.mT @ u.to(matrix)
    # Orthonormal up to rounding again: what U lacks in length stays in R, along V, where it counts as 1 / e.
    left = torch.addmm(left, left, left.mT @ left, beta=1.5, alpha=-0.5)
    right = space.right.mT @ (space.core.mT @ (u / s)).to(matrix)
    # Without any part along U: the inverse root of R^T R would weigh a coupling with 1 / e.
    rows = left.mT @ matrix
    rest = torch.addmm(matrix, left, rows, alpha=-1)
    # Measured, so that rounding and a loss of orthogonality count; the part that ought to be 0 by a few random vectors.
    inverse = (1 / roots).to(matrix)
    random = torch.randn((kept, 4), generator=torch.Generator().manual_seed(2)).to(matrix) / 2
    measured = math.hypot(
        float(torch.linalg.matrix_norm(rest @ (right @ (inverse.unsqueeze(1) * random)))),
        float(torch.linalg.matrix_norm((rows - s.to(matrix).unsqueeze(1) * right.mT) * inverse.unsqueeze(1))),
    )
    # Of R: 26 were seen where all entries are equal, so that roundings add up, on a CPU with AVX-512.
    rounding = 32 * torch.finfo(matrix.dtype).eps * float(torch.linalg.matrix_norm(matrix)) / e
    return _Split(
        smoothing=e,
        left=left,
        values=s.to(matrix.device),
        right=right,
        rest=rest,
        rest_norm=float(torch.linalg.matrix_norm(rest)) / e,
        next_value=next_value,
        coupling=measured + rounding,
        factor_norm=factor_norm,
        probes=space.next[:4].mT,
    )


# Polynomial: the polar factor of [K; eI], all of whose singular values lie within [e, sqrt(s_max^2 + e^2)].


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
