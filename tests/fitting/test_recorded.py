"""Small fits keep their bytes: what they gave is recorded, and changes of structure change none of it."""

import csv
import hashlib
import json
import random
from pathlib import Path

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy.fitting.settings import load_for
from fits import fit

RECORDED = json.loads((Path(__file__).parent.parent / "recorded" / "fits.json").read_text())
SMALL = {
    "moons": ce.GeneratorSettings("moons", steps=40, width=32),
    "digits": ce.GeneratorSettings("digits", steps=30, width=32),
    "table": ce.GeneratorSettings("table.csv", steps=40, width=32, standardize=True),
    "components": ce.GeneratorSettings("digits", steps=30, width=32, principal_components=16),
    "autoencoder": ce.AutoencoderSettings("digits", steps=30, width=32, features=1, centers=4),
}


def this_processor():
    """What rounds alike."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines(keepends=True)
    except OSError:
        return None
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    flags = next((line for line in lines if line.startswith("flags")), "")
    return torch.__version__, model, hashlib.sha256(flags.encode()).hexdigest()[:16]


def write_table(path):
    """Three columns of units of their own."""
    draw = random.Random(0)
    rows = ["height,weight,age"]
    for _ in range(300):
        height = draw.gauss(170, 10)
        rows.append(f"{height:.1f},{0.5 * height + draw.gauss(0, 5):.2f},{draw.randint(18, 80)}")
    path.write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("name", SMALL)
def test_a_small_fit_gives_what_was_recorded(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "table.csv")
    run = fit(SMALL[name], tmp_path / "run", load_for(SMALL[name]))
    expected = RECORDED["fits"][name]
    with (run.folder / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    figures = run.evaluate().model
    same = this_processor() == (RECORDED["torch"], RECORDED["processor"], RECORDED["flags"])
    if same:
        digest = hashlib.sha256((run.folder / "weights.safetensors").read_bytes()).hexdigest()
        assert digest == expected["weights"]
    close = {"rel": 0, "abs": 0} if same else {"rel": 0.02, "abs": 0.02}  # another processor rounds otherwise
    for column, value in expected["metrics"].items():
        assert float(last[column]) == pytest.approx(value, **close), column
    for figure, value in expected["figures"].items():
        assert figures[figure] == pytest.approx(value, **close), figure
