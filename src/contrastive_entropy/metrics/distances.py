"""Distances between two sets of points, (n, d) and (m, d) tensors on any device.

Every figure depends on the numbers of points: compare at equal numbers only, and beside what a second real set reaches.
"""

import math

import torch
from torch import Tensor

from contrastive_entropy.metrics import pairs
from contrastive_entropy.metrics.pairs import check_sets, row_distances
from contrastive_entropy.mixtures.mixture import GaussianMixture


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
    check_sets(x, y, least=2)
    return 2 * _mean_distance(x, y) - mean_pair_distance(x) - mean_pair_distance(y)


def sliced_energy_distance(x: Tensor, y: Tensor, *, projections: int = 128, seed: int = 0) -> float:
    """The energy distance as a mean over directions, unbiased: for so many points that their pairs are too many.

    A length is sqrt(pi) Gamma((d + 1) / 2) / Gamma(d / 2) times the mean length of its projections, and on a line sorting
    takes the place of pairs. On a line it is exact; in the plane directions are evenly spaced, and 128 err by some 1e-4 of
    the value; beyond, they are drawn evenly from the sphere, and 128 may err by a tenth of it. Source: Szekely and
    Rizzo, as `energy_distance`. O((n + m) (d + log(n + m)) projections) time, linear memory.

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2.
        projections: directions.
        seed: of the directions.

    Returns:
        In data units; estimates `energy_distance(x, y)`.

    Raises:
        ValueError: as `energy_distance`, or projections < 1.

    >>> round(sliced_energy_distance(torch.zeros(2, 1), torch.ones(2, 1)), 12)
    2.0
    """
    check_sets(x, y, least=2)
    directions = _directions(x.shape[1], projections, seed, even=True).to(x.device)
    n, m, d = len(x), len(y), x.shape[1]
    origin = y.double().mean(0)
    total = 0.0
    for part in directions.split(max(1, pairs.TILE // (n + m)), dim=1):
        across, within, other = _line_distances(*((s.double() - origin) @ part for s in (x, y)))
        total += float((across - within - other).sum())
    constant = math.sqrt(math.pi) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return 2 * constant * total / projections


def column_distances(x: Tensor, y: Tensor) -> Tensor:
    """The energy distance of every coordinate by itself, over y's mean distance between two of its values; unbiased.

    It sees what distances between points hide, a coordinate whose unit is small beside others'. Half or twice the deviation
    of y are .08 and .16, a mean that is off by a deviation is .25, all values at the mean .4 (of Gaussians). O((n + m) d
    log(n + m)) time.

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2.

    Returns:
        (d,) float64, 0 for equal laws but for chance, and where y is constant.

    Raises:
        ValueError: as `energy_distance`.

    >>> column_distances(torch.tensor([[0.0, 5.0], [1.0, 7.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    tensor([-1., 3.], dtype=torch.float64)
    """
    check_sets(x, y, least=2)
    result = []
    for columns in zip(*(s.split(max(1, pairs.TILE // (len(x) + len(y))), dim=1) for s in (x, y)), strict=True):
        across, within, other = _line_distances(*(part.double() for part in columns))
        result.append(((across - within - other) / other).where(other > 0, 0.0))
    return torch.cat(result)


def gaussian_mmd(x: Tensor, y: Tensor, *, variance: float) -> float:
    """Squared maximum mean discrepancy, the unbiased estimate; 0 for equal laws, and may come out slightly negative.

    Kernel exp(-|x - y|^2 / 2 variance): blind to differences at scales far from the square root of the variance. Source:
    Gretton et al., "A kernel two-sample test", JMLR 2012. O((n + m)^2 d) time, linear memory.

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2.
        variance: of the kernel, in data units squared: twice the density's.

    Returns:
        At most 2.

    Raises:
        ValueError: as `energy_distance`, or a variance that is not positive.

    >>> gaussian_mmd(torch.zeros(2, 1), torch.full((2, 1), 100.0), variance=1.0)
    2.0
    """
    check_sets(x, y, least=2)
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance}")
    p, q = (GaussianMixture(points.double(), variance / 2) for points in (x, y))
    peak = p.log_trace()
    within = ((m.log_norm(self_terms=False) - peak).exp() for m in (p, q))
    return float(sum(within) - 2 * (p.log_inner(q) - peak).exp())


def sliced_wasserstein(x: Tensor, y: Tensor, *, projections: int = 256, seed: int = 0) -> float:
    """Root mean square, over random directions, of the 2-Wasserstein distance between the projections of both sets.

    It sees each direction alone: dependence in many coordinates shows little. Source: Bonneel et al., "Sliced and Radon
    Wasserstein barycenters", JMIV 2015. O((n + m) (d + log n) projections) time, linear memory.

    Args:
        x: (n, d).
        y: (m, d); n may differ from m.
        projections: directions, drawn evenly from the sphere.
        seed: of the directions.

    Returns:
        In data units.

    Raises:
        ValueError: as `energy_distance`, but for single points, or projections < 1.

    >>> round(sliced_wasserstein(torch.zeros(3, 1), torch.ones(2, 1)), 12)
    1.0
    """
    check_sets(x, y, least=1)
    directions = _directions(x.shape[1], projections, seed).to(x.device)
    edges = [torch.arange(1, len(s) + 1, device=x.device, dtype=torch.float64) / len(s) for s in (x, y)]
    levels = torch.cat(edges).unique()
    widths = torch.diff(levels, prepend=levels.new_zeros(1))
    middles = levels - widths / 2  # of the intervals on which both quantile functions are constant
    total = 0.0
    for part in directions.split(max(1, pairs.TILE // len(levels)), dim=1):
        sorts = [(s.double() @ part).sort(0).values for s in (x, y)]
        at = [s[torch.searchsorted(e, middles).clamp_max(len(s) - 1)] for s, e in zip(sorts, edges, strict=True)]
        total += float(((at[0] - at[1]).square() * widths.unsqueeze(1)).sum())
    return (total / projections) ** 0.5


def mean_pair_distance(x: Tensor) -> float:
    """Mean distance between two different points of a set: variety, in data units.

    Args:
        x: (n, d), n >= 2.

    Raises:
        ValueError: fewer than 2 points, or values that are not finite.

    >>> mean_pair_distance(torch.tensor([[0.0], [3.0]]))
    3.0
    """
    check_sets(x, x, least=2)
    return _mean_distance(x, x) * len(x) / (len(x) - 1)


def _mean_distance(x: Tensor, y: Tensor) -> float:
    x, y = x.double(), y.double()
    return sum(float(distance.sum()) for distance in row_distances(x, y)) / (len(x) * len(y))


def _pair_sums(points: Tensor) -> Tensor:
    """Sums of the distances of all pairs, per column of (n, k)."""
    order = torch.arange(len(points), device=points.device, dtype=points.dtype)
    return (2 * order + 1 - len(points)) @ points.sort(0).values


def _line_distances(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E|x - y|, E|x - x'| / 2 and E|y - y'| / 2 on k lines, of x (n, k) and y (m, k), unbiased: (k,) each."""
    n, m = len(a), len(b)
    within, other = _pair_sums(a), _pair_sums(b)
    across = _pair_sums(torch.cat([a, b])) - within - other
    return across / (n * m), within / (n * (n - 1)), other / (m * (m - 1))


def _directions(dimension: int, count: int, seed: int, *, even: bool = False) -> Tensor:
    """(dimension, count) unit vectors in double precision; `even` spaces those of the plane at equal angles."""
    if count < 1:
        raise ValueError(f"projections must be at least 1, got {count}")
    generator = torch.Generator().manual_seed(seed)
    if even and dimension == 2:
        angles = torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)
        angles = angles * (math.pi / count)
        return torch.stack([angles.cos(), angles.sin()])
    drawn = torch.randn((dimension, count), generator=generator, dtype=torch.float64)
    return drawn / drawn.norm(dim=0)
