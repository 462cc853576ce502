"""Columns of every type that a table may hold, for tests."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from contrastive_entropy.data.column_kinds import FORMATS

ROWS = 40


def holed(values):
    """The same with missing values in every seventh row."""
    return values.where(np.arange(len(values)) % 7 != 3)


def whole(count=ROWS, seed=0):
    return np.random.default_rng(seed).integers(0, 50, count)


def _numbers():
    rng, counts = np.random.default_rng(1), whole()
    found = {}
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        nullable = name.replace("int", "Int").replace("u", "U")
        found[name] = pd.Series(counts.astype(name))
        found[nullable] = holed(pd.Series(counts).astype(nullable))
    found["int32 of the whole range"] = pd.Series(rng.integers(-(2**31), 2**31, ROWS, dtype=np.int32))
    for name in ("float16", "float32", "float64", "Float32", "Float64"):
        values = pd.Series(rng.normal(size=ROWS).astype(name.lower())).astype(name)
        found |= {name: values, f"{name} with gaps": holed(values)}
        found[f"{name} of two decimals"] = pd.Series(np.round(rng.normal(size=ROWS), 2)).astype(name)
        found[f"{name} of whole numbers"] = holed(pd.Series(counts).astype(name))
    found["huge"] = pd.Series(rng.normal(size=ROWS) * 1e200)
    found["tiny"] = pd.Series(rng.normal(size=ROWS) * 1e-200)
    found["beyond 2^53"] = pd.Series(2**60 + 2 * counts + 1)
    found["beyond 2^53 with gaps"] = holed(found["beyond 2^53"].astype("Int64"))
    found["beyond 2^63"] = pd.Series(np.uint64(2**63) + 3 * counts.astype(np.uint64))
    found["beyond 2^64"] = pd.Series([2**70 + int(count) for count in counts], dtype=object)
    found["milliseconds"] = pd.Series(1.7e12 + counts)
    found["sparse"] = pd.Series(pd.arrays.SparseArray(counts * 1.0))
    found["decimals"] = pd.Series([decimal.Decimal(f"{count}.{count:02d}") for count in counts], dtype=object)
    found["decimals with gaps"] = holed(found["decimals"]).where(lambda values: values.notna(), None)
    found["many decimals"] = pd.Series([decimal.Decimal(f"0.{count:013d}") for count in counts], dtype=object)
    found["objects of integers"] = pd.Series(counts).astype(object)
    found["objects of integers with gaps"] = holed(found["objects of integers"])
    found["objects of numbers"] = pd.Series(rng.normal(size=ROWS)).astype(object)
    return found


def _texts():
    counts, rng = whole(), np.random.default_rng(2)
    text = pd.Series(["a b", "ü", "x,y", ""])[rng.integers(0, 4, ROWS)].reset_index(drop=True)
    yes = pd.Series(counts % 2 == 0)
    found = {"bool": yes, "boolean": yes.astype("boolean"), "boolean with gaps": holed(yes.astype("boolean"))}
    found["objects of booleans"] = yes.astype(object)
    found["objects of booleans with gaps"] = holed(yes.astype(object)).where(lambda values: values.notna(), None)
    for name in ("object", "str", "string", "string[python]", "category"):
        found |= {f"text, {name}": text.astype(name), f"text with gaps, {name}": holed(text.astype(name))}
    found["text with None"] = holed(text.astype(object)).where(lambda values: values.notna(), None)
    found["text with NA"] = holed(text.astype(object)).where(lambda values: values.notna(), pd.NA)
    found["several types"] = pd.Series(["1", 1, True, 2.5] * (ROWS // 4), dtype=object)
    order = pd.CategoricalDtype(["x,y", "", "ü", "a b", "unused"], ordered=True)
    found["ordered"] = holed(text.astype(order))
    found["levels int"] = pd.Series(counts % 4).astype(pd.CategoricalDtype([3, 2, 1, 0, 9]))
    found["levels int8"] = pd.Series((counts % 4).astype(np.int8)).astype("category")
    found["levels float"] = pd.Series((counts % 4) / 3).astype("category")
    found["levels bool"] = yes.astype("category")
    found["levels str"] = text.astype("str").astype("category")
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(counts % 4, unit="D")
    found["levels dates"] = pd.Series(days).astype("category")
    found["levels intervals"] = pd.cut(pd.Series(counts), 4)
    return found


def _dates():
    dates = pd.Series(pd.date_range("2020-01-01 10:00:01.123456", periods=ROWS, freq="37h"))
    found = {}
    for unit in ("s", "ms", "us", "ns"):
        plain = dates.astype(f"datetime64[{unit}]")
        berlin = plain.dt.tz_localize("Europe/Berlin", ambiguous=True, nonexistent="shift_forward")
        lengths = pd.Series((whole() * 3601).astype("timedelta64[s]")).astype(f"timedelta64[{unit}]")
        for name, values in {"dates": plain, "zoned": berlin, "lengths": lengths}.items():
            found |= {f"{name} {unit}": values, f"{name} {unit} with gaps": holed(values)}
    found["zone of an offset"] = dates.dt.tz_localize("+02:00")
    found["eras"] = pd.Series(np.array(["0100-01-01", "2000-01-01"] * (ROWS // 2), dtype="datetime64[s]"))
    for name, values in {
        "objects of dates": [date.date() for date in dates],
        "objects of datetimes": [date.to_pydatetime() for date in dates],
        "objects of timestamps": list(dates),
        "objects of times": [date.time() for date in dates],
    }.items():
        objects = pd.Series(values, dtype=object)
        found |= {name: objects, f"{name} with None": holed(objects).where(lambda values: values.notna(), None)}
        found[f"{name} with NaN"] = holed(objects)
    return found


def _of_arrow():
    counts = pd.Series(whole())
    dates = pd.Series(pd.date_range("2020-01-01 10:00:01.123456", periods=ROWS, freq="37h"))
    quarters = pd.Series([decimal.Decimal(int(count)) / 4 for count in counts])
    found = {
        "int64": counts.astype("int64[pyarrow]"),
        "uint8": counts.astype("uint8[pyarrow]"),
        "double": counts.astype("double[pyarrow]") / 7,
        "float": counts.astype("float[pyarrow]"),
        "bool": (counts % 2 == 0).astype("bool[pyarrow]"),
        "string": pd.Series(["a", "b"])[counts % 2].reset_index(drop=True).astype(pd.ArrowDtype(pa.string())),
        "timestamp": dates.astype(pd.ArrowDtype(pa.timestamp("us"))),
        "zoned": dates.dt.tz_localize("UTC").astype(pd.ArrowDtype(pa.timestamp("us", "UTC"))),
        "date": pd.Series([date.date() for date in dates]).astype(pd.ArrowDtype(pa.date32())),
        "time": pd.Series([date.time() for date in dates]).astype(pd.ArrowDtype(pa.time64("us"))),
        "duration": pd.Series(pd.to_timedelta(counts, unit="s")).astype(pd.ArrowDtype(pa.duration("s"))),
        "decimal": quarters.astype(pd.ArrowDtype(pa.decimal128(10, 2))),
    }
    return {f"arrow {name}": values for name, values in found.items()} | {
        f"arrow {name} with gaps": holed(values) for name, values in found.items()
    }


def _constants():
    once = {
        "int": 3, "float": 0.1, "text": "x", "bool": True, "date": datetime.date(2020, 1, 2),
        "timestamp": pd.Timestamp("2020-01-01 10:00"), "zoned": pd.Timestamp("2020-01-01", tz="UTC"),
        "length": pd.Timedelta(5, "s"), "decimal": decimal.Decimal("1.50"), "time": datetime.time(10, 30),
    }  # fmt: skip
    found = {f"constant {name}": pd.Series([value] * ROWS) for name, value in once.items()}
    found |= {f"one value and gaps, {name}": holed(pd.Series([value] * ROWS)) for name, value in once.items()}
    found["constant category"] = pd.Series(["x"] * ROWS).astype("category")
    for name in ("float64", "Int64", "string", "str", "object", "boolean", "category", "datetime64[ns]",
                 "timedelta64[ns]", "datetime64[us, UTC]", "int64[pyarrow]"):  # fmt: skip
        found[f"all missing, {name}"] = pd.Series([None] * ROWS, dtype=name)
    found["all NaN"] = pd.Series([np.nan] * ROWS, dtype=object)
    return found


def every_type():
    """Columns of `ROWS` values by name."""
    return _numbers() | _texts() | _dates() | _of_arrow() | _constants()


def text_dates():
    """Dates as text in every form that is known, by form."""
    dates = pd.date_range("2020-01-01 10:00:01.123456", periods=ROWS, freq="37h")
    return {form: pd.Series(dates.strftime(form)) for form in FORMATS}
