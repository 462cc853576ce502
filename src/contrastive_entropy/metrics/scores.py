"""Scores of densities: how likely held-out points are under Gaussians on the samples, and how varied the samples are."""

import torch
from torch import Tensor

from contrastive_entropy.metrics.pairs import check_sets, row_distances
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.nuclear import effective_rank


def parzen_log_likelihood(samples: Tensor, points: Tensor, *, variance: float) -> float:
    """Mean log density of points under Gaussians on the samples, nats.

    In many coordinates it prefers few typical points to varied ones, and can rank a model above the data themselves
    (Theis et al., arXiv 1511.01844): show it beside what as many training points reach. O(n m d) time, linear memory.

    Args:
        samples: (n, d).
        points: (m, d), held out.
        variance: of the Gaussians, in data units squared.

    Raises:
        ValueError: no points, different numbers of coordinates, values that are not finite, or a variance that is not
            positive.
    """
    check_sets(samples, points, least=1)
    return float(GaussianMixture(samples.double(), variance).log_prob(points.double()).mean())


def vendi_score(x: Tensor, *, variance: float) -> float:
    """Exp of the entropy of the eigenvalues of exp(-|x_i - x_j|^2 / 2 variance) / n: how many different points there are.

    It rewards variety alone, noise included. Source: Friedman and Dieng, "The Vendi score", arXiv 2210.02410.
    O(n^2 d + n^3) time, O(n^2) memory: take a few thousand points.

    Args:
        x: (n, d).
        variance: of the kernel, in data units squared.

    Returns:
        From 1, all equal, to n, all far apart.

    Raises:
        ValueError: no points, values that are not finite, or a variance that is not positive.

    >>> round(vendi_score(torch.tensor([[0.0], [0.0], [99.0], [99.0]]), variance=1.0), 6)
    2.0
    """
    check_sets(x, x, least=1)
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance}")
    square = torch.cat(list(row_distances(x.double(), x.double()))).square()
    return float(effective_rank(torch.linalg.eigvalsh((square / (-2 * variance)).exp()).clamp_min(0)))
