"""The law of y given x, of tables and of laws of known form, beside what people would use instead."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.laws import LAWS
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.experiments.journal import (
    Clock,
    finished_run,
    kept,
    markdown,
    mean_and_error,
    over_seeds,
    training_seconds,
    write_result,
)
from contrastive_entropy.experiments.regressors import REGRESSORS
from contrastive_entropy.experiments.settings import PredictedLawsSettings, recorded
from contrastive_entropy.metrics.catalog import PREDICTION_METRICS, figures
from contrastive_entropy.metrics.predictions import Predictions
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.conditional import CONDITIONAL
from contrastive_entropy.models.conditional.settings import ConditionalSettings
from contrastive_entropy.objectives.catalog import GIVEN_OBJECTIVES
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, new_figure, png_bytes
from contrastive_entropy.storage import write_atomically

HELD_OUT = 0.1
"""Share of a table's rows that a split holds out, as is usual."""

ANNEALED = next(objective.name for objective in GIVEN_OBJECTIVES if objective.anneals)

OURS: dict[str, dict[str, Any]] = {
    "mixture": {},
    "ensemble": {"members": 5},
    "annealed": {"objective": ANNEALED},
    "gaussian": {"components": 1},
}
"""Contenders of ours, and what they change; gaussian is the usual network of mean and deviation."""

TRUTH = "truth"
"""Row of a law of known form."""

SHOWN = ("nll", "crps", "rmse", "coverage_90", "calibration_error")
"""Columns of the table."""


def run(settings: PredictedLawsSettings, folder: Path) -> dict[str, Any]:
    """Fit every contender to every split of every table, then write predicted-laws.json and .png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        `rows`: for every table and contender the figures of every seed.

    Raises:
        InputError: no such contender, a table or a folder cannot be used, or a signal stopped it.
    """
    known = (*OURS, *REGRESSORS)
    for name in settings.contenders:
        if name not in known:
            raise InputError(f"unknown contender {name!r}{suggestion(name, known)} (known: {', '.join(known)})")
    clock = Clock(folder)
    rows = []
    for table in settings.tables:
        found: dict[str, list[dict[str, Any]]] = {}
        for seed in settings.seeds:
            fit = dataclasses.replace(settings.fit, data=table, seed=seed, held_out=HELD_OUT)
            dataset = CONDITIONAL.load(fit)
            if dataset.dimension != 1:
                raise InputError(f"{table}: expected one target")
            if table in LAWS:
                found.setdefault(TRUTH, []).append(_figures(_truth(table, dataset), dataset, 0.0))
            for name in settings.contenders:
                place = folder / "runs" / f"{Path(table).stem}-{name}-{seed}"
                found.setdefault(name, []).append(_one(name, fit, dataset, place, clock))
        rows += [{"table": Path(table).stem, "contender": name, "runs": runs} for name, runs in found.items()]
    result = {"rows": rows}
    asked = recorded(settings)
    asked["tables"] = [Path(table).stem for table in settings.tables]
    write_result(folder / "predicted-laws.json", asked, list(settings.seeds), clock, result)
    write_atomically(folder / "predicted-laws.png", png_bytes(figure(result)))
    return result | {"config": asked}


def _one(name: str, fit: ConditionalSettings, dataset: Dataset, place: Path, clock: Clock) -> dict[str, Any]:
    """The figures of one contender on one split."""
    settings = dataclasses.replace(fit, **OURS.get(name, {}))

    def figures_of() -> dict[str, Any]:
        if name in OURS:
            run = finished_run(CONDITIONAL, settings, place, dataset, clock, label=place.name)
            return _figures(run.network()(dataset.held_out.given), dataset, training_seconds(run))
        start = time.monotonic()
        laws = REGRESSORS[name](dataset, fit.seed)
        return _figures(laws, dataset, time.monotonic() - start)

    asked = {"settings": dataclasses.asdict(settings), "data": dataset.digest}
    return kept(place.with_name(f"{place.name}.figures.json"), asked, clock, figures_of)


def _figures(laws: GaussianMixture, dataset: Dataset, seconds: float) -> dict[str, Any]:
    given, train, schema = dataset.held_out.given, dataset.train.given, dataset.given_schema
    assert given is not None
    assert train is not None
    assert isinstance(schema, Table)
    comparable = schema.standardizing(train).encode(given)
    side = Predictions(laws.detach(), dataset.held_out.points.double(), comparable)
    return {**figures(PREDICTION_METRICS, side), "seconds": round(seconds, 2)}


def _truth(name: str, dataset: Dataset) -> GaussianMixture:
    assert dataset.held_out.given is not None
    return LAWS[name].given(dataset.held_out.given.double())


def figure(found: Mapping[str, Any]) -> Figure:
    """Negative log-likelihood of every contender over the best of its table, with standard errors."""
    tables = list(dict.fromkeys(row["table"] for row in found["rows"]))
    shown = new_figure(3.2 * len(tables) + 1, 3.6)
    for axis, table in zip(shown.subplots(1, len(tables), squeeze=False)[0], tables, strict=True):
        rows = [row for row in found["rows"] if row["table"] == table]
        means = [mean_and_error([run["nll"] for run in row["runs"]]) for row in rows]
        lowest = min(mean for mean, _ in means)
        places = range(len(rows))
        colors = [DATA_COLOR if row["contender"] not in OURS else MODEL_COLOR for row in rows]
        axis.barh(places, [mean - lowest for mean, _ in means], xerr=[error for _, error in means], color=colors)
        axis.set_yticks(places, [row["contender"].replace("_", " ") for row in rows])
        axis.set(title=table, xlabel="nats above the lowest")
        axis.invert_yaxis()
        bare(axis)
    return shown


def table(found: Mapping[str, Any]) -> str:
    """The markdown table of a result."""
    rows = []
    for row in found["rows"]:
        runs = row["runs"]
        cells = [over_seeds([run[name] for run in runs], digits=_digits(name, runs)) for name in SHOWN]
        rows.append([row["table"], row["contender"].replace("_", " "), *cells, f"{_mean(runs, 'seconds'):.1f}"])
    return markdown(["table", "contender", *(name.replace("_", " ") for name in SHOWN), "seconds a fit"], rows)


def _digits(name: str, runs: list[dict[str, float]]) -> int:
    """Of figures in the units of y as many as show three of them."""
    if name not in ("crps", "rmse"):
        return 3 if name != "nll" else 2
    value = abs(_mean(runs, name))
    return 3 if value < 1 else 2 if value < 100 else 0


def _mean(runs: list[dict[str, float]], name: str) -> float:
    return sum(run[name] for run in runs) / len(runs)


def reading(found: Mapping[str, Any]) -> str:
    """A sentence for every table, from the rows alone."""
    parts = []
    for name in dict.fromkeys(row["table"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["table"] == name and row["contender"] != TRUTH]
        order = sorted(rows, key=lambda row: _mean(row["runs"], "nll"))
        best = order[0]
        text = f"{name}: the lowest negative log-likelihood is {best['contender']}'s, {_mean(best['runs'], 'nll'):.3f}"
        if len(order) > 1:
            text += f", before {order[1]['contender']}'s {_mean(order[1]['runs'], 'nll'):.3f}"
        truth = [row for row in found["rows"] if row["table"] == name and row["contender"] == TRUTH]
        parts.append(f"{text}; the truth has {_mean(truth[0]['runs'], 'nll'):.3f}." if truth else f"{text}.")
    return " ".join(parts)
