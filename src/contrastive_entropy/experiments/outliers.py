"""Predicted laws of tables in which some training targets were replaced by outliers, judged on clean rows."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.experiments.journal import (
    Clock,
    finished_run,
    kept,
    markdown,
    mean_and_error,
    over_seeds,
    write_result,
)
from contrastive_entropy.experiments.settings import OutliersSettings, recorded
from contrastive_entropy.metrics.catalog import PREDICTION_METRICS, figures
from contrastive_entropy.metrics.predictions import Predictions
from contrastive_entropy.models.conditional import CONDITIONAL
from contrastive_entropy.models.conditional.robust import Found, find_outliers
from contrastive_entropy.models.conditional.settings import ConditionalSettings
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, new_figure, png_bytes
from contrastive_entropy.storage import write_atomically

HELD_OUT = 0.1
"""Share of a table's rows that a split holds out."""

SPREAD, CLUSTER = WAYS = ("spread", "cluster")
"""Ways of outliers."""

TIMES, DEVIATIONS, CLUSTER_WIDTH = 10.0, 8.0, 0.1
"""Of the range that spread ones lie in, and of a cluster's distance and width in deviations of the target."""

LIKELIHOOD, ROBUST, DROPPED = FITS = ("likelihood", "robust", "rows dropped")
"""What is fitted; the last one knows which rows are outliers."""

SHOWN = ("nll", "crps", "rmse")
"""Columns of the table."""


def run(settings: OutliersSettings, folder: Path) -> dict[str, Any]:
    """Fit every table with every share of outliers in every way, then write outliers.json and .png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        `rows`: for every table, way, percent and fit the figures of every seed.

    Raises:
        InputError: no such way, a table or a folder cannot be used, or a signal stopped it.
    """
    for way in settings.ways:
        if way not in WAYS:
            raise InputError(f"unknown way {way!r}{suggestion(way, WAYS)} (known: {', '.join(WAYS)})")
    if max(settings.percents) >= 100:
        raise InputError(f"percents must be below 100, got {max(settings.percents)}")
    clock = Clock(folder)
    rows = []
    for table in settings.tables:
        for way, percent in [("none", 0), *((way, percent) for way in settings.ways for percent in settings.percents)]:
            found: dict[str, list[dict[str, float]]] = {}
            for seed in settings.seeds:
                fit = dataclasses.replace(settings.fit, data=table, seed=seed, held_out=HELD_OUT)
                clean = CONDITIONAL.load(fit)
                if clean.dimension != 1:
                    raise InputError(f"{table}: expected one target")
                spoiled, truth = with_outliers(clean, way, percent / 100, seed)
                for name in (LIKELIHOOD, ROBUST, *((DROPPED,) if percent else ())):
                    place = folder / "runs" / f"{Path(table).stem}-{way}-{percent}-{name.replace(' ', '-')}-{seed}"
                    found.setdefault(name, []).append(_one(name, fit, spoiled, truth, place, clock))
            rows += [
                {"table": Path(table).stem, "way": way, "percent": percent, "fit": name, "runs": runs}
                for name, runs in found.items()
            ]
    asked = recorded(settings)
    asked["tables"] = [Path(table).stem for table in settings.tables]
    write_result(folder / "outliers.json", asked, list(settings.seeds), clock, {"rows": rows})
    write_atomically(folder / "outliers.png", png_bytes(figure({"rows": rows})))
    return {"rows": rows, "config": asked}


def with_outliers(dataset: Dataset, way: str, share: float, seed: int) -> tuple[Dataset, Tensor]:
    """The data with a share of their training targets replaced, and which these are.

    Args:
        dataset: of one target.
        way: of `WAYS`.
        share: in [0, 1).
        seed: of the draw.
    """
    y = dataset.train.points.clone()
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(y), dtype=torch.bool)
    chosen[torch.randperm(len(y), generator=draw)[: round(share * len(y))]] = True
    count = int(chosen.sum())
    if way == CLUSTER:
        center, deviation = y.mean(), y.std()
        near = torch.randn(count, 1, generator=draw)
        y[chosen] = center + deviation * (DEVIATIONS + CLUSTER_WIDTH * near)
    elif count:
        middle, range_ = (y.max() + y.min()) / 2, y.max() - y.min()
        y[chosen] = middle + TIMES * range_ * (torch.rand(count, 1, generator=draw) - 0.5)
    return dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, points=y)), chosen


