import json
import re
import shutil

import numpy as np
import pytest

from commands import SMALL, call, refused
from contrastive_entropy.analysis.entropy import MEANINGS as BOUND_MEANINGS


def test_samples_of_any_generator_are_judged(digits_run, tmp_path):
    drawn, out = tmp_path / "drawn.npz", tmp_path / "figures.json"
    assert call("sample", digits_run[0], "-n", 1000, "--seed", 1, "--out", drawn).exit_code == 0
    result = call("evaluate-samples", drawn, "digits", "--out", out)
    assert result.exit_code == 0, result.output
    assert "drawn.npz beside digits, 500 points a side" in result.stdout
    # what was not made by a fit is not told how to fit
    found, own = json.loads(out.read_text()), json.loads((digits_run[0] / "evaluation.json").read_text())
    assert "Diagnosis: samples show little of the data's variety (" in result.stdout
    assert "--steps" not in result.stdout
    recalls = [one["tables"]["samples"]["reference"]["recall"] for one in (found, own)]
    assert recalls[0] == recalls[1]
    assert found["settings"]["samples"] == str(drawn)
    assert [diagnosis["remedies"] for diagnosis in found["diagnoses"]] == [[]]
    refused(
        call("evaluate-samples", drawn, digits_run[0] / "samples.png", "--held-out", 0), "--held-out must lie in (0, 1)"
    )
    refused(call("evaluate-samples", drawn, "digits", "--out", out), "exists; replace it with --overwrite")
    refused(call("evaluate-samples", drawn, "moons"), "has 64 coordinates and moons has 2")
    refused(
        call("evaluate-samples", drawn, "digits", "--held-out", 0.3), "--held-out would be ignored: digits comes with"
    )
    refused(call("evaluate-samples", drawn, "digits", "--variance", 0), "variance must be a positive number, got 0")
    refused(call("evaluate-samples", drawn, "digits", "--data-root", tmp_path), "leave it out")


def test_images_are_compared_in_features_unless_asked_not_to(digits_run, tmp_path):
    folder, drawn, out = tmp_path / "run", tmp_path / "drawn.npz", tmp_path / "figures.json"
    shutil.copytree(digits_run[0], folder)
    call("sample", folder, "-n", 100, "--out", drawn)
    for command, file in (
        (("evaluate", folder), folder / "evaluation.json"),
        (("evaluate-samples", drawn, "digits", "--overwrite", "--out", out), out),
    ):
        for more, there in (((), True), (("--no-features",), False)):
            result = call(*command, *more)
            assert result.exit_code == 0, result.output
            assert ("features_frechet" in result.stdout) is there
            found = json.loads(file.read_text())
            assert ("features_recall" in found["tables"]["samples"]["model"]) is there
            assert ("efficientnet" in found["settings"]) is there
            assert "EfficientNet-Lite0 features, in which" not in result.stdout  # how to get them
    call("report", folder, "--no-features", "--out", tmp_path / "report.html")
    assert "features frechet" not in (tmp_path / "report.html").read_text()


