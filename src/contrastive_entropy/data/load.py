"""Data sets behind one function: embedded digits, toy laws with exact samplers, and the user's own files."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.files import HELD_OUT, column_names, map_points, read_points, split
from contrastive_entropy.data.hub import HUB, PREFIX, load_images
from contrastive_entropy.data.schema import Images, Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.variance.choice import neighbor_variance

UNEVEN = 10.0
"""Ratio of columns' standard deviations beyond which one variance does not suit them all."""

MOST_HELD_OUT = 10_000
"""Points that are held out at most."""


def load(
    source: str | Path,
    *,
    seed: int = 0,
    held_out: float = HELD_OUT,
    data_root: str | Path | None = None,
    points: int | None = None,
    standardize: bool = False,
) -> Dataset:
    """Load a data set by name or path.

    Args:
        source: `digits`; a toy of `TOYS`; a data set of `HUB`; `stacked_mnist`; hub:owner/name, images of the hub; or a
            path to .npy, .npz, .csv or .parquet with one point per row, or to a folder of images of one size: see
            `files.read_points`.
        seed: of the toys' draws and of the split of files, from 0; `digits` is always split the same way.
        held_out: share of a file's points that is held out, in (0, 1); at least 1 point and at most 10,000.
        data_root: folder of copies of hub data sets (`mnist`), each in a folder of its name; None takes the hub.
        points: how many of the training points are taken, drawn with the seed; None is all. At least 10.
        standardize: shift and scale every coordinate to mean 0 and deviation 1 over the training points, in float64; those
            that are constant become 0.

    Returns:
        Dataset. Toys have 10,000 + 5,000 points in the plane (modes1200: in 1,200 dimensions), digits
        1,297 + 500 images of 8 x 8, mnist its own two parts.

    Raises:
        InputError: no such name or file, a file whose content cannot be used, or a data_root that would be ignored; the
            message says where and why. Images are not standardized: their pixels share one scale.

    >>> load("moons").train.points.shape
    torch.Size([10000, 2])
    """
    name = str(source)
    _check_seed(seed)
    if points is not None and points < 10:
        raise InputError(f"points must be at least 10, got {points}")
    if not 0 < held_out < 1:
        raise InputError(f"held_out must lie in (0, 1), got {held_out}")
    if standardize:
        _refuse_images(name)
    _refuse_root(data_root, name)
    dataset = _loaded(name, seed, held_out, data_root, points, double=standardize)
    return _standardized(dataset) if standardize else dataset


def _loaded(
    name: str, seed: int, held_out: float, data_root: str | Path | None, points: int | None, *, double: bool
) -> Dataset:
    if name == "digits":
        return _subset(_digits(), points, seed)
    if name in TOYS:
        train, test = (sample_toy(name, count, seed=2 * seed + part) for part, count in enumerate((10_000, 5_000)))
        return _subset(Dataset.of(name, train, test), points, seed)
    if name in HUB or name.startswith(PREFIX):
        return _hub(name, data_root, seed, held_out, points)
    if name == STACKED:
        return _stacked(data_root, seed, points)
    if not _exists(name):
        raise InputError(_not_found(name))
    rows, image_shape = read_points(Path(name), double=double)
    train, test = split(name, len(rows), held_out=held_out, most=MOST_HELD_OUT, seed=seed)
    schema = Images(*image_shape) if image_shape else Table.of(rows.shape[1], column_names(Path(name)))
    return _subset(Dataset.of(name, rows[train], rows[test], schema), points, seed)


def _standardized(dataset: Dataset) -> Dataset:
    _refuse_images(dataset.name, dataset.image_shape)
    assert isinstance(dataset.schema, Table)
    schema = dataset.schema.standardizing(dataset.train.points)
    train, held_out = (
        dataclasses.replace(part, points=schema.encode(part.points)) for part in (dataset.train, dataset.held_out)
    )
    return dataclasses.replace(dataset, train=train, held_out=held_out, schema=schema)


def _refuse_images(name: str, image_shape: tuple[int, int, int] | None = None) -> None:
    """Raise InputError for what has the shape of images, or is known by its name to be some before it is loaded."""
    if image_shape is not None or name == "digits" or on_hub(name):
        raise InputError(f"{name} holds images, whose pixels share one scale: leave standardize out")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise InputError(f"seed must lie from 0 to 2^63 - 1, got {seed}")


def roots_of(data_root: str | Path | None, *names: str) -> list[str | Path | None]:
    """The folder of copies for each of the data that is of the hub, None for the others.

    Raises:
        InputError: none is of the hub, and there is a folder.
    """
    _refuse_root(data_root, *names)
    return [data_root if on_hub(name) else None for name in names]


