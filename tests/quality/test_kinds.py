import numpy as np
import pandas as pd
import pytest

from contrastive_entropy import InputError
from contrastive_entropy.quality import judge
from contrastive_entropy.quality.kinds import code, inferred_kind
from mixed_tables import mixed, plain


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("x", [1.5, 2.5], "number"),
        ("x", pd.array([1, None], dtype="Int64"), "number"),
        ("x", pd.Series([1, 2.5, None], dtype=object), "number"),
        ("x", [True, False], "category"),
        ("x", pd.Series([True, None], dtype=object), "category"),
        ("x", ["a", None], "category"),
        ("x", pd.Categorical([1, 2]), "category"),
        ("x", pd.to_datetime(["2024-01-01"]), "date"),
        ("x", pd.to_datetime(["2024-01-01"], utc=True), "date"),
        ("x", ["2024-01-01", "2024-01-02 12:00", None], "date"),
        ("x", ["2024-01-01", "never"], "category"),
        ("x", range(7, 107), "key"),
        ("user_id", range(0, 700, 7), "key"),
        ("x", range(0, 700, 7), "number"),
        ("id", range(10), "number"),  # few rows say little
        ("x", [f"name {row}" for row in range(100)], "key"),
        ("x", [f"name {row % 50}" for row in range(100)], "category"),
    ],
)
def test_kinds_are_inferred(name, values, kind):
    assert inferred_kind(name, pd.Series(values)) == kind


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
        ({"samples": plain(9).assign(a=np.inf)}, "row 0, counted from 0, is infinite"),
        ({"samples": plain(9).assign(a="x"), "kinds": {"a": "date"}}, "column 'a' of the samples: expected dates"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    given = {"samples": plain(30), "held_out": plain(30), **change}
    with pytest.raises(InputError, match=message):
        judge(given.pop("samples"), given.pop("held_out"), **given)
