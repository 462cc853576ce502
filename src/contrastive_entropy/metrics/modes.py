"""Which modes or classes samples fall into, and how evenly."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.metrics.neighborhoods import nearest_neighbor


@dataclass(frozen=True)
class ModeScores:
    """Mode coverage of `mode_scores`.

    Args:
        modes: modes with a high-quality sample.
        high_quality: share of samples near their mode.
        reverse_kl: KL divergence of the samples' shares of the modes from equal ones, nats.
        distance: root mean square, of the high-quality samples from their mode, in data units: below that of real points
            where samples vary less within a mode; None without such samples, or without distances.
    """

    modes: int
    high_quality: float
    reverse_kl: float
    distance: float | None = None


def mode_scores(samples: Tensor, modes: Tensor, *, radius: float) -> ModeScores:
    """How many of the modes samples reach, how many samples reach a mode, and how evenly.

    Samples belong to their nearest mode. The protocol of Srivastava et al. (VEEGAN, arXiv 1705.07761) and Lin et al.
    (PacGAN, arXiv 1712.04086): 2,500 samples, radius 3 standard deviations. A perfect model's reverse KL is about
    (modes - 1) / 2n. O(n m d) time.

    Args:
        samples: (n, d).
        modes: (m, d) centers.
        radius: of high quality, in data units.

    Raises:
        ValueError: no points, different numbers of coordinates, or values that are not finite.

    >>> mode_scores(torch.tensor([[0.5], [5.0]]), torch.tensor([[0.0], [9.0]]), radius=1.0)
    ModeScores(modes=1, high_quality=0.5, reverse_kl=0.0, distance=0.5)
    """
    distance, nearest = nearest_neighbor(samples, modes)
    good = distance <= radius
    scores = _mode_scores(nearest, good, len(modes))
    if not bool(good.any()):
        return scores
    return dataclasses.replace(scores, distance=float(distance[good].square().mean().sqrt()))


def class_mode_scores(classes: Tensor, *, modes: int) -> ModeScores:
    """`mode_scores` where a classifier says which mode a sample belongs to: all samples count as of high quality.

    Args:
        classes: (n,) int64 from 0 to modes - 1.
        modes: their number.

    Raises:
        ValueError: no samples, or a class out of range.
    """
    if classes.ndim != 1 or not len(classes):
        raise ValueError(f"classes must have shape (n,) with n >= 1, got {tuple(classes.shape)}")
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= modes:
        raise ValueError(f"classes must lie in 0..{modes - 1}, got {low}..{high}")
    return _mode_scores(classes, torch.ones_like(classes, dtype=torch.bool), modes)


def _mode_scores(mode: Tensor, good: Tensor, modes: int) -> ModeScores:
    share = torch.bincount(mode, minlength=modes).double() / len(mode)
    reverse_kl = torch.special.xlogy(share, share * modes).sum()
    return ModeScores(len(mode[good].unique()), float(good.double().mean()), max(0.0, float(reverse_kl)))


def clustering_purity(clusters: Tensor, labels: Tensor) -> float:
    """Share of points whose label is the commonest of their cluster: 1 for pure clusters, and for clusters of one point.

    Args:
        clusters: (n,) int64 from 0.
        labels: (n,) int64 from 0.

    Raises:
        ValueError: no points, or different numbers of them.

    >>> clustering_purity(torch.tensor([0, 0, 1, 1]), torch.tensor([5, 5, 5, 7]))
    0.75
    """
    if clusters.ndim != 1 or clusters.shape != labels.shape or not len(labels):
        raise ValueError(
            f"expected as many clusters as labels, (n,), got {tuple(clusters.shape)} and {tuple(labels.shape)}"
        )
    pairs, counts = torch.stack([clusters, labels]).unique(dim=1, return_counts=True)
    largest = torch.zeros(int(clusters.max()) + 1, dtype=counts.dtype, device=counts.device)
    return float(largest.scatter_reduce(0, pairs[0], counts, "amax").sum() / len(labels))
