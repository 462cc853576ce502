"""The nuclear norm of a kernel matrix, exact and smoothed, with a well-posed gradient (E10, E12)."""

from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.gaussian import log_kernel
from contrastive_entropy.mixture import GaussianMixture


class _NuclearNorm(torch.autograd.Function):
    """sum_i sqrt(s_i^2 + e^2) - e, with gradient U diag(s / sqrt(s^2 + e^2)) V^T; never differentiates the SVD."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, smoothing: float) -> Tensor:
        with torch.autocast(matrix.device.type, enabled=False):
            return _NuclearNorm._norm(ctx, matrix, smoothing)

    @staticmethod
    def _norm(ctx: Any, matrix: Tensor, smoothing: float) -> Tensor:
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
        e = smoothing * s[..., :1]
        root = torch.hypot(s, e)
        # Directions below the rounding error of the decomposition are noise: they get weight 0, not +-1.
        floor = s[..., :1] * max(matrix.shape[-2:]) * torch.finfo(s.dtype).eps
        share = torch.where(s > floor, s / root, torch.zeros_like(s))
        ctx.save_for_backward((u * share.unsqueeze(-2)) @ vh)
        return (root - e).sum(-1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return grad_outputs[0][..., None, None] * weight, None


def matrix_nuclear_norm(matrix: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """(Smoothed) nuclear norm: sum_i sqrt(s_i^2 + e^2) - e with e = smoothing * s_max held constant  (E12).

    Smoothing lowers the value by at most e per singular value, so an upper limit on the exact norm still holds; it
    makes the gradient well-posed on smooth kernel matrices, whose many tiny singular values otherwise count fully.

    Args:
        matrix: (..., n, m).
        smoothing: eps >= 0, relative to the largest singular value; 0 is the exact norm.

    Returns:
        (...). One SVD: O(n m min(n, m)).

    Raises:
        ValueError: smoothing is negative or not finite.

    >>> matrix_nuclear_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    7.0
    """
    if not 0 <= smoothing < float("inf"):
        raise ValueError(f"smoothing must be a finite number >= 0, got {smoothing}")
    norm: Tensor = _NuclearNorm.apply(matrix, smoothing)
    return norm


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
    gram, log_scale = weighted_gram(p, q)
    log_trace = 0.5 * (p.log_trace() + q.log_trace())
    return torch.linalg.svdvals(gram).double() * (log_scale - log_trace).exp().unsqueeze(-1)


def effective_rank(singular_values: Tensor) -> Tensor:
    """Exp of the entropy of the normalised singular values: how many directions share the spectrum evenly.

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.

    Args:
        singular_values: (..., k), not negative, not all zero.

    Returns:
        (...), between 1 and k.

    >>> effective_rank(torch.tensor([1.0, 1.0, 0.0])).item()  # doctest: +ELLIPSIS
    2.0...
    """
    share = singular_values / singular_values.sum(-1, keepdim=True)
    return torch.special.entr(share).sum(-1).exp()
