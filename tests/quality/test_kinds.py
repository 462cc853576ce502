import datetime

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy import InputError
from contrastive_entropy.quality import judge
from contrastive_entropy.quality.kinds import code, kind_of
from mixed_tables import mixed, plain


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("x", [1.5, 2.5], "number"),
        ("x", pd.array([1, None, 2], dtype="Int64"), "count"),
        ("x", pd.Series([1, 2.5, None], dtype=object), "number"),
        ("x", [True, False], "category"),
        ("x", pd.Series([True, False, None], dtype=object), "category"),
        ("x", ["a", "b", None], "category"),
        ("x", pd.Categorical([1, 2]), "category"),
        ("x", pd.to_datetime(["2024-01-01", "2024-01-02"]), "date"),
        ("x", pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True), "date"),
        ("x", pd.to_timedelta([1, 2], unit="h"), "date"),
        ("x", [datetime.time(1), datetime.time(2)], "date"),
        ("x", ["2024-01-01 10:00:00", "2024-01-02 12:00:00", None], "date"),
        ("x", ["2024-01-01 10:00:00+00:00", "2024-01-02 12:00:00+00:00"], "date"),
        ("x", ["31.12.2024", "1.1.2025", None], "date"),
        ("x", ["31.12.2024", "01.01.2025", None], "date"),
        ("x", ["12/31/2024", "01/01/2025"], "date"),
        ("x", pd.date_range("2020", periods=30, tz="Europe/Berlin").astype(str), "date"),
        ("x", pd.date_range("2020", periods=30, freq="20D", tz="Europe/Berlin").astype(str), "date"),  # two offsets
        ("x", ["2020-01-01 00:00:00+01:00", "2020-01-02 00:00:00+01:00"], "date"),
        ("x", ["2020-01-01 07:00:01.500+00:00", "2020-01-01 07:00:01+00:00", None], "date"),
        ("x", ["2020-01-01", "2020-01-02 12:00"], "date"),
        ("x", ["2020-01-01", "2020-01-32 12:00"], "category"),
        ("x", pd.Categorical(["2020-01-01", "2020-01-02 12:00"]), "category"),
        ("x", ["2024-01-01", "never"], "category"),
        ("x", range(7, 107), "key"),
        ("x", np.random.default_rng(0).permutation(range(7, 107)), "count"),  # ranks
        ("id", np.random.default_rng(0).permutation(range(7, 107)), "key"),
        ("user_id", range(0, 700, 7), "key"),
        ("id", np.random.default_rng(0).permutation(range(0, 700, 7)), "key"),
        ("x", range(0, 700, 7), "count"),
        ("id", range(0, 70, 7), "count"),  # few rows say little
        ("x", [f"name {row}" for row in range(100)], "key"),
        ("x", [f"name {row % 50}" for row in range(100)], "category"),
        ("x", [f"{row} words and {row // 2} more" for row in range(3000)] * 2, "category"),
        ("x", [f"{row} words and more" for row in range(3000)] + ["none"] * 9, "key"),  # free text
        ("x", [3, 3], "number"),  # constants, by their type
        ("x", [True, True], "category"),
        ("x", ["a", "a"], "category"),
        ("x", pd.to_datetime(["2024-01-01"]), "date"),
        ("x", [None, np.nan], "number"),
        ("x", pd.Series([None, None], dtype=object), "category"),
    ],
)
def test_kinds_are_those_that_a_model_finds(name, values, kind):
    assert kind_of(name, [pd.Series(values)])[0] == kind


@pytest.mark.parametrize(
    ("name", "held_out", "training", "kind"),
    [
        ("age", range(30), range(30), "count"),
        ("age", range(10, 50), range(40), "count"),
        ("user_id", range(10, 50), range(40), "key"),
        ("user", [f"u{row}" for row in range(10, 50)], [f"u{row}" for row in range(40)], "key"),
        ("x", [*range(0, 100, 5)], [row for row in range(100) if row % 5], "key"),  # a split that kept the order
        ("x", np.random.default_rng(0).permutation(range(30)), range(30, 100), "key"),
        ("rank", np.random.default_rng(0).permutation(range(30)), [*range(99, 29, -2), *range(30, 100, 2)], "count"),
    ],
)
def test_kinds_of_two_tables(name, held_out, training, kind):
    assert kind_of(name, [pd.Series(held_out), pd.Series(training)])[0] == kind


