"""Time stamps beside a number of deviation 1, through a fit of every kind and its commands."""

import json

import numpy as np
import pandas as pd
import pytest

import contrastive_entropy as ce
from commands import call
from contrastive_entropy.data.load import read_points
from contrastive_entropy.report.drawing import png_bytes

START = 1_700_000_000_000
SMALL = ["--steps", 20, "--batch-size", 32, "--width", 16, "--depth", 1, "--accelerator", "cpu"]


def arrays_of(path):
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """far.csv, and twin.csv whose column t does not have the offset."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    twin = pd.DataFrame({"t": rng.integers(0, 10_000, 400), "v": rng.normal(size=400).round(3)})
    twin.to_csv(folder / "twin.csv", index=False)
    twin.assign(t=twin.t + START).to_csv(folder / "far.csv", index=False)
    return folder


def done(*arguments):
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def times(path):
    return pd.read_csv(path).t.to_numpy()


@pytest.fixture(scope="module")
def generators(files):
    for name in ("far", "twin"):
        done(
            "fit",
            "generator",
            "--data",
            files / f"{name}.csv",
            "--out",
            files / f"g_{name}",
            *SMALL,
            "--components",
            32,
        )
    return {name: ce.open_run(files / f"g_{name}") for name in ("far", "twin")}


def test_generators_give_samples_in_the_datas_units(files, generators):
    fall = [run.plan.variance for run in generators.values()]
    assert (fall[0].start, fall[0].end) == pytest.approx((fall[1].start, fall[1].end), rel=1e-4)
    far, twin = (run.sample(200, seed=1).double() for run in generators.values())
    np.testing.assert_allclose(far[:, 0] - START, twin[:, 0], atol=0.02 * float(twin[:, 0].std()))
    done("sample", files / "g_far", "-n", 200, "--seed", 1, "--out", files / "s.csv")
    done("sample", files / "g_far", "-n", 200, "--seed", 1, "--out", files / "s.npz")
    np.testing.assert_allclose(times(files / "s.csv"), far[:, 0], atol=1e-3, rtol=0)
    np.testing.assert_array_equal(arrays_of(files / "s.npz")["samples"], far)
    assert read_points(files / "s.csv")[0][:, 0].unique().numel() == 200


def test_evaluations_are_those_of_the_twin(files, generators):
    found = []
    for name in generators:
        done("evaluate", files / f"g_{name}")
        done("sample", files / f"g_{name}", "-n", 400, "--out", files / f"s_{name}.csv")
        result = done(
            "evaluate-samples", files / f"s_{name}.csv", files / f"{name}.csv", "--out", files / f"{name}.json"
        )
        assert "lies near" not in result.stderr
        found.append(json.loads((files / f"g_{name}" / "evaluation.json").read_text())["tables"]["samples"])
    for column in ("model", "reference"):
        assert found[0][column] == pytest.approx(found[1][column], rel=0.1, abs=0.05)


def test_autoencoders_reconstruct_in_the_datas_units(files):
    done("fit", "autoencoder", "--data", files / "far.csv", "--out", files / "auto", *SMALL)
    done("reconstruct", files / "auto", "--input", files / "far.csv", "--out", files / "r.npz")
    found = arrays_of(files / "r.npz")
    np.testing.assert_array_equal(found["inputs"][:, 0], times(files / "far.csv")[: len(found["inputs"])])
    assert np.abs(found["alternatives"][..., 0] - START - 5000).max() < 100_000


@pytest.mark.parametrize("target", ["v", "t"])
def test_conditional_laws_take_and_give_time_stamps(files, target):
    run, other = files / f"c_{target}", "t" if target == "v" else "v"
    done("fit", "conditional", "--data", files / "far.csv", "--target", target, "--out", run, *SMALL)
    done("predict", run, "--given", files / "far.csv", "--out", files / "p.csv", "--overwrite")
    predicted = pd.read_csv(files / "p.csv")
    if target == "t":
        assert (predicted[["t_mean", "t_q0.5"]] - START - 5000).abs().max().max() < 20_000
    else:
        assert predicted.v_mean.nunique() > 100  # of one time stamp they would all be one
    given = f"{other}={START + 5000 if other == 't' else 1}"
    done("sample", run, "-n", 30, "--given", given, "--out", files / "s.csv", "--overwrite")
    drawn = times(files / "s.csv")
    assert (np.abs(drawn - START - 5000) < 30_000).all()
    if other == "t":
        assert (drawn == START + 5000).all()
    done("evaluate", run)
    figures = ce.open_run(run).kind.figures(ce.open_run(run), ce.open_run(run).dataset(), ce.open_run(run).evaluate())
    assert all(png_bytes(figure) for figure in figures.values())
