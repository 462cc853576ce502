"""What the columns of a table are: found from their values, unless somebody says so."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from contrastive_entropy.data.column_types import DATES, familiar, gap_of, holds_of, name_of, refuse_type
from contrastive_entropy.data.columns import (
    CATEGORY,
    CONSTANT,
    COUNT,
    DATE,
    IGNORED,
    KEY,
    MODELLED,
    NUMBER,
    PANDAS_TICKS,
    TICKS,
    MixedColumn,
    key_of,
    moments,
    whole_since,
)
from contrastive_entropy.errors import InputError

FORMATS = (
    *(f"{day}{time}" for day in ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y")
      for time in ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", "T%H:%M:%SZ", " %H:%M:%S.%f", "T%H:%M:%S.%f",
                   " %H:%M:%S+00:00", "T%H:%M:%S+00:00")),
    "%-m/%-d/%Y", "%-d/%-m/%Y", "%-d.%-m.%Y", "%m/%d/%y", "%d/%m/%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%Y-%m", "%m/%Y", "%H:%M:%S", "%H:%M",
)  # fmt: skip
"""Forms in which text holds dates and times."""

NAMES_A_KEY = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|key|index|idx|rowid|row|record)$", re.IGNORECASE)
"""Names of columns that name their rows."""

LEAST_KEYS = 20
"""Rows from which on values that never repeat are taken for keys."""

MOST_LEVELS = 2000
"""Levels of a category, at most, where more than `MOSTLY` of the values differ: else it is free text."""

MOSTLY = 0.5

MOST_DECIMALS = 10
"""Decimals that are looked for."""

FAR = 10.0
"""A few values are left out where the gap to the others is so many times as wide as all the others together."""

FEW_FAR = 0.002
"""Share of the values that may be left out so."""


def column_of(values: pd.Series, asked: str | None = None) -> tuple[MixedColumn, tuple[str, ...]]:
    """What a column is, and what is to be said of it.

    Args:
        values: of the column.
        asked: of `MIXED_KINDS`, if somebody says so.

    Raises:
        InputError: values that no kind holds, such as lists, or that are not of the kind that was asked for.

    >>> column_of(pd.Series([1, 2, 2, 5], name="rooms"))[0].kind
    'count'
    """
    name, dtype = str(values.name), name_of(values.dtype)
    refuse_type(values)
    values = familiar(values).rename(name)
    base = MixedColumn(name, NUMBER, dtype, bool(values.isna().any()), holds=holds_of(values), gap=gap_of(values))
    present = values.dropna()
    kind, text, notes = (asked, "", ()) if asked else _found(present, base)
    if kind in MODELLED and not len(present):
        kind = CONSTANT
    if kind == CONSTANT and len(present) and (base.missing or present.nunique() > 1):
        raise InputError(f"column {name!r} is not constant; to leave it out, say ignore")
    if kind == DATE and isinstance(values.dtype, pd.CategoricalDtype):
        raise InputError(f"column {name!r} holds categories of pandas, which were to be dates: convert it")
    if kind == DATE and not text:
        text, notes = _format(present) if _is_text(present) else ("", ())
        if not text and any(isinstance(value, str) for value in present):
            raise InputError(
                f"column {name!r}: text such as {str(present.iloc[0])[:40]!r} is in no form of dates known here"
            )
    if kind in (KEY, IGNORED):
        return _key(base, kind, present), notes
    if kind == DATE:
        return _date(base, present, text), notes
    if kind in (NUMBER, COUNT):
        column, more = _number(base, values)
        if asked == COUNT and column.kind == NUMBER:
            raise InputError(f"column {name!r} holds numbers with decimals, which were to be counts")
        return column, (*notes, *more)
    return _category(base, kind, values), notes


def _found(present: pd.Series, base: MixedColumn) -> tuple[str, str, tuple[str, ...]]:
    """Kind, format of dates and notes."""
    dtype = present.dtype
    distinct = present.nunique()
    if distinct <= 1 and (distinct == 0 or not base.missing):
        return CONSTANT, "", ()
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype) or base.holds in DATES:
        return DATE, "", ()
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype) or base.holds == "bool":
        return CATEGORY, "", ()
    never_repeats = distinct == len(present) >= LEAST_KEYS and not base.missing
    if pd.api.types.is_numeric_dtype(dtype) or base.holds in ("decimal", "int", "float"):
        counts = never_repeats and _whole(present) and _counts_rows(present)
        if counts or (never_repeats and _whole(present) and NAMES_A_KEY.search(base.name)):
            return KEY, "", (_key_note(base.name),)
        return NUMBER, "", ()
    text, notes = _format(present)
    if text:
        return DATE, text, notes
    if never_repeats:
        return KEY, "", (_key_note(base.name),)
    if distinct > MOST_LEVELS and distinct > MOSTLY * len(present):
        note = (
            f"{base.name}: {distinct:,} different texts in {len(present):,} rows, taken for free text: it is not learnt"
        )
        return KEY, "", (f"{note}, and samples hold new names in its place",)
    return CATEGORY, "", ()


def _key_note(name: str) -> str:
    return f"{name}: no value repeats, so it is taken for a key: it is not learnt, and samples hold new keys"


def _counts_rows(present: pd.Series) -> bool:
    """Whether whole numbers go up or down by one from row to row."""
    steps = np.diff(whole_since(present, int(present.iloc[0])))
    return bool(len(steps)) and abs(steps[0]) == 1 and bool((steps == steps[0]).all())


def _whole(present: pd.Series) -> bool:
    if pd.api.types.is_integer_dtype(present.dtype):
        return True
    numbers = present.to_numpy(dtype=np.float64, na_value=np.nan)
    return bool((numbers == np.round(numbers)).all() and np.abs(numbers).max(initial=0) < 2**53)


def _is_text(present: pd.Series) -> bool:
    return (
        bool(len(present))
        and (present.dtype == object or pd.api.types.is_string_dtype(present.dtype))
        and isinstance(present.iloc[0], str)
    )


def _format(present: pd.Series) -> tuple[str, tuple[str, ...]]:
    """The form of dates in which all of the text is, and what is to be said of it; "" is none."""
    if not _is_text(present) or not any(char.isdigit() for char in str(present.iloc[0])):
        return "", ()
    some = present.iloc[:20]
    fitting = [form for form in FORMATS if _reads(some, form) and _reads(present, form)]
    if not fitting:
        return "", ()
    others = [form for form in fitting[1:] if sorted(form) == sorted(fitting[0])]
    note = f"{present.name}: dates could be {fitting[0]} or {others[0]}; the first was taken" if others else ""
    return fitting[0], (note,) if note else ()


def _reads(text: pd.Series, form: str) -> bool:
    """Whether all text is of a form, character for character."""
    if not all(isinstance(value, str) for value in text):
        return False
    dates = pd.to_datetime(text, format=form.replace("%-", "%"), errors="coerce")
    return bool(dates.notna().all()) and bool((dates.dt.strftime(form) == text).all())


def _category(base: MixedColumn, kind: str, values: pd.Series) -> MixedColumn:
    present = values.dropna()
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels, ordered = list(values.cat.categories), bool(values.cat.ordered)
    else:
        found = (
            list({key_of(value): value for value in present}.values()) if values.dtype == object else present.unique()
        )
        levels, ordered = sorted(found, key=_order), False
    plain = tuple(_plain(level) for level in levels)
    return replace(base, kind=kind, levels=plain, ordered=ordered)


def _order(level: Any) -> tuple[str, Any]:
    """Levels of several types have an order, too."""
    value = _plain(level)
    return ("", float(value)) if isinstance(value, int | float) else ("text", value)


def _plain(level: Any) -> str | int | float | bool:
    value = level.item() if isinstance(level, np.generic) else level
    return value if isinstance(value, str | int | float | bool) else str(value)


def _date(base: MixedColumn, present: pd.Series, text: str) -> MixedColumn:
    form = text.replace("%-", "%")
    if pd.api.types.is_numeric_dtype(present.dtype) or base.holds in ("int", "float", "decimal", "bool"):
        raise InputError(
            f"column {base.name!r} holds numbers, which were to be dates: convert it with pandas.to_datetime"
        )
    index = moments(present, form)
    unit = PANDAS_TICKS[index.unit]
    values = index.asi8
    first = int(values.min()) if len(values) else 0
    since = values - first
    tick = next((ticks for ticks in TICKS.values() if ticks % unit == 0 and not (since % (ticks // unit)).any()), unit)
    high = float(since.max() * (unit / tick)) if len(values) else 0.0
    return replace(base, kind=DATE, text=text, offset=first * unit, tick=tick, low=0.0, high=round(high), decimals=0)


def _number(base: MixedColumn, values: pd.Series) -> tuple[MixedColumn, tuple[str, ...]]:
    present = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(values.dtype) or base.holds in ("int", "float", "decimal")
    if not numeric:
        raise InputError(
            f"column {base.name!r} must hold numbers, and is of type {values.dtype}: convert it with pandas.to_numeric"
        )
    try:
        numbers = pd.to_numeric(present).to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"column {base.name!r} must hold numbers, and {str(error)[:100]}") from error
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan)))[0])
        raise InputError(
            f"column {base.name!r} holds an infinite value in row {row}, counted from 0: remove it, or leave the cell empty"
        )
    if not len(numbers):
        return replace(base, kind=CONSTANT), ()
    decimals, offset = _decimals(present, numbers, base), 0
    if decimals == 0 and np.abs(numbers).max() >= 2**53:
        offset = int(present.min())
        numbers = whole_since(present, offset)
    low, high, far = _bounds(numbers)
    where = np.flatnonzero(values.notna().to_numpy())
    notes = [
        f"{base.name}: row {where[row]}, counted from 0, holds {numbers[row] + offset:g}, far from all others "
        f"({low + offset:g} to {high + offset:g}): samples stay within these"
        for row in far[:3]
    ]
    kind = COUNT if decimals == 0 else NUMBER
    column = replace(base, kind=kind, low=low, high=high, decimals=decimals, offset=offset)
    mark = None if offset else _mark(numbers)
    if mark is not None:
        share = float((numbers == mark).mean())
        notes.append(
            f"{base.name}: {share:.1%} of the values are {mark:g}, apart from all others, and look like a mark for "
            "a missing value; it is learnt as a value of its own"
        )
    return column, tuple(notes)


def _decimals(present: pd.Series, numbers: np.ndarray, base: MixedColumn) -> int | None:
    """Decimals that all numbers are written with, or None."""
    if base.holds == "decimal":
        return max(0, *(-int(value.as_tuple().exponent) for value in present))
    if base.holds == "int" or _whole(present):
        return 0
    if np.abs(numbers).max() >= 2**53:
        return None
    single = str(present.dtype).lower() == "float32"
    for digits in range(1, MOST_DECIMALS + 1):
        rounded = np.round(numbers, digits)
        same = rounded.astype(np.float32) == numbers.astype(np.float32) if single else rounded == numbers
        if same.all():
            return digits
    return None


def _bounds(numbers: np.ndarray) -> tuple[float, float, list[int]]:
    """The least and the largest, and the rows that lie too far out to be learnt."""
    order = np.argsort(numbers, kind="stable")
    values = numbers[order]
    few = max(1, int(FEW_FAR * len(values)))
    low, high = 0, len(values) - 1
    if len(values) >= LEAST_KEYS:
        for cut in range(1, few + 1):
            if values[-cut] - values[-cut - 1] > FAR * (values[-cut - 1] - values[few]) > 0:
                high = len(values) - 1 - cut
            if values[cut] - values[cut - 1] > FAR * (values[-few - 1] - values[cut]) > 0:
                low = cut
    far = [int(row) for row in (*order[:low], *order[high + 1 :])]
    return float(values[low]), float(values[high]), far


def _mark(numbers: np.ndarray) -> float | None:
    """A value at one end that many rows have exactly, with a gap to the rest wider than the rest: -200 or 9999."""
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) < LEAST_KEYS:
        return None
    for end, next_, rest in ((0, 1, values[1:]), (-1, -2, values[:-1])):
        gap = abs(values[end] - values[next_])
        looks_so = values[end] < 0 <= rest[0] + np.ptp(rest) or set(str(abs(int(values[end])))) == {"9"}
        if counts[end] >= max(5, 0.005 * len(numbers)) and gap > np.ptp(rest) and looks_so:
            return float(values[end])
    return None


def _key(base: MixedColumn, kind: str, present: pd.Series) -> MixedColumn:
    if kind == IGNORED:
        return replace(base, kind=kind)
    numeric = pd.api.types.is_numeric_dtype(present.dtype) and not pd.api.types.is_bool_dtype(present.dtype)
    if numeric and len(present):
        last = present.max()
        return replace(base, kind=kind, named="number", offset=int(last) + int(last > int(last)))
    text = [str(value) for value in present]
    if text and all(re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) for value in text):
        return replace(base, kind=kind, named="uuid")
    found = [re.fullmatch(r"(.*\D|)(\d{1,15})", value) for value in text]
    if found and all(found) and len({one[1] for one in found if one}) == 1:
        digits = [one[2] for one in found if one]
        width = len(digits[0]) if len({len(one) for one in digits}) == 1 else 0
        prefix = found[0][1] if found[0] else ""
        return replace(base, kind=kind, named="text", text=prefix, low=width, high=float(max(map(int, digits))))
    return replace(base, kind=kind, named="text")
