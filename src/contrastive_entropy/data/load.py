"""Data sets behind one function: embedded digits, toy laws, images of the hub, and the user's own files."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.arrays import map_points
from contrastive_entropy.data.builtin import embedded_digits, stacked_digits
from contrastive_entropy.data.dataset import HELD_OUT, MOST_HELD_OUT, Dataset, split
from contrastive_entropy.data.frames import Frame, headers_of
from contrastive_entropy.data.hub import HUB, PREFIX, load_images
from contrastive_entropy.data.laws import LAWS, ROWS
from contrastive_entropy.data.points import read_points
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading, ignored, shared_out
from contrastive_entropy.data.scales import Points
from contrastive_entropy.data.schema import Images, Schema, Table, difference
from contrastive_entropy.data.toys import TOYS, sample_toy
from contrastive_entropy.errors import InputError, suggestion

STACKED = "stacked_mnist"
"""Three digits of MNIST, one per colour."""


def load(
    source: str | Path,
    *,
    seed: int = 0,
    held_out: float = HELD_OUT,
    data_root: str | Path | None = None,
    points: int | None = None,
    standardize: bool = False,
    header: bool | None = None,
    images: ImageReading = AS_THEY_ARE,
    frame: Frame | None = None,
) -> Dataset:
    """Load a data set by name or path.

    Args:
        source: `digits`; a toy of `TOYS`; a table of `LAWS`; a data set of `HUB`; `stacked_mnist`; hub:owner/name, images
            of the hub; or a path to an array or a table with one point per row, or to a folder of images of one size: see
            `read_points`.
        seed: of the toys' draws and of the split of files, from 0; `digits` is always split the same way.
        held_out: share of a file's points that is held out, in (0, 1); at least 1 point and at most 10,000.
        data_root: folder of copies of hub data sets (`mnist`), each in a folder of its name; None takes the hub.
        points: how many of the training points are taken, drawn with the seed; None is all. At least 10.
        standardize: shift and scale every column to mean 0 and deviation 1 over the training points, in float64; constant
            columns become 0.
        header: whether the first line of a table holds the columns' names; None tells from the lines.
        images: how a folder of images is read.
        frame: the table in the file, where it was read already.

    Returns:
        Dataset. Toys have 10,000 + 5,000 points in the plane (modes1200: in 1,200 dimensions), digits 1,297 + 500 images of
        8 x 8, mnist its own two parts.

    Raises:
        InputError: no such name or file, a file whose content cannot be used, a `data_root`, a `header` or a way to read
            images that would be ignored, or images to standardize: their pixels share one scale.

    >>> load("moons").train.points.shape
    torch.Size([10000, 2])
    """
    name = str(source)
    _check_seed(seed)
    if points is not None and points < 10:
        raise InputError(f"`points` must be at least 10, got {points}")
    if not 0 < held_out < 1:
        raise InputError(f"`held_out` must lie in (0, 1), got {held_out}")
    if standardize:
        _refuse_images(name)
    _refuse_root(data_root, name)
    readings_of(images, name)
    headers_of(header, name)
    if name not in names() and not name.startswith(PREFIX):
        dataset = _read(name, seed, held_out, frame=frame, double=standardize, header=header, images=images)
    else:
        dataset = _known(name, seed, held_out, data_root, points)
    if points is not None and points < len(dataset.train):
        order = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(seed))
        dataset = dataclasses.replace(dataset, train=dataset.train.rows(order[:points].sort().values))
    return _standardized(dataset) if standardize else _shifted(dataset)


def _known(name: str, seed: int, held_out: float, data_root: str | Path | None, points: int | None) -> Dataset:
    """A data set that needs no file; of the hub's images, only so many points are read, and of the stacked ones drawn."""
    if name == "digits":
        return embedded_digits()
    if name in TOYS:
        train, test = (sample_toy(name, count, seed=2 * seed + part) for part, count in enumerate((10_000, 5_000)))
        return Dataset.of(name, train, test)
    if name in LAWS:
        train, test = (
            torch.cat(LAWS[name].draw(count, seed=2 * seed + part), 1).float() for part, count in enumerate(ROWS)
        )
        return Dataset.of(name, train, test, Table.of(train.shape[1], LAWS[name].names))
    if name == STACKED:
        return stacked_digits(_hub("mnist", data_root, seed, HELD_OUT, None), STACKED, seed, points)
    return _hub(name, data_root, seed, held_out, points)


