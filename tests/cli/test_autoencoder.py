import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.models.autoencoder.limit import whole_limit
from contrastive_entropy.models.autoencoder.tracking import encoded
from fits import fit

OPTIONS = [
    "--steps",
    "20",
    "--batch-size",
    "32",
    "--centers",
    "3",
    "--width",
    "16",
    "--depth",
    "1",
    "--accelerator",
    "cpu",
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codes", "heads", "--code-dimension", 3], "--code-dimension would be ignored: codes heads"),
        (["--anneal-fraction", 0, "--feature-variance-start", 1], "--feature-variance-start would be ignored"),
        (["--anneal-fraction", 0, "--variance-start", 9], "--variance-start would be ignored"),
        (["--held-out", 0.3], "--held-out would be ignored: digits comes with held-out points"),
    ],
)
def test_options_that_would_do_nothing_are_refused(tmp_path, options, message):
    refused(
        call("fit", "autoencoder", "--data", "digits", "--out", tmp_path / "run", *options), message, "leave it out"
    )
    assert not (tmp_path / "run").exists()


def test_few_held_out_points_are_all_reconstructed(tmp_path):
    data = tmp_path / "points.csv"
    np.savetxt(data, np.random.default_rng(0).normal(size=(36, 2)), delimiter=",")
    config = ce.AutoencoderSettings(data=str(data), steps=2, width=4, depth=1, batch_size=8)
    fit(config, tmp_path / "run", load(data))
    out = tmp_path / "alternatives.npz"
    result = call("reconstruct", tmp_path / "run", "--out", out, "-n", 2)
    assert result.exit_code == 0, result.output
    assert np.load(out)["alternatives"].shape == (7, 2, 2)


def command(folder, *options):
    program = [sys.executable, "-c", "from contrastive_entropy.cli.app import app; app()", "fit", "autoencoder"]
    return [*program, "--out", str(folder), *options]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_training_resumes_to_the_same_bytes(tmp_path, number):
    settings = [*OPTIONS, "--steps", "60", "--track-every", "7", "--log-every", "5", "--checkpoint-every", "9"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, part = tmp_path / "whole", tmp_path / "part"
    subprocess.run(command(whole, *settings), check=True, env=environment, **quiet)
    process = subprocess.Popen(command(part, *settings), env=environment, **quiet)
    deadline = time.monotonic() + 120
    while not (part / "checkpoint.safetensors").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    process.wait()
    assert not (part / "weights.safetensors").exists(), "it ended before it was stopped"
    subprocess.run(command(part, "--resume"), check=True, env=environment, **quiet)
    for name in (
        "weights.safetensors",
        "metrics.csv",
        "bounds.csv",
        "evaluation.json",
        "alternatives.png",
        "bounds.png",
    ):
        assert (whole / name).read_bytes() == (part / name).read_bytes(), name


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder") / "run"
    result = call("fit", "autoencoder", "--features", 1, "--out", folder, *OPTIONS)
    assert result.exit_code == 0, result.output
    return folder, result


def test_a_fit_leaves_a_complete_folder_and_explains_its_numbers(run_folder):
    folder, result = run_folder
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "weights.safetensors", "metrics.csv", "bounds.csv", "evaluation.json", "report.html",
        "alternatives.png", "bounds.png", "training.png", "tensorboard",
    }  # fmt: skip
    for name in ("tightness", "neighbors", "best_error", "diversity", "purity", "clarity", "sharpness",
                 "mean_preferred", "Tightness 0."):  # fmt: skip
        assert name in result.stdout
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["settings"]["classifier"].startswith("MLPClassifier(256)")
    assert set(evaluation["tables"]["bounds"]) == {"train", "held_out"}
    assert 0 < evaluation["tables"]["alternatives"]["model"]["sharpness"] < 1
    assert [found["name"] for found in evaluation["diagnoses"]] == ["unsharp"]
    assert "Diagnosis: alternatives are blurred" in result.stdout
    assert ce.open_run(folder).kind.name == "autoencoder"
    assert call("evaluate", folder).exit_code == 0
    assert json.loads((folder / "evaluation.json").read_text()) == evaluation


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--frequencies", 2),
        pytest.param("--decoder", "mlp", marks=pytest.mark.slow),
        pytest.param("--decoder-width", 9, marks=pytest.mark.slow),
        pytest.param("--principal-components", 7, marks=pytest.mark.slow),
    ],
)
def test_a_run_keeps_its_decoder(run_folder, tmp_path, option, value):
    folder, _ = run_folder
    refused(call("fit", "autoencoder", "--out", folder, "--resume", option, value), f"{option} {value} differs from")
    result = call("fit", "autoencoder", "--out", tmp_path / "run", *OPTIONS, option, value)
    assert result.exit_code == 0, result.output
    network = ce.open_run(tmp_path / "run").network()
    inputs = {"--frequencies": 2 * (1 + 2 * 2)}.get(option, 2)
    width = {"--decoder-width": 9}.get(option, 16)
    shapes = [tuple(weights.shape) for weights in network.decoder.parameters()]
    assert shapes[0] == (width, inputs)
    assert shapes[-1] == (3 * {"--principal-components": 7}.get(option, 64),)
    assert network.mixture(torch.zeros(5, 2)).dimension == 64


