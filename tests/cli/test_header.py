"""`--header` and `--no-header`: whether the first line of a table names its columns."""

import json

import numpy as np
import pandas as pd
import pytest

import contrastive_entropy as ce
from commands import SMALL, call, refused
from contrastive_entropy.data.frames import read_frame

TABLE = ["--steps", "20", "--batch-size", "32", "--width", "16", "--depth", "1", "--accelerator", "cpu"]


@pytest.fixture
def years(tmp_path):
    """Two columns whose names are years, above years: read as a point by itself."""
    path = tmp_path / "years.csv"
    values = np.random.default_rng(0).integers(2000, 2030, (120, 2))
    path.write_text("2019,2020\n" + "\n".join(",".join(map(str, row)) for row in values))
    return path


@pytest.fixture
def cities(tmp_path):
    """Rows of text without names: the first is read as names by itself."""
    path = tmp_path / "cities.csv"
    rng = np.random.default_rng(0)
    rows = [f"{rng.choice(['Ulm', 'Jena'])},{rng.choice(['red', 'blue'])},{rng.integers(9)}" for _ in range(119)]
    path.write_text("\n".join(["Ulm,red,1", *rows]))
    return path


def config(folder):
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("kind", ["table", "generator", "conditional"])
def test_numbers_that_are_names(years, tmp_path, kind):
    small = {"table": TABLE, "generator": SMALL, "conditional": [*TABLE, "--components", "2"]}[kind]
    for header, rows in (((), 121), (("--header",), 120)):
        folder = tmp_path / f"run{rows}"
        result = call("fit", kind, "--data", years, "--out", folder, *header, *small)
        assert result.exit_code == 0, result.output
        run = ce.open_run(folder)
        assert config(folder)["settings"]["header"] == (True if header else None)
        assert len(run.dataset().train) + len(run.dataset().held_out) == rows
    assert {"2019", "2020"} <= set(json.dumps(config(folder)).replace('"', " ").split())
    assert call("evaluate", folder).exit_code == 0  # reads the data again


def test_text_that_is_a_row(cities, tmp_path):
    folder = tmp_path / "run"
    result = call("fit", "table", "--data", cities, "--out", folder, "--no-header", *TABLE)
    assert result.exit_code == 0, result.output
    run = ce.open_run(folder)
    assert run.settings.header is False
    assert run.schema.kinds == {"0": "category", "1": "category", "2": "count"}
    assert len(run.dataset().train) + len(run.dataset().held_out) == 120
    gaps, out = tmp_path / "gaps.csv", tmp_path / "filled.csv"
    gaps.write_text("Ulm,,1\n,blue,2\n")
    result = call("impute", folder, gaps, "--out", out)  # read as the run's data
    assert "2 empty cells filled" in result.output, result.output
    assert pd.read_csv(out, header=None).notna().to_numpy().all()
    assert len(out.read_text().splitlines()) == 2  # no line of names


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_samples_of_a_table_without_names_have_none(cities, tmp_path, suffix):
    folder, samples = tmp_path / "run", tmp_path / f"samples{suffix}"
    assert call("fit", "table", "--data", cities, "--out", folder, "--no-header", *TABLE).exit_code == 0
    assert call("sample", folder, "-n", "50", "--out", samples).exit_code == 0
    table = read_frame(samples, header=False).table
    assert len(table) == 50
    assert set(table[0]) <= {"Ulm", "Jena"}
    result = call("evaluate-samples", samples, cities, "--no-header")
    assert result.exit_code == 0, result.output
    assert {"0", "1", "2"} <= {line.split()[0] for line in result.output.splitlines() if line.strip()}, result.output


def test_samples_of_numbers_that_were_read_as_points_have_no_names(tmp_path):
    folder, points, samples = tmp_path / "run", tmp_path / "points.csv", tmp_path / "samples.csv"
    np.savetxt(points, np.random.default_rng(0).integers(0, 9, (120, 2)), fmt="%d", delimiter=",")
    assert call("fit", "table", "--data", points, "--out", folder, *TABLE).exit_code == 0
    assert not ce.open_run(folder).schema.named
    assert call("sample", folder, "-n", "50", "--out", samples).exit_code == 0
    assert len(samples.read_text().splitlines()) == 50


def test_a_resumed_run_keeps_it(years, tmp_path):
    folder = tmp_path / "run"
    assert call("fit", "table", "--data", years, "--out", folder, "--header", *TABLE).exit_code == 0
    result = call("fit", "table", "--data", years, "--out", folder, "--resume", "--no-header")
    refused(result, "--header/--no-header False differs from the run's True")


def test_commands_without_a_run(years, cities, tmp_path):
    for command in (("bound", years), ("variance", years), ("decompose", years, "--out", tmp_path / "parts")):
        result = call(*command, "--header")
        assert result.exit_code == 0, result.output
    out = tmp_path / "figures.json"
    assert call("bound", years, "--header", "--out", out).exit_code == 0
    assert json.loads(out.read_text())["header"] is True
    others = tmp_path / "others.csv"
    others.write_text("\n".join(cities.read_text().splitlines()[:60]))
    for header, names in (((), "Ulm"), (("--no-header",), "0")):
        result = call("evaluate-samples", cities, others, "--training", cities, *header)
        assert result.exit_code == 0, result.output
        assert any(line.split()[:1] == [names] for line in result.output.splitlines()), result.output


def test_what_would_be_ignored_is_refused(years, tmp_path):
    pd.read_csv(years).to_parquet(tmp_path / "years.parquet")
    refused(call("fit", "table", "--data", "moons", "--header"), "--header/--no-header would be ignored", "no table")
    refused(
        call("fit", "generator", "--data", tmp_path / "years.parquet", "--no-header"), "names its columns by itself"
    )
    refused(
        call("bound", "moons", "--header"),
        "--header/--no-header would be ignored: moons is no table as text or Excel; leave it out",
    )
    refused(call("variance", "moons", "--no-header"), "moons is no table")
    result = call("bound", years, "--header", "--against", tmp_path / "years.parquet")  # of one of them
    assert result.exit_code == 0, result.output
