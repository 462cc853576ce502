"""The command line as a test calls it."""

from typer.testing import CliRunner

from contrastive_entropy.cli import app


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result, *parts, code=2):
    """One line on standard error, no traceback, the given exit code."""
    assert result.exit_code == code, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: " if code == 2 else "training stopped: ")
    for part in parts:
        assert part in lines[0]
