"""Missing cells of a table, drawn given what is known of their rows: one completed table, or several."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.errors import InputError
from contrastive_entropy.models.table.network import ColumnNetwork
from contrastive_entropy.models.table.sampling import draw

BEST_OF = 50
"""Draws of which the single best value of a cell is made."""


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
    return [_completed(network, table, _drawn(network, given, generator), gaps) for _ in range(count)]


def best_guess(network: ColumnNetwork, table: pd.DataFrame, *, seed: int, draws: int = BEST_OF) -> pd.DataFrame:
    """The table with the single best value in each missing cell: the mean of numbers and dates, the most frequent level.

    Numbers and dates of few different values have the median, which is one of them.

    Args:
        network: of the table.
        table: n rows; columns that are not learnt stay as they are.
        seed: of the draws.
        draws: of each cell.

    Raises:
        InputError: as `gaps_of`.
    """
    given, gaps = gaps_of(network, table)
    generator = torch.Generator().manual_seed(seed)
    rows = gaps.any(1)
    drawn = torch.stack([_drawn(network, given[rows], generator) for _ in range(draws)])
    points = given.clone()
    points[rows] = _middle(network, drawn)
    return _completed(network, table, points, gaps)


def _drawn(network: ColumnNetwork, given: Tensor, generator: torch.Generator) -> Tensor:
    """Like `draw`, and what stays missing, where missing values were learnt, is drawn until it is there."""
    drawn = draw(network, given, generator=generator, complete=True)
    return torch.where(given == NOT_GIVEN, drawn, given)


def _middle(network: ColumnNetwork, drawn: Tensor) -> Tensor:
    """(n, d) of draws (k, n, d): means of numbers, modes of levels; medians of numbers that are few in the data.

    The mean of codes, such as 7743 and 89073, is none of them.
    """
    found = drawn.mean(0)
    knots, starts = network.cells.knots, network.cells.starts
    for place, index in enumerate(network.learnt):
        column = network.schema.mixed[index]
        own = knots[starts[place] : starts[place] + network.cells.counts[place] - column.missing]
        if not column.numeric:
            found[:, index] = drawn[:, :, index].mode(0).values
        elif bool((own[:, 0] == own[:, -1]).all()):
            found[:, index] = drawn[:, :, index].median(0).values
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
