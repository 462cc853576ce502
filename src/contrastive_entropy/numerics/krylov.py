"""The smoothed polar factor by block Golub-Kahan-Lanczos (E12).

K = U S V^T + R, with U, S, V leading singular triplets and R coupled to them by a known small amount.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.numerics.decompositions import Polar, eigenvectors, smoothed_sum
from contrastive_entropy.numerics.polynomials import cheapest_inverse_root, chebyshev, ladder, symmetric_product

LOW_RANK_SHARE = 0.3
"""Of the smaller side: with more triplets a polynomial for the rest is cheaper than going on."""

SHORT = 4.5
"""|R|_2 / e from which on a polynomial is several times cheaper than eigenvectors."""

LEAST_SHARE = 0.12
"""Of the smaller side: so many are looked at before it is decided whether that will be so."""


def by_krylov(matrix: Tensor, smoothing: float, tolerance: float) -> Polar | None:
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
            pair = eigenvectors(argument)
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
