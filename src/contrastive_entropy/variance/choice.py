"""Choosing the variance from the data. All variances are of a density: two of them add up in a kernel's exponent."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.numerics.nuclear import effective_rank
from contrastive_entropy.numerics.principal import principal_directions

METHODS = ("neighbors", "effective_rank", "leave_one_out")
"""Ways of `select`."""

RANK, BATCH_PART = 16, 4
"""Neighbours that a kernel should reach, but no more than one in so many points of a batch."""

JUMP = 16.0
"""Ratio of the squared distances to two neighbours, one of twice the other's rank, beyond which the farther one lies in
another mode: on a manifold of dimension m it is near 4^(1/m)."""

REACH = 8.0
"""Squared distance of what a kernel reaches, in units of the variance: the kernel is e^-2 there."""

LEAST_POINTS, MOST_POINTS = 16, 2048
"""Of a batch: with fewer no neighbourhood is seen; beyond, eigenvalues of matrices of pairs take minutes."""

RANK_SHARE = 0.5
"""Effective rank over the number of points that `effective_rank` looks for."""

DRAWS = 8
"""Batches that a choice is averaged over."""

MANY = 256
"""Coordinates beyond which distances are computed by products."""

CURVE = 41
"""Variances of a curve, from 1e-5 to 10 times the scale of the whole data set."""


SEPARATED, SEPARATIONS, BEHIND, SEPARATED_SHARE = 100, 5, 2.0, 0.2
"""Of `separating_variance`: codes and variances that are looked at, the blur's distance in nats, and the share of codes
that may miss it."""


@dataclass(frozen=True)
class VarianceChoice:
    """A variance of the density with the reason for it, made by `select`.

    Args:
        method: of `METHODS`.
        variance: in data units squared: the geometric mean over batches.
        error: its standard error over batches, relative; 0 where one batch holds all points.
        variances: (41,) a geometric grid.
        scores: (41,) what the method looks at, the mean over batches: the share of points whose neighbours are within
            reach, the effective rank over the number of points, or the leave-one-out log-likelihood in nats.
        reading: one sentence.
    """

    method: str
    variance: float
    error: float
    variances: Tensor
    scores: Tensor
    reading: str


def select(data: Tensor, *, method: str = "neighbors", points: int = 256, seed: int = 0) -> VarianceChoice:
    """Choose the variance of the density for an objective on batches of this size.

    `neighbors`: an eighth of the median squared distance to the 16th nearest neighbour in a batch; where separate modes
    hold fewer points of it, the whole of that to the 8th, 4th or 2nd (`neighbor_variance`). `effective_rank`: where the
    Gram matrix of a batch has an effective rank of half its points; noise in many coordinates raises the rank, and with it
    the variance.
    `leave_one_out`: where points are likeliest under Gaussians on the others of the batch; near copies pull it to 0, and in
    many coordinates it follows the nearest neighbour alone. All three scale with the square of the data's unit and see
    neither shifts nor rotations nor constant columns. Exact duplicates count once.

    Args:
        data: (n, d), n >= 16 different points.
        method: of `METHODS`.
        points: batch size of the objective, from 16 to 2,048; all n if there are fewer.
        seed: of the eight batches.

    Returns:
        VarianceChoice. O(n d + points^2 (d + points)) time, O(points^2) memory beside the data.

    Raises:
        TypeError: data are no tensor.
        ValueError: unknown method, values that are not finite, a batch size out of range, fewer than 16 different points
            in a batch, or more than half of all points coincide.

    >>> round(select(torch.arange(64.0)[:, None]).variance, 9)  # of every batch, the 16th neighbour is 8 away
    8.0
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    _check_shape(data)
    if not bool(data.isfinite().all()):
        raise ValueError("data hold NaN or infinite values: remove or fill them")
    if not LEAST_POINTS <= points <= MOST_POINTS:
        raise ValueError(f"a batch must have from {LEAST_POINTS} to {MOST_POINTS} points, got {points}")
    varied = data[:, data.amax(0) > data.amin(0)]
    dimension = varied.shape[1]
    scale = median_pair_variance(varied, seed=seed)
    variances = scale * torch.logspace(-5, 1, CURVE, dtype=torch.float64)
    curve, choose, what = _WAYS[method]
    rows, chosen = [], []
    for draw in range(DRAWS):
        squares = _different_squares(_subset(varied, points, seed + draw))
        rows.append(curve(squares, dimension, variances.tolist()))
        chosen.append(math.log(choose(squares, dimension, scale)))
    choices = torch.tensor(chosen, dtype=torch.float64)
    variance, error = float(choices.mean().exp()), float(choices.std() / DRAWS**0.5)
    whole = reached(len(squares))
    shown = f"{variance:.4g} +- {error:.1%}" if len(data) > points else f"{variance:.4g}"
    reading = f"{shown}, {what.format(whole)}"
    if method == "neighbors" and (rank := _within_mode(squares)[0]) < whole:
        what = "the median squared distance to neighbour {} in a batch: neighbour {} lies in another mode"
        reading = f"{shown}, {what.format(rank, whole)}"
    return VarianceChoice(method, variance, error, variances, torch.tensor(rows, dtype=torch.float64).mean(0), reading)


