"""What every experiment shares: runs that are made once, and results with the command that made them."""

import json
import logging
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError, StoppedError
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.machine import Machine, automatic_device
from contrastive_entropy.fitting.run import CONFIG, Run, absolute
from contrastive_entropy.storage import read_json, write_json
from contrastive_entropy.version import VERSION

logger = logging.getLogger("contrastive_entropy")


class Clock:
    """Seconds that an experiment has taken, over all of its sessions.

    Args:
        folder: of the experiment; seconds.json keeps what earlier sessions took.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seconds.json"
        self._before = float((read_json(self._path) or {}).get("seconds", 0.0))
        self._start = time.monotonic()
        self.worked = not self._before
        """Whether this session has trained anything; to show finished runs again takes no time that counts."""

    def seconds(self) -> float:
        """So far; also kept in the folder."""
        total = self._before + (time.monotonic() - self._start if self.worked else 0.0)
        if self._path.parent.is_dir():
            write_json(self._path, {"seconds": round(total, 1)})
        return total


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = ["".join(f"| {cell} " if cell else "| " for cell in cells) + "|" for cells in (headings, *rows)]
    return "\n".join([lines[0], "|---" * len(headings) + "|", *lines[1:]])


def finished_run(
    kind: Kind,
    settings: Any,
    folder: Path,
    dataset: Dataset,
    clock: Clock,
    *,
    machine: Machine | None = None,
    label: str = "",
) -> Run:
    """The run of settings in a folder: as it is if finished, continued if begun, made if not there.

    Args:
        kind, settings, folder, dataset, machine: as in `trainer.fit`.
        clock: of the experiment.
        label: said before anything is trained.

    Raises:
        InputError: the folder holds a run with other settings, or of data that have changed.
        StoppedError: a signal asked for it.
    """
    machine = (machine or Machine()).resolved(convolves=kind.convolves)
    begun = (folder / CONFIG).is_file()
    if begun:
        run = Run.open(folder, [kind])
        if (
            run.settings != absolute(settings)
            or run.machine.resolved(convolves=kind.convolves).precision != machine.precision
        ):
            raise InputError(f"{folder} holds a run with other settings; choose another `out`")
        if run.data_digest != dataset.digest:
            raise InputError(
                f"{settings.data} has changed since {folder} was made; restore it, or choose another `out`"
            )
        if run.finished:
            return run
    clock.worked = True
    if label:
        logger.info(label)
    start = clock.seconds()
    if begun:
        run = trainer.resume(run, dataset=dataset, progress=True)
    else:
        run = trainer.fit(kind, settings, folder, dataset, machine=machine, progress=True)
    write_json(_seconds_of(run), {"seconds": round(training_seconds(run) + clock.seconds() - start, 3)})
    if not run.finished:
        raise StoppedError("stopped; the same command continues the experiment where it stood")
    return run


def kept(path: Path, asked: Mapping[str, Any], clock: Clock, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Figures that are computed once and kept in a file, so that the same command continues.

    Args:
        path: of the file.
        asked: what they depend on: settings, the data's digest ...
        clock: of the experiment.
        compute: gives them.

    Raises:
        InputError: the file has figures of something else.
    """
    known, wanted = read_json(path), json.loads(json.dumps(asked))
    if known is not None:
        if known["asked"] != wanted:
            raise InputError(f"{path} holds figures of other settings or data; choose another `out`")
        return dict(known["figures"])
    clock.worked = True
    found = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"asked": wanted, "figures": found})
    return found


def training_seconds(run: Run) -> float:
    """What `finished_run` took for a run, over all of its sessions that were not killed."""
    return float((read_json(_seconds_of(run)) or {}).get("seconds", 0.0))


def _seconds_of(run: Run) -> Path:
    return run.folder.parent / f"{run.folder.name}.seconds.json"


def write_result(
    path: Path,
    config: dict[str, Any],
    seeds: list[int],
    clock: Clock,
    rows: dict[str, Any],
) -> None:
    """Write a result: command, settings, seeds, commit, versions, device, wall time and what was found.

    Args:
        path: of the JSON file.
        config: settings.
        seeds: all that were used.
        clock: of the experiment.
        rows: the findings, by name.
    """
    write_json(
        path,
        {
            "command": shlex.join(["contrastive-entropy", *sys.argv[1:]]),
            "config": config,
            "seed": seeds[0] if len(seeds) == 1 else seeds,
            "commit": commit(),
            "version": VERSION,
            "torch": torch.__version__,
            "device": device_name(),
            "wall_seconds": round(clock.seconds(), 1),
            **rows,
        },
    )


def device_name() -> str:
    """What a run takes by default: the accelerator's name, or the threads of the CPU."""
    if automatic_device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads of {platform.machine()} CPU"


def commit() -> str | None:
    """Of the source tree that this package runs from, or None if it is installed, be it within another repository."""
    folder = Path(__file__).parents[3]
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def mean_and_error(values: list[float]) -> list[float]:
    """Mean, and standard error over the seeds (0 for a single one)."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return [statistics.fmean(values), error]


def over_seeds(values: list[float], *, digits: int) -> str:
    """`mean +- standard error` of the seeds' values; the value alone where there is but one seed."""
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f} +- {error:.{digits}f}" if len(values) > 1 else f"{mean:.{digits}f}"


def shown(mean: float, error: float, *, digits: int) -> str:
    """`mean +- error`; the mean alone where there is but one seed."""
    return f"{mean:.{digits}f} +- {error:.{digits}f}" if error else f"{mean:.{digits}f}"
