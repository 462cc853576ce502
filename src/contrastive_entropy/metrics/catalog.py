"""Every figure of an evaluation once: its name, what it says, how it is read, and how it is computed.

Evaluation, terminal and evaluation.json follow. A new figure is one entry of a tuple.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from contrastive_entropy.metrics.alternatives import Alternatives, diversity
from contrastive_entropy.metrics.classes import ByClass
from contrastive_entropy.metrics.distances import energy_distance
from contrastive_entropy.metrics.neighborhoods import smaller_share
from contrastive_entropy.metrics.predictions import Predictions
from contrastive_entropy.metrics.samples import NEIGHBOR_POINTS, Side
from contrastive_entropy.numerics.nuclear import effective_rank

HIGH, LOW, AS_REAL, ONE, NINE_TENTHS = GOALS = ("high", "low", "as real", "1", "0.9")
"""What a figure should be; `as real`: what it is of real points."""


class HasParts(Protocol):
    """What a metric is of: it knows what it has."""

    @property
    def has(self) -> frozenset[str]:
        """What figures may need."""


Of = TypeVar("Of", bound=HasParts)


@dataclass(frozen=True)
class Metric(Generic[Of]):
    """A figure.

    Args:
        name: in tables, JSON and Python.
        says: what it is, in a few words.
        of: computes it of a `Side` or of `Alternatives`; a figure that is not finite is left out.
        goal: of `GOALS`.
        needs: what a side must have: images, a table, labels, features ...
        source: where it is from.
        shown: in the table that people read; the others are in JSON alone.
        misleads: not shown where a side has all of these; None: nowhere.
    """

    name: str
    says: str
    of: Callable[[Of], float]
    goal: str = HIGH
    needs: frozenset[str] = frozenset()
    source: str = ""
    shown: bool = True
    misleads: frozenset[str] | None = None


_TABLE, _IMAGES, _LABELS, _GAINS, _CEILING, _SINGLE, _CLASSES, _TRAINED, _MISSED, _FEATURES, _INCEPTION = (
    frozenset({name})
    for name in (
        "table", "images", "labels", "gains", "ceiling", "single", "classes", "trained", "missed",
        "efficientnet", "inception",
    )
)  # fmt: skip

_LOOKED_AT = _FEATURES | {"colors"}
"""Where neighbours in pixels mislead: a blur lies near to all images, and noise has all of them near to it."""

SAMPLE_METRICS: tuple[Metric[Side], ...] = (
    Metric(
        "tightness",
        "about 1 = as close as real data",
        lambda side: side.fidelity / (side.own_fidelity * side.ceiling) ** 0.5,
        source="(E20)",
    ),
    Metric("fidelity", "overlap; variety does not count", lambda side: side.fidelity, source="(E10)"),
    Metric(
        "fidelity_over_ceiling",
        "fidelity over that of real points; beyond 1 where variety is missing",
        lambda side: side.fidelity / side.ceiling,
        goal=ONE,
        needs=_CEILING,
        shown=False,
    ),
    Metric(
        "energy_distance",
        "of the laws; about 0 = equal",
        lambda side: energy_distance(side.points, side.held_out),
        goal=LOW,
        source="Szekely and Rizzo 2013",
    ),
    Metric(
        "precision",
        "samples that lie on the data",
        lambda side: side.scores.precision,
        source="Kynkaanniemi et al. 2019, arXiv 1904.06991",
        misleads=_LOOKED_AT,
    ),
    Metric(
        "recall",
        "data that the samples reach",
        lambda side: side.scores.recall,
        source="Kynkaanniemi et al. 2019, arXiv 1904.06991",
        misleads=_LOOKED_AT,
    ),
    Metric(
        "density",
        "real neighbourhoods per sample",
        lambda side: side.scores.density,
        source="Naeem et al. 2020, arXiv 2002.09797",
        misleads=_LOOKED_AT,
    ),
    Metric(
        "coverage",
        "data with a sample close by",
        lambda side: side.scores.coverage,
        source="Naeem et al. 2020, arXiv 2002.09797",
        misleads=_LOOKED_AT,
    ),
    Metric(
        "effective_rank",
        "kernel directions filled",
        lambda side: float(effective_rank(side.own_spectrum)),
        goal=AS_REAL,
    ),
    Metric(
        "column_distance",
        "of the worst column by itself",
        lambda side: float(side.columns.amax()),
        goal=LOW,
        needs=_TABLE,
    ),
    Metric(
        "far_share",
        "farther off than 99% of data",
        lambda side: float((side.distances > side.radius).double().mean()),
        goal=LOW,
    ),
    Metric(
        "missed",
        "data without a sample near",
        lambda side: side.missed(),
        goal=AS_REAL,
    ),
    Metric(
        "memorization",
        "nearer to training than held-out",
        lambda side: smaller_share(side.distances, side.real_distances),
        goal=AS_REAL,
        needs=_TRAINED,
    ),
    Metric(
        "copies",
        "equal to a training point",
        lambda side: float((side.distances == 0).double().mean()),
        goal=LOW,
        needs=_TRAINED,
    ),
    Metric(
        "sharpness",
        "detail of images over that of real ones; near 0 a blur",
        lambda side: side.sharpness,
        goal=ONE,
        needs=_IMAGES,
        source="Pertuz et al. 2013, a focus measure",
    ),
    Metric(
        "pair_diversity",
        "distance of two samples over that of two real images",
        lambda side: diversity(side.points[None, :NEIGHBOR_POINTS], side.held_out[:NEIGHBOR_POINTS]),
        goal=ONE,
        needs=_IMAGES,
    ),
    Metric(
        "features_frechet",
        "Frechet distance in EfficientNet-Lite0 features; no FID",
        lambda side: side.placed["efficientnet"].frechet,
        goal=LOW,
        needs=_FEATURES,
        source="features of Tan and Le 2019, arXiv 1905.11946",
    ),
    Metric(
        "features_kernel",
        "kernel distance in them; no KID",
        lambda side: side.placed["efficientnet"].kernel,
        goal=LOW,
        needs=_FEATURES,
    ),
    Metric(
        "features_precision",
        "samples that look like data",
        lambda side: side.placed["efficientnet"].scores.precision,
        needs=_FEATURES,
    ),
    Metric(
        "features_recall",
        "data that samples look like",
        lambda side: side.placed["efficientnet"].scores.recall,
        needs=_FEATURES,
    ),
    Metric(
        "features_coverage",
        "data with a sample that looks so",
        lambda side: side.placed["efficientnet"].scores.coverage,
        needs=_FEATURES,
    ),
    Metric(
        "inception_frechet",
        "FID, at this many points",
        lambda side: side.placed["inception"].frechet,
        goal=LOW,
        needs=_INCEPTION,
        source="Heusel et al. 2017, arXiv 1706.08500",
    ),
    Metric(
        "inception_kernel",
        "KID; 0 = equal laws",
        lambda side: side.placed["inception"].kernel,
        goal=LOW,
        needs=_INCEPTION,
        source="Binkowski et al. 2018, arXiv 1801.01401",
    ),
    Metric(
        "inception_precision",
        "samples on the data, in features",
        lambda side: side.placed["inception"].scores.precision,
        needs=_INCEPTION,
    ),
    Metric(
        "inception_recall",
        "data reached, in features",
        lambda side: side.placed["inception"].scores.recall,
        needs=_INCEPTION,
    ),
)
"""Of samples, whatever made them, beside held-out points."""

ALTERNATIVE_METRICS: tuple[Metric[Alternatives], ...] = (
    Metric(
        "best_error",
        "squared distance of an input to its nearest alternative",
        lambda side: float(side.squares.amin(-1).mean()),
        goal=LOW,
    ),
    Metric("mean_error", "and to all of them", lambda side: float(side.squares.mean()), goal=AS_REAL),
    Metric(
        "diversity",
        "distance between alternatives, over that of any two points",
        lambda side: diversity(side.draws, side.held_out),
        goal=AS_REAL,
    ),
    Metric("precision", "alternatives that lie on the data", lambda side: side.precision),
    Metric("far_share", "farther off than 99% of data", lambda side: side.far_share, goal=LOW),
    Metric(
        "missed",
        "data that alternatives miss, more than draws do",
        lambda side: math.nan if side.missed is None else side.missed,
        goal=AS_REAL,
        needs=_MISSED,
    ),
    Metric(
        "mean_preferred",
        "codes of training points at which a blur beats draws (E19)",
        lambda side: side.mean_preferred,
        goal=LOW,
        needs=_GAINS,
    ),
    Metric(
        "purity",
        "alternatives of the input's own class",
        lambda side: side.classes["purity"],
        goal=AS_REAL,
        needs=_LABELS,
    ),
    Metric(
        "sharpness",
        "mean squared Laplacian over that of held-out images: 1 as sharp, near 0 a blur",
        lambda side: side.sharpness,
        goal=ONE,
        needs=_IMAGES,
    ),
    Metric(
        "clarity",
        "the classifier's confidence: blurs and superpositions lower it",
        lambda side: side.classes["clarity"],
        needs=_LABELS,
    ),
)
"""Of an autoencoder's alternatives, beside draws from the data's own posterior."""

PREDICTION_METRICS: tuple[Metric[Predictions], ...] = (
    Metric(
        "tightness",
        "at most this; 1 = nothing more can be told from x",
        lambda side: math.exp(-max(side.best_gap[0], 0.0)),
        needs=_SINGLE,
        source="(E18)",
    ),
    Metric(
        "nll",
        "negative log-likelihood, nats, in the units of y",
        lambda side: -float(side.log_density.mean()),
        goal=LOW,
    ),
    Metric(
        "crps",
        "distance of law and value, in the units of y",
        lambda side: float(side.crps.mean()),
        goal=LOW,
        source="Gneiting and Raftery 2007",
    ),
    Metric(
        "rmse",
        "of the predicted mean, in the units of y",
        lambda side: float(side.squared_errors.mean().sqrt()),
        goal=LOW,
    ),
    Metric("coverage_90", "values in the central 90% intervals", lambda side: side.coverage(0.9), goal=NINE_TENTHS),
    Metric("calibration_error", "of predicted quantiles", lambda side: side.calibration_error, goal=LOW),
    Metric(
        "tightness_gap",
        "nats to the limit, at least",
        lambda side: side.best_gap[0],
        goal=LOW,
        needs=_SINGLE,
        source="(E18)",
        shown=False,
    ),
    Metric(
        "tightness_gap_error",
        "standard error of that",
        lambda side: side.best_gap[1],
        goal=LOW,
        needs=_SINGLE,
        shown=False,
    ),
)
"""Of predicted laws, beside the law of y without x."""

CLASS_METRICS: tuple[Metric[ByClass], ...] = (
    Metric(
        "class_tightness",
        "mean over classes; about 1 = as close as real data",
        lambda side: sum(side.tightness.values()) / len(side.tightness),
        needs=_CLASSES,
        source="(E20)",
    ),
    Metric("worst_class", "tightness of the worst class", lambda side: min(side.tightness.values()), needs=_CLASSES),
    Metric("accuracy", "a classifier finds the class", lambda side: side.accuracy, goal=AS_REAL),
    Metric(
        "class_precision",
        "samples that lie on the data of their class",
        lambda side: side.mean("precision"),
        needs=_CLASSES,
        source="Kynkaanniemi et al. 2019, arXiv 1904.06991",
    ),
    Metric(
        "class_recall",
        "data of a class that its samples reach",
        lambda side: side.mean("recall"),
        needs=_CLASSES,
        source="Kynkaanniemi et al. 2019, arXiv 1904.06991",
    ),
)
"""Of samples that were made of a class, beside held-out points of the same class."""


def figures(metrics: Sequence[Metric[Of]], side: Of) -> dict[str, float]:
    """The figures of one column.

    Args:
        metrics: of this module's tuples.
        side: what they are of; a metric that needs more than it has is left out.

    Returns:
        Name -> figure, in the metrics' order; those that are not finite are left out.
    """
    found = {metric.name: metric.of(side) for metric in metrics if metric.needs <= side.has}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def with_shown(metrics: Sequence[Metric[Of]], side: Of) -> tuple[Metric[Of], ...]:
    """The metrics, of which none is shown that misleads beside this side."""
    misleading = [metric.misleads is not None and metric.misleads <= side.has for metric in metrics]
    pairs = zip(metrics, misleading, strict=True)
    return tuple(dataclasses.replace(metric, shown=metric.shown and not hidden) for metric, hidden in pairs)
