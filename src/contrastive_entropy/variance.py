"""Choosing and annealing the variance. All variances are of a density: two of them add up in a kernel's exponent."""

import math

import torch
from torch import Tensor


def median_pair_variance(data: Tensor, *, points: int = 2000, seed: int = 0) -> float:
    """Half the median squared distance between two points: the scale of the whole data set, where annealing starts.

    Args:
        data: (n, d), n >= 2.
        points: size of the random subset that is looked at.
        seed: of the subset.

    Returns:
        In data units squared.

    Raises:
        ValueError: fewer than 2 points, or more than half of them coincide.
    """
    subset = _subset(data, points, seed)
    return _positive(float(torch.pdist(subset).square().median()) / 2, "median distance between points")


def neighbor_variance(data: Tensor, *, neighbors: int = 8, points: int = 256, seed: int = 0) -> float:
    """A quarter of the median squared distance to the k-th nearest neighbour among a batch of points.

    The kernel of a minibatch objective must reach from a model point to the nearest few data points of a batch, so the
    batch size is part of the scale. Too large where modes hold fewer than k points of a batch, or densities differ widely.

    Args:
        data: (n, d), n > neighbors.
        neighbors: k.
        points: batch size of the objective.
        seed: of the batches.

    Returns:
        In data units squared.

    Raises:
        ValueError: too few points, or more than half of them have k duplicates.
    """
    if neighbors < 1:
        raise ValueError(f"neighbors must be at least 1, got {neighbors}")
    squares = []
    for draw in range(8):
        subset = _subset(data, points, seed + draw)
        if len(subset) <= neighbors:
            raise ValueError(f"needs more than {neighbors} points, got {len(subset)}")
        squares.append(_squared_to_neighbor(subset, neighbors))
    return _positive(float(torch.cat(squares).median()) / 4, f"median distance to the {neighbors}-th neighbour")


def geometric_schedule(step: int, *, steps: int, start: float, end: float, fraction: float = 0.8) -> float:
    """Variance at a step: geometric from start to end over the first fraction of the steps, then constant.

    Args:
        step: from 0.
        steps: of the whole training.
        start, end: positive.
        fraction: of the steps that anneal, in [0, 1]; 0 is constant at end.

    Returns:
        In the units of start and end.

    Raises:
        ValueError: start or end not positive.

    >>> geometric_schedule(40, steps=100, start=4.0, end=1.0)
    2.0
    """
    if not (start > 0 and end > 0):
        raise ValueError(f"start and end must be positive, got {start} and {end}")
    if step >= fraction * steps:
        return end
    return start * math.exp(math.log(end / start) * step / (fraction * steps))


def _subset(data: Tensor, points: int, seed: int) -> Tensor:
    if data.ndim != 2 or len(data) < 2:
        raise ValueError(f"data must have shape (n, d) with n >= 2, got {tuple(data.shape)}")
    if points < 2:
        raise ValueError(f"points must be at least 2, got {points}")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data[order[:points]].double()


def _squared_to_neighbor(points: Tensor, rank: int) -> Tensor:
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.kthvalue(rank + 1, dim=1).values.square()


def _positive(variance: float, what: str) -> float:
    if not variance > 0:
        raise ValueError(f"the {what} is 0: the data are constant or mostly duplicates; give a variance")
    return variance
