"""The root of a mixture's covariance operator, and the inner product of two roots: the affinity (E24)."""

import functools
import math

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.operator import gram_of_points
from contrastive_entropy.numerics.roots import inverse_root_factor, squared_norm_between

FINE = 1e-5
"""Jitter below which float32 rounds what counts, so that float64 serves."""


class OperatorRoot:
    """S (S + j)^(-1/2) of the covariance operator S of a mixture's Gaussians, scaled to trace 1; at j = 0 its root.

    The Gram matrix G of the weighted Gaussians Phi represents it: S = Phi Phi^T, and Phi (G + j)^(-1/2) Phi^T is what is
    asked for. A factor of the inverse root is computed once, for every other mixture that it meets.

    Args:
        mixture: n components.
        jitter: j > 0, a share of S's trace.

    Raises:
        ValueError: jitter is not a positive number.
    """

    def __init__(self, mixture: GaussianMixture, jitter: float) -> None:
        if not 0 < jitter < math.inf:
            raise ValueError(f"jitter must be a positive number, got {jitter}")
        self.mixture, self.jitter = mixture if jitter >= FINE else mixture.double(), jitter

    @functools.cached_property
    def log_trace(self) -> Tensor:
        """Of the operator before it is scaled, (...), float64."""
        return self.mixture.log_trace()

    @functools.cached_property
    def factor(self) -> Tensor:
        """H with H H^T = (G + j)^(-1/2), (..., n, n)."""
        matrix, log_scale = gram_of_points(self.mixture, self.mixture)
        scale = (log_scale - self.log_trace).exp()[..., None, None].to(matrix.dtype)
        return inverse_root_factor(matrix * scale, self.jitter)

    def log_affinity(self, other: "OperatorRoot") -> Tensor:
        """Log of the inner product with another, (...), float64: at most 0, and near it between equal operators."""
        cross, log_scale = gram_of_points(self.mixture, other.mixture)
        parts = self.factor, cross, other.factor
        dtype = functools.reduce(torch.promote_types, (part.dtype for part in parts))
        batch = torch.broadcast_shapes(*(part.shape[:-2] for part in parts))
        left, middle, right = (part.to(dtype).expand(*batch, *part.shape[-2:]) for part in parts)
        value = squared_norm_between(left, middle, right).double().log()
        return value + 2 * log_scale - self.log_trace - other.log_trace
