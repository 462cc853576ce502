"""Fitting with Lightning: from a config to a finished run, and exact resume."""

import dataclasses
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
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from contrastive_entropy.checkpoint import SafetensorsCheckpointIO
from contrastive_entropy.config import AutoencoderConfig, Config, Machine, automatic_device, emulation
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import unevenness
from contrastive_entropy.errors import InputError, TrainingError
from contrastive_entropy.evaluation import require_enough
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.recording import ProgressBar, Recorder
from contrastive_entropy.runs import CHECKPOINT, TENSORBOARD, Run
from contrastive_entropy.steps import Fit, Network, initial_network
from contrastive_entropy.tracking import BoundTracker

logger = logging.getLogger("contrastive_entropy")


def fit(
    config: Config,
    folder: str | Path,
    dataset: Dataset,
    *,
    overwrite: bool = False,
    progress: bool = False,
    accelerator: str = "auto",
    devices: str | int = 1,
    precision: str = "32-true",
    log_every: int = 10,
    checkpoint_every: int = 100,
    track_every: int | None = None,
) -> Run:
    """Train a model into a new run folder.

    Args:
        config: what to fit: a `FitConfig` or an `AutoencoderConfig`.
        folder: of the run; made, with its parents.
        dataset: what `runs.load_for(config)` returned.
        overwrite: replace a run that is there.
        progress: show a progress bar on standard error.
        accelerator, devices: as Lightning's Trainer takes them.
        precision: of `config.PRECISIONS`.
        log_every: steps between rows of metrics.csv and TensorBoard.
        checkpoint_every: steps between checkpoints.
        track_every: steps between rows of bounds.csv of an autoencoder; None is 20 rows in all.

    Returns:
        The run; `run.finished` is False if a signal stopped it, and `resume` continues it.

    Raises:
        InputError: a value or the folder cannot be used.
        TrainingError: a term or a gradient is not finite.
    """
    machine = Machine(accelerator, str(devices), precision, log_every, checkpoint_every, track_every)
    require_enough(dataset)

    def create() -> Run:
        if is_main_process():
            run = Run.create(folder, config, dataset, machine=machine, overwrite=overwrite)
            _announce_variance(config, run.config, dataset)
            if run.config.principal_components < config.principal_components:
                spanned = run.config.principal_components
                logger.info("principal components: %d, all that the training points span", spanned)
            return run
        return Run.open(folder)

    return _train(create, Path(folder), config.steps, machine, dataset, None, progress)


def _announce_variance(asked: Config, resolved: Config, dataset: Dataset) -> None:
    """Say which variances the data chose, and if one cannot suit all columns."""
    chosen = [name for name in ("variance_start", "variance_end") if getattr(asked, name) is None]
    if asked.anneal_fraction == 0:
        chosen = [name for name in chosen if name == "variance_end"]
    if (uneven := unevenness(dataset)) is not None:
        logger.warning(uneven)
    if resolved.batch_size > len(dataset.train):
        logger.warning(
            "a batch of %d has more points than there are to train on, %d: they repeat in it; lower --batch-size",
            resolved.batch_size,
            len(dataset.train),
        )
    if dataset.schema.constant:
        columns = dataset.schema.names
        names = [columns[index] if columns else str(index) for index in dataset.schema.constant]
        logger.info("constant in the training points, and so in all samples: %s", ", ".join(names[:10]))
    if chosen:
        values = " and ".join(f"--{name.replace('_', '-')} {getattr(resolved, name):.4g}" for name in chosen)
        logger.info("chosen from the data: %s", values)


def resume(
    folder: str | Path,
    *,
    progress: bool = False,
    accelerator: str | None = None,
    devices: str | int | None = None,
    precision: str | None = None,
    log_every: int | None = None,
    checkpoint_every: int | None = None,
    track_every: int | None = None,
) -> Run:
    """Continue an interrupted run from its last checkpoint, or from its start if there is none.

    On the same machine, devices and precision the result equals the uninterrupted run's bit for bit.

    Args:
        folder: of the run.
        progress: as in `fit`.
        accelerator, devices, precision, log_every, checkpoint_every, track_every: None is what the run was started with.

    Returns:
        The run.

    Raises:
        InputError: no run there, it is finished, its data have changed, or its checkpoint is corrupt.
        TrainingError: a term or a gradient is not finite.
    """
    run = Run.open(folder)
    if run.finished:
        raise InputError(
            f"{run.folder} has finished all of its {run.config.steps} steps; there is nothing to resume: train longer "
            "with --overwrite and more --steps"
        )
    given: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": None if devices is None else str(devices),
        "precision": precision,
        "log_every": log_every,
        "checkpoint_every": checkpoint_every,
        "track_every": track_every,
    }
    machine = dataclasses.replace(run.machine, **{name: value for name, value in given.items() if value is not None})
    checkpoint = run.folder / CHECKPOINT
    start = checkpoint if checkpoint.is_file() else None
    return _train(lambda: run, run.folder, run.config.steps, machine, run.dataset(), start, progress)


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
        if checkpoint is None:
            network = initial_network(run.config, dataset)
        else:  # which holds all that the training points give
            network = run.config.network(dataset.dimension, dataset.image_shape)
        module = Fit(run.config, network, dataset.train.points)
        if isinstance(run.config, AutoencoderConfig):
            recorder.tracker = BoundTracker(dataset, seed=run.config.seed)
        try:
            trainer.fit(module, DataLoader(_Steps(), batch_size=None), ckpt_path=checkpoint)
        except SIGTERMException:
            return run
        except OSError as error:
            raise InputError(
                f"cannot write to {folder} ({error.strerror or error}); make room, then continue with: {run.resume_command}"
            ) from error
        except RuntimeError as error:
            if "loading state_dict" not in str(error):
                raise
            raise InputError(f"{checkpoint} does not fit {folder}/config.json; train again with --overwrite") from error
    if trainer.is_global_zero and trainer.global_step >= steps:
        _save(run, module.trained(), dataset.train.points[:64])
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


def _save(run: Run, network: Network, points: Tensor) -> None:
    """Weights in, checkpoint out; the last update has not been through a step's checks."""
    generator = torch.Generator().manual_seed(0)
    network.eval()
    if isinstance(network, MixtureDensityNetwork):
        outputs = network.sample(64, generator=generator)
    else:
        outputs = network.reconstruct(points.to(network.location.device), 1, generator=generator)
    if not bool(outputs.isfinite().all()):
        raise TrainingError(
            f"step {run.config.steps}: the network's outputs are not finite after the last update; train again with "
            "--overwrite and a lower --learning-rate"
        )
    try:
        run.save_weights(network)
        (run.folder / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {run.folder} ({error.strerror}); make room, then continue with: {run.resume_command}"
        ) from error


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
