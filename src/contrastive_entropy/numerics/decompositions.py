"""The smoothed polar factor by a whole decomposition: singular values, or eigenvectors of the smaller Gram matrix."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor


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


def by_svd(matrix: Tensor, smoothing: float) -> Polar:
    """By the definition, and the only way without smoothing."""
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


def by_eigh(matrix: Tensor, smoothing: float, tolerance: float) -> Polar:
    """In the matrix's own precision where rounding in K^T K is small against e^2, and no more is found in the result."""
    if torch.finfo(matrix.dtype).eps < 2 * tolerance * smoothing**2 and matrix.dtype != torch.float64:
        found = _by_eigenvectors(matrix, smoothing)
        if found is not None and found.error <= tolerance:
            return found
    found = _by_eigenvectors(matrix.double(), smoothing)
    if found is None or not found.error <= tolerance:
        return by_svd(matrix, smoothing)
    return dataclasses.replace(found, factor=found.factor.to(matrix.dtype))


def _by_eigenvectors(matrix: Tensor, smoothing: float) -> Polar | None:
    pair = eigenvectors(matrix.mT @ matrix)
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


def eigenvectors(symmetric: Tensor) -> tuple[Tensor, Tensor] | None:
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
