"""What the columns of a table are, and tables as numbers: categories by their codes, missing values as NaN."""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contrastive_entropy.data.column_kinds import LEAST_KEYS, NAMES_A_KEY, column_of
from contrastive_entropy.data.column_types import familiar
from contrastive_entropy.data.columns import CATEGORY, CONSTANT, COUNT, DATE, KEY, NUMBER, moments
from contrastive_entropy.errors import InputError

KINDS = (NUMBER, COUNT, CATEGORY, DATE, KEY)
"""What a column can be; keys only name the rows."""

MOMENT, TIME, LENGTH = "moment", "time", "length"
"""What dates can be: days with or without a time, times of a day, lengths of time."""

ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
"""Text that may be a date in ISO 8601, with any time and time zone."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column that is judged.

    Args:
        name: of the column.
        kind: of `KINDS`, no key.
        levels: of a category, the most frequent first: the code of a level is its place.
        dates: what the dates of a date are: `MOMENT`, `TIME` or `LENGTH`.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    dates: str = MOMENT

    @property
    def is_category(self) -> bool:
        """Whether its numbers are codes."""
        return self.kind == CATEGORY

    def says(self, value: float) -> str:
        """A value of the coded table, for people."""
        if np.isnan(value):
            return "missing"
        if self.is_category:
            return repr(self.levels[int(value)])
        if self.kind == DATE:
            if self.dates == LENGTH:
                return str(pd.Timedelta(int(value)))
            moment = pd.Timestamp(int(value))
            return str(moment.time() if self.dates == TIME else moment)
        return f"{value:.10g}"

    def decoded(self, values: np.ndarray) -> pd.Series:
        """(n,) values of the coded table as numbers, dates, times, lengths of time or levels."""
        if self.kind == DATE:
            if self.dates == LENGTH:
                return pd.to_timedelta(pd.Series(values))
            dates = pd.to_datetime(pd.Series(values))
            return dates.dt.time if self.dates == TIME else dates
        if self.is_category:
            return pd.Series([None if np.isnan(code) else self.levels[int(code)] for code in values], dtype=object)
        return pd.Series(values)


@dataclass(frozen=True, eq=False)
class Coded:
    """A table as numbers.

    Args:
        columns: of the table, keys left out.
        values: (n, d) float64: numbers, nanoseconds of dates, codes of categories; NaN is missing.
    """

    columns: tuple[Column, ...]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> "Coded":
        """Some of the rows."""
        return Coded(self.columns, self.values[rows])

    def draw(self, count: int, rng: np.random.Generator) -> "Coded":
        """At most so many rows, drawn without replacement; all of them in their order if there are no more."""
        return self if len(self) <= count else self.take(rng.permutation(len(self))[:count])

    def distinct(self) -> "Coded":
        """Every row once."""
        return self.take(~pd.DataFrame(self.values).duplicated().to_numpy())


def row_codes(table: Coded) -> np.ndarray:
    """(n,) hashes of rows: equal rows have equal ones, missing being equal to missing."""
    return pd.util.hash_pandas_object(pd.DataFrame(table.values), index=False).to_numpy()


def code(tables: Mapping[str, pd.DataFrame], kinds: Mapping[str, str] | None) -> tuple[dict[str, Coded], list[str]]:
    """Tables of the same columns as numbers.

    Args:
        tables: by what they are called in messages: `samples` and real rows, `held-out rows` first of these.
        kinds: column -> kind; what it leaves out is inferred from the real rows.

    Returns:
        The tables by the same names, and the names of keys. Numbers of real rows are rounded to single precision where the
        samples are in single precision, so that equal values are equal.

    Raises:
        InputError: other columns, no columns, no rows, an unknown kind, or values that a kind cannot hold.
    """
    real = {name: table for name, table in tables.items() if name != "samples"}
    names = _checked_names(tables, next(iter(real.values())))
    kinds = _checked_kinds(names, kinds)
    columns: list[Column] = []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in tables}
    keys = []
    for name in names:
        kind, text = kind_of(name, [table[name] for table in real.values()], kinds.get(name))
        if kind == KEY:
            keys.append(name)
            continue
        column, coded = _coded_column(name, kind, text, {label: table[name] for label, table in tables.items()})
        columns.append(column)
        for label, values in coded.items():
            parts[label].append(values)
    if not columns:
        raise InputError(f"every column is a key ({', '.join(keys)}): nothing is left to judge; name other `kinds`")
    return {label: Coded(tuple(columns), np.column_stack(values)) for label, values in parts.items()}, keys


def _checked_names(tables: Mapping[str, pd.DataFrame], first: pd.DataFrame) -> list[str]:
    names = list(first.columns)
    for label, table in tables.items():
        if not len(table):
            raise InputError(f"the {label} have no rows; at least one is needed")
        if len(set(table.columns)) < len(table.columns):
            raise InputError(f"the {label} have two columns of one name; rename one of them")
        lacking, more = ([str(name) for name in (a - b)] for a, b in _sides(set(names), set(table.columns)))
        if lacking or more:
            what = f"lack {', '.join(sorted(lacking))}" if lacking else f"also have {', '.join(sorted(more))}"
            raise InputError(f"the {label} {what}: expected the same columns in all tables; add or leave out columns")
    return names


def _sides(first: set[str], second: set[str]) -> list[tuple[set[str], set[str]]]:
    return [(first, second), (second, first)]


def _checked_kinds(names: Sequence[str], kinds: Mapping[str, str] | None) -> Mapping[str, str]:
    kinds = {} if kinds is None else kinds
    for name, kind in kinds.items():
        if name not in names:
            raise InputError(f"`kinds` names a column {name!r}, and the columns are {', '.join(map(str, names))}")
        if kind not in KINDS:
            raise InputError(f"`kinds`: {name!r} is {kind!r}; expected one of {', '.join(KINDS)}")
    return kinds


def kind_of(name: str, real: Sequence[pd.Series], asked: str | None = None) -> tuple[str, str]:
    """What a column is, by the rules of `data.column_kinds.column_of`, and the format of its dates.

    Beyond these rules, text in ISO 8601 is dates whatever its times and time zones; columns whose rows keep no order, or
    that two tables share, are keys if their names say so or their values are text.

    Args:
        name: of the column.
        real: its values in all real rows, table by table.
        asked: of `KINDS`, if somebody says so.

    Returns:
        Of `KINDS`, and the format of dates that are text, else "". A constant is a date or a number where
        its type is, else a category.

    Raises:
        InputError: values that no kind holds.

    >>> kind_of("since", [pd.Series(["31.12.2024", "1.2.2025"]), pd.Series(["01.03.2024", None])])
    ('category', '')
    >>> kind_of("since", [pd.Series(["31.12.2024", "01.02.2025"]), pd.Series(["01.03.2024", None])])
    ('date', '%d.%m.%Y')
    """
    if asked is not None and asked != DATE:
        return asked, ""
    values = pd.concat(real).rename(name)
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    try:
        # of a file that was split: numbers that fill their range together still count its rows
        column, _ = column_of(values.sort_values() if is_number and _in_order(name, real) else values, asked)
        found = {(column.kind, column.text)}
    except InputError as error:
        if asked == DATE:
            return DATE, ""  # what cannot be read is refused with the name of its table
        if is_number and not pd.api.types.is_complex_dtype(values):
            return NUMBER, ""  # likewise
        if len(real) < 2:
            raise InputError(f"{error}; or name its kind in `kinds`") from error
        found = {kind_of(name, [part]) for part in real}  # dates as text and as such
        if len({kind for kind, _ in found}) > 1:
            raise InputError(f"{error}; or name its kind in `kinds`") from error
    kind, text = max(found)
    if kind in (KEY, CATEGORY) and _is_iso(values):
        return DATE, ""
    may_name = kind == CATEGORY or (kind in (NUMBER, COUNT) and NAMES_A_KEY.search(str(name)))
    if may_name and len(real) > 1 and all(kind_of(name, [part])[0] == KEY for part in real):
        return KEY, ""  # rows that both tables hold repeat their keys
    if kind != CONSTANT:
        return kind, text
    dates = pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values)
    return DATE if dates else NUMBER if is_number or column.holds in ("int", "float", "decimal") else CATEGORY, ""


def _in_order(name: str, real: Sequence[pd.Series]) -> bool:
    """Whether numbers may count the rows of a file: their name says so, or they increase in a table as it was given."""
    increase = any(len(part) >= LEAST_KEYS // 2 and part.is_monotonic_increasing for part in real)
    return increase or NAMES_A_KEY.search(str(name)) is not None


def _is_iso(values: pd.Series) -> bool:
    """Whether all values are text and dates in ISO 8601."""
    present = values.dropna()
    text = not isinstance(present.dtype, pd.CategoricalDtype) and len(present) > 0
    if not text or not all(isinstance(value, str) and ISO.fullmatch(value) for value in present):
        return False
    try:
        moments(present, "").as_unit("ns")
    except (InputError, ValueError):
        return False
    return True


def _coded_column(
    name: str, kind: str, text: str, series: Mapping[str, pd.Series]
) -> tuple[Column, dict[str, np.ndarray]]:
    if kind == CATEGORY:
        return _coded_category(name, series)
    if kind == DATE:
        real = [values for label, values in series.items() if label != "samples"]
        column = Column(name, kind, dates=_what_dates_are(real, text))
        return column, {label: _dates(name, values, label, text) for label, values in series.items()}
    found = {label: _numbers(name, values, label) for label, values in series.items()}
    samples = found.get("samples")
    if samples is not None and _single(samples):
        found = {label: _as_single(values) for label, values in found.items()}
    return Column(name, kind), found


def _what_dates_are(real: Sequence[pd.Series], text: str) -> str:
    """Of `MOMENT`, `TIME` and `LENGTH`."""
    if all(pd.api.types.is_timedelta64_dtype(familiar(values)) for values in real):
        return LENGTH
    objects = all(isinstance(value, datetime.time) for values in real for value in familiar(values).dropna())
    return TIME if text.startswith("%H") or (objects and not text) else MOMENT


def _single(values: np.ndarray) -> bool:
    return bool((_as_single(values)[~np.isnan(values)] == values[~np.isnan(values)]).all())


def _as_single(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < 1e38, np.clip(values, -1e38, 1e38).astype(np.float32).astype(float), values)


def _coded_category(name: str, series: Mapping[str, pd.Series]) -> tuple[Column, dict[str, np.ndarray]]:
    text = {label: _as_text(values) for label, values in series.items()}
    real = pd.concat([values for label, values in text.items() if label != "samples"])
    order = real.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    known = list(order.index)
    seen = set(known)
    new = sorted({level for values in text.values() for level in values.dropna().unique()} - seen)
    codes = {level: float(place) for place, level in enumerate([*known, *new])}
    coded = {label: values.map(codes).to_numpy(float, na_value=np.nan) for label, values in text.items()}
    return Column(name, CATEGORY, tuple(codes)), coded


def _as_text(values: pd.Series) -> pd.Series:
    """Levels as text: 1, 1.0 and '1' are one level, however a file was read."""
    levels = {level: _text(level) for level in values.dropna().unique()}
    return values.astype(object).map(levels)


def _text(level: object) -> str:
    if isinstance(level, float | np.floating) and float(level).is_integer():
        return str(int(level))
    return str(level)


def _numbers(name: str, values: pd.Series, label: str) -> np.ndarray:
    try:
        numbers = pd.to_numeric(values).to_numpy(float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"column {name!r} of the {label}: expected numbers, as its kind says, got {_shown(values.dropna().iloc[0])} or "
            "others that are none; name another kind in `kinds`, or mend the values"
        ) from error
    bad = np.flatnonzero(np.isinf(numbers))
    if len(bad):
        raise InputError(f"column {name!r} of the {label}: row {bad[0]}, counted from 0, is infinite; remove such rows")
    return numbers + 0.0  # -0 becomes 0


def _dates(name: str, values: pd.Series, label: str, text: str) -> np.ndarray:
    """(n,) nanoseconds since 1970 of dates in a format, or in ISO 8601."""
    present = values.dropna()
    for form in dict.fromkeys((text.replace("%-", "%"), "")):
        try:
            if len(present) and pd.api.types.is_numeric_dtype(present):
                break
            stamps = moments(values, form).as_unit("ns").to_numpy()
            return np.where(np.isnat(stamps), np.nan, stamps.astype("int64").astype(float))
        except (InputError, ValueError):  # dates that nanoseconds do not hold are a ValueError
            continue
    known = f"{_for_people(text)}, " if text else ""
    raise InputError(
        f"column {name!r} of the {label}: expected dates as in {known}2024-03-31 or 2024-03-31 12:00, from 1678 to 2261, "
        f"got {_shown(present.iloc[0])} or others that are none; name another kind in `kinds`, or mend the values"
    )


def _shown(value: object) -> str:
    """A value for people: text in quotes, 1.5 where numpy says np.float64(1.5)."""
    return repr(value) if isinstance(value, str) else str(value)


def _for_people(text: str) -> str:
    """A date in a format, such as 31.3.2024."""
    return pd.Timestamp(2024, 3, 31, 12).strftime(text)
