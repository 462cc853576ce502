"""The experiments' commands, which are made from their settings."""

import dataclasses

import pytest

from commands import call, refused
from contrastive_entropy.cli.experiment import EXPERIMENTS
from contrastive_entropy.experiments.settings import CompareSettings, VarianceSweepSettings, recorded
from contrastive_entropy.fitting.settings import settings_of


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_quick_changes_only_what_there_is(experiment):
    default = experiment.settings()
    known = {setting.name for setting in settings_of(experiment.settings)}
    if hasattr(default, "fit"):
        fit = {field.name for field in dataclasses.fields(default.fit)}
        assert set(default.SETS) <= fit
        known |= fit - set(default.SETS)
    assert set(experiment.quick) <= known


def test_a_result_records_what_was_asked_and_nothing_else():
    asked = recorded(VarianceSweepSettings(factors=(1.0,)))
    assert asked["steps"] == 2000
    assert asked["factors"] == (1.0,)
    assert not set(VarianceSweepSettings.SETS) & set(asked)
    assert "variance_end" in recorded(CompareSettings())


def test_lists_are_checked(tmp_path):
    sweep = ["experiment", "variance-sweep", "--out", tmp_path / "x"]
    refused(call(*sweep, "--seeds", "0,-1"), "--seeds must be at least 0, got -1")
    refused(call(*sweep, "--seeds", "0,x"), "--seeds must be whole numbers with commas between them")
    refused(call(*sweep, "--seeds", "1,1"), "--seeds names 1 twice; each counts once")
    assert not (tmp_path / "x").exists()
