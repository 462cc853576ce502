"""One column of a table as people have it, and as numbers: values in, values of the same type out."""

import datetime
import decimal
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_entropy.data.column_types import (
    DATES,
    GAPS,
    categories_of,
    dtype_of,
    familiar,
    objects_of,
    unit_of,
    zone_of,
)
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

LENGTHS = ("timedelta", "duration")
"""How the names of types of lengths of time begin."""

Level = str | int | float | bool


@dataclass(frozen=True)
class MixedColumn:
    """What a column of a table is, and how it is written.

    Args:
        name: of the column.
        kind: of `MIXED_KINDS`.
        dtype: in which it is written back, as `column_types.name_of` names it.
        missing: whether values are missing in the data.
        levels: of a category, in order; of a constant, its value.
        ordered: whether pandas knows an order of the levels.
        low, high: the least and the largest number in the data, but for those left out as far from all others.
        decimals: that the numbers are written with; None: as many as there are.
        offset: of whole numbers that float64 does not hold, or of dates: subtracted before anything else; of keys that are
            numbers, the largest.
        tick: of dates, the nanoseconds of a step in which they are counted from the offset.
        holds: what Python objects a column of dtype object holds, of `column_types.OBJECTS`; of a category, the type of
            its levels.
        gap: of dtype object, what stands for a missing value, of `column_types.GAPS`.
        text: the format in which dates or times stand as text; "" where they are dates already.
        named: whether a key's new values continue numbers, follow a pattern or are UUIDs: number, text, uuid.
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
    gap: str = ""
    text: str = ""
    named: str = ""

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
            InputError: it is not of the column's kind, or missing where no value was.
        """
        if self.kind in (KEY, IGNORED):
            raise InputError(f"`given`: {self.name} is a column of kind {self.kind}, which is not learnt: leave it out")
        if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
            if not self.missing:
                raise InputError(f"`given`: {self.name} cannot be missing, as no value of it was in the data")
            return float("nan")
        if self.kind in (CATEGORY, CONSTANT):
            exact = {key_of(level): index for index, level in enumerate(self.levels)}
            known = {str(level): index for index, level in enumerate(self.levels)}
            if key_of(value) not in exact and str(value) not in known:
                shown = ", ".join(list(known)[:20])
                raise InputError(
                    f"`given`: {self.name} has no value {str(value)!r}{suggestion(str(value), list(known))} "
                    f"(known: {shown})"
                )
            return float(exact.get(key_of(value), known.get(str(value), 0)))
        if self.kind == DATE:
            return float(self.encode(pd.Series([self._parsed(value)]))[0])
        try:
            number = float(int(value) - self.offset) if self.offset else float(value)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"`given`: {self.name} must be a number, got {value!r}") from None
        if not np.isfinite(number) or (self.kind == COUNT and number != round(number)):
            kind = "a whole number" if self.kind == COUNT else "a finite number"
            raise InputError(f"`given`: {self.name} must be {kind}, got {value!r}")
        dtype = dtype_of(self.dtype)
        if isinstance(dtype, np.dtype) and dtype.kind in "iu":
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            if not low <= number + self.offset <= high:
                raise InputError(f"`given`: {self.name} is of type {self.dtype}, which does not hold {value!r}")
        return number

    def _parsed(self, value: Any) -> Any:
        """One date in the form in which the column holds its dates."""
        lengths = self.dtype.startswith(LENGTHS)
        try:
            if self.text:
                pd.to_datetime(value, format=self.text.replace("%-", "%"))
                return value
            if lengths:
                return pd.Timedelta(value)
            moment = pd.Timestamp(str(value) if self.holds == "time" else value)
        except (TypeError, ValueError) as error:
            form = f"in the form {self.text}" if self.text else "such as 2024-05-31"
            expected = "a length of time such as '2 days 03:00:00'" if lengths else f"a date {form}"
            raise InputError(f"`given`: {self.name} must be {expected}, got {value!r}") from error
        if zone_of(self.dtype) and moment.tzinfo is None:
            moment = moment.tz_localize(zone_of(self.dtype))
        return {"date": moment.date, "time": moment.time}[self.holds]() if self.holds in ("date", "time") else moment

    def _numbers(self, values: pd.Series) -> np.ndarray:
        try:
            if self.offset:
                return whole_since(values, self.offset)
            return pd.to_numeric(familiar(values)).to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"column {self.name!r} must hold numbers ({str(error)[:120]})") from error

    def _indices(self, values: pd.Series) -> np.ndarray:
        known = {key_of(level): float(index) for index, level in enumerate(self.levels)}
        present, objects = values.notna().to_numpy(), familiar(values).astype(object).tolist()
        found = np.full(len(values), np.nan)
        for row in np.flatnonzero(present):
            index = known.get(key_of(objects[row]))
            if index is None:
                shown = ", ".join(map(str, self.levels[:10]))
                raise InputError(
                    f"column {self.name!r} holds {str(objects[row])[:60]!r} in row {row}, counted from 0, which is no "
                    f"value of the data that were learnt ({shown}{', ...' if len(self.levels) > 10 else ''})"
                )
            found[row] = index
        return found

    def _ticks(self, values: pd.Series) -> np.ndarray:
        index = moments(values, self.text.replace("%-", "%"))
        unit = PANDAS_TICKS[index.unit]
        since = np.asarray(index.asi8 - self.offset // unit, dtype=np.float64) * (unit / self.tick)
        return np.where(index.isna(), np.nan, since)

    def _levels(self, index: np.ndarray, absent: np.ndarray) -> pd.Series:
        if self.dtype == "category":
            codes = np.where(absent, -1, index)
            categories = categories_of(self.levels, self.holds)
            return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=self.ordered), name=self.name)
        levels = np.empty(max(len(self.levels), 1), dtype=object)
        lengths = self.dtype.startswith(LENGTHS)
        levels[: len(self.levels)] = objects_of(self.levels, "length" if lengths else self.holds)
        return self._typed(pd.Series(levels[index], name=self.name, dtype=object), absent)

    def _typed(self, values: pd.Series, absent: np.ndarray) -> pd.Series:
        """Values in the type of the column, with its gaps."""
        if self.dtype == "object":
            objects = values.astype(object).to_numpy(copy=True)
            objects[absent] = GAPS[self.gap or "None"]
            return pd.Series(objects, name=self.name, dtype=object)
        dtype = dtype_of(_nullable(self.dtype) if absent.any() else self.dtype)
        if absent.all() and pd.api.types.is_float_dtype(dtype):
            return pd.Series(np.full(len(values), np.nan), name=self.name).astype(dtype)
        if absent.any():
            gap = pd.NA if pd.api.types.is_extension_array_dtype(dtype) else None
            values = values.astype(object).where(~absent, gap)
        return values.astype(dtype)

    def _dates(self, ticks: np.ndarray, absent: np.ndarray) -> pd.Series:
        lengths = self.dtype.startswith(LENGTHS)
        known = lengths or self.dtype.startswith(("datetime", "timestamp"))
        unit = unit_of(self.dtype) if known else "us" if self.tick % 1000 == 0 else "ns"
        step = PANDAS_TICKS[unit]
        since = np.round(ticks).astype(np.int64) * np.int64(self.tick // step) + self.offset // step
        if lengths:
            return (
                pd.Series(since.astype(f"timedelta64[{unit}]"), name=self.name)
                .where(~absent)
                .astype(dtype_of(self.dtype))
            )
        values = pd.Series(pd.DatetimeIndex(since.astype(f"datetime64[{unit}]")), name=self.name)
        if zone := zone_of(self.dtype):
            values = values.dt.tz_localize("UTC").dt.tz_convert(zone)
        if self.text:
            return self._typed(values.dt.strftime(self.text), absent)
        if self.holds in DATES:
            return self._typed(_dates_as(values, self.holds), absent)
        return values.where(~absent, pd.NaT).astype(dtype_of(self.dtype))

    def _as_dtype(self, numbers: np.ndarray, absent: np.ndarray) -> pd.Series:
        dtype = dtype_of(self.dtype)
        whole = self.holds == "int" or (self.decimals == 0 and pd.api.types.is_integer_dtype(dtype))
        if self.holds == "decimal":
            written = [decimal.Decimal(f"{value:.{self.decimals or 0}f}") for value in numbers]
            return self._typed(pd.Series(written, name=self.name, dtype=object), absent)
        if whole and (self.offset or np.abs(numbers).max(initial=0) >= 2**53):
            exact = [int(value) + self.offset for value in np.round(numbers)]
            if isinstance(dtype, np.dtype) and dtype.kind in "iu":
                exact = [min(max(value, int(np.iinfo(dtype).min)), int(np.iinfo(dtype).max)) for value in exact]
            return self._typed(pd.Series(exact, name=self.name, dtype=object), absent)
        values = np.round(numbers).astype(np.int64) if whole else numbers
        if absent.any() and isinstance(dtype, np.dtype) and dtype.kind == "f":
            values = np.where(absent, np.nan, values)
            return pd.Series(values, name=self.name).astype(dtype)
        return self._typed(pd.Series(values, name=self.name), absent)

    def _new_keys(self, count: int, seed: int) -> pd.Series:
        if self.kind == IGNORED:
            return pd.Series([None] * count, name=self.name, dtype=object)
        dtype = dtype_of(self.dtype)
        if self.named == "number":
            numbers = pd.Series([self.offset + 1 + row for row in range(count)], name=self.name)
            if isinstance(dtype, np.dtype) and dtype.kind in "iu":
                return numbers.astype(dtype) if self.offset + count <= np.iinfo(dtype).max else numbers
            if isinstance(dtype, np.dtype) and dtype.kind == "f" and self.offset + count >= 2 ** np.finfo(dtype).nmant:
                return numbers
            return numbers.astype(dtype)
        if self.named == "uuid":
            generator = np.random.default_rng(seed)
            keys = [str(uuid.UUID(bytes=generator.bytes(16), version=4)) for _ in range(count)]
        else:
            start, width = (int(self.high) + 1, int(self.low)) if self.high else (1, 0)
            prefix = self.text if self.high else f"{self.name}-"
            keys = [f"{prefix}{start + row:0{width}d}" for row in range(count)]
        values = pd.Series(keys, name=self.name, dtype=object)
        text = pd.api.types.is_string_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype)
        return values.astype(dtype) if text else values


