"""Where contenders meet: runs that are made once, and the judge of their samples."""

import sys

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments import comparison
from contrastive_entropy.experiments.comparison import Comparison, Judge, contender
from contrastive_entropy.experiments.journal import Clock
from contrastive_entropy.experiments.settings import CompareSettings
from contrastive_entropy.fitting.machine import automatic_device
from contrastive_entropy.metrics.distances import energy_distance
from contrastive_entropy.models.generator import GeneratorSettings
from fits import fit, same_weights

SMALL = {"batch_size": 32, "components": 32, "width": 16, "depth": 1, "noise_dimension": 4}


def compared(folder, data="moons", **settings):
    fit = GeneratorSettings(data, **{"steps": 3} | SMALL | settings)
    return Comparison(CompareSettings(fit, seeds=(0, 1)), folder, Clock(folder), expected=2)


@pytest.fixture
def small_law(monkeypatch):
    monkeypatch.setattr(comparison, "LAW", 500)


@pytest.mark.parametrize(("schedule", "data"), [("geometric", "moons"), ("adaptive", "moons"), ("geometric", "digits")])
def test_contenders_are_trained_as_the_command_trains(tmp_path, schedule, data, small_law):
    components = 8 if data == "digits" else 0
    settings = GeneratorSettings(
        data, principal_components=components, objective="debiased_nuclear_norm:smoothing=1e-2", schedule=schedule,
        steps=30, coarse_every=3, average_fraction=0.3, decay_fraction=0.5, **SMALL,
    )  # fmt: skip
    arena = compared(tmp_path, data, schedule=schedule, steps=30, principal_components=components, coarse_every=3,
                     average_fraction=0.3, decay_fraction=0.5)  # fmt: skip
    own = arena.settings(contender(settings.objective), seed=0)
    arena.run("ours", own)
    run = comparison.Run.open(tmp_path / "runs" / "ours-seed0", [comparison.GENERATOR])
    expected = fit(settings, tmp_path / "run", load(data), accelerator=automatic_device().type)
    assert same_weights(run.network(), expected.network())
    assert run.plan.variance == expected.plan.variance


def test_figures_belong_to_one_run(tmp_path, small_law):
    """Names of runs hold points: smoothing=0.01, a factor of 0.1."""
    arena = compared(tmp_path)
    found = {
        (smoothing, seed): arena.run(
            f"nuclear_norm:smoothing={smoothing}",
            arena.settings(contender(f"nuclear_norm:smoothing={smoothing}"), seed=seed),
        )["figures"]["energy"]
        for smoothing in (0.01, 0.1)
        for seed in (0, 1)
    }
    assert len(set(found.values())) == 4
    for (smoothing, seed), energy in found.items():
        settings = arena.settings(contender(f"nuclear_norm:smoothing={smoothing}"), seed=seed)
        samples, _ = arena.samples(f"nuclear_norm:smoothing={smoothing}", settings, 500)
        generator = torch.Generator().manual_seed(seed)
        run = comparison.Run.open(arena._path(f"nuclear_norm:smoothing={smoothing}", settings), [comparison.GENERATOR])
        assert arena.judge.figures(run.generate(arena.judge.wanted, generator=generator))["energy"] == energy
        assert len(samples) == 500


def test_figures_of_other_weights_are_not_taken(tmp_path, small_law):
    arena = compared(tmp_path)
    settings = arena.settings(contender("energy"), seed=0)
    first = arena.run("energy", settings)["figures"]
    run = comparison.Run.open(tmp_path / "runs" / "energy-seed0", [comparison.GENERATOR])
    network = run.network()
    network.location += 1.0
    run.save_weights(network)
    assert arena.run("energy", settings)["figures"]["energy"] > 2 * first["energy"]


def test_runs_of_other_data_are_refused(tmp_path):
    points = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    file = tmp_path / "points.csv"
    for shift in (0, 1):
        file.write_text("x,y\n" + "".join(f"{float(x) + shift},{float(y)}\n" for x, y in points))
        arena = compared(tmp_path / "out", str(file))
        settings = arena.settings(contender("energy"), seed=0, variance_start=1.0, variance_end=0.1)
        if shift == 0:
            arena.run("energy", settings)
    with pytest.raises(InputError, match=r"points.csv has changed since .*energy-seed0 was made"):
        arena.run("energy", settings)


def test_runs_at_another_precision_are_refused(tmp_path, small_law):
    arena = compared(tmp_path)
    settings = arena.settings(contender("energy"), seed=0)
    arena.run("energy", settings)
    other = CompareSettings(arena.base, seeds=(0,), precision="bf16-mixed")
    with pytest.raises(InputError, match="holds a run with other settings"):
        Comparison(other, tmp_path, Clock(tmp_path), expected=1).run("energy", settings)


@pytest.mark.parametrize("name", ["sinkhorn", "sinkhorn_debiased"])
def test_a_missing_package_is_found_before_any_run(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "geomloss", None)
    with pytest.raises(InputError, match="need geomloss: pip install geomloss"):
        contender(name)


def test_peers_take_no_other_looks(tmp_path, small_law):
    arena = compared(tmp_path, coarse_every=3)
    assert arena.settings(contender("energy")).coarse_every is None
    assert arena.settings(contender("log_likelihood")).coarse_every == 3


def test_a_plane_law_is_measured_on_more_points_than_are_held_out(monkeypatch):
    monkeypatch.setattr(comparison, "LAW", 10_000)
    judge = Judge(load("moons"))
    assert (judge.wanted, len(judge.law)) == (10_000, 10_000)
    drawn = sample_toy("moons", 10_000, seed=9)
    same, other = (judge.figures(drawn + shift)["energy"] for shift in (0, 0.05))
    assert abs(same) < 3e-4
    assert other == pytest.approx(energy_distance(drawn + 0.05, judge.law), rel=1e-3)
    assert other > 3e-3
    assert Judge(load("digits")).law is None
    standardized = load("moons", standardize=True)
    energy = Judge(standardized).figures(standardized.schema.encode(drawn))["energy"]
    assert abs(energy) < 6e-4  # the law, too, is brought to the columns of the fit


def test_contenders_learn_in_codes_that_are_trained_once(tmp_path, monkeypatch):
    monkeypatch.setattr(ce.CodesSettings, "__post_init__", lambda self: object.__setattr__(self, "steps", 5))
    arena = compared(tmp_path, "digits", space="codes")
    codes = ce.open_run(tmp_path / "space-codes")
    assert codes.finished
    assert arena.base.space == str(codes.folder)
    arena.run("mmd", arena.settings(contender("mmd")))
    run = ce.open_run(tmp_path / "runs" / "mmd-seed0")
    assert same_weights(run.network().coder, codes.network())
    before = codes.folder.stat().st_mtime_ns
    compared(tmp_path, "digits", space="codes")
    assert codes.folder.stat().st_mtime_ns == before


def test_images_are_judged_as_they_are_written(tmp_path, monkeypatch):
    arena = compared(tmp_path, "digits")
    seen, judge = [], arena.judge.figures
    monkeypatch.setattr(arena.judge, "figures", lambda points: seen.append(points) or judge(points))
    arena.run("mmd", arena.settings(contender("mmd")))
    samples = ce.open_run(tmp_path / "runs" / "mmd-seed0").generate(
        len(seen[0]), generator=torch.Generator().manual_seed(0)
    )
    assert float(samples.max()) > 1
    assert torch.equal(seen[0], samples.clamp(0, 1))
