"""One column of a table as people have it, and as numbers: values in, values of the same type out."""

import datetime
import decimal
import re
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_entropy.errors import InputError, suggestion

NUMBER, COUNT, CATEGORY, DATE, KEY, CONSTANT, IGNORED = MIXED_KINDS = (
    "number",
    "count",
    "category",
    "date",
    "key",
    "constant",
    "ignore",
)
"""What a column may be. A count is a number without decimals; a key names its row and says nothing else."""

MODELLED = (NUMBER, COUNT, CATEGORY, DATE)
"""Kinds whose values are learnt."""

NOT_GIVEN = float("inf")
"""In a matrix of conditions: this value is to be drawn. NaN is a value that is missing."""

TICKS = {"D": 86_400_000_000_000, "h": 3_600_000_000_000, "min": 60_000_000_000, "s": 10**9, "ms": 10**6, "us": 10**3}
"""Nanoseconds of the steps in which dates may be counted; else they are counted in nanoseconds."""

PANDAS_TICKS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds of the units in which pandas holds dates."""

Level = str | int | float | bool


@dataclass(frozen=True)
class MixedColumn:
    """What a column of a table is, and how it is written.

    Args:
        name: of the column.
        kind: of `MIXED_KINDS`.
        dtype: of pandas, in which it is written back.
        missing: whether values are missing in the data.
        levels: of a category, in order; of a constant, its value.
        ordered: whether pandas knows an order of the levels.
        low, high: the least and the largest number in the data, but for those left out as far from all others.
        decimals: that the numbers are written with; None: as many as there are.
        offset: of whole numbers that float64 does not hold, or of dates: subtracted before anything else.
        tick: of dates, the nanoseconds of a step in which they are counted from the offset.
        holds: what Python objects a column of dtype object holds: text, date, decimal, bool.
        text: the format in which dates or times stand as text; "" where they are dates already.
        named: whether a key's new values continue numbers, follow a pattern or are UUIDs: number, text, uuid.
        count: of a key, how many rows it named.
    """

    name: str
    kind: str
    dtype: str
    missing: bool = False
    levels: tuple[Level, ...] = ()
    ordered: bool = False
    low: float = 0.0
    high: float = 0.0
    decimals: int | None = None
    offset: int = 0
    tick: int = 1
    holds: str = ""
    text: str = ""
    named: str = ""
    count: int = 0

    @property
    def learnt(self) -> bool:
        """Whether its values are learnt."""
        return self.kind in MODELLED

    @property
    def numeric(self) -> bool:
        """Whether its values have an order and a distance."""
        return self.kind in (NUMBER, COUNT, DATE)

    def encode(self, values: pd.Series) -> np.ndarray:
        """Values to numbers.

        Args:
            values: n of them, as in the data.

        Returns:
            (n,) float64: a number itself, the index of a level, ticks since the offset; NaN is missing. Keys and columns
            that are left out are 0.

        Raises:
            InputError: a value that is not of the column's kind, or an unknown level.
        """
        if self.kind in (KEY, IGNORED):
            return np.zeros(len(values))
        if self.kind in (CATEGORY, CONSTANT):
            return self._indices(values)
        if self.kind == DATE:
            return self._ticks(values)
        return self._numbers(values)

    def decode(self, numbers: np.ndarray, *, seed: int = 0) -> pd.Series:
        """Numbers (n,) of `encode` to values as in the data; keys are new ones.

        Args:
            numbers: (n,) float64.
            seed: of new UUIDs.
        """
        if self.kind in (KEY, IGNORED):
            return self._new_keys(len(numbers), seed)
        absent = np.isnan(numbers)
        filled = np.where(absent, 0.0, numbers)
        if self.kind in (CATEGORY, CONSTANT):
            return self._levels(filled.round().astype(np.int64), absent)
        if self.kind == DATE:
            return self._dates(filled, absent)
        return self._as_dtype(filled, absent)

    def tidy(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers (n,) of a model with the decimals and inside the bounds of the data."""
        if not self.numeric:
            return numbers
        rounded = numbers if self.decimals is None else np.round(numbers, self.decimals)
        return np.clip(rounded, self.low, self.high)

    def number(self, value: Any) -> float:
        """One value that somebody gives, such as text of the command line, as `encode` has it.

        Raises:
            InputError: it is not of the column's kind.
        """
        if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
            return float("nan")
        if self.kind in (KEY, IGNORED):
            raise InputError(f"`given`: {self.name} is a column of kind {self.kind}, which is not learnt: leave it out")
        if self.kind in (CATEGORY, CONSTANT):
            known = {str(level): index for index, level in enumerate(self.levels)}
            if str(value) not in known:
                shown = ", ".join(list(known)[:20])
                raise InputError(
                    f"`given`: {self.name} has no value {str(value)!r}{suggestion(str(value), list(known))} "
                    f"(known: {shown})"
                )
            return float(known[str(value)])
        if self.kind == DATE:
            return float(self.encode(pd.Series([self._parsed(value)]))[0])
        try:
            return float(value) - self.offset
        except (TypeError, ValueError):
            raise InputError(f"`given`: {self.name} must be a number, got {value!r}") from None

    def _parsed(self, value: Any) -> Any:
        """One date in the form in which the column holds its dates."""
        try:
            moment = pd.to_datetime(value, format=self.text.replace("%-", "%")) if self.text else pd.Timestamp(value)
        except (TypeError, ValueError) as error:
            form = f"in the form {self.text}" if self.text else "such as 2024-05-31"
            raise InputError(f"`given`: {self.name} must be a date {form}, got {value!r}") from error
        if self.text:
            return value
        if "," in self.dtype and moment.tzinfo is None:
            moment = moment.tz_localize(self.dtype.split(",")[1].strip(" ]"))
        return moment.date() if self.holds == "date" else moment

    def _numbers(self, values: pd.Series) -> np.ndarray:
        try:
            if self.offset:
                whole = values.astype("Int64") - self.offset
                return whole.to_numpy(dtype=np.float64, na_value=np.nan)
            return pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"column {self.name!r} must hold numbers ({str(error)[:120]})") from error

    def _indices(self, values: pd.Series) -> np.ndarray:
        known = {_key(level): float(index) for index, level in enumerate(self.levels)}
        present = values.notna().to_numpy()
        found = np.full(len(values), np.nan)
        for row in np.flatnonzero(present):
            index = known.get(_key(values.iloc[row]))
            if index is None:
                shown = ", ".join(map(str, self.levels[:10]))
                raise InputError(
                    f"column {self.name!r} holds {str(values.iloc[row])[:60]!r} in row {row}, counted from 0, which is no "
                    f"value of the data that were learnt ({shown}{', ...' if len(self.levels) > 10 else ''})"
                )
            found[row] = index
        return found

    def _ticks(self, values: pd.Series) -> np.ndarray:
        return self._counted(moments(values, self.text.replace("%-", "%")))

    def _counted(self, index: pd.DatetimeIndex) -> np.ndarray:
        unit = PANDAS_TICKS[index.unit]
        since = np.asarray(index.asi8 - self.offset // unit, dtype=np.float64) * (unit / self.tick)
        return np.where(index.isna(), np.nan, since)

    def _levels(self, index: np.ndarray, absent: np.ndarray) -> pd.Series:
        if self.dtype.startswith("category"):
            codes = np.where(absent, -1, index)
            return pd.Series(pd.Categorical.from_codes(codes, list(self.levels), ordered=self.ordered), name=self.name)
        levels = np.empty(max(len(self.levels), 1), dtype=object)
        levels[: len(self.levels)] = self.levels
        values = pd.Series(levels[index], name=self.name, dtype=object)
        if absent.any() or not self.levels:
            values = values.where(~absent, None if self.dtype == "object" else np.nan)
        if self.dtype == "object":
            return values
        if absent.all() and pd.api.types.is_float_dtype(self.dtype):
            return pd.Series(np.full(len(index), np.nan), name=self.name).astype(self.dtype)
        return values.astype(_nullable(self.dtype) if absent.any() else self.dtype)

    def _dates(self, ticks: np.ndarray, absent: np.ndarray) -> pd.Series:
        since = np.round(ticks).astype(np.int64) * np.int64(self.tick)
        if self.dtype.startswith("timedelta"):
            unit = _unit(self.dtype)
            lengths = (since + self.offset) // PANDAS_TICKS[unit]
            values = pd.Series(lengths.astype(f"timedelta64[{unit}]"), name=self.name)
            return values.where(~absent)
        unit = _unit(self.dtype) if self.dtype.startswith("datetime") else "us" if self.tick % 1000 == 0 else "ns"
        step = PANDAS_TICKS[unit]
        index = pd.DatetimeIndex((since // step + self.offset // step).astype(f"datetime64[{unit}]"))
        if "," in self.dtype:
            index = index.tz_localize("UTC").tz_convert(self.dtype.split(",")[1].strip(" ]"))
        values = pd.Series(index, name=self.name)
        if self.text:
            values = values.dt.strftime(self.text)
        elif self.holds == "date":
            values = values.dt.date.astype(object)
        if absent.any():
            values = values.where(~absent, None if self.dtype == "object" else pd.NaT if not self.text else np.nan)
        return values if self.dtype == "object" else values.astype(self.dtype)

    def _as_dtype(self, numbers: np.ndarray, absent: np.ndarray) -> pd.Series:
        whole = self.decimals == 0
        values: Any = np.round(numbers).astype(np.int64) + self.offset if whole and self.offset else numbers
        if self.holds == "decimal":
            exact = [None if gone else decimal.Decimal(f"{value:.{self.decimals}f}") for value, gone in
                     zip(numbers, absent, strict=True)]  # fmt: skip
            return pd.Series(exact, name=self.name, dtype=object)
        if not absent.any():
            kept = np.round(values).astype(np.int64) if whole and pd.api.types.is_integer_dtype(self.dtype) else values
            return pd.Series(kept, name=self.name).astype(self.dtype)
        column = pd.Series(values, name=self.name).astype(_nullable(self.dtype))
        column[absent] = pd.NA if pd.api.types.is_extension_array_dtype(column.dtype) else np.nan
        return column

    def _new_keys(self, count: int, seed: int) -> pd.Series:
        if self.kind == IGNORED:
            return pd.Series([None] * count, name=self.name, dtype=object)
        if self.named == "number":
            return pd.Series(np.arange(count) + int(self.high) + 1, name=self.name).astype(self.dtype)
        if self.named == "uuid":
            generator = np.random.default_rng(seed)
            keys = [str(uuid.UUID(bytes=generator.bytes(16), version=4)) for _ in range(count)]
        else:
            start, width = (int(self.high) + 1, int(self.low)) if self.text else (1, 0)
            keys = [f"{self.text or self.name + '-'}{start + row:0{width}d}" for row in range(count)]
        values = pd.Series(keys, name=self.name, dtype=object)
        return values if self.dtype == "object" else values.astype(self.dtype)


def moments(values: pd.Series, text: str) -> pd.DatetimeIndex:
    """Dates of a column, in UTC where they have a time zone; lengths of time as dates since 1970.

    Raises:
        InputError: text that is not of the format.
    """
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return pd.DatetimeIndex(values.to_numpy() + np.datetime64(0, pd.TimedeltaIndex(values).unit))
    try:
        index = pd.DatetimeIndex(pd.to_datetime(values, format=text or None))
    except (TypeError, ValueError) as error:
        raise InputError(f"column {values.name!r} must hold dates ({str(error)[:120]})") from error
    return index if index.tz is None else index.tz_convert("UTC").tz_localize(None)


def _key(level: Any) -> tuple[bool, Any]:
    """A level as a key: True and 1 differ, numpy's and Python's numbers do not."""
    value = level.item() if isinstance(level, np.generic) else level
    plain = value if isinstance(value, str | int | float | bool) else str(value)
    return isinstance(plain, bool), plain


def _nullable(dtype: str) -> str:
    """The type that also holds missing values."""
    plain = {"bool": "boolean", **{f"{sign}int{bits}": f"{sign.upper()}Int{bits}" for sign in ("", "u")
                                   for bits in (8, 16, 32, 64)}}  # fmt: skip
    return plain.get(dtype, dtype)


def _unit(dtype: str) -> str:
    found = re.search(r"\[(\w+)", dtype)
    return found[1] if found else "ns"


def date_types() -> tuple[type, ...]:
    """Python's own dates."""
    return (datetime.date, datetime.datetime)