def _one(
    name: str, fit: ConditionalSettings, dataset: Dataset, truth: Tensor, place: Path, clock: Clock
) -> dict[str, float]:
    """The figures of one fit."""

    def figures_of() -> dict[str, float]:
        data, further = dataset, {}
        if name == DROPPED:
            data = Found(float(truth.double().mean()), truth).without(dataset)
        elif name == ROBUST:
            found = find_outliers(fit, dataset, trained)
            data = found.without(dataset)
            further = {"share": found.share, "false": float(found.outliers[~truth].double().mean())}
            if bool(truth.any()):
                further["flagged"] = float(found.outliers[truth].double().mean())
        run = finished_run(CONDITIONAL, fit, place, data, clock, label=place.name)
        with torch.no_grad():
            side = Predictions(run.network()(data.held_out.given).detach(), data.held_out.points.double())
        return {**figures(PREDICTION_METRICS, side), **further}

    def trained(settings: ConditionalSettings, rows: Dataset, look: int) -> Any:
        own = place.with_name(f"{place.name}-look{look}")
        return finished_run(CONDITIONAL, settings, own, rows, clock, label=own.name).network()

    asked = {"settings": dataclasses.asdict(fit), "data": dataset.digest}
    return kept(place.with_name(f"{place.name}.figures.json"), asked, clock, figures_of)


def figure(found: Mapping[str, Any]) -> Figure:
    """What outliers cost: CRPS of every fit over that of the clean rows, by their share."""
    tables, ways = (list(dict.fromkeys(row[key] for row in found["rows"])) for key in ("table", "way"))
    ways = [way for way in ways if way != "none"]
    shown = new_figure(3.4 * len(tables) + 1, 3 * len(ways) + 0.6)
    axes = shown.subplots(len(ways), len(tables), squeeze=False)
    styles = {LIKELIHOOD: (DATA_COLOR, "--"), ROBUST: (MODEL_COLOR, "-"), DROPPED: (DATA_COLOR, ":")}
    for line, way in zip(axes, ways, strict=True):
        for axis, table in zip(line, tables, strict=True):
            for name, (color, style) in styles.items():
                rows = [
                    row
                    for row in found["rows"]
                    if row["table"] == table and row["fit"] == name and row["way"] in ("none", way)
                ]
                means = [mean_and_error([run["crps"] for run in row["runs"]])[0] for row in rows]
                axis.semilogy([row["percent"] for row in rows], means, style, color=color, label=name, marker=".")
            axis.set(title=f"{table}, {way}", xlabel="outliers, percent of the rows", ylabel="CRPS on clean rows")
            axis.minorticks_off()
            bare(axis)
    axes[0][0].legend()
    return shown


def table(found: Mapping[str, Any]) -> str:
    """The markdown table of a result."""
    rows = []
    for row in found["rows"]:
        runs = row["runs"]
        cells = [over_seeds([run[name] for run in runs], digits=2 if name == "nll" else 3) for name in SHOWN]
        cells += [
            f"{sum(run[name] for run in runs) / len(runs):.1%}" if name in runs[0] else ""
            for name in ("share", "flagged", "false")
        ]
        rows.append([row["table"], f"{row['percent']}% {row['way']}" if row["percent"] else "none", row["fit"], *cells])
    return markdown(["table", "outliers", "fit", *SHOWN, "share found", "flagged", "false"], rows)


def losses(found: Mapping[str, Any]) -> dict[tuple[str, str, int, str], float]:
    """Mean loss of NLL against the fit with the rows dropped, by table, way, percent and fit."""
    known = {
        (row["table"], row["way"], row["percent"], row["fit"]): mean_and_error([run["nll"] for run in row["runs"]])[0]
        for row in found["rows"]
    }
    return {
        key: value - known[*key[:3], DROPPED if key[2] else LIKELIHOOD]
        for key, value in known.items()
        if key[3] != DROPPED
    }


def reading(found: Mapping[str, Any]) -> str:
    """A sentence for every table, from the rows alone."""
    parts = []
    for name in dict.fromkeys(row["table"] for row in found["rows"]):
        worst = {}
        for fit in (LIKELIHOOD, ROBUST):
            known = {key: loss for key, loss in losses(found).items() if key[0] == name and key[3] == fit and key[2]}
            key = max(known, key=lambda key: known[key])
            worst[fit] = f"{known[key]:.2f} nats ({key[2]}%, {key[1]})"
        clean = losses(found)[name, "none", 0, ROBUST]
        parts.append(
            f"{name}: against dropping the rows, likelihood loses up to {worst[LIKELIHOOD]}, the robust fit up to "
            f"{worst[ROBUST]}; without outliers the robust fit loses {clean:.3f}."
        )
    return " ".join(parts)
