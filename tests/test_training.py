import csv
import dataclasses
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from contrastive_entropy.config import AutoencoderConfig, FitConfig, Machine
from contrastive_entropy.recording import Recorder
from contrastive_entropy.runs import Run
from contrastive_entropy.steps import ADAPT_ALONE, Fit, initial_network, marginal_bound, step_generator

from contrastive_entropy import InputError, TrainingError, training
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.objectives.density import OBJECTIVES
from contrastive_entropy.variance.choice import neighbor_variance
from contrastive_entropy.variance.schedule import geometric_schedule

SMALL = FitConfig(data="moons", steps=30, batch_size=32, components=32, width=16, depth=1, noise_dimension=4)
AUTOENCODER = AutoencoderConfig(data="moons", centers=2, width=16, depth=1)


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tensors(folder):
    return Run.open(folder).load_network().state_dict()


@pytest.fixture(scope="module")
def moons():
    return load("moons")


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "trace"])
def test_every_objective_trains(tmp_path, moons, objective):
    run = training.fit(dataclasses.replace(SMALL, objective=objective), tmp_path / "run", moons, accelerator="cpu")
    assert run.finished
    recorded = rows(tmp_path / "run")
    assert [int(row["step"]) for row in recorded] == [10, 20, 30]
    assert all(float(row["tightness"]) <= 1 for row in recorded)
    assert float(recorded[-1]["variance"]) == run.config.variance_end
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_training_improves_the_fit(tmp_path, moons):
    config = dataclasses.replace(
        SMALL, steps=300, components=64, variance_start=0.05, variance_end=0.05, smoothing=1e-2
    )
    training.fit(config, tmp_path / "run", moons, accelerator="cpu")
    recorded = rows(tmp_path / "run")
    first, last = (sum(float(row["tightness"]) for row in part) for part in (recorded[:5], recorded[-5:]))
    assert last > first + 0.5


def test_an_adaptive_variance_waits_for_samples_without_data_near_them(tmp_path, moons, monkeypatch):
    config = dataclasses.replace(SMALL, schedule="adaptive", steps=100, variance_end=1e-6)
    falls = {}
    for name, threshold in (("never", -1.0), ("always", 1.0), ("default", ADAPT_ALONE)):
        monkeypatch.setattr("contrastive_entropy.steps.ADAPT_ALONE", threshold)
        run = training.fit(config, tmp_path / name, moons, accelerator="cpu")
        falls[name] = [float(row["variance"]) for row in rows(tmp_path / name)]
        assert float(run.load_network().variance) == pytest.approx(falls[name][-1], rel=1e-6)
    start, end = run.config.variance_start, run.config.variance_end
    assert falls["never"] == pytest.approx([start] * 10, rel=1e-6)
    geometric = [geometric_schedule(step, steps=100, start=start, end=end) for step in range(9, 100, 10)]
    assert falls["always"] == pytest.approx(geometric, rel=1e-6)  # without waiting
    assert all(found >= least / 1.0001 for found, least in zip(falls["default"], geometric, strict=True))
    assert falls["default"] == sorted(falls["default"], reverse=True)
    assert end * 1.01 < falls["default"][-1] < start / 1.01  # the network is too small to keep up to the end


@pytest.mark.parametrize(
    ("config", "changes", "rates"),
    [
        (SMALL, {}, [1.0, 1.0, 2 / 3, 1 / 6]),
        (SMALL, {"anneal_fraction": 0.5}, [1.0, 1.0, 2 / 3, 1 / 6]),
        (AUTOENCODER, {}, [1.0, 1.0, 1.0, 0.5]),
        (AUTOENCODER, {"anneal_fraction": 0.5}, [1.0, 1.0, 0.8, 0.2]),
        (AUTOENCODER, {"anneal_fraction": 1.0}, [1.0, 1.0, 1.0, 1.0]),  # the last tenth
        (SMALL, {"decay_fraction": 1.0}, [1.0, 0.6, 0.4, 0.1]),
        (SMALL, {"decay_fraction": 0.0}, [1.0] * 4),
    ],
)
def test_the_learning_rate_falls_at_the_end(moons, config, changes, rates):
    config = dataclasses.replace(config, steps=100, learning_rate=1.0, **changes).resolve(moons)
    module = Fit(config, initial_network(config, moons), moons.train.points)
    assert [module.scheduled_rate(step) for step in (0, 40, 60, 90)] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("changes", "rate"), [({}, 3e-3), ({"width": 64}, 3e-3), ({"width": 1024}, 7.5e-4), ({"learning_rate": 0.1}, 0.1)]
)
def test_wide_networks_take_smaller_steps(moons, changes, rate):
    assert FitConfig("moons", steps=10, **changes).resolve(moons).learning_rate == pytest.approx(rate)


