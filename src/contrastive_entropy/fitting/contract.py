"""What a kind of model is to a fit: a plan, a network, a step in three parts, and what may be asked of a finished run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Schema, Table
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.settings import load_for
from contrastive_entropy.metrics.evaluation import Section
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.objectives.bound import Bound

if TYPE_CHECKING:
    from contrastive_entropy.fitting.run import Run


@dataclass(frozen=True)
class Now:
    """The moment of a step.

    Args:
        step: from 0.
        variance: of the density, in data units squared. It is handed in: a step never writes it into a network.
        generator: a CPU generator of (seed, step, process), from which all of the step's randomness comes.
    """

    step: int
    variance: float
    generator: torch.Generator

    def rows(self, count: int, of: int, weights: Tensor | None = None) -> Tensor:
        """(count,) of the rows 0 ... of - 1, drawn with replacement; by weight where rows have weights, (of,)."""
        if weights is not None:
            return torch.multinomial(weights, count, replacement=True, generator=self.generator)
        return torch.randint(of, (count,), generator=self.generator)

    def farther(self, start: float) -> float:
        """How many times the variance of the moment a step from farther away sees: log-uniform, up to the start's."""
        return max(start / self.variance, 1.0) ** float(torch.rand((), generator=self.generator))


@dataclass(frozen=True)
class Batch:
    """What a step sees of the data.

    Args:
        rows: (s,) of the training points.
        points: (s, d) in the objective's space, on the network's device.
        given: (s, k) conditions, encoded, or None.
    """

    rows: Tensor
    points: Tensor
    given: Tensor | None = None


@dataclass(frozen=True)
class Answer:
    """What the network answers to a batch, and what the objective needs of the batch itself.

    Args:
        parts: by name; the first axis are samples.
    """

    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Outcome:
    """What a step maximises.

    Args:
        bound: the objective on this batch.
        weight: of the step's gradient.
        shown: the objective as progress and metrics show it, if another than the bound: of all coordinates, at the
            variance of the moment. Called when it is shown.
        watched: data and model points for the monitors and the schedule that waits, or None; batches of mixtures where
            every class has one.
        extra: further figures of the step for metrics.csv.
        limited: whether the bound's limit tells how far it is from done; else limit and tightness are not recorded.
    """

    bound: Bound
    weight: float = 1.0
    shown: Callable[[], Bound] | None = None
    watched: tuple[GaussianMixture, GaussianMixture] | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    limited: bool = True


class Step(Protocol):
    """A step in three parts, so that others may gather a batch between the second and the third, or judge in our place."""

    @property
    def network(self) -> Any:
        """What is fitted: a module."""

    @property
    def points(self) -> Tensor:
        """(n, d) training points in the objective's space, on the CPU."""

    @property
    def given(self) -> Tensor | None:
        """(n, k) conditions of the training points, encoded, on the CPU; None: there are none."""

    @property
    def averaged(self) -> nn.Module:
        """The part of the network whose weights may be averaged."""

    def draw(self, now: Now) -> Tensor:
        """Rows of the whole batch."""

    def answer(self, batch: Batch, now: Now) -> Answer:
        """The network's part, under autocast."""

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """The objective, in float32 or better."""

    def settle(self, now: Now) -> None:
        """Write the variances of the moment into the network, before it is looked at or saved."""


@dataclass(frozen=True)
class Kind:
    """A kind of model. A fit knows kinds by this alone.

    Args:
        name: as `fit NAME` has it.
        says: one line.
        settings: what may be asked, a frozen dataclass of `option` fields: data, data_root, points, held_out, seed
            and steps among them. `useless` are those that would do nothing beside the others, with the reason;
            `folder` names a run where no name is given, FOLDER says how.
        model: the type of `Plan.model`.
        load: settings to the data that they name.
        plan: (settings, data) to all that is decided.
        network: (plan, schema) to a network with fresh weights from the seed.
        place: (network, data) sets what the training points give: location, scale and basis.
        step: (plan, network, data) to the step.
        track: (network, data, seed) to figures by part, on the network as it stands; None: there is nothing to track.
        sample: (network, data, count, generator, from_density) to (n, d) points; data are loaded when called.
        given: (plan) to the schema of what the user gives; None: nothing is given. `sample` then takes given (count, k),
            too.
        evaluate: (run, data, seed, and what the kind takes) to an `Evaluation`.
        figures: (run, data, evaluation) to matplotlib figures by file name, of `pictures`.
        pictures: names of the files that `figures` may return; `overwrite` removes them.
        captions: of pictures by file name: what each shows, the first sentence in a few words.
        sections: (run, data, evaluation) to what a report shows beyond tables and pictures; None: nothing.
        commands: its own commands by name, as typer takes them.
        invents: whether samples are new points, among which copies of training points are looked for.
        convolves: whether its networks are much faster in bfloat16 where a machine computes so.
        first: (settings, run folder) to the fit that must be finished before: its kind, its settings and its folder, and
            the settings that name it; None: there is none.
    """

    name: str
    says: str
    settings: type[Any]
    model: type[Any]
    plan: Callable[[Any, Dataset], Plan]
    network: Callable[[Plan, Schema], Any]
    place: Callable[[Any, Dataset], None]
    step: Callable[[Plan, Any, Dataset], Step]
    sample: Callable[..., Tensor]
    evaluate: Callable[..., Any]
    figures: Callable[["Run", Dataset, Any], dict[str, Any]]
    pictures: tuple[str, ...]
    load: Callable[[Any], Dataset] = load_for
    track: Callable[[Any, Dataset, int], dict[str, dict[str, float]]] | None = None
    given: Callable[[Plan], Table] | None = None
    captions: Mapping[str, str] = field(default_factory=dict)
    sections: Callable[["Run", Dataset, Any], Sequence[Section]] | None = None
    commands: Callable[[], dict[str, Callable[..., None]]] = dict
    invents: bool = True
    convolves: bool = False
    first: Callable[[Any, Path], "First | None"] | None = None


@dataclass(frozen=True)
class First:
    """A fit that must be finished before another.

    Args:
        kind, settings, folder: of the fit.
        data: those of the other fit to what this one learns of them, as its own `load` has it.
        then: settings of the other, which name the folder.
    """

    kind: Kind
    settings: Any
    folder: Path
    data: Callable[[Dataset], Dataset]
    then: Any
