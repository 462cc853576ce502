"""What nearest neighbours say of samples: precision and recall, copies, and points far from all data.

Every figure depends on the numbers of points: compare at equal numbers only, and beside what a second real set reaches.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.pairs import check_sets, row_distances, row_tiles

NEIGHBORS = 5
"""The k-th neighbour's distance is the radius of a point's neighbourhood in an evaluation."""


@dataclass(frozen=True)
class NeighborhoodScores:
    """Precision, recall, density and coverage of `neighborhood_scores`: shares in [0, 1], density in [0, n / k]."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighborhood_scores(real: Tensor, generated: Tensor, *, neighbors: int = 5) -> NeighborhoodScores:
    """Precision, recall, density and coverage from k-nearest-neighbour balls.

    Precision: share of generated points inside some real ball; recall: share of real points inside some generated ball
    (Kynkaanniemi et al., arXiv 1904.06991). Density: mean number of real balls around a generated point, over k;
    coverage: share of real balls that hold a generated point (Naeem et al., arXiv 2002.09797). The values depend on n, m
    and k, so compare only at equal sizes, and against what a second real set reaches.

    Args:
        real: (n, d), n > neighbors.
        generated: (m, d), m > neighbors.
        neighbors: k of the balls' radii, self left out.

    Returns:
        The four scores. O((n + m)^2 d) time, linear memory.

    Raises:
        ValueError: too few points, different numbers of coordinates, or values that are not finite.
    """
    if neighbors < 1:
        raise ValueError(f"neighbors must be at least 1, got {neighbors}")
    check_sets(real, generated, least=neighbors + 1)
    real, generated = real.double(), generated.double()
    real_radius, generated_radius = (neighbor_distance(s, s, rank=neighbors + 1) for s in (real, generated))
    inside, covered, recalled = [], [], []
    for distance, radius in zip(
        row_distances(real, generated), row_tiles(real_radius[:, None], generated), strict=True
    ):
        in_ball = distance <= radius  # (rows, m)
        inside.append(in_ball.sum(0))
        covered.append(in_ball.any(1))
        recalled.append((distance <= generated_radius).any(1))
    balls = torch.stack(inside).sum(0).double()
    return NeighborhoodScores(
        precision=float((balls > 0).double().mean()),
        recall=float(torch.cat(recalled).double().mean()),
        density=float(balls.mean() / neighbors),
        coverage=float(torch.cat(covered).double().mean()),
    )


def memorization(samples: Tensor, train: Tensor, held_out: Tensor) -> float:
    """Probability that a sample lies nearer to the training points than a held-out point does.

    The Mann-Whitney statistic of both sets' distances to their nearest training point, ties counting half. Source:
    Meehan et al., "A non-parametric test to detect data-copying in generative models", arXiv 2004.05675, without its
    cells. Blurred samples lie near to everything, too: look at the nearest training points before you conclude.
    O((n + h) m d) time, linear memory.

    Args:
        samples: (n, d).
        train: (m, d).
        held_out: (h, d).

    Returns:
        In [0, 1]: .5 as far as held-out points, 1 copies.

    Raises:
        ValueError: no points, different numbers of coordinates, or values that are not finite.

    >>> memorization(torch.zeros(3, 1), torch.zeros(2, 1), torch.ones(4, 1))
    1.0
    """
    return smaller_share(neighbor_distance(samples, train), neighbor_distance(held_out, train))


def smaller_share(own: Tensor, other: Tensor) -> float:
    """Probability that a value of the one set is smaller than one of the other, ties counting half: Mann and Whitney's U.

    Args:
        own: (n,).
        other: (m,).

    Returns:
        In [0, 1].
    """
    other = other.sort().values
    below, not_above = torch.searchsorted(other, own), torch.searchsorted(other, own, right=True)
    equal = not_above - below
    return float((len(other) - not_above + equal / 2).double().mean() / len(other))


def far_share(samples: Tensor, data: Tensor, *, radius: float) -> float:
    """Share of samples without any data point within the radius.

    Args:
        samples: (n, d).
        data: (m, d).
        radius: in data units.

    Returns:
        In [0, 1].

    >>> far_share(torch.tensor([[0.0], [9.0]]), torch.zeros(1, 1), radius=1.0)
    0.5
    """
    return float((neighbor_distance(samples, data) > radius).double().mean())


def neighbor_distance(x: Tensor, y: Tensor, *, rank: int = 1) -> Tensor:
    """Distance from each x_i to its rank-th nearest point of y.

    Args:
        x: (n, d).
        y: (m, d); if it is x itself, rank 1 is the point itself.
        rank: from 1 to m.

    Returns:
        (n,), in data units, float64. O(n m d) time, linear memory.

    Raises:
        ValueError: rank out of range, different numbers of coordinates, or values that are not finite.
    """
    check_sets(x, y, least=1)
    if not 1 <= rank <= len(y):
        raise ValueError(f"rank must lie in 1..{len(y)}, the number of points, got {rank}")
    x, y = x.double(), y.double()
    return torch.cat([distance.kthvalue(rank, dim=1).values for distance in row_distances(x, y)])


def nearest_neighbor(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Distance from each x_i to the nearest point of y, and which that is.

    Args:
        x: (n, d).
        y: (m, d).

    Returns:
        (n,) in data units, float64, and (n,) int64. O(n m d) time, linear memory.

    Raises:
        ValueError: no points, different numbers of coordinates, or values that are not finite.
    """
    check_sets(x, y, least=1)
    found = [distance.min(1) for distance in row_distances(x.double(), y.double())]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def nearest_neighbors(x: Tensor, y: Tensor, *, count: int) -> Tensor:
    """Which points of y are nearest to each x_i, the nearest first.

    Args:
        x: (n, d).
        y: (m, d).
        count: of the neighbours, at most m.

    Returns:
        (n, count) int64. O(n m d) time, linear memory.

    Raises:
        ValueError: fewer points than neighbours, different numbers of coordinates, or values that are not finite.

    >>> nearest_neighbors(torch.zeros(1, 1), torch.tensor([[2.0], [0.5], [-1.0]]), count=2).tolist()
    [[1, 2]]
    """
    check_sets(x, y, least=1)
    if not 1 <= count <= len(y):
        raise ValueError(f"count must lie from 1 to {len(y)}, the number of points, got {count}")
    found = [distance.topk(count, largest=False).indices for distance in row_distances(x.double(), y.double())]
    return torch.cat(found)


def require_enough(name: str, train: int, held_out: int) -> None:
    """Raise InputError if there are too few points to evaluate on.

    Args:
        name: of the data.
        train, held_out: how many points there are.
    """
    if min(train, held_out) <= NEIGHBORS:
        raise InputError(
            f"{name}: {train} points to train on and {held_out} held out are too few to evaluate; at least {NEIGHBORS + 1} "
            "of either are needed: more points, or another `held_out`"
        )