def test_more_components_than_there_are_are_cut_and_resumed_as_typed(tmp_path):
    asked = [*OPTIONS, "--points", 30, "--principal-components", 1000]
    result = call("fit", "autoencoder", "--out", tmp_path / "run", *asked)
    assert result.exit_code == 0, result.output
    assert "principal components: 29, all that the training points span" in result.stderr
    assert ce.open_run(tmp_path / "run").plan.model.principal_components == 29
    resume = ["fit", "autoencoder", "--out", tmp_path / "run", "--resume", "--principal-components"]
    refused(call(*resume, 1000), "has finished all of its")  # and not: differs
    refused(call(*resume, 28), "--principal-components 28 differs from the run's 1000")


def test_reconstruct_writes_pictures_and_arrays(run_folder, tmp_path):
    folder, _ = run_folder
    result = call("reconstruct", folder, "--index", 3, "--index", 5, "-n", 4, "--out", tmp_path / "grid.png")
    assert result.exit_code == 0, result.output
    assert "4 alternatives for each of 2 inputs" in result.stdout
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size[0] > 100
    assert call("reconstruct", folder, "--index", 3, "-n", 4, "--out", tmp_path / "a.npz").exit_code == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["inputs"].shape == (1, 1, 8, 8)
        assert arrays["alternatives"].shape == (1, 4, 1, 8, 8)
        np.testing.assert_array_equal(arrays["inputs"][0, 0].ravel(), load("digits").held_out.points[3].numpy())
        np.save(tmp_path / "input.npy", arrays["inputs"])
    result = call("reconstruct", folder, "--input", tmp_path / "input.npy", "-n", 4, "--out", tmp_path / "b.npz")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        np.testing.assert_array_equal(a["alternatives"], b["alternatives"])
    pixels = (255 * load("digits").held_out.points[3].reshape(8, 8)).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(tmp_path / "one.png")
    result = call("reconstruct", folder, "--input", tmp_path / "one.png", "--out", tmp_path / "c.npz")
    assert result.exit_code == 0, result.output


def test_what_reconstruct_refuses(run_folder, tmp_path):
    folder, _ = run_folder
    out = tmp_path / "grid.png"
    refused(call("reconstruct", folder, "--index", 500, "--out", out), "--index must lie from 0 to 499, got 500")
    refused(call("reconstruct", folder, "--out", tmp_path / "grid.jpg"), "--out must end in .npz or .png")
    refused(call("reconstruct", folder, "-n", 0, "--out", out), "--number must be at least 1")
    refused(call("reconstruct", folder, "--index", 1, "--input", "x.npy", "--out", out), "--index or --input, not both")
    np.save(tmp_path / "points.npy", np.zeros((2, 3)))
    result = call("reconstruct", folder, "--input", tmp_path / "points.npy", "--out", out)
    refused(result, "expected inputs of shape (1, 8, 8), got (3,)")
    assert not out.exists()
    out.write_bytes(b"mine")
    refused(call("reconstruct", folder, "--out", out), "exists; replace it with --overwrite")
    assert out.read_bytes() == b"mine"


def test_limit_is_that_of_the_formula(run_folder, tmp_path):
    folder, _ = run_folder
    result = call("limit", folder, "--out", tmp_path / "limit.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "limit.json").read_text())
    run = ce.open_run(folder)
    joint = encoded(run.network(), run.dataset().train.points)
    assert isinstance(joint, JointMixture)
    nodes, log_weights = joint.quadrature()
    assert found["points"] == 1297
    assert found["limit"] == pytest.approx(float(joint.log_norm(nodes, log_weights=log_weights)), abs=1e-9)
    assert found["value"] <= found["limit"]
    sampled = whole_limit(run, conditions=3000, value=False)
    assert "value" not in sampled
    assert abs(sampled["limit"] - found["limit"]) < 4 * sampled["limit_error"]
    held_out = whole_limit(run, part="held_out")
    assert held_out["points"] == 500
    refused(call("evaluate", folder, "--from-density"), "is for generators")
    refused(call("limit", folder, "--part", "test"), "--part must be one of train, held_out, got 'test'")
    refused(call("limit", folder, "--seed", 2**64), "--seed must lie from 0 to 2^32 - 1")
    refused(call("limit", folder, "--conditions", 1), "--conditions must be at least 2")
    refused(call("limit", folder, "--out", tmp_path / "limit.json"), "exists; replace it with --overwrite")


def test_sample_and_wrong_kinds(run_folder, tmp_path):
    folder, _ = run_folder
    result = call("sample", folder, "-n", 5, "--out", tmp_path / "s.npz")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["samples"].shape == (5, 1, 8, 8)
    data = Dataset.of("tiny", torch.randn(50, 2, generator=generator()), torch.randn(20, 2, generator=generator()))
    fit(ce.GeneratorSettings(data="moons", steps=2, width=4, depth=1), tmp_path / "generator", data)
    refused(call("limit", tmp_path / "generator"), "holds a run of kind generator; expected autoencoder")
    result = call("fit", "autoencoder", "--out", tmp_path / "generator", "--resume")
    refused(result, "holds a run of kind generator; continue with: contrastive-entropy fit generator")
