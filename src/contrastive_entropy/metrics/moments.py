"""Distances between two sets of features by their moments; on Inception features, the Frechet and kernel distances.

Every figure depends on the numbers of points: compare at equal numbers only, and beside what a second real set reaches.
"""

import torch
from torch import Tensor

from contrastive_entropy.metrics.pairs import check_sets, row_tiles


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^1/2): squared Wasserstein distance of the Gaussians with these moments.

    On Inception features this is the Frechet inception distance; a figure means something only beside the name of its
    features, and its bias falls with n. Source: Heusel et al., arXiv 1706.08500. O((n + m) d^2 + d^3) time.

    Args:
        x: (n, d) features, n >= 2.
        y: (m, d), m >= 2.

    Returns:
        In feature units squared, not negative.

    Raises:
        ValueError: as `energy_distance`.

    >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
    9.0
    """
    check_sets(x, y, least=2)
    x, y = x.double(), y.double()
    c_x, c_y = (torch.cov(points.mT).reshape(points.shape[1], -1) for points in (x, y))
    values, vectors = torch.linalg.eigh(c_x)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ c_y @ root).clamp_min(0).sqrt().sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() + c_x.trace() + c_y.trace() - 2 * cross
    return max(0.0, float(distance))


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Squared MMD of the kernel (x . y / d + 1)^3, the unbiased estimate on all points at once.

    On Inception features this is the kernel inception distance, of which others average subsets. Source: Binkowski et al.,
    "Demystifying MMD GANs", arXiv 1801.01401. O((n + m)^2 d) time, linear memory.

    Args:
        x: (n, d) features, n >= 2.
        y: (m, d), m >= 2.

    Returns:
        In units of the kernel; 0 for equal laws, and may come out slightly negative.

    Raises:
        ValueError: as `energy_distance`.
    """
    check_sets(x, y, least=2)
    x, y = x.double(), y.double()
    within = ((_cubes(s, s) - float((s.square().mean(1) + 1).pow(3).sum())) / (len(s) * (len(s) - 1)) for s in (x, y))
    return sum(within) - 2 * _cubes(x, y) / (len(x) * len(y))


def _cubes(x: Tensor, y: Tensor) -> float:
    return sum(float((rows @ y.mT / x.shape[1] + 1).pow(3).sum()) for rows in row_tiles(x, y))