def test_only_data_that_a_model_point_faces_let_the_variance_fall(moons):
    config = dataclasses.replace(SMALL, schedule="adaptive").resolve(moons)
    z = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    for near_half, falls in ((0, True), (1, False)):
        module = Fit(config, initial_network(config, moons), moons.train.points)
        module.network.variance.fill_(before := config.variance_start)
        x = torch.cat([z + 1e3 * (near_half == 1), z + 1e3 * (near_half == 0)])
        module.adapt(3, GaussianMixture(x, before), GaussianMixture(z, before))
        assert (float(module.network.variance) < before) == falls


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"variance_start": math.e, "variance_end": 1.0}, 0.125),
        ({"variance_start": math.e**3, "variance_end": 1.0}, 0.375),
        ({"variance_start": 1.0, "variance_end": 1e-5}, 0.8),
        ({"variance_start": 1.0, "variance_end": 1.0}, 0.0),
        ({"variance_start": math.e, "variance_end": 1.0, "objective": "log_likelihood"}, 0.8),
        ({"variance_start": math.e, "variance_end": 1.0, "principal_components": 2}, 0.8),
        ({"variance_start": math.e, "variance_end": 1.0, "anneal_fraction": 0.5}, 0.5),
    ],
)
def test_the_variance_falls_at_a_pace_of_its_logarithm(moons, changes, share):
    config = FitConfig("moons", steps=1000, width=4, schedule="geometric", **changes)
    resolved = config.resolve(moons)
    assert resolved.anneal_fraction == pytest.approx(share)
    for chosen in (config, resolved):
        module = Fit(chosen, initial_network(resolved, moons), moons.train.points)
        falls = [module.scheduled_variance(step) > resolved.variance_end * 1.0001 for step in range(1000)]
        assert sum(falls) == pytest.approx(1000 * share, abs=2)
        assert falls == sorted(falls, reverse=True)
        assert module.annealed(800)


def test_an_adaptive_variance_that_had_to_wait_falls_until_four_fifths_of_the_steps(moons):
    settings = {"variance_start": math.e, "variance_end": 1.0, "schedule": "adaptive", "batch_size": 32}
    config = FitConfig("moons", steps=1000, width=4, **settings).resolve(moons)
    module = Fit(config, initial_network(config, moons), moons.train.points)
    z = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    paces = []
    for step in (60, 124, 125, 500, 799, 800):
        module.network.variance.fill_(2.5)
        module.adapt(step, GaussianMixture(z, 2.5), GaussianMixture(z, 2.5))
        paces.append(math.log(2.5 / float(module.network.variance)))
    assert paces == pytest.approx([2 / 125] * 5 + [0.0], rel=1e-3, abs=1e-5)  # twice the geometric pace, of 125 steps
    assert [module.annealed(step) for step in (125, 799, 800)] == [False, False, True]
    module.network.variance.fill_(1.00001)
    module.adapt(500, GaussianMixture(z, 1.0), GaussianMixture(z, 1.0))
    assert float(module.network.variance) == 1.0  # and no farther than to its end