def test_iso_dates_are_judged_as_moments():
    days = pd.date_range("2020", periods=60, freq="10D", tz="Europe/Berlin")
    real, samples = pd.DataFrame({"x": days.astype(str)}), pd.DataFrame({"x": days.tz_convert("UTC")})
    coded, keys = code({"samples": samples, "held-out rows": real}, None)
    assert keys == []
    assert (coded["samples"].values == coded["held-out rows"].values).all()


def test_times_and_lengths_of_time_are_said_as_such():
    hours = [12.5, 7.0] * 20
    times = ["12:30:00", "07:00:00"] * 20
    table = pd.DataFrame(
        {
            "text": times,
            "time": [datetime.time.fromisoformat(time) for time in times],
            "length": pd.to_timedelta(hours, unit="h"),
            "since": pd.to_datetime(["2024-05-31", "2024-06-01"] * 20),
        }
    )
    coded, _ = code({"samples": table, "held-out rows": table}, None)
    real = coded["held-out rows"]
    said = [column.says(real.values[0, place]) for place, column in enumerate(real.columns)]
    assert said == ["12:30:00", "12:30:00", "0 days 12:30:00", "2024-05-31 00:00:00"]
    shown = [column.decoded(real.values[:1, place])[0] for place, column in enumerate(real.columns)]
    assert list(map(str, shown)) == said
    words = dict(zip(*[judge(table, table, thorough=False).columns[name] for name in ("name", "differs")], strict=True))
    assert "to 0 days 12:30:00)" in words["length"]
    assert "to 12:30:00)" in words["time"]
    assert "to 2024-06-01)" in words["since"]


def test_a_column_of_two_types_is_what_both_tables_say():
    text, dates = pd.Series(["31.12.2024", "01.02.2025"]), pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"]))
    assert kind_of("x", [dates, text]) == ("date", "%d.%m.%Y")
    assert kind_of("x", [dates, dates.dt.tz_localize("Europe/Berlin")]) == ("date", "")
    with pytest.raises(InputError, match=r"column 'x' holds .* beside other types .* name its kind in `kinds`"):
        kind_of("x", [dates, pd.Series(["a", "b"])])


def test_values_that_no_kind_holds_are_refused():
    with pytest.raises(InputError, match=r"column 'x' is of type period.* name its kind in `kinds`"):
        kind_of("x", [pd.Series(pd.period_range("2024", periods=3, freq="M"))])


def test_levels_are_the_same_however_a_file_was_read():
    real = pd.DataFrame({"c": [1, 0, 1, 1], "b": [True, False, True, True]})
    samples = pd.DataFrame({"c": pd.Series(["1", 0.0, "1", 1.0], dtype=object), "b": ["True", "False", None, "True"]})
    found, _ = code({"samples": samples, "held-out rows": real}, {"c": "category"})
    assert found["samples"].values[:, 0].tolist() == found["held-out rows"].values[:, 0].tolist() == [0, 1, 0, 0]
    assert found["samples"].values[:2, 1].tolist() == [0, 1]
    assert np.isnan(found["samples"].values[2, 1])


def test_samples_in_single_precision_equal_what_they_copy():
    training, held_out = plain(200), plain(100, seed=1)
    found = judge(training.astype(np.float32), held_out, training=training, thorough=False)
    assert found.figures["copies"] == 1


def test_dates_as_text_are_dates():
    table = mixed(300)
    text = table.assign(since=table["since"].dt.strftime("%Y-%m-%d"))
    assert judge(text, table, thorough=False).figures["shapes"] == 1


def test_dates_are_read_in_the_form_of_the_real_rows():
    table = mixed(300)
    german, found = (table.assign(since=table["since"].dt.strftime(form)) for form in ("%d.%m.%Y", "%Y-%m-%d"))
    for samples in (german, found, table):
        judged = judge(samples, german, thorough=False)
        assert judged.figures["shapes"] == 1
        assert dict(zip(judged.columns["name"], judged.columns["kind"], strict=True))["since"] == "date"
    late = german.assign(since="31.12.2999")
    wrong = german.assign(since=["31.13.2024", *german["since"][1:]])
    for samples, got in ((late, "31.12.2999"), (wrong, "31.13.2024")):
        with pytest.raises(InputError, match=rf"'since' of the samples: expected dates as in 31\.03\.2024.*'{got}'"):
            judge(samples, german, thorough=False)


