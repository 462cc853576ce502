"""Encoder -> noise -> mixture decoder: the model, its training, evaluation and commands."""

import csv
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from contrastive_entropy.config import AutoencoderConfig, FitConfig
from contrastive_entropy.reconstruction import (
    diversity,
    evaluate_reconstruction,
    posterior_draws,
    whole_limit,
)
from contrastive_entropy.runs import Run
from contrastive_entropy.steps import conditional_step_bound, initial_network
from contrastive_entropy.tracking import BoundTracker, conditions_of, encoded, figures, reconstruction_errors
from PIL import Image

from commands import call, refused
from contrastive_entropy import InputError, training
from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.load import load
from contrastive_entropy.data.schema import Images
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models import CODES, EncoderMixtureDecoder, code_dimensions
from contrastive_entropy.networks.bodies import MLP, ConvolutionalEncoder
from contrastive_entropy.spaces.classifier import Classifier

SMALL = AutoencoderConfig(data="digits", steps=20, batch_size=32, centers=3, width=16, depth=1)
OPTIONS = [
    *("--codes", "one_hot"),
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


def model(codes="one_hot", centers=3, features=2, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs = features + code_dimensions(codes, centers, 4)
        outputs = 5 * (centers if codes == "heads" else 1)
        return EncoderMixtureDecoder(
            MLP(5, features, width=8, depth=1),
            MLP(inputs, outputs, width=8, depth=1),
            **{
                "centers": centers,
                "codes": codes,
                "code_dimension": 4,
                "location": torch.full((5,), 2.0),
                "scale": torch.tensor(3.0),
                "variance": 0.5,
                "feature_variance": 0.01,
            }
            | changes,
        )


@pytest.mark.parametrize("codes", CODES)
def test_every_kind_of_code_gives_a_batch_of_mixtures(codes):
    network = model(codes)
    x = torch.randn(6, 5, generator=generator())
    q = network(x, generator=generator(1))
    assert isinstance(q, GaussianMixture)
    assert (q.batch_shape, q.components, q.dimension, float(q.variance)) == ((6,), 3, 5, 0.5)
    q.centers.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    again = network(x, generator=generator(1))
    assert torch.equal(again.centers, q.centers)
    assert not torch.equal(network(x, generator=generator(2)).centers, q.centers)
    apart = q.centers.detach().var(1).sum()
    assert apart > 0  # the centers of one condition differ
    torch.testing.assert_close(network.log_prob(x, network.encode(x)).shape, torch.Size([6]))


@pytest.mark.parametrize("codes", ["one_hot", "learned", "heads"])
def test_alternatives_are_centers_of_the_mixture_at_their_features(monkeypatch, codes):
    """Each input's three alternatives are its three centers, once each, although only those asked for are decoded."""
    network = model(codes)
    monkeypatch.setattr(network, "add_noise", lambda features, **_: features)
    x = torch.randn(4, 5, generator=generator())
    centers = network.mixture(network.encode(x)).centers.detach()
    found = network.reconstruct(x, 3, generator=generator())
    for rows, expected in zip(found, centers, strict=True):
        distances = torch.cdist(rows, expected)
        assert float(distances.amin(0).max()) < 1e-5
        assert float(distances.amin(1).max()) < 1e-5


def test_fresh_codes_are_as_random_as_their_generator():
    network = model("gaussian")
    x = torch.randn(4, 5, generator=generator())
    y = network.encode(x)
    values = [network.log_prob(x, y, generator=generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_little_noise_on_the_features_does_not_take_a_million_nodes():
    joint = JointMixture(torch.zeros(2, 3), torch.tensor([[-1.0], [1.0]]), 1.0, 1e-10)
    conditions, log_weights = conditions_of(joint, None, generator=generator())
    assert (len(conditions), log_weights) == (2, None)


def test_a_class_that_was_not_there_to_learn_is_not_taken_for_another():
    points = torch.cat([torch.zeros(20, 2), torch.ones(20, 2)])
    classifier = Classifier(points, torch.tensor([1] * 20 + [4] * 20))
    assert classifier.accuracy(points, torch.tensor([1] * 20 + [4] * 20)) == 1
    for unseen in (0, 2, 9):
        assert classifier.accuracy(points, torch.full((40,), unseen)) == 0


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
    config = AutoencoderConfig(data=str(data), steps=2, width=4, depth=1, batch_size=8)
    training.fit(config, tmp_path / "run", load(data), accelerator="cpu")
    out = tmp_path / "alternatives.npz"
    result = call("reconstruct", tmp_path / "run", "--out", out, "-n", 2)
    assert result.exit_code == 0, result.output
    assert np.load(out)["alternatives"].shape == (7, 2, 2)


def test_features_stay_in_their_box_and_noise_has_the_variance():
    network = model()
    y = network.encode(1e3 * torch.randn(50, 5, generator=generator()))
    assert float(y.detach().abs().max()) <= 1
    noise = network.add_noise(torch.zeros(20_000, 2), generator=generator())
    assert float(noise.var()) == pytest.approx(0.01, rel=0.05)


def test_location_and_scale_are_applied():
    network = model("heads", centers=2)
    y = torch.zeros(4, 2)
    expected = 2 + 3 * network.decoder(y).unflatten(-1, (2, 5))
    torch.testing.assert_close(network.mixture(y).centers, expected)


def test_alternatives_take_every_center_once_before_any_twice():
    network = model("one_hot", centers=4, feature_variance=1e-12)
    x = torch.randn(3, 5, generator=generator())
    found = network.reconstruct(x, 8, generator=generator())
    centers = network.mixture(network.encode(x)).centers
    assert found.shape == (3, 8, 5)
    for row in range(3):
        nearest = torch.cdist(found[row], centers[row]).argmin(-1)
        assert sorted(nearest[:4].tolist()) == sorted(nearest[4:].tolist()) == [0, 1, 2, 3]
    assert torch.equal(found, network.reconstruct(x, 8, generator=generator()))
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        network.reconstruct(x, 0, generator=generator())


def test_samples_come_from_features_and_centers():
    network = model("heads", centers=2, feature_variance=1e-12)
    features = network.encode(torch.randn(7, 5, generator=generator()))
    samples = network.sample(500, features, generator=generator())
    centers = network.mixture(features).centers.flatten(0, 1).detach()
    distances = torch.cdist(samples, centers)
    assert float(distances.amin(1).max()) < 1e-2
    assert distances.argmin(1).unique().numel() == 14
    spread = network.sample(5000, features, generator=generator(), from_density=True)
    assert float((spread - network.sample(5000, features, generator=generator())).var()) == pytest.approx(0.5, rel=0.1)
    with pytest.raises(ValueError, match="count must be at least 1"):
        network.sample(0, features, generator=generator())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": "binary"}, "codes must be one of one_hot, learned, gaussian, heads, got 'binary'"),
        ({"centers": 0}, "centers must be at least 1"),
        ({"variance": 0.0}, "variance must be positive, got 0"),
        ({"feature_variance": -1.0}, "feature_variance must be positive, got -1"),
    ],
)
def test_model_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (1, 5, 9), (1, 1, 1)])
def test_the_convolutional_encoder(shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvolutionalEncoder(shape, 2, width=8).eval()  # in training, a batch is normalised together
    images = torch.randn(4, int(np.prod(shape)), generator=generator(), requires_grad=True)
    features = network(images)
    assert features.shape == (4, 2)
    features[1].sum().backward()
    assert images.grad[1].abs().sum() > 0
    assert images.grad[[0, 2, 3]].abs().sum() == 0
    with pytest.raises(ValueError, match="outputs must be at least 1"):
        ConvolutionalEncoder(shape, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "nuclear_norm"}, "unknown objective 'nuclear_norm'"),
        ({"codes": "onehot"}, "did you mean 'one_hot'"),
        ({"features": 0}, "features must be at least 1"),
        ({"centers": 0}, "centers must be at least 1"),
        ({"feature_variance": 0.0}, "feature_variance must be a positive number"),
        ({"decoder": "mpl"}, "unknown decoder 'mpl'; did you mean 'mlp'"),
        ({"decoder": "convolutional"}, "needs a decoder_width of its own"),
        ({"frequencies": 17}, "frequencies must be at most 16, got 17"),
        ({"decoder_width": 0}, "decoder_width must be at least 1, got 0"),
        ({"frequencies": -1}, "frequencies must be at least 0, got -1"),
        ({"feature_variance_start": 1e-4}, "feature_variance_start must not be below feature_variance"),
        ({"principal_components": -1}, "principal_components must be at least 0, got -1"),
        (
            {"principal_components": 8, "decoder": "convolutional", "decoder_width": 2},
            "principal_components need decoder mlp: a convolutional network writes pixels",
        ),
        ({"decay_fraction": 1.5}, r"decay_fraction must lie in \[0, 1\], got 1.5"),
        ({"points": 3}, "points must be at least 10, got 3"),
        ({"variance_start": 0.1, "variance_end": 0.2}, "0.1 < 0.2"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SMALL, **changes)


