"""Run folders: what was asked (config.json), what was learnt (weights.safetensors), and opening them again."""

import dataclasses
import json
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from contrastive_entropy import __version__
from contrastive_entropy.config import KINDS, Config, Machine
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load, located
from contrastive_entropy.data.schema import Schema, image_shape_of, schema_from
from contrastive_entropy.errors import InputError
from contrastive_entropy.models import EncoderMixtureDecoder, MixtureDensityNetwork

FORMAT = 2
"""Version of the run folder's layout; a run of another version is refused."""

CONFIG, WEIGHTS, CHECKPOINT, METRICS, BOUNDS, EVALUATION = (
    "config.json",
    "weights.safetensors",
    "checkpoint.safetensors",
    "metrics.csv",
    "bounds.csv",
    "evaluation.json",
)
TENSORBOARD = "tensorboard"
FIGURES = ("samples.png", "training.png", "spectrum.png", "bounds.png", "alternatives.png")


@dataclass(frozen=True)
class Run:
    """A run folder.

    Args:
        folder: where it is.
        config: with both variances chosen.
        schema: of the data.
        data_digest: of the data's bytes, so that a changed file is noticed.
        machine: what it was started with.
    """

    folder: Path
    config: Config
    schema: Schema
    data_digest: str
    machine: Machine = field(default_factory=Machine)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        config: Config,
        dataset: Dataset,
        *,
        machine: Machine | None = None,
        overwrite: bool = False,
    ) -> "Run":
        """Make the folder and write config.json.

        Raises:
            InputError: it cannot be written, holds other files, or holds a run and overwrite is False; or the data set is
                not standardized as the config says.
        """
        standardized = dataset.schema.standardized
        if config.standardize != standardized:
            raise InputError(
                f"standardize is {config.standardize}, and {dataset.name} {'is' if standardized else 'is not'} "
                "standardized: load it with `runs.load_for(config)`"
            )
        folder = Path(folder)
        resolved = cls.resolved(config, dataset)
        resolved.network(dataset.dimension, dataset.image_shape)  # refuses what does not fit before anything is written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / CONFIG).exists():
                if not overwrite:
                    done = (folder / WEIGHTS).is_file()
                    state = "a finished run;" if done else "a run; continue it with --resume,"
                    raise InputError(
                        f"{folder} already holds {state} replace it with --overwrite, or choose another --out"
                    )
                _remove_run(folder)
            elif any(folder.iterdir()):
                raise InputError(f"{folder} is not empty and holds no run; choose another --out")
            run = cls(folder, resolved, dataset.schema, dataset.digest, machine or Machine())
            write_atomically(folder / CONFIG, _json_bytes(run._description()))
        except OSError as error:
            raise InputError(f"cannot write to {folder} ({error.strerror}); choose another --out") from error
        return run

    @staticmethod
    def resolved(config: Config, dataset: Dataset) -> Config:
        """A config as its run keeps it: variances chosen, paths from the root.

        Raises:
            InputError: the data are constant or mostly duplicates.
        """
        return dataclasses.replace(
            config.resolve(dataset),
            data=located(config.data),
            data_root=None if config.data_root is None else str(Path(config.data_root).absolute()),
        )

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Read config.json.

        Raises:
            InputError: no run there, or of another version, or damaged.
        """
        folder = Path(folder)
        path = folder / CONFIG
        if not path.is_file():
            raise InputError(f"no run in {folder}: {path} does not exist; give a folder that `fit` wrote")
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
            found = description.get("format")
            if found != FORMAT:
                raise InputError(
                    f"{folder} is a run folder of format {found}, written by version {description.get('version')}; "
                    f"this is version {__version__}, which reads format {FORMAT}: use that version, or train again"
                )
            return cls(
                folder,
                KINDS[description["kind"]](**description["config"]),
                schema_from(description["schema"]),
                str(description["data_digest"]),
                Machine(**description["machine"]),
            )
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"{path} is damaged ({error}); train again") from error

    @property
    def dimension(self) -> int:
        """d of the data."""
        return self.schema.dimension

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) where the data are images, else None."""
        return image_shape_of(self.schema)

    @property
    def finished(self) -> bool:
        """Whether training ran to its end."""
        return (self.folder / WEIGHTS).is_file()

    def dataset(self) -> Dataset:
        """The data that the run was trained on.

        Raises:
            InputError: gone, or changed since.
        """
        try:
            dataset = load_for(self.config)
        except InputError as error:
            raise InputError(
                f"{error}; if the data have moved, correct data or data_root in {self.folder / CONFIG}"
            ) from error
        if dataset.digest != self.data_digest:
            raise InputError(f"{self.config.data} has changed since {self.folder} was made; restore it, or train again")
        return dataset

    def save_weights(self, network: MixtureDensityNetwork | EncoderMixtureDecoder) -> None:
        """Write weights.safetensors."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        write_atomically(self.folder / WEIGHTS, save_tensors(tensors))

    def load_network(self) -> MixtureDensityNetwork | EncoderMixtureDecoder:
        """The trained network, on the CPU: of the class that the config's `network` makes.

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
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path} is corrupt, or of another version ({reason}); restore it, or train again with --overwrite"
            ) from error
        return network.eval()

    @property
    def resume_command(self) -> str:
        """What to type to continue."""
        return f"contrastive-entropy fit {self.config.kind} --out {shlex.quote(str(self.folder))} --resume"

    def _description(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": __version__,
            "kind": self.config.kind,
            "config": dataclasses.asdict(self.config),
            "schema": dataclasses.asdict(self.schema),
            "data_digest": self.data_digest,
            "machine": dataclasses.asdict(self.machine),
        }


def load_for(config: Config) -> Dataset:
    """The data set that a config names.

    Raises:
        InputError: as `data.load`.
    """
    return load(
        config.data,
        seed=config.seed,
        held_out=config.held_out,
        data_root=config.data_root,
        points=config.points,
        standardize=config.standardize,
    )


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
    for name in (WEIGHTS, CHECKPOINT, METRICS, BOUNDS, EVALUATION, *FIGURES, CONFIG):
        (folder / name).unlink(missing_ok=True)
