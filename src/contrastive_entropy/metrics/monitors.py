"""What a training step can see of its own health."""

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.gaussian import squared_distances

ALONE = 3.0
"""A model point without data within so many standard deviations of the kernel gets no gradient worth mentioning."""


@torch.no_grad()
def monitors(p: GaussianMixture, q: GaussianMixture) -> dict[str, float]:
    """What a training step can see of its own health on a batch.

    Args:
        p: n data points, with one variance; or a batch of such mixtures, for each class one, and the figures are of all.
        q: m model points, likewise.

    Returns:
        `alone`: share of model points without data within 3 standard deviations of the kernel. `window`: share of the data
        that a model point's kernel weights spread over, 1 / (n sum_i P_ij^2), in the mean. `spread`: total variance of the
        model points over that of the data. O(n m d).
    """
    squares, variance = _squares(p, q)
    weights = (squares / (-2 * variance)).log_softmax(-1)
    window = torch.exp(-torch.logsumexp(2 * weights, -1)) / p.components
    spread = _total_variance(q.centers) / _total_variance(p.centers).clamp_min(torch.finfo(torch.float64).tiny)
    return {
        "alone": _alone(squares, variance),
        "window": float(window.mean()),
        "spread": float(spread),
    }


@torch.no_grad()
def share_alone(p: GaussianMixture, q: GaussianMixture) -> float:
    """`alone` of `monitors` by itself."""
    return _alone(*_squares(p, q))


def _squares(p: GaussianMixture, q: GaussianMixture) -> tuple[Tensor, float]:
    """Squared distances of model points to data, and the variance of their kernel."""
    return squared_distances(q.centers, p.centers), float(p.variance) + float(q.variance)


def _alone(squares: Tensor, variance: float) -> float:
    return float((squares.amin(-1) > ALONE**2 * variance).double().mean())


def _total_variance(points: Tensor) -> Tensor:
    return points.double().flatten(0, -2).var(0).sum()
