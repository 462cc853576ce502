"""Experiments as their user runs them, made small."""

import json

import pytest
from typer.testing import CliRunner

from contrastive_entropy.cli import app


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result, *parts):
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for part in parts:
        assert part in lines[0]


def test_mode_coverage(tmp_path):
    out = tmp_path / "modes"
    arguments = ["experiment", "mode-coverage", "--out", out, "--steps", 5, "--seeds", "0,1", "--samples", 200]
    result = call(*arguments, "--laws", "ring8, grid25")
    assert result.exit_code == 0, result.output
    found = json.loads((out / "mode-coverage.json").read_text())
    assert [(row["law"], row["modes"], len(row["model"])) for row in found["rows"]] == [
        ("ring8", 8, 2),
        ("grid25", 25, 2),
    ]
    for row in found["rows"]:
        assert all(0 < seconds < 100 for seconds in row["seconds"])
        assert {score["modes"] for score in row["real"]} == {row["modes"]}
        assert all(score["high_quality"] > 0.95 for score in row["real"])
        assert all(score["high_quality"] < 0.5 for score in row["model"])  # five steps
    assert found["settings"]["grid25"]["noise_dimension"] == 2
    assert "runs reach all 8 modes" in result.stdout
    assert (out / "mode-coverage.png").stat().st_size > 10_000
    seconds = found["rows"][0]["seconds"]
    assert call(*arguments, "--laws", "ring8").exit_code == 0
    again = json.loads((out / "mode-coverage.json").read_text())
    assert again["rows"][0]["seconds"] == seconds  # what training took, not what reading it takes
    assert again["rows"][0]["model"] == found["rows"][0]["model"]
    refused(
        call(*arguments, "--laws", "moons"), "moons has no separate modes; those that have are ring8, grid25, modes1200"
    )
    refused(call(*arguments, "--laws", "ring8", "--objective", "nuclear_norm"), "holds a run with other settings")


@pytest.mark.parametrize("name", ["bound-tracking", "reconstruction-diversity", "mode-coverage"])
def test_every_experiment_explains_itself(name):
    result = call("experiment", name, "--help")
    assert result.exit_code == 0
    assert "--quick" in result.stdout