def _read(name: str, seed: int, held_out: float, **how: Any) -> Dataset:
    """A file, split; the keywords are those of `read_points`."""
    if not _exists(name):
        raise InputError(_not_found(name))
    rows, schema = read_points(Path(name), **how)
    train, test = (rows[index] for index in split(name, len(rows), held_out=held_out, most=MOST_HELD_OUT, seed=seed))
    return Dataset.of(name, train, test, schema)


def _standardized(dataset: Dataset) -> Dataset:
    if not isinstance(dataset.schema, Table):
        raise _images_refused(dataset.name)
    return _encoded(dataset, dataset.schema.standardizing(dataset.train.points))


def _shifted(dataset: Dataset) -> Dataset:
    """In single precision, without the offsets that it could not hold."""
    if not isinstance(dataset.schema, Table) or dataset.train.points.dtype == torch.float32:
        return dataset
    return _encoded(dataset, dataset.schema.shifting(dataset.train.points))


def _encoded(dataset: Dataset, schema: Table) -> Dataset:
    train, held_out = (
        dataclasses.replace(part, points=schema.encode(part.points)) for part in (dataset.train, dataset.held_out)
    )
    return dataclasses.replace(dataset, train=train, held_out=held_out, schema=schema)


def load_points(
    source: str | Path,
    *,
    seed: int = 0,
    data_root: str | Path | None = None,
    double: bool = False,
    header: bool | None = None,
    images: ImageReading = AS_THEY_ARE,
    frame: Frame | None = None,
) -> tuple[Points, Schema]:
    """All points of a file, or the training part of a named data set, to be read in slices.

    Args:
        source, seed, data_root, header, images, frame: as in `load`.
        double: points of a file as float64, which they are in any case where float32 would blur a column.

    Returns:
        (n, d) floating point, a tensor, or a memory map for an .npy file of points; and their schema.

    Raises:
        InputError: as `load`.
    """
    name = str(source)
    if name in names() or name.startswith(PREFIX) or not _exists(name):
        dataset = load(source, seed=seed, data_root=data_root, header=header, images=images)
        return dataset.train.points, dataset.schema
    _check_seed(seed)
    _refuse_root(data_root, name)
    readings_of(images, name)
    headers_of(header, name)
    mapped = None if double else map_points(Path(source))
    if mapped is not None:
        return mapped, Table.of(mapped.shape[1])
    return read_points(Path(source), double=double, header=header, images=images, frame=frame)


def load_pair(
    source: str,
    against: str | None,
    *,
    seed: int = 0,
    data_root: str | Path | None = None,
    standardize: bool = False,
    header: bool | None = None,
    images: ImageReading = AS_THEY_ARE,
) -> tuple[Points, Points | None, Schema]:
    """All points of a data set and of another one to compare it with, and the schema of the first.

    Args:
        source, against, seed, data_root: as in `load_points`; None compares with nothing.
        standardize: both to mean 0 and deviation 1 of the first one's columns; else its offsets are taken off both, where
            float32 would blur a column.
        header: of both, as in `load`.
        images: how folders of images are read; the subfolders are those of the first.

    Raises:
        InputError: as `load`, `refuse_unlike` and, standardized, `Table.encode`.
    """
    if standardize:
        _refuse_images(source)
    sources = [source] if against is None else [source, against]
    roots, readings, headers = (
        roots_of(data_root, *sources), readings_of(images, *sources), headers_of(header, *sources)
    )  # fmt: skip
    p, schema = load_points(
        source, seed=seed, data_root=roots[0], double=standardize, header=headers[0], images=readings[0]
    )
    if standardize and isinstance(schema, Images):
        raise _images_refused(source)
    if isinstance(schema, Table):
        schema = schema.standardizing(torch.as_tensor(p)) if standardize else schema.shifting(p)
    double = schema.standardized or schema.shifted
    q = None
    if against is not None:
        q, other = load_points(
            against, seed=seed, data_root=roots[-1], double=double, header=headers[-1], images=readings[-1]
        )
        if isinstance(schema, Images) and isinstance(other, Table) and schema.dimension == other.dimension:
            refuse_unlike(q, other, schema, names=(against, source))  # rows of numbers may be the pixels of images
        else:
            refuse_unlike(p, schema, other, names=(source, against))
    if double:
        q = None if q is None else _single(q, schema, str(against))
        p = _single(p, schema)
    elif isinstance(q, Tensor):
        q = q.float()
    return p, q, schema


