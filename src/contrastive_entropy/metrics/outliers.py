"""Rows whose y is not of the law that the others have: how many there are, and which."""

import math

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.robust import robust_moments

MOST_SHARE = 0.6
"""Beyond which a share is not looked for: most rows are what the others are called outliers of."""

ROUNDS = 200
"""Of expectation and maximisation, after which a share moves no more."""

WIDTH = 5.0
"""Of the law of outliers, in robust deviations of y."""


@torch.no_grad()
def outliers(laws: GaussianMixture, y: Tensor) -> tuple[float, Tensor]:
    """The share of rows whose y is not of the laws, and which they are.

    The share e is the most likely one where y is drawn from (1 - e) q(y|x) + e b(y), b a Cauchy law around the median of
    y, five robust deviations wide in each column. A row is an outlier where e^2 b(y) > (1 - e)^2 q(y|x): the rarer outliers
    are, the surer it must be. Outliers amid the other values cannot be told from them.

    Args:
        laws: batch (n,), of a fit by (E18), which hardly sees outliers.
        y: (n, d).

    Returns:
        The share in [0, .6], and (n,) bool.
    """
    center, deviation = robust_moments(y)
    offsets = y.double() - center
    width = WIDTH * torch.where(deviation > 0, deviation, offsets.std(0, correction=0))
    width = torch.where(width > 0, width, 1.0)  # a column that does not vary tells nothing
    background = -(math.pi * width * (1 + (offsets / width).square())).log().sum(-1)
    ratio = background - laws.log_prob(y.unsqueeze(-2)).squeeze(-1)
    share = 0.2
    for _ in range(ROUNDS):
        share = min(max(float(torch.sigmoid(_odds(share) + ratio).mean()), 1e-9), MOST_SHARE)
    return share, 2 * _odds(share) + ratio > 0


def _odds(share: float) -> float:
    return math.log(share) - math.log1p(-share)
