import csv
import dataclasses
import json
import math
import subprocess

import pytest
import torch

import contrastive_entropy as ce
from commands import COMMAND, command
from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.loop import Fit, step_generator
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.objectives.catalog import GENERATIVE, PEERS, names
from fits import fit, resume, started

SMALL = ce.GeneratorSettings("moons", steps=30, batch_size=32, components=32, width=16, depth=1, noise_dimension=4)


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def moons():
    return load("moons")


@pytest.mark.parametrize("objective", [objective.name for objective in (*GENERATIVE, *PEERS)])
def test_every_objective_trains(tmp_path, moons, objective):
    settings = dataclasses.replace(SMALL, objective=objective, components=2 * SMALL.batch_size)
    run = fit(settings, tmp_path / "run", moons)
    assert run.finished
    recorded = rows(tmp_path / "run")
    assert [int(row["step"]) for row in recorded] == [10, 20, 30]
    assert all(float(row["attained"]) <= 1 for row in recorded) or objective in names(PEERS)
    assert float(recorded[-1]["variance"]) == run.plan.variance.end
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_training_improves_the_fit(tmp_path, moons):
    config = dataclasses.replace(
        SMALL,
        steps=300,
        components=64,
        variance_start=0.05,
        variance_end=0.05,
        objective="debiased_nuclear_norm:smoothing=1e-2",
    )
    fit(config, tmp_path / "run", moons)
    recorded = rows(tmp_path / "run")
    first, last = (sum(float(row["attained"]) for row in part) for part in (recorded[:5], recorded[-5:]))
    assert last > first + 0.5


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path, moons):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(dataclasses.replace(SMALL, seed=seed), tmp_path / name, moons)
    first, second, third = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != third
    assert (tmp_path / "a" / "metrics.csv").read_bytes() == (tmp_path / "b" / "metrics.csv").read_bytes()


def weights_after_every_step(config, dataset, folder, monkeypatch):
    """Of the body, and those that the run keeps."""
    seen, finish = [], Fit.finish

    def look(module):
        finish(module)
        seen.append(torch.nn.utils.parameters_to_vector(module.network.body.parameters()).detach().clone())

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "finish", look)
        run = fit(config, folder, dataset)
    return seen, torch.nn.utils.parameters_to_vector(run.network().body.parameters()).detach()


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


def test_a_finished_run_has_nothing_to_resume(tmp_path, moons):
    fit(SMALL, tmp_path / "run", moons)
    with pytest.raises(InputError, match="finished all of its 30 steps"):
        resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accelerator": "abacus"}, "abacus"),
        (
            {"accelerator": "cpu", "precision": "bf16-true"},
            r"unknown precision 'bf16-true'.* \(known: auto, 32-true, bf16-mixed",
        ),
        ({"accelerator": "cpu", "devices": "0"}, "0"),
        ({"log_every": 0}, "log_every must be at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1"),
    ],
)
def test_bad_machine_settings(tmp_path, moons, arguments, message):
    with pytest.raises(InputError, match=message):
        fit(SMALL, tmp_path / "run", moons, **arguments)


@pytest.mark.parametrize(
    "arguments", [{"accelerator": "abacus"}, {"devices": "abc"}, {"precision": "7"}, {"log_every": 0}]
)
def test_settings_that_are_refused_leave_everything_as_it_was(tmp_path, moons, arguments):
    with pytest.raises(InputError):
        fit(SMALL, tmp_path / "new", moons, **{"accelerator": "cpu"} | arguments)
    assert not (tmp_path / "new").exists()
    fit(SMALL, tmp_path / "run", moons)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(InputError):
        fit(SMALL, tmp_path / "run", moons, overwrite=True, **{"accelerator": "cpu"} | arguments)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_run_keeps_its_machine_settings(tmp_path, moons):
    Run.create(tmp_path / "run", GENERATOR, SMALL, moons, machine=Machine("cpu", "1", "bf16-mixed", 5, 10))
    resume(tmp_path / "run")
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == [5, 10, 15, 20, 25, 30]
    fit(SMALL, tmp_path / "whole", moons, precision="bf16-mixed", log_every=5)
    fit(SMALL, tmp_path / "float32", moons, log_every=5)
    first, second, other = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole", "float32")
    )
    assert first == second
    assert first != other


def test_a_full_disk_is_named(tmp_path, moons, monkeypatch):
    import errno

    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lightning.Trainer.save_checkpoint", full)
    with pytest.raises(
        InputError, match=r"cannot write to .*run \(No space left on device\); make room, then continue with"
    ):
        fit(SMALL, tmp_path / "run", moons)


def test_a_checkpoint_of_another_shape_is_named(tmp_path, moons, monkeypatch):
    def killed(*_):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_save", killed)
        with pytest.raises(SystemExit):
            fit(SMALL, tmp_path / "run", moons)
    path = tmp_path / "run" / "config.json"
    path.write_text(path.read_text().replace('"width": 16', '"width": 17'))
    with pytest.raises(InputError, match=r"checkpoint\.safetensors does not fit"):
        resume(tmp_path / "run")


def test_bfloat16_networks_train(tmp_path, moons):
    run = fit(SMALL, tmp_path / "run", moons, precision="bf16-mixed")
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
    fit(config, tmp_path / "run", moons, precision=precision)
    assert ("this processor has no bfloat16 arithmetic" in caplog.text) == warned


def test_images_train_with_a_convolutional_body(tmp_path):
    digits = load("digits")
    config = dataclasses.replace(SMALL, data="digits", body="convolutional", width=4, steps=10)
    run = fit(config, tmp_path / "run", digits)
    assert run.network().sample(3, generator=torch.Generator().manual_seed(0)).shape == (3, 64)


def test_the_network_starts_at_the_mean_and_spread_of_the_data(tmp_path, moons):
    shifted = Dataset.of("x", moons.train.points * 5 + 100, moons.held_out.points * 5 + 100)
    network = started(SMALL, shifted).network
    torch.testing.assert_close(network.location, shifted.train.points.mean(0))
    spread = shifted.train.points - shifted.train.points.mean(0)
    assert network.scale.item() == pytest.approx(spread.square().mean().sqrt().item())


def test_the_global_generator_is_left_alone(tmp_path, moons):
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    fit(SMALL, tmp_path / "run", moons)
    assert torch.equal(torch.get_rng_state(), expected)


def test_steps_differ_and_repeat():
    draws = [torch.rand(3, generator=step_generator(*key)) for key in ((0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0))]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4
    assert torch.equal(draws[0], torch.rand(3, generator=step_generator(0, 0, 0)))


@pytest.mark.slow
def test_two_processes_train_together(tmp_path):
    folder = tmp_path / "run"
    done = subprocess.run(command(folder, *COMMAND, "--devices", "2"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "evaluation.json").read_text())["tables"]["samples"]["model"]["coverage"] > 0
    assert done.stdout.count("Tightness 0") == 1


@pytest.mark.gpu
def test_a_gpu_trains(tmp_path, moons, device):
    run = fit(SMALL, tmp_path / "run", moons, accelerator="gpu")
    assert run.finished


def test_a_corrupt_checkpoint_is_named(tmp_path, moons):
    Run.create(tmp_path / "run", GENERATOR, SMALL, moons)
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is corrupt"):
        resume(tmp_path / "run")