def _single(points: Points, schema: Schema, name: str | None = None) -> Tensor:
    """Encoded in float32, a memory map by and by."""
    if isinstance(points, Tensor):
        return schema.encode(points, name)
    slices = (points[start : start + 65_536] for start in range(0, len(points), 65_536))
    return torch.cat([schema.encode(torch.from_numpy(np.array(part)), name) for part in slices])


def refuse_unlike(points: Points, schema: Schema, data: Schema, *, names: tuple[str, str]) -> None:
    """Refuse points that cannot be compared with data.

    Args:
        points: (n, d).
        schema: of the points.
        data: of the data, which may be images where the points are rows of their pixels.
        names: of the points and of the data, for the message.

    Raises:
        InputError: a `difference` of the schemas, or values far outside the range of images.
    """
    if (text := difference(schema, data, names=names)) is not None:
        raise InputError(text)
    if isinstance(data, Images) and isinstance(schema, Table):
        low, high = float(points.min()), float(points.max())
        if not -0.5 <= low <= high <= 1.5:
            raise InputError(
                f"{names[1]} holds images in [0, 1], channels first, and {names[0]} values from {low:.4g} to {high:.4g}; "
                "bring them to that range"
            )


def names() -> list[str]:
    """The data sets that need no file."""
    return ["digits", *TOYS, *LAWS, *HUB, STACKED]


def holds_images(name: str) -> bool:
    """Whether a data set is known by its name to hold images."""
    return name == "digits" or on_hub(name)


def ignored_reading(name: str) -> dict[str, str]:
    """The settings of `ImageReading` that would do nothing for a data set, and why."""
    return ignored(name, known=name in names() or name.startswith(PREFIX))


def readings_of(images: ImageReading, *names: str) -> list[ImageReading]:
    """How each data set is read, as `reading.shared_out` has it."""
    return shared_out(images, [ignored_reading(name) for name in names])


def on_hub(name: str) -> bool:
    """Whether a data set is read from the hub, or from a copy in a `data_root`."""
    return name in (*HUB, STACKED) or name.startswith(PREFIX)


def located(source: str) -> str:
    """The name of a data set as it is, or the absolute path of a file."""
    return source if source in names() or source.startswith(PREFIX) else str(Path(source).absolute())


def roots_of(data_root: str | Path | None, *names: str) -> list[str | Path | None]:
    """The folder of copies for each data set that is on the hub, and None for the others.

    Raises:
        InputError: there is a folder, and no data set is on the hub.
    """
    _refuse_root(data_root, *names)
    return [data_root if on_hub(name) else None for name in names]


def _hub(name: str, data_root: str | Path | None, seed: int, held_out: float, points: int | None) -> Dataset:
    root = None if data_root is None else Path(data_root)
    train, test, schema, classes = load_images(
        name, root, points=points, held_out=held_out, most_held_out=MOST_HELD_OUT, seed=seed
    )
    return Dataset(name, train, test, schema, classes=classes)


def _refuse_images(name: str) -> None:
    """Refuse what is known by its name to hold images before it is loaded."""
    if holds_images(name):
        raise _images_refused(name)


def _images_refused(name: str) -> InputError:
    return InputError(f"{name} holds images, whose pixels share one scale: leave `standardize` out")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise InputError(f"`seed` must lie from 0 to 2^63 - 1, got {seed}")


def _refuse_root(data_root: str | Path | None, *names: str) -> None:
    if data_root is not None and not any(map(on_hub, names)):
        raise InputError(
            f"`data_root` is for copies of data sets of the hub, and {' and '.join(names)} "
            f"{'is none' if len(names) == 1 else 'are none'}: leave it out"
        )


def _exists(name: str) -> bool:
    try:
        Path(name).stat()
    except PermissionError as error:
        raise InputError(f"{name}: permission denied") from error
    except (OSError, ValueError):  # none, too long for a name, or with a null character
        return False
    return bool(name)


def _not_found(name: str) -> str:
    looks_like_path = "/" in name or "\\" in name or Path(name).suffix
    if looks_like_path:
        return f"no such file or folder: {name}"
    known = f"{', '.join(names())}, {PREFIX}owner/name"
    return f"no data set named {name!r}{suggestion(name, names())}; known are {known}, or give a path"
