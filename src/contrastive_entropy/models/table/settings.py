"""What may be asked of a model of a table, and what is decided for it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.data.frames import read_frame
from contrastive_entropy.data.load import load as load_named
from contrastive_entropy.data.load import names
from contrastive_entropy.data.mixed import MixedTable, asked_kinds
from contrastive_entropy.data.mixed_dataset import mixed_dataset
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.plan import OWN, Plan
from contrastive_entropy.fitting.settings import DATA, MODEL, OBJECTIVE, TRAINING, check, option, shared, useless_for
from contrastive_entropy.models.table.cells import cells_of
from contrastive_entropy.objectives.catalog import CELL_OBJECTIVES, Choice, parse
from contrastive_entropy.objectives.catalog import names as objective_names

LEAST_STEPS, MOST_STEPS = 60, 4000
"""Steps by default, at least and at most."""


SMALL, LARGE, MANY = (128, 0.3, 80), (256, 0.1, 40), 10_000
"""Width, dropout and how often a row is seen by default, and the rows from which on they are the second ones: few rows are
learnt by heart."""


@dataclass(frozen=True)
class TableSettings:
    """What may be asked of a model of a table: rows of text, dates, numbers and missing values.

    Every field is documented beside its default, and by `contrastive-entropy fit table --help`.

    Raises:
        InputError: a field's value cannot be used.

    >>> TableSettings("people.csv").folder
    'people-table'
    """

    data: str = shared(
        "data", "moons", says="What to learn: a path to a table, .csv, .tsv, .parquet, .feather or .xlsx."
    )
    data_root: str | None = shared("data_root", None)
    points: int | None = shared("points", None, says="Train on so many of the rows.")
    header: bool | None = shared("header", None)
    held_out: float = shared("held_out", HELD_OUT, says="Share of the rows to hold out.")
    column: str | None = option(
        None,
        "What columns are, where it was not found: NAME=KIND with commas between. Kinds: number, count, category, date, "
        "key (names its row; not learnt, new ones in samples), ignore.",
        panel=DATA,
        chosen="found from the values",
    )
    target: str | None = option(
        None,
        "The column that a report predicts, to see whether samples serve as training data.",
        panel=DATA,
        chosen="the last one",
    )
    objective: str = option(
        "log_likelihood",
        f"One of: {', '.join(objective_names(CELL_OBJECTIVES))}. Options follow a colon: NAME:gamma=0.5.",
        panel=OBJECTIVE,
    )
    steps: int | None = shared(
        "steps",
        None,
        chosen=f"{LEAST_STEPS} and so many that each row is seen {SMALL[2]} times, {LARGE[2]} times from {MANY:,} rows on; "
        f"at most {MOST_STEPS}",
    )
    batch_size: int = shared("batch_size", 512, says="Rows per step.")
    learning_rate: float = shared("learning_rate", 2e-3)
    decay_fraction: float = shared("decay_fraction", 0.8)
    width: int | None = shared(
        "width", None, says="Of the hidden features.", chosen=f"{SMALL[0]}, or {LARGE[0]} from {MANY:,} rows on"
    )
    depth: int = option(2, "Residual blocks.", panel=MODEL, least=1)
    dropout: float | None = option(
        None,
        "Share of the hidden features that a step leaves out.",
        panel=TRAINING,
        least=0,
        below=1,
        chosen=f"{SMALL[1]}, or {LARGE[1]} from {MANY:,} rows on",
    )
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-table"

    def __post_init__(self) -> None:
        check(self)
        asked_kinds(self.column)
        parse(self.objective, CELL_OBJECTIVES)

    @property
    def choice(self) -> Choice:
        """The objective with its options."""
        return parse(self.objective, CELL_OBJECTIVES)

    @property
    def folder(self) -> str:
        """The name of a run folder where none is given."""
        return f"{Path(self.data).name.split('.')[0]}-table"

    @property
    def useless(self) -> dict[str, str]:
        """Settings that would do nothing beside the others, and why."""
        return useless_for(self.data)


@dataclass(frozen=True)
class TablePlan:
    """What was decided for a model of a table.

    Args:
        cells: of each learnt column, with that of missing values.
        ordered: whether its cells are numbers in rising order.
        missing: whether its last cell stands for a missing value.
        width, depth, dropout: as in `TableSettings`.
    """

    cells: tuple[int, ...]
    ordered: tuple[bool, ...]
    missing: tuple[bool, ...]
    width: int
    depth: int
    dropout: float


def load(settings: TableSettings) -> Dataset:
    """The rows that settings name, whose schema is a `MixedTable`.

    Raises:
        InputError: no table, or one that cannot be used.
    """
    kinds = asked_kinds(settings.column)
    if settings.data in names():
        named = load_named(settings.data, seed=settings.seed, data_root=settings.data_root, points=settings.points)
        return of_numbers(named)
    frame = read_frame(Path(settings.data), header=settings.header)
    dataset = mixed_dataset(
        settings.data, frame.table, asked=kinds, held_out=settings.held_out, seed=settings.seed, points=settings.points
    )
    if settings.target is not None and settings.target not in dataset.schema.names:  # type: ignore[operator]
        raise InputError(f"`target`: {settings.data} has no column {settings.target!r}")
    assert isinstance(dataset.schema, MixedTable)
    schema = dataclasses.replace(dataset.schema, named=frame.named)
    return dataclasses.replace(dataset, schema=schema, notes=(*frame.notes, *dataset.notes))


def of_numbers(dataset: Dataset) -> Dataset:
    """A data set of numbers as a table of mixed columns, which happen to be numbers.

    Raises:
        InputError: images.
    """
    if not isinstance(dataset.schema, Table):
        raise InputError(f"{dataset.name} holds images; `fit generator` learns them, and `fit table` rows of a table")
    columns = dataset.schema.names or tuple(f"column_{index}" for index in range(dataset.dimension))
    parts = [
        pd.DataFrame(part.points.double().numpy(), columns=list(columns)) for part in (dataset.train, dataset.held_out)
    ]
    schema, _ = MixedTable.of(pd.concat(parts, ignore_index=True))
    train, held_out = (type(dataset.train)(schema.numbers(part)) for part in parts)
    return Dataset(dataset.name, train, held_out, schema)


def plan(settings: TableSettings, dataset: Dataset) -> Plan:
    """Decide what was not asked for."""
    schema = dataset.schema
    assert isinstance(schema, MixedTable)
    rows = len(dataset.train)
    cells = cells_of(schema, dataset.train.points)
    width, dropout, epochs = LARGE if rows >= MANY else SMALL
    steps = settings.steps or min(LEAST_STEPS + epochs * rows // settings.batch_size, MOST_STEPS)
    return Plan(
        objective=settings.choice.spelling,
        seed=settings.seed,
        steps=steps,
        rows=settings.batch_size,
        learning_rate=settings.learning_rate,
        decay_fraction=settings.decay_fraction,
        average_fraction=0.1,
        variance=OWN,
        model=TablePlan(
            tuple(column.count for column in cells),
            tuple(column.ordered for column in cells),
            tuple(column.missing for column in cells),
            settings.width or width,
            settings.depth,
            dropout if settings.dropout is None else settings.dropout,
        ),
        clip=5.0,
    )
