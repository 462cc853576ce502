"""What a fit leaves while it runs: metrics, bounds, checkpoints, warnings and a progress bar."""

import csv
import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from contrastive_entropy.fitting.loop import Fit
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.run import BOUNDS, CHECKPOINT, METRICS
from contrastive_entropy.metrics.diagnosis import SIGNATURES, diagnose_training
from contrastive_entropy.metrics.monitors import monitors
from contrastive_entropy.storage import write_atomically

Tracker = Callable[[Any], dict[str, dict[str, float]]]
"""A network as it stands to figures by part."""

PATIENCE = 10
"""Rows of metrics.csv in which a failure must show before it is reported."""

logger = logging.getLogger("contrastive_entropy")


class Recorder(Callback):
    """Metrics and checkpoints of the main process."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder = folder
        self.machine = machine
        self.rows: list[dict[str, Any]] = []
        self.bounds: list[dict[str, Any]] = []
        self.tracker: Tracker | None = None
        self.ill = dict.fromkeys(SIGNATURES, 0)
        self.reported: set[str] = set()
        self.stop_requested: Callable[[], bool] = lambda: False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the rows up to the checkpoint, so that a resumed run's file equals an uninterrupted one's."""
        self.rows, self.bounds = (_rows_up_to(self.folder / name, trainer.global_step) for name in (METRICS, BOUNDS))
        if trainer.global_step and trainer.is_global_zero:
            logger.info("continuing after step %d", trainer.global_step)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record, save, and stop if a signal asked for it."""
        assert isinstance(pl_module, Fit)
        steps = pl_module.plan.steps
        step, last = trainer.global_step, trainer.global_step >= steps
        stop = self.stop_requested()
        if (step % self.machine.log_every == 0 or last) and trainer.is_global_zero:
            row = pl_module.measured()
            assert pl_module.outcome is not None
            if pl_module.outcome.watched is not None:
                row |= monitors(*pl_module.outcome.watched)
                self._diagnose(pl_module, step, row)
            self.rows.append({"step": step, **row})
            if trainer.logger is not None:
                trainer.logger.log_metrics(row, step)
        if self.tracker is not None and trainer.is_global_zero:
            every = self.machine.track_every or max(1, steps // 20)
            if step % every == 0 or last:
                self._track(trainer, pl_module, step)
        if step % self.machine.checkpoint_every == 0 or last or stop:
            if trainer.is_global_zero:
                self._write_rows()  # first: rows beyond the checkpoint are dropped on resuming, missing ones stay missing
            trainer.save_checkpoint(self.folder / CHECKPOINT)
        trainer.should_stop = trainer.should_stop or stop

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep the rows: they show how it came to this."""
        if trainer.is_global_zero and not isinstance(exception, OSError):
            self._write_rows()

    def _diagnose(self, module: Fit, step: int, row: dict[str, float]) -> None:
        """Say what has been wrong for `PATIENCE` rows, or is at the end, once in a session."""
        fall, steps = module.plan.variance, module.plan.steps
        at_end = fall.over(step - 1, steps) or row["variance"] == fall.end
        found = {diagnosis.name: diagnosis for diagnosis in diagnose_training(row, at_end=at_end, steps=steps)}
        for name in SIGNATURES:
            self.ill[name] = self.ill[name] + 1 if name in found else 0
            last = step >= steps and name in found
            if (self.ill[name] == PATIENCE or last) and name not in self.reported:
                self.reported.add(name)
                logger.warning("step %d: %s", step, found[name])

    def _track(self, trainer: L.Trainer, module: Fit, step: int) -> None:
        assert self.tracker is not None
        assert module.now is not None
        assert module.outcome is not None
        module.settle()
        variances = {"variance": module.now.variance, **module.outcome.extra}
        for part, figures in self.tracker(module.network).items():
            self.bounds.append({"step": step, "part": part, **variances, **figures})
            module.tracked[part] = figures["tightness"]
            if trainer.logger is not None:
                trainer.logger.log_metrics({f"{part}/{name}": value for name, value in figures.items()}, step)

    def _write_rows(self) -> None:
        for name, rows in ((METRICS, self.rows), (BOUNDS, self.bounds)):
            if not rows:
                continue
            text = io.StringIO()
            columns = list(dict.fromkeys(name for row in rows for name in row))  # an older version wrote fewer
            writer = csv.DictWriter(text, columns, restval="nan", lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, "step": int(row["step"])} for row in rows)
            write_atomically(self.folder / name, text.getvalue().encode())


def _rows_up_to(path: Path, step: int) -> list[dict[str, Any]]:
    """The rows of a table so far; numbers, but for the name of the part."""
    if not step or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        read = [row for row in csv.DictReader(file) if float(row["step"]) <= step]
    return [{name: value if name == "part" else float(value) for name, value in row.items()} for row in read]


class ProgressBar(Callback):
    """Steps, speed, objective, tightness, variance and time left; single lines where there is no terminal."""

    def __init__(self, steps: int) -> None:
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[speed]} | {task.fields[status]} | left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.steps = steps
        self.task: TaskID | None = None
        self.clock = self.shown = 0.0
        self.first = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin where the run stands."""
        self.clock = self.shown = time.monotonic()
        self.first = trainer.global_step
        if trainer.is_global_zero:
            self.progress.start()
            self.task = self.progress.add_task("fit", total=self.steps, completed=self.first, speed="", status="")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the latest figures, a few times a second on a terminal, every ten seconds elsewhere."""
        now, step = time.monotonic(), trainer.global_step
        interval = 10.0 if self.progress.disable else 0.25
        if self.task is None or (now - self.shown < interval and step < self.steps):
            return
        assert isinstance(pl_module, Fit)
        self.shown = now
        row = pl_module.measured()
        rate = (step - self.first) / max(now - self.clock, 1e-9)
        speed = f"{rate:.1f} steps/s"
        tracked = pl_module.tracked
        tightness = " / ".join(f"{value:.4f} {part.replace('_', '-')}" for part, value in tracked.items())
        tightness = tightness or (f"{row['tightness']:.4f}" if "tightness" in row else "")
        parts = [f"{pl_module.plan.objective} {row['objective']:.4f}"]
        parts += [f"tightness {tightness}"] if tightness else []
        parts += [f"variance {row['variance']:.3g}"] if "variance" in row else []
        status = " | ".join(parts)
        if self.progress.disable:
            line = f"step {step}/{self.steps} | {speed} | {status} | {(self.steps - step) / rate:.0f} s left"
            self.progress.console.print(line, soft_wrap=True, highlight=False)
        else:
            self.progress.update(self.task, completed=step, speed=speed, status=status)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the last line standing."""
        self.progress.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.progress.stop()
