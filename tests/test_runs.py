import dataclasses
import json

import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.config import FitConfig
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.run import Run, load_for
from contrastive_entropy.storage import write_atomically

CONFIG = FitConfig(data="moons", steps=3, width=4, depth=1, noise_dimension=2)


@pytest.fixture(scope="module")
def moons():
    return load("moons")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "nuclear_nrom"}, "unknown objective 'nuclear_nrom'; did you mean 'nuclear_norm'"),
        ({"objective": "trace"}, "trace pairs each center with its own data point"),
        ({"body": "convolution"}, "unknown body 'convolution'; did you mean 'convolutional'"),
        ({"noise": "laplace"}, r"unknown noise 'laplace' .known: gaussian, uniform"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"noise_dimension": 0}, "noise_dimension must be at least 1, got 0"),
        ({"components": 1}, "components must be at least 2"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 2**32}, "seed must be below 2.32"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number"),
        ({"variance_end": -1.0}, "variance_end must be a positive number, got -1"),
        ({"variance_start": float("nan")}, "variance_start must be a positive number, got nan"),
        ({"variance_start": 0.1, "variance_end": 0.2}, "0.1 < 0.2; anneal_fraction 0 keeps"),
        ({"anneal_fraction": 1.5}, r"must lie in \[0, 1\], got 1.5"),
        ({"average_fraction": 1.5}, r"average_fraction must lie in \[0, 1\], got 1.5"),
        ({"smoothing": -1.0}, "smoothing must be a number >= 0"),
        ({"objective": "projection", "smoothing": 0.1}, "projection has none: leave it out"),
        ({"objective": "projection", "tolerance": 0.1}, "tolerance is for nuclear_norm and debiased_nuclear_norm"),
        ({"tolerance": 0.0}, "tolerance must be a positive number, got 0.0"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(CONFIG, **changes)


def test_variances_are_chosen_and_given_ones_are_kept(moons):
    chosen = CONFIG.resolve(moons)
    assert chosen.variance_start > chosen.variance_end > 0
    given = dataclasses.replace(CONFIG, variance_end=10.0).resolve(moons)
    assert given.variance_start == given.variance_end == 10.0
    low = dataclasses.replace(CONFIG, variance_start=1e-9).resolve(moons)
    assert low.variance_start == low.variance_end == 1e-9


@pytest.mark.parametrize(("data", "given", "expected"), [("moons", None, 4), ("digits", None, 32), ("moons", 7, 7)])
def test_the_noise_follows_the_data(data, given, expected, tmp_path):
    config = dataclasses.replace(CONFIG, data=data, noise_dimension=given)
    run = Run.create(tmp_path, config, load(data))
    assert Run.open(tmp_path).config.noise_dimension == expected
    assert run.config.network(run.dimension, run.image_shape).noise_dimension == expected
    unresolved = config.network(run.dimension, run.image_shape)
    assert unresolved.noise_dimension == expected


def test_constant_data_need_a_variance():
    constant = Dataset.of("constant", torch.ones(50, 2), torch.ones(10, 2))
    with pytest.raises(InputError, match=r"constant.*duplicates.*set variance_start and variance_end"):
        CONFIG.resolve(constant)


def test_a_run_opens_as_it_was_created(tmp_path, moons):
    created = Run.create(tmp_path / "new" / "run", CONFIG, moons)
    assert Run.open(tmp_path / "new" / "run") == created
    assert not created.finished
    assert torch.equal(created.dataset().train.points, moons.train.points)


def test_a_run_knows_the_units_of_its_columns(tmp_path, moons):
    config = dataclasses.replace(CONFIG, standardize=True)
    dataset = load_for(config)
    created = Run.create(tmp_path / "run", config, dataset)
    opened = Run.open(tmp_path / "run")
    assert opened == created
    torch.testing.assert_close(opened.schema.decode(dataset.train.points).float(), moons.train.points)
    with pytest.raises(InputError, match="standardize is True, and moons is not standardized: load it with"):
        Run.create(tmp_path / "other", config, moons)
    with pytest.raises(InputError, match="standardize is False, and moons is standardized"):
        Run.create(tmp_path / "other", CONFIG, dataset)
    assert not (tmp_path / "other").exists()


def test_weights_round_trip(tmp_path, moons):
    run = Run.create(tmp_path / "run", CONFIG, moons)
    network = run.config.network(2, None)
    network.variance.fill_(0.3)
    run.save_weights(network)
    for name, tensor in run.load_network().state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_creating_replaces_only_when_told(tmp_path, moons):
    run = Run.create(tmp_path / "run", CONFIG, moons)
    run.save_weights(run.config.network(2, None))
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds a finished run; replace it with --overwrite"):
        Run.create(tmp_path / "run", CONFIG, moons)
    Run.create(tmp_path / "begun", CONFIG, moons)
    with pytest.raises(InputError, match="already holds a run; continue it with --resume, replace it with --overwrite"):
        Run.create(tmp_path / "begun", CONFIG, moons)
    assert run.finished
    Run.create(tmp_path / "run", CONFIG, moons, overwrite=True)
    assert not run.finished
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_left_alone(tmp_path, moons, overwrite):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Run.create(tmp_path, CONFIG, moons, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unwritable_folder(tmp_path, moons):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write to .*file.run.*choose another --out"):
        Run.create(tmp_path / "file" / "run", CONFIG, moons)


def test_convolutional_bodies_need_images(tmp_path, moons):
    with pytest.raises(InputError, match="needs images"):
        Run.create(tmp_path / "run", dataclasses.replace(CONFIG, body="convolutional"), moons)
    assert not (tmp_path / "run").exists()


def changed_description(run, **changes):
    path = run.folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_of_another_version(tmp_path, moons):
    changed_description(Run.create(tmp_path, CONFIG, moons), format=99, version="9.9.9")
    with pytest.raises(InputError, match=r"format 99, written by version 9\.9\.9; this is version .* reads format 2"):
        Run.open(tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"format": 2}', '{"format": 2, "kind": "mdn", "config": {"nonsense": 1}}']
)
def test_damaged_configurations(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"damaged|format None"):
        Run.open(tmp_path)


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="no run in"):
        Run.open(tmp_path / "nothing")


