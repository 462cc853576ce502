import json

import numpy as np
import pandas as pd
import pytest

from commands import call, refused

SMALL = ["--steps", "60", "--batch-size", "64", "--width", "16", "--depth", "1", "--accelerator", "cpu"]


def people(count=300):
    rng = np.random.default_rng(0)
    city = rng.choice(["Ulm", "Jena", "Kiel"], count, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame({
        "id": np.arange(count) + 1,
        "city": city,
        "age": rng.integers(18, 90, count),
        "paid": np.round(rng.lognormal(3, 1, count), 2),
        "day": (pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, count), unit="D")).strftime("%d.%m.%Y"),
    })  # fmt: skip
    frame["paid"] = frame["paid"].where(rng.random(count) > 0.1)
    return frame


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("people") / "people.csv"
    people().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(csv):
    folder = csv.parent / "run"
    result = call("fit", "table", "--data", csv, "--out", folder, *SMALL)
    assert result.exit_code == 0, result.output
    return folder, result


def read(path):
    readers = {".parquet": pd.read_parquet, ".feather": pd.read_feather, ".xlsx": pd.read_excel}
    return readers.get(path.suffix, pd.read_csv)(path)


def test_a_fit_says_what_the_columns_are_and_leaves_a_complete_folder(run):
    folder, result = run
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "weights.safetensors", "metrics.csv", "evaluation.json", "columns.png"} <= names
    for line in ("id    key", "city  category  3 values: Jena, Kiel, Ulm", "age   count", "day   date"):
        assert line in result.output, result.output
    assert "id: no value repeats, so it is taken for a key" in result.output
    assert "2 decimals, missing values" in result.output
    config = json.loads((folder / "config.json").read_text())
    assert [column["kind"] for column in config["schema"]["mixed"]] == ["key", "category", "count", "number", "date"]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".parquet", ".feather", ".xlsx"])
def test_samples_are_a_table_of_the_same_columns(run, tmp_path, suffix):
    out = tmp_path / f"samples{suffix}"
    result = call("sample", run[0], "-n", 40, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"40 rows written to {out}" in result.stdout
    samples = pd.read_csv(out, sep="\t") if suffix == ".tsv" else read(out)
    assert samples.columns.tolist() == people().columns.tolist()
    assert len(samples) == 40
    assert samples["id"].tolist() == list(range(301, 341))
    assert set(samples["city"]) <= {"Ulm", "Jena", "Kiel"}
    assert pd.to_datetime(samples["day"], format="%d.%m.%Y").between("2024-01-01", "2024-12-31").all()
    assert (samples["paid"].dropna().round(2) == samples["paid"].dropna()).all()


def test_the_same_seed_gives_the_same_file(run, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert call("sample", run[0], "-n", 30, "--seed", seed, "--out", tmp_path / f"{name}.csv").exit_code == 0
    first, again, other = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert first == again != other
    refused(call("sample", run[0], "--out", tmp_path / "a.csv"), "exists; replace it with --overwrite")


def test_values_may_be_given(run, tmp_path):
    out = tmp_path / "given.csv"
    result = call("sample", run[0], "-n", 50, "--given", "city=Ulm,age=40, day=05.03.2024", "--out", out)
    assert result.exit_code == 0, result.output
    samples = read(out)
    assert samples[["city", "age", "day"]].drop_duplicates().to_numpy().tolist() == [["Ulm", 40, "05.03.2024"]]
    assert samples["paid"].nunique() > 10


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("town=Ulm", ["no column 'town'", "known: id, city, age, paid, day"]),
        ("city=Bonn", ["city has no value 'Bonn'", "known: Jena, Kiel, Ulm"]),
        ("age=old", ["age must be a number, got 'old'"]),
        ("age=inf", ["age must be a whole number, got 'inf'"]),
        ("day=2024-03-05", ["day must be a date in the form %d.%m.%Y"]),
        ("id=3", ["id is a column of kind key"]),
        ("city", ["must be NAME=VALUE"]),
        ("city=Ulm,city=Jena", ["each name once"]),
    ],
)
def test_what_cannot_be_given_is_refused_in_one_line(run, tmp_path, given, parts):
    refused(call("sample", run[0], "--given", given, "--out", tmp_path / "s.csv"), "--given", *parts)
    assert not (tmp_path / "s.csv").exists()


def test_names_of_files_and_options_that_do_not_fit_are_refused(run, csv, tmp_path):
    for name in ("s.npz", "s.png", "s.txt", "s"):
        refused(call("sample", run[0], "--out", tmp_path / name), ".csv")
        refused(call("impute", run[0], csv, "--out", tmp_path / name), ".csv")
    refused(call("sample", run[0], "--from-density", "--out", tmp_path / "s.csv"), "--from-density")


def holed(path, **changed):
    frame = people(60).astype({"age": "float64"})
    frame.loc[::3, ["age", "city"]] = None
    frame.loc[1, "id"] = None
    frame.assign(**changed).to_csv(path, index=False)
    return pd.read_csv(path)