def test_convolutions_need_images():
    with pytest.raises(InputError, match="body convolutional needs images"):
        dataclasses.replace(SMALL, body="convolutional").network(2, None)


@pytest.mark.parametrize("body", ["mlp", "convolutional"])
@pytest.mark.parametrize("codes", ["one_hot", "heads"])
def test_every_body_answers_with_every_center_and_sees_waves_of_the_code(body, codes):
    config = dataclasses.replace(SMALL, body=body, codes=codes, centers=3, features=2, frequencies=3, width=4)
    network = config.network(64, (1, 8, 8))
    with torch.no_grad():  # leaves the decoder nothing but the waves
        stem = network.decoder[1].stem if body == "convolutional" else network.decoder[1]
        stem[0].weight[:, :2] = 0
        near, far = network.mixture(torch.tensor([[0.25, 0.5], [-0.75, 0.5]])).centers
    assert near.shape == (3, 64)
    assert (near - far).abs().max() > 1e-3
    assert (near[0] - near[1]).abs().max() > 1e-3


def test_a_decoder_of_another_body_and_width():
    config = dataclasses.replace(SMALL, body="convolutional", width=2, decoder="mlp", decoder_width=5)
    network = config.network(64, (1, 8, 8))
    assert isinstance(network.encoder, ConvolutionalEncoder)
    assert network.encoder.layers[0].out_channels == 2
    assert isinstance(network.decoder, MLP)
    assert network.decoder[0].out_features == 5
    with pytest.raises(InputError, match=r"decoder convolutional needs images, .* use decoder mlp"):
        dataclasses.replace(SMALL, decoder="convolutional", decoder_width=2).network(2, None)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def bounds_of(folder):
    with (folder / "bounds.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("objective", ["normalized_inner_product", "log_likelihood", "trace"])
@pytest.mark.parametrize("codes", ["one_hot", "heads"])
def test_every_objective_trains_and_is_tracked(tmp_path, digits, objective, codes):
    config = dataclasses.replace(SMALL, objective=objective, codes=codes, feature_variance_start=0.1)
    run = training.fit(config, tmp_path / "run", digits, accelerator="cpu", track_every=8)
    assert run.finished
    rows = bounds_of(tmp_path / "run")
    assert [(int(row["step"]), row["part"]) for row in rows] == [
        (step, part) for step in (8, 16, 20) for part in ("train", "held_out")
    ]
    for row in rows:
        assert float(row["gap"]) >= 0
        assert float(row["value"]) + float(row["gap"]) == pytest.approx(float(row["limit"]))
        assert float(row["best_error"]) <= float(row["mean_error"])
        assert float(row["neighbors"]) >= 1
        assert 1 - 1e-9 <= float(row["effective_centers"]) <= 3
    assert float(rows[0]["feature_variance"]) > float(rows[-1]["feature_variance"]) == 0.0025
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        metrics = list(csv.DictReader(file))
    assert float(metrics[-1]["feature_variance"]) == 0.0025
    assert all(float(row["tightness"]) <= 1 for row in metrics)
    if objective == "log_likelihood":
        assert all(float(row["objective"]) < float(row["limit"]) for row in metrics)


@pytest.mark.parametrize("codes", CODES)
def test_in_all_principal_components_the_objective_is_that_in_all_coordinates(digits, codes):
    """Up to the normalising constant, log (4 pi v) / 2 for every coordinate that the points do not span."""
    config = dataclasses.replace(SMALL, codes=codes, points=30, principal_components=1000)
    dataset = dataclasses.replace(digits, train=Part(digits.train.points[:30], labels=digits.train.labels[:30]))
    config = config.resolve(dataset)
    assert config.principal_components == 29
    network = initial_network(config, dataset)
    conditions = torch.rand(30, config.features, generator=generator())
    values = []
    for projected in (False, True):
        q = network.mixture(conditions, generator=generator(1), projected=projected)
        x = network.project(dataset.train.points) if projected else dataset.train.points
        values.append(conditional_step_bound(config, x, q, conditions, conditions, 0.01))
        assert q.dimension == (29 if projected else 64)
    spare = (64 - 29) / 2 * math.log(4 * math.pi * float(q.variance))
    assert float((values[1].value - values[0].value).detach()) == pytest.approx(spare, rel=1e-5)
    assert float(values[1].gap.detach()) == pytest.approx(float(values[0].gap.detach()), rel=1e-4)


def test_training_tightens_the_bound(tmp_path, digits):
    config = dataclasses.replace(SMALL, steps=200, codes="heads", variance_start=1.0, variance_end=1.0, width=64)
    run = training.fit(config, tmp_path / "run", digits, accelerator="cpu", track_every=100)
    first = BoundTracker(digits).measure(initial_network(run.config, digits))["held_out"]
    last = bounds_of(tmp_path / "run")[-1]
    assert last["part"] == "held_out"
    assert float(last["value"]) > first["value"] + 0.3
    assert float(last["limit"]) > first["limit"] + 0.3  # the encoder learns to tell inputs apart
    assert float(last["best_error"]) < 0.8 * first["best_error"]


def test_points_that_are_no_images(tmp_path):
    dataset = load("moons", points=500)
    config = dataclasses.replace(SMALL, data="moons", points=500, features=1)
    run = training.fit(config, tmp_path / "run", dataset, accelerator="cpu")
    evaluation = evaluate_reconstruction(run, run.dataset())
    assert not {"purity", "sharpness"} & set(evaluation.model)
    assert 0 <= evaluation.model["mean_preferred"] <= 1
    assert evaluation.bounds["train"]["gap_error"] == 0  # a quadrature
    from contrastive_entropy.report import write_reconstruction_figures

    assert all(path.stat().st_size > 10_000 for path in write_reconstruction_figures(run, evaluation))


def test_flat_images_have_no_sharpness(tmp_path):
    colours = torch.rand(300, 1, generator=generator()).expand(-1, 16).contiguous()
    dataset = Dataset.of("flat", colours[:200], colours[200:], Images(1, 4, 4))
    run = training.fit(dataclasses.replace(SMALL, data="flat"), tmp_path / "run", dataset, accelerator="cpu")
    assert "sharpness" not in evaluate_reconstruction(run, dataset).model


def command(folder, *options):
    program = [sys.executable, "-c", "from contrastive_entropy.cli import app; app()", "fit", "autoencoder"]
    return [*program, "--out", str(folder), *options]


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


def test_tracking_is_the_same_at_every_call(digits):
    network = SMALL.network(64, digits.image_shape)
    tracker = BoundTracker(digits, points=50)
    assert tracker.measure(network) == tracker.measure(network)


def test_effective_centers_count_those_that_are_apart(digits):
    network = dataclasses.replace(SMALL, centers=6, codes="heads", variance_end=0.1).network(64, digits.image_shape)
    last = network.decoder[-1]
    last.weight.data.zero_()
    for distinct in (1, 2, 3, 6):
        last.bias.data = torch.arange(6).remainder(distinct).repeat_interleave(64) * 10.0
        assert figures(network, digits.held_out.points[:20], seed=0)["effective_centers"] == pytest.approx(distinct)


@torch.no_grad()
def test_reconstruction_errors_against_a_loop(digits):
    network = dataclasses.replace(SMALL, feature_variance=1e-14).network(64, digits.image_shape)
    joint = encoded(network, digits.held_out.points[:20])
    best, mean = reconstruction_errors(network, joint, generator=generator())
    squares = [
        (network.mixture(y[None]).centers[0] - x).square().sum(-1)
        for x, y in zip(joint.points, joint.features, strict=True)
    ]
    assert best == pytest.approx(float(torch.stack([s.min() for s in squares]).mean()), rel=1e-4)
    assert mean == pytest.approx(float(torch.stack([s.mean() for s in squares]).mean()), rel=1e-4)


def test_posterior_draws_are_data_near_in_features(digits):
    network = dataclasses.replace(SMALL, feature_variance=1e-14).network(64, digits.image_shape)
    draws = posterior_draws(network, digits.held_out.points[:50], digits.held_out.points[:50], 4, generator=generator())
    assert torch.equal(draws, digits.held_out.points[:50].unsqueeze(1).expand(-1, 4, -1))


def test_diversity_is_relative_to_the_data():
    data = torch.randn(4000, 3, generator=generator())
    assert diversity(data[:3000].unflatten(0, (100, 30)), data) == pytest.approx(1, abs=0.05)
    assert diversity(data[:100, None].expand(-1, 5, -1), data) == 0


def test_the_classifier_knows_the_digits(digits):
    classifier = Classifier(digits.train.points, digits.train.labels)
    assert classifier.accuracy(digits.held_out.points, digits.held_out.labels) > 0.93
    found = classifier.purity_and_clarity(digits.held_out.points[:100, None], digits.held_out.labels[:100])
    assert found["purity"] > 0.9
    blurred = digits.held_out.points.mean(0).expand(100, 1, -1)
    assert classifier.purity_and_clarity(blurred, digits.held_out.labels[:100])["purity"] < 0.3


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder") / "run"
    result = call("fit", "autoencoder", "--features", 1, "--out", folder, *OPTIONS)
    assert result.exit_code == 0, result.output
    return folder, result


def test_a_fit_leaves_a_complete_folder_and_explains_its_numbers(run_folder):
    folder, result = run_folder
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "weights.safetensors", "metrics.csv", "bounds.csv", "evaluation.json",
        "alternatives.png", "bounds.png", "training.png", "tensorboard",
    }  # fmt: skip
    for name in ("tightness", "neighbors", "best_error", "diversity", "purity", "clarity", "sharpness",
                 "mean_preferred", "Held-out tightness"):  # fmt: skip
        assert name in result.stdout
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["settings"]["classifier"].startswith("MLPClassifier(256)")
    assert set(evaluation["bounds"]) == {"train", "held_out"}
    assert 0 < evaluation["model"]["sharpness"] < 1
    assert [found["name"] for found in evaluation["diagnoses"]] == ["merged", "unsharp"]
    assert "Diagnosis: the centers have fallen together" in result.stdout
    assert Run.open(folder).config.kind == "autoencoder"
    assert call("evaluate", folder).exit_code == 0
    assert json.loads((folder / "evaluation.json").read_text()) == evaluation


