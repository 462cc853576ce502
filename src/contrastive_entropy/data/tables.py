"""Tables of numbers: what `read_frame` reads, as rows of numbers with the names of their columns."""

import logging
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.dialects import is_number
from contrastive_entropy.data.frames import Frame, read_frame
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("contrastive_entropy")

LEARNS = "`fit table` learns tables with text, dates and missing values"
"""Where to go with what is no number."""


def csv_bytes(points: Tensor, columns: tuple[str, ...] | None) -> bytes:
    """Points (n, d) as a .csv file. Reading it gives float32 back exactly, and float64 to nine digits of a column's spread.

    The first line holds the names, unless they are all numbers.
    """
    import pandas as pd

    table = pd.DataFrame(points.numpy())
    if points.dtype == torch.float64:
        with np.errstate(divide="ignore"):
            digits = 8 - np.floor(np.log10(points.numpy().std(0)))
        table = table.round({column: int(count) for column, count in enumerate(digits) if count < 12})
    names = None if columns is None or all(map(is_number, columns)) else list(columns)
    return table.to_csv(index=False, header=names or False).encode()


def read_numbers(path: Path, *, header: bool | None = None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The rows of a table of numbers, and the names of its columns.

    What was guessed is said by the logger.

    Args:
        path, header: as in `read_frame`.

    Returns:
        (n, d) float64, missing values as NaN, and the names, None where the file has none.

    Raises:
        InputError: as `read_frame`, or a column that holds no numbers.
    """
    frame = read_frame(path, header=header)
    say(frame.notes)
    return numbers_of(frame, path)


def numbers_of(frame: Frame, path: Path) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The rows of a table that was read, and the names of its columns.

    Args:
        frame: of numbers.
        path: for messages.

    Returns:
        As `read_numbers`.

    Raises:
        InputError: a column that holds no numbers.
    """
    numbers = [_numbers(values, column, path) for column, values in frame.table.items()]
    return np.stack(numbers, 1), frame.names


def say(notes: tuple[str, ...]) -> None:
    """Log what was guessed of a file."""
    for note in notes:
        logger.warning(note)


def _numbers(values: "pd.Series[Any]", name: Hashable, path: Path) -> np.ndarray:
    """(n,) float64 of a column."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
        raise InputError(
            f"{path}: column {name!r} holds {values.dtype} ({str(values.iloc[0])[:60]!r} in row 0, counted from 0); "
            f"expected numbers: remove or encode the column; {LEARNS}"
        )
    numbers = pd.to_numeric(values, errors="coerce")
    text = (numbers.isna() & values.notna()).to_numpy()
    if text.any():
        row = int(text.argmax())
        raise InputError(
            f"{path}: column {name!r} holds text ({str(values.iloc[row])[:60]!r} in row {row}, counted from 0); "
            f"expected numbers: remove or encode the column; {LEARNS}"
        )
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
