"""What the numbers of a data set are: images, or the columns of a table. The one place that encodes and decodes."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Union

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.offsets import offsets, rounding
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    from contrastive_entropy.data.mixed import MixedTable

COLUMN_KINDS = ("number", "whole number", "category", "date")
"""Kinds of columns. Tables hold numbers so far; the other kinds have their place here for the tables to come."""


@dataclass(frozen=True)
class Images:
    """Images with values in [0, 1], flattened channels first.

    Args:
        channels, height, width: of each image.
    """

    channels: int
    height: int
    width: int

    names: ClassVar[None] = None
    standardized: ClassVar[bool] = False
    shifted: ClassVar[bool] = False
    constant: ClassVar[tuple[int, ...]] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def dimension(self) -> int:
        """Numbers of one image."""
        return self.channels * self.height * self.width

    def encode(self, points: Tensor, name: str | None = None) -> Tensor:
        """Points (..., d) as a model sees them: as they are."""
        return points

    def decode(self, points: Tensor) -> Tensor:
        """Points (..., d) of a model as they are written: clipped to [0, 1]."""
        return points.clamp(0, 1)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: of the column, or its number as text where the table has no names.
        kind: of `COLUMN_KINDS`.
        missing: whether values may be missing.
        mean: in the table's own units, subtracted on encoding.
        deviation: in the table's own units, divided by on encoding; 0 where the column is constant, which then is
            encoded as 0 and decoded as the mean. None leaves the column's scale as it is; the mean then is an offset, 0 but
            for columns that single precision would blur.
        levels: of a category, the names of its values; the value is the number of one, from 0.
    """

    name: str
    kind: str = "number"
    missing: bool = False
    mean: float = 0.0
    deviation: float | None = None
    levels: tuple[str, ...] = ()

    @property
    def constant(self) -> bool:
        """Whether it was standardized and has no variety."""
        return self.deviation == 0


@dataclass(frozen=True)
class Table:
    """Rows of numbers.

    Args:
        columns: one for each coordinate.
        named: whether the columns' names come from the data.
    """

    columns: tuple[Column, ...]
    named: bool = False

    @classmethod
    def of(cls, dimension: int, names: tuple[str, ...] | None = None) -> "Table":
        """Columns as they are, with these names or none."""
        known = names or tuple(map(str, range(dimension)))
        return cls(tuple(map(Column, known)), names is not None)

    @property
    def dimension(self) -> int:
        """Columns."""
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns, None where the data have none."""
        return tuple(column.name for column in self.columns) if self.named else None

    @property
    def standardized(self) -> bool:
        """Whether columns are brought to mean 0 and deviation 1."""
        return any(column.deviation is not None for column in self.columns)

    @property
    def shifted(self) -> bool:
        """Whether offsets are taken off columns that keep their scale."""
        return any(column.deviation is None and column.mean != 0 for column in self.columns)

    @property
    def constant(self) -> tuple[int, ...]:
        """Standardized columns without any variety."""
        return tuple(index for index, column in enumerate(self.columns) if column.constant)

    def label(self, index: int) -> str:
        """How a message names a column."""
        return repr(self.columns[index].name) if self.named else f"column {index}, counted from 0"

    def standardizing(self, points: Tensor) -> "Table":
        """The same columns, standardized by training points (n, d). Columns that vary by rounding alone are constant."""
        points = points.double()
        mean, deviation = points.mean(0), points.std(0, correction=0)
        constant = deviation <= rounding(points)
        mean, deviation = torch.where(constant, points[0], mean), torch.where(constant, 0.0, deviation)
        moments = zip(self.columns, mean.tolist(), deviation.tolist(), strict=True)
        return replace(self, columns=tuple(replace(c, mean=m, deviation=s) for c, m, s in moments))

    def shifting(self, points: Tensor | np.ndarray) -> "Table":
        """The same columns, with offsets for those of points (n, d) that single precision would blur."""
        found = zip(self.columns, offsets(points).tolist(), strict=True)
        return replace(
            self, columns=tuple(replace(column, mean=offset) if offset else column for column, offset in found)
        )

    def encode(self, points: Tensor, name: str | None = None) -> Tensor:
        """Points (..., d) in the table's units -> float32 as a model sees them.

        Args:
            points: (..., d).
            name: where they are from, if they may vary in columns that are constant in the training points; None reads
                such columns as constant.

        Raises:
            InputError: a name is given and they vary there, which standardized columns cannot show.
        """
        if not (self.standardized or self.shifted):
            return points.float()
        if name is not None:
            self._refuse_variety(points, name)
        mean, deviation = self._moments()
        return torch.where(deviation > 0, (points.double() - mean) / deviation, 0.0).float()

    def decode(self, points: Tensor) -> Tensor:
        """Points (..., d) of a model -> the table's units: float64 of standardized or shifted columns, else as they are."""
        if not (self.standardized or self.shifted):
            return points
        mean, deviation = self._moments()
        return torch.addcmul(mean, points.double(), deviation)

    def _refuse_variety(self, points: Tensor, name: str) -> None:
        for index in self.constant:
            value = self.columns[index].mean
            off = float((points[..., index] - value).abs().amax())
            if off > 1e-6 * abs(value):
                raise InputError(
                    f"column {index}, counted from 0, is {value:.6g} in all of the data, but differs from it by up to "
                    f"{off:.4g} in {name}; standardized columns show nothing of that: drop the column from both"
                )

    def _moments(self) -> tuple[Tensor, Tensor]:
        """(d,) means and deviations, 0 and 1 of columns that stay as they are."""
        moments = [(c.mean, 1.0 if c.deviation is None else c.deviation) for c in self.columns]
        mean, deviation = torch.tensor(moments, dtype=torch.float64).T
        return mean, deviation


