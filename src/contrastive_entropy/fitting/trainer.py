"""Fitting with Lightning: from settings to a finished run, and exact resume."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException  # type: ignore[attr-defined]
from lightning.pytorch.utilities.rank_zero import rank_zero_only  # type: ignore[attr-defined]
from torch.utils.data import DataLoader, IterableDataset

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.data.scales import unevenness
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError, StoppedError, TrainingError
from contrastive_entropy.fitting.checkpoint import SafetensorsCheckpointIO
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.loop import Fit
from contrastive_entropy.fitting.machine import Machine, automatic_device, emulation
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.recorder import ProgressBar, Recorder
from contrastive_entropy.fitting.run import (
    CHECKPOINT,
    CONFIG,
    TENSORBOARD,
    Run,
    absolute,
    refuse_other_units,
    refuse_taken,
)
from contrastive_entropy.fitting.settings import settings_of
from contrastive_entropy.metrics.neighborhoods import require_enough

logger = logging.getLogger("contrastive_entropy")


def fit(
    kind: Kind,
    settings: Any,
    folder: str | Path,
    dataset: Dataset,
    *,
    machine: Machine | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Run:
    """Train a model into a new run folder.

    Args:
        kind: of model.
        settings: what is asked of it.
        folder: of the run; made, with its parents.
        dataset: what `kind.load(settings)` returned.
        machine: where it runs; None is the defaults.
        overwrite: replace a run that is there.
        progress: show a progress bar on standard error.

    Returns:
        The run; `run.finished` is False if a signal stopped it, and `resume` continues it.

    Raises:
        InputError: a value or the folder cannot be used.
        TrainingError: a term or a gradient is not finite.
    """
    machine = (machine or Machine()).resolved(convolves=kind.convolves)
    refuse_other_units(settings, dataset)
    require_enough(dataset.name, len(dataset.train), len(dataset.held_out))

    def create() -> Run:
        if is_main_process():
            run = Run.create(folder, kind, settings, dataset, machine=machine, overwrite=overwrite)
            _announce(settings, run.plan, dataset)
            _wait_for_others()
            return run
        _wait_for_others()
        return Run.open(folder, [kind])

    steps = settings.steps or kind.plan(settings, dataset).steps  # where they are chosen, a plan takes no time
    return _train(create, Path(folder), steps, machine, dataset, None, progress)


def prepare(
    kind: Kind,
    settings: Any,
    folder: Path,
    *,
    machine: Machine | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> tuple[Any, Dataset]:
    """Load the data of a fit, and make what it needs another fit for: trained, continued, or as it is where finished.

    Args:
        kind, settings, folder, machine, overwrite, progress: as in `fit`.

    Returns:
        The settings of the fit, which name the other one's folder, and the data.

    Raises:
        InputError: that folder holds something else, or a value cannot be used.
        StoppedError: a signal stopped the other fit.
    """
    first = None if kind.first is None else kind.first(settings, folder)
    if first is None:
        return settings, kind.load(settings)
    refuse_taken(folder, overwrite=overwrite)  # before what takes minutes
    dataset = kind.load(first.then)
    if (first.folder / CONFIG).is_file():
        run = Run.open(first.folder, [first.kind])
        if run.settings != absolute(first.settings):
            raise InputError(
                f"{first.folder} holds a run with other settings; give it as `space`, or choose another `out`"
            )
        if not run.finished:
            run = resume(run, machine=machine, progress=progress)
    else:
        logger.info("first %s, into %s", first.kind.name, first.folder)
        data = first.data(dataset)
        run = fit(first.kind, first.settings, first.folder, data, machine=machine, progress=progress)
    if not run.finished:
        raise StoppedError("stopped; the same command continues the fit where it stood")
    return first.then, dataset


def _announce(settings: Any, plan: Plan, dataset: Dataset) -> None:
    """Say what the data chose, and if one variance cannot suit all columns."""
    if (uneven := unevenness(dataset)) is not None:
        logger.warning(uneven)
    asked = {setting.name: getattr(settings, setting.name) for setting in settings_of(type(settings))}
    batch = getattr(plan.model, "facing", None) or asked.get("batch_size") or 0
    if plan.variance.used and batch > len(dataset.train):
        logger.warning(
            "a batch of %d has more points than there are to train on, %d: they repeat in it; lower `batch_size`",
            batch,
            len(dataset.train),
        )
    for note in dataset.notes:
        logger.info("%s", note)
    schema = dataset.schema
    if isinstance(schema, MixedTable):
        logger.info("%s", schema.described())
    if isinstance(schema, Table) and schema.constant:
        columns = [schema.columns[column].name for column in schema.constant]
        logger.info("constant in the training points, and so in all samples: %s", ", ".join(columns[:10]))
    fall, chosen = plan.variance, []
    if fall.used:
        chosen = [("variance_start", fall.start)] if fall.fraction > 0 else []
        chosen += [("variance_end", fall.end)]
    values = [f"`{name}` {value:.4g}" for name, value in chosen if name in asked and asked[name] is None]
    if values:
        logger.info("chosen from the data: %s", " and ".join(values))
    written = getattr(plan.model, "principal_components", 0)
    if written < asked.get("principal_components", 0):
        logger.info("principal components: %d, all that the training points span", written)


def resume(run: Run, *, machine: Machine | None = None, dataset: Dataset | None = None, progress: bool = False) -> Run:
    """Continue an interrupted run from its last checkpoint, or from its start if there is none.

    On the same machine, devices and precision the result equals the uninterrupted run's bit for bit.

    Args:
        run: as it was opened.
        machine: None is what the run was started with.
        dataset: what the run was started with; None loads it.
        progress: as in `fit`.

    Returns:
        The run.

    Raises:
        InputError: it is finished, its data have changed, or its checkpoint is corrupt.
        TrainingError: a term or a gradient is not finite.
    """
    if run.finished:
        raise InputError(
            f"{run.folder} has finished all of its {run.plan.steps} steps; there is nothing to resume: train longer "
            "with `overwrite` and more `steps`"
        )
    checkpoint = run.folder / CHECKPOINT
    start = checkpoint if checkpoint.is_file() else None
    data = run.dataset() if dataset is None else dataset
    machine = (machine or run.machine).resolved(convolves=run.kind.convolves)
    return _train(lambda: run, run.folder, run.plan.steps, machine, data, start, progress)


def _train(
    prepare: Callable[[], Run],
    folder: Path,
    steps: int,
    machine: Machine,
    dataset: Dataset,
    checkpoint: Path | None,
    progress: bool,
) -> Run:
    """Nothing is written, and nothing is replaced, before Lightning has accepted the machine's settings."""
    recorder = Recorder(folder, machine)
    callbacks: list[Callback] = [recorder, *([ProgressBar(steps)] if progress else [])]
    with _quiet_lightning(), torch.random.fork_rng(devices=[]), _stop_on_signal() as stop_requested:
        recorder.stop_requested = stop_requested
        trainer = _trainer(folder, steps, machine, callbacks)
        run = prepare()
        slow = emulation(machine.precision) if trainer.strategy.root_device.type == "cpu" else None
        if slow and trainer.is_global_zero:
            logger.warning(slow)
        network = run.kind.network(run.plan, dataset.schema)
        if checkpoint is None:  # else that holds all that the training points give
            run.kind.place(network, dataset)
        module = Fit(run.plan, run.kind.step(run.plan, network, dataset))
        track = run.kind.track
        if track is not None:
            recorder.tracker = lambda network: track(network, dataset, run.plan.seed)
        try:
            trainer.fit(module, DataLoader(_Steps(), batch_size=None), ckpt_path=checkpoint)
        except SIGTERMException:
            return run
        except OSError as error:
            raise InputError(
                f"cannot write to {folder} ({error.strerror or error}); make room, then continue with `resume`"
            ) from error
        except RuntimeError as error:
            if "loading state_dict" not in str(error):
                raise
            raise InputError(f"{checkpoint} does not fit {folder}/config.json; train again with `overwrite`") from error
    if trainer.is_global_zero and trainer.global_step >= steps:
        _save(run, module.trained(), dataset)
    trainer.strategy.barrier()  # before another process asks whether the run is finished
    return run


