import json
import re

import numpy as np
import pytest
from PIL import Image

from commands import SMALL, call, refused
from contrastive_entropy import __version__
from contrastive_entropy.metrics.catalog import SAMPLE_METRICS


def test_a_fit_leaves_a_complete_run_folder_and_explains_its_numbers(digits_run):
    folder, result = digits_run
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "weights.safetensors", "metrics.csv", "evaluation.json",
        "report.html", "samples.png", "training.png", "spectrum.png", "tensorboard",
    }  # fmt: skip
    assert list((folder / "tensorboard").glob("events.out.tfevents*"))
    has = {"trained", "images", "efficientnet"}
    shown = {metric.name for metric in SAMPLE_METRICS if metric.shown and metric.needs <= has}
    for name in shown:
        assert name in result.stdout
    assert "column_distance" not in result.stdout  # which is of tables
    evaluation = json.loads((folder / "evaluation.json").read_text())
    model, reference = (evaluation["tables"]["samples"][column] for column in ("model", "reference"))
    assert f"Tightness {model['tightness']:.3f}: about 1 is as close" in result.stdout
    assert set(model) - {"fidelity_over_ceiling"} == set(reference) == shown
    assert reference["coverage"] > 0.9
    assert model["fidelity_over_ceiling"] == pytest.approx(model["fidelity"] / reference["fidelity"])


def test_progress_goes_to_standard_error(digits_run):
    line = digits_run[1].stderr.strip().splitlines()[-1]
    number = r"-?[\d.]+"
    assert re.fullmatch(
        rf"step 20/20 \| {number} steps/s \| debiased_nuclear_norm {number} \| tightness {number} "
        rf"\| variance {number} \| 0 s left",
        line,
    )


def test_evaluating_again_gives_the_same_bytes(digits_run):
    folder, _ = digits_run
    names = ("evaluation.json", "report.html", "samples.png", "training.png", "spectrum.png")
    before = {name: (folder / name).read_bytes() for name in names}
    assert call("evaluate", folder).exit_code == 0
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert call("evaluate", folder, "--seed", 7, "--from-density").exit_code == 0
    other = json.loads((folder / "evaluation.json").read_text())
    assert other["settings"]["from_density"] is True
    assert other["tables"] != json.loads(before["evaluation.json"])["tables"]


def test_samples_as_arrays(digits_run, tmp_path):
    folder, _ = digits_run
    for name in ("a", "b"):
        assert call("sample", folder, "-n", 12, "--out", tmp_path / f"{name}.npz").exit_code == 0
    call("sample", folder, "-n", 12, "--seed", 1, "--out", tmp_path / "c.npz")
    call("sample", folder, "-n", 12, "--from-density", "--out", tmp_path / "d.npz")
    samples = {name: np.load(tmp_path / f"{name}.npz")["samples"] for name in "abcd"}
    assert samples["a"].shape == (12, 1, 8, 8)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not np.array_equal(samples["a"], samples["c"])
    assert not np.array_equal(samples["a"], samples["d"])


def test_samples_as_a_picture(digits_run, tmp_path):
    assert call("sample", digits_run[0], "-n", 30, "--out", tmp_path / "new" / "a.png").exit_code == 0
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert min(image.size) > 300
    refused(call("sample", digits_run[0], "--out", tmp_path / "new" / "a.png"), "exists; replace it with --overwrite")
    assert call("sample", digits_run[0], "--out", tmp_path / "new" / "a.png", "--overwrite").exit_code == 0


@pytest.mark.parametrize(("columns", "suffix"), [(1, "csv"), (3, "npy"), (2, "parquet")])
def test_own_points_of_any_dimension(tmp_path, columns, suffix):
    values = np.random.default_rng(0).standard_normal((200, columns))
    path = tmp_path / f"points.{suffix}"
    if suffix == "npy":
        np.save(path, values)
    else:
        import pandas as pd

        table = pd.DataFrame(values, columns=[f"c{i}" for i in range(columns)])
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    result = call("fit", "generator", "--data", path, "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 0, result.output
    assert call("sample", tmp_path / "run", "-n", 5, "--out", tmp_path / "s.npz").exit_code == 0
    assert np.load(tmp_path / "s.npz")["samples"].shape == (5, columns)


def test_an_image_folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(60):
        Image.fromarray(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{i}.png")
    small = [option for option in SMALL if option not in ("--depth", "1")]
    extra = ["--body", "convolutional", "--out", tmp_path / "run", *small]
    result = call("fit", "generator", "--data", tmp_path / "images", *extra)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "config.json").read_text())["schema"] == {
        "channels": 3,
        "height": 6,
        "width": 5,
    }