@pytest.mark.parametrize(("objective", "count"), [("debiased_nuclear_norm", 2), ("nuclear_norm", 1)])
def test_each_half_of_the_model_points_faces_data_of_its_own(moons, objective, count):
    config = dataclasses.replace(SMALL, objective=objective).resolve(moons)
    module = Fit(config, initial_network(config, moons), moons.train.points)
    index, generator = module.drawn(3)
    assert len(index) == config.drawn_points == count * config.batch_size
    p, q = module.data_and_model(index, generator)
    value = marginal_bound(config, p, q).value
    swapped = GaussianMixture(p.centers.roll(len(index) // 2, 0), p.variance)
    other = marginal_bound(config, swapped, q).value
    assert bool(torch.isclose(value, other, rtol=0, atol=1e-6)) == (count == 1)


@pytest.mark.parametrize(
    ("changes", "period"),
    [
        ({}, 2),
        ({"objective": "debiased_normalized_inner_product"}, 0),
        ({"objective": "nuclear_norm"}, 0),  # at a larger variance its optimum is another
        ({"anneal_fraction": 0.0}, 0),
        ({"anneal_fraction": 0.0, "coarse_every": 3}, 3),
        ({"objective": "log_likelihood", "coarse_every": 2}, 2),
        ({"coarse_every": 0}, 0),
    ],
)
def test_every_few_steps_the_objective_sees_a_larger_variance(moons, changes, period):
    config = dataclasses.replace(SMALL, **changes).resolve(moons)
    module = Fit(config, initial_network(config, moons), moons.train.points)
    end, start = config.variance_end, config.variance_start
    ratios = []
    for step in range(25, 65):
        index, generator = module.drawn(step)
        p, q = (GaussianMixture(mixture.centers, end) for mixture in module.data_and_model(index, generator))
        coarse_p, coarse_q, weight = module.seen(step, p, q, generator)
        assert torch.equal(coarse_p.centers, p.centers)
        assert torch.equal(coarse_q.centers, q.centers)
        assert float(coarse_p.variance) == float(coarse_q.variance) <= start
        assert weight == pytest.approx(math.sqrt(float(coarse_q.variance) / end))
        ratios.append(float(coarse_q.variance) / end)
    coarse = [ratio for step, ratio in enumerate(ratios, 25) if period and step % period == 0]
    assert [ratio > 1 for ratio in ratios] == [bool(period) and step % period == 0 for step in range(25, 65)]
    if coarse:  # over all scales
        assert min(coarse) < (start / end) ** 0.4 < (start / end) ** 0.6 < max(coarse)


class _TwoPoints(torch.nn.Module):
    """Noise to one of two points, with hardly anything between: what is learnt is their shares."""

    def __init__(self):
        super().__init__()
        self.border = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, noise):
        return torch.tanh(10 * (noise[:, :1] - self.border)) * torch.tensor([1.0, 0.0])


def test_larger_variances_see_the_shares_of_separate_parts():
    generator = torch.Generator().manual_seed(0)
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).repeat(200, 1) + 0.05 * torch.randn(400, 2, generator=generator)
    config = FitConfig(
        "two", batch_size=64, components=64, variance_start=0.5, variance_end=1e-4, anneal_fraction=0.0, coarse_every=2
    )
    body, place = _TwoPoints(), {"location": torch.zeros(2), "scale": torch.ones(())}
    module = Fit(config, MixtureDensityNetwork(body, noise_dimension=1, variance=1e-4, **place), x)
    slopes = []
    for step in range(200):
        index, generator = module.drawn(step)
        *seen, weight = module.seen(step, *module.data_and_model(index, generator), generator)
        value = weight * marginal_bound(config, *seen).value
        slopes.append(torch.autograd.grad(value, body.border)[0])
    seen, unseen = torch.stack(slopes).view(100, 2).T  # of the coarse steps, of the others
    assert float(seen.mean() / seen.std()) * 100**0.5 < -3.5  # the border is too far right
    assert abs(float(unseen.mean() / unseen.std())) * 100**0.5 < 2.5


def test_metrics_stay_at_the_step_s_variance(tmp_path, moons):
    config = dataclasses.replace(
        SMALL, steps=9, schedule="geometric", coarse_every=2, learning_rate=1e-12, variance_start=1.0, variance_end=0.1
    )
    training.fit(config, tmp_path / "run", moons, accelerator="cpu", log_every=1)
    resolved = config.resolve(moons)
    module = Fit(resolved, initial_network(resolved, moons), moons.train.points)
    for step, row in enumerate(rows(tmp_path / "run")):
        with torch.no_grad():
            p, q = module.data_and_model(*module.drawn(step))
            assert float(row["variance"]) == pytest.approx(float(q.variance))
            assert float(row["objective"]) == pytest.approx(float(marginal_bound(resolved, p, q).value), rel=1e-5)


