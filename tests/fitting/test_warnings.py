import pytest

import contrastive_entropy as ce
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.trainer import fit
from contrastive_entropy.models.generator import GENERATOR

SMALL = {"steps": 250, "batch_size": 64, "components": 64, "width": 32}


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"objective": "inner_product"}, "all samples are nearly one point"),
        ({"variance_start": 20.0, "variance_end": 20.0}, "too large to see anything but"),
        ({"anneal_fraction": 0.0, "variance_end": 1e-5}, "no data near enough to be drawn to"),
        ({}, None),
    ],
)
def test_a_failing_fit_says_so_once_while_it_trains(tmp_path, caplog, changes, seen):
    settings = ce.GeneratorSettings("moons", **SMALL | changes)
    fit(GENERATOR, settings, tmp_path / "run", load("moons"), machine=Machine(accelerator="cpu", log_every=2))
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(messages) == (seen is not None)
    assert all(seen in message and message.startswith("step ") for message in messages)
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header.endswith("alone,window,spread")