def _refuse_root(data_root: str | Path | None, *names: str) -> None:
    if data_root is not None and not any(map(on_hub, names)):
        raise InputError(
            f"data_root is for copies of data sets of the hub, and {' and '.join(names)} "
            f"{'is none' if len(names) == 1 else 'are none'}: leave it out"
        )


def coarseness(points: Tensor) -> str | None:
    """A warning where float32 points (n, d) lie so far from 0 that rounding moves them by a hundredth of a deviation."""
    if points.dtype != torch.float32:
        return None
    deviation, mean = torch.std_mean(points, 0)
    step = torch.finfo(torch.float32).eps * mean.abs()
    coarse = ((deviation > 0) & (step > 0.01 * deviation)).nonzero().flatten().tolist()
    if not coarse:
        return None
    return (
        f"column {coarse[0]}, counted from 0, lies near {mean[coarse[0]]:.4g} with a deviation of "
        f"{deviation[coarse[0]]:.3g}, where single precision has steps of {step[coarse[0]]:.2g}: subtract an offset from "
        "it, or give --standardize (in Python: standardize=True)"
    )


def unevenness(dataset: Dataset) -> str | None:
    """A warning where the columns' standard deviations are too different for one variance, or `coarseness`; else None."""
    if dataset.image_shape is not None:
        return None
    coarse = coarseness(dataset.train.points)
    if coarse is not None or dataset.dimension < 2:
        return coarse
    deviations = dataset.train.points.double().std(0)
    varied = deviations[deviations > 0]
    low, high = (float(edge) for edge in varied.aminmax()) if len(varied) else (0.0, 0.0)
    if high <= UNEVEN * low:
        return None
    return (
        f"the columns' standard deviations range from {low:.3g} to {high:.3g}, and one variance serves all: the kernel "
        "sees little of the small ones; if they have units of their own, --standardize brings them to one scale (in "
        "Python: standardize=True)"
    )


def on_hub(name: str) -> bool:
    """Whether a data set is read from the hub, or from a copy in a `data_root`."""
    return name in (*HUB, STACKED) or name.startswith(PREFIX)


def names() -> list[str]:
    """The data sets that need no file."""
    return ["digits", *TOYS, *HUB, STACKED]


Points = Tensor | np.ndarray


def load_points(
    source: str | Path, *, seed: int = 0, data_root: str | Path | None = None, double: bool = False
) -> tuple[Points, tuple[int, int, int] | None]:
    """All points of a file, or the training part of a named data set, to be read in slices.

    Args:
        source, seed, data_root: as in `load`.
        double: points of a file as float64.

    Returns:
        (n, d) floating point, a tensor, or a memory map for an .npy file of points; and (channels, height, width) if the
        points are images.

    Raises:
        InputError: as `load`.
    """
    name = str(source)
    if name in names() or name.startswith(PREFIX) or not _exists(name):
        dataset = load(source, seed=seed, data_root=data_root)
        return dataset.train.points, dataset.image_shape
    _check_seed(seed)
    _refuse_root(data_root, name)
    mapped = None if double else map_points(Path(source))
    return read_points(Path(source), double=double) if mapped is None else (mapped, None)


@dataclass(frozen=True)
class Form:
    """What points are, for `refuse_unlike`.

    Args:
        name: where they are from.
        dimension: of their coordinates.
        image_shape: (channels, height, width) if they are images, else None.
        columns: names of the coordinates, or None.
    """

    name: str
    dimension: int
    image_shape: tuple[int, int, int] | None
    columns: tuple[str, ...] | None

    @classmethod
    def of(cls, source: str, points: Points, image_shape: tuple[int, int, int] | None) -> "Form":
        """Of what `load_points` returned for a source."""
        table = image_shape is None and source not in names() and Path(source).is_file()
        return cls(source, points.shape[1], image_shape, column_names(Path(source)) if table else None)


def refuse_unlike(points: Points, form: Form, data: Form) -> None:
    """Points of as many coordinates that cannot be compared with data.

    Args:
        points: (n, d).
        form: theirs.
        data: the others', which may be images where these are rows of their pixels.

    Raises:
        InputError: they are of another shape, kind, range or order of columns.
    """
    if data.image_shape and form.image_shape and form.image_shape != data.image_shape:
        raise InputError(
            f"{form.name} holds images of shape {form.image_shape} and {data.name} of {data.image_shape}; bring them to "
            "one size"
        )
    if form.image_shape and not data.image_shape:
        raise InputError(
            f"{form.name} holds images, scaled to [0, 1], and {data.name} rows of numbers: give both in one form"
        )
    if form.columns and data.columns and form.columns != data.columns:
        raise InputError(
            f"{form.name} has the columns {', '.join(form.columns)} and {data.name} has {', '.join(data.columns)}; bring "
            "them into one order, under the same names"
        )
    if data.image_shape and not form.image_shape and not -0.5 <= float(points.min()) <= float(points.max()) <= 1.5:
        raise InputError(
            f"{data.name} holds images in [0, 1], channels first, and {form.name} values from {float(points.min()):.4g} "
            f"to {float(points.max()):.4g}; bring them to that range"
        )


