"""Sample quality: generated points against real ones, both (n, d) tensors, on any device."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_TILE = 1 << 22  # distances held at once: 32 MiB in float64

_DIFFERENCES = 64  # most coordinates whose differences are taken one by one


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, the unbiased estimate; 0 for equal laws, and may come out slightly negative.

    Source: Szekely and Rizzo, "Energy statistics", J. Stat. Plan. Inference 2013. O((n + m)^2 d) time, linear memory.

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2.

    Returns:
        In data units.

    Raises:
        ValueError: fewer than 2 points, different numbers of coordinates, or values that are not finite.

    >>> energy_distance(torch.zeros(2, 1), torch.ones(2, 1))
    2.0
    """
    _check_sets(x, y, least=2)
    within = _mean_distance(x, x) * len(x) / (len(x) - 1) + _mean_distance(y, y) * len(y) / (len(y) - 1)
    return 2 * _mean_distance(x, y) - within


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
    _check_sets(real, generated, least=neighbors + 1)
    real, generated = real.double(), generated.double()
    real_radius, generated_radius = (neighbor_distance(s, s, rank=neighbors + 1) for s in (real, generated))
    inside, covered, recalled = [], [], []
    for distance, radius in zip(_distances(real, generated), _tiles(real_radius[:, None], generated), strict=True):
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
    _check_sets(x, y, least=1)
    if not 1 <= rank <= len(y):
        raise ValueError(f"rank must lie in 1..{len(y)}, the number of points, got {rank}")
    x, y = x.double(), y.double()
    return torch.cat([distance.kthvalue(rank, dim=1).values for distance in _distances(x, y)])


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


def _mean_distance(x: Tensor, y: Tensor) -> float:
    x, y = x.double(), y.double()
    return sum(float(distance.sum()) for distance in _distances(x, y)) / (len(x) * len(y))


def _distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Tiles of rows of all distances: by differences, or in many coordinates by products, 50 times faster there.

    A product's squared distance errs by about 1e-15 |x|^2, so that coinciding points may come out some 1e-7 apart.
    """
    if x.shape[-1] <= _DIFFERENCES:
        yield from (torch.cdist(rows, y, compute_mode="donot_use_mm_for_euclid_dist") for rows in _tiles(x, y))
        return
    origin = y[:1000].median(0).values  # and not the mean, which a far outlier moves away from all others
    x, y = x - origin, y - origin
    squares = y.square().sum(1)
    for rows in _tiles(x, y):
        square = torch.addmm(squares, rows, y.mT, alpha=-2).add_(rows.square().sum(1, keepdim=True))
        yield square.clamp_min_(0).sqrt_()


def _tiles(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    return x.split(max(1, _TILE // len(y)))


def _check_sets(x: Tensor, y: Tensor, *, least: int) -> None:
    for name, points in (("first", x), ("second", y)):
        if points.ndim != 2 or len(points) < least:
            raise ValueError(f"the {name} set must have shape (n, d) with n >= {least}, got {tuple(points.shape)}")
        if not torch.isfinite(points).all():
            raise ValueError(f"the {name} set holds NaN or infinite values")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"the sets have different numbers of coordinates: {x.shape[1]} and {y.shape[1]}")
