"""Run folders: what was asked (config.json), what was learnt (weights.safetensors), and opening them again."""

import dataclasses
import hashlib
import json
import math
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from contrastive_entropy import __version__
from contrastive_entropy.data import Dataset, load, located, suggestion
from contrastive_entropy.errors import InputError
from contrastive_entropy.marginal import OBJECTIVES
from contrastive_entropy.models import NOISES, MixtureDensityNetwork
from contrastive_entropy.networks import MLP, ConvolutionalDecoder
from contrastive_entropy.variance import median_pair_variance, neighbor_variance

FORMAT = 1
"""Version of the run folder's layout; a run of another version is refused."""

SEEDS = 2**32
"""Seeds lie below this."""

BODIES = ("mlp", "convolutional")
SMOOTHED = ("nuclear_norm", "debiased_nuclear_norm")
"""Objectives that take a smoothing."""

CONFIG, WEIGHTS, CHECKPOINT, METRICS, EVALUATION = (
    "config.json",
    "weights.safetensors",
    "checkpoint.safetensors",
    "metrics.csv",
    "evaluation.json",
)
TENSORBOARD = "tensorboard"
FIGURES = ("samples.png", "training.png", "spectrum.png")


@dataclass(frozen=True)
class FitConfig:
    """Everything that determines a fit of a mixture density network.

    Args:
        data: name or path, as `data.load` takes it.
        objective: of `OBJECTIVES`, except `trace`, which pairs each center with its own data point.
        smoothing: eps of (E12), relative to the largest singular value; None is the objective's default.
        tolerance: relative error that the smoothed nuclear norm and its gradient may have; None is 1e-3.
        steps: optimiser steps.
        batch_size: data points per step.
        components: generated points per step.
        learning_rate: of Adam; linear to 0 over the steps after annealing, and over the last tenth at least.
        variance_start: of the density, in data units squared; None is half the median squared pair distance.
        variance_end: None is from the distances to near neighbours within a batch.
        anneal_fraction: share of the steps in which the variance falls geometrically; 0 is fixed at variance_end.
        body: of `BODIES`.
        width: of the hidden layers; of the convolutional body, channels before its last layer.
        depth: hidden layers of the MLP.
        noise: kind of noise codes.
        noise_dimension: of the codes.
        held_out: share of a file's points that is held out.
        seed: of the data's draw or split, the initial weights, the batches and the noise.

    Raises:
        InputError: a field's value cannot be used.
    """

    data: str
    objective: str = "debiased_nuclear_norm"
    smoothing: float | None = None
    tolerance: float | None = None
    steps: int = 2000
    batch_size: int = 256
    components: int = 512
    learning_rate: float = 1e-3
    variance_start: float | None = None
    variance_end: float | None = None
    anneal_fraction: float = 0.8
    body: str = "mlp"
    width: int = 256
    depth: int = 3
    noise: str = "gaussian"
    noise_dimension: int = 32
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("objective", self.objective, [name for name in OBJECTIVES if name != "trace"])
        _check_choice("body", self.body, BODIES)
        _check_choice("noise", self.noise, NOISES)
        for name in ("steps", "width", "depth", "noise_dimension"):
            _check_at_least(name, getattr(self, name), 1)
        for name in ("batch_size", "components"):
            _check_at_least(name, getattr(self, name), 2)
        _check_at_least("seed", self.seed, 0)
        if self.seed >= SEEDS:
            raise InputError(f"seed must be below 2^32, got {self.seed}")
        for name in ("learning_rate", "variance_start", "variance_end"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} must be a positive number, got {value}")
        if not 0 <= self.anneal_fraction <= 1:
            raise InputError(f"anneal_fraction must lie in [0, 1], got {self.anneal_fraction}")
        for name in ("smoothing", "tolerance"):
            if getattr(self, name) is not None and self.objective not in SMOOTHED:
                raise InputError(f"{name} is for {' and '.join(SMOOTHED)}; {self.objective} has none: leave it out")
        if self.smoothing is not None and not 0 <= self.smoothing < math.inf:
            raise InputError(f"smoothing must be a number >= 0, got {self.smoothing}")
        if self.tolerance is not None and not 0 < self.tolerance < math.inf:
            raise InputError(f"tolerance must be a positive number, got {self.tolerance}")
        if (
            self.variance_start is not None
            and self.variance_end is not None
            and self.variance_start < self.variance_end
        ):
            raise InputError(
                f"variance_start must not be below variance_end, got {self.variance_start} < {self.variance_end}; "
                "anneal_fraction 0 keeps the variance fixed at variance_end"
            )

    def resolve(self, dataset: Dataset) -> "FitConfig":
        """The same with both variances chosen for this data set.

        Raises:
            InputError: the data are constant or mostly duplicates.
        """
        points = min(self.batch_size, len(dataset.train))
        try:
            end = self.variance_end or neighbor_variance(dataset.train, points=points, neighbors=min(8, points - 1))
            start = self.variance_start or max(end, median_pair_variance(dataset.train))
        except ValueError as error:
            raise InputError(f"{dataset.name}: {error}; set variance_start and variance_end") from error
        return dataclasses.replace(self, variance_start=start, variance_end=min(end, start))

    def network(self, dimension: int, image_shape: tuple[int, int, int] | None) -> MixtureDensityNetwork:
        """A network of this shape with fresh weights from the seed, centred at 0 with scale 1.

        Raises:
            InputError: a convolutional body for data that are not images.
        """
        if self.body == "convolutional" and image_shape is None:
            raise InputError(f"body convolutional needs images, and {self.data} holds points; use body mlp")
        body: torch.nn.Module
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.body == "convolutional" and image_shape is not None:
                body = ConvolutionalDecoder(self.noise_dimension, image_shape, width=self.width)
            else:
                body = MLP(self.noise_dimension, dimension, width=self.width, depth=self.depth)
        return MixtureDensityNetwork(
            body,
            noise_dimension=self.noise_dimension,
            location=torch.zeros(dimension),
            scale=torch.ones(()),
            variance=self.variance_end or 1.0,
            noise=self.noise,
        )


