"""Values of a table's columns as cells: single values where they repeat, intervals of like counts where they do not."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.mixed import MixedTable

PARTS = 8
"""Pieces of an interval, between quantiles; inside a piece values are drawn evenly."""

MOST_VALUES, REPEATS = 1024, 5
"""A number whose values repeat so often on average, and are no more than so many, has a cell for each value."""

MOST_INTERVALS, ROWS_EACH = 512, 20
"""Intervals of a number, at most, and rows in each, at least."""

GAP = 0.05
"""A gap that may part two intervals is so wide at least, as a share of the range."""

ATOM_SHARE, ATOM_ROWS = 0.005, 5
"""A value that so many rows have exactly has a cell of its own."""

EMPTY = -30.0
"""The log share of a cell that no training row is in."""


@dataclass(frozen=True)
class ColumnCells:
    """The cells of one column.

    Args:
        knots: (k, PARTS + 1) float64, rising along a row: the quantiles of each cell's values, all equal where it has one.
        ordered: whether the cells are numbers in rising order.
        missing: whether one more cell, the last, stands for a missing value.
    """

    knots: np.ndarray
    ordered: bool
    missing: bool

    @property
    def count(self) -> int:
        """Cells, with that of missing values."""
        return len(self.knots) + self.missing


def cells_of(schema: MixedTable, points: Tensor) -> list[ColumnCells]:
    """The cells of every column that is learnt.

    Args:
        schema: of the table.
        points: (n, d) float64 training rows, NaN where a value is missing.
    """
    values = points.numpy()
    found = []
    for index, column in enumerate(schema.mixed):
        if not column.learnt:
            continue
        if column.numeric:
            present = values[~np.isnan(values[:, index]), index]
            knots = _knots(np.clip(present, column.low, column.high))
        else:
            knots = _single(np.arange(len(column.levels), dtype=np.float64))
        found.append(ColumnCells(knots, column.numeric, column.missing))
    return found


def _single(values: np.ndarray) -> np.ndarray:
    """Knots of cells of one value each."""
    return np.repeat(values[:, None], PARTS + 1, 1)


def _knots(present: np.ndarray) -> np.ndarray:
    """Knots of a number's cells, in rising order."""
    values, counts = np.unique(present, return_counts=True)
    if not len(values):
        return _single(np.zeros(1))
    if len(values) <= MOST_VALUES and len(values) * REPEATS <= len(present):
        return _single(values)
    heavy = counts >= max(ATOM_ROWS, math.ceil(ATOM_SHARE * len(present)))
    rest = np.repeat(values[~heavy], counts[~heavy])
    blocks = [_single(values[heavy])]
    if len(rest):
        blocks.append(_intervals(rest, np.searchsorted(rest, values[heavy])))
    knots = np.concatenate(blocks)
    return knots[np.argsort(knots[:, 0], kind="stable")]


