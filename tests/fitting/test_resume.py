import csv
import dataclasses
import itertools
import os
import signal
import subprocess
import time
from contextlib import nullcontext

import pytest

import contrastive_entropy as ce
from commands import COMMAND, command
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.models.generator import GENERATOR
from fits import fit, resume

SMALL = ce.GeneratorSettings("moons", steps=30, batch_size=32, components=32, width=16, depth=1, noise_dimension=4)


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def moons():
    return load("moons")


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(SMALL, schedule="adaptive", steps=60),
        dataclasses.replace(SMALL, average_fraction=0.0, steps=40),
        dataclasses.replace(SMALL, data="digits", body="convolutional", width=4, depth=1, steps=40),
        ce.AutoencoderSettings("digits", body="convolutional", codes="learned", centers=2, width=4, depth=1, steps=40),
        dataclasses.replace(SMALL, data="digits", principal_components=8, steps=40),
        ce.AutoencoderSettings("digits", principal_components=8, centers=2, width=8, depth=1, steps=40),
    ],
    ids=["adaptive", "not-averaged", "convolutional", "autoencoder", "principal", "principal-autoencoder"],
)
def test_more_runs_resume_to_the_same_bytes(tmp_path, monkeypatch, config):
    data = load(config.data)
    fit(config, tmp_path / "whole", data, log_every=1)
    with monkeypatch.context() as patch:
        asked = itertools.count(1)
        patch.setattr(trainer, "_stop_on_signal", lambda: nullcontext(lambda: next(asked) == 31))
        assert not fit(config, tmp_path / "run", data, log_every=1).finished
    assert resume(tmp_path / "run").finished
    for name in ("weights.safetensors", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def stopped_midway(folder, number):
    """Start a training and send the signal once a checkpoint is there."""
    process = subprocess.Popen(
        command(folder, *COMMAND),
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
        command(folder, *COMMAND), check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return folder


SLOW = pytest.mark.slow  # one kill is quick enough for every run of the tests


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=SLOW), pytest.param(signal.SIGINT, marks=SLOW)]
)
def test_a_stopped_training_resumes_to_the_same_bytes(tmp_path, uninterrupted, number):
    folder = tmp_path / "run"
    code, message = stopped_midway(folder, number)
    assert code == (-9 if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert f"continue with: contrastive-entropy fit generator --out {folder} --resume" in message
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
    fit(SMALL, tmp_path / "whole", moons)
    Run.create(tmp_path / "run", GENERATOR, SMALL, moons)
    assert resume(tmp_path / "run").finished
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def test_a_run_killed_between_the_last_checkpoint_and_the_weights_finishes(tmp_path, moons, monkeypatch):
    def killed(self, network):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_weights", killed)
        with pytest.raises(SystemExit):
            fit(SMALL, tmp_path / "run", moons)
    resume(tmp_path / "run")
    fit(SMALL, tmp_path / "whole", moons)
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


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
            fit(SMALL, tmp_path / "run", moons, log_every=1, checkpoint_every=10)
    resume(tmp_path / "run")
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == [*range(1, 31)]
