"""The cross-Gram matrix of two mixtures: its singular values and its nuclear norm, exact and smoothed (E10, E12)."""

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.derivatives import link
from contrastive_entropy.numerics.gaussian import log_kernel
from contrastive_entropy.numerics.grams import gram
from contrastive_entropy.numerics.nuclear import LogNuclearNorm, check_smoothing, matrix_nuclear_norm
from contrastive_entropy.numerics.pairwise import flat_batches, shared_variance, standardized_for_matrix
from contrastive_entropy.numerics.polar import TOLERANCE, check_options


def log_nuclear_norm(
    p: GaussianMixture,
    q: GaussianMixture,
    *,
    smoothing: float = 0.0,
    tolerance: float = TOLERANCE,
    method: str = "auto",
) -> Tensor:
    """Log ||D_a^1/2 K D_w^1/2||_* of the cross-Gram matrix K_ij = <N_i, N_j>, smoothed  (E10, E12).

    Args:
        p: n components.
        q: m components.
        smoothing, tolerance, method: as in `matrix_nuclear_norm`.

    Returns:
        (...), in nats, float64, differentiable once in everything. With a variance that the components share, the matrix
        lives only during the forward pass: 3 n m numbers. O(n m (d + min(n, m))) at most.

    Raises:
        ValueError: as `matrix_nuclear_norm`, or the dimensions differ.
    """
    check_smoothing(smoothing)
    check_options(tolerance, method)
    if not shared_variance(p.variance, q.variance):
        matrix, log_scale = weighted_gram(p, q)
        norm = matrix_nuclear_norm(matrix, smoothing=smoothing, tolerance=tolerance, method=method)
        return norm.double().log() + log_scale
    entries, batch, precision, constant = _standardized(p, q)
    options = (*precision, smoothing, tolerance, method)
    values: Tensor = LogNuclearNorm.apply(*entries, link(*entries), options)
    return values.reshape(batch) + constant


def gram_of_points(p: GaussianMixture, q: GaussianMixture) -> tuple[Tensor, Tensor]:
    """As `weighted_gram`; with a variance that the components share it is faster, and once differentiable.

    Raises:
        ValueError: the dimensions differ.
    """
    if not shared_variance(p.variance, q.variance):
        return weighted_gram(p, q)
    entries, batch, (differences, dtype), constant = _standardized(p, q)
    matrix, shift = gram(*entries, differences=differences, dtype=dtype)
    return matrix.reshape(*batch, *matrix.shape[-2:]), shift.reshape(batch) + constant


def _standardized(
    p: GaussianMixture, q: GaussianMixture
) -> tuple[list[Tensor], torch.Size, tuple[bool, torch.dtype], Tensor]:
    """Points in units of the kernel's deviation and halves of log-weights, flat; batch, (differences, dtype), constant."""
    if p.dimension != q.dimension:
        raise ValueError(f"dimensions differ: {p.dimension} coordinates on one side and {q.dimension} on the other")
    dtype = torch.promote_types(torch.promote_types(p.centers.dtype, q.centers.dtype), torch.float32)
    x, z, differences, constant = standardized_for_matrix(p.centers, q.centers, p.variance + q.variance)
    halves = [(0.5 * mixture.log_weights).to(x.dtype) for mixture in (p, q)]
    entries, batch = flat_batches([x, z], halves)
    return entries, batch, (differences, dtype), constant


def weighted_gram(p: GaussianMixture, q: GaussianMixture) -> tuple[Tensor, Tensor]:
    """The cross-Gram matrix D_a^1/2 K D_w^1/2, K_ij = <N_i, N_j>, as a matrix with largest entry 1 and a log-scale  (E10).

    Args:
        p: n components.
        q: m components.

    Returns:
        matrix: (..., n, m), and log_scale: (...), float64: the Gram matrix is matrix * exp(log_scale). The scale, which
        no float need hold, carries no gradient unless variances differ by component; a Gram that underflows entirely
        keeps its shape. O(n m d).
    """
    exponent, constant = log_kernel(p.centers, p.variance, q.centers, q.variance)
    weights = 0.5 * (p.log_weights.unsqueeze(-1) + q.log_weights.unsqueeze(-2))
    exponent = exponent + weights.to(exponent.dtype)
    shift = exponent.detach().amax((-2, -1), keepdim=True)
    return (exponent - shift).exp(), shift[..., 0, 0].double() + constant


def singular_values(p: GaussianMixture, q: GaussianMixture) -> Tensor:
    """Singular values of the Gaussian operator between two mixtures, scaled to sum to the fidelity F  (E10, E13).

    Args:
        p: n components.
        q: m components.

    Returns:
        (..., min(n, m)), float64, descending, in [0, 1]. O(n m (d + min(n, m))).

    >>> p = GaussianMixture(torch.tensor([[0.0], [9.0]]), variance=0.1)
    >>> singular_values(p, p)
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    matrix, log_scale = weighted_gram(p, q)
    log_trace = 0.5 * (p.log_trace() + q.log_trace())
    return torch.linalg.svdvals(matrix).double() * (log_scale - log_trace).exp().unsqueeze(-1)
