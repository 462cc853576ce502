"""One point per row of a file: an array, a table of numbers, or images."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.arrays import as_points, read_npy, read_npz, reason
from contrastive_entropy.data.frames import SUFFIXES, Frame, is_table
from contrastive_entropy.data.images import read_images
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading, holds_pictures
from contrastive_entropy.data.schema import Schema, Table
from contrastive_entropy.data.tables import LEARNS, numbers_of, read_numbers
from contrastive_entropy.errors import InputError

READERS = {".npy": read_npy, ".npz": read_npz}
"""What reads a file that is no table, by its suffix."""


def read_points(
    path: Path,
    *,
    double: bool = False,
    header: bool | None = None,
    images: ImageReading = AS_THEY_ARE,
    frame: Frame | None = None,
) -> tuple[Tensor, Schema]:
    """Read one point per row.

    Args:
        path: .npy; .npz with one array, or one named `samples`; a table as `frames.read_frame` reads it: .csv, .tsv or
            .txt, compressed or not, with or without a line of names, .parquet, .feather or .xlsx; a folder of images,
            looked through with its subfolders; or one image. Arrays of shape (n, height, width),
            (n, channels, height, width) or, failing that, (n, height, width, channels) are images: unsigned integers,
            whose range becomes [0, 1], or floats in [0, 1].
        double: points as float64.
        header: as in `load`.
        images: how image files are read.
        frame: the table in the file, where it was read already.

    Returns:
        (n, d) float32, or float64 where it was asked for or float32 would blur a column, and their schema: columns as they
        are. Images are flattened channels first.

    Raises:
        InputError: content that cannot be used; the message says where and why.
    """
    if (path / "config.json").is_file() and (path / "metrics.csv").is_file():
        raise InputError(
            f"{path} is a run folder; draw points from it with `contrastive-entropy sample`, and give that file"
        )
    names, table = None, is_table(path) and not path.is_dir()
    if table:
        array, names = read_numbers(path, header=header) if frame is None else numbers_of(frame, path)
    else:
        array = read_images(path, images) if holds_pictures(path) else _read_array(path)
    points, pictures = as_points(array, path)
    bad = ~np.isfinite(points).all(1)
    if bad.any():
        where = np.flatnonzero(bad)
        shown = ", ".join(str(row) for row in where[:5]) + (", ..." if len(where) > 5 else "")
        raise InputError(
            f"{path}: {len(where)} of {len(points)} rows hold NaN or infinite values (rows {shown}, counted from 0); "
            f"remove or fill them{f'; {LEARNS}' if table else ''}"
        )
    if np.abs(points).max() > np.finfo(np.float32).max:
        raise InputError(f"{path}: holds values beyond the range of float32 (3.4e38); rescale the columns")
    schema = pictures or Table.of(points.shape[1], names)
    double = double or (isinstance(schema, Table) and schema.shifting(points).shifted)
    return torch.from_numpy(points.astype(np.float64 if double else np.float32)), schema


def _read_array(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix not in READERS:
        known = ", ".join([*READERS, *(s for s in SUFFIXES if s.count(".") == 1)])
        raise InputError(f"{path}: cannot read files of type {suffix or '(none)'}; expected {known}")
    try:
        return READERS[suffix](path)
    except InputError:
        raise
    except Exception as error:  # damaged files make the readers raise nearly any type
        raise InputError(f"{path}: not a readable {suffix} file ({reason(error)})") from error
