import re

import pytest
from typer.testing import CliRunner

from contrastive_entropy.cli.app import app
from contrastive_entropy.cli.options import PANELS


def shown(command, columns):
    result = CliRunner().invoke(
        app, [*command, "--help"], env={"COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)}
    )
    assert result.exit_code == 0
    return re.sub(r"\x1b\[[\d;]*m", "", result.output)


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("kind", ["generator", "table", "autoencoder"])
def test_panels_come_in_order_and_nothing_is_cut(kind, columns):
    text = shown(["fit", kind], columns)
    places = [text.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns


def test_the_options_that_people_need_are_few():
    often = shown(["fit", "generator"], 120).split("Rarely needed")[0]
    assert len(re.findall(r"(?m)^│ +--[a-z]", often)) <= 20


@pytest.mark.parametrize("name", ["compare", "variance-sweep", "mode-coverage", "bound-tracking"])
def test_experiments_show_their_lists(name):
    assert "[default: 0,1,2" in " ".join(shown(["experiment", name], 120).split())


def test_a_setting_that_is_on_can_be_turned_off():
    text = shown(["experiment", "bound-tracking"], 120)
    assert "--no-free" in text
    assert "--no-standardize" not in text
