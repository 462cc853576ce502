"""Distribution function, quantiles and CRPS of one-dimensional Gaussian mixtures, on tensors of their parts.

`GaussianMixture` has them as methods. Centers, variances and log-weights are (..., m); all is float64.
"""

import math

import torch
from torch import Tensor

STEPS = 64
"""Halvings of a quantile's bracket: 80 deviations wide, it ends below float64's resolution."""

PAIRS = 1 << 22
"""Most pairs of components that are looked at at once."""


def cdf(x: Tensor, centers: Tensor, variance: Tensor, log_weights: Tensor) -> Tensor:
    """Q(x) = sum_j w_j Phi((x - m_j) / s_j); x (..., n) to (..., n)."""
    scores = (x.unsqueeze(-1) - centers.unsqueeze(-2)) / variance.sqrt().unsqueeze(-2)
    return (log_weights.exp().unsqueeze(-2) * torch.special.ndtr(scores)).sum(-1)


@torch.no_grad()
def quantile(levels: Tensor, centers: Tensor, variance: Tensor, log_weights: Tensor) -> Tensor:
    """The x at which Q(x) is a level; levels (..., k) in (0, 1) to (..., k), by bisection.

    The smallest and the largest quantile of the components bracket that of the mixture.
    """
    own = centers.unsqueeze(-2) + variance.sqrt().unsqueeze(-2) * torch.special.ndtri(levels).unsqueeze(-1)
    own = torch.where(log_weights.unsqueeze(-2) > -math.inf, own, math.nan)
    low, high = own.nan_to_num(math.inf).amin(-1), own.nan_to_num(-math.inf).amax(-1)
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = cdf(middle, centers, variance, log_weights) < levels
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def crps(x: Tensor, centers: Tensor, variance: Tensor, log_weights: Tensor) -> Tensor:
    """E|Y - x| - E|Y - Y'| / 2 with Y, Y' independent draws; x (..., n) to (..., n), in the units of x.

    The continuous ranked probability score in closed form (Grimit et al. 2006). O(n m + m^2) time, O(n m) memory.
    """
    weights = log_weights.exp()
    offsets = x.unsqueeze(-1) - centers.unsqueeze(-2)
    first = (weights.unsqueeze(-2) * _mean_absolute(offsets, variance.unsqueeze(-2))).sum(-1)
    count = centers.shape[-1]
    parts = (
        part.expand_as(centers).reshape(-1, count).split(max(1, PAIRS // count**2))
        for part in (centers, variance, weights)
    )
    second = torch.cat([_mean_distance(*part) for part in zip(*parts, strict=True)])
    return first - second.reshape((*centers.shape[:-1], 1)) / 2


def _mean_distance(centers: Tensor, variance: Tensor, weights: Tensor) -> Tensor:
    """E|Y - Y'| of mixtures (n, m)."""
    pairs = _mean_absolute(
        centers.unsqueeze(-1) - centers.unsqueeze(-2), variance.unsqueeze(-1) + variance.unsqueeze(-2)
    )
    return (weights.unsqueeze(-1) * weights.unsqueeze(-2) * pairs).sum((-2, -1))


def _mean_absolute(mean: Tensor, variance: Tensor) -> Tensor:
    """E|N(mean, variance)|."""
    deviation = variance.sqrt()
    score = mean / deviation
    density = torch.exp(-0.5 * score.square()) / math.sqrt(2 * math.pi)
    return mean * (2 * torch.special.ndtr(score) - 1) + 2 * deviation * density