@pytest.mark.parametrize(
    "config", [dataclasses.replace(SMALL, data="digits"), AutoencoderConfig("digits", batch_size=32, centers=2)]
)
def test_batches_in_principal_components_are_the_same_points_projected(config):
    digits = load("digits")
    config = dataclasses.replace(config, principal_components=5).resolve(digits)
    if isinstance(config, FitConfig):
        config = dataclasses.replace(config, fine_every=0)  # that not all components are seen is tested below
    network = initial_network(config, digits)
    module = Fit(config, network, digits.train.points)
    index, generator = module.drawn(3)
    _, objective = module.model_and_objective(index, generator, 3)
    x = objective.args[1]
    x = x.centers if isinstance(x, GaussianMixture) else x
    assert x.shape == (len(index), 5)
    torch.testing.assert_close(x, network.project(digits.train.points[index]))
    whole = dataclasses.replace(config, principal_components=0)
    assert torch.equal(Fit(whole, initial_network(whole, digits), digits.train.points).drawn(3)[0], index)


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(SMALL, schedule="adaptive", steps=60),
        dataclasses.replace(SMALL, average_fraction=0.0, steps=40),
        dataclasses.replace(SMALL, data="digits", body="convolutional", width=4, depth=1, steps=40),
        AutoencoderConfig("digits", body="convolutional", codes="learned", centers=2, width=4, depth=1, steps=40),
        dataclasses.replace(SMALL, data="digits", principal_components=8, steps=40),
        AutoencoderConfig("digits", principal_components=8, centers=2, width=8, depth=1, steps=40),
    ],
    ids=["adaptive", "not-averaged", "convolutional", "autoencoder", "principal", "principal-autoencoder"],
)
def test_more_runs_resume_to_the_same_bytes(tmp_path, monkeypatch, config):
    data = load(config.data)
    training.fit(config, tmp_path / "whole", data, accelerator="cpu", log_every=1)
    with monkeypatch.context() as patch:
        asked = itertools.count(1)
        patch.setattr(training, "_stop_on_signal", lambda: nullcontext(lambda: next(asked) == 31))
        assert not training.fit(config, tmp_path / "run", data, accelerator="cpu", log_every=1).finished
    assert training.resume(tmp_path / "run").finished
    for name in ("weights.safetensors", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "period"),
    [
        ({}, 4),
        ({"fine_every": 2}, 2),
        ({"objective": "nuclear_norm"}, 0),  # of a part of the components its optimum is another
        ({"objective": "log_likelihood", "fine_every": 3}, 3),
        ({"fine_every": 0}, 0),
    ],
)
def test_every_few_steps_the_objective_sees_the_finer_components_alone(changes, period):
    digits = load("digits")
    config = dataclasses.replace(SMALL, data="digits", principal_components=21, **changes).resolve(digits)
    module = Fit(config, initial_network(config, digits), digits.train.points)
    assert [first for first, _ in module.fine] == [1, 2, 4, 8]
    looked = set()
    for step in range(80):
        index, generator = module.drawn(step)
        p, q = module.data_and_model(index, generator)
        fine_p, fine_q, weight = module.seen(step, p, q, generator)
        first = p.dimension - fine_p.dimension
        coarse = config.coarse_period and step % config.coarse_period == 0
        assert (first > 0) == bool(period and not coarse and step % period == period - 1)
        assert torch.equal(fine_p.centers, p.centers[:, first:])
        assert torch.equal(fine_q.centers, q.centers[:, first:])
        assert float(fine_p.variance) == float(fine_q.variance)
        if first:
            looked.add(first)
            ratio = float(fine_p.variance) / float(q.variance)
            assert weight == pytest.approx(math.sqrt(ratio))
            chosen = [neighbor_variance(module.projected[:, start:], points=32) for start in (first, 0)]
            assert ratio == pytest.approx(chosen[0] / chosen[1])
            assert ratio < 1
    assert looked == ({1, 2, 4, 8} if period else set())


def test_what_varies_no_more_than_rounding_is_not_looked_at():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0] * 3 + [1e-5] * 5)
    duplicates = torch.cat([torch.arange(300.0)[:, None], torch.zeros(300, 7)], dim=1)
    for points, levels in ((x, [1, 2]), (duplicates, []), (torch.zeros(300, 8), []), (x[:, :1], [])):
        module = Fit(SMALL, initial_network(SMALL, load("moons")), points)
        assert [first for first, _ in module.fine] == levels


