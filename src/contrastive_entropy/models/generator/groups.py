"""Groups of the training points: parts of the data that a step compares one by one."""

import warnings

import torch
from torch import Tensor

from contrastive_entropy.errors import InputError

SEEN = 10_000
"""Points, drawn at random, that k-means sees."""


def centers_of(points: Tensor, count: int) -> Tensor:
    """Centers of scikit-learn's k-means, with a fixed seed.

    Args:
        points: (n, d).
        count: k, of the groups.

    Returns:
        (k, d), each nearest to some of the points.

    Raises:
        InputError: fewer different points than groups.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:SEEN]]
    different = len(points.unique(dim=0)) if len(points) < 10 * count else count
    if different < count:
        raise InputError(f"{different} different points are too few for {count} groups; lower `groups`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=3, random_state=0).fit(points.double().numpy())
    centers = torch.as_tensor(found.cluster_centers_).to(points.dtype)
    if len(nearest_center(points, centers).unique()) < count:
        raise InputError(f"most points repeat, too many for {count} groups; lower `groups`")
    return centers


def nearest_center(points: Tensor, centers: Tensor) -> Tensor:
    """(n,) int64: the group of each point (n, d), the one whose center (k, d) is nearest."""
    return torch.cat([torch.cdist(part, centers).argmin(-1) for part in points.split(4096)])
