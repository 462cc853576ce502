"""Tables as people have them: text, dates, numbers and missing values, as one matrix of numbers and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contrastive_entropy.data.column_kinds import column_of
from contrastive_entropy.data.columns import CONSTANT, DATE, IGNORED, KEY, MIXED_KINDS, NOT_GIVEN, MixedColumn
from contrastive_entropy.data.given import pairs_of
from contrastive_entropy.errors import InputError, suggestion


@dataclass(frozen=True)
class MixedTable:
    """The columns of a table, of any kinds.

    Args:
        mixed: the columns, in the order of the data.
        named: whether the data name their columns; else files of samples have no line of names, either.
    """

    mixed: tuple[MixedColumn, ...]
    named: bool = True

    standardized: ClassVar[bool] = False
    shifted: ClassVar[bool] = False

    @classmethod
    def of(cls, table: pd.DataFrame, asked: Mapping[str, str] | None = None) -> tuple["MixedTable", tuple[str, ...]]:
        """The schema of a table, and what is to be said of it.

        Args:
            table: rows of anything.
            asked: kinds of columns by name, where they are known better; of `MIXED_KINDS`.

        Raises:
            InputError: no rows, two columns of one name, a column that is not there, an unknown kind, or values that
                cannot be used.

        >>> MixedTable.of(pd.DataFrame({"age": [31, 42, 31], "city": ["Ulm", "Jena", "Ulm"]}))[0].kinds
        {'age': 'count', 'city': 'category'}
        """
        names = [str(name) for name in table.columns]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InputError(f"two columns are named {', '.join(twice[:5])}; give each a name of its own")
        if table.empty:
            raise InputError("the table holds no rows; expected one row of values for each example")
        for name, kind in (asked or {}).items():
            if name not in names:
                raise InputError(
                    f"`column`: no column {name!r}{suggestion(name, names)} (known: {', '.join(names[:20])})"
                )
            if kind not in MIXED_KINDS:
                known = ", ".join(MIXED_KINDS)
                raise InputError(
                    f"`column`: unknown kind {kind!r} of {name}{suggestion(kind, MIXED_KINDS)} (known: {known})"
                )
        found = [
            column_of(table.iloc[:, index].rename(name), (asked or {}).get(name)) for index, name in enumerate(names)
        ]
        if all(column.kind in (KEY, IGNORED, CONSTANT) for column, _ in found):
            raise InputError("the table holds nothing to learn: every column is constant, a key, or left out")
        return cls(tuple(column for column, _ in found)), tuple(note for _, notes in found for note in notes)

    @property
    def dimension(self) -> int:
        """Columns."""
        return len(self.mixed)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.mixed)

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each column by name."""
        return {column.name: column.kind for column in self.mixed}

    @property
    def learnt(self) -> list[int]:
        """Which columns are learnt."""
        return [index for index, column in enumerate(self.mixed) if column.learnt]

    def whole(self, values: Tensor) -> Tensor:
        """Numbers (n, c) of the learnt columns among all (n, d): constants as they are, keys 0."""
        found = torch.zeros(len(values), self.dimension, dtype=torch.float64)
        empty = [index for index, one in enumerate(self.mixed) if one.kind == CONSTANT and not one.levels]
        found[:, empty] = torch.nan
        found[:, self.learnt] = values
        return found

    def numbers(self, table: pd.DataFrame) -> Tensor:
        """Rows as numbers.

        Args:
            table: n rows with these columns, in any order; others are left out.

        Returns:
            (n, d) float64, column by column as `MixedColumn.encode`; NaN is missing.

        Raises:
            InputError: a column is not there, or holds what it cannot hold.
        """
        table = table.rename(columns=str)
        lacking = [name for name in self.names if name not in table.columns and self.kinds[name] not in (KEY, IGNORED)]
        if lacking:
            raise InputError(
                f"the table lacks the columns {', '.join(lacking[:10])}; it has {', '.join(table.columns[:20])}"
            )
        empty = pd.Series(np.zeros(len(table)))
        columns = [column.encode(table.get(column.name, empty)) for column in self.mixed]
        return torch.from_numpy(np.stack(columns, 1))

    def frame(self, points: Tensor, *, seed: int = 0) -> pd.DataFrame:
        """Numbers (n, d) of `numbers` as a table of the same columns, types and categories; keys are new ones.

        Args:
            points: (n, d) float64.
            seed: of new UUIDs.
        """
        values = points.double().numpy()
        columns = {column.name: column.decode(values[:, index], seed=seed) for index, column in enumerate(self.mixed)}
        return pd.DataFrame(columns)

    @property
    def kinds_learnt(self) -> dict[str, str]:
        """Kind of each learnt column by name."""
        return {column.name: column.kind for column in self.mixed if column.learnt}

    def plain(self, points: Tensor) -> pd.DataFrame:
        """The learnt columns of numbers (n, d) with plain types, whatever the data's: numbers, dates and text."""
        found = {}
        for index, column in enumerate(self.mixed):
            if not column.learnt:
                continue
            values = points[:, index].double().numpy()
            if column.kind == DATE:
                found[column.name] = replace(column, text="", holds="", dtype="datetime64[ns]").decode(values)
            elif column.numeric:
                found[column.name] = pd.Series(values)
            else:
                levels = np.array([*map(str, column.levels), None], dtype=object)
                found[column.name] = pd.Series(levels[np.where(np.isnan(values), -1, values).astype(np.int64)])
        return pd.DataFrame(found)

    def tidy(self, points: Tensor) -> Tensor:
        """Numbers (n, d) of a model with the decimals and inside the bounds of the data."""
        values = points.double().numpy()
        return torch.from_numpy(np.stack([c.tidy(values[:, index]) for index, c in enumerate(self.mixed)], 1))

    def row(self, values: Mapping[str, Any]) -> Tensor:
        """(1, d) of values by name; the others are to be drawn, `NOT_GIVEN`.

        Raises:
            InputError: an unknown column, or a value that it cannot have.
        """
        known = {column.name: index for index, column in enumerate(self.mixed)}
        found = torch.full((1, len(known)), NOT_GIVEN, dtype=torch.float64)
        for name, value in values.items():
            if name not in known:
                raise InputError(
                    f"`given`: no column {name!r}{suggestion(name, list(known))} (known: {', '.join(known)})"
                )
            found[0, known[name]] = self.mixed[known[name]].number(value)
        return found

    def encode(self, points: Tensor, name: str | None = None) -> Tensor:
        """Points (n, d) as a model of tables sees them: as they are."""
        return points

    def decode(self, points: Tensor) -> Tensor:
        """Points (n, d) of a model of tables: as they are; `frame` writes them."""
        return points

    def details(self) -> list[tuple[str, str, str]]:
        """Name, kind and what else is known of every column."""
        return [(column.name, column.kind, ", ".join(_details(column))) for column in self.mixed]

    def described(self) -> str:
        """Name, kind and what else is known of every column, a line each; `column` says it better."""
        rows = [(name[:32], kind, details) for name, kind, details in self.details()]
        wide = [max(len(row[index]) for row in rows) for index in (0, 1)]
        lines = [f"  {name:<{wide[0]}}  {kind:<{wide[1]}}  {details}".rstrip() for name, kind, details in rows]
        return "\n".join([f"{len(rows)} columns, as they were found (`column` NAME=KIND says otherwise):", *lines])