def test_fine_steps_are_for_principal_components(tmp_path):
    for settings, message in (
        ({"fine_every": 2}, "fine_every needs principal_components"),
        ({"fine_every": 2, "principal_components": 1}, "two or more"),
        ({"fine_every": 1, "principal_components": 8}, "must be 0 or at least 2, got 1"),
        ({"fine_every": 2, "principal_components": 8, "coarse_every": 1}, "every step sees a larger variance"),
        ({"fine_every": 2, "principal_components": 8, "coarse_every": 2}, "no step sees all components at its own"),
    ):
        with pytest.raises(InputError, match=message):
            FitConfig("digits", **settings)
    line = torch.arange(40.0)[:, None]
    with pytest.raises(InputError, match="the training points, 40 x 1, span 1: leave it out"):
        FitConfig("one", principal_components=8, fine_every=4).resolve(Dataset.of("one", line, line))
    digits = load("digits")
    config = dataclasses.replace(SMALL, data="digits", principal_components=8)
    run = Run.create(tmp_path, config, digits)
    assert (run.config.fine_every, run.config.coarse_every) == (4, 4)
    assert Run.open(tmp_path).config == run.config


class _Deviations(torch.nn.Module):
    """Noise in eight components, of which the finer half varies as much as is learnt."""

    def __init__(self):
        super().__init__()
        self.fine = torch.nn.Parameter(torch.tensor(0.2))

    def forward(self, noise):
        return noise * torch.cat([torch.full((4,), 10.0), self.fine.expand(4)])


def test_finer_components_alone_show_that_samples_vary_too_little_in_them():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 8, generator=generator) * torch.tensor([10.0] * 4 + [0.3] * 4)
    config = FitConfig("eight", batch_size=64, components=128, principal_components=8, coarse_every=0, fine_every=2)
    config = dataclasses.replace(config, variance_start=20.0, variance_end=20.0)
    place = {"location": torch.zeros(8), "scale": torch.ones(()), "basis": torch.eye(8)}
    body = _Deviations()
    module = Fit(config, MixtureDensityNetwork(body, noise_dimension=8, variance=20.0, **place), x)
    slopes = []
    for step in range(200):
        index, generator = module.drawn(step)
        *seen, weight = module.seen(step, *module.data_and_model(index, generator), generator)
        slopes.append(torch.autograd.grad(weight * marginal_bound(config, *seen).value, body.fine)[0])
    unseen, seen = torch.stack(slopes).view(100, 2).T  # of the steps that see all, of the others
    assert float(seen.mean() / seen.std()) * 100**0.5 > 5  # it shall grow
    assert abs(float(unseen.mean() / unseen.std())) * 100**0.5 < 2.5


def test_metrics_are_of_all_components(tmp_path):
    digits = load("digits")
    config = dataclasses.replace(SMALL, data="digits", principal_components=8, steps=6, learning_rate=1e-12)
    run = training.fit(config, tmp_path / "run", digits, accelerator="cpu", log_every=1)
    module = Fit(run.config, initial_network(run.config, digits), digits.train.points)
    for row in rows(tmp_path / "run"):
        index, generator = module.drawn(int(row["step"]) - 1)
        p, q = module.data_and_model(index, generator)
        p, q = (GaussianMixture(mixture.centers.detach(), float(row["variance"])) for mixture in (p, q))
        assert float(row["objective"]) == pytest.approx(float(marginal_bound(run.config, p, q).value), rel=1e-4)


def weights_after_every_step(config, dataset, folder, monkeypatch):
    """Of the body, and those that the run keeps."""
    seen, average_weights = [], Fit.average_weights

    def look(module):
        average_weights(module)
        seen.append(torch.nn.utils.parameters_to_vector(module.network.body.parameters()).detach().clone())

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "average_weights", look)
        run = training.fit(config, folder, dataset, accelerator="cpu")
    return seen, torch.nn.utils.parameters_to_vector(run.load_network().body.parameters()).detach()


