import csv
import json

import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.data.schema import Images
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.trainer import fit
from contrastive_entropy.metrics.catalog import ALTERNATIVE_METRICS
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.models.autoencoder import AUTOENCODER
from contrastive_entropy.models.autoencoder.evaluation import evaluate, load_autoencoder, posterior_draws
from contrastive_entropy.models.autoencoder.figures import bounds_figure, figures
from contrastive_entropy.models.autoencoder.inputs import read_inputs
from contrastive_entropy.models.autoencoder.limit import whole_limit
from contrastive_entropy.models.autoencoder.step import network as new_network
from contrastive_entropy.models.autoencoder.tracking import (
    conditions_of,
    encoded,
    reconstruction_errors,
    track,
)
from contrastive_entropy.models.autoencoder.tracking import (
    figures as tracked,
)
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.report.drawing import png_bytes
from contrastive_entropy.storage import json_bytes

SMALL = {"steps": 20, "batch_size": 32, "centers": 3, "width": 16, "depth": 1}
CPU = Machine(accelerator="cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def small_network(dataset, **changes):
    settings = ce.AutoencoderSettings("digits", **SMALL | changes)
    network = new_network(AUTOENCODER.plan(settings, dataset), dataset.schema)
    network.place(dataset.train.points)
    return network.eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("autoencoder") / "run"
    settings = ce.AutoencoderSettings("digits", features=1, **SMALL)
    return fit(AUTOENCODER, settings, folder, digits, machine=CPU)


@pytest.fixture(scope="module")
def evaluation(run, digits):
    return evaluate(run, digits)


def test_the_headline_is_the_held_out_tightness(evaluation):
    held_out = evaluation.table("bounds")["held_out"]
    assert (evaluation.headline.name, evaluation.headline.value) == ("tightness", held_out["tightness"])
    assert "on held-out points; at 1 the decoder answers with the posterior" in str(evaluation.headline)
    assert set(evaluation.table("bounds").columns) == {"train", "held_out"}


def test_every_figure_of_images_with_classes_is_there(evaluation):
    names = [metric.name for metric in ALTERNATIVE_METRICS]
    assert list(evaluation.model) == names
    assert list(evaluation.reference) == [name for name in names if name != "mean_preferred"]
    assert 0 < evaluation.model["sharpness"] < 1
    assert evaluation.settings["classifier"].startswith("MLPClassifier(256)")
    assert json.loads(json_bytes(evaluation.as_dict()))["tables"]["alternatives"]["model"] == evaluation.model
    assert evaluation.arrays["alternatives"].shape == evaluation.arrays["posterior"].shape == (200, 16, 64)


def test_the_same_call_gives_the_same_figures(run, digits, evaluation):
    again = evaluate(run, digits)
    assert json_bytes(again.as_dict()) == json_bytes(evaluation.as_dict())
    assert evaluate(run, digits, seed=2).model != evaluation.model


def test_remedies_leave_out_what_the_fit_has(tmp_path, digits, evaluation, monkeypatch):
    (found,) = (one for one in evaluation.diagnoses if one.name == "unsharp")
    assert [str(remedy) for remedy in found.remedies] == [
        "train longer: `steps` 40", "raise `centers`", "raise `batch_size`", "raise `frequencies`",
    ]  # fmt: skip
    settings = ce.AutoencoderSettings("digits", codes="learned", objective="trace", **SMALL)
    run = fit(AUTOENCODER, settings, tmp_path / "run", digits, machine=CPU)
    merged = {"effective_centers": 1.0, "neighbors": 9.0, "tightness": 0.5}
    monkeypatch.setattr("contrastive_entropy.models.autoencoder.evaluation.figures", lambda *_, **__: merged)
    (found,) = (one for one in evaluate(run, digits).diagnoses if one.name == "merged")
    assert [str(remedy) for remedy in found.remedies] == [
        "another objective: `objective` normalized_inner_product",
        "another kind of codes: `codes` heads",
        "lower `variance_end`",
    ]


def test_what_is_for_generators_is_refused(run, digits, tmp_path):
    with pytest.raises(InputError, match="`from_density` is for generators"):
        evaluate(run, digits, from_density=True)
    with pytest.raises(InputError, match=r"`feature_weights` is for generators of images, and .* is an autoencoder"):
        evaluate(run, digits, feature_weights=tmp_path / "weights.pth")


def test_points_not_images(tmp_path):
    dataset = load("moons", points=500)
    settings = ce.AutoencoderSettings("moons", points=500, features=1, **SMALL)
    run = fit(AUTOENCODER, settings, tmp_path / "run", dataset, machine=CPU)
    found = evaluate(run, dataset)
    assert not {"purity", "sharpness"} & set(found.model)
    assert 0 <= found.model["mean_preferred"] <= 1
    assert found.table("bounds")["train"]["gap_error"] == 0  # a quadrature
    drawn = figures(run, dataset, found)
    assert set(drawn) == {"alternatives.png", "bounds.png", "training.png"}
    assert all(len(png_bytes(figure)) > 10_000 for figure in drawn.values())


def test_flat_images_have_no_sharpness(tmp_path):
    colours = torch.rand(300, 1, generator=generator()).expand(-1, 16).contiguous()
    dataset = Dataset.of("flat", colours[:200], colours[200:], Images(1, 4, 4))
    run = fit(AUTOENCODER, ce.AutoencoderSettings("flat", **SMALL), tmp_path / "run", dataset, machine=CPU)
    assert "sharpness" not in evaluate(run, dataset).model


def test_the_picture_of_bounds_shows_both_parts_and_the_variance(run):
    tightness, nats, errors, variance = bounds_figure(run.folder / "bounds.csv").axes
    with (run.folder / "bounds.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "held_out"]
    np.testing.assert_allclose(tightness.lines[0].get_ydata(), [float(row["tightness"]) for row in rows])
    np.testing.assert_allclose(variance.lines[0].get_ydata(), [float(row["variance"]) for row in rows])
    for axis in (tightness, nats, errors):
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert any("held out" in label for label in labels)
        assert any("train" in label for label in labels)
        assert "the variance falls: finer detail counts" in labels
    assert len(variance.lines) == 2  # of the density and of the features


def test_tracking_is_the_same_at_every_call_and_leaves_the_network_as_it_was(digits):
    network = small_network(digits)
    network.train()
    assert track(network, digits, 3) == track(network, digits, 3)
    assert network.training
    assert track(network, digits, 3) != track(network, digits, 4)


def test_effective_centers_count_those_that_are_apart(digits):
    network = small_network(digits, centers=6, variance_end=0.1)
    last = network.decoder[-1]
    last.weight.data.zero_()
    for distinct in (1, 2, 3, 6):
        last.bias.data = torch.arange(6).remainder(distinct).repeat_interleave(64) * 10.0
        found = tracked(network, digits.held_out.points[:20], seed=0)["effective_centers"]
        assert found == pytest.approx(distinct)


@torch.no_grad()
def test_reconstruction_errors_against_a_loop(digits):
    network = small_network(digits, feature_variance=1e-14)
    joint = encoded(network, digits.held_out.points[:20])
    best, mean = reconstruction_errors(network, joint, generator=generator())
    squares = [
        (network.mixture(y[None]).centers[0] - x).square().sum(-1)
        for x, y in zip(joint.points, joint.features, strict=True)
    ]
    assert best == pytest.approx(float(torch.stack([s.min() for s in squares]).mean()), rel=1e-4)
    assert mean == pytest.approx(float(torch.stack([s.mean() for s in squares]).mean()), rel=1e-4)


def test_little_noise_on_the_features_does_not_take_a_million_nodes():
    joint = JointMixture(torch.zeros(2, 3), torch.tensor([[-1.0], [1.0]]), 1.0, 1e-10)
    conditions, log_weights = conditions_of(joint, None, generator=generator())
    assert (len(conditions), log_weights) == (2, None)


def test_posterior_draws_are_data_near_in_features(digits):
    network = small_network(digits, feature_variance=1e-14)
    points = digits.held_out.points[:50]
    draws = posterior_draws(network, points, points, 4, generator=generator())
    assert torch.equal(draws, points.unsqueeze(1).expand(-1, 4, -1))


def test_limit_is_that_of_the_formula(run):
    found = whole_limit(run)
    joint = encoded(run.network(), run.dataset().train.points)
    nodes, log_weights = joint.quadrature()
    assert found["points"] == 1297
    assert found["limit"] == pytest.approx(float(joint.log_norm(nodes, log_weights=log_weights)), abs=1e-9)
    assert found["value"] <= found["limit"]
    sampled = whole_limit(run, conditions=3000, value=False)
    assert "value" not in sampled
    assert abs(sampled["limit"] - found["limit"]) < 4 * sampled["limit_error"]
    assert whole_limit(run, part="held_out")["points"] == 500
    with pytest.raises(InputError, match="`part` must be one of train, held_out, got 'test'"):
        whole_limit(run, part="test")
    with pytest.raises(InputError, match="`conditions` must be at least 1, got 0"):
        whole_limit(run, conditions=0)


def test_inputs_are_held_out_points_or_a_file(run, digits, tmp_path):
    held_out = digits.held_out.points
    assert torch.equal(read_inputs(run, None, None), held_out[:10])
    assert torch.equal(read_inputs(run, None, [5, 3]), held_out[[5, 3]])
    np.save(tmp_path / "images.npy", held_out[:4].reshape(4, 1, 8, 8).numpy())
    assert torch.equal(read_inputs(run, tmp_path / "images.npy", None), held_out[:4])
    with pytest.raises(InputError, match="`index` must lie from 0 to 499, got 500"):
        read_inputs(run, None, [500])
    np.save(tmp_path / "points.npy", np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"expected inputs of shape \(1, 8, 8\), got \(3,\)"):
        read_inputs(run, tmp_path / "points.npy", None)


def test_columns_of_a_table_are_told_by_their_names(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 2)) * (1, 50)
    rows = "".join(f"{a},{b}\n" for a, b in values)
    (tmp_path / "data.csv").write_text("x,y\n" + rows)
    settings = ce.AutoencoderSettings(str(tmp_path / "data.csv"), standardize=True, **SMALL)
    run = ce.fit(settings, out=tmp_path / "run", machine=CPU, progress=False)
    (tmp_path / "crossed.csv").write_text("y,x\n" + "".join(f"{b},{a}\n" for a, b in values))
    read = [read_inputs(run, tmp_path / f"{name}.csv", None) for name in ("data", "crossed")]
    assert torch.equal(*read)
    assert torch.equal(read[0], run.schema.encode(torch.from_numpy(values)))
    (tmp_path / "other.csv").write_text("x,z\n" + rows)
    with pytest.raises(InputError, match="columns differ from the run's; missing: y"):
        read_inputs(run, tmp_path / "other.csv", None)


def test_a_generator_has_no_encoder(tmp_path, digits):
    settings = ce.GeneratorSettings("digits", steps=2, width=4, depth=1)
    run = fit(GENERATOR, settings, tmp_path / "run", digits, machine=CPU)
    with pytest.raises(InputError, match="holds a run of kind generator, which has no encoder; train an autoencoder"):
        load_autoencoder(run)
