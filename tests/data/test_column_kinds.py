import uuid

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy.data.column_kinds import column_of
from contrastive_entropy.data.mixed import MixedTable

RNG = np.random.default_rng(0)


def found(values, asked=None, *, name="v", **changed):
    return column_of(pd.Series(values, name=name, **changed), asked)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 2, 5] * 9, "count"),
        ([1.0, 2.0, 2.0, None] * 9, "count"),
        ([1.25, 2.0, 2.0, 5.0] * 9, "number"),
        (["a", "b", "b", None] * 9, "category"),
        ([True, False, True] * 9, "category"),
        (["2020-01-01", "2020-02-01", "2020-01-05"] * 9, "date"),
        (["12:30", "13:45", "09:05"] * 9, "date"),
        (["12:30", "13:45", "x"] * 9, "category"),
        (["1/2", "3/4", "5/6"] * 9, "category"),
        (list(range(30)), "key"),
        (list(range(30, 0, -1)), "key"),
        ([3 * row for row in range(30)], "count"),
        (list(range(19)), "count"),
        ([f"x{row}" for row in range(30)], "key"),
        ([f"x{row}" for row in range(19)], "category"),
        ([f"x{row}" for row in range(29)] + [None], "category"),
        ([7] * 30, "constant"),
        ([None] * 30, "constant"),
        ([7, None] * 15, "count"),
        (["x", None] * 15, "category"),
    ],
)
def test_the_kind_is_found(values, kind):
    assert found(values)[0].kind == kind


@pytest.mark.parametrize(("name", "kind"), [("id", "key"), ("user_id", "key"), ("row", "key"), ("paid", "count")])
def test_the_name_of_a_column_of_numbers_that_never_repeat_says_whether_it_is_a_key(name, kind):
    column, notes = found(RNG.permutation(200)[:60] * 7, name=name)
    assert column.kind == kind
    assert (f"{name}: no value repeats, so it is taken for a key" in " ".join(notes)) == (kind == "key")


@pytest.mark.parametrize(
    ("values", "first", "second"),
    [
        ([f"C{row:04}" for row in range(1, 31)], "C0031", "C0032"),
        ([f"2024-{row:06}" for row in range(30)], "2024-000030", "2024-000031"),
        ([f"row {row}" for row in range(30)], "row 30", "row 31"),
        ([f"{row:03}" for row in range(970, 1000)], "1000", "1001"),
        (list(range(5, 35)), 35, 36),
        (np.arange(98, 128, dtype=np.int8), 128, 129),
        ([2**60 + 1 + row for row in range(30)], 2**60 + 31, 2**60 + 32),
        (np.arange(30, dtype=np.uint64) + np.uint64(2**64 - 30), 2**64, 2**64 + 1),
        ([f"{chr(97 + row)}-{row}-z" for row in range(25)], "v-1", "v-2"),
    ],
)
def test_new_keys_go_on_where_the_data_end(values, first, second):
    column, _ = found(values)
    assert column.kind == "key"
    new = column.decode(np.zeros(50))
    assert new.tolist()[:2] == [first, second]
    assert new.is_unique
    assert not set(new) & set(values)


def test_new_uuids_are_unique_and_those_of_the_seed():
    values = [str(uuid.UUID(bytes=RNG.bytes(16), version=4)) for _ in range(30)]
    column, _ = found(values)
    first, again, other = (column.decode(np.zeros(500), seed=seed) for seed in (0, 0, 1))
    assert first.is_unique
    assert first.equals(again)
    assert not set(first) & {*other, *values}
    assert all(str(uuid.UUID(key)) == key and uuid.UUID(key).version == 4 for key in first)


@pytest.mark.parametrize("values", [RNG.normal(size=40), pd.date_range("2020", periods=40), [True, False] * 20])
def test_anything_may_be_asked_to_be_a_key(values):
    column, _ = found(values, "key")
    assert column.decode(np.zeros(60)).is_unique


def test_decimals_are_those_that_the_numbers_are_written_with():
    for digits in range(1, 7):
        numbers = np.round(RNG.normal(size=200), digits)
        assert found(numbers)[0].decimals == found(numbers.astype(np.float32))[0].decimals == digits
    assert found(RNG.normal(size=200))[0].decimals is None
    assert found(RNG.integers(0, 5, 200) * 1.0)[0].decimals == 0
    assert found(RNG.normal(size=200) * 1e200)[0].decimals is None


