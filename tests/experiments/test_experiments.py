"""Experiments as their user runs them, made small."""

import json

import pytest

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.experiments import compare, comparison
from contrastive_entropy.metrics.distances import energy_distance
from contrastive_entropy.models.generator.settings import plan


def test_mode_coverage(tmp_path):
    out = tmp_path / "modes"
    arguments = ["experiment", "mode-coverage", "--out", out, "--steps", 5, "--seeds", "0,1", "--samples", 200]
    result = call(*arguments, "--laws", "ring8, grid25")
    assert result.exit_code == 0, result.output
    found = json.loads((out / "mode-coverage.json").read_text())
    assert [(row["law"], row["modes"], len(row["model"])) for row in found["rows"]] == [
        ("ring8", 8, 2),
        ("grid25", 25, 2),
    ]
    for row in found["rows"]:
        assert all(0 < seconds < 100 for seconds in row["seconds"])
        assert {score["modes"] for score in row["real"]} == {row["modes"]}
        assert all(score["high_quality"] > 0.95 for score in row["real"])
        assert all(score["modes"] < row["modes"] for score in row["model"])  # five steps
    assert found["settings"]["grid25"]["noise_dimension"] == 2
    assert found["settings"]["grid25"]["steps"] == 5
    run = ce.open_run(out / "runs" / "ring8-seed0")
    free = plan(ce.GeneratorSettings("ring8"), run.dataset())  # nobody sets the variance, or how it falls
    assert run.plan.variance == free.variance
    assert run.plan.model.coarse_every == free.model.coarse_every
    assert run.plan.objective == free.objective
    assert "runs reach all 8 modes" in result.stdout
    assert (out / "mode-coverage.png").stat().st_size > 10_000
    seconds = found["rows"][0]["seconds"]
    assert call(*arguments, "--laws", "ring8").exit_code == 0
    again = json.loads((out / "mode-coverage.json").read_text())
    assert again["rows"][0]["seconds"] == seconds  # what training took, not what reading it takes
    assert again["rows"][0]["model"] == found["rows"][0]["model"]
    refused(
        call(*arguments, "--laws", "moons"),
        "moons has no separate modes; those that have are ring8, grid25, modes1200, stacked_mnist",
    )
    refused(call(*arguments, "--laws", "ring8", "--objective", "nuclear_norm"), "holds a run with other settings")
    refused(
        call(*arguments, "--laws", "ring8", "--data-root", tmp_path),
        "--data-root would be ignored: only stacked_mnist reads a copy; leave it out",
    )
    refused(call(*arguments, "--laws", "ring8", "--samples", 0), "samples must be at least 1, got 0")


@pytest.mark.parametrize(
    "name", ["bound-tracking", "reconstruction-diversity", "mode-coverage", "compare", "variance-sweep"]
)
def test_every_experiment_explains_itself(name):
    result = call("experiment", name, "--help")
    assert result.exit_code == 0
    assert "--quick" in result.stdout


def test_a_plane_law_is_measured_on_more_points_than_are_held_out(monkeypatch):
    monkeypatch.setattr(comparison, "LAW", 10_000)
    space = comparison.Judge(load("moons"))
    assert (space.wanted, len(space.law)) == (10_000, 10_000)
    drawn = sample_toy("moons", 10_000, seed=9)
    same, other = (space.figures(drawn + shift)["energy"] for shift in (0, 0.05))
    assert abs(same) < 3e-4
    assert other == pytest.approx(energy_distance(drawn + 0.05, space.law), rel=1e-3)
    assert other > 3e-3
    assert comparison.Judge(load("digits")).law is None
    standardized = load("moons", standardize=True)
    energy = comparison.Judge(standardized).figures(standardized.schema.encode(drawn))["energy"]
    assert abs(energy) < 6e-4  # the law, too, is brought to the columns of the fit


def test_compare(tmp_path):
    out = tmp_path / "compare"
    arguments = [
        "experiment",
        "compare",
        "--out",
        out,
        "--steps",
        4,
        "--seeds",
        "0,1",
        "--width",
        16,
        "--components",
        64,
    ]
    result = call(*arguments, "--contenders", "debiased_nuclear_norm:smoothing=1e-2,energy")
    assert result.exit_code == 0, result.output
    found = json.loads((out / "compare.json").read_text())
    assert [(row["contender"], len(row["runs"])) for row in found["rows"]] == [
        ("debiased_nuclear_norm:smoothing=1e-2", 2),
        ("energy", 2),
    ]
    assert "features of MLPClassifier(256, 64), 10 epochs on 1297 training points" in found["space"]
    assert len(found["space_digest"]) == 16
    for row in found["rows"]:
        assert all(run["figures"]["frechet"] > 2 * found["real"]["frechet"] for run in row["runs"])  # four steps
        assert all(run["step_milliseconds"] > 0 and run["device"] == found["device"] for run in row["runs"])
    table = (out / "compare.md").read_text().splitlines()
    assert table[-3].startswith("| real points |")
    assert (out / "compare.png").stat().st_size > 10_000
    kept = ("*/weights.safetensors", "*.figures.json", "*.seconds.json")
    before = {path: path.stat().st_mtime_ns for name in kept for path in (out / "runs").glob(name)}
    assert len(before) == 12
    result = call(*arguments, "--contenders", "energy,debiased_nuclear_norm:smoothing=1e-2,mmd:scale=2")
    assert result.exit_code == 0, result.output
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert "run 5 of 6" in result.stderr
    assert "run 1 of 6" not in result.stderr  # it is there
    refused(call(*arguments, "--contenders", "energy", "--learning-rate", 0.5), "holds a run with other settings")
    refused(call(*arguments, "--contenders", "enrgy"), "unknown contender 'enrgy'; did you mean 'energy'?")
    refused(call(*arguments, "--contenders", "energy:2"), "unknown option '2' of energy; it takes none")
    refused(call(*arguments, "--contenders", "mmd:scale=x"), "scale must be a number, got 'x'")
    refused(
        call(*arguments, "--contenders", "energy", "--held-out", 0.3),
        "--held-out would be ignored: digits comes with held-out points; leave it out",
    )
    peers = [*arguments, "--contenders", "energy,mmd:scale=2"]
    refused(
        call(*peers, "--coarse-every", 4), "--coarse-every would be ignored: none of the contenders sees the variance"
    )


