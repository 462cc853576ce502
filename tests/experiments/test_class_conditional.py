import json

import pytest

from commands import call, refused


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    command = ("experiment", "class-conditional", "--quick", "--steps", 80, "--batch-size", 160, "--width", 64)
    result = call(*command, "--variance-end", 0.5, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder, command, result.output


def test_contenders_are_compared_class_by_class(found):
    folder, _, output = found
    result = json.loads((folder / "class-conditional.json").read_text())
    ours, theirs = (row["runs"][0] for row in result["rows"])
    assert [row["contender"] for row in result["rows"]] == ["debiased_nuclear_norm", "energy_score"]
    assert ours["accuracy"] > theirs["accuracy"]
    assert result["real"]["accuracy"] > 0.95
    assert result["real"]["class_tightness"] == pytest.approx(1, abs=0.1)
    assert result["real"]["feature_frechet"] < ours["feature_frechet"]
    assert "a classifier finds the class in" in output
    assert (folder / "class-conditional.png").stat().st_size > 10_000


def test_the_same_command_continues(found):
    folder, command, _ = found
    before = json.loads((folder / "class-conditional.json").read_text())
    assert call(*command, "--variance-end", 0.5, "--out", folder).exit_code == 0
    assert json.loads((folder / "class-conditional.json").read_text())["rows"] == before["rows"]


def test_what_cannot_be_compared_is_refused(tmp_path):
    refused(
        call("experiment", "class-conditional", "--contenders", "mmd", "--out", tmp_path), "unknown contender 'mmd'"
    )
    refused(
        call("experiment", "class-conditional", "--data", "inverse_sine", "--out", tmp_path),
        "inverse_sine has no classes",
    )


def test_figures_of_other_settings_are_not_taken(found):
    folder, command, _ = found
    refused(call(*command, "--variance-end", 0.6, "--out", folder), "holds a run with other settings")
    kept = folder / "runs" / "energy_score-0.figures.json"
    text = kept.read_text()
    kept.write_text(text.replace('"digits"', '"others"'))
    refused(call(*command, "--variance-end", 0.5, "--out", folder), "holds figures of other settings or data")
    kept.write_text(text)
