"""Tables in the forms in which they are compared: numbers for trees, and points for distances."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.errors import InputError

LEAST_SCALE = 1e-9
"""A spread below this share of the largest value is none."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table as numbers, column by column.

    Args:
        values: (n, c) float64 of the learnt columns: numbers, ticks of dates, indices of levels; NaN is missing, and a
            level that the schema does not know has the index after the last.
        schema: of the whole table.
    """

    values: np.ndarray
    schema: MixedTable

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def learnt(self) -> list[int]:
        """Which columns of the schema these are."""
        return [index for index, column in enumerate(self.schema.mixed) if column.learnt]

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [self.schema.mixed[index].name for index in self.learnt]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column has an order and a distance."""
        return [self.schema.mixed[index].numeric for index in self.learnt]

    def levels(self, column: int) -> int:
        """Levels of a category, and one more for what is unknown."""
        return len(self.schema.mixed[self.learnt[column]].levels) + 1

    def take(self, index: np.ndarray | slice) -> "Rows":
        """The rows at an index."""
        return Rows(self.values[index], self.schema)

    def shown(self, rows: np.ndarray) -> pd.DataFrame:
        """Some rows as people read them; unknown levels are missing."""
        points = np.zeros((len(rows), len(self.schema.mixed)))
        points[:, self.learnt] = self.values[rows]
        found = {}
        for index, column in enumerate(self.schema.mixed):
            if column.learnt:
                own = points[:, index]
                own = np.where(own >= len(column.levels), np.nan, own) if not column.numeric else own
                found[column.name] = column.decode(own)
        return pd.DataFrame(found)


def rows_of(table: pd.DataFrame, schema: MixedTable, name: str) -> Rows:
    """A table as `Rows`, unknown levels of categories included.

    Raises:
        InputError: a column is not there, or holds what is not of its kind.
    """
    table = table.rename(columns=str)
    values = []
    for column in schema.mixed:
        if not column.learnt:
            continue
        if column.name not in table:
            raise InputError(f"{name} lacks the column {column.name!r}; it has {', '.join(table.columns[:20])}")
        own = table[column.name]
        if column.numeric:
            try:
                values.append(column.encode(own))
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        else:
            known = {str(level): index for index, level in enumerate(column.levels)}
            codes = own.astype(object).map(lambda level, known=known: known.get(str(level), len(known)))
            values.append(np.where(own.isna(), np.nan, codes.to_numpy(dtype=np.float64)))
    return Rows(np.stack(values, 1), schema)


@dataclass(frozen=True, eq=False)
class Scale:
    """Where distances between rows are measured: numbers in deviations of their bulk, a category that differs counts 1.

    Args:
        center, spread: (c,) of the numbers.
    """

    center: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, rows: Rows) -> "Scale":
        """Medians, and half the distance between the quartiles over that of a normal law; else the deviation."""
        with np.errstate(all="ignore"):
            low, center, high = (_quantile(rows.values, share) for share in (0.25, 0.5, 0.75))
            deviation = np.array([np.nanstd(own) if (~np.isnan(own)).any() else 0.0 for own in rows.values.T])
        spread = np.where(high - low > 0.05 * deviation, (high - low) / 1.349, deviation)
        spread = np.where(spread > LEAST_SCALE * np.abs(center), spread, 1.0)
        return cls(center, spread)

    def points(self, rows: Rows) -> np.ndarray:
        """(n, k) points: a number and whether it is missing, or a one-hot level of length 1 / sqrt 2."""
        return np.concatenate(list(self._blocks(rows)), 1)

    def _blocks(self, rows: Rows) -> Iterator[np.ndarray]:
        for index, numeric in enumerate(rows.numeric):
            own = rows.values[:, index]
            absent = np.isnan(own)
            if numeric:
                placed = (np.where(absent, self.center[index], own) - self.center[index]) / self.spread[index]
                yield placed[:, None]
                if absent.any():
                    yield absent[:, None].astype(np.float64)
                else:
                    yield np.zeros((len(own), 1))
                continue
            count = rows.levels(index)
            codes = np.where(absent, count, own).astype(np.int64)
            yield np.eye(count + 1)[codes] / np.sqrt(2)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    return np.array([np.nanquantile(own, share) if (~np.isnan(own)).any() else 0.0 for own in values.T])


def drawn(rows: Rows, count: int, seed: int) -> Rows:
    """At most so many rows, at random."""
    if len(rows) <= count:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).permutation(len(rows))[:count]))