def test_weights_that_cannot_be_used(tmp_path, moons):
    run = Run.create(tmp_path, CONFIG, moons)
    with pytest.raises(InputError, match="training has not finished; continue with: contrastive-entropy fit mdn --out"):
        run.load_network()
    run.save_weights(run.config.network(2, None))
    weights = tmp_path / "weights.safetensors"
    whole = weights.read_bytes()
    for damaged in (b"", whole[:100], whole[:-8], b"\xff" * 100):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match=r"weights\.safetensors is corrupt"):
            run.load_network()
    run.save_weights(dataclasses.replace(run.config, width=5).network(2, None))
    with pytest.raises(InputError, match=r"weights\.safetensors is corrupt"):
        run.load_network()


def test_changed_data_are_noticed(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(f"{i},{i % 7}" for i in range(50)))
    run = Run.create(tmp_path / "run", dataclasses.replace(CONFIG, data=str(path)), load(path))
    path.write_text("\n".join(f"{i},{i % 5}" for i in range(50)))
    with pytest.raises(InputError, match=r"x\.csv has changed since"):
        run.dataset()
    path.write_text("\n".join(f"{i},{i % 7}" for i in range(50)))
    whole = run.dataset()
    moved = path.rename(tmp_path / "moved.csv")
    with pytest.raises(
        InputError, match=r"no such file.*; if the data have moved, correct data or data_root in .*config\.json"
    ):
        run.dataset()
    config = run.folder / "config.json"
    config.write_text(config.read_text().replace(str(path), str(moved)))  # as it says
    assert torch.equal(Run.open(run.folder).dataset().train.points, whole.train.points)


def test_an_interrupted_write_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
