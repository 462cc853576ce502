"""Log-sum-exp over all pairs of two sets of Gaussians: the one hot loop (E2, E3)."""

import torch
from torch import Tensor

from contrastive_entropy.gaussian import log_kernel


def log_sum_over_components(
    x: Tensor, x_variance: Tensor, z: Tensor, z_variance: Tensor, log_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """LSE_j[log w_j + log N(x_i - z_j; v_i + v_j)] for every i.

    Args:
        x, x_variance, z, z_variance: as in `log_kernel`.
        log_weights: (..., m).

    Returns:
        The sums without the shared constant, (..., n), and that constant, (...), float64.
    """
    exponent, constant = log_kernel(x, x_variance, z, z_variance)
    return torch.logsumexp(exponent + log_weights.to(exponent.dtype).unsqueeze(-2), -1), constant


def log_sum_over_pairs(
    x: Tensor,
    x_variance: Tensor,
    x_log_weights: Tensor,
    z: Tensor,
    z_variance: Tensor,
    z_log_weights: Tensor,
) -> Tensor:
    """LSE_ij[log a_i + log w_j + log N(x_i - z_j; v_i + v_j)], float64  (E2).

    Args:
        x, x_variance, z, z_variance: as in `log_kernel`.
        x_log_weights: (..., n).
        z_log_weights: (..., m).

    Returns:
        (...), in nats.
    """
    rows, constant = log_sum_over_components(x, x_variance, z, z_variance, z_log_weights)
    return torch.logsumexp(rows.double() + x_log_weights.double(), -1) + constant
