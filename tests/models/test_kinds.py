"""What every kind of model promises; a throw-away kind, which is in one tuple, promises it, too."""

import csv
import dataclasses
import itertools
import json
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

import contrastive_entropy as ce
from commands import call
from constant import CONSTANT
from contrastive_entropy import InputError, TrainingError, models
from contrastive_entropy.cli.fit import add_fit
from contrastive_entropy.cli.options import flag
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.plan import plan_from
from contrastive_entropy.fitting.run import METRICS
from contrastive_entropy.fitting.settings import SHARED, changed, settings_of
from contrastive_entropy.models.codes import CODES
from fits import started

SMALL = {"batch_size": 32, "components": 32, "width": 16, "depth": 1, "anneal_fraction": 0.0}
"""What makes a fit small, of the settings that a kind has."""

CPU = ce.Machine(accelerator="cpu", log_every=1, checkpoint_every=10)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(models, "KINDS", (*models.KINDS, CONSTANT))


@pytest.fixture(scope="module", params=[*models.KINDS, CONSTANT], ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def table(kind, tmp_path_factory):
    """A file of 400 points, or for a kind that needs them of as many images."""
    if kind is CODES:
        path = tmp_path_factory.mktemp("data") / "images.npy"
        np.save(path, squares(400))
        return str(path)
    path = tmp_path_factory.mktemp("data") / "table.csv"
    np.savetxt(path, sample_toy("moons", 400, seed=0).numpy(), delimiter=",", header="first,second", comments="")
    return str(path)


def squares(count):
    """Images of 8 x 8 with a bright square somewhere."""
    random = np.random.default_rng(0)
    images = np.zeros((count, 8, 8), np.float32)
    for image, (top, left) in zip(images, random.integers(0, 5, (count, 2)), strict=True):
        image[top : top + 4, left : left + 4] = random.uniform(0.5, 1)
    return images


def small(kind, data, **changed):
    names = {setting.name for setting in settings_of(kind.settings)}
    useless = kind.settings(data=data).useless
    wanted = {name: value for name, value in SMALL.items() if name in names and name not in useless}
    return kind.settings(data=data, **wanted | changed)


@pytest.fixture(scope="module")
def run(kind, table, tmp_path_factory):
    """Of 60 steps, as `ce.fit` makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "KINDS", (*models.KINDS, CONSTANT))
        folder = tmp_path_factory.mktemp(kind.name) / "run"
        return ce.fit(small(kind, table, steps=60), folder, machine=CPU, progress=False)


def rows(run):
    with (run.folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_fit_improves(run):
    """In the share of its best value that the objective attains, at one variance, or where none is known in the value."""
    attained = [float(row.get("attained", row["objective"])) for row in rows(run)]
    assert len(attained) == 60
    assert sum(attained[-10:]) > sum(attained[:10])


def test_settings_and_plan_come_back_from_json(run, kind):
    opened = ce.open_run(run.folder)
    assert (opened.settings, opened.plan, opened.kind) == (run.settings, run.plan, kind)
    assert plan_from(json.loads(json.dumps(dataclasses.asdict(run.plan))), kind.model) == run.plan


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(kind, table):
    networks = [started(small(kind, table, seed=seed), kind.load(small(kind, table))).network for seed in (0, 0, 1)]
    first, second, other = (torch.cat([w.detach().flatten() for w in net.parameters()]) for net in networks)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_stopped_fit_resumes_to_the_same_bytes(run, kind, table, tmp_path, monkeypatch):
    asked = itertools.count(1)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_stop_on_signal", lambda: nullcontext(lambda: next(asked) == 31))
        stopped = ce.fit(small(kind, table, steps=60), tmp_path / "run", machine=CPU, progress=False)
    assert not stopped.finished
    assert len(rows(stopped)) == 31
    assert trainer.resume(ce.open_run(tmp_path / "run")).finished
    for name in ("weights.safetensors", METRICS):
        assert (tmp_path / "run" / name).read_bytes() == (run.folder / name).read_bytes()


def test_a_loss_that_is_not_finite_stops_the_fit_and_names_the_step(kind, table, tmp_path, monkeypatch):
    def broken(self, answer, now):
        outcome = judge(self, answer, now)
        if now.step < 3:
            return outcome
        return dataclasses.replace(
            outcome, bound=dataclasses.replace(outcome.bound, value=outcome.bound.value * torch.nan)
        )

    settings = small(kind, table)
    step = type(started(settings, kind.load(settings)).part)
    judge = step.judge
    monkeypatch.setattr(step, "judge", broken)
    with pytest.raises(TrainingError, match="step 3: "):
        ce.fit(small(kind, table, steps=10), tmp_path / "run", machine=CPU, progress=False)
    assert not ce.open_run(tmp_path / "run").finished


def test_samples_are_of_the_seed_and_in_the_data_s_units(run):
    first, second = (run.sample(20, seed=seed) for seed in (3, 3))
    assert torch.equal(first, second)
    points = run.dataset().train.points
    assert first.shape == (20, points.shape[1])
    assert bool(((first - points.mean(0)).abs() < 10).all())


def test_an_evaluation_has_a_headline_and_a_table_and_is_json(run):
    evaluation = run.evaluate()
    assert math.isfinite(evaluation.headline.value)
    assert str(evaluation.headline).endswith(".")
    assert all(table.rows for table in evaluation.tables)
    assert json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))["tables"]


def test_the_command_line_evaluates_a_run(run):
    result = call("evaluate", run.folder)
    assert result.exit_code == 0, result.output
    assert str(run.evaluate().headline) in result.output


def test_figures_are_those_that_the_kind_names(run, kind):
    figures = kind.figures(run, run.dataset(), run.evaluate(features=False))  # which every kind can leave out
    assert figures
    assert set(figures) <= set(kind.pictures)


def test_every_setting_is_documented_and_those_that_all_have_are_there(kind):
    settings = {setting.name: setting for setting in settings_of(kind.settings)}
    assert {field.name for field in dataclasses.fields(kind.settings)} == set(settings)
    assert all(setting.option.says.endswith((".", "]")) for setting in settings.values())
    assert {"data", "data_root", "points", "held_out", "seed", "steps"} <= set(settings)
    assert all(
        setting.option.chosen
        for setting in settings.values()
        if setting.default is None and setting.name != "data_root"
    )
    assert all(setting.kind in (str, int, float, bool) for setting in settings.values())
    assert SHARED["seed"] == settings["seed"].option


def test_bad_values_are_refused_with_the_setting_s_name(kind, table):
    for name, value in {"steps": 0, "seed": -1, "points": 3}.items():
        with pytest.raises(InputError, match=name):
            small(kind, table, **{name: value})


def test_settings_that_would_do_nothing_are_refused(kind, tmp_path):
    settings = small(kind, "moons", held_out=0.25)
    assert "held_out" in settings.useless
    with pytest.raises(InputError, match="`held_out` would be ignored: moons comes with held-out points"):
        ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    assert not (tmp_path / "run").exists()


def test_the_command_line_fits_replaces_and_says_what_it_wrote(kind, table, tmp_path):
    app = typer.Typer()
    app.callback()(lambda: None)
    add_fit(app, kind)
    asked = small(kind, table, steps=12)
    values = {name: value for name, value in changed(asked).items() if name in SMALL} | {"data": table, "steps": 12}
    command = [kind.name, *(text for name, value in values.items() for text in (flag(name), str(value)))]
    command += ["--out", str(tmp_path / "run"), "--accelerator", "cpu"]
    written = CliRunner().invoke(app, command)
    assert written.exit_code == 0, written.output
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "weights.safetensors", METRICS, "evaluation.json"} <= files
    assert all(name in written.output for name in files & set(kind.pictures))
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "already holds a finished run" in again.output
    (tmp_path / "run" / "mine.png").touch()
    other = ce.GeneratorSettings(table, steps=1, width=4, depth=1, batch_size=16, components=16)
    ce.fit(other, tmp_path / "run", machine=CPU, overwrite=True, progress=False)
    left = {path.name for path in (tmp_path / "run").iterdir() if path.suffix == ".png"}
    assert left == {"mine.png"}


def test_data_that_it_was_not_made_for_are_refused_before_anything_is_written(kind, table, tmp_path):
    message = "leave `standardize` out" if kind is CODES else "standardize is False"
    with pytest.raises(InputError, match=message):
        trainer.fit(kind, small(kind, table), tmp_path / "run", load(table, standardize=True), machine=CPU)
    assert not (tmp_path / "run").exists()
