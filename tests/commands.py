"""The command line as a test calls it."""

import sys
from pathlib import Path

from typer.testing import CliRunner


def call(*arguments):
    from contrastive_entropy.cli.app import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result, *parts, code=2):
    """One line on standard error, no traceback, the given exit code."""
    assert result.exit_code == code, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: " if code == 2 else "training stopped: ")
    for part in parts:
        assert part in lines[0]


SMALL = [
    "--steps",
    "20",
    "--batch-size",
    "32",
    "--components",
    "32",
    "--width",
    "16",
    "--depth",
    "1",
    "--accelerator",
    "cpu",
]
"""Options of a fit that takes a second."""

COMMAND = [
    *("--data", "moons", "--steps", "1000", "--batch-size", "32", "--components", "32", "--width", "16"),
    *("--accelerator", "cpu", "--precision", "bf16-mixed", "--log-every", "7", "--checkpoint-every", "50"),
]


def command(folder, *extra):
    """The program itself, as another process."""
    program = str(Path(sys.executable).parent / "contrastive-entropy")
    return [program, "fit", "generator", "--out", str(folder), *extra]