def _different_squares(points: Tensor) -> Tensor:
    """Squared distances of the different points of a batch."""
    different = _different(points)
    if len(different) < LEAST_POINTS:
        raise ValueError(
            f"a batch of {len(points)} points holds {len(different)} different ones, and at least {LEAST_POINTS} are "
            "needed: the data are few, or mostly duplicates"
        )
    return _squares(different)


def _squares(points: Tensor) -> Tensor:
    """(n, n) squared distances in float64, in many coordinates by products, many times faster; 0 within their rounding."""
    if points.shape[1] <= MANY:
        return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    centered = points - points.mean(0)
    squares = torch.cdist(centered, centered, compute_mode="use_mm_for_euclid_dist").square()
    return squares.where(squares > 1e-13 * squares.amax(), 0.0)


# Curves and choices of the methods, each of the squared distances of a batch (n, n) and the number of coordinates

Curve = Callable[[Tensor, int, list[float]], list[float]]
Choice = Callable[[Tensor, int, float], float]


def _within_reach(squares: Tensor, dimension: int, variances: list[float]) -> list[float]:
    reaching = _within_mode(squares)[1]
    return [float((reaching <= variance).double().mean()) for variance in variances]


def _reach(squares: Tensor, dimension: int, scale: float) -> float:
    return float(_within_mode(squares)[1].median())


def _rank_shares(squares: Tensor, dimension: int, variances: list[float]) -> list[float]:
    return [_rank_share(squares, variance) for variance in variances]


def _rank_share(squares: Tensor, variance: float) -> float:
    values = torch.linalg.eigvalsh((squares / (-4 * variance)).exp()).clamp_min(0)
    return float(effective_rank(values)) / len(squares)


def _half_rank(squares: Tensor, dimension: int, scale: float) -> float:
    """By bisection: the share falls from 1 to 1 / n as the variance grows."""
    low, high = math.log(scale) - 40, math.log(scale) + 5
    for _ in range(40):
        middle = (low + high) / 2
        above = _rank_share(squares, math.exp(middle)) > RANK_SHARE
        low, high = (middle, high) if above else (low, middle)
    return math.exp((low + high) / 2)


def _all_left_out(squares: Tensor, dimension: int, variances: list[float]) -> list[float]:
    return [_left_out(squares, dimension, variance) for variance in variances]


def _left_out(squares: Tensor, dimension: int, variance: float) -> float:
    exponents = (squares / (-2 * variance)).fill_diagonal_(-math.inf)
    sums = torch.logsumexp(exponents, 1) - math.log(len(squares) - 1)
    return float(sums.mean()) - dimension / 2 * math.log(2 * math.pi * variance)


