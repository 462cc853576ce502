"""What may be asked of a conditional density, and what is decided for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.data.given import parted
from contrastive_entropy.data.load import names
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.plan import OWN, Plan
from contrastive_entropy.fitting.settings import (
    DATA,
    MODEL,
    OBJECTIVE,
    RARE,
    check,
    load_for,
    option,
    shared,
)
from contrastive_entropy.objectives.catalog import GIVEN_OBJECTIVES, Choice, parse
from contrastive_entropy.objectives.catalog import names as objective_names

STEPS, EPOCHS, MOST_STEPS = 2000, 60, 10_000
"""Steps by default: at least, so many times through the rows, at most."""

DROPOUT, FEW = 0.1, 1000
"""Dropout by default, up to so many rows."""

DROPPING = 0.9
"""Share of the steps in which units are left out. In the last ones the deviations settle without that noise."""


CLIP = 1.0
"""Norm of a member's gradient, at most: a few rows far from their law would move everything."""


@dataclass(frozen=True)
class ConditionalSettings:
    """What may be asked of a conditional density: the law of some columns given the others.

    Every field is documented beside its default, and by `contrastive-entropy fit conditional --help`.

    Raises:
        InputError: a field's value cannot be used.

    >>> ConditionalSettings("houses.csv", target="price").objective
    'log_likelihood'
    """

    data: str = option(
        "inverse_sine", "A table: a path to .npy, .npz, .csv or .parquet, or a name (see `data list`).", panel=DATA
    )
    target: str | None = option(
        None,
        "Columns to predict, by name or by number from 0, with commas between.",
        panel=DATA,
        chosen="the last one",
    )
    given: str | None = option(None, "Columns to predict from, likewise.", panel=DATA, chosen="all others")
    data_root: str | None = shared("data_root", None)
    points: int | None = shared("points", None)
    held_out: float = shared("held_out", HELD_OUT)
    objective: str = option(
        "log_likelihood",
        f"One of: {', '.join(objective_names(GIVEN_OBJECTIVES))}. Options follow a colon: hoelder:gamma=0.5.",
        panel=OBJECTIVE,
    )
    gamma_fraction: float = option(
        0.3,
        "Share of the steps in which gamma of the objective annealed falls from 1, robust, to 0, the likelihood.",
        panel=RARE,
        share=True,
    )
    components: int = option(5, "Of the mixture that answers an x.", panel=MODEL, least=1)
    members: int = option(
        1,
        "Networks side by side, whose mixtures together are the answer. 5 tell more, and take longer.",
        panel=MODEL,
        least=1,
    )
    steps: int | None = shared(
        "steps", None, chosen=f"{STEPS:,}, of many rows {EPOCHS} times through them, at most {MOST_STEPS:,}"
    )
    batch_size: int = shared("batch_size", 128, says="Rows per step, of each member.")
    learning_rate: float = shared("learning_rate", 1e-2)
    decay_fraction: float = shared("decay_fraction", 0.6)
    average_fraction: float = option(
        0.1,
        "Share of all steps so far over which the weights are averaged. 0: the last step's.",
        panel=RARE,
        share=True,
    )
    dropout: float | None = option(
        None,
        f"Share of hidden units left out in each step, but for the last {1 - DROPPING:.0%} of them.",
        panel=RARE,
        least=0,
        below=1,
        chosen=f"{DROPOUT:g} up to {FEW:,} rows, beyond in inverse proportion to them",
    )
    width: int = shared("width", 64, says="Of the hidden layers.")
    depth: int = shared("depth", 2, says="Hidden layers.")
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-conditional"

    def __post_init__(self) -> None:
        check(self)
        _ = self.choice

    @property
    def choice(self) -> Choice:
        """The objective with its options."""
        return parse(self.objective, GIVEN_OBJECTIVES)

    @property
    def folder(self) -> str:
        """The name of a run folder where none is given."""
        return f"{Path(self.data).stem}-conditional"

    @property
    def useless(self) -> dict[str, str]:
        """Settings that would do nothing beside the others, and why."""
        found = {}
        if self.data in names():
            found["held_out"] = f"{self.data} comes with held-out points"
        if not self.choice.objective.anneals:
            found["gamma_fraction"] = f"gamma of {self.choice.objective.name} does not fall"
        return found


@dataclass(frozen=True)
class ConditionalPlan:
    """What was decided for a conditional density.

    Args:
        given: names of the columns of x; their numbers as text where they have none.
        components, members, dropout, width, depth, gamma_fraction: as in `ConditionalSettings`.
        robust: whether the objective hardly sees outliers; then the scale of the targets does not, either.
    """

    given: tuple[str, ...]
    components: int
    members: int
    dropout: float
    width: int
    depth: int
    gamma_fraction: float
    robust: bool


def load(settings: ConditionalSettings) -> Dataset:
    """The data set that settings name, parted into targets and conditions.

    Raises:
        InputError: as `data.load` and `data.given.parted`.
    """
    return parted(load_for(settings), target=settings.target, given=settings.given)


def plan(settings: ConditionalSettings, dataset: Dataset) -> Plan:
    """Decide what was not asked for.

    Raises:
        InputError: the data have no conditions.
    """
    rows = len(dataset.train)
    steps, dropout = settings.steps, settings.dropout
    if steps is None:
        steps = min(max(STEPS, EPOCHS * rows // settings.batch_size), MOST_STEPS)
    if dropout is None:
        dropout = DROPOUT * min(1.0, FEW / rows)
    schema = dataset.given_schema
    if not isinstance(schema, Table):
        raise InputError(f"{dataset.name} has no columns that are given: load it as `fit conditional` does")
    return Plan(
        objective=settings.choice.spelling,
        seed=settings.seed,
        steps=steps,
        rows=settings.batch_size * settings.members,
        learning_rate=settings.learning_rate,
        decay_fraction=settings.decay_fraction,
        average_fraction=settings.average_fraction,
        variance=OWN,
        clip=CLIP / settings.members**0.5,  # the objective is the members' mean
        model=ConditionalPlan(
            given=tuple(column.name for column in schema.columns),
            components=settings.components,
            members=settings.members,
            dropout=dropout,
            width=settings.width,
            depth=settings.depth,
            gamma_fraction=settings.gamma_fraction,
            robust=settings.choice.value("gamma", 0.0) > 0,
        ),
    )