def test_a_run_keeps_an_average_of_its_weights(tmp_path, moons, monkeypatch):
    config = dataclasses.replace(SMALL, steps=30)
    kept = {}
    for fraction in (0.0, 0.2, 1.0):
        asked = dataclasses.replace(config, average_fraction=fraction)
        seen, kept[fraction] = weights_after_every_step(asked, moons, tmp_path / f"{fraction}", monkeypatch)
    assert len(seen) == 30
    assert torch.equal(kept[0.0], seen[-1])
    torch.testing.assert_close(kept[1.0], torch.stack(seen).mean(0))  # the plain mean of all
    # weight 5 / k of step k from the fifth on, which is (k - 1 over 4) / (30 over 5) in the end
    shares = [math.comb(k - 1, 4) / math.comb(30, 5) for k in range(1, 31)]
    expected = sum(share * weights for share, weights in zip(shares, seen, strict=True))
    torch.testing.assert_close(kept[0.2], expected)


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path, moons):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training.fit(dataclasses.replace(SMALL, seed=seed), tmp_path / name, moons, accelerator="cpu")
    first, second, third = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != third
    assert (tmp_path / "a" / "metrics.csv").read_bytes() == (tmp_path / "b" / "metrics.csv").read_bytes()


def command(folder, *extra):
    program = str(Path(sys.executable).parent / "contrastive-entropy")
    return [program, "fit", "mdn", "--out", str(folder), *extra]


SETTINGS = [
    *("--data", "moons", "--steps", "1000", "--batch-size", "32", "--components", "32", "--width", "16"),
    *("--accelerator", "cpu", "--precision", "bf16-mixed", "--log-every", "7", "--checkpoint-every", "50"),
]


def stopped_midway(folder, number):
    """Start a training and send the signal once a checkpoint is there."""
    process = subprocess.Popen(
        command(folder, *SETTINGS),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    message = process.communicate()[1].decode()
    assert not (folder / "weights.safetensors").exists(), "the training ended before the signal"
    return process.returncode, message


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(
        command(folder, *SETTINGS), check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_resumes_to_the_same_bytes(tmp_path, uninterrupted, number):
    folder = tmp_path / "run"
    code, message = stopped_midway(folder, number)
    assert code == (-9 if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert f"continue with: contrastive-entropy fit mdn --out {folder} --resume" in message
    resume = [*command(folder)[:5], "--resume"]  # as printed: the rest is in the run
    done = subprocess.run(resume, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "continuing after step " in done.stderr
    for name in (
        "weights.safetensors",
        "metrics.csv",
        "evaluation.json",
        "samples.png",
        "training.png",
        "spectrum.png",
    ):
        assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes(), name


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path, moons):
    training.fit(SMALL, tmp_path / "whole", moons, accelerator="cpu")
    Run.create(tmp_path / "run", SMALL, moons)
    assert training.resume(tmp_path / "run", accelerator="cpu").finished
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def test_a_run_killed_between_the_last_checkpoint_and_the_weights_finishes(tmp_path, moons, monkeypatch):
    def killed(self, network):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_weights", killed)
        with pytest.raises(SystemExit):
            training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu")
    training.resume(tmp_path / "run", accelerator="cpu")
    training.fit(SMALL, tmp_path / "whole", moons, accelerator="cpu")
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def test_a_finished_run_has_nothing_to_resume(tmp_path, moons):
    training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu")
    with pytest.raises(InputError, match="finished all of its 30 steps"):
        training.resume(tmp_path / "run")


def test_a_corrupt_checkpoint_is_named(tmp_path, moons):
    Run.create(tmp_path / "run", SMALL, moons)
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is corrupt"):
        training.resume(tmp_path / "run", accelerator="cpu")


def test_a_term_that_is_not_finite_stops_with_step_and_name(tmp_path, moons, monkeypatch):
    objective = OBJECTIVES["normalized_inner_product"]

    def broken(p, q):
        bound = objective(p, q)
        return dataclasses.replace(
            bound, value=bound.value + torch.nan, terms={**bound.terms, "log <q,q>": torch.tensor(torch.nan)}
        )

    monkeypatch.setitem(OBJECTIVES, "normalized_inner_product", broken)
    config = dataclasses.replace(SMALL, objective="normalized_inner_product")
    with pytest.raises(TrainingError, match=r"step 0: log <q,q> of normalized_inner_product is not finite at variance"):
        training.fit(config, tmp_path / "run", moons, accelerator="cpu")


def test_diverging_weights_stop_with_step_and_cause(tmp_path, moons):
    config = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"step \d+: .*not finite.*--learning-rate"):
        training.fit(config, tmp_path / "run", moons, accelerator="cpu")


def test_a_gradient_that_is_not_finite_names_the_parameter(tmp_path, moons, monkeypatch):
    objective = OBJECTIVES["inner_product"]

    def broken(p, q):
        bound = objective(p, q)
        return dataclasses.replace(bound, value=bound.value + (q.centers.sum() * 0).sqrt())

    monkeypatch.setitem(OBJECTIVES, "inner_product", broken)
    with pytest.raises(TrainingError, match=r"step 0: the gradient of body\.\d\.\w+ is not finite"):
        training.fit(dataclasses.replace(SMALL, objective="inner_product"), tmp_path / "run", moons, accelerator="cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accelerator": "abacus"}, "abacus"),
        (
            {"accelerator": "cpu", "precision": "bf16-true"},
            r"unknown precision 'bf16-true'.* \(known: 32-true, bf16-mixed",
        ),
        ({"accelerator": "cpu", "devices": "0"}, "0"),
        ({"log_every": 0}, "log_every must be at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1"),
    ],
)
def test_bad_machine_settings(tmp_path, moons, arguments, message):
    with pytest.raises(InputError, match=message):
        training.fit(SMALL, tmp_path / "run", moons, **arguments)