def _likeliest(squares: Tensor, dimension: int, scale: float) -> float:
    """By ternary search between a thousandth of the nearest neighbours' scale and the whole set's."""
    nearest = squares.kthvalue(2, dim=1).values.mean() / dimension
    low, high = math.log(float(nearest)) - 7, math.log(scale) + 3
    for _ in range(60):
        third = (high - low) / 3
        left, right = (_left_out(squares, dimension, math.exp(at)) for at in (low + third, high - third))
        low, high = (low + third, high) if left < right else (low, high - third)
    return math.exp((low + high) / 2)


_WAYS: dict[str, tuple[Curve, Choice, str]] = {
    "neighbors": (
        _within_reach,
        _reach,
        "an eighth of the median squared distance to neighbour {} in a batch",
    ),
    "effective_rank": (
        _rank_shares,
        _half_rank,
        "where the Gram matrix of a batch has an effective rank of half its points",
    ),
    "leave_one_out": (
        _all_left_out,
        _likeliest,
        "where points are likeliest under Gaussians on the others of their batch",
    ),
}
"""Curve and choice of every method, and what the choice is."""


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
    first, second = torch.triu_indices(len(subset), len(subset), 1)
    return _positive(float(_squares(subset)[first, second].median()) / 2, "median distance between points")