def test_missing_dates_and_lengths_of_time_are_coded():
    real = pd.DataFrame({"day": ["31.12.2024", None], "length": pd.to_timedelta([1, 2], unit="s")})
    samples = pd.DataFrame({"day": [np.nan, np.nan], "length": pd.to_timedelta([1, None], unit="s")})
    coded, _ = code({"samples": samples, "held-out rows": real}, {"day": "date"})
    assert np.isnan(coded["samples"].values[:, 0]).all()
    assert coded["held-out rows"].values[0, 0] == pd.Timestamp("2024-12-31").value
    assert coded["samples"].values[0, 1] == 1e9


def test_keys_that_two_tables_share_are_keys():
    held_out = pd.DataFrame({"id": [f"C{i:03d}" for i in range(60)], "x": np.arange(60) % 7 + 0.5})
    training = pd.concat([held_out[30:], held_out[:30].assign(id=[f"D{i:03d}" for i in range(30)])])
    _, keys = code({"samples": training, "held-out rows": held_out, "training rows": training}, None)
    assert keys == ["id"]


def test_training_rows_in_the_place_of_held_out_ones_are_refused():
    rows = mixed(60, seed=0)
    with pytest.raises(InputError, match="the training rows are the held-out rows"):
        judge(mixed(60, seed=1), rows, training=rows.copy())
    shuffled = rows.sample(frac=1, random_state=0)[rows.columns[::-1]]
    with pytest.raises(InputError, match="the training rows are the held-out rows"):
        judge(mixed(60, seed=1), rows, training=shuffled)
    judge(mixed(60, seed=1), rows, training=shuffled.assign(height=rows["height"] + 1), thorough=False)


def test_keys_are_only_unique():
    table = mixed(300)
    samples = table.assign(row_id=1)
    found = judge(samples, table, thorough=False)
    assert "row_id" not in set(found.columns["name"])
    assert found.figures["uniqueness"] == pytest.approx(1 / 300)
    assert found.real["uniqueness"] == 1
    assert [one.name for one in found.findings] == ["keys"]
    assert "row_id" in set(judge(samples, table, kinds={"row_id": "number"}, thorough=False).columns["name"])


def test_missing_rows_are_shown_as_they_were():
    table = mixed(400)
    found = judge(table[table["colour"] == "red"], table, thorough=False)
    assert list(found.missed_rows) == [name for name in table if name != "row_id"]
    assert len(found.missed_rows) == 5
    assert set(found.missed_rows["colour"].dropna()) <= {"green", "blue", "gold"}
    assert found.missed_rows["since"].dtype.kind == "M"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": pd.DataFrame({"a": [1.0]})}, "the samples lack b: expected the same columns"),
        ({"samples": plain(9, columns=3)}, "the samples also have c"),
        ({"held_out": plain(0)}, "the held-out rows have no rows"),
        ({"training": plain(9).rename(columns={"b": "a"})}, "the training rows have two columns of one name"),
        ({"kinds": {"z": "number"}}, "`kinds` names a column 'z', and the columns are a, b"),
        ({"kinds": {"a": "colour"}}, "'a' is 'colour'; expected one of number, count, category, date, key"),
        ({"kinds": {"a": "key", "b": "key"}}, "every column is a key"),
        ({"target": "c"}, "`target` is 'c'; expected one of the columns a, b"),
        ({"samples": plain(9).assign(a="x")}, "column 'a' of the samples: expected numbers"),
        ({"samples": plain(9).assign(a=3.0), "kinds": {"a": "date"}}, "column 'a' of the samples: expected dates"),
        ({"samples": plain(9).assign(a=3.5), "kinds": {"a": "date"}}, r"to 2261, got 3\.5 or others"),
        (
            {"held_out": plain(9).assign(a=np.inf)},
            "column 'a' of the held-out rows: row 0, counted from 0, is infinite",
        ),
        ({"samples": plain(9).assign(a=np.inf)}, "row 0, counted from 0, is infinite"),
        ({"samples": plain(9).assign(a="x"), "kinds": {"a": "date"}}, "column 'a' of the samples: expected dates"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    given = {"samples": plain(30), "held_out": plain(30), **change}
    with pytest.raises(InputError, match=message):
        judge(given.pop("samples"), given.pop("held_out"), **given)
