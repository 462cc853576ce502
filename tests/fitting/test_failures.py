import csv
import dataclasses

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import TrainingError
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.recorder import Recorder
from contrastive_entropy.models.generator.step import GeneratorStep
from fits import fit

SMALL = ce.GeneratorSettings("moons", steps=30, batch_size=32, components=32, width=16, depth=1, noise_dimension=4)


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def moons():
    return load("moons")


def test_a_term_that_is_not_finite_stops_with_step_and_name(tmp_path, moons, monkeypatch):
    objective = GeneratorStep._bound

    def broken(self, p, q):
        bound = objective(self, p, q)
        return dataclasses.replace(
            bound, value=bound.value + torch.nan, terms={**bound.terms, "log <q,q>": torch.tensor(torch.nan)}
        )

    monkeypatch.setattr(GeneratorStep, "_bound", broken)
    config = dataclasses.replace(SMALL, objective="normalized_inner_product")
    with pytest.raises(TrainingError, match=r"step 0: log <q,q> of normalized_inner_product is not finite at variance"):
        fit(config, tmp_path / "run", moons)


def test_diverging_weights_stop_with_step_and_cause(tmp_path, moons):
    config = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"step \d+: .*not finite.*`learning_rate`"):
        fit(config, tmp_path / "run", moons)


def test_a_gradient_that_is_not_finite_names_the_parameter(tmp_path, moons, monkeypatch):
    objective = GeneratorStep._bound

    def broken(self, p, q):
        bound = objective(self, p, q)
        return dataclasses.replace(bound, value=bound.value + (q.centers.sum() * 0).sqrt())

    monkeypatch.setattr(GeneratorStep, "_bound", broken)
    with pytest.raises(TrainingError, match=r"step 0: the gradient of body\.\d\.\w+ is not finite"):
        fit(dataclasses.replace(SMALL, objective="inner_product"), tmp_path / "run", moons)


def test_a_gradient_whose_norm_overflows_stops(tmp_path, moons):
    """Every entry is finite, and their squares are not."""
    config = dataclasses.replace(SMALL, objective="log_likelihood", anneal_fraction=0.0, variance_end=1e-20)
    with pytest.raises(TrainingError, match=r"step 0: the gradient of body\S* is not finite, or too large for float32"):
        fit(config, tmp_path / "run", moons)


def test_a_last_update_that_diverges_is_noticed(tmp_path, moons):
    config = dataclasses.replace(SMALL, steps=1, learning_rate=1e30)
    with pytest.raises(TrainingError, match="step 1: the network's outputs are not finite after the last update"):
        fit(config, tmp_path / "run", moons)
    assert not ce.open_run(tmp_path / "run").finished


def test_rows_are_kept_when_training_stops(tmp_path, moons, monkeypatch):
    objective = GeneratorStep._bound

    def broken(self, p, q):
        bound = objective(self, p, q)
        later = (tmp_path / "late").exists()
        return dataclasses.replace(bound, value=bound.value + torch.nan) if later else bound

    def mark(self, *arguments):
        real(self, *arguments)
        if arguments[0].global_step == 20:
            (tmp_path / "late").touch()

    real = Recorder.on_train_batch_end
    monkeypatch.setattr(Recorder, "on_train_batch_end", mark)
    monkeypatch.setattr(GeneratorStep, "_bound", broken)
    with pytest.raises(TrainingError, match=r"step 20: .* train again with `overwrite`"):
        fit(dataclasses.replace(SMALL, objective="inner_product"), tmp_path / "run", moons)
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == [10, 20]