@dataclass(frozen=True)
class Machine:
    """Where and how a fit runs; kept in the run, because a resumed run is the same only on the same terms.

    Args:
        accelerator, devices, precision: as Lightning's Trainer takes them.
        log_every: steps between rows of metrics.csv and TensorBoard.
        checkpoint_every: steps between checkpoints.

    Raises:
        InputError: log_every or checkpoint_every is below 1.
    """

    accelerator: str = "auto"
    devices: str = "1"
    precision: str = "32-true"
    log_every: int = 10
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("log_every", "checkpoint_every"):
            _check_at_least(name, getattr(self, name), 1)


@dataclass(frozen=True)
class Run:
    """A run folder.

    Args:
        folder: where it is.
        config: with both variances chosen.
        dimension: d of the data.
        image_shape: of the data, if images.
        data_digest: of the data's bytes, so that a changed file is noticed.
        machine: what it was started with.
    """

    folder: Path
    config: FitConfig
    dimension: int
    image_shape: tuple[int, int, int] | None
    data_digest: str
    machine: Machine = field(default_factory=Machine)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        config: FitConfig,
        dataset: Dataset,
        *,
        machine: Machine | None = None,
        overwrite: bool = False,
    ) -> "Run":
        """Make the folder and write config.json.

        Raises:
            InputError: it cannot be written, holds other files, or holds a run and overwrite is False.
        """
        folder = Path(folder)
        resolved = dataclasses.replace(config.resolve(dataset), data=located(config.data))
        resolved.network(dataset.dimension, dataset.image_shape)  # refuses what does not fit before anything is written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / CONFIG).exists():
                if not overwrite:
                    raise InputError(
                        f"{folder} already holds a run; continue it with --resume, replace it with --overwrite, "
                        "or choose another --out"
                    )
                _remove_run(folder)
            elif any(folder.iterdir()):
                raise InputError(f"{folder} is not empty and holds no run; choose another --out")
            run = cls(folder, resolved, dataset.dimension, dataset.image_shape, digest(dataset), machine or Machine())
            write_atomically(folder / CONFIG, _json_bytes(run._description()))
        except OSError as error:
            raise InputError(f"cannot write to {folder} ({error.strerror}); choose another --out") from error
        return run

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Read config.json.

        Raises:
            InputError: no run there, or of another version, or damaged.
        """
        folder = Path(folder)
        path = folder / CONFIG
        if not path.is_file():
            raise InputError(f"no run in {folder}: {path} does not exist")
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
            found = description.get("format")
            if found != FORMAT:
                raise InputError(
                    f"{folder} is a run folder of format {found}, written by version {description.get('version')}; "
                    f"this is version {__version__}, which reads format {FORMAT}: use that version, or train again"
                )
            shape = description["image_shape"]
            return cls(
                folder,
                FitConfig(**description["config"]),
                int(description["dimension"]),
                None if shape is None else (shape[0], shape[1], shape[2]),
                str(description["data_digest"]),
                Machine(**description["machine"]),
            )
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"{path} is damaged ({error}); train again") from error

    @property
    def finished(self) -> bool:
        """Whether training ran to its end."""
        return (self.folder / WEIGHTS).is_file()

    def dataset(self) -> Dataset:
        """The data that the run was trained on.

        Raises:
            InputError: gone, or changed since.
        """
        dataset = load(self.config.data, seed=self.config.seed, held_out=self.config.held_out)
        if digest(dataset) != self.data_digest:
            raise InputError(f"{self.config.data} has changed since {self.folder} was made; restore it, or train again")
        return dataset

    def save_weights(self, network: MixtureDensityNetwork) -> None:
        """Write weights.safetensors."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        write_atomically(self.folder / WEIGHTS, save_tensors(tensors))

    def load_network(self) -> MixtureDensityNetwork:
        """The trained network, on the CPU.

        Raises:
            InputError: training has not finished, or the weights are corrupt.
        """
        path = self.folder / WEIGHTS
        if not self.finished:
            raise InputError(f"{self.folder}: training has not finished; continue with: {self.resume_command}")
        network = self.config.network(self.dimension, self.image_shape)
        try:
            network.load_state_dict(load_tensors(path.read_bytes()))
        except (SafetensorError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is corrupt ({reason}); restore it, or train again with --overwrite") from error
        return network.eval()

    @property
    def resume_command(self) -> str:
        """What to type to continue."""
        return f"contrastive-entropy fit mdn --out {shlex.quote(str(self.folder))} --resume"

    def _description(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": __version__,
            "config": dataclasses.asdict(self.config),
            "dimension": self.dimension,
            "image_shape": self.image_shape,
            "data_digest": self.data_digest,
            "machine": dataclasses.asdict(self.machine),
        }


def digest(dataset: Dataset) -> str:
    """SHA-256 of the points."""
    state = hashlib.sha256()
    for points in (dataset.train, dataset.test):
        state.update(points.contiguous().numpy().tobytes())
    return state.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, then rename, so that a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, atomically; the same value gives the same bytes."""
    write_atomically(path, _json_bytes(value))


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def _remove_run(folder: Path) -> None:
    """Remove a run's own files and nothing else; config.json last, so that an interruption leaves a run."""
    for event in (folder / TENSORBOARD).glob("events.out.*"):
        event.unlink()
    for name in (WEIGHTS, CHECKPOINT, METRICS, EVALUATION, *FIGURES, CONFIG):
        (folder / name).unlink(missing_ok=True)


def _check_choice(name: str, value: str, known: "tuple[str, ...] | list[str]") -> None:
    if value in known:
        return
    if value == "trace":
        raise InputError("trace pairs each center with its own data point, which a network on noise has not")
    raise InputError(f"unknown {name} {value!r}{suggestion(value, known)} (known: {', '.join(known)})")


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{name} must be at least {least}, got {value}")
