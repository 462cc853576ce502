"""Types of columns and Python's objects as text, and made again of it."""

import datetime
import decimal
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contrastive_entropy.errors import InputError

DATES = ("date", "datetime", "timestamp", "time")
"""Objects that are dates or times."""

OBJECTS: dict[str, tuple[type, ...]] = {
    "bool": (bool, np.bool_),
    "date": (datetime.date,),
    "timestamp": (pd.Timestamp,),
    "datetime": (datetime.datetime,),
    "time": (datetime.time,),
    "decimal": (decimal.Decimal,),
    "int": (int, np.integer),
    "float": (int, float, np.integer, np.floating),
}
"""What a column of dtype object may hold beside text, and its types: a column is of the first that has all of them."""

FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "date": datetime.date.fromisoformat,
    "timestamp": pd.Timestamp,
    "datetime": datetime.datetime.fromisoformat,
    "time": datetime.time.fromisoformat,
    "decimal": decimal.Decimal,
    "length": pd.Timedelta,
}

GAPS = {"None": None, "nan": np.nan, "NA": pd.NA, "NaT": pd.NaT}
"""What stands for a missing value in a column of dtype object."""


def name_of(dtype: Any) -> str:
    """The name of a type, of which `dtype_of` makes it again."""
    if isinstance(dtype, pd.StringDtype) and str(dtype) == "string":
        return f"string[{dtype.storage}]"
    if isinstance(dtype, pd.ArrowDtype) and "string" in str(dtype) and "dictionary" not in str(dtype):
        return f"arrow {dtype.pyarrow_dtype}"
    return str(dtype)


def dtype_of(name: str) -> Any:
    """The type of a name.

    Raises:
        TypeError, NotImplementedError: pandas does not know it.
    """
    if name.endswith("[pyarrow]") or name.startswith("arrow "):
        import pyarrow

        plain = name.removesuffix("[pyarrow]").removeprefix("arrow ")
        if digits := re.fullmatch(r"decimal(?:32|64|128|256)\((\d+), (-?\d+)\)", plain):
            return pd.ArrowDtype(pyarrow.decimal128(int(digits[1]), int(digits[2])))
        if name.startswith(("arrow ", "duration")):
            return pd.ArrowDtype(pyarrow.type_for_alias(plain))
    return pd.api.types.pandas_dtype(name)


def refuse_type(values: pd.Series) -> None:
    """Raise InputError for types whose values cannot be made again: periods, intervals, complex numbers, dictionaries."""
    dtype = values.dtype
    if pd.api.types.is_complex_dtype(dtype):
        raise InputError(f"column {values.name!r} holds complex numbers; give real and imaginary parts as two columns")
    try:
        known = isinstance(dtype, pd.CategoricalDtype) or dtype_of(name_of(dtype)) == dtype
    except (TypeError, ValueError, NotImplementedError):
        known = False
    if not known or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        raise InputError(f"column {values.name!r} is of type {dtype}, which is not known here; convert it, as to text")


def familiar(values: pd.Series) -> pd.Series:
    """Dates, times and decimals of pyarrow as pandas holds them; other columns as they are."""
    name = str(values.dtype)
    if not name.endswith("[pyarrow]"):
        return values
    if name.startswith("timestamp"):
        zone = zone_of(name)
        return values.astype(f"datetime64[{unit_of(name)}{f', {zone}' if zone else ''}]")
    if name.startswith("duration"):
        return values.astype(f"timedelta64[{unit_of(name)}]")
    return values.astype(object) if name.startswith(("date32", "date64", "time32", "time64", "decimal")) else values


def unit_of(dtype: str) -> str:
    """The unit of a type of dates or lengths of time."""
    found = re.search(r"\[(\w+)", dtype)
    return found[1] if found else "ns"


def zone_of(dtype: str) -> str:
    """The time zone of a type of dates; "" is none."""
    found = re.search(r"\[\w+, (?:tz=)?([^\]]+)\]", dtype)
    return found[1] if found else ""


def holds_of(values: pd.Series) -> str:
    """Of `OBJECTS`, what a column of dtype object holds, or "text"; of a category, the type of its levels; else "".

    Raises:
        InputError: lists and the like, other objects, or datetimes with a time zone.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return name_of(values.cat.categories.dtype)
    if values.dtype != object:
        return ""
    present = values.dropna()
    found = {type(value) for value in present}
    if not found:
        return ""
    for name, types in OBJECTS.items():
        numbers = name in ("int", "float") and bool not in found and all(issubclass(one, types) for one in found)
        if found <= set(types) or numbers:
            if name in ("datetime", "timestamp") and any(value.tzinfo is not None for value in present):
                raise InputError(f"column {values.name!r} holds objects with time zones: use pandas.to_datetime")
            return name
    for row, value in enumerate(values):
        if not (isinstance(value, str | int | float | bool | np.generic) or type(value).__name__ == "UUID"):
            if pd.api.types.is_scalar(value) and pd.isna(value):
                continue
            _refuse_object(values.name, row, value)
    return "text"


def _refuse_object(name: Any, row: int, value: Any) -> None:
    kind = type(value).__name__
    if isinstance(value, list | tuple | dict | set | np.ndarray | bytes):
        raise InputError(
            f"column {name!r} holds a {kind} in row {row}, counted from 0; expected one value a "
            "cell: make a column of each of its parts, or drop the column"
        )
    raise InputError(
        f"column {name!r} holds a {kind} beside other types in row {row}, counted from 0; convert it to text"
    )


def gap_of(values: pd.Series) -> str:
    """Of `GAPS`, what stands for a missing value in a column of dtype object; "" where there is none."""
    absent = values[values.isna().to_numpy()]
    if values.dtype != object or absent.empty:
        return ""
    first = absent.iloc[0]
    return next((name for name, gap in GAPS.items() if gap is first), "nan")


def objects_of(levels: Sequence[Any], holds: str) -> list[Any]:
    """Levels as the objects that a column holds."""
    return [FROM_TEXT[holds](str(level)) for level in levels] if holds in FROM_TEXT else list(levels)


def categories_of(levels: Sequence[Any], dtype: str) -> pd.Index:
    """Levels as the categories of a column, of the type of a name."""
    if dtype.startswith("interval"):
        subtype, closed = dtype.removeprefix("interval[").removesuffix("]").rsplit(", ", 1)
        ends = [str(level)[1:-1].split(", ") for level in levels]
        left, right = (pd.Index([end[side] for end in ends], dtype=object).astype(subtype) for side in (0, 1))
        return pd.Index(pd.arrays.IntervalArray.from_arrays(left, right, closed=closed))
    return pd.Index(list(levels), dtype=object).astype(dtype_of(dtype)) if dtype else pd.Index(list(levels))