def _dates_as(values: pd.Series, holds: str) -> pd.Series:
    """Dates of pandas as Python's objects."""
    if holds in ("date", "time"):
        found: pd.Series = getattr(values.dt, holds)
        return found
    objects = np.empty(len(values), dtype=object)
    objects[:] = [one if holds == "timestamp" else one.to_pydatetime(warn=False) for one in values]
    return pd.Series(objects, name=values.name, dtype=object)


def whole_since(values: pd.Series, offset: int) -> np.ndarray:
    """Whole numbers (n,) that float64 does not hold less an offset, NaN where missing."""
    known = values.notna().to_numpy()
    found = np.full(len(values), np.nan)
    found[known] = [int(value) - offset for value in values[known]]
    return found


def moments(values: pd.Series, text: str) -> pd.DatetimeIndex:
    """Dates of a column, in UTC where they have a time zone; lengths of time as dates since 1970.

    Raises:
        InputError: text that is not of the format.
    """
    values = familiar(values)
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return pd.DatetimeIndex(values.to_numpy() + np.datetime64(0, pd.TimedeltaIndex(values).unit))
    try:
        if values.dtype == object and any(type(value) is datetime.time for value in values):
            values = values.map(lambda time: f"1970-01-01T{time.isoformat()}", na_action="ignore")
        if not text and any(isinstance(value, str) for value in values.head(1000)):
            text = "ISO8601"
        index = pd.DatetimeIndex(pd.to_datetime(values, format=text or None, utc=text == "ISO8601"))
    except (TypeError, ValueError) as error:
        raise InputError(f"column {values.name!r} must hold dates ({' '.join(str(error).split())[:90]})") from error
    return index if index.tz is None else index.tz_convert("UTC").tz_localize(None)


def key_of(level: Any) -> tuple[bool, Any]:
    """A level as a key: True and 1 differ, numpy's and Python's numbers do not."""
    value = level.item() if isinstance(level, np.generic) else level
    plain = value if isinstance(value, str | int | float | bool) else str(value)
    return isinstance(plain, bool), plain


def _nullable(dtype: str) -> str:
    """The type that also holds missing values."""
    plain = {"bool": "boolean", **{f"{sign}int{bits}": f"{sign.upper()}Int{bits}" for sign in ("", "u")
                                   for bits in (8, 16, 32, 64)}}  # fmt: skip
    return plain.get(dtype, dtype)
