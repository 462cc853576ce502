"""What every experiment shares: runs that are made once, and results with the command that made them."""

import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from contrastive_entropy import __version__, training
from contrastive_entropy.config import Config
from contrastive_entropy.data import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.runs import CONFIG, Run, write_json


class StoppedError(InputError):
    """A signal stopped an experiment; the same command continues it."""


def finished_run(config: Config, folder: Path, dataset: Dataset) -> Run:
    """The run of a config in a folder: as it is if finished, continued if begun, made if not there.

    Raises:
        InputError: the folder holds a run with other settings.
        StoppedError: a signal asked for it.
    """
    if (folder / CONFIG).is_file():
        run = Run.open(folder)
        if run.config != Run.resolved(config, dataset):
            raise InputError(f"{folder} holds a run with other settings; choose another --out")
        if not run.finished:
            run = training.resume(folder, progress=True)
    else:
        run = training.fit(config, folder, dataset, progress=True)
    if not run.finished:
        raise StoppedError("stopped; the same command continues the experiment where it stood")
    return run


def write_result(path: Path, config: dict[str, Any], seeds: list[int], start: float, rows: dict[str, Any]) -> None:
    """Write a result: command, settings, seeds, commit, versions, device, wall time and what was found.

    Args:
        path: of the JSON file.
        config: settings.
        seeds: all that were used.
        start: `time.monotonic()` when this session of the experiment began.
        rows: the findings, by name.
    """
    write_json(
        path,
        {
            "command": shlex.join(["contrastive-entropy", *sys.argv[1:]]),
            "config": config,
            "seed": seeds[0] if len(seeds) == 1 else seeds,
            "commit": commit(),
            "version": __version__,
            "torch": torch.__version__,
            "device": f"{torch.get_num_threads()} threads of {platform.machine()} CPU",
            "wall_seconds": round(time.monotonic() - start, 1),
            **rows,
        },
    )


def commit() -> str | None:
    """Of the source tree that this package runs from, or None if it is installed."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
