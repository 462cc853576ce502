"""What is predicted and what it is predicted from: the columns of a table as conditions and targets."""

import dataclasses
from collections.abc import Sequence

from torch import Tensor

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.schema import Images, Table
from contrastive_entropy.errors import InputError, suggestion


def parted(dataset: Dataset, *, target: str | None = None, given: str | None = None) -> Dataset:
    """The same rows, with the target columns as points and others as conditions.

    Args:
        dataset: a table.
        target: columns to predict, by name or by number from 0, with commas between; None is the last one.
        given: columns to predict from, likewise; None is all others.

    Returns:
        Dataset with `given` in its parts and `given_schema`.

    Raises:
        InputError: images, no such column, a column named twice, or nothing left to predict from.

    >>> import torch
    >>> found = parted(Dataset.of("zeros", torch.zeros(20, 3), torch.zeros(10, 3)), target="1")
    >>> found.schema.dimension, found.given_schema.dimension
    (1, 2)
    """
    schema = dataset.schema
    if isinstance(schema, Images):
        raise InputError(f"{dataset.name} holds images; conditional densities are of the columns of a table so far")
    targets = [schema.dimension - 1] if target is None else _columns(schema, target, "target", dataset.name)
    if given is None:
        conditions = [index for index in range(schema.dimension) if index not in targets]
    else:
        conditions = _columns(schema, given, "given", dataset.name)
    for index in conditions:
        if index in targets:
            raise InputError(f"{schema.label(index)} is in `target` and in `given`: leave it out of one")
    if not conditions:
        raise InputError(
            f"{dataset.name} has no columns but the target's, so there is nothing to predict from; a generator learns the "
            "law of columns without conditions"
        )
    first, second = (
        dataclasses.replace(schema, columns=tuple(schema.columns[index] for index in chosen))
        for chosen in (targets, conditions)
    )
    train, held_out = (_part(part, targets, conditions) for part in (dataset.train, dataset.held_out))
    return Dataset(dataset.name, train, held_out, first, second)


def _part(part: Part, targets: Sequence[int], conditions: Sequence[int]) -> Part:
    points: Tensor = part.points
    return Part(points[:, targets].contiguous(), points[:, conditions].contiguous(), part.labels)


def _columns(table: Table, text: str, setting: str, name: str) -> list[int]:
    """Indices of columns by name or number."""
    names = list(table.names or ())
    found: list[int] = []
    for part in (part.strip() for part in text.split(",")):
        if part in names:
            index = names.index(part)
        elif part.isdecimal() and int(part) < table.dimension:
            index = int(part)
        else:
            known = (
                f"the columns are {', '.join(names[:20])}" if names else f"they count from 0 to {table.dimension - 1}"
            )
            raise InputError(f"`{setting}`: {name} has no column {part!r}{suggestion(part, names)}; {known}")
        if index in found:
            raise InputError(f"`{setting}` names {table.label(index)} twice")
        found.append(index)
    return found
