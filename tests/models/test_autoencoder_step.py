import csv
import dataclasses
import math

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Part
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.contract import Answer
from contrastive_entropy.models.autoencoder.network import CODES
from contrastive_entropy.models.autoencoder.settings import plan
from contrastive_entropy.models.autoencoder.step import network
from contrastive_entropy.models.autoencoder.tracking import track
from contrastive_entropy.networks.bodies import MLP, ConvolutionalEncoder
from fits import fit, started

SMALL = ce.AutoencoderSettings(data="digits", steps=20, batch_size=32, centers=3, width=16, depth=1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fresh(settings, dimension):
    """A network before its first step, of digits or of points."""
    data = load("digits") if dimension == 64 else load("moons")
    return network(plan(settings, data), data.schema)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "nuclear_norm"}, "unknown objective 'nuclear_norm'"),
        ({"codes": "headz"}, "did you mean 'heads'"),
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
        fresh(dataclasses.replace(SMALL, body="convolutional"), 2)


@pytest.mark.parametrize("body", ["mlp", "convolutional"])
@pytest.mark.parametrize("codes", CODES)
def test_every_body_answers_with_every_center_and_sees_waves_of_the_code(body, codes):
    config = dataclasses.replace(SMALL, body=body, codes=codes, centers=3, features=2, frequencies=3, width=4)
    network = fresh(config, 64)
    with torch.no_grad():  # leaves the decoder nothing but the waves
        stem = network.decoder[1].stem if body == "convolutional" else network.decoder[1]
        stem[0].weight[:, :2] = 0
        near, far = network.mixture(torch.tensor([[0.25, 0.5], [-0.75, 0.5]])).centers
    assert near.shape == (3, 64)
    assert (near - far).abs().max() > 1e-3
    assert (near[0] - near[1]).abs().max() > 1e-3


def test_a_decoder_of_another_body_and_width():
    config = dataclasses.replace(SMALL, body="convolutional", width=2, decoder="mlp", decoder_width=5)
    network = fresh(config, 64)
    assert isinstance(network.encoder, ConvolutionalEncoder)
    assert network.encoder.layers[0].out_channels == 2
    assert isinstance(network.decoder, MLP)
    assert network.decoder[0].out_features == 5
    with pytest.raises(InputError, match=r"decoder convolutional needs images, .* use decoder mlp"):
        fresh(dataclasses.replace(SMALL, decoder="convolutional", decoder_width=2), 2)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def bounds_of(folder):
    with (folder / "bounds.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("objective", ["normalized_inner_product", "log_likelihood", "trace"])
@pytest.mark.parametrize("codes", CODES)
def test_every_objective_trains_and_is_tracked(tmp_path, digits, objective, codes):
    config = dataclasses.replace(SMALL, objective=objective, codes=codes, feature_variance_start=0.1)
    run = fit(config, tmp_path / "run", digits, track_every=8)
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
    assert all(float(row["attained"]) == float(row["tightness"]) <= 1 for row in metrics)
    if objective == "log_likelihood":
        assert all(float(row["objective"]) < float(row["limit"]) for row in metrics)


@pytest.mark.parametrize("codes", CODES)
def test_in_all_principal_components_the_objective_is_that_in_all_coordinates(digits, codes):
    """Up to the normalising constant, log (4 pi v) / 2 for every coordinate that the points do not span."""
    asked = dataclasses.replace(SMALL, codes=codes, points=30, principal_components=1000)
    dataset = dataclasses.replace(digits, train=Part(digits.train.points[:30], labels=digits.train.labels[:30]))
    loop, whole = (
        started(dataclasses.replace(asked, **changes), dataset) for changes in ({}, {"principal_components": 0})
    )
    assert loop.plan.model.principal_components == 29
    conditions = torch.rand(30, asked.features, generator=generator())
    values, variance = [], loop.plan.variance.end
    now = dataclasses.replace(loop.begin(0), variance=variance)
    for part, projected in ((whole.part, False), (loop.part, True)):
        q = loop.network.mixture(conditions, projected=projected, variance=variance)
        x = loop.network.project(dataset.train.points) if projected else dataset.train.points
        parts = {"points": x, "centers": q.centers, "features": conditions, "conditions": conditions}
        values.append(part.judge(Answer(parts), now).bound)
        assert q.dimension == (29 if projected else 64)
    spare = (64 - 29) / 2 * math.log(4 * math.pi * variance)
    assert float((values[1].value - values[0].value).detach()) == pytest.approx(spare, rel=1e-5)
    assert float(values[1].gap.detach()) == pytest.approx(float(values[0].gap.detach()), rel=1e-4)


def test_training_tightens_the_bound(tmp_path, digits):
    config = dataclasses.replace(SMALL, steps=200, codes="heads", variance_start=1.0, variance_end=1.0, width=64)
    run = fit(config, tmp_path / "run", digits, track_every=100)
    loop = started(run.settings, digits)
    loop.now = loop.begin(0)
    loop.settle()
    first = track(loop.network, digits, run.plan.seed)["held_out"]
    last = bounds_of(tmp_path / "run")[-1]
    assert last["part"] == "held_out"
    assert float(last["value"]) > first["value"] + 0.3
    assert float(last["limit"]) > first["limit"] + 0.3  # the encoder learns to tell inputs apart
    assert float(last["best_error"]) < 0.8 * first["best_error"]
