import json
import logging
import random
import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch

from commands import call, refused
from contrastive_entropy.experiments import synthesizers, tables
from contrastive_entropy.experiments.journal import Clock, finished_run
from contrastive_entropy.experiments.synthesizers import Plain
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.models.table import TABLE, TableSettings


def people(count=300):
    draw = np.random.default_rng(0)
    city = draw.choice(["Ulm", "Jena", "missing"], count, p=[0.5, 0.3, 0.2]).astype(object)
    age = draw.integers(18, 80, count)
    pay = np.round(1000 + 30 * age + draw.normal(0, 100, count), 2)
    city[draw.random(count) < 0.1], pay[draw.random(count) < 0.2] = None, np.nan
    since = pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, count), "D")
    rows = {"name": [f"p{row}" for row in range(count)], "city": city, "age": age, "pay": pay, "since": since}
    return pd.DataFrame({**rows, "left": np.where(age + draw.normal(0, 10, count) > 50, "yes", "no")})


@pytest.fixture
def path(tmp_path):
    people().to_csv(tmp_path / "people.csv", index=False)
    return tmp_path / "people.csv"


@pytest.fixture
def dataset(path):
    return TABLE.load(TableSettings(str(path)))


@pytest.fixture
def rows(dataset):
    return Plain.of(tables.learnt(dataset.train.points.numpy(), dataset.schema), dataset.schema)


def test_a_table_without_gaps_and_back(dataset, rows):
    values = tables.learnt(dataset.train.points.numpy(), dataset.schema)
    assert not rows.frame.isna().any().any()
    assert list(rows.frame.columns) == ["0", "1", "2", "2 missing", "3", "4"]  # not the key
    assert rows.discrete == ["0", "2 missing", "4"]
    np.testing.assert_array_equal(rows.values(rows.frame), values)
    rounded = rows.values(rows.frame.assign(**{"2": rows.frame["2"] + 0.001, "2 missing": "no"}))
    assert not np.isnan(rounded[:, 2]).any()
    np.testing.assert_allclose(rounded[:, 2], np.round(rows.frame["2"], 2))


def test_what_no_row_can_hold_is_counted_and_what_is_judged_is_tidy(dataset):
    schema = dataset.schema
    values = tables.learnt(dataset.train.points.numpy(), schema)[:100]
    assert tables.invalid(values, schema) == 0
    wrong = values.copy()
    wrong[0, 1], wrong[1, 1], wrong[1, 4], wrong[2, 0] = 17, 1000, np.nan, np.nan  # the last one may be missing
    assert tables.invalid(wrong, schema) == 0.02
    tidied = tables.tidy(wrong, schema)
    assert (tidied[0, 1], tidied[1, 1]) == (18, 79)
    assert tables.missing_error(wrong, values) == pytest.approx(0.01)


def test_independent_columns_keep_their_values_and_lose_what_joins_them(rows):
    drawn = rows.values(synthesizers.fitted("independent", rows, 0)(4000))
    own = rows.values(rows.frame)
    assert np.isin(drawn[:, 1], own[:, 1]).all()
    assert abs(np.corrcoef(drawn[:, 1], drawn[:, 4])[0, 1]) < 0.1
    assert np.isnan(drawn[:, 2]).mean() == pytest.approx(np.isnan(own[:, 2]).mean(), abs=0.03)


def test_a_gaussian_copula_keeps_shares_and_dependences(rows):
    pytest.importorskip("copulas")
    drawn, again = (rows.values(synthesizers.fitted("gaussian-copula", rows, 3)(4000)) for _ in range(2))
    np.testing.assert_array_equal(drawn, again)
    own = rows.values(rows.frame)
    assert np.nanmean(drawn[:, 0] == 1) == pytest.approx(np.nanmean(own[:, 0] == 1), abs=0.05)
    assert np.isnan(drawn[:, 2]).mean() == pytest.approx(np.isnan(own[:, 2]).mean(), abs=0.05)
    assert np.corrcoef(drawn[:, 1], drawn[:, 4])[0, 1] > 0.25  # intervals of levels weaken it


@pytest.mark.parametrize("name", ["ctgan", "tvae"])
def test_networks_of_the_package_see_all_columns(rows, name, monkeypatch):
    class Model:
        def set_random_state(self, seed):
            self.seed = seed

        def fit(self, frame, discrete):
            self.frame = frame
            assert discrete == rows.discrete

        def sample(self, count):
            return self.frame.sample(count, replace=True, random_state=self.seed)

    monkeypatch.setitem(sys.modules, "ctgan", types.SimpleNamespace(**{name.upper(): Model}))
    drawn = rows.values(synthesizers.fitted(name, rows, 5)(50))
    np.testing.assert_array_equal(drawn, rows.values(rows.frame.sample(50, replace=True, random_state=5)))


