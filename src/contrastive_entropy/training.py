"""Fitting with Lightning: objective, variance schedule, progress, logs, checkpoints and exact resume."""

import csv
import dataclasses
import io
import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException  # type: ignore[attr-defined]
from lightning.pytorch.utilities.rank_zero import rank_zero_only  # type: ignore[attr-defined]
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, IterableDataset

from contrastive_entropy.bounds import Bound
from contrastive_entropy.checkpoint import SafetensorsCheckpointIO
from contrastive_entropy.conditional import (
    JointMixture,
    conditional_log_likelihood,
    conditional_normalized_inner_product,
    conditional_trace,
)
from contrastive_entropy.config import ADAPTIVE, AutoencoderConfig, Config, FitConfig, Machine, emulation
from contrastive_entropy.data import Dataset
from contrastive_entropy.diagnostics import SIGNATURES, diagnose_training, monitors, share_alone
from contrastive_entropy.errors import InputError, TrainingError
from contrastive_entropy.evaluation import require_enough
from contrastive_entropy.marginal import OBJECTIVES
from contrastive_entropy.mixture import GaussianMixture
from contrastive_entropy.models import EncoderMixtureDecoder, MixtureDensityNetwork
from contrastive_entropy.principal import principal_directions
from contrastive_entropy.runs import BOUNDS, CHECKPOINT, METRICS, TENSORBOARD, Run, write_atomically
from contrastive_entropy.tracking import BoundTracker
from contrastive_entropy.variance import SCHEDULES, geometric_schedule

PATIENCE = 10
"""Rows of metrics.csv in which a failure must show before it is reported."""

UNEVEN = 5.0
"""Ratio of columns' standard deviations beyond which one variance does not suit them all."""

logger = logging.getLogger("contrastive_entropy")

Network = MixtureDensityNetwork | EncoderMixtureDecoder


ADAPT_ALONE, ADAPT_PACE, ADAPT_LOOKED = 0.1, 2.0, 128
"""Of the adaptive schedule: the share of model points without data near enough from which on it waits, its pace in units of
the geometric one's when it catches up, and how many model points it looks at."""