def reached(points: int) -> int:
    """Neighbours that a kernel should reach in a batch of so many points: 16, or a quarter of a small batch."""
    return max(1, min(RANK, points // BATCH_PART))


def _to_neighbors(squares: Tensor, rank: int) -> Tensor:
    """(n, rank) squared distances to the nearest neighbours, in order, of those among all points (n, m)."""
    return squares.topk(rank + 1, dim=1, largest=False).values[:, 1:]


def _within_mode(squares: Tensor) -> tuple[int, Tensor]:
    """`_neighborhood` of all points of a batch, from their squared distances (n, n)."""
    return _neighborhood(_to_neighbors(squares, reached(len(squares))))


def _neighborhood(nearest: Tensor) -> tuple[int, Tensor]:
    """The rank of the neighbour that sets the variance, and the variance (n,) whose kernel reaches it from each point.

    It is the last one of (n, rank), at the kernel's `REACH`. Or among the 2nd, 4th, 8th ... the first one behind which the
    distance makes a `JUMP`, at 1: a mode of fewer points than can show its shape is met as a whole. Distances of 0, to
    duplicates, say nothing of modes.
    """
    medians = nearest.median(0).values.tolist()
    rank, last = min(2, len(medians)), len(medians)
    while rank < last:
        farther = min(2 * rank, last)
        if 0 < JUMP * medians[rank - 1] < medians[farther - 1]:
            return rank, nearest[:, rank - 1]
        rank = farther
    return rank, nearest[:, rank - 1] / REACH


def neighbor_variance(data: Tensor, *, neighbors: int | None = None, points: int = 256, seed: int = 0) -> float:
    """An eighth of the median squared distance to the k-th nearest neighbour among a batch of points.

    The kernel of a minibatch objective must reach from a model point to the nearest few data points of a batch, so the
    batch size is part of the scale. Where separate modes hold no more than the 8th, 4th or 2nd neighbour, which a jump of
    the distances behind it tells, it is the whole of the squared distance to that one, some five variances of a mode. Exact
    duplicates in a batch count once.

    Args:
        data: (n, d), n > neighbors.
        neighbors: k, without a look for jumps; None is what a fit takes, with one: as many as `reached` says of a batch.
        points: batch size of the objective.
        seed: of the batches.

    Returns:
        In data units squared.

    Raises:
        ValueError: values that are not finite, or no more than k different points in a batch.
    """
    if neighbors is not None and neighbors < 1:
        raise ValueError(f"neighbors must be at least 1, got {neighbors}")
    subsets = [_different(_subset(data, points, seed + draw)) for draw in range(8)]
    fewest = min(map(len, subsets))
    rank = reached(fewest) if neighbors is None else neighbors
    if fewest <= rank:
        raise ValueError(
            f"needs batches of more than {rank} different points, got {fewest}: the data are few, constant or mostly "
            "duplicates"
        )
    nearest = torch.cat([_to_neighbors(_squares(subset), rank) for subset in subsets])
    rank, reaching = _neighborhood(nearest) if neighbors is None else (rank, nearest[:, -1] / REACH)
    return _positive(float(reaching.median()), f"median distance to neighbour {rank}")


def separating_variance(
    data: Tensor,
    *,
    most: float,
    centers: int,
    features: int,
    feature_variance: float,
    points: int = 1000,
    seed: int = 0,
) -> float:
    """Where a decoder of several centers has something to gain by telling data of one code apart  (E15, E19).

    For a stand-in of the encoder, the ranks of the leading principal components, it asks at which variance one blur beats C
    draws of the data that share a code (`JointMixture.mean_gains`). The answer is the largest of most, most / sqrt(2), ...
    most / 4 at which the blur stays two nats behind for four of five codes that data share. If it does at none, it is most
    / 4 where that at least halves the share of codes at which it does not, and `most` where it hardly helps: there, as in
    few coordinates, the data of a code fill it evenly. Two nats, four fifths, the half and the range are choices.

    Args:
        data: (n, d), n >= 3.
        most: the variance that is not exceeded, in data units squared.
        centers: C >= 2.
        features: k, dimensions of the code in [-1, 1]; those beyond d or n - 1 are left out.
        feature_variance: v_y.
        points: size of the random subset that is looked at.
        seed: of the subset and the noise.

    Returns:
        In data units squared. O(points^2 d) time.

    Raises:
        ValueError: fewer than 3 points.
    """
    subset = _subset(data, points, seed)
    if len(subset) < 3:
        raise ValueError(f"needs at least 3 points, got {len(subset)}")
    coordinates = subset @ principal_directions(subset, min(len(subset) - 1, subset.shape[1])).T
    ranks = coordinates[:, :features].argsort(0).argsort(0)
    codes = (2 * ranks.to(coordinates) + 1) / len(subset) - 1
    joint = JointMixture(coordinates, codes, most, feature_variance)
    looked = torch.arange(len(subset))[:: max(1, len(subset) // SEPARATED)]
    conditions = joint.near(looked, generator=torch.Generator().manual_seed(seed))
    shared = (2 * joint.posterior(conditions)).logsumexp(-1) < -math.log(2)  # by two points or more, in effect
    shares: list[float] = []
    for step in range(SEPARATIONS):
        variance = most * 2.0 ** (-step / 2)
        joint = dataclasses.replace(joint, variance=variance)
        shares.append(float((shared & (joint.mean_gains(conditions, centers) > -BEHIND)).double().mean()))
        if shares[-1] <= SEPARATED_SHARE:
            return variance
    return variance if shares[-1] <= shares[0] / 2 else most


def _check_shape(data: Tensor) -> None:
    if not isinstance(data, Tensor):
        raise TypeError(f"data must be a tensor, got {type(data).__name__}; convert with torch.as_tensor")
    if data.ndim != 2 or len(data) < 2:
        raise ValueError(f"data must have shape (n, d) with n >= 2, got {tuple(data.shape)}")


def _different(points: Tensor) -> Tensor:
    """Each of equal points once; the very points where none are equal."""
    different = points.unique(dim=0)
    return points if len(different) == len(points) else different


def _subset(data: Tensor, points: int, seed: int) -> Tensor:
    _check_shape(data)
    if points < 2:
        raise ValueError(f"points must be at least 2, got {points}")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    subset = data[order[:points]].double()
    if not bool(subset.isfinite().all()):
        raise ValueError("data hold NaN or infinite values: remove or fill them")
    return subset


def _positive(variance: float, what: str) -> float:
    if not variance > 0:
        raise ValueError(f"the {what} is 0: the data are constant or mostly duplicates")
    return variance