def test_contenders_leave_generators_and_logging_alone(rows, monkeypatch):
    def drawing(rows, seed):
        logging.root.addHandler(logging.NullHandler())
        return lambda count: pd.DataFrame({"0": [torch.rand(()).item(), np.random.rand(), random.random()]})  # noqa: NPY002

    monkeypatch.setitem(synthesizers.SYNTHESIZERS, "arf", (drawing, ""))
    handlers = list(logging.root.handlers)
    torch.manual_seed(1)
    before = torch.rand(3)
    torch.manual_seed(1)
    first, second, third = (synthesizers.fitted("arf", rows, seed)(3) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), before)
    assert logging.root.handlers == handlers
    pd.testing.assert_frame_equal(first, second)
    assert (first != third).to_numpy().all()


def test_the_experiment_compares_fits_of_the_same_rows(tmp_path, path, monkeypatch):
    seen = []

    def beyond(rows, seed):
        """The rows themselves, of which all ages are too high."""
        seen.append(rows.frame)
        return lambda count: rows.frame.sample(count, replace=True, random_state=seed).assign(**{"1": 200})

    monkeypatch.setitem(synthesizers.SYNTHESIZERS, "tvae", (beyond, ""))
    monkeypatch.setattr(tables, "LEAST_SAMPLES", 100)
    out = tmp_path / "out"
    command = ("experiment", "tables", "--out", out, "--data", path, "--contenders", "table,tvae", "--seeds", "0,1")
    result = call(*command, "--steps", 20)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "tables.json").read_text())
    rows = {row["contender"]: row for row in found["rows"]}
    assert list(rows) == ["table", "tvae", "real rows"]
    assert found["config"]["data"] == ["people"]
    assert (rows["table"]["train_rows"], rows["table"]["held_out_rows"]) == (240, 60)
    pd.testing.assert_frame_equal(*seen)  # both seeds see the same rows
    assert [run["invalid"] for run in rows["tvae"]["runs"]] == [1, 1]
    assert [run["invalid"] for run in rows["table"]["runs"]] == [0, 0]
    assert all(run["detection"] > 0.9 for run in rows["tvae"]["runs"])
    assert all(run["detection"] < 0.75 for run in rows["real rows"]["runs"])
    assert rows["real rows"]["runs"][0]["copies"] < 0.1
    for run in (*rows["table"]["runs"], *rows["tvae"]["runs"]):
        assert set(tables.SHOWN) <= set(run)
    assert "people: trees tell samples from real rows" in result.output
    lines = (out / "tables.md").read_text().splitlines()
    assert len(lines[2].split("|")) == len(lines[0].split("|"))
    assert lines[4].startswith("| people | 240 | real rows | ")
    assert (out / "tables.png").stat().st_size > 10_000
    for file in (out / "runs").glob("*.figures.json"):
        file.unlink()
    assert call(*command, "--steps", 20).exit_code == 0  # judged again
    assert len(seen) == 2
    assert json.loads((out / "tables.json").read_text())["rows"] == found["rows"]
    refused(call(*command, "--steps", 21), "holds figures of other settings or data; choose another --out")


def test_a_fit_of_another_seed_is_continued(tmp_path, path, dataset):
    fit, folder = TableSettings(str(path), seed=7, steps=5), tmp_path / "runs" / "people-table-7"
    assert TABLE.load(fit).digest != dataset.digest  # the split has the seed of the experiment
    Run.create(folder, TABLE, fit, dataset)
    run = finished_run(TABLE, fit, folder, dataset, Clock(tmp_path))
    assert run.finished
    assert run.generate(3, generator=torch.Generator().manual_seed(0)).shape == (3, 6)


def test_what_cannot_be_asked_is_refused(tmp_path, path, monkeypatch):
    command = ("experiment", "tables", "--out", tmp_path / "out", "--data", path)
    refused(call(*command, "--contenders", "ctgam"), "unknown contender 'ctgam'; did you mean 'ctgan'?")
    monkeypatch.setitem(synthesizers.SYNTHESIZERS, "arf", (synthesizers.arf, "no-such-package"))
    message = "the contender arf needs the package no-such-package: pip install 'contrastive-entropy[tables]'"
    refused(call(*command, "--contenders", "table,arf"), message, "--contenders")
    refused(call(*command[:-1], tmp_path / "none.csv", "--contenders", "table"), "no such file")
    assert not (tmp_path / "out" / "runs").exists()


def test_a_figure_that_a_table_lacks_is_left_out():
    run = {name: 0.5 for name in tables.SHOWN if name != "utility"}
    real = {name: value for name, value in run.items() if not name.endswith("seconds")}
    rows = [
        {"table": "t", "train_rows": 1000, "contender": name, "runs": [dict(figures)]}
        for name, figures in (("table", run), ("real rows", real))
    ]
    assert "predict" not in tables.reading({"rows": rows})
    line = tables.table({"rows": rows}).splitlines()[2]
    assert line.startswith("| t | 1,000 | table | 0.500 | 0.500 | 0.500 | 0.500 | | ")
    tables.figure({"rows": rows})