class Fit(L.LightningModule):
    """One step: draw data and noise, evaluate the objective at the scheduled variance, follow its gradient.

    All randomness of step t comes from (seed, t, rank) alone, so a resumed run repeats an uninterrupted one.

    Args:
        config: with all variances chosen.
        network: what is fitted.
        data: (n, d) training points, kept on the CPU.
    """

    def __init__(self, config: Config, network: Network, data: Tensor) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.points = data
        self.bound: Bound | None = None
        self.weight = 1.0
        self.mixtures: tuple[GaussianMixture, GaussianMixture] | None = None
        self.tracked: dict[str, float] = {}
        self.average: AveragedModel | None = None
        if isinstance(config, FitConfig) and config.average_fraction > 0:
            self.average = AveragedModel(self._body(), multi_avg_fn=partial(_average, config.average_fraction))
            self.average.requires_grad_(requires_grad=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, in one kernel where there is one: four times faster on decoders with many outputs."""
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate, fused=fused)

    def on_train_start(self) -> None:
        """Bring an optimiser's loaded state to its weights' order in memory: fused kernels take that for granted."""
        for optimizer in self.trainer.optimizers:
            for weights, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == weights.shape:
                        state[name] = torch.empty_like(weights, dtype=value.dtype).copy_(value)

    def scheduled_variance(self, step: int) -> float:
        """The density's variance at a step."""
        if self.config.schedule == ADAPTIVE and step > 0:
            return float(self.network.variance)
        return self._scheduled(step)

    def adapt(self, step: int, p: GaussianMixture, q: GaussianMixture) -> None:
        """Behind a step of the adaptive schedule: the next variance. Where no step waits, the geometric schedule's.

        Args:
            step: that was made.
            p, q: its data and model points.
        """
        c = self.config
        if c.schedule != ADAPTIVE or self.annealed(step):
            return
        if share_alone(p, GaussianMixture(q.centers[:ADAPT_LOOKED], q.variance)) > ADAPT_ALONE:
            return
        now, target = (self._scheduled(at) for at in (step, step + 1))
        caught_up = float(self.network.variance) * (target / now) ** ADAPT_PACE
        # a new tensor: the step's mixtures keep theirs; on several devices the first one's is sent to all before a step
        self.network.variance = torch.full_like(self.network.variance, max(target, caught_up))

    def average_weights(self) -> None:
        """Behind a step, count its weights in."""
        if self.average is not None:
            self.average.update_parameters(self._body())

    def trained(self) -> Network:
        """Behind the last step: the network, with the average of its weights if the config asks for it."""
        if self.average is not None and self.average.n_averaged > 0:
            self._body().load_state_dict(self.average.module.state_dict())
        return self.network

    def _body(self) -> torch.nn.Module:
        assert isinstance(self.network, MixtureDensityNetwork)  # only its weights are averaged
        return self.network.body

    def _scheduled(self, step: int) -> float:
        c = self.config
        assert c.variance_start is not None  # both are chosen by FitConfig.resolve
        assert c.variance_end is not None
        schedule = SCHEDULES.get(c.schedule, geometric_schedule)  # adaptive: what it waits from
        return schedule(step, steps=c.steps, start=c.variance_start, end=c.variance_end, fraction=c.anneal_fraction)

    def annealed(self, step: int) -> bool:
        """Whether the variance falls no more."""
        return step >= self.config.anneal_fraction * self.config.steps

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Also let an adaptive variance fall, and average the weights, before anything is recorded or saved."""
        step = self.global_step
        super().optimizer_step(*args, **kwargs)
        self.average_weights()
        if self.mixtures is not None:
            self.adapt(step, *self.mixtures)

    def scheduled_rate(self, step: int) -> float:
        """The learning rate at a step: constant, then linear to 0."""
        c = self.config
        # the last tenth where the variance anneals to the end
        share = max(1 - c.anneal_fraction, 0.1) if c.decay_fraction is None else c.decay_fraction
        return c.learning_rate * (min(1.0, (c.steps - step) / (c.steps * share)) if share > 0 else 1.0)

    def drawn(self, step: int, rank: int = 0) -> tuple[Tensor, torch.Generator]:
        """The batch of a step, (s, d) on the module's device, and the generator of its noise; sets the variance."""
        generator = step_generator(self.config.seed, step, rank)
        index = torch.randint(len(self.points), (self.config.batch_size,), generator=generator)
        self.network.variance.fill_(self.scheduled_variance(step))
        return self.points[index].to(self.device), generator

    def data_and_model(self, x: Tensor, generator: torch.Generator) -> tuple[GaussianMixture, GaussianMixture]:
        """A batch (s, d) and fresh points of a mixture density network, as mixtures of the network's variance.

        Both in the principal components, if the config asks for them.
        """
        assert isinstance(self.config, FitConfig)
        assert isinstance(self.network, MixtureDensityNetwork)
        q = self.network(self.network.draw_noise(self.config.components, generator=generator), projected=True)
        return GaussianMixture(self.network.project(x), q.variance), q

    def coarsened(
        self, step: int, p: GaussianMixture, q: GaussianMixture, generator: torch.Generator
    ) -> tuple[GaussianMixture, GaussianMixture, float]:
        """What a step's objective sees of its data and model points, and its weight.

        Every `coarse_every` steps a larger variance, log-uniform up to the start's, and the root of the ratio: gradients
        of the log of an inner product fall with the root of the variance, and Adam sees all of them together.
        """
        assert isinstance(self.config, FitConfig)
        period, start = self.config.coarse_period, self.config.variance_start
        if not period or step % period:
            return p, q, 1.0
        assert start is not None
        variance = float(q.variance)
        if start <= variance:
            return p, q, 1.0
        ratio = (start / variance) ** float(torch.rand((), generator=generator))
        larger = ratio * variance
        return GaussianMixture(p.centers, larger), GaussianMixture(q.centers, larger), math.sqrt(ratio)

    def model_and_objective(
        self, x: Tensor, generator: torch.Generator, step: int
    ) -> tuple[GaussianMixture, Callable[[], Bound]]:
        """What the network answers to a batch (s, d), and the objective of it, to be evaluated without autocast.

        Both in the principal components, if the config asks for them; sets an autoencoder's feature variance.
        """
        config, network = self.config, self.network
        if isinstance(config, FitConfig):
            self.mixtures = p, q = self.data_and_model(x, generator)
            *coarse, self.weight = self.coarsened(step, p, q, generator)
            return q, partial(marginal_bound, config, *coarse)
        assert isinstance(network, EncoderMixtureDecoder)
        network.feature_variance.fill_(scheduled_feature_variance(config, step))
        features = network.encode(x)
        conditions = network.add_noise(features, generator=generator)
        q = network.mixture(conditions, generator=generator, projected=True)
        joint = (features.detach().float(), conditions.detach().float(), float(network.feature_variance))
        return q, partial(conditional_step_bound, config, network.project(x), q, *joint)

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """Minus the objective's value on a fresh batch, with the weight of the step."""
        step = self.global_step
        x, generator = self.drawn(step, self.global_rank)
        for group in self.optimizers(use_pl_optimizer=False).param_groups:  # type: ignore[union-attr]
            group["lr"] = self.scheduled_rate(step)
        q, objective = self.model_and_objective(x, generator, step)
        with torch.autocast(self.device.type, enabled=False):
            try:
                self.bound = objective()
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # not finite, or not positive definite
                raise self._not_finite(step, {}, q.centers) from error
            if not math.isfinite(self.bound.value.detach()):
                raise self._not_finite(step, self.bound.terms, q.centers)
            return -self.weight * self.bound.value

    def measured_bound(self) -> Bound:
        """The last step's, at the variance that the fit has reached."""
        if self.weight != 1:
            assert isinstance(self.config, FitConfig)
            assert self.mixtures is not None
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                return marginal_bound(self.config, *self.mixtures)
        assert self.bound is not None
        return self.bound

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop on a gradient that is not finite; with 16-bit loss scaling that is the scaler's own business."""
        if self.trainer.precision == "16-mixed":
            return
        for name, parameter in self.network.named_parameters():
            if parameter.grad is None or math.isfinite(torch.nn.utils.get_total_norm([parameter.grad])):
                continue
            raise TrainingError(
                f"step {self.global_step}: the gradient of {name} is not finite, or too large for float32, although the "
                f"objective is finite ({self.config.objective}, variance {float(self.network.variance):.4g}); "
                "train again with --overwrite and a lower --learning-rate or a higher --variance-end or --smoothing"
            )

    def _not_finite(self, step: int, terms: Mapping[str, Tensor], centers: Tensor) -> TrainingError:
        bad = [name for name, term in terms.items() if not bool(term.isfinite().all())]
        if not bool(centers.isfinite().all()):
            cause = "the network's outputs are not finite: train again with --overwrite and a lower --learning-rate"
        else:
            cause = (
                "no model point is near any data at this variance: train again with --overwrite and a higher "
                "--variance-end or more --steps"
            )
        return TrainingError(
            f"step {step}: {', '.join(bad) or 'the objective'} of {self.config.objective} is not finite at variance "
            f"{float(self.network.variance):.4g}; {cause}"
        )


def _average(fraction: float, averages: list[Tensor], weights: list[Tensor], steps: Tensor) -> None:
    """Move averages to the weights, as far as makes them reach back over a fraction of the steps so far."""
    share = min(1.0, 1 / (fraction * (float(steps) + 1)))
    for average, weight in zip(averages, weights, strict=True):
        average.lerp_(weight, share)


def marginal_bound(config: FitConfig, p: GaussianMixture, q: GaussianMixture) -> Bound:
    """The objective of a mixture density network on one batch of data p."""
    chosen = {"smoothing": config.smoothing, "tolerance": config.tolerance}
    options = {name: value for name, value in chosen.items() if value is not None}
    return OBJECTIVES[config.objective](p, q, **options)


def conditional_step_bound(
    config: AutoencoderConfig, x: Tensor, q: GaussianMixture, features: Tensor, conditions: Tensor, noise: float
) -> Bound:
    """The objective of an autoencoder on one batch, with the batch's own joint mixture for a limit.

    Args:
        config: names the objective.
        x: (s, d).
        q: batch (s,) of mixtures.
        features: (s, k) without noise.
        conditions: (s, k) with noise.
        noise: v_y.
    """
    p = GaussianMixture(x.unsqueeze(1), q.variance)
    variance = float(q.variance)

    def joint() -> JointMixture:
        return JointMixture(x, features, variance, noise)

    if config.objective == "normalized_inner_product":
        return conditional_normalized_inner_product(p, q, limit=lambda: joint().log_norm(conditions))
    if config.objective == "trace":
        return conditional_trace(p, q)
    index = torch.arange(len(x), device=x.device)
    limit = lambda: joint().negative_entropy(index, conditions, variance=variance)  # noqa: E731
    return conditional_log_likelihood(p, q, limit=limit)


def scheduled_feature_variance(config: AutoencoderConfig, step: int) -> float:
    """The features' noise at a step, on the schedule of the density's variance."""
    start = config.feature_variance_start or config.feature_variance
    return SCHEDULES[config.schedule](
        step, steps=config.steps, start=start, end=config.feature_variance, fraction=config.anneal_fraction
    )


def is_main_process() -> bool:
    """False in the further processes that Lightning starts for more devices than one."""
    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """The CPU generator of one step."""
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


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
    if dataset.image_shape is None and dataset.dimension > 1:
        deviations = dataset.train.double().std(0)
        varied = deviations[deviations > 0]
        low, high = (float(edge) for edge in varied.aminmax()) if len(varied) else (0.0, 0.0)
        if high > UNEVEN * low:
            logger.warning(
                "the columns' standard deviations range from %.3g to %.3g, and one variance serves all: the kernel sees "
                "little of the small ones; --standardize brings them to one scale",
                low,
                high,
            )
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
    recorder = _Recorder(folder, machine)
    callbacks: list[Callback] = [recorder, *([_ProgressBar(steps)] if progress else [])]
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
        module = Fit(run.config, network, dataset.train)
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
        _save(run, module.trained(), dataset.train[:64])
    return run


def _trainer(folder: Path, steps: int, machine: Machine, callbacks: list[Callback]) -> L.Trainer:
    try:
        return L.Trainer(
            accelerator=machine.accelerator,
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


def initial_network(config: Config, dataset: Dataset) -> Network:
    """The network before its first step: weights from the seed, location, scale and basis from the training points.

    Args:
        config: with all variances chosen.
        dataset: gives the shape, too.
    """
    network, data = config.network(dataset.dimension, dataset.image_shape), dataset.train
    network.location.copy_(data.mean(0))
    network.scale.copy_((data.double() - data.double().mean(0)).square().mean().sqrt())
    if network.basis is not None:
        network.basis.copy_(principal_directions(data, len(network.basis)))
    return network


class _Steps(IterableDataset[int]):
    """An endless stream of tokens: the step number alone decides what a step sees."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


class _Recorder(Callback):
    """Metrics and checkpoints of the main process."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder = folder
        self.machine = machine
        self.rows: list[dict[str, Any]] = []
        self.bounds: list[dict[str, Any]] = []
        self.tracker: BoundTracker | None = None
        self.ill = dict.fromkeys(SIGNATURES, 0)
        self.reported: set[str] = set()
        self.stop_requested: Callable[[], bool] = lambda: False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the rows up to the checkpoint, so that a resumed run's file equals an uninterrupted one's."""
        self.rows, self.bounds = (_rows_up_to(self.folder / name, trainer.global_step) for name in (METRICS, BOUNDS))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record, save, and stop if a signal asked for it."""
        assert isinstance(pl_module, Fit)
        step, last = trainer.global_step, trainer.global_step >= pl_module.config.steps
        stop = self.stop_requested()
        if (step % self.machine.log_every == 0 or last) and trainer.is_global_zero:
            row = measured(pl_module, step)
            if pl_module.mixtures is not None:
                row |= monitors(*pl_module.mixtures)
                self._diagnose(pl_module, step, row)
            self.rows.append({"step": step, **row})
            if trainer.logger is not None:
                trainer.logger.log_metrics(row, step)
        if self.tracker is not None and trainer.is_global_zero:
            every = self.machine.track_every or max(1, pl_module.config.steps // 20)
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
        at_end = module.annealed(step - 1) or row["variance"] == module.config.variance_end
        found = {diagnosis.name: diagnosis for diagnosis in diagnose_training(row, at_end=at_end)}
        for name in SIGNATURES:
            self.ill[name] = self.ill[name] + 1 if name in found else 0
            last = step >= module.config.steps and name in found
            if (self.ill[name] == PATIENCE or last) and name not in self.reported:
                self.reported.add(name)
                logger.warning("step %d: %s", step, found[name])

    def _track(self, trainer: L.Trainer, module: Fit, step: int) -> None:
        assert self.tracker is not None
        assert isinstance(module.network, EncoderMixtureDecoder)
        variances = {name: float(getattr(module.network, name)) for name in ("variance", "feature_variance")}
        for part, figures in self.tracker.measure(module.network).items():
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


def measured(module: Fit, step: int) -> dict[str, float]:
    """What the last step measured: objective, limit, tightness, schedules and the objective's terms."""
    bound, network = module.measured_bound(), module.network
    noise = {"feature_variance": float(network.feature_variance)} if isinstance(network, EncoderMixtureDecoder) else {}
    return {
        "objective": float(bound.value.detach()),
        "limit": float(bound.limit.detach()),
        "tightness": float(bound.tightness.detach()),
        "variance": float(network.variance if module.mixtures is None else module.mixtures[1].variance),
        **noise,
        "learning_rate": module.scheduled_rate(step - 1),
        **{name: float(term.detach()) for name, term in bound.terms.items()},
    }


class _ProgressBar(Callback):
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
        row = measured(pl_module, step)
        rate = (step - self.first) / max(now - self.clock, 1e-9)
        speed = f"{rate:.1f} steps/s"
        tracked = pl_module.tracked
        tightness = " / ".join(f"{value:.4f} {part.replace('_', '-')}" for part, value in tracked.items())
        tightness = tightness or f"{row['tightness']:.4f}"
        status = " | ".join(
            [
                f"{pl_module.config.objective} {row['objective']:.4f}",
                f"tightness {tightness}",
                f"variance {row['variance']:.3g}",
            ]
        )
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
