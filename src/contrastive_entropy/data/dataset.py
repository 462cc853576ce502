"""Data sets: points to train on, points held out, and what their numbers are."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from contrastive_entropy.data.schema import Schema, Table, image_shape_of


@dataclass(frozen=True, eq=False)
class Part:
    """Points of one part of a data set.

    Args:
        points: (n, d) float32, encoded.
        given: (n, k) conditions that the user gives, encoded, or None.
        labels: (n,) int64 classes, or None.
    """

    points: Tensor
    given: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Args:
        name: what was loaded.
        train: to train on.
        held_out: not trained on.
        schema: of the points.
        given_schema: of the conditions, or None.
    """

    name: str
    train: Part
    held_out: Part
    schema: Schema
    given_schema: Schema | None = None

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

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) where the points are images, else None."""
        return image_shape_of(self.schema)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the points, so that changed data are noticed."""
        state = hashlib.sha256()
        for part in (self.train, self.held_out):
            state.update(part.points.contiguous().numpy().tobytes())
        return state.hexdigest()
