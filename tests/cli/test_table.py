"""`fit table`, `sample` and `impute` as people type them."""

import numpy as np
import pandas as pd
import pytest

from commands import call


def people(count=300):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(count),
            "age": np.where(rng.random(count) < 0.1, np.nan, rng.integers(18, 80, count)),
            "city": rng.choice(["Bonn", "Ulm"], count),
            "joined": pd.Series(
                pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, count), "D")
            ).dt.strftime("%d.%m.%Y"),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("table")
    people().to_csv(path / "people.csv", index=False)
    result = call("fit", "table", "--data", path / "people.csv", "--steps", "40", "--out", path / "run")
    assert result.exit_code == 0, result.output
    (path / "said.txt").write_text(result.output)
    return path


def test_a_fit_says_what_it_took_the_columns_for_and_how_good_it_is(folder):
    said = (folder / "said.txt").read_text()
    assert "id: no value repeats, so it is taken for a key" in said
    assert "4 columns, as they were found (--column NAME=KIND says otherwise):" in said
    assert "joined  date" in said
    assert "Detection 0." in said
    page = (folder / "run" / "report.html").read_text()
    assert "differential privacy" in page
    assert "what the columns were taken for" in page


@pytest.mark.parametrize("name", ["new.csv", "new.csv.gz", "new.tsv", "new.parquet", "new.feather", "new.xlsx"])
def test_samples_are_a_table_in_the_form_of_the_file(folder, name):
    result = call("sample", folder / "run", "-n", "30", "--out", folder / name)
    assert result.exit_code == 0, result.output
    suffix = name.split(".")[1]
    read = {"parquet": pd.read_parquet, "feather": pd.read_feather, "xlsx": pd.read_excel}.get(suffix, pd.read_csv)
    table = read(folder / name, **({"sep": "\t"} if suffix == "tsv" else {}))
    assert list(table) == ["id", "age", "city", "joined"]
    assert table["id"].tolist() == list(range(300, 330))
    assert table["joined"].str.fullmatch(r"\d\d\.\d\d\.20\d\d").all()


def test_given_columns_and_the_same_seed(folder):
    for name in ("a.csv", "b.csv"):
        out = folder / name
        assert call("sample", folder / "run", "-n", "20", "--given", "city=Ulm", "--out", out).exit_code == 0
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()
    assert set(pd.read_csv(folder / "a.csv")["city"]) == {"Ulm"}


def test_gaps_are_filled(folder):
    one = call("impute", folder / "run", folder / "people.csv", "--out", folder / "filled.csv")
    assert one.exit_code == 0, one.output
    whole, filled = people(), pd.read_csv(folder / "filled.csv")
    assert f"{whole['age'].isna().sum()} empty cells filled" in one.output
    assert not filled.isna().any().any()
    assert filled["joined"].equals(whole["joined"])
    many = call("impute", folder / "run", folder / "people.csv", "--draws", "3", "--out", folder / "draws.csv")
    assert many.exit_code == 0, many.output
    assert pd.read_csv(folder / "draws.csv").groupby("draw").size().tolist() == [300, 300, 300]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("sample", "run", "--out", "x.npz"), "must end in .csv or .tsv"),
        (("sample", "run", "--given", "city=Köln", "--out", "x.csv"), "--given: city has no value 'Köln'"),
        (("sample", "run", "--from-density", "--out", "x.csv"), "--from-density is for generators"),
        (("impute", "run", "full.csv", "--out", "x.csv"), "no value is missing"),
        (("fit", "table", "--data", "people.csv", "--column", "town=key"), "--column: no column 'town'"),
        (("fit", "table", "--data", "people.csv", "--column", "city=word"), "--column: unknown kind 'word' of city"),
        (("fit", "table", "--data", "people.csv", "--target", "town"), "--target: "),
        (("fit", "table", "--data", "digits"), "holds images"),
        (("fit", "generator", "--data", "people.csv"), "`fit table` learns tables with text"),
    ],
)
def test_errors_say_what_to_do(folder, command, message, monkeypatch):
    people().dropna().to_csv(folder / "full.csv", index=False)
    monkeypatch.chdir(folder)
    result = call(*command)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (folder / "x.csv").exists()


def test_columns_are_what_somebody_says(folder, monkeypatch):
    monkeypatch.chdir(folder)
    told = "id=ignore,age=category,joined=category"
    result = call("fit", "table", "--data", "people.csv", "--steps", "5", "--column", told, "--out", folder / "told")
    assert result.exit_code == 0, result.output
    assert "age     category" in result.output
