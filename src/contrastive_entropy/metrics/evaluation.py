"""How good a trained run is, or any samples: one value for all kinds of model, whatever shows it."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from contrastive_entropy.metrics.catalog import SAMPLE_METRICS, Metric, figures, with_shown
from contrastive_entropy.metrics.diagnosis import Diagnosis, diagnose_samples
from contrastive_entropy.metrics.missed import Missed
from contrastive_entropy.metrics.neighborhoods import NEIGHBORS
from contrastive_entropy.metrics.samples import Comparison

FEW = 100
"""Points a side below which figures are said to be rough."""

FEW_COLUMNS = 6
"""Points of at most so many coordinates are shown as examples."""

READING = "about 1 is as close to the held-out points as a second real sample."
"""How the headline of samples is read."""

OTHER_REAL = "real: other points of the data in the samples' place."
"""What the table is compared with where nothing is known of what was trained on."""

MODEL, CEILING, REFERENCE = "model", "ceiling", "reference"
"""Columns of a table: figures of the model, of the best that it could make, and of real points in their place."""

OF_SAMPLES = ("far_share", "missed", "memorization", "copies")
"""Figures that say nothing of a ceiling, which is made of the training points."""

CEILING_SAYS = "ceiling: training points as the model can make them at best, from their codes or principal components."


@dataclass(frozen=True)
class Headline:
    """The one figure to look at first.

    Args:
        name: of the figure.
        value: of the model.
        says: how to read it, after the value and a colon.

    >>> print(Headline("tightness", 0.9371, "about 1 is as close to the held-out points as a second real sample."))
    Tightness 0.937: about 1 is as close to the held-out points as a second real sample.
    """

    name: str
    value: float
    says: str

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ').capitalize()} {self.value:.3f}: {self.says}"


@dataclass(frozen=True)
class Table:
    """Figures side by side.

    Args:
        name: of the table.
        title: for people.
        columns: by name, each name -> figure.
        metrics: what the figures say, in the order of the rows; none: all rows are of the first column, without words.

    >>> Table("bounds", "bound", {"train": {"gap": 0.5}})["train"]["gap"]
    0.5
    """

    name: str
    title: str
    columns: Mapping[str, Mapping[str, float]]
    metrics: Sequence[Metric[Any]] = ()

    def __getitem__(self, column: str) -> Mapping[str, float]:
        return self.columns[column]

    @property
    def rows(self) -> list[str]:
        """Names of the figures that people are shown."""
        first = next(iter(self.columns.values()))
        if not self.metrics:
            return list(first)
        return [metric.name for metric in self.metrics if metric.shown and metric.name in first]


@dataclass(frozen=True)
class Listing:
    """Rows of text under headings.

    Args:
        title: for people.
        columns: the headings.
        rows: each as long as the headings; the first text of a row says what it is of, and what follows in it on another
            line explains that.

    Raises:
        ValueError: a row has more or fewer texts.

    >>> Listing("levels", ("column", "levels"), [("colour", "red, blue")]).rows[0][0]
    'colour'
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: expected {len(self.columns)} texts in each row, got {list(row)}")


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report that a kind of model adds to what every evaluation has.

    Args:
        title: for people.
        text: sentences; an empty line begins a paragraph.
        tables: figures or rows of text.
        figures: matplotlib figures by what they show, in a sentence or two.
    """

    title: str
    text: str = ""
    tables: Sequence[Table | Listing] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found, and what it was computed from.

    Args:
        headline: the figure to look at first.
        tables: all figures.
        diagnoses: what they say is wrong, and what to change.
        settings: seed, numbers of points, variance ...
        arrays: by name, the points and spectra that pictures show.
        notes: sentences that belong to the figures.
    """

    headline: Headline
    tables: tuple[Table, ...]
    diagnoses: tuple[Diagnosis, ...]
    settings: Mapping[str, Any]
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def table(self, name: str) -> Table:
        """A table by its name.

        Raises:
            KeyError: there is none.
        """
        known = {table.name: table for table in self.tables}
        if name not in known:
            raise KeyError(f"no table {name!r} (there are {', '.join(known)})")
        return known[name]

    @property
    def model(self) -> Mapping[str, float]:
        """Name -> figure of the model.

        Raises:
            KeyError: no table has them.
        """
        return self._column(MODEL)

    @property
    def reference(self) -> Mapping[str, float]:
        """Name -> figure of real points in the place of the model's.

        Raises:
            KeyError: no table has them.
        """
        return self._column(REFERENCE)

    def _column(self, name: str) -> Mapping[str, float]:
        for table in self.tables:
            if name in table.columns:
                return table[name]
        raise KeyError(f"no table has a column {name!r}")

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file: numbers that are not finite become None."""
        value = {
            "headline": dataclasses.asdict(self.headline),
            "settings": self.settings,
            "tables": {table.name: table.columns for table in self.tables},
            "diagnoses": [dataclasses.asdict(found) for found in self.diagnoses],
        }
        return {name: _finite(part) for name, part in value.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def evaluate_comparison(
    comparison: Comparison,
    title: str,
    *,
    settings: Mapping[str, Any],
    names: Sequence[str] | None = None,
    fit: bool = True,
    steps: int | None = None,
    better: str | None = None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """The evaluation of samples, whatever made them.

    Args:
        comparison: of samples and real points.
        title: what is compared, for people.
        settings: of the caller.
        names: of a table's columns; None: it has none.
        fit: whether the samples are of a fit, whose settings may be changed.
        steps: of the fit, if known.
        better: an objective that covers the data better, if the fit had another one.
        notes: sentences of the caller.

    Returns:
        Evaluation with one table, `samples`.

    Raises:
        InputError: the variance shows no overlap.
    """
    comparison.check()
    model, real = (figures(SAMPLE_METRICS, side) for side in (comparison.model, comparison.real))
    worst = None if comparison.image_shape else int(comparison.model.columns.argmax())
    column = worst if worst is None or names is None else names[worst]
    part = missed_part(comparison.missed, names)
    metrics = with_shown(SAMPLE_METRICS, comparison.model)
    found = diagnose_samples(
        model, real, column=column, fit=fit, steps=steps, better=better, missed=part,
        where="" if metrics == SAMPLE_METRICS else " in pixels",
    )  # fmt: skip
    title = f"{title}, {comparison.counts.points} points a side, variance {comparison.variance:.4g}"
    return Evaluation(
        Headline("tightness", model["tightness"], READING),
        (Table("samples", title, {MODEL: model, **_ceiling(comparison), REFERENCE: real}, metrics),),
        tuple(found),
        {**settings, **_computed_from(comparison), "column": column, **_spaces(comparison)},
        {
            "generated": comparison.model.points,
            "spectrum": comparison.model.spectrum,
            "reference_spectrum": comparison.real.spectrum,
        },
        (*_notes(comparison), *notes),
    )


def _ceiling(comparison: Comparison) -> dict[str, dict[str, float]]:
    """The column of what a model could reach, if that is not all points."""
    if comparison.best is None:
        return {}
    return {CEILING: figures([one for one in SAMPLE_METRICS if one.name not in OF_SAMPLES], comparison.best)}


def _computed_from(comparison: Comparison) -> dict[str, Any]:
    return {
        "points": comparison.counts.points,
        "spectrum_points": comparison.counts.again,
        "neighbors": NEIGHBORS,
        "variance": comparison.variance,
        "far_radius": comparison.real.radius,
    }


def _spaces(comparison: Comparison) -> dict[str, Any]:
    """Which features these are, and of how many points a side."""
    count = comparison.counts.points
    return {one.name: {**one.settings, "points": min(count, one.most)} for one in comparison.spaces}


def missed_part(missed: Missed, names: Sequence[str] | None) -> str | None:
    """The part of the data that samples miss in words, if it is more than chance explains; else None.

    Args:
        missed: of the samples.
        names: of a table's columns; None: they are numbered.
    """
    if not missed.significant or missed.example is None:
        return None
    seen = f"{missed.share:.1%} of the data, and {missed.real:.1%} would be missed by chance"
    point = missed.example.tolist()
    if len(point) > FEW_COLUMNS:
        return seen
    named = [str(column) for column in range(len(point))] if names is None else names
    return f"{seen}; as {', '.join(f'{name} = {value:.4g}' for name, value in zip(named, point, strict=True))}"


def _notes(comparison: Comparison) -> Iterator[str]:
    yield "real: training points in the samples' place." if comparison.trained else OTHER_REAL
    if comparison.best is not None:
        yield CEILING_SAYS
    yield from (space.note for space in comparison.spaces if space.note is not None)
    if comparison.counts.points < FEW:
        yield f"All of it is rough: {comparison.counts.points} points a side are few."