Schema = Union[Images, Table, "MixedTable"]  # pandas is loaded where such a table is


def difference(schema: Schema, data: Schema, *, names: tuple[str, str]) -> str | None:
    """What keeps points of a schema from being compared with data of another: the message, or None.

    Rows of numbers may be compared with images that have as many pixels, but not images with rows of numbers.

    Args:
        schema: of the points.
        data: of the data.
        names: of the points and of the data, for the message.

    >>> difference(Table.of(2), Table.of(3), names=("a.csv", "b.csv"))
    'a.csv has 2 coordinates and b.csv has 3'
    >>> difference(Table.of(64), Images(1, 8, 8), names=("a.csv", "digits")) is None
    True
    """
    name, other = names
    if isinstance(schema, Images) and isinstance(data, Images) and schema != data:
        return f"{name} holds images of shape {schema.shape} and {other} of {data.shape}; bring them to one size"
    if schema.dimension != data.dimension:
        return f"{name} has {schema.dimension} coordinates and {other} has {data.dimension}"
    if isinstance(schema, Images) and isinstance(data, Table):
        return f"{name} holds images, scaled to [0, 1], and {other} rows of numbers: give both in one form"
    if schema.names and data.names and schema.names != data.names:
        return (
            f"{name} has the columns {', '.join(schema.names)} and {other} has {', '.join(data.names)}; bring them into "
            "one order, under the same names"
        )
    return None


def schema_from(value: dict[str, Any]) -> Schema:
    """The schema that `dataclasses.asdict` made this of, as config.json keeps it.

    Raises:
        KeyError, TypeError: it is none.
    """
    if "mixed" in value:
        from contrastive_entropy.data.mixed import mixed_from

        return mixed_from(value)
    if "columns" in value:
        return Table(tuple(_column(column) for column in value["columns"]), bool(value["named"]))
    return Images(**value)


def _column(value: dict[str, Any]) -> Column:
    return Column(**{**value, "levels": tuple(value.get("levels", ()))})


def image_shape_of(schema: Schema) -> tuple[int, int, int] | None:
    """(channels, height, width) of images, else None."""
    return schema.shape if isinstance(schema, Images) else None