@pytest.mark.slow
def test_compare_points_without_classes(tmp_path):
    arguments = ["--data", "moons", "--steps", 3, "--seeds", "0", "--contenders", "energy", "--width", 16]
    result = call("experiment", "compare", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 0, result.output
    assert "in the points themselves" in result.stdout
    assert "smallest class" not in (tmp_path / "out" / "compare.md").read_text()
    (file,) = (tmp_path / "out" / "runs").glob("*.figures.json")
    known = json.loads(file.read_text())
    assert call("experiment", "compare", "--out", tmp_path / "out", *arguments).exit_code == 0
    assert json.loads(file.read_text()) == known
    again = call("experiment", "compare", "--out", tmp_path / "out", *arguments, "--standardize")
    refused(again, "holds a run with other settings")


def test_a_table_of_several_comparisons_names_what_differs():
    def result(frechet, **settings):
        figures = dict.fromkeys(compare.MEANINGS, 0.5) | {"frechet": frechet}
        config = {"seeds": [0], "data_root": str(frechet), "steps": 10, "decay_fraction": 0.6, **settings}
        rows = [{"contender": "energy", "runs": [{"figures": figures, "step_milliseconds": 3.0}]}]
        fit = {"learning_rate": 0.5, "steps": 10}
        return {"config": config, "fit": fit, "real": dict.fromkeys(compare.MEANINGS, 0.1), "rows": rows}

    fine = compare.table(result(2.0, coarse_every=0), result(1.0, coarse_every=None)).splitlines()
    assert [line.split(" |")[0] for line in fine[2:4]] == ["| energy", "| energy, coarse every 0"]
    rounded = compare.table(result(2.0, variance_end=0.1), result(1.0, variance_end=0.1 + 1e-16)).splitlines()
    assert [line.split(" |")[0] for line in rounded[2:4]] == ["| energy", "| energy"]
    chosen = compare.table(result(2.0, learning_rate=0.1), result(1.0, learning_rate=None)).splitlines()
    assert [line.split(" |")[0] for line in chosen[2:4]] == [
        "| energy, learning rate 0.5",
        "| energy, learning rate 0.1",
    ]
    lines = compare.table(result(2.0, decay_fraction=0.2), result(1.0)).splitlines()
    assert [line.split(" |")[0] for line in lines[2:]] == [
        "| energy, decay fraction 0.6",
        "| energy, decay fraction 0.2",
        "| real points",
    ]
    assert compare.table(result(2.0)).splitlines()[2].startswith("| energy | 2.000 |")


def test_experiments_quickly(tmp_path):
    quick = ["--data", "digits", "--steps", 10, "--points", 60, "--quick"]
    out = tmp_path / "bounds"
    arguments = ["experiment", "bound-tracking", "--out", out, *quick, "--centers", "1,3", "--seeds", "0,1"]
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "bound-tracking.json").read_text())
    assert {"command", "seed", "commit", "device", "wall_seconds"} <= set(found)
    assert [row["centers"] for row in found["rows"]] == [1, 3]
    for row in found["rows"]:
        assert 0 < row["train_tightness"][0] <= 1
        assert row["train_tightness"][1] > 0
        assert row["free_tightness"] > row["train_tightness"][0]
    assert found["rows"][0]["free_tightness"] < found["rows"][1]["free_tightness"]
    assert "training tightness is" in (out / "bound-tracking.md").read_text()
    trained = (out / "runs/features1-centers3-seed1/weights.safetensors").stat().st_mtime_ns
    (out / "seconds.json").write_text('{"seconds": 1000.0}')
    assert call(*arguments).exit_code == 0  # nothing is trained twice
    assert json.loads((out / "bound-tracking.json").read_text())["wall_seconds"] == 1000  # what the training took
    assert call(*arguments, "--seeds", "0,1,2").exit_code == 0
    assert 1000 < json.loads((out / "bound-tracking.json").read_text())["wall_seconds"] < 1600  # of all sessions
    assert (out / "runs/features1-centers3-seed1/weights.safetensors").stat().st_mtime_ns == trained
    refused(call(*arguments, "--learning-rate", 0.5), "holds a run with other settings; choose another --out")
    refused(call(*arguments, "--centers", "1;2"), "--centers must be whole numbers with commas between them")
    refused(call(*arguments, "--centers", "0"), "--centers must be at least 1, got 0")
    (out / "bound-tracking.json").unlink()
    (out / "bound-tracking.json").mkdir()
    refused(call(*arguments), "choose another --out")
    out = tmp_path / "diversity"
    result = call(
        "experiment", "reconstruction-diversity", "--out", out, "--steps", 10, "--centers", 3, "--points", 100
    )
    assert result.exit_code == 0, result.output
    assert "The classifier's confidence is" in result.stdout
    assert (out / "reconstruction-diversity.png").stat().st_size > 10_000
    refused(
        call("experiment", "reconstruction-diversity", "--out", tmp_path / "x", "--data", "moons", "--steps", 1),
        "moons holds points; this experiment shows images",
    )