def _details(column: MixedColumn) -> list[str]:
    found = []
    if column.kind == "category":
        shown = ", ".join(str(level) for level in column.levels[:4])
        found.append(f"{len(column.levels)} values: {shown}{' ...' if len(column.levels) > 4 else ''}")
    elif column.kind == "date":
        first, last = column.decode(np.array([column.low, column.high]))
        found.append(f"{first} to {last}")
    elif column.numeric:
        found.append(f"{column.low + column.offset:g} to {column.high + column.offset:g}")
        if column.decimals:
            found.append(f"{column.decimals} decimals")
    elif column.kind == "constant" and column.levels:
        found.append(f"always {column.levels[0]}")
    elif column.kind == "key":
        found.append("not learnt, new ones in samples")
    return [*found, "missing values"] if column.missing else found


def mixed_from(value: dict[str, Any]) -> MixedTable:
    """The schema that `dataclasses.asdict` made this of, as config.json keeps it.

    Raises:
        KeyError, TypeError: it is none.
    """
    columns = (MixedColumn(**{**column, "levels": tuple(column["levels"])}) for column in value["mixed"])
    return MixedTable(tuple(columns), named=value.get("named", True))


def asked_kinds(text: str | None) -> dict[str, str]:
    """NAME=KIND with commas between, by name.

    Raises:
        InputError: not of that form, or a name twice.
    """
    return pairs_of(text, "column", "KIND", last=True) if text else {}