def bad_data(tmp_path, kind):
    path = tmp_path / f"{kind}.csv"
    rows = [f"{i},{i / 2}" for i in range(30)]
    if kind == "text":
        rows[4] = "4,hello"
        path.write_text("\n".join(["a,b", *rows]))
    elif kind == "nan":
        rows[3] = rows[8] = "nan,1"
        path.write_text("\n".join(rows))
    elif kind == "folder":
        path = tmp_path / "folder"
        path.mkdir()
    elif kind == "shape":
        path = tmp_path / "shape.npy"
        np.save(path, np.zeros(30))
    return path


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("missing", ["no such file or folder", "missing.csv"]),
        ("text", ["column 'b' holds text ('hello' in row 4"]),
        ("nan", ["2 of 30 rows hold NaN or infinite values (rows 3, 8"]),
        ("folder", ["a folder without images"]),
        ("shape", ["wrong shape (30,)"]),
    ],
)
def test_data_that_cannot_be_used(tmp_path, kind, parts):
    refused(call("fit", "generator", "--data", bad_data(tmp_path, kind), "--out", tmp_path / "run", *SMALL), *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--variance-end", "-1"], ["variance_end must be a positive number, got -1"]),
        (["--objective", "nuclear_nrom"], ["unknown objective 'nuclear_nrom'", "did you mean 'nuclear_norm'"]),
        (["--objective", "nuclear-norm"], ["did you mean 'nuclear_norm'"]),
        (["--data", "moon"], ["no data set named 'moon'", "did you mean 'moons'"]),
        (["--accelerator", "abacus"], ["abacus"]),
        (["--resume", "--overwrite"], ["give one of them"]),
        (["--resume"], ["no run in"]),
    ],
)
def test_options_that_cannot_be_used(tmp_path, arguments, parts):
    refused(call("fit", "generator", *SMALL, "--out", tmp_path / "run", *arguments), *parts)


def test_an_unwritable_output_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    refused(
        call("fit", "generator", "--out", tmp_path / "file" / "run", *SMALL), "cannot write to", "choose another --out"
    )


def test_an_existing_run_is_kept(digits_run):
    folder, _ = digits_run
    before = (folder / "weights.safetensors").read_bytes()
    refused(
        call("fit", "generator", "--out", folder, *SMALL),
        "already holds a finished run; replace it with --overwrite, or choose another --out",
    )
    refused(call("fit", "generator", "--out", folder, "--resume"), "finished all of its 20 steps")
    assert (folder / "weights.safetensors").read_bytes() == before


def test_a_resumed_run_keeps_its_settings(digits_run):
    refused(
        call("fit", "generator", "--out", digits_run[0], "--resume", "--learning-rate", "0.5"),
        "--learning-rate 0.5 differs from the run's one, which was chosen: a resumed run keeps its settings",
    )
    refused(
        call("fit", "generator", "--out", digits_run[0], "--resume", "--steps", "21"),
        "--steps 21 differs from the run's 20",
        "--overwrite instead of --resume",
    )


@pytest.mark.parametrize("command", [["evaluate"], ["sample", "--out", "x.npz"]])
def test_runs_that_cannot_be_used(digits_run, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(call(*command, tmp_path / "nothing"), "no run in")
    copy = tmp_path / "copy"
    copy.mkdir()
    description = json.loads((digits_run[0] / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**description, "format": 0, "version": "0.0.1"}))
    refused(call(*command, copy), "format 0", "version 0.0.1", "use that version, or train again")
    (copy / "config.json").write_text(json.dumps(description))
    refused(call(*command, copy), "training has not finished", "--resume")
    (copy / "weights.safetensors").write_bytes((digits_run[0] / "weights.safetensors").read_bytes()[:-50])
    refused(call(*command, copy), "weights.safetensors is corrupt")
    assert not (tmp_path / "x.npz").exists()


def test_bad_sample_arguments(digits_run, tmp_path):
    refused(call("sample", digits_run[0], "--out", tmp_path / "a.jpg"), "--out must end in .npz or .png")
    refused(call("sample", digits_run[0], "-n", 0, "--out", tmp_path / "a.npz"), "--number must be at least 1")
    (tmp_path / "file").write_text("x")
    refused(call("sample", digits_run[0], "--out", tmp_path / "file" / "a.npz"), "cannot write")


def test_training_that_breaks_exits_with_one(tmp_path):
    result = call(
        "fit",
        "generator",
        "--data",
        "moons",
        "--out",
        tmp_path / "run",
        *SMALL,
        "--learning-rate",
        "1e30",
        "--variance-start",
        1,
        "--variance-end",
        0.1,
    )
    refused(result, "not finite", "--learning-rate", code=1)


def test_lists_and_version():
    assert call("--version").stdout.strip() == __version__
    listing = call("data", "list").stdout
    for name in ("digits", "moons", "checkerboard", ".parquet"):
        assert name in listing


def test_runs_hold_in_any_working_folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    np.savetxt("points.csv", rng.standard_normal((60, 2)), delimiter=",")
    result = call("fit", "generator", "--data", "points.csv", "--out", "my run", *SMALL)
    assert result.exit_code == 0, result.output
    assert "on points.csv" in result.stdout
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert call("evaluate", "../my run").exit_code == 0


def test_too_few_points_are_noticed_before_training(tmp_path):
    np.savetxt(tmp_path / "few.csv", np.random.default_rng(0).standard_normal((25, 2)), delimiter=",")
    result = call("fit", "generator", "--data", tmp_path / "few.csv", "--out", tmp_path / "run", *SMALL)
    refused(result, "20 points to train on and 5 held out are too few", "--held-out")
    assert not (tmp_path / "run").exists()