def test_samples_in_units_of_their_own(tmp_path):
    values = np.random.default_rng(0).normal(size=(1000, 2)) * [1, 1000]
    np.savetxt(tmp_path / "data.csv", values[:700], delimiter=",")
    np.savetxt(tmp_path / "samples.csv", values[700:], delimiter=",")
    command = ["evaluate-samples", tmp_path / "samples.csv", tmp_path / "data.csv"]
    result = call(*command, "--standardize", "--held-out", 0.4, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["settings"]["points"] == 150
    assert found["headline"]["value"] == pytest.approx(1, abs=0.1)
    assert abs(found["tables"]["samples"]["model"]["energy_distance"]) < 0.1  # of columns of deviation 1


@pytest.mark.filterwarnings("ignore:distances are so large:contrastive_entropy.NumericalWarning")
def test_a_variance_too_small_to_evaluate_at(tmp_path):
    arguments = ["--variance-end", "1e-5", "--variance-start", "1e-5", "--objective", "log_likelihood"]
    result = call("fit", "generator", "--out", tmp_path / "run", *SMALL, *arguments)
    assert result.exit_code == 2
    assert re.search(
        r"\nerror: .*1e-05, is too small to compare 500 points at: .*higher --variance-end\n$", result.stderr
    )
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_samples_can_be_trained_on(digits_run, tmp_path):
    folder, _ = digits_run
    assert call("sample", folder, "-n", 60, "--out", tmp_path / "s.npz").exit_code == 0
    result = call("fit", "generator", "--data", tmp_path / "s.npz", "--out", tmp_path / "again", *SMALL)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("seed", [2**32, 2**64, -1])
def test_seeds_have_a_range(digits_run, tmp_path, seed):
    refused(call("sample", digits_run[0], "--out", tmp_path / "s.npz", "--seed", seed), "seed")
    refused(call("fit", "generator", "--out", tmp_path / "run", "--seed", seed), "seed")
    refused(call("evaluate", digits_run[0], "--seed", seed), "seed")


def test_more_points_than_memory(digits_run, tmp_path):
    result = call("sample", digits_run[0], "-n", 9_999_999_999_999, "--out", tmp_path / "s.npz")
    refused(result, "not enough memory")


def test_a_missing_file_of_a_run_is_named(tmp_path):
    folder = tmp_path / "run"
    assert call("fit", "generator", "--out", folder, *SMALL).exit_code == 0
    (folder / "metrics.csv").unlink()
    refused(call("evaluate", folder), "metrics.csv (No such file or directory)")


def test_an_index_column_is_refused(tmp_path):
    import pandas as pd

    for columns in (["a", "b"], [0, 1]):
        pd.DataFrame(np.random.default_rng(0).random((30, 2)), columns=columns).to_csv(tmp_path / "x.csv")
        result = call("fit", "generator", "--data", tmp_path / "x.csv", "--out", tmp_path / "run", *SMALL)
        refused(result, "first column has no name and counts the rows", "index=False")


def test_bound_prints_and_writes_the_figures_of_the_whole_set(tmp_path):
    np.savetxt(tmp_path / "a.csv", np.random.default_rng(0).standard_normal((40, 2)), delimiter=",")
    out = tmp_path / "a.json"
    result = call(
        "bound", tmp_path / "a.csv", "--against", tmp_path / "a.csv", "--variance", "0.5", "--fidelity",
        "--batch", 16, "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert (figures["points"], figures["variance"], figures["batch_size"]) == (40, 0.5, 16)
    assert figures["cauchy_schwarz_divergence"] == pytest.approx(0, abs=1e-6)
    assert figures["fidelity"] == pytest.approx(1, abs=1e-6)
    for name in BOUND_MEANINGS:
        assert name in result.stdout
    assert set(BOUND_MEANINGS) <= set(figures)
    refused(call("bound", tmp_path / "a.csv", "--out", out), "a.json exists", "--overwrite")
    assert call("bound", tmp_path / "a.csv", "--out", out, "--overwrite").exit_code == 0
    assert "against_points" not in json.loads(out.read_text())


def test_an_interrupted_bound_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("contrastive_entropy.analysis.entropy.measure", interrupted)
    result = call("bound", "moons", "--out", tmp_path / "x.json")
    assert (result.exit_code, result.stderr) == (130, "stopped; the same command continues the sums where they stood\n")
    assert "--out FILE.json" in call("bound", "moons").stderr


def test_bound_refuses_in_one_line(tmp_path):
    refused(call("bound", "mnst"), "did you mean 'mnist'")
    refused(call("bound", "mnist", "--data-root", tmp_path), "no folder mnist in")
    refused(call("bound", "moons", "--variance", "-1"), "variance must be a positive number, got -1")
    refused(call("bound", "moons", "--against", "digits"), "moons has 2 coordinates and digits has 64")
    (tmp_path / "nan.csv").write_text("1,2\n" * 20 + "nan,3\n")
    refused(call("bound", tmp_path / "nan.csv"), "1 of 21 rows hold NaN", "(rows 20, counted from 0)")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The same points in two units of each column, with names."""
    folder = tmp_path_factory.mktemp("tables")
    points = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    for name, units in {"small": (1, 1), "uneven": (2**-4, 2**10)}.items():
        table = ",".join(["width", "price"]) + "\n" + "\n".join(f"{x!r},{y!r}" for x, y in (points * units).tolist())
        (folder / f"{name}.csv").write_text(table)
    return folder


def test_standardized_columns_may_have_any_unit(tables, tmp_path):
    for name in ("small", "uneven"):
        data = ("--data", tables / f"{name}.csv", "--standardize")
        result = call("fit", "generator", *data, "--out", tmp_path / name, *SMALL)
        assert result.exit_code == 0, result.output
        assert "standard deviations range" not in result.stderr
        assert call("sample", tmp_path / name, "-n", 50, "--out", tmp_path / f"{name}.csv").exit_code == 0
        assert call("sample", tmp_path / name, "-n", 50, "--out", tmp_path / f"{name}.npz").exit_code == 0
    assert (tmp_path / "small" / "weights.safetensors").read_bytes() == (
        tmp_path / "uneven" / "weights.safetensors"
    ).read_bytes()
    small, uneven = (np.load(tmp_path / f"{name}.npz")["samples"] for name in ("small", "uneven"))
    np.testing.assert_array_equal(small * [2**-4, 2**10], uneven)
    lines = (tmp_path / "uneven.csv").read_text().splitlines()
    assert lines[0] == "width,price"
    np.testing.assert_allclose(np.float64([line.split(",") for line in lines[1:]]), uneven, rtol=0, atol=1e-5)
    assert 2**12 < uneven[:, 1].std() / uneven[:, 0].std() < 2**16  # after few steps, of about 2^14
    variances = [call("variance", tables / f"{name}.csv", "--standardize").stdout for name in ("small", "uneven")]
    assert variances[0] == variances[1] != call("variance", tables / "small.csv").stdout
    again = ("--out", tmp_path / "uneven", "--resume")
    refused(call("fit", "generator", *again, "--data", tables / "uneven.csv"), "has finished all of its 20 steps")
    refused(call("fit", "generator", "--standardize", "--out", tmp_path / "digits", *SMALL), "digits holds images")


def test_uneven_columns_are_warned_of(tables, tmp_path):
    result = call("fit", "generator", "--data", tables / "uneven.csv", "--out", tmp_path / "run", *SMALL)
    assert "the columns' standard deviations range from" in result.stderr
    assert "if they have units of their own, --standardize brings them to one scale" in result.stderr


def test_a_column_that_distances_do_not_see_is_diagnosed(tmp_path):
    rng = np.random.default_rng(0)
    high = rng.random(600) < 0.5
    table = np.column_stack(
        [np.where(high, 35, 60) + rng.normal(0, 6, 600), 1e5 + 6e4 * high, rng.normal(1.7, 0.1, 600)]
    )
    table[:, 1] += rng.normal(0, 5e3, 600)
    np.savetxt(tmp_path / "people.csv", table, delimiter=",", header="age,income,height", comments="")
    run = tmp_path / "run"
    assert call("fit", "generator", "--data", tmp_path / "people.csv", "--out", run, *SMALL).exit_code == 0
    assert (run / "columns.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((run / "evaluation.json").read_text())
    assert found["settings"]["column"] == "height"
    assert found["tables"]["samples"]["model"]["column_distance"] > 100
    assert found["tables"]["samples"]["reference"]["column_distance"] < 1
    table[:, 2] *= 100
    np.savetxt(tmp_path / "samples.csv", table, delimiter=",", header="age,income,height", comments="")
    judged = call("evaluate-samples", tmp_path / "samples.csv", tmp_path / "people.csv").stdout
    assert "Diagnosis: a column of the samples is unlike the data's (column distance " in judged
    assert "of 'height')" in judged
    assert "No problems found" not in judged
    for part, rows in (("training", table[:400]), ("held_out", table[400:])):
        np.savetxt(tmp_path / f"{part}.csv", rows, delimiter=",", header="age,income,height", comments="")
    command = ["evaluate-samples", tmp_path / "training.csv", tmp_path / "held_out.csv", "--standardize"]
    copied = call(*command, "--training", tmp_path / "training.csv").stdout
    assert "100% of them equal one" in copied
    assert "100.0% of the samples equal a training row" in copied
    unknown = call(*command).stdout
    assert "copies" not in unknown
    assert "memorization" not in unknown
    assert "give it as --training" in unknown
    refused(call(*command, "--training", tmp_path / "training.csv", "--held-out", 0.3), "--held-out would be ignored")


def test_constant_columns_stay_constant(tables, tmp_path):
    lines = (tables / "small.csv").read_text().splitlines()
    path = tmp_path / "constant.csv"
    path.write_text("\n".join([f"{lines[0]},when", *(f"{line},1700000000" for line in lines[1:])]))
    result = call("fit", "generator", "--data", path, "--standardize", "--out", tmp_path / "run", *SMALL)
    assert "constant in the training points, and so in all samples: when\n" in result.stderr
    call("sample", tmp_path / "run", "-n", 9, "--from-density", "--out", tmp_path / "s.csv")
    assert [line.split(",")[2] for line in (tmp_path / "s.csv").read_text().splitlines()[1:]] == ["1700000000.0"] * 9


def test_alternatives_of_standardized_inputs_are_in_the_units_of_the_file(tables, tmp_path):
    small = ("--steps", 10, "--batch-size", 32, "--width", 16, "--depth", 1, "--features", 1, "--centers", 2)
    for name in ("small", "uneven"):
        data = ("--data", tables / f"{name}.csv", "--standardize")
        assert call("fit", "autoencoder", *data, "--out", tmp_path / name, *small).exit_code == 0
        for source in (("--index", 0, "--index", 5), ("--input", tables / f"{name}.csv")):
            out = tmp_path / f"{name}{source[0]}.npz"
            assert call("reconstruct", tmp_path / name, *source, "-n", 3, "--out", out).exit_code == 0
    for source in ("--index", "--input"):
        small, uneven = (np.load(tmp_path / f"{name}{source}.npz") for name in ("small", "uneven"))
        for part in ("inputs", "alternatives"):
            np.testing.assert_array_equal(small[part] * [2**-4, 2**10], uneven[part])
    whole = np.loadtxt(tables / "uneven.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(uneven["inputs"], whole, rtol=0, atol=1e-3)
    swapped = tmp_path / "swapped.csv"
    swapped.write_text("price,width\n" + "\n".join(f"{y!r},{x!r}" for x, y in whole.tolist()))
    out = ("-n", 3, "--out", tmp_path / "swapped.npz")
    assert call("reconstruct", tmp_path / "uneven", "--input", swapped, *out).exit_code == 0
    for part in ("inputs", "alternatives"):  # columns are known by their names
        np.testing.assert_array_equal(np.load(tmp_path / "swapped.npz")[part], uneven[part])
    swapped.write_text(swapped.read_text().replace("width", "height"))
    refused(
        call("reconstruct", tmp_path / "uneven", "--input", swapped, *out, "--overwrite"),
        "columns differ from the run's; missing: width",
    )


def test_images_are_not_written_as_tables(digits_run, tmp_path):
    refused(call("sample", digits_run[0], "--out", tmp_path / "a.csv"), "makes images: --out must end in .npz or .png")


def test_the_variance_is_chosen_and_shown(tmp_path):
    result = call("variance", "moons", "--batch", 64, "--out", tmp_path / "curves.png")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["neighbors", "effective_rank", "leave_one_out"]
    assert "`fit generator` takes the first: it starts near --variance-start 0.66" in lines[3]
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    np.savetxt(tmp_path / "same.csv", np.ones((50, 2)), delimiter=",")
    refused(call("variance", tmp_path / "same.csv"), "median distance between points is 0: the data are constant")
    fitted = call("fit", "generator", "--data", "moons", "--out", tmp_path / "run", *SMALL, "--variance-start", 2)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["plan"]
    assert f"chosen from the data: --variance-end {config['variance']['end']:.4g}\n" in fitted.stderr
    outlier = np.random.default_rng(0).standard_normal((100, 1))
    outlier[0] = 1e4
    np.save(tmp_path / "outlier.npy", outlier)
    result = call("variance", tmp_path / "outlier.npy", "--out", tmp_path / "outlier.png")
    assert (result.exit_code, (tmp_path / "outlier.png").stat().st_size > 10_000) == (0, True), result.output
    assert "+-" not in result.stdout  # one batch holds all points
    uneven = np.random.default_rng(0).standard_normal((200, 2)) * [1, 1e4]
    np.save(tmp_path / "uneven.npy", uneven)
    assert "warning: the columns' standard deviations range from" in call("variance", tmp_path / "uneven.npy").stderr
    for command in (("decompose", "--out", tmp_path / "functions"), ("bound",)):
        refused(
            call(command[0], tmp_path / "uneven.npy", *command[1:], "--seed", -1), "seed must lie from 0 to 2^63 - 1"
        )
    (tmp_path / "semicolons.csv").write_text("a;b\n" + "".join(f"{i},5;{i % 7},25\n" for i in range(30)))
    result = call("variance", tmp_path / "semicolons.csv")
    assert (result.exit_code, result.stderr.count("parted by semicolons")) == (0, 1), result.output
    refused(
        call("variance", tmp_path / "run"), "is a run folder; draw points from it with `contrastive-entropy sample`"
    )
    constant = ["--data", tmp_path / "same.csv", "--variance-start", 1, "--variance-end", 0.1]
    result = call("fit", "generator", *constant, "--out", tmp_path / "constant", *SMALL)
    assert (result.exit_code, "range from" in result.stderr) == (0, False), result.output
    fixed = ["--variance-end", 1, "--anneal-fraction", 0, "--overwrite"]
    assert "chosen" not in call("fit", "generator", "--data", "moons", "--out", tmp_path / "run", *SMALL, *fixed).stderr


def test_help_shows_defaults_that_the_data_or_other_options_decide():
    shown = " ".join(call("fit", "generator", "--help").stdout.replace("│", " ").split())
    for default in (
        "twice the data's, at most 32",
        "2 for the default objective, 4 beside steps that look at finer components, else 0",
        "from near-neighbour distances",
    ):
        assert f"[default: {default}]" in shown
