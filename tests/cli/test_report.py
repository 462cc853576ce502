import dataclasses
import json
import os
import re
import shlex

import numpy as np
import pytest

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.cli.report import fit_command, page_of
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.metrics.evaluation import Evaluation, Headline, Listing, Section, Table
from contrastive_entropy.report.neighbors import NEIGHBORS_SAY
from pages import BAD, Reader


@pytest.fixture(scope="module")
def digits_page(digits_run):
    return Reader((digits_run[0] / "report.html").read_bytes())


def test_a_fit_leaves_a_page_with_all_figures_pictures_and_facts(digits_run, digits_page):
    folder, result = digits_run
    assert f"wrote {folder / 'report.html'}" in result.stdout
    found = json.loads((folder / "evaluation.json").read_text())
    text = digits_page.text
    for column in ("model", "reference"):
        assert f"{found['tables']['samples'][column]['tightness']:.3f}" in text
    assert "Generator fitted to digits" in text
    assert "images of 8 x 8 pixels, gray" in text
    assert "1,297 to train on, 500 held out" in text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
    assert len(digits_page.all("img")) == 4  # samples, neighbours, training, spectrum
    assert NEIGHBORS_SAY in text


def test_the_command_on_the_page_trains_the_same_run(digits_run, tmp_path):
    run = ce.open_run(digits_run[0])
    typed = shlex.split(fit_command(run))
    assert typed[-2:] == ["--out", str(digits_run[0])]
    again = tmp_path / "again"
    assert call(*typed[1:-1], again).exit_code == 0
    name = "weights.safetensors"
    assert (again / name).read_bytes() == (digits_run[0] / name).read_bytes()


def test_settings_that_are_on_or_off_are_flags(digits_run):
    run = ce.open_run(digits_run[0])
    settings = dataclasses.replace(run.settings, data="my points.csv", standardize=True)
    command = fit_command(dataclasses.replace(run, settings=settings, machine=Machine(accelerator="cpu")))
    assert "--data 'my points.csv'" in command
    assert "--standardize --" in command
    assert "--accelerator cpu --out" in command


def test_the_page_is_the_same_each_time_and_replaces_the_run_s_own(digits_run):
    folder, _ = digits_run
    call("evaluate", folder)
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").write_text("old")
    result = call("report", folder)
    assert result.exit_code == 0, result.output
    assert f"wrote {folder / 'report.html'}" in result.stdout
    assert (folder / "report.html").read_bytes() == before
    evaluation = (folder / "evaluation.json").read_bytes()
    assert call("report", folder, "--seed", 7).exit_code == 0
    assert (folder / "report.html").read_bytes() != before
    assert (folder / "evaluation.json").read_bytes() == evaluation
    call("report", folder)


def test_the_page_may_be_written_elsewhere(digits_run, tmp_path):
    out = tmp_path / "new" / "page.html"
    assert call("report", digits_run[0], "--out", out).exit_code == 0
    refused(call("report", digits_run[0], "--out", out), "exists; replace it with --overwrite")
    assert call("report", digits_run[0], "--out", out, "--overwrite").exit_code == 0
    refused(call("report", digits_run[0], "--out", tmp_path / "page.pdf"), "--out must end in .html, got page.pdf")
    refused(call("report", tmp_path, "--out", tmp_path / "a.html"), "no run in")


def test_replacing_a_run_removes_its_page(digits_run, tmp_path):
    settings = ce.GeneratorSettings("moons", steps=1, width=4, depth=1, batch_size=16, components=16)
    machine = Machine(accelerator="cpu")
    ce.fit(settings, tmp_path / "run", machine=machine, progress=False)
    (tmp_path / "run" / "report.html").touch()
    ce.fit(settings, tmp_path / "run", machine=machine, overwrite=True, progress=False)
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A conditional run whose columns have bad names."""
    folder = tmp_path_factory.mktemp("predicted")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    name = BAD.replace('"', "'")
    rows = "\n".join(f"{a},{a + b / 3}" for a, b in x)
    (folder / "table.csv").write_text(f'"{name}",target\n{rows}\n')
    options = ["--data", folder / "table.csv", "--target", "target", "--steps", 20, "--accelerator", "cpu"]
    result = call("fit", "conditional", *options, "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder / "run", name


def test_names_of_columns_are_text(predicted):
    folder, name = predicted
    read = Reader((folder / "report.html").read_bytes())
    assert name in read.text
    assert not read.all("script")
    assert len(read.all("img")) == 3
    assert "Conditional fitted to table.csv" in read.text
    assert "160 to train on, 40 held out" in read.text


def test_a_kind_may_add_parts_and_leave_captions_out(predicted):
    run = ce.open_run(predicted[0])
    section = Section("Columns", "All of them.", (Listing("levels", ("column", "levels"), [("colour", "red, blue")]),))
    kind = dataclasses.replace(run.kind, captions={}, sections=lambda run, dataset, evaluation: [section])
    table = Table("t", "t", {"model": {"crps": 1.0}})
    found = Evaluation(Headline("crps", 1.0, "low"), (table,), (), {"seed": 1}, notes=("Lower `held_out`, too.",))
    png = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\x02" * 2
    content = page_of(dataclasses.replace(run, kind=kind), run.dataset(), found, {"one_column.png": png})
    text = Reader(content).text
    for words in ("Columns", "All of them.", "colour", "red, blue", "One column.", "Lower --held-out, too."):
        assert words in text
    assert text.index("Figures") < text.index("All of them.") < text.index("One column.")


def test_the_time_is_left_out_where_files_were_copied(predicted, tmp_path):
    run = ce.open_run(predicted[0])
    from contrastive_entropy.cli.report import _time

    for name, when in (("config.json", 2000), ("weights.safetensors", 1000)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (when, when))
    assert _time(dataclasses.replace(run, folder=tmp_path)) == "1970-01-01 00:16 UTC"
    os.utime(tmp_path / "weights.safetensors", (2060, 2060))
    assert _time(dataclasses.replace(run, folder=tmp_path)) == "1970-01-01 00:34 UTC, 60 s after it was begun"
