"""What is predicted and what it is predicted from: columns of a table, or images and their classes."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.schema import Column, Images, Table
from contrastive_entropy.errors import InputError, suggestion

IMAGE, CLASS = "image", "class"
"""What images with classes have in the place of columns."""


def parted(dataset: Dataset, *, target: str | None = None, given: str | None = None) -> Dataset:
    """The same rows, with the target columns as points and others as conditions; images are given their class.

    Args:
        dataset: a table, or images with classes.
        target: columns to predict, by name or by number from 0, with commas between; None is the last one. Of images,
            `IMAGE`, or None.
        given: columns to predict from, likewise; None is all others. Of images, `CLASS`, or None.

    Returns:
        Dataset with `given` in its parts and `given_schema`; a class is given as its number, (n, 1).

    Raises:
        InputError: images without classes, no such column, a column named twice, or nothing left to predict from.

    >>> import torch
    >>> found = parted(Dataset.of("zeros", torch.zeros(20, 3), torch.zeros(10, 3)), target="1")
    >>> found.schema.dimension, found.given_schema.dimension
    (1, 2)
    """
    schema = dataset.schema
    if isinstance(schema, Images):
        return _with_classes(dataset, target, given)
    assert isinstance(schema, Table)
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


def some_given(dataset: Dataset, count: int, *, generator: torch.Generator) -> Tensor:
    """(count, k) conditions of training rows, drawn at random with replacement."""
    given = dataset.train.given
    assert given is not None
    return given[torch.randint(len(given), (count,), generator=generator)]


def pairs_of(text: str, setting: str, right: str, *, last: bool = False) -> dict[str, str]:
    """NAME=VALUE with commas between, by name.

    Args:
        text: what was typed.
        setting: by its name, for the message.
        right: what stands on the right, for the message.
        last: names may hold an equals sign, and the last one parts; else the first does.

    Raises:
        InputError: not of that form, or a name twice.

    >>> pairs_of("class=cat, age=3", "given", "VALUE")
    {'class': 'cat', 'age': '3'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in (part.rpartition("=") if last else part.partition("=")))
        if not (name and equals and value) or name in found:
            raise InputError(f"`{setting}` must be NAME={right}, each name once, with commas between; got {text!r}")
        found[name] = value
    return found


def conditions_of(values: Mapping[str, float | str], schema: Table) -> Tensor:
    """One condition from values by name.

    Args:
        values: of every column, a number or the name of a class.
        schema: of the conditions.

    Returns:
        (1, k) float32, encoded.

    Raises:
        InputError: a column is missing or unknown, or a value cannot be used.

    >>> conditions_of({"class": "cat"}, Table((Column("class", "category", levels=("cat", "dog")),), named=True))
    tensor([[0.]])
    """
    known = [column.name for column in schema.columns]
    for name in values:
        if name not in known:
            raise InputError(f"`given`: no column {name!r}{suggestion(name, known)} (known: {', '.join(known)})")
    if missing := [name for name in known if name not in values]:
        raise InputError(f"`given` lacks {', '.join(missing)}: every column needs a value, as {known[0]}=VALUE")
    found = [[_value(values[column.name], column) for column in schema.columns]]
    return schema.encode(torch.tensor(found, dtype=torch.float64))


def _value(value: float | str, column: Column) -> float:
    if column.levels:
        text = str(value)
        if text not in column.levels:
            raise InputError(
                f"`given`: {column.name} has no value {text!r}{suggestion(text, column.levels)} "
                f"(known: {', '.join(column.levels[:20])})"
            )
        return float(column.levels.index(text))
    try:
        number = float(value)
    except (ValueError, TypeError):
        raise InputError(f"`given`: {column.name} must be a number, got {value!r}") from None
    if not abs(number) <= torch.finfo(torch.float32).max:
        raise InputError(f"`given`: {column.name} must be a finite number that float32 holds, got {value!r}")
    return number


def _with_classes(dataset: Dataset, target: str | None, given: str | None) -> Dataset:
    classes, parts = dataset.classes, (dataset.train, dataset.held_out)
    if classes is None or any(part.labels is None for part in parts):
        raise InputError(
            f"{dataset.name} holds images without classes, so nothing is given; `fit generator` learns them"
        )
    if target == CLASS:
        raise InputError(f"`target` {CLASS}: a classifier tells the class of an image; here images are made of a class")
    for setting, value, expected in (("target", target, IMAGE), ("given", given, CLASS)):
        if value not in (None, expected):
            raise InputError(f"`{setting}` of images is {expected}, got {value!r}")
    train, held_out = (dataclasses.replace(part, given=part.labels.unsqueeze(1).float()) for part in parts)  # type: ignore[union-attr]
    schema = Table((Column(CLASS, "category", levels=classes),), named=True)
    return dataclasses.replace(dataset, train=train, held_out=held_out, given_schema=schema)


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
