import hashlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy.data.load import load
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics import frechet_distance, kernel_distance, neighborhood_scores, samples
from contrastive_entropy.metrics.catalog import SAMPLE_METRICS
from contrastive_entropy.models.autoencoder import AUTOENCODER
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.spaces import inception
from contrastive_entropy.spaces.inception import WEIGHTS, Inception, as_bytes, import_alone

SMALL = {"steps": 10, "batch_size": 16, "components": 16, "width": 8, "depth": 1}
IN_FEATURES = [metric.name for metric in SAMPLE_METRICS if "inception" in metric.needs]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "run"
    settings = ce.GeneratorSettings("digits", **SMALL)
    return ce.fit(settings, out=folder, machine=Machine(accelerator="cpu"), progress=False)


@pytest.fixture(autouse=True)
def _six_points(monkeypatch):
    monkeypatch.setattr(samples, "ENERGY_POINTS", 6)


def random_weights():
    """Of the right network, at random, but so that they keep the scale of what passes."""
    module = import_alone("feature_extractor_inceptionv3")
    extractor = module.FeatureExtractorInceptionV3
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(extractor, "load_state_dict", lambda self, state: None)
        network = extractor("random", ["2048"])
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network.state_dict()


@pytest.fixture
def weights(torch_fidelity, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "random_inception.pth"  # 95 MB, once
    if not path.exists():
        torch.save(random_weights(), path)
    return path


def images(n, d):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2


def test_images_become_bytes_in_three_channels():
    points = images(5, 2 * 3 * 4)[:, : 3 * 4]
    grey = np.rint(np.clip(points.numpy(), 0, 1) * 255).astype(np.uint8).reshape(5, 1, 3, 4)
    assert np.array_equal(as_bytes(points, (1, 3, 4)).numpy(), np.repeat(grey, 3, axis=1))
    assert np.array_equal(as_bytes(points, (3, 2, 2)).numpy(), grey.reshape(5, 3, 2, 2))
    assert {0, 255} <= set(grey.flatten())


def test_features_are_the_network_s_of_each_image(weights, monkeypatch):
    monkeypatch.setattr(inception, "BATCH", 2)
    points, state = images(5, 3 * 6 * 5), torch.random.get_rng_state()
    found = Inception(weights, (3, 6, 5)).features(points, "images")
    assert torch.equal(torch.random.get_rng_state(), state)
    network = import_alone("feature_extractor_inceptionv3").FeatureExtractorInceptionV3(
        "other", ["2048"], feature_extractor_weights_path=str(weights)
    )
    (expected,) = network(as_bytes(points, (3, 6, 5)))
    assert found.shape == (5, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.std(0).mean() > 0.01  # else any features would do


def test_modules_are_imported_without_their_package(torch_fidelity, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("torch_fidelity", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    import_alone("feature_extractor_inceptionv3")
    assert "torch_fidelity.feature_extractor_inceptionv3" in sys.modules
    assert not {"torch_fidelity", "torchvision"} & set(sys.modules)


@pytest.mark.slow
def test_evaluate_adds_figures_in_inception_features(digits_run, weights):
    plain, evaluation = digits_run.evaluate(), digits_run.evaluate(feature_weights=weights)
    found = evaluation.as_dict()
    assert found["settings"].pop("inception") == {
        "extractor": "torch-fidelity FeatureExtractorInceptionV3, 2048",
        "torch_fidelity": import_alone("version").__version__,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "published_weights": False,
        "points": 6,
    }
    assert any(note.startswith(f"The weights are not {WEIGHTS}") for note in evaluation.notes)
    dataset, network = load("digits"), Inception(weights, (1, 8, 8))
    drawn = digits_run.network().sample(12, generator=torch.Generator().manual_seed(1))[:6]
    held_out = network.features(dataset.held_out.points[:6], "held out")
    for column, points in (("model", drawn), ("reference", dataset.train.points[:6])):
        features = network.features(points, column)
        shown = {name: found["tables"]["samples"][column].pop(name) for name in IN_FEATURES}
        scores = neighborhood_scores(held_out, features, neighbors=5)
        assert shown["inception_frechet"] == pytest.approx(frechet_distance(features, held_out))
        assert shown["inception_kernel"] == pytest.approx(kernel_distance(features, held_out))
        assert (shown["inception_precision"], shown["inception_recall"]) == (scores.precision, scores.recall)
        assert shown["inception_frechet"] > 0
    assert found == plain.as_dict()


def test_the_published_weights_are_known_by_their_digest(digits_run, weights, monkeypatch):
    monkeypatch.setattr(inception, "WEIGHTS_DIGEST", hashlib.sha256(weights.read_bytes()).hexdigest())
    found = digits_run.evaluate(feature_weights=weights)
    assert not any("The weights are not" in note for note in found.notes)
    assert found.settings["inception"]["published_weights"] is True


def test_without_the_option_torch_fidelity_is_not_needed(digits_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    found = digits_run.evaluate()
    everything = {metric.name for metric in SAMPLE_METRICS if not metric.needs & {"inception", "table"}}
    assert set(found.model) == everything
    assert set(found.reference) == everything - {"fidelity_over_ceiling"}
    assert "inception" not in found.settings
    message = (
        r"needs torch-fidelity \(no module named 'torch_fidelity'\): pip install '.\[features\]' in this project's"
    )
    with pytest.raises(InputError, match=message):
        digits_run.evaluate(feature_weights=Path("weights.pth"))


class Code:
    """Unpickled, it makes a folder."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def write(path, kind):
    state = {"fc.bias": torch.zeros(1008)}
    if kind == "code":
        torch.save(state | {"fc.weight": Code(path.parent / "executed")}, path)
    elif kind == "old code":
        torch.save(Code(path.parent / "executed"), path, _use_new_zipfile_serialization=False)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Code(path.parent / "executed")))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-500])
    elif kind == "script":
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    elif kind == "list":
        torch.save([state], path)
    elif kind == "numbers":
        torch.save({"fc.bias": 1.0}, path)
    elif kind == "numbered":
        torch.save({1: torch.zeros(2)}, path)
    elif kind == "other":
        torch.save(state, path)
    elif kind == "folder":
        path.mkdir()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("code", "damaged or holds more than tensors (UnpicklingError; no code in it was executed)"),
        ("old code", "damaged or holds more than tensors"),
        ("pickle", "damaged or holds more than tensors (UnpicklingError"),
        ("empty", "damaged or holds more than tensors"),
        ("cut", "damaged or holds more than tensors"),
        ("script", "damaged or holds more than tensors"),
        ("list", "got a list that is not one of tensors by name"),
        ("numbers", "got a dict that is not one of tensors by name"),
        ("numbered", "got a dict that is not one of tensors by name"),
        (
            "other",
            "got those of another network (Error(s) in loading state_dict for FeatureExtractorInceptionV3: Missing",
        ),
        ("missing", "got no readable file (No such file or directory)"),
        ("folder", "got no readable file (Is a directory)"),
    ],
)
def test_files_that_are_no_such_weights(torch_fidelity, digits_run, tmp_path, kind, part):
    path = tmp_path / "weights.pth"
    write(path, kind)
    with pytest.raises(InputError) as refused:
        digits_run.evaluate(feature_weights=path)
    message = str(refused.value)
    assert message.startswith(f"{path}: expected the weights that torch-fidelity publishes as {WEIGHTS}")
    assert part in message
    assert message.endswith("give that file")
    assert not (tmp_path / "executed").exists()


def test_the_code_in_a_file_would_run(tmp_path):
    for kind in ("code", "old code"):
        write(tmp_path / "weights.pth", kind)
        torch.load(tmp_path / "weights.pth", weights_only=False)
        (tmp_path / "executed").rmdir()


def test_features_that_are_not_finite(weights):
    network = Inception(weights, (1, 2, 2))
    network.network.Conv2d_1a_3x3.bn.bias.data[0] = torch.nan
    with pytest.raises(InputError, match="NaN or infinite features; the weights are damaged, give weights-inception"):
        network.features(images(1, 4), "images")


def test_runs_without_such_figures(tmp_path):
    moons = Run.create(tmp_path / "moons", GENERATOR, ce.GeneratorSettings("moons"), load("moons"))
    with pytest.raises(InputError, match=r"`feature_weights`: Inception .* of images .* the data are points; leave it"):
        moons.evaluate(feature_weights=tmp_path / "x.pth")
    autoencoder = Run.create(tmp_path / "ae", AUTOENCODER, ce.AutoencoderSettings("digits"), load("digits"))
    with pytest.raises(InputError, match=r"`feature_weights` is for generators of images, .* an autoencoder; leave it"):
        autoencoder.evaluate(feature_weights=tmp_path / "x.pth")
    with pytest.raises(InputError, match="the data are 4 channels"):
        Inception(tmp_path / "x.pth", (4, 2, 2))
