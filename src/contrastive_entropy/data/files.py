"""The user's own files: tables, arrays and folders of images as rows of numbers."""

import csv
import itertools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
FILE_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")
HIDDEN = (".", "__MACOSX")
_MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"}


HELD_OUT = 0.2
"""Share of a set of points that is held out where nothing is said and it does not come with any."""


def split(name: str, count: int, *, held_out: float, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Which rows are trained on and which are held out, drawn at random.

    Args:
        name: of the data, for the message.
        count: of the rows.
        held_out: share that is held out: at least 1 row, and at most `most`.
        most: rows that are held out at most.
        seed: of the draw.

    Returns:
        Indices of both.

    Raises:
        InputError: fewer than 10 rows.
    """
    if count < 10:
        raise InputError(f"{name}: {count} rows are too few to train and hold out; at least 10 are needed")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    few = min(most, max(1, round(held_out * count)), count - 1)
    return order[few:], order[:few]


def read_points(path: Path, *, double: bool = False) -> tuple[Tensor, tuple[int, int, int] | None]:
    """Read one point per row.

    Args:
        path: .npy; .npz with one array, or one named `samples`; .csv with or without a line of names; .parquet; a folder
            of images of one size, looked through with its subfolders; or one image. Arrays of shape (n, height, width),
            (n, channels, height, width) or, failing that, (n, height, width, channels) are images, and so are integers
            without sign, whose range becomes [0, 1], or floats in [0, 1].
        double: points as float64.

    Returns:
        (n, d) float32, or float64, and, for images, (channels, height, width); images are flattened channels first.

    Raises:
        InputError: content that cannot be used; the message says where and why.
    """
    if (path / "config.json").is_file() and (path / "metrics.csv").is_file():
        raise InputError(
            f"{path} is a run folder; draw points from it with `contrastive-entropy sample`, and give that file"
        )
    pictures = path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
    points, image_shape = _as_points(_read_images(path) if pictures else _read_file(path), path)
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
    return torch.from_numpy(points.astype(np.float64 if double else np.float32)), image_shape


def column_names(path: Path) -> tuple[str, ...] | None:
    """Names of a readable table's columns; None where it has none."""
    suffix = path.suffix.lower()
    if suffix == ".csv" and _csv_header(path) is not None:
        import pandas as pd

        return tuple(map(str, pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns))
    if suffix == ".parquet":
        from pyarrow.parquet import ParquetFile

        return tuple(map(str, next(ParquetFile(path).iter_batches(batch_size=1)).to_pandas().columns))
    return None


def csv_bytes(points: Tensor, columns: tuple[str, ...] | None) -> bytes:
    """Points (n, d) as a table that `read_points` reads back, float32 exactly, float64 to nine digits of a column's spread.

    Its first line are the names, unless these are all numbers.
    """
    import pandas as pd

    table = pd.DataFrame(points.numpy())
    if points.dtype == torch.float64:
        with np.errstate(divide="ignore"):
            digits = 8 - np.floor(np.log10(points.numpy().std(0)))
        table = table.round({column: int(count) for column, count in enumerate(digits) if count < 12})
    names = None if columns is None or all(map(_is_number, columns)) else list(columns)
    return table.to_csv(index=False, header=names or False).encode()


def map_points(path: Path) -> np.ndarray | None:
    """A memory map of an .npy file of (n, d) floating-point points; None for anything else.

    Raises:
        InputError: a damaged .npy file.
    """
    if path.suffix.lower() != ".npy" or path.is_dir():
        return None
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:
        raise InputError(f"{path}: not a readable .npy file ({_reason(error)})") from error
    return array if array.ndim == 2 and array.dtype in (np.float32, np.float64) and array.size else None


def _read_file(path: Path) -> np.ndarray:
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(f"{path}: cannot read files of type {suffix or '(none)'}; expected {', '.join(FILE_SUFFIXES)}")
    try:
        return readers[suffix](path)
    except InputError:
        raise
    except Exception as error:  # damaged files make the readers raise nearly any type
        raise InputError(f"{path}: not a readable {suffix} file ({_reason(error)})") from error


def _read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _read_npz(path: Path) -> np.ndarray:
    with path.open("rb") as file, np.lib.npyio.NpzFile(file) as archive:
        if "samples" in archive:
            return np.asarray(archive["samples"])
        if len(archive.files) == 1:
            return np.asarray(archive[archive.files[0]])
        raise InputError(
            f"{path}: holds {len(archive.files)} arrays ({', '.join(archive.files[:5])}); "
            "expected a single one, or one named 'samples': save that array alone, e.g. as .npy"
        )


def _read_parquet(path: Path) -> np.ndarray:
    import pandas as pd

    return _as_numbers(pd.read_parquet(path), path)


def _read_csv(path: Path) -> np.ndarray:
    import pandas as pd

    header = _csv_header(path)
    return _as_numbers(pd.read_csv(path, header=header, encoding="utf-8-sig", low_memory=False), path)


def _csv_header(path: Path) -> int | None:
    """0 if the first line names columns, None if it already holds numbers."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = (line for line in csv.reader(file) if line)
        first, second = next(lines, []), next(lines, [])
    counted = [str(column) for column in range(len(first))]  # how numpy and pandas name columns without names
    if first == ["", *counted[:-1]] and len(first) > 1:
        return 0  # pandas' names and index
    if first != counted and _like_numbers_as_names(first, second):
        warnings.warn(
            f"{path}: the first line, {', '.join(first)[:60]}, was read as a point; if it names the columns, put a letter "
            "into one of the names",
            stacklevel=1,
        )
    if all(map(_is_number, first)) and not (first == counted and any("." in field for field in second)):
        return None
    if len(first) < len(second):
        raise InputError(
            f"{path}: its first line names {len(first)} columns ({', '.join(first)[:60]}) and the next holds "
            f"{len(second)} values; expected one name per column, or no names at all"
        )
    return 0


def _like_numbers_as_names(first: list[str], second: list[str]) -> bool:
    """Whole numbers that rise, three or more, as years or wavelengths do, above fractions."""
    whole = len(first) > 2 and all(field.strip().isdecimal() for field in first)
    rising = whole and all(int(a) < int(b) for a, b in itertools.pairwise(first))
    return rising and all("." in field and _is_number(field) for field in second)


def _is_number(field: str) -> bool:
    if field.strip().lower() in _MISSING:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return True


def _as_numbers(table: "pd.DataFrame", path: Path) -> np.ndarray:
    import pandas as pd

    if table.empty:
        raise InputError(f"{path}: holds no rows; expected one point per row")
    first, last = table.iloc[:, 0], table.iloc[:, -1]
    counts = pd.api.types.is_integer_dtype(first) and first.is_unique
    if str(table.columns[0]).startswith("Unnamed: 0") and counts:
        raise InputError(
            f"{path}: its first column has no name and counts the rows, as pandas' to_csv writes its index and R its row "
            "names; write with index=False or row.names=FALSE, or name the column to use it"
        )
    if table.shape[1] > 1 and str(table.columns[-1]).startswith("Unnamed: ") and last.isna().all():
        raise InputError(f"{path}: its last column is empty, as commas at the ends of the lines make one; remove them")
    for column in table.columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values):
            continue
        if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
            raise InputError(f"{path}: column {column!r} holds {values.dtype}; expected numbers: remove or encode it")
        numbers = pd.to_numeric(values, errors="coerce")
        text = (numbers.isna() & values.notna()).to_numpy()
        if text.any():
            row = int(text.argmax())
            raise InputError(
                f"{path}: column {column!r} holds text ({str(values.iloc[row])[:60]!r} in row {row}, counted from 0); "
                + _remedy(str(column), table.shape[1])
            )
        table[column] = numbers.astype(float)
    return np.asarray(table.to_numpy(dtype=np.float64, na_value=np.nan))


def _remedy(column: str, columns: int) -> str:
    """For a column of text."""
    found = next((separator for separator in ";\t|" if separator in column), None)
    if found is None and columns == 1 and len(column.split()) > 1 and all(map(_is_number, column.split())):
        found = " "
    if found is not None:
        return f"values are parted by {found!r}: expected commas, as pandas' to_csv writes them, and points in numbers"
    return "expected numbers: remove or encode the column"


def _as_points(array: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[int, int, int] | None]:
    """Rows of numbers, and the image shape where the array holds images."""
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: holds values of type {array.dtype}; expected numbers")
    if 0 in array.shape:
        raise InputError(f"{path}: the array is empty, shape {array.shape}")
    if array.ndim == 2:
        return (array if array.dtype.kind == "f" else array.astype(np.float64)), None
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise InputError(
            f"{path}: wrong shape {array.shape}; expected (n, d) points, or (n, height, width), "
            "(n, channels, height, width) or (n, height, width, channels) images with 1 or 3 channels"
        )
    _, channels, height, width = array.shape
    return as_intensities(array, path).reshape(len(array), -1), (channels, height, width)


def as_intensities(images: np.ndarray, path: Path | str) -> np.ndarray:
    """The range of unsigned integers becomes [0, 1]; floats must lie there, or be NaN."""
    if images.dtype in (np.uint8, np.uint16):
        return images / np.float32(np.iinfo(images.dtype).max)
    finite = images[np.isfinite(images)]
    if finite.size and not 0 <= finite.min() <= finite.max() <= 1:
        raise InputError(
            f"{path}: images of type {images.dtype} with values from {finite.min():g} to {finite.max():g}; "
            "expected floats in [0, 1], or uint8 or uint16; if these are not images, reshape them to (n, d)"
        )
    return images.astype(np.float32)


def _read_images(path: Path) -> np.ndarray:
    """All images of a folder, or a single one: (n, height, width) or (n, 3, height, width)."""
    files = (
        [path]
        if not path.is_dir()
        else sorted(
            Path(folder, name)
            for folder, names in _folders(path)
            for name in names
            if name.lower().endswith(IMAGE_SUFFIXES)
        )
    )
    if not files:
        raise InputError(f"{path}: a folder without images; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    images: list[np.ndarray] = []
    for file in files:
        pixels = _read_image(file)
        if images and pixels.shape != images[0].shape:
            raise InputError(
                f"{file}: its shape {pixels.shape} differs from {images[0].shape} of {files[0].name}; "
                "resize the images to one size and one number of channels"
            )
        if images and pixels.dtype != images[0].dtype:
            raise InputError(f"{file}: {pixels.dtype} unlike {images[0].dtype} of {files[0].name}; store all alike")
        images.append(pixels)
    stack = np.stack(images)
    return stack.transpose(0, 3, 1, 2) if stack.ndim == 4 else stack


def _folders(path: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and all below it, each once, with its files, but for hidden ones as .ipynb_checkpoints and ._a.png."""
    seen = set()
    for folder, below, names in os.walk(path, onerror=_refuse_folder, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith(HIDDEN))
        yield folder, [name for name in names if not name.startswith(HIDDEN)]


def _read_image(file: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return pixels_of(image)
    except Exception as error:  # damaged files make the decoders raise nearly any type
        raise InputError(f"{file}: not a readable image ({_reason(error)})") from error


def pixels_of(image: "Image.Image") -> np.ndarray:
    """uint8 or uint16 gray (height, width), uint8 RGB (height, width, 3), or float gray."""
    if image.mode in ("L", "RGB", "F"):
        return np.asarray(image)
    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        return pixels.astype(np.uint16) if 0 <= pixels.min() <= pixels.max() <= 65535 else pixels
    return np.asarray(image.convert("L" if image.mode in ("1", "LA", "La") else "RGB"))


def _refuse_folder(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot look into this folder ({error.strerror})") from error


def _reason(error: Exception) -> str:
    """One short line."""
    if "allow_pickle" in str(error):
        return "it holds Python objects, not numbers"
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
