"""Rows whose y is not of the law that the others have: how many there are, and which."""

import math

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture

LEAST_SHARE, MOST_SHARE = 0.01, 0.6
"""Between which a share is taken when rows are flagged."""

FACTORS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""By which the deviations of laws may be too small."""

WIDTH = 5.0
"""Of the law of outliers, in robust deviations of y."""

NORMAL = 1.4826
"""Deviation of a normal law over its median absolute deviation."""


@torch.no_grad()
def outlier_share(laws: GaussianMixture, y: Tensor) -> float:
    """The share of rows that the laws do not explain: 1 - E q(y|x) / E ||q(.|x)||^2.

    Where q is the law of the other rows, E q(y|x) over them equals E ||q(.|x)||^2, and outliers add nothing. Both are terms
    of (E18), which hardly sees outliers, so that a fit by it has the law of the others.

    Args:
        laws: batch (n,), of a fit by (E18).
        y: (n, d), rows that it was not trained on.

    Returns:
        About 0 where there are none; chance may take it below.
    """
    cross = torch.logsumexp(laws.log_prob(y.unsqueeze(-2)).squeeze(-1), 0)
    return 1 - float((cross - torch.logsumexp(laws.log_norm(), 0)).exp())


@torch.no_grad()
def widened(laws: GaussianMixture, y: Tensor) -> GaussianMixture:
    """The laws with all deviations times the factor of `FACTORS` that is best by (E18), which hardly sees outliers.

    A fit to few rows is too sure of itself, and rows that it was not trained on would look like outliers.

    Args:
        laws: batch (n,).
        y: (n, d), rows that each law was not trained on.
    """

    def value(law: GaussianMixture) -> float:
        cross = torch.logsumexp(law.log_prob(y.unsqueeze(-2)).squeeze(-1), 0)
        return 2 * float(cross) - float(torch.logsumexp(law.log_norm(), 0))

    wider = [
        GaussianMixture(laws.centers, factor**2 * laws.variance, log_weights=laws.log_weights) for factor in FACTORS
    ]
    return max(wider, key=value)


@torch.no_grad()
def outliers(laws: GaussianMixture, y: Tensor, share: float) -> Tensor:
    """Rows that are more likely to be outliers: (1 - e) q(y|x) < e b(y).

    b is a Cauchy law around the median of y, five robust deviations wide, in each column.

    Args:
        laws: batch (n,).
        y: (n, d).
        share: e, of outliers; taken to lie in [.01, .6].

    Returns:
        (n,) bool.
    """
    share = min(max(share, LEAST_SHARE), MOST_SHARE)
    center = y.double().median(0).values
    offsets = y.double() - center
    width = WIDTH * NORMAL * offsets.abs().median(0).values
    width = torch.where(width > 0, width, WIDTH * offsets.std(0, correction=0).clamp_min(1e-12))
    background = -(math.pi * width * (1 + (offsets / width).square())).log().sum(-1)
    own = laws.log_prob(y.unsqueeze(-2)).squeeze(-1)
    return math.log1p(-share) + own < math.log(share) + background