def test_empty_cells_are_filled(run, tmp_path):
    before = holed(tmp_path / "holes.csv")
    gaps = int(before[["age", "city", "paid"]].isna().sum().sum())
    result = call("impute", run[0], tmp_path / "holes.csv", "--out", tmp_path / "full.csv")
    assert result.exit_code == 0, result.output
    assert f"{gaps:,} empty cells filled, written to" in result.stdout
    after = read(tmp_path / "full.csv")
    assert after.drop(columns="id").notna().all().all()
    assert after["id"].isna().sum() == 1  # a key is not learnt
    pd.testing.assert_frame_equal(after.where(before.notna()), before)
    result = call("impute", run[0], tmp_path / "holes.csv", "--draws", 3, "--out", tmp_path / "draws.parquet")
    assert result.exit_code == 0, result.output
    draws = read(tmp_path / "draws.parquet")
    assert draws["draw"].value_counts().to_dict() == {0: 60, 1: 60, 2: 60}
    parts = [draws[draws["draw"] == number].drop(columns="draw").reset_index(drop=True) for number in range(3)]
    assert not parts[0].equals(parts[1])
    for part in parts:
        pd.testing.assert_frame_equal(part.where(before.notna()), before, check_dtype=False)


def test_what_cannot_be_imputed_is_refused_in_one_line(run, csv, tmp_path):
    full, out = tmp_path / "full.csv", tmp_path / "out.csv"
    people().dropna().to_csv(full, index=False)
    refused(call("impute", run[0], full, "--out", out), str(full), "no value is missing")
    holed(tmp_path / "other.csv", city="Bonn")
    refused(call("impute", run[0], tmp_path / "other.csv", "--out", out), "column 'city' holds 'Bonn' in row 0")
    people().drop(columns=["city", "age"]).to_csv(full, index=False)
    refused(call("impute", run[0], full, "--out", out), "the table lacks the columns city, age")
    refused(call("impute", run[0], tmp_path / "none.csv", "--out", out), "no such file")
    holed(tmp_path / "holes.csv")
    refused(call("impute", run[0], tmp_path / "holes.csv", "--draws", 0, "--out", out), "--draws must be at least 1")
    assert not out.exists()


def test_kinds_are_overridden_and_bad_ones_refused(csv, tmp_path):
    out = tmp_path / "run"
    result = call("fit", "table", "--data", csv, "--column", "age=category,id=ignore", "--out", out, *SMALL)
    assert result.exit_code == 0, result.output
    config = json.loads((out / "config.json").read_text())
    kinds = {column["name"]: column["kind"] for column in config["schema"]["mixed"]}
    assert (kinds["age"], kinds["id"]) == ("category", "ignore")
    assert call("sample", out, "-n", 20, "--out", tmp_path / "s.csv").exit_code == 0
    assert read(tmp_path / "s.csv")["id"].isna().all()
    for column, part in (("aeg=key", "no column 'aeg'; did you mean 'age'"), ("age=word", "unknown kind 'word'"),
                         ("age", "must be NAME=KIND"), ("paid=count", "were to be counts")):  # fmt: skip
        refused(call("fit", "table", "--data", csv, "--column", column, "--out", tmp_path / "x", *SMALL), part)
    refused(
        call("fit", "table", "--data", csv, "--target", "town", "--out", tmp_path / "x", *SMALL), "no column 'town'"
    )
    assert not (tmp_path / "x").exists()


def test_a_stopped_fit_is_resumed_to_the_same_rows(csv, run, tmp_path, monkeypatch):
    import contrastive_entropy.fitting.loop as loop

    finish, steps = loop.Fit.finish, []

    def stop(self, *arguments):
        finish(self, *arguments)
        steps.append(1)
        if len(steps) == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as changed:
        changed.setattr(loop.Fit, "finish", stop)
        result = call("fit", "table", "--data", csv, "--out", tmp_path / "run", *SMALL)
    assert result.exit_code != 0
    result = call("fit", "table", "--resume", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    for folder, name in ((run[0], "whole"), (tmp_path / "run", "resumed")):
        assert call("sample", folder, "-n", 30, "--out", tmp_path / f"{name}.csv").exit_code == 0
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "resumed.csv").read_bytes()


def test_times_with_zones_and_gaps_are_written_to_excel(tmp_path):
    days = pd.Series(pd.date_range("2024-01-01", periods=60, freq="5h", tz="UTC"))
    frame = pd.DataFrame({"at": days.where(days.index % 4 > 0), "x": np.random.default_rng(0).normal(size=60)})
    frame.to_parquet(tmp_path / "t.parquet")
    result = call("fit", "table", "--data", tmp_path / "t.parquet", "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 0, result.output
    assert call("sample", tmp_path / "run", "-n", 60, "--out", tmp_path / "s.xlsx").exit_code == 0
    samples = read(tmp_path / "s.xlsx")["at"]
    assert 0 < samples.isna().sum() < 60
    assert pd.to_datetime(samples.dropna()).dt.tz is not None
    assert call("sample", tmp_path / "run", "-n", 60, "--out", tmp_path / "s.parquet").exit_code == 0
    assert read(tmp_path / "s.parquet")["at"].dtype == frame["at"].dtype