def _trainer(folder: Path, steps: int, machine: Machine, callbacks: list[Callback]) -> L.Trainer:
    try:
        return L.Trainer(
            accelerator=automatic_device().type if machine.accelerator == "auto" else machine.accelerator,
            devices=machine.devices,
            precision=machine.precision,  # type: ignore[arg-type]
            max_epochs=-1,
            max_steps=steps,
            callbacks=callbacks,
            plugins=[SafetensorsCheckpointIO()],
            logger=TensorBoardLogger(str(folder), name="", version=TENSORBOARD),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, RuntimeError, TypeError, ImportError) as error:
        # Lightning's own view of its arguments
        raise InputError(f"cannot train so: {str(error).splitlines()[0]}") from error


def _save(run: Run, network: Any, dataset: Dataset) -> None:
    """Weights in, checkpoint out; the last update has not been through a step's checks."""
    network.eval()
    samples = run.kind.sample(network, lambda: dataset, 64, generator=torch.Generator().manual_seed(0))
    weights = [value for value in network.state_dict().values() if value.is_floating_point()]
    missing = samples.isnan() if isinstance(dataset.schema, MixedTable) else torch.zeros_like(samples, dtype=torch.bool)
    if not bool((samples.isfinite() | missing).all()) or not all(bool(value.isfinite().all()) for value in weights):
        raise TrainingError(
            f"step {run.plan.steps}: the network's outputs are not finite after the last update; train again with "
            "`overwrite` and a lower `learning_rate`"
        )
    try:
        run.save_weights(network)
        (run.folder / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {run.folder} ({error.strerror}); make room, then continue with `resume`"
        ) from error


def _wait_for_others() -> None:
    """Where an earlier fit has joined processes; before that, Lightning starts the others when all is written."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def is_main_process() -> bool:
    """False in the further processes that Lightning starts for more devices than one."""
    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


class _Steps(IterableDataset[int]):
    """An endless stream of tokens: the step number alone decides what a step sees."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's banners, and its advice about data loaders, validation and log intervals."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM asks for a stop at the end of the step; a second SIGINT interrupts at once."""
    requested = threading.Event()

    def request(number: int, frame: Any) -> None:
        if requested.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        requested.set()

    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