def load_pair(
    source: str, against: str | None, *, seed: int = 0, data_root: str | Path | None = None, standardize: bool = False
) -> tuple[Points, Points | None, tuple[int, int, int] | None]:
    """All points of a data set and of another one to compare it with, and the shape of the first if they are images.

    Args:
        source, against, seed, data_root: as in `load_points`; None compares with nothing.
        standardize: both to mean 0 and deviation 1 of the first one's columns.

    Raises:
        InputError: as `load`, `refuse_unlike` and, standardized, `Table.encode`.
    """
    if standardize:
        _refuse_images(source)
    sources = [source] if against is None else [source, against]
    roots = roots_of(data_root, *sources)
    p, shape = load_points(source, seed=seed, data_root=roots[0], double=standardize)
    q = None
    if against is not None:
        q, other_shape = load_points(against, seed=seed, data_root=roots[-1], double=standardize)
        form, other = Form.of(source, p, shape), Form.of(against, q, other_shape)
        if form.dimension != other.dimension:
            raise InputError(f"{source} has {form.dimension} coordinates and {against} has {other.dimension}")
        refuse_unlike(*((p, form, other) if other_shape and not shape else (q, other, form)))
    if standardize:
        _refuse_images(source, shape)
        schema = Table.of(p.shape[1]).standardizing(torch.as_tensor(p))
        q = None if q is None else schema.encode(torch.as_tensor(q), str(against))
        p = schema.encode(torch.as_tensor(p))
    return p, q, shape


NOWHERE_NEAR = "no point of one set is near any of the other at this variance; set a larger --variance"
"""What is said of two sets without a pair that the kernel sees."""


