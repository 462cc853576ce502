import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from columns import ROWS, every_type, holed, text_dates
from contrastive_entropy import InputError
from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.data.mixed import MixedTable, asked_kinds, mixed_from
from contrastive_entropy.data.mixed_dataset import mixed_dataset

TYPES, FORMS = every_type(), text_dates()
BESIDE = pd.Series(np.random.default_rng(5).normal(size=ROWS))


def stored(schema):
    """As config.json keeps it."""
    return mixed_from(json.loads(json.dumps(dataclasses.asdict(schema), allow_nan=False)))


def comes_back(frame, *, asked=None):
    """The schema of a frame, after it was seen that the frame comes back with the same values and types."""
    before = frame.copy()
    schema = MixedTable.of(frame, asked)[0]
    assert stored(schema) == schema
    numbers = stored(schema).numbers(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert numbers.dtype == torch.float64
    back, want = stored(schema).frame(numbers), frame.reset_index(drop=True)
    pd.testing.assert_frame_equal(back, want)
    pd.testing.assert_frame_equal(schema.frame(schema.tidy(numbers)), want)
    for name in want.select_dtypes(object):
        assert all(type(a) is type(_plain(b)) for a, b in zip(back[name], want[name], strict=True)), name
    assert schema.described().count("\n") == frame.shape[1]
    return schema


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("name", TYPES)
def test_every_type_comes_back_exactly(name):
    frame = pd.DataFrame({"beside": BESIDE, "v": TYPES[name]})
    comes_back(frame)
    shuffled = frame.sample(frac=1, random_state=0)
    comes_back(shuffled[shuffled.index % 5 != 0])


@pytest.mark.parametrize("form", FORMS)
def test_text_dates_of_every_form_come_back_exactly(form):
    frame = pd.DataFrame({"v": FORMS[form], "gaps": holed(FORMS[form]), "objects": FORMS[form].astype(object)})
    schema = comes_back(frame)
    assert set(schema.kinds.values()) == {"date"}
    dated = pd.to_datetime(FORMS[form], format=form.replace("%-", "%"))
    later = np.argsort(dated.to_numpy(), kind="stable")
    assert (np.diff(schema.numbers(frame)[later, 0]) >= 0).all()


SOME = ("int8", "Int64", "float64 with gaps", "text, str", "ordered", "dates us", "objects of dates", "several types")


@pytest.mark.parametrize("asked", ["category", "number", "count", "date", "key", "ignore"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in TYPES])
def test_a_column_of_any_type_may_be_of_any_kind_or_is_refused_in_one_line(name, asked):
    frame = pd.DataFrame({"beside": BESIDE, "v": TYPES[name]})
    refusal = None
    try:
        schema = MixedTable.of(frame, {"v": asked})[0]
    except InputError as error:
        refusal = str(error)
    if refusal is not None:
        assert "'v'" in refusal
        assert "\n" not in refusal
        assert asked in ("number", "count", "date")
        return
    if asked in ("key", "ignore"):
        back = schema.frame(schema.numbers(frame))
        assert back.shape == frame.shape
        assert asked == "ignore" or back["v"].is_unique
    else:
        comes_back(frame, asked={"v": asked})


def test_the_numbers_are_those_of_the_values():
    frame = pd.DataFrame({
        "count": [3, 5, 9] * 4,
        "level": ["b", None, "a"] * 4,
        "day": pd.to_datetime(["2020-01-03", "2020-01-01", "2020-01-06"] * 4),
        "value": [0.25, np.nan, -1.5] * 4,
    })  # fmt: skip
    schema, _ = MixedTable.of(frame)
    assert schema.kinds == {"count": "count", "level": "category", "day": "date", "value": "number"}
    nan = float("nan")
    want = torch.tensor([[3, 1, 2, 0.25], [5, nan, 0, nan], [9, 0, 5, -1.5]], dtype=torch.float64)
    torch.testing.assert_close(schema.numbers(frame.head(3)), want, equal_nan=True, rtol=0, atol=0)
    other = frame.head(3)[["value", "day", "level", "count"]].assign(more=1)
    torch.testing.assert_close(schema.numbers(other), want, equal_nan=True, rtol=0, atol=0)


def test_whole_numbers_too_far_apart_for_float64_stay_of_their_type_and_close():
    values = pd.Series([-(2**63), 2**63 - 1, *range(ROWS - 2)])
    frame = pd.DataFrame({"v": values, "u": pd.Series([0, 2**64 - 1, *range(ROWS - 2)], dtype=np.uint64)})
    schema, _ = MixedTable.of(frame)
    back = schema.frame(schema.numbers(frame))
    assert (back.dtypes == frame.dtypes).all()
    for name in frame:
        apart = [abs(int(a) - int(b)) for a, b in zip(back[name], frame[name], strict=True)]
        assert max(apart) <= 2**11


def test_values_of_a_model_are_made_tidy():
    frame = pd.DataFrame({"cents": [1.25, 9.5, 3.0] * 4, "count": [0, 4, 2] * 4, "level": ["a", "b", "a"] * 4})
    schema, _ = MixedTable.of(frame)
    raw = torch.tensor([[1.2549, 1.6, 0.0], [-4.0, 7.2, 1.0], [99.0, -3.0, 1.0]], dtype=torch.float64)
    want = pd.DataFrame({"cents": [1.25, 1.25, 9.5], "count": [2, 4, 0], "level": ["a", "b", "b"]})
    pd.testing.assert_frame_equal(schema.frame(schema.tidy(raw)), want)


def test_what_is_given_is_read_as_the_column_s_values():
    frame = pd.DataFrame({
        "age": [31, 42, 25, 58] * 5,
        "city": ["Ulm", "Leipzig", None, "Ulm"] * 5,
        "grade": [1, 2, 3, 1] * 5,
        "day": pd.to_datetime(["2020-01-03", "2020-01-01", "2020-01-06", "2020-01-02"] * 5),
        "text": ["03.01.2020", "01.01.2020", "06.01.2020", "02.01.2020"] * 5,
        "wait": pd.to_timedelta([1, 2, 3, 5] * 5, unit="h"),
        "ratio": [0.5, 0.25, 0.75, 0.125] * 5,
        "big": [2**60 + 1, 2**60 + 3, 2**60, 2**60 + 7] * 5,
        "code": [f"C{row:03}" for row in range(20)],
    })  # fmt: skip
    schema, _ = MixedTable.of(frame, {"grade": "category"})
    row = schema.row({"age": "42", "city": "Leipzig", "grade": "3", "day": "2020-01-05", "text": "04.01.2020"})[0]
    assert row.tolist() == [42, 0, 2, 4, 3, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN]
    assert schema.row({"city": None, "wait": "4 hours", "ratio": 0.3})[0, [1, 5, 6]].isnan().tolist() == [1, 0, 0]
    assert schema.row({"wait": "4 hours"})[0, 5] == schema.row({"wait": pd.Timedelta(4, "h")})[0, 5] == 3
    assert schema.row({"big": 2**60 + 5})[0, 7] == 5
    for values, message in (
        ({"town": "Ulm"}, r"`given`: no column 'town'"),
        ({"city": "Leipzg"}, r"city has no value 'Leipzg'; did you mean 'Leipzig'\? \(known: Leipzig, Ulm\)"),
        ({"age": "old"}, "age must be a number, got 'old'"),
        ({"age": 2.5}, "age must be a whole number, got 2.5"),
        ({"age": float("inf")}, "age must be a whole number, got inf"),
        ({"ratio": "inf"}, "ratio must be a finite number, got 'inf'"),
        ({"ratio": "nan"}, "ratio must be a finite number, got 'nan'"),
        ({"age": None}, "age cannot be missing"),
        ({"age": 1e30}, "is of type int64, which does not hold"),
        ({"day": "soon"}, "day must be a date such as 2024-05-31, got 'soon'"),
        ({"text": "2020-01-01"}, "text must be a date in the form %d.%m.%Y, got '2020-01-01'"),
        ({"wait": "long"}, "wait must be a length of time"),
        ({"code": "C004"}, "code is a column of kind key, which is not learnt: leave it out"),
    ):
        with pytest.raises(InputError, match=message):
            schema.row(values)


@pytest.mark.parametrize(
    ("frame", "asked", "message"),
    [
        (pd.DataFrame({"a": []}), None, "the table holds no rows"),
        (pd.DataFrame([[1, 2]] * 20, columns=["a", "a"]), None, "two columns are named a; give each a name of its own"),
        (pd.DataFrame([[1, 2]] * 20, columns=["1", 1]), None, "two columns are named 1"),
        (pd.DataFrame({"a": [1] * 20, "id": range(20)}), None, "nothing to learn"),
        (pd.DataFrame({"a": [[1]] * 20}), None, "column 'a' holds a list in row 0, counted from 0"),
        (pd.DataFrame({"a": ["x", b"x"] * 10}), None, "column 'a' holds a bytes in row 1, counted from 0"),
        (pd.DataFrame({"a": [1j, 2j] * 10}), None, "column 'a' holds complex numbers"),
        (pd.DataFrame({"a": [1.0, np.inf] * 10}), None, "column 'a' holds an infinite value in row 1, counted from 0"),
        (
            pd.DataFrame({"a": [None, "x", object()] * 9}, dtype=object),
            None,
            "holds a object beside other types in row 2",
        ),
        (pd.DataFrame({"a": pd.period_range("2020", periods=20, freq="M")}), None, r"is of type period\[M\]"),
        (pd.DataFrame({"a": [1, 2] * 10}), {"b": "key"}, r"`column`: no column 'b' \(known: a\)"),
        (pd.DataFrame({"a": [1, 2] * 10}), {"a": "catgory"}, "unknown kind 'catgory' of a; did you mean 'category'"),
        (pd.DataFrame({"a": [1, 2] * 10}), {"a": "constant"}, "column 'a' is not constant"),
        (pd.DataFrame({"a": [1.5, 2] * 10}), {"a": "count"}, "holds numbers with decimals, which were to be counts"),
        (pd.DataFrame({"a": ["x", "y"] * 10}), {"a": "number"}, "column 'a' must hold numbers"),
        (pd.DataFrame({"a": ["x", "y"] * 10}), {"a": "date"}, "text such as 'x' is in no form of dates known here"),
        (pd.DataFrame({"a": [1, 2] * 10}), {"a": "date"}, "convert it with pandas.to_datetime"),
    ],
)
def test_what_cannot_be_used_is_refused(frame, asked, message):
    with pytest.raises(InputError, match=message):
        MixedTable.of(frame, asked)


def test_rows_that_do_not_fit_are_refused():
    frame = pd.DataFrame(
        {"a": [1, 2] * 10, "b": ["x", "y"] * 10, "d": pd.to_datetime(["2020-01-01", "2020-01-05"] * 10)}
    )
    schema, _ = MixedTable.of(frame)
    with pytest.raises(InputError, match="the table lacks the columns b, d; it has a"):
        schema.numbers(frame[["a"]])
    with pytest.raises(InputError, match="column 'b' holds 'z' in row 1, counted from 0, which is no value"):
        schema.numbers(frame.head(2).assign(b=["x", "z"]))
    with pytest.raises(InputError, match="column 'a' must hold numbers"):
        schema.numbers(frame.head(2).assign(a=["one", "two"]))
    with pytest.raises(InputError, match="column 'd' must hold dates"):
        schema.numbers(frame.head(2).assign(d=["one", "two"]))
    with pytest.raises(InputError, match="x: 9 rows are too few to learn a table; at least 10 are needed"):
        mixed_dataset("x", frame.head(9), held_out=0.1, seed=0)


def test_kinds_are_asked_for_by_name():
    assert asked_kinds("a=key, b =number,x=y=date") == {"a": "key", "b": "number", "x=y": "date"}
    assert asked_kinds(None) == asked_kinds("") == {}
    for text in ("a", "a=", "=key", "a=key,a=date", ",a=key"):
        with pytest.raises(InputError, match="`column` must be NAME=KIND"):
            asked_kinds(text)


COLUMNS = st.sampled_from([name for name, values in TYPES.items() if not name.startswith(("constant", "all "))])


@given(st.lists(COLUMNS, min_size=1, max_size=6), st.integers(0, 2**31), st.integers(10, ROWS))
def test_random_tables_come_back_exactly(names, seed, rows):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"beside": BESIDE} | {f"c{i}": TYPES[name] for i, name in enumerate(names)})
    frame = frame.iloc[rng.integers(0, ROWS, rows)]
    frame = frame[rng.permutation(frame.columns)]
    comes_back(frame.set_axis(rng.permutation(rows) - 3))


NUMBERS = st.floats(-1e9, 1e9) | st.integers(-1000, 1000).map(lambda number: number / 100)


@given(st.lists(st.one_of(st.none(), NUMBERS), min_size=20, max_size=60), st.sampled_from(["float64", "Float64"]))
def test_any_finite_numbers_come_back_exactly(values, dtype):
    frame = pd.DataFrame({"v": pd.Series(values, dtype=dtype), "beside": [1, 2] * 10 + [3] * (len(values) - 20)})
    schema, _ = MixedTable.of(frame)
    pd.testing.assert_frame_equal(stored(schema).frame(schema.numbers(frame)), frame)
