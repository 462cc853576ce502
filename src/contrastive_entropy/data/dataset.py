"""Data sets: points to train on, points held out, and what their numbers are."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.schema import Schema, Table, image_shape_of
from contrastive_entropy.errors import InputError

HELD_OUT = 0.2
"""Share of the points that is held out by default, where a data set has one part only."""

MOST_HELD_OUT = 10_000
"""Points that are held out at most."""

CODED = 10_000
"""Training images whose codes say where codes lie."""


@dataclass(frozen=True, eq=False)
class Part:
    """Points of one part of a data set.

    Args:
        points: (n, d) float32, encoded.
        given: (n, k) conditions that the user gives, encoded, or None.
        labels: (n,) int64 classes, or None.
        weights: (n,) of the rows, not negative; None: all are the same.
    """

    points: Tensor
    given: Tensor | None = None
    labels: Tensor | None = None
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)

    def rows(self, index: Tensor) -> "Part":
        """The points at an index (m,), with their conditions and labels."""
        others = (None if values is None else values[index] for values in (self.given, self.labels, self.weights))
        return Part(self.points[index], *others)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Args:
        name: what was loaded.
        train: to train on.
        held_out: not trained on.
        schema: of the points.
        given_schema: of the conditions, or None.
        classes: names of the labels 0, 1 ..., or None.
        notes: what was assumed of the data and should be said, a sentence each.
        coder: loads the `ImageCodes` in whose codes a model learns; None: it learns the points themselves.
    """

    name: str
    train: Part
    held_out: Part
    schema: Schema
    given_schema: Schema | None = None
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    coder: Callable[[], Any] | None = None

    @classmethod
    def of(cls, name: str, train: Tensor, held_out: Tensor, schema: Schema | None = None) -> "Dataset":
        """Points (n, d) and (m, d) without conditions or labels.

        Args:
            name: for messages.
            train, held_out: encoded by the schema.
            schema: None is a table of columns without names, as they are.

        >>> import torch
        >>> Dataset.of("zeros", torch.zeros(20, 3), torch.zeros(10, 3)).schema.dimension
        3
        """
        return cls(name, Part(train), Part(held_out), schema or Table.of(train.shape[1]))

    @property
    def dimension(self) -> int:
        """d of the points."""
        return self.schema.dimension

    @cached_property
    def learnt(self) -> Part:
        """Training points as a model sees them: where there is a coder, codes (n, k) of at most `CODED` of them."""
        if self.coder is None:
            return self.train
        some = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))[:CODED]
        part = self.train.rows(some)
        return replace(part, points=self.coder().codes_of(part.points))

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) where the points are images, else None."""
        return image_shape_of(self.schema)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the points and what they are given, so that changed data are noticed."""
        state = hashlib.sha256()
        for part in (self.train, self.held_out):
            for values in (part.points, part.given):
                if values is not None:
                    state.update(values.contiguous().numpy().tobytes())
        return state.hexdigest()


def split(name: str, count: int, *, held_out: float, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to hold out, drawn at random.

    Args:
        name: of the data, for messages.
        count: of the rows.
        held_out: share that is held out, of at least one row.
        most: rows that are held out at most.
        seed: of the draw.

    Returns:
        The indices of both.

    Raises:
        InputError: fewer than 10 rows.
    """
    if count < 10:
        raise InputError(f"{name}: {count} rows are too few to train and hold out; at least 10 are needed")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    few = min(most, max(1, round(held_out * count)), count - 1)
    return order[few:], order[:few]
