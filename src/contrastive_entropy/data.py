"""Data sets behind one function: embedded digits, toy laws with exact samplers, and the user's own files."""

import csv
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
FILE_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")


@dataclass(frozen=True)
class Dataset:
    """Points to train on and points held out.

    Args:
        name: what was loaded.
        train: (n, d) float32.
        test: (m, d) float32, held out.
        image_shape: (channels, height, width) where the points are images with values in [0, 1], else None.
        train_labels, test_labels: (n,) and (m,) int64 where there are classes, else None.
    """

    name: str
    train: Tensor
    test: Tensor
    image_shape: tuple[int, int, int] | None = None
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None

    @property
    def dimension(self) -> int:
        """D."""
        return self.train.shape[1]


def load(source: str | Path, *, seed: int = 0, held_out: float = 0.2) -> Dataset:
    """Load a data set by name or path.

    Args:
        source: `digits`; a toy of `TOYS`; or a path to .npy, .npz, .csv or .parquet with one point per row (arrays of
            shape (n, height, width), (n, channels, height, width) or (n, height, width, channels) are images), or to a
            folder of images of one size. A path with a separator or suffix is never taken for a name.
        seed: of the toys' draws and of the split of files; `digits` is always split the same way.
        held_out: share of a file's points that is held out, in (0, 1).

    Returns:
        Dataset. Toys have 10,000 + 5,000 points, digits 1,297 + 500 images of 8 x 8.

    Raises:
        InputError: no such name or file, or a file whose content cannot be used; the message says where and why.

    >>> load("moons").train.shape
    torch.Size([10000, 2])
    """
    name = str(source)
    if name == "digits":
        return _digits()
    if name in TOYS:
        return Dataset(name, sample_toy(name, 10_000, seed=2 * seed), sample_toy(name, 5_000, seed=2 * seed + 1))
    if not 0 < held_out < 1:
        raise InputError(f"held_out must lie in (0, 1), got {held_out}")
    path = Path(source)
    if not path.exists():
        raise InputError(_not_found(name))
    return _load_path(path, seed, held_out)


def names() -> list[str]:
    """The data sets that need no file."""
    return ["digits", *TOYS]


