"""A table of mixed columns as a data set: rows to train on, and rows to hold out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastive_entropy.data.dataset import MOST_HELD_OUT, Dataset, Part, split
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 10
"""Rows of a table, at least."""


def mixed_dataset(
    name: str,
    table: "pd.DataFrame",
    *,
    asked: Mapping[str, str] | None = None,
    held_out: float,
    seed: int,
    points: int | None = None,
) -> Dataset:
    """A table split into rows to train on and rows to hold out.

    Args:
        name: for messages.
        table: the rows.
        asked: kinds of columns by name.
        held_out: share of the rows, at most 10,000 of them.
        seed: of the split.
        points: how many of the training rows are taken; None is all.

    Returns:
        The data set, whose points are `MixedTable.numbers`.

    Raises:
        InputError: as `MixedTable.of`, or too few rows.
    """
    if len(table) < LEAST_ROWS:
        raise InputError(f"{name}: {len(table)} rows are too few to learn a table; at least {LEAST_ROWS} are needed")
    try:
        schema, notes = MixedTable.of(table, asked)
        rows = schema.numbers(table)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    train, test = split(name, len(rows), held_out=held_out, most=MOST_HELD_OUT, seed=seed)
    taken = train[:points].sort().values if points else train
    return Dataset(name, Part(rows[taken]), Part(rows[test]), schema, notes=notes)
