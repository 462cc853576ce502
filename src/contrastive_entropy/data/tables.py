"""Tables: CSV and Parquet files as rows of numbers with the names of their columns."""

import csv
import itertools
import warnings
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"}


def column_names(path: Path) -> tuple[str, ...] | None:
    """The names of a readable file's columns; None if it has none or is not a table."""
    suffix = path.suffix.lower()
    if suffix == ".csv" and _csv_header(path) is not None:
        import pandas as pd

        return tuple(map(str, pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns))
    if suffix == ".parquet":
        from pyarrow.parquet import ParquetFile

        return tuple(map(str, next(ParquetFile(path).iter_batches(batch_size=1)).to_pandas().columns))
    return None


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
    names = None if columns is None or all(map(_is_number, columns)) else list(columns)
    return table.to_csv(index=False, header=names or False).encode()


def read_parquet(path: Path) -> np.ndarray:
    """(n, d) numbers of a .parquet file.

    Raises:
        InputError: no rows, or a column that holds no numbers.
    """
    import pandas as pd

    return _as_numbers(pd.read_parquet(path), path)


def read_csv(path: Path) -> np.ndarray:
    """(n, d) numbers of a .csv file, with or without a line of names.

    Raises:
        InputError: no rows, a column that holds no numbers, or names that do not fit the columns.
    """
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
    """Whether three or more whole numbers rise, as years or wavelengths do, above a line of fractions."""
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
    _refuse_index_and_empty_column(table, path)
    for column in table.columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            table[column] = _numbers(table[column], column, path, columns=table.shape[1])
    return np.asarray(table.to_numpy(dtype=np.float64, na_value=np.nan))


def _refuse_index_and_empty_column(table: "pd.DataFrame", path: Path) -> None:
    import pandas as pd

    first, last = table.iloc[:, 0], table.iloc[:, -1]
    counts = pd.api.types.is_integer_dtype(first) and first.is_unique
    if str(table.columns[0]).startswith("Unnamed: 0") and counts:
        raise InputError(
            f"{path}: its first column has no name and counts the rows, as pandas' to_csv writes its index and R its row "
            "names; write with index=False or row.names=FALSE, or name the column to use it"
        )
    if table.shape[1] > 1 and str(table.columns[-1]).startswith("Unnamed: ") and last.isna().all():
        raise InputError(f"{path}: its last column is empty, as commas at the ends of the lines make one; remove them")


def _numbers(values: "pd.Series", name: Hashable, path: Path, *, columns: int) -> "pd.Series":
    """The numbers of a column of objects or text, in a table of so many columns."""
    import pandas as pd

    if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
        raise InputError(f"{path}: column {name!r} holds {values.dtype}; expected numbers: remove or encode it")
    numbers = pd.to_numeric(values, errors="coerce")
    text = (numbers.isna() & values.notna()).to_numpy()
    if text.any():
        row = int(text.argmax())
        raise InputError(
            f"{path}: column {name!r} holds text ({str(values.iloc[row])[:60]!r} in row {row}, counted from 0); "
            + _remedy(str(name), columns)
        )
    return numbers.astype(float)


def _remedy(column: str, columns: int) -> str:
    found = next((separator for separator in ";\t|" if separator in column), None)
    if found is None and columns == 1 and len(column.split()) > 1 and all(map(_is_number, column.split())):
        found = " "
    if found is not None:
        return f"values are parted by {found!r}: expected commas, as pandas' to_csv writes them, and points in numbers"
    return "expected numbers: remove or encode the column"