@pytest.mark.parametrize(
    "arguments", [{"accelerator": "abacus"}, {"devices": "abc"}, {"precision": "7"}, {"log_every": 0}]
)
def test_settings_that_are_refused_leave_everything_as_it_was(tmp_path, moons, arguments):
    with pytest.raises(InputError):
        training.fit(SMALL, tmp_path / "new", moons, **{"accelerator": "cpu"} | arguments)
    assert not (tmp_path / "new").exists()
    training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(InputError):
        training.fit(SMALL, tmp_path / "run", moons, overwrite=True, **{"accelerator": "cpu"} | arguments)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_run_keeps_its_machine_settings(tmp_path, moons):
    Run.create(tmp_path / "run", SMALL, moons, machine=Machine("cpu", "1", "bf16-mixed", 5, 10))
    training.resume(tmp_path / "run")
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == [5, 10, 15, 20, 25, 30]
    training.fit(SMALL, tmp_path / "whole", moons, accelerator="cpu", precision="bf16-mixed", log_every=5)
    training.fit(SMALL, tmp_path / "float32", moons, accelerator="cpu", log_every=5)
    first, second, other = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole", "float32")
    )
    assert first == second
    assert first != other


def test_a_gradient_whose_norm_overflows_stops(tmp_path, moons):
    """Every entry is finite, and their squares are not."""
    config = dataclasses.replace(SMALL, objective="log_likelihood", anneal_fraction=0.0, variance_end=1e-20)
    with pytest.raises(TrainingError, match=r"step 0: the gradient of body\S* is not finite, or too large for float32"):
        training.fit(config, tmp_path / "run", moons, accelerator="cpu")


def test_a_last_update_that_diverges_is_noticed(tmp_path, moons):
    config = dataclasses.replace(SMALL, steps=1, learning_rate=1e30)
    with pytest.raises(TrainingError, match="step 1: the network's outputs are not finite after the last update"):
        training.fit(config, tmp_path / "run", moons, accelerator="cpu")
    assert not Run.open(tmp_path / "run").finished


def test_rows_are_kept_when_training_stops(tmp_path, moons, monkeypatch):
    objective = OBJECTIVES["inner_product"]

    def broken(p, q):
        bound = objective(p, q)
        later = (tmp_path / "late").exists()
        return dataclasses.replace(bound, value=bound.value + torch.nan) if later else bound

    def mark(self, *arguments):
        real(self, *arguments)
        if arguments[0].global_step == 20:
            (tmp_path / "late").touch()

    real = Recorder.on_train_batch_end
    monkeypatch.setattr(Recorder, "on_train_batch_end", mark)
    monkeypatch.setitem(OBJECTIVES, "inner_product", broken)
    with pytest.raises(TrainingError, match=r"step 20: .* train again with --overwrite"):
        training.fit(dataclasses.replace(SMALL, objective="inner_product"), tmp_path / "run", moons, accelerator="cpu")
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == [10, 20]


