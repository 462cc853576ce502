"""Run folders: what was asked and decided (config.json), what was learnt (weights.safetensors), and opening them again."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.given import conditions_of, some_given
from contrastive_entropy.data.load import located
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.data.schema import Schema, Table, schema_from
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.plan import Plan, plan_from
from contrastive_entropy.fitting.settings import CODES
from contrastive_entropy.storage import json_bytes, write_atomically
from contrastive_entropy.version import VERSION

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 2
"""Version of the run folder's layout; a run of another version is refused."""

CONFIG, WEIGHTS, CHECKPOINT, METRICS, BOUNDS, EVALUATION, REPORT = (
    "config.json",
    "weights.safetensors",
    "checkpoint.safetensors",
    "metrics.csv",
    "bounds.csv",
    "evaluation.json",
    "report.html",
)
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Args:
        folder: where it is.
        kind: of the model.
        settings: what was asked, with paths from the root.
        plan: what was decided.
        schema: of the data.
        data_digest: of the data's bytes, so that a changed file is noticed.
        machine: what it was started with.
    """

    folder: Path
    kind: Kind
    settings: Any
    plan: Plan
    schema: Schema
    data_digest: str
    machine: Machine = field(default_factory=Machine)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        kind: Kind,
        settings: Any,
        dataset: Dataset,
        *,
        machine: Machine | None = None,
        overwrite: bool = False,
    ) -> "Run":
        """Make the folder and write config.json.

        Args:
            folder: of the run.
            kind, settings: of the model.
            dataset: what `kind.load(settings)` returned.
            machine: where it runs.
            overwrite: replace a run that is there.

        Raises:
            InputError: it cannot be written, holds other files, or holds a run and overwrite is False; or the data set is
                not standardized as the settings say.
        """
        refuse_other_units(settings, dataset)
        folder = Path(folder)
        plan = kind.plan(settings, dataset)
        kind.network(plan, dataset.schema)  # refuses what does not fit before anything is written
        run = cls(folder, kind, absolute(settings), plan, dataset.schema, dataset.digest, machine or Machine())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            refuse_taken(folder, overwrite=overwrite)
            if (folder / CONFIG).exists():
                _remove_run(folder)
            write_atomically(folder / CONFIG, json_bytes(run.description()))
        except OSError as error:
            raise InputError(f"cannot write to {folder} ({error.strerror}); choose another `out`") from error
        return run

    @classmethod
    def open(cls, folder: str | Path, kinds: Sequence[Kind]) -> "Run":
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
                    f"this is version {VERSION}, which reads format {FORMAT}: use that version, or train again"
                )
            known, name = {kind.name: kind for kind in kinds}, description["kind"]
            if name not in known:
                raise InputError(f"{folder} holds a run of kind {name}; expected {' or '.join(known)}")
            kind = known[name]
            return cls(
                folder,
                kind,
                kind.settings(**description["settings"]),
                plan_from(description["plan"], kind.model),
                schema_from(description["schema"]),
                str(description["data_digest"]),
                Machine(**description["machine"]),
            )
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"{path} is damaged ({error}); train again") from error

    def table(
        self, count: int = 1000, *, seed: int = 0, given: Mapping[str, float | str] | None = None
    ) -> "pd.DataFrame":
        """New rows of a run of `fit table`, as a table of the columns, types and categories of the data.

        Args:
            count: n >= 1.
            seed: the same seed gives the same rows.
            given: values that all of them have, by name, such as {"city": "Ulm"}; the others are drawn given these.

        Raises:
            InputError: the run is of another kind, training has not finished, or a value cannot be used.
            ValueError: count < 1.
        """
        if not isinstance(self.schema, MixedTable):
            raise InputError(f"{self.folder} holds a {self.kind.name}, whose samples are numbers: use `sample`")
        return self.schema.frame(self.sample(count, seed=seed, given=given), seed=seed)

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
            dataset = self.kind.load(self.settings)
        except InputError as error:
            raise InputError(
                f"{error}; if the data have moved, correct data or data_root in {self.folder / CONFIG}"
            ) from error
        if dataset.digest != self.data_digest:
            raise InputError(
                f"{self.settings.data} has changed since {self.folder} was made; restore it, or train again"
            )
        return dataset

    def network(self) -> Any:
        """The trained network, on the CPU, in evaluation mode.

        Raises:
            InputError: training has not finished, or the weights are corrupt.
        """
        path = self.folder / WEIGHTS
        if not self.finished:
            raise InputError(f"{self.folder}: training has not finished; continue it with `resume`")
        network = self.kind.network(self.plan, self.schema)
        try:
            network.load_state_dict(load_tensors(path.read_bytes()))
        except (SafetensorError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path} is corrupt, or of another version ({reason}); restore it, or train again with `overwrite`"
            ) from error
        return network.eval()

    def save_weights(self, network: torch.nn.Module) -> None:
        """Write weights.safetensors."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        write_atomically(self.folder / WEIGHTS, save_tensors(tensors))

    @property
    def given_schema(self) -> Table | None:
        """Of what the user gives; None: nothing is given."""
        return None if self.kind.given is None else self.kind.given(self.plan)

    def conditions(
        self, count: int, *, generator: torch.Generator, values: Mapping[str, float | str] | None = None
    ) -> Tensor | None:
        """What each of some samples is given.

        Args:
            count: of the samples.
            generator: of the rows.
            values: the same for all, by name; None: those of training rows, drawn at random.

        Returns:
            (count, k), or None where nothing is given.

        Raises:
            InputError: values where nothing is given or that cannot be used, or the data are needed and gone.
            ValueError: count < 1.
        """
        _check_count(count)
        if isinstance(self.schema, MixedTable):  # any of its columns may be given
            return None if values is None else self.schema.row(values).expand(count, -1)
        schema = self.given_schema
        if schema is None:
            if values is not None:
                raise InputError(f"`given` is for conditional runs, and {self.folder} holds a {self.kind.name}")
            return None
        if values is not None:
            return conditions_of(values, schema).expand(count, -1)
        return some_given(self.dataset(), count, generator=generator)

    def generate(
        self, count: int, *, generator: torch.Generator, from_density: bool = False, given: Tensor | None = None
    ) -> Tensor:
        """New points as the network makes them, (count, d): of a standardized table, standardized.

        Args:
            count: of the points.
            generator: of the noise.
            from_density: add noise of the density's variance to the centers.
            given: (count, k) of `conditions`; None draws them first, where something is given.

        Raises:
            InputError: training has not finished, or the model needs its data and they are gone.
            ValueError: count < 1.
        """
        _check_count(count)
        given = self.conditions(count, generator=generator) if given is None else given
        asked = {} if given is None else {"given": given}
        return self.kind.sample(
            self.network(), self.dataset, count, generator=generator, from_density=from_density, **asked
        )

    def sample(
        self,
        count: int = 1000,
        *,
        seed: int = 0,
        from_density: bool = False,
        given: Mapping[str, float | str] | None = None,
    ) -> Tensor:
        """New points in the data's units; images are clipped to [0, 1].

        Args:
            count: n >= 1.
            seed: the same seed gives the same points.
            from_density: add noise of the density's variance to the centers.
            given: what all of them are given, by name, such as {"class": 3}; None: as training rows are, drawn at random.

        Returns:
            (n, d); float64 of a standardized table.

        Raises:
            InputError, ValueError: as `generate`.
        """
        generator = torch.Generator().manual_seed(seed)
        conditions = self.conditions(count, generator=generator, values=given)
        return self.schema.decode(
            self.generate(count, generator=generator, from_density=from_density, given=conditions)
        )

    def evaluate(self, *, seed: int = 1, **asked: Any) -> Any:
        """Compare the model with held-out points.

        Args:
            seed: of what is drawn.
            asked: what the kind's evaluation takes: from_density, feature_weights, features.

        Returns:
            An `Evaluation`: its headline, tables and diagnoses. Nothing is written.

        Raises:
            InputError: training has not finished, the data are gone or too few, or something cannot be used.
        """
        return self.kind.evaluate(self, self.dataset(), seed=seed, **asked)

    def description(self) -> dict[str, Any]:
        """What config.json holds."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind.name,
            "pictures": self.kind.pictures,
            "settings": dataclasses.asdict(self.settings),
            "plan": dataclasses.asdict(self.plan),
            "schema": dataclasses.asdict(self.schema),
            "data_digest": self.data_digest,
            "machine": dataclasses.asdict(self.machine),
        }


def refuse_taken(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError for a folder that holds a run that may not be replaced, or anything else."""
    if (folder / CONFIG).exists():
        if not overwrite:
            state = "a finished run;" if (folder / WEIGHTS).is_file() else "a run; continue it with `resume`,"
            raise InputError(f"{folder} already holds {state} replace it with `overwrite`, or choose another `out`")
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run; choose another `out`")


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")