def _intervals(rest: np.ndarray, parted: np.ndarray) -> np.ndarray:
    """Knots of intervals of like counts between sorted values, whose edges move to where a gap is wide.

    Args:
        rest: sorted values.
        parted: positions before which a single value lies that has a cell of its own: no interval holds it.
    """
    count = min(max(len(rest) // ROWS_EACH, 1), MOST_INTERVALS)
    edges = np.unique(np.round(np.linspace(0, len(rest), count + 1)).astype(np.int64))
    for gap in _gaps(rest, edges):
        after = int(np.searchsorted(edges, gap))
        left, right = edges[after - 1], edges[after]
        if gap in (left, right):
            continue
        if gap - left < ATOM_ROWS and left > 0:
            edges[after - 1] = gap
        elif right - gap < ATOM_ROWS and right < len(rest):
            edges[after] = gap
        elif gap - left >= ATOM_ROWS and right - gap >= ATOM_ROWS:
            edges = np.insert(edges, after, gap)
    edges = np.union1d(edges, parted)
    # neighbours share a knot, so that no value lies between them, but across a wide gap or a single value
    wide = {*_gaps(rest, edges), *edges[[0, -1]].tolist(), *parted.tolist()}
    knots = []
    for low, high in itertools.pairwise(edges):
        top = rest[high] if high < len(rest) and high not in wide else rest[high - 1]
        own = np.quantile(rest[low:high], np.linspace(0, 1, PARTS + 1))
        own[-1] = top
        knots.append(own)
    found = np.stack(knots)
    return found[np.concatenate([found[1:, 0] > found[:-1, 0], [True]])]  # repeated values fill whole intervals


def _gaps(rest: np.ndarray, edges: np.ndarray) -> list[int]:
    """Positions of sorted values that are far above the one before: by more than half of what their interval spans."""
    steps = np.diff(rest)
    cell = np.clip(np.searchsorted(edges, np.arange(1, len(rest)), side="right") - 1, 0, len(edges) - 2)
    low, high = np.maximum(edges[cell] - 1, 0), np.minimum(edges[cell + 1], len(rest) - 1)
    spans = rest[high] - rest[low]
    wide = (steps > 0.5 * spans) & (steps > GAP * (rest[-1] - rest[0]))
    return (np.flatnonzero(wide) + 1).tolist()


class CellTable(torch.nn.Module):
    """The cells of all columns as buffers: values to cells and back, on the CPU.

    Args:
        counts: cells of each column, with those of missing values.
        ordered: whether a column's cells are numbers in rising order.
        missing: whether its last cell stands for a missing value.
    """

    knots: Tensor
    log_shares: Tensor
    scores: Tensor

    def __init__(self, counts: Sequence[int], ordered: Sequence[bool], missing: Sequence[bool]) -> None:
        super().__init__()
        self.counts, self.ordered, self.missing = tuple(counts), tuple(ordered), tuple(missing)
        total = sum(self.counts)
        self.starts = tuple(np.cumsum([0, *self.counts])[:-1].tolist())
        self.register_buffer("knots", torch.zeros(total, PARTS + 1, dtype=torch.float64))
        self.register_buffer("log_shares", torch.zeros(total))
        self.register_buffer("scores", torch.zeros(total, PARTS + 1))

    def place(self, columns: Sequence[ColumnCells], points: Tensor, weights: Tensor | None = None) -> None:
        """Set what the training rows give: knots, shares, and the normal scores of the knots.

        Args:
            columns: their cells.
            points: (n, c) float64 training rows of these columns.
            weights: (n,) of the rows; None: all the same.

        The score of a value is the normal quantile of the share of rows below it: 0 in the middle, about 2 at the top
        2.5%, whatever the unit and the tails.
        """
        for start, column in zip(self.starts, columns, strict=True):
            stop = start + len(column.knots)
            self.knots[start:stop] = torch.from_numpy(column.knots)
        cells, _ = self.find(points)
        heavy = torch.ones(len(points), dtype=torch.float64) if weights is None else weights.double()
        for start, column, own in zip(self.starts, columns, cells.T, strict=True):
            counts = torch.bincount(own, heavy, minlength=column.count)
            self.log_shares[start : start + column.count] = (counts / counts.sum()).log().clamp_min(EMPTY)
            if column.ordered:
                self.scores[start : start + len(column.knots)] = _scores(counts[: len(column.knots)], column.knots)

    def find(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Values to cells and normal scores.

        Args:
            points: (n, c) float64 of the learnt columns; NaN is missing.

        Returns:
            (n, c) int64 indices among the column's cells, and (n, c) float32 scores, 0 where there is no order.
        """
        cells = torch.zeros(points.shape, dtype=torch.int64)
        scores = torch.zeros(points.shape)
        for index, (start, count) in enumerate(zip(self.starts, self.counts, strict=True)):
            values, absent = points[:, index].nan_to_num(), points[:, index].isnan()
            known = count - self.missing[index]
            found = self._cell(values, start, known) if self.ordered[index] else values.long()
            cells[:, index] = torch.where(absent, count - 1, found)
            if self.ordered[index]:
                score = _interpolated(values, self.knots[start + found], self.scores[start + found].double())
                scores[:, index] = torch.where(absent, 0.0, score).float()
        return cells, scores

    def _cell(self, values: Tensor, start: int, count: int) -> Tensor:
        """The cell whose values are nearest."""
        low, high = self.knots[start : start + count, 0], self.knots[start : start + count, -1]
        after = torch.searchsorted(low.contiguous(), values.contiguous(), right=True).clamp(1, count)
        before = (after - 1).clamp(0, count - 1)
        after = after.clamp_max(count - 1)
        return torch.where((values - high[before]).clamp_min(0) <= (low[after] - values).abs(), before, after)

    def values(self, index: int, cells: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Values and scores of cells of one column, drawn inside intervals; NaN is missing.

        Args:
            index: of the column among the learnt ones.
            cells: (n,) int64.
            generator: of the draws.

        Returns:
            (n,) float64 values and (n,) float32 scores.
        """
        absent = cells == self.counts[index] - 1 if self.missing[index] else torch.zeros_like(cells, dtype=torch.bool)
        rows = self.starts[index] + torch.where(absent, 0, cells)
        at = torch.rand(len(cells), generator=generator, dtype=torch.float64) * PARTS
        left = at.floor().long().clamp_max(PARTS - 1)
        knots, scores = self.knots[rows], self.scores[rows].double()
        value, score = (_at(table, left, at - left) for table in (knots, scores))
        return torch.where(absent, torch.nan, value), torch.where(absent, 0.0, score).float()


def _scores(shares: Tensor, knots: np.ndarray) -> Tensor:
    """(k, PARTS + 1) normal scores of the knots; a single value has that of its middle."""
    total = shares.sum().clamp_min(1e-12)
    upper = shares.cumsum(0) / total
    lower = upper - shares / total
    ranks = lower[:, None] + (upper - lower)[:, None] * torch.linspace(0, 1, PARTS + 1, dtype=torch.float64)
    single = torch.from_numpy(knots[:, 0] == knots[:, -1])
    ranks = torch.where(single[:, None], ((lower + upper) / 2)[:, None], ranks)
    return (2**0.5 * torch.erfinv((2 * ranks - 1).clamp(-1 + 1e-4, 1 - 1e-4))).float()


def _interpolated(values: Tensor, knots: Tensor, scores: Tensor) -> Tensor:
    """The score of each value (n,) between its cell's knots (n, PARTS + 1)."""
    piece = (values[:, None] >= knots[:, 1:-1]).sum(1)
    low, high = (knots.gather(1, (piece + side)[:, None]).squeeze(1) for side in (0, 1))
    width = high - low
    share = torch.where(width > 0, (values - low) / width.clamp_min(1e-300), 0.5).clamp(0, 1)
    return _at(scores, piece, share)


def _at(table: Tensor, left: Tensor, share: Tensor) -> Tensor:
    """Between column `left` of each row and the next, at a share of the way."""
    low, high = (table.gather(1, (left + side)[:, None]).squeeze(1) for side in (0, 1))
    return low + (high - low) * share