@pytest.mark.parametrize(
    ("option", "value"),
    [("--frequencies", 2), ("--decoder", "mlp"), ("--decoder-width", 9), ("--principal-components", 7)],
)
def test_a_run_keeps_its_decoder(run_folder, tmp_path, option, value):
    folder, _ = run_folder
    refused(call("fit", "autoencoder", "--out", folder, "--resume", option, value), f"{option} {value} differs from")
    result = call("fit", "autoencoder", "--out", tmp_path / "run", *OPTIONS, option, value)
    assert result.exit_code == 0, result.output
    network = Run.open(tmp_path / "run").load_network()
    inputs = {"--frequencies": 2 * (1 + 2 * 2) + 3}.get(option, 2 + 3)
    width = {"--decoder-width": 9}.get(option, 16)
    shapes = [tuple(weights.shape) for weights in network.decoder.parameters()]
    assert shapes[0] == (width, inputs)
    assert shapes[-1] == ({"--principal-components": 7}.get(option, 64),)
    assert network.mixture(torch.zeros(5, 2)).dimension == 64


def test_more_components_than_there_are_are_cut_and_resumed_as_typed(tmp_path):
    asked = [*OPTIONS, "--points", 30, "--principal-components", 1000]
    result = call("fit", "autoencoder", "--out", tmp_path / "run", *asked)
    assert result.exit_code == 0, result.output
    assert "principal components: 29, all that the training points span" in result.stderr
    assert Run.open(tmp_path / "run").config.principal_components == 29
    resume = ["fit", "autoencoder", "--out", tmp_path / "run", "--resume", "--principal-components"]
    refused(call(*resume, 1000), "has finished all of its")  # and not: differs
    refused(call(*resume, 28), "--principal-components 28 differs from the run's 29")


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
    refused(call("reconstruct", folder, "-n", 0, "--out", out), "-n must be at least 1")
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
    run = Run.open(folder)
    joint = encoded(run.load_network(), run.dataset().train.points)
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
    refused(call("evaluate", folder, "--from-density"), "--from-density is for generators")
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
    training.fit(FitConfig(data="moons", steps=2, width=4, depth=1), tmp_path / "mdn", data, accelerator="cpu")
    refused(call("limit", tmp_path / "mdn"), "holds a run of kind mdn, which has no encoder; train `fit autoencoder`")
    result = call("fit", "autoencoder", "--out", tmp_path / "mdn", "--resume")
    refused(result, "holds a run of kind mdn; continue with: contrastive-entropy fit mdn")


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