def absolute(settings: Any) -> Any:
    """Settings with paths from the root, so that they hold in any working folder."""
    root, space = settings.data_root, getattr(settings, "space", None)
    named = {} if space in (None, CODES) else {"space": str(Path(space).absolute())}
    return dataclasses.replace(
        settings,
        **named,
        data=located(settings.data),
        data_root=None if root is None else str(Path(root).absolute()),
    )


def refuse_other_units(settings: Any, dataset: Dataset) -> None:
    """Raise InputError for a data set that is standardized where the settings do not say so, or the other way round."""
    standardized = isinstance(dataset.schema, Table) and dataset.schema.standardized
    asked = getattr(settings, "standardize", False)
    if asked != standardized:
        raise InputError(
            f"standardize is {asked}, and {dataset.name} {'is' if standardized else 'is not'} standardized: load it with "
            "the kind's own `load`"
        )


def _remove_run(folder: Path) -> None:
    """Remove a run's own files and nothing else; config.json last, so that an interruption leaves a run.

    Raises:
        InputError: config.json, which names the pictures, is damaged.
    """
    path = folder / CONFIG
    try:
        pictures = [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["pictures"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); remove {folder}, or choose another `out`") from error
    for event in (folder / TENSORBOARD).glob("events.out.*"):
        event.unlink()
    for name in (WEIGHTS, CHECKPOINT, METRICS, BOUNDS, EVALUATION, REPORT, *pictures, CONFIG):
        (folder / Path(name).name).unlink(missing_ok=True)
