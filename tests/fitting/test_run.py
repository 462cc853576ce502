import dataclasses
import json

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import load_for
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.models.generator.settings import plan
from contrastive_entropy.storage import write_atomically

SETTINGS = ce.GeneratorSettings(data="moons", steps=3, width=4, depth=1, noise_dimension=2)


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
        ({"variance_start": 0.1, "variance_end": 0.2}, "0.1 < 0.2; `anneal_fraction` 0 keeps"),
        ({"anneal_fraction": 1.5}, r"must lie in \[0, 1\], got 1.5"),
        ({"average_fraction": 1.5}, r"average_fraction must lie in \[0, 1\], got 1.5"),
        ({"objective": "nuclear_norm:smoothing=-1"}, "smoothing of 'nuclear_norm:smoothing=-1' must be a number >= 0"),
        ({"objective": "projection:smoothing=0.1"}, "unknown option 'smoothing=0.1' of projection; it takes none"),
        ({"objective": "nuclear_norm:eps=1"}, "it takes nuclear_norm:smoothing=NUMBER, nuclear_norm:tolerance=NUMBER"),
        ({"objective": "nuclear_norm:tolerance=0"}, "tolerance of .* must be a positive number, got 0"),
        ({"objective": "nuclear_norm:tolerance=x"}, "tolerance must be a number, got 'x'"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SETTINGS, **changes)


def test_variances_are_chosen_and_given_ones_are_kept(moons):
    chosen = plan(SETTINGS, moons).variance
    assert chosen.start > chosen.end > 0
    given = plan(dataclasses.replace(SETTINGS, variance_end=10.0), moons).variance
    assert given.start == given.end == 10.0
    low = plan(dataclasses.replace(SETTINGS, variance_start=1e-9), moons).variance
    assert low.start == low.end == 1e-9


@pytest.mark.parametrize(("data", "given", "expected"), [("moons", None, 4), ("digits", None, 32), ("moons", 7, 7)])
def test_the_noise_follows_the_data(data, given, expected, tmp_path):
    settings = dataclasses.replace(SETTINGS, data=data, noise_dimension=given)
    run = Run.create(tmp_path, GENERATOR, settings, load(data))
    assert ce.open_run(tmp_path).plan.model.noise_dimension == expected
    assert fresh(run).noise_dimension == expected


def fresh(run):
    return run.kind.network(run.plan, run.schema)


def test_constant_data_need_a_variance():
    constant = Dataset.of("constant", torch.ones(50, 2), torch.ones(10, 2))
    with pytest.raises(InputError, match=r"constant.*duplicates.*set `variance_start` and `variance_end`"):
        plan(SETTINGS, constant)


def test_a_run_opens_as_it_was_created(tmp_path, moons):
    created = Run.create(tmp_path / "new" / "run", GENERATOR, SETTINGS, moons)
    assert ce.open_run(tmp_path / "new" / "run") == created
    assert not created.finished
    assert torch.equal(created.dataset().train.points, moons.train.points)


def test_a_run_knows_the_units_of_its_columns(tmp_path, moons):
    settings = dataclasses.replace(SETTINGS, standardize=True)
    dataset = load_for(settings)
    created = Run.create(tmp_path / "run", GENERATOR, settings, dataset)
    opened = ce.open_run(tmp_path / "run")
    assert opened == created
    torch.testing.assert_close(opened.schema.decode(dataset.train.points).float(), moons.train.points)
    with pytest.raises(InputError, match="standardize is True, and moons is not standardized: load it with"):
        Run.create(tmp_path / "other", GENERATOR, settings, moons)
    with pytest.raises(InputError, match="standardize is False, and moons is standardized"):
        Run.create(tmp_path / "other", GENERATOR, SETTINGS, dataset)
    assert not (tmp_path / "other").exists()


def test_weights_round_trip(tmp_path, moons):
    run = Run.create(tmp_path / "run", GENERATOR, SETTINGS, moons)
    network = fresh(run)
    network.variance.fill_(0.3)
    run.save_weights(network)
    for name, tensor in run.network().state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_creating_replaces_only_when_told(tmp_path, moons):
    run = Run.create(tmp_path / "run", GENERATOR, SETTINGS, moons)
    run.save_weights(fresh(run))
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds a finished run; replace it with `overwrite`"):
        Run.create(tmp_path / "run", GENERATOR, SETTINGS, moons)
    Run.create(tmp_path / "begun", GENERATOR, SETTINGS, moons)
    with pytest.raises(InputError, match="already holds a run; continue it with `resume`, replace it with `overwrite`"):
        Run.create(tmp_path / "begun", GENERATOR, SETTINGS, moons)
    assert run.finished
    Run.create(tmp_path / "run", GENERATOR, SETTINGS, moons, overwrite=True)
    assert not run.finished
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_left_alone(tmp_path, moons, overwrite):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Run.create(tmp_path, GENERATOR, SETTINGS, moons, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unwritable_folder(tmp_path, moons):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write to .*file.run.*choose another `out`"):
        Run.create(tmp_path / "file" / "run", GENERATOR, SETTINGS, moons)


def test_convolutional_bodies_need_images(tmp_path, moons):
    with pytest.raises(InputError, match="needs images"):
        Run.create(tmp_path / "run", GENERATOR, dataclasses.replace(SETTINGS, body="convolutional"), moons)
    assert not (tmp_path / "run").exists()


def changed_description(run, **changes):
    path = run.folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_of_another_version(tmp_path, moons):
    changed_description(Run.create(tmp_path, GENERATOR, SETTINGS, moons), format=99, version="9.9.9")
    with pytest.raises(InputError, match=r"format 99, written by version 9\.9\.9; this is version .* reads format 2"):
        ce.open_run(tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"format": 2}', '{"format": 2, "kind": "generator", "settings": {"nonsense": 1}}']
)
def test_damaged_configurations(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"damaged|format None"):
        ce.open_run(tmp_path)


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="no run in"):
        ce.open_run(tmp_path / "nothing")


def test_weights_that_cannot_be_used(tmp_path, moons):
    run = Run.create(tmp_path, GENERATOR, SETTINGS, moons)
    with pytest.raises(InputError, match="training has not finished; continue it with `resume`"):
        run.network()
    run.save_weights(fresh(run))
    weights = tmp_path / "weights.safetensors"
    whole = weights.read_bytes()
    for damaged in (b"", whole[:100], whole[:-8], b"\xff" * 100):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match=r"weights\.safetensors is corrupt"):
            run.network()
    wider = dataclasses.replace(run.plan, model=dataclasses.replace(run.plan.model, width=5))
    run.save_weights(run.kind.network(wider, run.schema))
    with pytest.raises(InputError, match=r"weights\.safetensors is corrupt"):
        run.network()


def test_changed_data_are_noticed(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(f"{i},{i % 7}" for i in range(50)))
    run = Run.create(tmp_path / "run", GENERATOR, dataclasses.replace(SETTINGS, data=str(path)), load(path))
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
    assert torch.equal(ce.open_run(run.folder).dataset().train.points, whole.train.points)


def test_an_interrupted_write_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
