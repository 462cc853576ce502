"""One variance for several groups of points, each of which is compared by itself."""

import math
from collections.abc import Sequence

from torch import Tensor

from contrastive_entropy.variance.choice import neighbor_variance

LEAST_POINTS = 16
"""Of a group whose neighbours a variance is chosen from."""


def groups_of(points: Tensor, own: Tensor) -> list[Tensor]:
    """Points (n, d) by their group (n,), without groups of fewer than `LEAST_POINTS`; all together if no other is left."""
    every = [points[own == group] for group in own.unique()]
    return [group for group in every if len(group) >= LEAST_POINTS] or [points]


def grouped_variance(groups: Sequence[Tensor], points: int) -> float:
    """The geometric mean of `neighbor_variance` over groups (n_i, d), of batches of so many points of each.

    Groups without a variance, of points that repeat, are left out.

    Raises:
        ValueError: as `neighbor_variance`, of all groups.
    """
    found, reason = [], ValueError("no groups")
    for group in groups:
        try:
            found.append(math.log(neighbor_variance(group, points=min(points, len(group)))))
        except ValueError as error:
            reason = error
    if not found:
        raise reason
    return math.exp(sum(found) / len(found))