@pytest.mark.parametrize(("mark", "looks_so"), [(-200, True), (9999, True), (-1, False), (500, False), (999.0, True)])
def test_a_mark_for_a_missing_value_is_named(mark, looks_so):
    values = np.round(RNG.normal(20, 5, 1000).clip(2, 45), 1)
    values[RNG.random(1000) < 0.07] = mark
    notes = " ".join(found(values)[1])
    assert ("look like a mark for a missing value" in notes) == looks_so
    assert (f"of the values are {mark:g}" in notes) == looks_so
    assert not looks_so or f"{(values == mark).mean():.1%}" in notes


def test_a_far_value_is_named_by_its_row_and_lies_outside_the_bounds():
    values = RNG.normal(size=1500)
    values[[17, 400]] = [1e6, np.nan]
    column, notes = found(values)
    assert "v: row 17, counted from 0, holds 1e+06, far from all others" in notes[0]
    assert column.high < 10
    values[900] = -1e6
    column, notes = found(values)
    assert {"row 17", "row 900"} <= {note.split(",")[0].removeprefix("v: ") for note in notes}
    assert -10 < column.low < column.high < 10
    big = found([2**60 + one for one in (*range(0, 60, 2), 10**6)])[1]
    assert f"holds {2**60 + 10**6:g}" in big[0]


@pytest.mark.parametrize("values", [RNG.normal(size=1500), RNG.lognormal(0, 1, 1500), RNG.standard_t(3, 1500)])
def test_tails_are_not_far(values):
    column, notes = found(values)
    assert not notes
    assert (column.low, column.high) == (values.min(), values.max())


def test_dates_whose_day_and_month_may_be_swapped_are_said():
    column, notes = found(["01/02/2020", "03/04/2020", "05/06/2021"] * 9)
    assert column.text == "%m/%d/%Y"
    assert notes == ("v: dates could be %m/%d/%Y or %d/%m/%Y; the first was taken",)
    for text, form in (("13/02/2020", "%d/%m/%Y"), ("02/13/2020", "%m/%d/%Y")):
        column, notes = found([text, "01/02/2020"] * 9)
        assert (column.text, notes) == (form, ())


@pytest.mark.parametrize(
    ("values", "tick", "high"),
    [
        (["2020-01-01", "2020-01-03"], 86_400 * 10**9, 2),
        (["2020-01-01 00:00", "2020-01-01 05:00"], 3600 * 10**9, 5),
        (["2020-01-01 00:00:00", "2020-01-01 00:00:07"], 10**9, 7),
        (["2020-01-01 00:00:00.000", "2020-01-01 00:00:00.250"], 10**6, 250),
    ],
)
def test_dates_are_counted_in_their_own_steps(values, tick, high):
    column, _ = found(pd.to_datetime(values * 9))
    assert (column.tick, column.low, column.high) == (tick, 0, high)


def test_free_text_is_not_learnt_and_said():
    values = [f"text {row % 2500} {row % 7}" for row in range(4000)] + ["a"] * 500
    column, notes = found(values)
    assert column.kind == "key"
    assert "taken for free text: it is not learnt" in notes[0]
    assert f"{len(set(values)):,} different texts in 4,500 rows" in notes[0]


def test_levels_are_in_order_and_those_of_a_category_stay():
    assert found(["b", "a", "c", "a"] * 9)[0].levels == ("a", "b", "c")
    assert found([10, 9, 2] * 9, "category")[0].levels == (2, 9, 10)
    assert found(["1", 1, True, 0.5] * 9)[0].levels == (0.5, 1, True, "1")
    ordered = pd.Categorical(["b", "a"] * 9, categories=["z", "b", "a"], ordered=True)
    column = found(ordered)[0]
    assert (column.levels, column.ordered) == (("z", "b", "a"), True)


def test_a_description_names_every_column():
    frame = pd.DataFrame({
        "age": [31, 42, None] * 10,
        "city": [*"abcdef"] * 5,
        "cents": [1.25, 3.5, 2.0] * 10,
        "day": pd.to_datetime(["2020-01-03", "2020-01-01", "2020-02-01"] * 10),
        "unit": ["kg"] * 30,
        "id": range(30),
    })  # fmt: skip
    assert MixedTable.of(frame)[0].described().splitlines() == [
        "6 columns, as they were found (`column` NAME=KIND says otherwise):",
        "  age    count     31 to 42, missing values",
        "  city   category  6 values: a, b, c, d ...",
        "  cents  number    1.25 to 3.5, 2 decimals",
        "  day    date      2020-01-01 00:00:00 to 2020-02-01 00:00:00",
        "  unit   constant  always kg",
        "  id     key       not learnt, new ones in samples",
    ]