def test_a_kill_between_rows_and_checkpoint_loses_no_row(tmp_path, moons, monkeypatch):
    import lightning

    real = lightning.Trainer.save_checkpoint

    def killed(self, path):
        if self.global_step == 20:
            raise SystemExit(9)
        real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(lightning.Trainer, "save_checkpoint", killed)
        with pytest.raises(SystemExit):
            training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu", log_every=1, checkpoint_every=10)
    training.resume(tmp_path / "run")
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == [*range(1, 31)]


def test_a_full_disk_is_named(tmp_path, moons, monkeypatch):
    import errno

    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lightning.Trainer.save_checkpoint", full)
    with pytest.raises(
        InputError, match=r"cannot write to .*run \(No space left on device\); make room, then continue with"
    ):
        training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu")


def test_a_checkpoint_of_another_shape_is_named(tmp_path, moons, monkeypatch):
    def killed(*_):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", killed)
        with pytest.raises(SystemExit):
            training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu")
    path = tmp_path / "run" / "config.json"
    path.write_text(path.read_text().replace('"width": 16', '"width": 17'))
    with pytest.raises(InputError, match=r"checkpoint\.safetensors does not fit"):
        training.resume(tmp_path / "run")


def test_bfloat16_networks_train(tmp_path, moons):
    run = training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu", precision="bf16-mixed")
    assert run.finished


@pytest.mark.parametrize(
    ("capabilities", "precision", "warned"),
    [
        ({"architecture": "x86_64", "avx2": True}, "bf16-mixed", True),
        ({"architecture": "x86_64", "avx512_bf16": True}, "bf16-mixed", False),
        ({"architecture": "x86_64", "avx2": True}, "32-true", False),
        ({"architecture": "aarch64"}, "bf16-mixed", False),
    ],
)
def test_bfloat16_on_a_processor_without_it_is_said(
    tmp_path, moons, monkeypatch, caplog, capabilities, precision, warned
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    config = dataclasses.replace(SMALL, steps=1)
    training.fit(config, tmp_path / "run", moons, accelerator="cpu", precision=precision)
    assert ("this processor has no bfloat16 arithmetic" in caplog.text) == warned


def test_images_train_with_a_convolutional_body(tmp_path):
    digits = load("digits")
    config = dataclasses.replace(SMALL, data="digits", body="convolutional", width=4, steps=10)
    run = training.fit(config, tmp_path / "run", digits, accelerator="cpu")
    assert run.load_network().sample(3, generator=torch.Generator().manual_seed(0)).shape == (3, 64)


def test_the_network_starts_at_the_mean_and_spread_of_the_data(tmp_path, moons):
    shifted = Dataset.of("x", moons.train.points * 5 + 100, moons.held_out.points * 5 + 100)
    run = Run.create(tmp_path / "run", SMALL, shifted)
    network = initial_network(run.config, shifted)
    torch.testing.assert_close(network.location, shifted.train.points.mean(0))
    spread = shifted.train.points - shifted.train.points.mean(0)
    assert network.scale.item() == pytest.approx(spread.square().mean().sqrt().item())


def test_the_global_generator_is_left_alone(tmp_path, moons):
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    training.fit(SMALL, tmp_path / "run", moons, accelerator="cpu")
    assert torch.equal(torch.get_rng_state(), expected)


def test_steps_differ_and_repeat():
    draws = [torch.rand(3, generator=step_generator(*key)) for key in ((0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0))]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4
    assert torch.equal(draws[0], torch.rand(3, generator=step_generator(0, 0, 0)))


@pytest.mark.slow
def test_two_processes_train_together(tmp_path):
    folder = tmp_path / "run"
    done = subprocess.run(command(folder, *SETTINGS, "--devices", "2"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "evaluation.json").read_text())["model"]["coverage"] > 0
    assert done.stdout.count("Tightness against its ceiling") == 1


@pytest.mark.gpu
def test_a_gpu_trains(tmp_path, moons, device):
    run = training.fit(SMALL, tmp_path / "run", moons, accelerator="gpu")
    assert run.finished