def default_variance(points: Points, name: str) -> float:
    """What `fit` would anneal down to, from 20,000 of the points.

    Raises:
        InputError: the points are constant or mostly duplicates.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(points))[:20_000])
    subset = torch.as_tensor(np.asarray(points[chosen]) if isinstance(points, np.ndarray) else points[chosen])
    try:
        return neighbor_variance(subset)
    except ValueError as error:
        raise InputError(f"{name}: {error}; or set --variance") from error


def sample_toy(name: str, count: int, *, seed: int) -> Tensor:
    """Draw exactly from a toy law.

    Args:
        name: of `TOYS`.
        count: n.
        seed: of the draw.

    Returns:
        (n, d) float32, d = 2 but for modes1200.

    Raises:
        InputError: no such toy.
    """
    if name not in TOYS:
        raise InputError(f"no toy law named {name!r}{suggestion(name, TOYS)}; there are {', '.join(TOYS)}")
    return torch.from_numpy(TOYS[name](count, np.random.default_rng(seed)).astype(np.float32))


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = difflib.get_close_matches(name.replace("-", "_").lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def toy_modes(name: str) -> tuple[Tensor, float]:
    """The modes of a toy law for mode coverage, and how far from one a sample is still of high quality.

    Args:
        name: of `MODES`.

    Returns:
        (m, d) centers, and 3 standard deviations; for modes1200, 3 standard deviations of the distance of its points from
        their mode above the mean of that distance: sqrt(700) + 3 / sqrt(2) deviations of a coordinate.

    Raises:
        InputError: a law without separate modes.
    """
    if name not in TOYS:
        raise InputError(
            f"no toy law named {name!r}{suggestion(name, MODES)}; those of separate modes are {', '.join(MODES)}"
        )
    if name not in MODES:
        raise InputError(f"{name} has no separate modes; those that have are {', '.join(MODES)}")
    if name == "ring8":
        angle = np.pi / 4 * np.arange(8)
        centers, radius = np.stack([np.cos(angle), np.sin(angle)], 1), 3 * 0.01
    elif name == "grid25":
        centers, radius = 2.0 * (np.stack(np.divmod(np.arange(25), 5), 1) - 2), 3 * 0.05
    else:
        centers, radius = _frame1200()[0], 0.5 * (700**0.5 + 3 / 2**0.5)
    return torch.from_numpy(centers), radius


# Toy laws: (count, generator) -> (count, d)


def _moons(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = np.pi * rng.random(count)
    lower = rng.random(count) < 0.5
    points = np.where(lower, [1 - np.cos(angle), 0.5 - np.sin(angle)], [np.cos(angle), np.sin(angle)]).T
    return points + 0.05 * rng.standard_normal((count, 2))


def _circles(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = 2 * np.pi * rng.random(count)
    radius = np.where(rng.random(count) < 0.5, 0.5, 1.0)
    return (radius * [np.cos(angle), np.sin(angle)]).T + 0.03 * rng.standard_normal((count, 2))


def _swissroll(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = 1.5 * np.pi * (1 + 2 * rng.random(count))
    return (angle * [np.cos(angle), np.sin(angle)]).T / 10 + 0.03 * rng.standard_normal((count, 2))


def _ring8(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = np.pi / 4 * rng.integers(8, size=count)
    return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.01 * rng.standard_normal((count, 2))


def _grid25(count: int, rng: np.random.Generator) -> np.ndarray:
    return 2.0 * rng.integers(-2, 3, size=(count, 2)) + 0.05 * rng.standard_normal((count, 2))


def _pinwheel(count: int, rng: np.random.Generator) -> np.ndarray:
    along = 1 + 0.3 * rng.standard_normal(count)
    across = 0.1 * rng.standard_normal(count)
    angle = 2 * np.pi / 5 * rng.integers(5, size=count) + 0.25 * np.exp(along)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([along * cos - across * sin, along * sin + across * cos], 1)


def _checkerboard(count: int, rng: np.random.Generator) -> np.ndarray:
    column = rng.integers(4, size=count)
    row = 2 * rng.integers(2, size=count) + column % 2
    return np.stack([column, row], 1) - 2 + rng.random((count, 2))


@functools.cache
def _frame1200() -> tuple[np.ndarray, np.ndarray]:
    """Ten centers in 1,200 dimensions and the 700 coordinates in which their points vary, the same in every draw."""
    rng = np.random.default_rng(1200)
    return rng.standard_normal((10, 1200)), rng.permutation(1200)[:700]


def _modes1200(count: int, rng: np.random.Generator) -> np.ndarray:
    centers, varied = _frame1200()
    points = centers[rng.integers(10, size=count)]
    points[:, varied] += 0.5 * rng.standard_normal((count, 700))
    return points


TOYS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "moons": _moons,
    "circles": _circles,
    "swissroll": _swissroll,
    "ring8": _ring8,
    "grid25": _grid25,
    "pinwheel": _pinwheel,
    "checkerboard": _checkerboard,
    "modes1200": _modes1200,
}
"""Toy laws by name, in the plane but for `modes1200`: ten 700-dimensional Gaussians (std .5) in 1,200 dimensions."""

MODES = ("ring8", "grid25", "modes1200")
"""Toy laws of separate modes (std .01, .05 and .5), the benchmarks of mode coverage."""


STACKED = "stacked_mnist"
"""Three digits of MNIST, one per colour."""


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.data / 16).float()
    labels = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, held_out = (Part(images[rows], labels=labels[rows]) for rows in (order[:1297], order[1297:]))
    return Dataset("digits", train, held_out, Images(1, 8, 8))


def _hub(name: str, data_root: str | Path | None, seed: int, held_out: float, points: int | None) -> Dataset:
    root = None if data_root is None else Path(data_root)
    train, test = load_images(name, root, points=points, held_out=held_out, most_held_out=MOST_HELD_OUT, seed=seed)
    _, channels, height, width = train.pixels.shape
    shape = (channels, height, width)
    if test.pixels.shape[1:] != train.pixels.shape[1:]:
        raise InputError(f"{name}: training images are {shape} and held-out ones {tuple(test.pixels.shape[1:])}")
    parts = [Part(part.pixels.flatten(1), labels=part.labels) for part in (train, test)]
    return Dataset(name, parts[0], parts[1], Images(*shape))


def _stacked(data_root: str | Path | None, seed: int, points: int | None) -> Dataset:
    """Three digits of MNIST drawn independently, one per colour: a thousand modes (arXiv 1611.02163)."""
    digits = _hub("mnist", data_root, seed, HELD_OUT, None)
    parts = []
    for index, (images, count) in enumerate(
        ((digits.train.points, points or len(digits.train)), (digits.held_out.points, len(digits.held_out)))
    ):
        generator = torch.Generator().manual_seed(2 * seed + index)
        parts.append(stacks(images, count, generator))
    assert digits.image_shape is not None
    return Dataset.of(STACKED, parts[0], parts[1], Images(3, *digits.image_shape[1:]))


def stacks(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Three images (n, d) each, drawn independently, one behind the other: (count, 3 d)."""
    return images[torch.randint(len(images), (count, 3), generator=generator)].flatten(1)


def _subset(dataset: Dataset, points: int | None, seed: int) -> Dataset:
    """So many of the training points."""
    if points is None or points >= len(dataset.train):
        return dataset
    chosen = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(seed))[:points].sort().values
    labels = None if dataset.train.labels is None else dataset.train.labels[chosen]
    return dataclasses.replace(dataset, train=Part(dataset.train.points[chosen], labels=labels))


def located(source: str) -> str:
    """A name as it is; a path from the root, so that it holds in any working folder."""
    return source if source in names() or source.startswith(PREFIX) else str(Path(source).absolute())


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
