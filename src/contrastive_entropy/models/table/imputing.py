"""Missing cells of a table, drawn given what is known of their rows: one completed table, or several."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.errors import InputError
from contrastive_entropy.models.table.network import ColumnNetwork
from contrastive_entropy.models.table.sampling import ROWS, draw

FEW = 20
"""Cells of a number up to which its best value is one of its values: the mean of two codes is no code."""


def gaps_of(network: ColumnNetwork, table: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Rows as numbers with the missing values to be drawn, and where these are.

    Args:
        network: of the table.
        table: n rows with the learnt columns.

    Returns:
        (n, d) float64 and (n, d) booleans.

    Raises:
        InputError: no value is missing, or the table has other columns or values than the data that were learnt.
    """
    points = network.schema.numbers(table)
    gaps = points.isnan()
    unlearnt = torch.tensor([not column.learnt for column in network.schema.mixed])
    gaps[:, unlearnt] = False
    if not bool(gaps.any()):
        raise InputError(
            "no value is missing, so there is nothing to impute; leave the cells that are to be drawn empty"
        )
    return torch.where(gaps, NOT_GIVEN, points), gaps


def imputations(network: ColumnNetwork, table: pd.DataFrame, count: int, *, seed: int) -> list[pd.DataFrame]:
    """The table completed several times: the spread between them is what is not known.

    Args:
        network: of the table.
        table: n rows; columns that are not learnt stay as they are.
        count: of the completed tables.
        seed: of the draws.

    Raises:
        InputError: as `gaps_of`, or count < 1, which the command line calls `draws`.
    """
    if count < 1:
        raise InputError(f"`draws` must be at least 1, got {count}")
    given, gaps = gaps_of(network, table)
    generator = torch.Generator().manual_seed(seed)
    drawn = (draw(network, given, generator=generator, complete=True) for _ in range(count))
    return [_completed(network, table, points, gaps) for points in drawn]


@torch.no_grad()
def best_guess(network: ColumnNetwork, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the single best value in each missing cell, given what is known of its row.

    Of numbers and dates the mean of their law, which has the least squared error, of categories the most probable level.
    A number of few values has the median, which is one of them.

    Args:
        network: of the table.
        table: n rows; columns that are not learnt stay as they are.

    Raises:
        InputError: as `gaps_of`.
    """
    given, gaps = gaps_of(network, table)
    rows = gaps.any(1)
    points = given.clone()
    points[rows] = torch.cat([_best(network, part) for part in given[rows].split(ROWS)])
    return _completed(network, table, points, gaps)


def _best(network: ColumnNetwork, given: Tensor) -> Tensor:
    """(n, d) with the best value in place of what is not given."""
    found, values = given.clone(), given[:, network.learnt]
    known, table = values != NOT_GIVEN, network.cells
    cells, scores = table.find(torch.where(known, values, 0.0))
    for index, column in enumerate(network.learnt):
        rows = ~known[:, index]
        if not bool(rows.any()):
            continue
        law = network.law(index, cells[rows], scores[rows], known[rows]).double()
        law = (law[:, :-1] if table.missing[index] else law).softmax(1)
        start = table.starts[index]
        middles = table.knots[start : start + law.shape[1]].unfold(1, 2, 1).mean((1, 2))
        if not table.ordered[index]:
            found[rows, column] = middles[law.argmax(1)]
        elif len(middles) <= FEW:
            found[rows, column] = middles[(law.cumsum(1) < 0.5).sum(1).clamp_max(len(middles) - 1)]
        else:
            found[rows, column] = law @ middles
    return found


def _completed(network: ColumnNetwork, table: pd.DataFrame, points: Tensor, gaps: Tensor) -> pd.DataFrame:
    """The table with values in its gaps, in its own types and order of columns."""
    values = network.schema.frame(network.schema.tidy(points))
    found = table.copy()
    for index, name in enumerate(network.schema.names):
        rows = gaps[:, index].numpy()
        if rows.any():
            found[_own_name(found.columns, name)] = _filled(table[_own_name(found.columns, name)], values[name], rows)
    return found


def _own_name(columns: Sequence[object], name: str) -> object:
    return next(column for column in columns if str(column) == name)


def _filled(column: pd.Series, values: pd.Series, rows: np.ndarray) -> pd.Series:
    """A column with other values at some rows; numbers that were float only because some were missing stay float."""
    filled = column.copy()
    filled[rows] = values.to_numpy(dtype=object)[rows] if column.dtype == object else values[rows].to_numpy()
    return filled