def sample_toy(name: str, count: int, *, seed: int) -> Tensor:
    """Draw exactly from a toy law.

    Args:
        name: of `TOYS`.
        count: n.
        seed: of the draw.

    Returns:
        (n, 2) float32.

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


# Toy laws: (count, generator) -> (count, 2)


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


TOYS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "moons": _moons,
    "circles": _circles,
    "swissroll": _swissroll,
    "ring8": _ring8,
    "grid25": _grid25,
    "pinwheel": _pinwheel,
    "checkerboard": _checkerboard,
}
"""Two-dimensional toy laws, by name; `grid25` and `ring8` are the mode-coverage benchmarks (std .05 and .01)."""


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.data / 16).float()
    labels = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:1297], order[1297:]
    return Dataset("digits", images[train], images[test], (1, 8, 8), labels[train], labels[test])


def _load_path(path: Path, seed: int, held_out: float) -> Dataset:
    if path.is_dir():
        points, image_shape = _read_image_folder(path)
    else:
        points, image_shape = _as_points(_read_file(path), path)
    if len(points) < 10:
        raise InputError(f"{path}: {len(points)} rows are too few to train and hold out; at least 10 are needed")
    bad = ~np.isfinite(points).all(1)
    if bad.any():
        where = np.flatnonzero(bad)
        shown = ", ".join(str(row) for row in where[:5]) + (", ..." if len(where) > 5 else "")
        raise InputError(
            f"{path}: {len(where)} of {len(points)} rows hold NaN or infinite values (rows {shown}, counted from 0); "
            "remove or fill them"
        )
    if np.abs(points).max() > np.finfo(np.float32).max:
        raise InputError(f"{path}: holds values beyond the range of float32 (3.4e38); rescale the columns")
    tensor = torch.from_numpy(points.astype(np.float32))
    order = torch.randperm(len(tensor), generator=torch.Generator().manual_seed(seed))
    test = min(10_000, max(1, round(held_out * len(tensor))))
    return Dataset(str(path), tensor[order[test:]], tensor[order[:test]], image_shape)


def _read_file(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise InputError(f"{path}: cannot read files of type {suffix or '(none)'}; expected {', '.join(FILE_SUFFIXES)}")
    try:
        if suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if suffix == ".npz":
            return _read_npz(path)
        return _read_table(path, suffix)
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable {suffix} file ({_first_line(error)})") from error
    except Exception as error:  # zipfile, pandas and pyarrow raise types of their own for damaged files
        if type(error).__module__.split(".")[0] in ("zipfile", "pandas", "pyarrow", "zlib"):
            raise InputError(f"{path}: not a readable {suffix} file ({_first_line(error)})") from error
        raise


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        if "samples" in archive:
            return np.asarray(archive["samples"])
        if len(archive.files) == 1:
            return np.asarray(archive[archive.files[0]])
        raise InputError(
            f"{path}: holds {len(archive.files)} arrays ({', '.join(archive.files[:5])}); "
            "expected a single one, or one named 'samples'"
        )


def _read_table(path: Path, suffix: str) -> np.ndarray:
    import pandas as pd

    table = pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path, header=_csv_header(path))
    for column in table.columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            numbers = pd.to_numeric(table[column], errors="coerce")
            row = int(np.argmax((numbers.isna() & table[column].notna()).to_numpy()))
            raise InputError(
                f"{path}: column {column!r} holds text ({str(table[column].iloc[row])!r} in row {row}, counted from 0); "
                "expected numbers: remove or encode the column"
            )
    return np.asarray(table.to_numpy(dtype=np.float64, na_value=np.nan))


def _csv_header(path: Path) -> int | None:
    """0 if the first line names columns, None if it already holds numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        first = next(csv.reader(file), [])
    try:
        [float(field) for field in first if field.strip()]
    except ValueError:
        return 0
    return None


def _as_points(array: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[int, int, int] | None]:
    """Rows of numbers, and the image shape where the array holds images; bytes become [0, 1]."""
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: holds values of type {array.dtype}; expected numbers")
    scaled = array / 255 if array.dtype == np.uint8 and array.ndim > 2 else array.astype(np.float64)
    if 0 in array.shape:
        raise InputError(f"{path}: the array is empty, shape {array.shape}")
    if array.ndim == 2:
        return scaled, None
    if array.ndim == 3:
        return scaled.reshape(len(array), -1), (1, array.shape[1], array.shape[2])
    if array.ndim == 4:
        if array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
            scaled = scaled.transpose(0, 3, 1, 2)
        if scaled.shape[1] in (1, 3):
            return scaled.reshape(len(array), -1), (scaled.shape[1], scaled.shape[2], scaled.shape[3])
    raise InputError(
        f"{path}: wrong shape {array.shape}; expected (n, d) points, or (n, height, width), (n, channels, height, width) "
        "or (n, height, width, channels) images with 1 or 3 channels"
    )


def _read_image_folder(path: Path) -> tuple[np.ndarray, tuple[int, int, int] | None]:
    from PIL import Image, UnidentifiedImageError

    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(f"{path}: a folder without images; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    images: list[np.ndarray] = []
    for file in files:
        try:
            with Image.open(file) as image:
                pixels = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{file}: not a readable image ({_first_line(error)})") from error
        if images and pixels.shape != images[0].shape:
            raise InputError(
                f"{file}: its shape {pixels.shape} differs from {images[0].shape} of {files[0].name}; "
                "resize the images to one size and one number of channels"
            )
        images.append(pixels)
    points, image_shape = _as_points(np.stack(images), path)
    return points, image_shape


def _not_found(name: str) -> str:
    looks_like_path = "/" in name or "\\" in name or Path(name).suffix
    if looks_like_path:
        return f"no such file or folder: {name}"
    return f"no data set named {name!r}{suggestion(name, names())}; known are {', '.join(names())}, or give a path"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
