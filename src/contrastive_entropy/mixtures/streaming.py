"""Sums over all pairs, and the nuclear norm, of data sets that need not fit in memory (E2, E3, E10)."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from contrastive_entropy.numerics.gaussian import log_kernel
from contrastive_entropy.numerics.pairwise import log_sum_over_own_pairs, log_sum_over_pairs


@runtime_checkable
class Rows(Protocol):
    """What can be read in slices: a tensor, a numpy array, a memory map."""

    shape: Any

    def __getitem__(self, rows: slice) -> Any:
        """The rows of a slice."""


Points = Rows | Iterable[Any]
"""(n, d) points that can be sliced, or a list, data loader, ... of (n_k, d) batches that can be gone through repeatedly and
are the same each time: no shuffling."""


@dataclass(frozen=True)
class Progress:
    """How far a streamed sum is, and all that it takes to continue it.

    Args:
        blocks: pairs of batches that are done.
        pairs: pairs of points that are done; of a set with itself, i, j and j, i count as one.
        log_sum: of their kernels, in nats.
    """

    blocks: int = 0
    pairs: int = 0
    log_sum: float = -math.inf


def streamed_log_norm(
    points: Points,
    *,
    variance: float,
    batch_size: int = 4096,
    progress: Callable[[Progress], None] | None = None,
    resume: Progress | None = None,
) -> float:
    """Log <p, p> of p(x) = 1/n sum_i N(x - x_i; v), self terms kept; minus this is Renyi's quadratic entropy  (E3).

    Args:
        points: of any length; each batch is read about n / (2 batch_size) times, and two are held at once.
        variance: v of the density, in data units squared.
        batch_size: rows read at once from points that can be sliced.
        progress: called after every pair of batches.
        resume: the last `Progress` of an interrupted call with the same arguments; the result is the same to the bit.

    Returns:
        In nats. Exact: the same as `GaussianMixture(points, v).log_norm()`. O(n^2 d / 2) time.

    Raises:
        ValueError: no points, points of different dimensions or not finite, an iterator that can be used only once,
            or a variance that is not positive.

    >>> abs(streamed_log_norm(torch.zeros(5, 1), variance=1 / (4 * math.pi))) < 1e-6
    True
    """
    return _streamed(points, None, variance, batch_size, progress, resume)


def streamed_log_inner(
    points: Points,
    others: Points,
    *,
    variance: float,
    batch_size: int = 4096,
    progress: Callable[[Progress], None] | None = None,
    resume: Progress | None = None,
) -> float:
    """Log <p, q> of the densities on two data sets, both of variance v  (E2). Arguments as in `streamed_log_norm`."""
    return _streamed(points, others, variance, batch_size, progress, resume)


@torch.no_grad()
def streamed_singular_values(
    points: Points,
    others: Tensor,
    *,
    variance: float,
    batch_size: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Singular values of the Gaussian operator between two data sets, all of the first one streamed  (E10, E13).

    Adds up K^T K over blocks of rows in float64; the values are the roots of its eigenvalues. They sum to the fidelity F.

    Args:
        points: n of them, of any number; each batch is read once.
        others: (m, d), held in memory.
        variance: v of both densities, in data units squared.
        batch_size: rows read at once from points that can be sliced.
        progress: called with the number of rows that are done.

    Returns:
        (m,), float64, descending, in [0, 1] up to rounding: values below some 1e-7 of the largest are only known to be
        that small, for they are roots of differences of float64 numbers. O(n m (d + m)) time; 3 m^2 + 2 m batch_size
        numbers of memory.

    Raises:
        ValueError: as `streamed_log_norm`, or the dimensions differ.

    >>> streamed_singular_values(torch.tensor([[0.0], [9.0]]), torch.tensor([[0.0], [9.0]]), variance=0.1)
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    _check_arguments(variance, batch_size)
    columns = _checked(others, "the second set").double()
    shared = torch.full((1, 1), variance, dtype=torch.float64, device=columns.device)
    gram = columns.new_zeros((len(columns), len(columns)))
    rows = 0
    for read in _readers(points, batch_size, {}):
        batch = read().double()
        exponent, _ = log_kernel(batch, shared, columns, shared)
        kernel = exponent.clamp_min_(-350.0).exp_()
        kernel.mul_(kernel > 1e-151)  # products of smaller ones would be denormal, and slow
        gram.addmm_(kernel.mT, kernel)
        rows += len(batch)
        if progress is not None:
            progress(rows)
    if rows == 0 or len(columns) == 0:
        raise ValueError("there are no points on one of the sides")
    values = torch.linalg.eigvalsh(gram).clamp_min(0).flip(0).sqrt()
    return values / math.sqrt(rows * len(columns))


def effective_points(log_norm: float, *, variance: float, dimension: int) -> float:
    """1 / mean_ij exp(-|x_i - x_j|^2 / 4v): by how many points, all far from each other, the set could be replaced.

    Args:
        log_norm: log <p, p>.
        variance: v.
        dimension: d.

    Returns:
        From 1, all points within sqrt(v) of each other, to n, all farther apart.
    """
    return math.exp(_log_peak(variance, dimension) - log_norm)


def squared_mmd(log_p: float, log_q: float, log_inner: float, *, variance: float, dimension: int) -> float:
    """Squared maximum mean discrepancy with kernel exp(-|x - y|^2 / 4v): the V-statistic, with self terms.

    Source: Gretton et al., JMLR 13 (2012). It is ||p - q||^2 in units of a component's squared norm.

    Args:
        log_p: log <p, p>.
        log_q: log <q, q>.
        log_inner: log <p, q>.
        variance: v of both densities.
        dimension: d.

    Returns:
        In [0, 2].
    """
    peak = _log_peak(variance, dimension)
    return max(0.0, math.exp(log_p - peak) + math.exp(log_q - peak) - 2 * math.exp(log_inner - peak))


def _log_peak(variance: float, dimension: int) -> float:
    return -0.5 * dimension * math.log(4 * math.pi * variance)


@torch.no_grad()
def _streamed(
    points: Points,
    others: Points | None,
    variance: float,
    batch_size: int,
    progress: Callable[[Progress], None] | None,
    resume: Progress | None,
) -> float:
    _check_arguments(variance, batch_size)
    own, done = others is None, resume or Progress()
    blocks = 0
    seen: Seen = {}
    seen_others: Seen = seen if own else {}
    for i, read_rows in enumerate(_readers(points, batch_size, seen)):
        rows: Tensor | None = None
        for j, read_columns in enumerate(_readers(points if others is None else others, batch_size, seen_others)):
            if own and j < i:
                continue
            blocks += 1
            if blocks <= done.blocks:
                continue
            rows = read_rows() if rows is None else rows
            if own and i == j:
                log_sum, pairs = _block(rows, None, variance), len(rows) * (len(rows) + 1) // 2
            else:
                columns = read_columns()
                log_sum, pairs = _block(rows, columns, variance), len(rows) * len(columns)
                if own:
                    log_sum += math.log(2)  # the block on the other side of the diagonal
            done = Progress(blocks, done.pairs + pairs, _log_add(done.log_sum, log_sum))
            if progress is not None:
                progress(done)
    if done.pairs == 0:
        raise ValueError("there are no points on one of the sides")
    if own:
        count = (math.isqrt(8 * done.pairs + 1) - 1) // 2  # n (n + 1) / 2 pairs
        return done.log_sum - 2 * math.log(count)
    return done.log_sum - math.log(done.pairs)


def _check_arguments(variance: float, batch_size: int) -> None:
    if not 0 < variance < math.inf:
        raise ValueError(f"variance must be a positive number, got {variance}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def _block(rows: Tensor, columns: Tensor | None, variance: float) -> float:
    """Log of the sum of all kernels between the rows and the columns, or the rows and themselves."""
    if not len(rows) or (columns is not None and not len(columns)):
        return -math.inf
    shared = torch.full((1, 1), variance, dtype=torch.float64, device=rows.device)
    unweighted = rows.new_zeros(len(rows))
    if columns is None:
        return float(log_sum_over_own_pairs(rows, shared, unweighted, self_terms=True))
    return float(log_sum_over_pairs(rows, shared, unweighted, columns, shared, rows.new_zeros(len(columns))))


Seen = dict[int, tuple[int, float]]
"""Points and sum of each batch as it was first read."""


def _readers(points: Points, batch_size: int, seen: Seen) -> Iterator[Callable[[], Tensor]]:
    """Batches that are read when called; those that are no slices are compared with what was `seen` of them."""
    if isinstance(points, Rows):
        for start in range(0, points.shape[0], batch_size):
            yield functools.partial(_read_slice, points, start, start + batch_size)
        return
    if iter(points) is points:
        raise ValueError(
            f"an iterator ({type(points).__name__}) can be gone through only once; give a list, a data loader or an array"
        )
    for number, batch in enumerate(points):
        yield functools.partial(_read_again, batch[0] if isinstance(batch, list | tuple) else batch, number, seen)


def _read_again(batch: Any, number: int, seen: Seen) -> Tensor:
    tensor = _checked(batch, f"batch {number}")
    mark = len(tensor), float(tensor.sum(dtype=torch.float64))
    if seen.setdefault(number, mark) != mark:
        raise ValueError(
            f"batch {number} differs from what it was when it was first read: pairs would be counted twice or never; give "
            "batches that are the same each time, e.g. a data loader without shuffle"
        )
    return tensor


def _read_slice(points: Rows, start: int, stop: int) -> Tensor:
    rows = points[start:stop]
    return _checked(rows, f"rows {start} to {start + len(rows) - 1}")


def _checked(batch: Any, where: str) -> Tensor:
    """(n, d), floating point and finite."""
    if hasattr(batch, "to_numpy"):  # a table of pandas
        batch = batch.to_numpy()
    if hasattr(batch, "astype"):  # an array of numpy: of any order, strides and byte order
        batch = torch.from_numpy(batch.astype(batch.dtype.newbyteorder("="), order="C"))
    tensor = batch if isinstance(batch, Tensor) else torch.tensor(batch)
    if tensor.is_complex():
        raise ValueError(f"{where}: complex values; expected real numbers")
    if tensor.ndim < 2:
        raise ValueError(f"{where}: expected shape (n, d), got {tuple(tensor.shape)}")
    tensor = tensor.detach().flatten(1)
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float32 if tensor.element_size() < 4 else torch.float64)  # either holds them exactly
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{where}: NaN or infinite values; remove or fill them")
    return tensor


def _log_add(a: float, b: float) -> float:
    return max(a, b) + math.log1p(math.exp(-abs(a - b))) if min(a, b) > -math.inf else max(a, b)
