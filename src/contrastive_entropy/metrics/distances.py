"""Sample quality: generated points against real ones, both (n, d) tensors, on any device.

Every figure depends on the numbers of points: compare at equal numbers only, and beside what a second real set reaches.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.operator import effective_rank

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
    _check_sets(x, y, least=2)
    directions = _directions(x.shape[1], projections, seed, even=True).to(x.device)
    n, m, d = len(x), len(y), x.shape[1]
    origin = y.double().mean(0)
    total = 0.0
    for part in directions.split(max(1, _TILE // (n + m)), dim=1):
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
    _check_sets(x, y, least=2)
    result = []
    for columns in zip(*(s.split(max(1, _TILE // (len(x) + len(y))), dim=1) for s in (x, y)), strict=True):
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
    _check_sets(x, y, least=2)
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance}")
    p, q = (GaussianMixture(points.double(), variance / 2) for points in (x, y))
    peak = p.log_trace()
    within = ((m.log_norm(self_terms=False) - peak).exp() for m in (p, q))
    return float(sum(within) - 2 * (p.log_inner(q) - peak).exp())


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
    _check_sets(x, y, least=2)
    x, y = x.double(), y.double()
    within = ((_cubes(s, s) - float((s.square().mean(1) + 1).pow(3).sum())) / (len(s) * (len(s) - 1)) for s in (x, y))
    return sum(within) - 2 * _cubes(x, y) / (len(x) * len(y))


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
    _check_sets(x, y, least=2)
    x, y = x.double(), y.double()
    c_x, c_y = (torch.cov(points.mT).reshape(points.shape[1], -1) for points in (x, y))
    values, vectors = torch.linalg.eigh(c_x)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ c_y @ root).clamp_min(0).sqrt().sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() + c_x.trace() + c_y.trace() - 2 * cross
    return max(0.0, float(distance))


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
    _check_sets(x, y, least=1)
    directions = _directions(x.shape[1], projections, seed).to(x.device)
    edges = [torch.arange(1, len(s) + 1, device=x.device, dtype=torch.float64) / len(s) for s in (x, y)]
    levels = torch.cat(edges).unique()
    widths = torch.diff(levels, prepend=levels.new_zeros(1))
    middles = levels - widths / 2  # of the intervals on which both quantile functions are constant
    total = 0.0
    for part in directions.split(max(1, _TILE // len(levels)), dim=1):
        sorts = [(s.double() @ part).sort(0).values for s in (x, y)]
        at = [s[torch.searchsorted(e, middles).clamp_max(len(s) - 1)] for s, e in zip(sorts, edges, strict=True)]
        total += float(((at[0] - at[1]).square() * widths.unsqueeze(1)).sum())
    return (total / projections) ** 0.5


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
    _check_sets(x, x, least=1)
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance}")
    square = torch.cat(list(_distances(x.double(), x.double()))).square()
    return float(effective_rank(torch.linalg.eigvalsh((square / (-2 * variance)).exp()).clamp_min(0)))


def mean_pair_distance(x: Tensor) -> float:
    """Mean distance between two different points of a set: variety, in data units.

    Args:
        x: (n, d), n >= 2.

    Raises:
        ValueError: fewer than 2 points, or values that are not finite.

    >>> mean_pair_distance(torch.tensor([[0.0], [3.0]]))
    3.0
    """
    _check_sets(x, x, least=2)
    return _mean_distance(x, x) * len(x) / (len(x) - 1)


def sharpness(images: Tensor, reference: Tensor, image_shape: tuple[int, int, int]) -> float:
    """Mean squared Laplacian of images over that of reference images: 1 is as sharp, near 0 a blur, above 1 noise.

    A focus measure (Pertuz et al., "Analysis of focus measure operators", Pattern Recognition 2013). Noise and superposed
    contours raise it as detail does: look at the pictures, too.

    Args:
        images: (n, d) flattened, channels first.
        reference: (m, d).
        image_shape: (channels, height, width) with c h w = d.

    Returns:
        A ratio, at least 0; infinite if the reference is flat.

    Raises:
        ValueError: an empty set, or a shape that does not fit.

    >>> checkered = torch.tensor([[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]])
    >>> sharpness(checkered / 2, checkered, (1, 3, 3))
    0.25
    """
    own, flat = _laplacian_energy(images, image_shape), _laplacian_energy(reference, image_shape)
    return own / flat if flat > 0 else math.inf


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
    _check_sets(samples, points, least=1)
    return float(GaussianMixture(samples.double(), variance).log_prob(points.double()).mean())


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
    _check_sets(x, y, least=1)
    found = [distance.min(1) for distance in _distances(x.double(), y.double())]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


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


def _laplacian_energy(images: Tensor, image_shape: tuple[int, int, int]) -> float:
    if images.ndim != 2 or len(images) == 0 or images.shape[1] != math.prod(image_shape):
        raise ValueError(f"expected images of shape (n, {math.prod(image_shape)}), got {tuple(images.shape)}")
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], device=images.device)[None, None]
    total = 0.0
    for part in images.split(1024):
        planes = part.float().reshape(-1, 1, *image_shape[1:])
        padded = torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="replicate")
        total += float(torch.nn.functional.conv2d(padded, kernel).double().square().sum())
    return total / images.numel()


def _cubes(x: Tensor, y: Tensor) -> float:
    return sum(float((rows @ y.mT / x.shape[1] + 1).pow(3).sum()) for rows in _tiles(x, y))


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
