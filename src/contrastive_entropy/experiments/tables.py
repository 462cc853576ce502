"""Samples of mixed tables beside those of what people use today, and beside real rows in their place."""

import dataclasses
import hashlib
import io
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.experiments import synthesizers
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
from contrastive_entropy.experiments.settings import TablesSettings, recorded
from contrastive_entropy.models.table import TABLE, TableSettings
from contrastive_entropy.models.table.evaluation import LEAST_SAMPLES, target_of
from contrastive_entropy.quality import judge
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, new_figure, png_bytes
from contrastive_entropy.storage import write_atomically

logger = logging.getLogger("contrastive_entropy")

SPLIT = 0
"""Seed of the rows that are held out: the same for all seeds and contenders."""

OURS, REAL = "table", "real rows"
"""Our contender, and the row of the reference."""

SHOWN: dict[str, int] = {
    "detection": 3,
    "forest_detection": 3,
    "shapes": 3,
    "pairs": 3,
    "utility": 3,
    "missed": 3,
    "copies": 3,
    "nearer_to_training": 3,
    "membership": 3,
    "missing_error": 3,
    "invalid": 3,
    "fit_seconds": 1,
    "sample_seconds": 1,
}
"""Columns of the table and their decimals; `missing_error` is the largest difference of a column's share of missing values
from that of held-out rows, and `invalid` the share of rows, as they were drawn, that hold a value no row can have."""

DRAWN = ("detection", "forest_detection", "shapes", "pairs", "utility", "missed", "membership")
FROM_HALF = ("detection", "forest_detection", "membership")
"""Figures of the picture, and those of which .5 says that nothing is told."""

LEAST_SECONDS = 0.01
"""That the picture shows."""


def run(settings: TablesSettings, folder: Path) -> dict[str, Any]:
    """Fit every contender to every table, then write tables.json and .png.

    Samples and seconds are kept in `runs/`, and the figures apart from them: without the files `*.figures.json` the same
    command judges the samples again and fits nothing.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        `rows`: for every table and contender, and for real rows, the figures of every seed.

    Raises:
        InputError: no such contender or not installed, a table or a folder cannot be used, or a signal stopped it.
    """
    known = (OURS, *synthesizers.SYNTHESIZERS)
    for name in settings.contenders:
        if name not in known:
            raise InputError(f"unknown contender {name!r}{suggestion(name, known)} (known: {', '.join(known)})")
        if name != OURS:
            synthesizers.require(name)
    if settings.targets and len(settings.targets) != len(settings.data):
        raise InputError(
            f"`targets` must name one column for each of {len(settings.data)} tables, got {settings.targets}"
        )
    clock = Clock(folder)
    rows = []
    for path, target in zip(settings.data, settings.targets or (None,) * len(settings.data), strict=True):
        asked = dataclasses.replace(settings.fit, data=path, seed=SPLIT, target=target)
        table, dataset = _name(path), TABLE.load(asked)
        found: dict[str, list[dict[str, Any]]] = {}
        for seed in settings.seeds:
            fit, references = dataclasses.replace(asked, seed=seed), []
            for name in settings.contenders:
                ours, real = _one(name, fit, dataset, folder / "runs" / f"{table}-{name}-{seed}", clock)
                found.setdefault(name, []).append(ours)
                references.append(real)
            found.setdefault(REAL, []).append(references[0])
        counts = {"train_rows": len(dataset.train), "held_out_rows": len(dataset.held_out)}
        rows += [
            {"table": table, "contender": name, "package": _package(name), **counts, "runs": found[name]}
            for name in (*settings.contenders, REAL)
        ]
    config = recorded(settings)
    config["data"] = [_name(path) for path in settings.data]
    write_result(folder / "tables.json", config, list(settings.seeds), clock, {"rows": rows})
    write_atomically(folder / "tables.png", png_bytes(figure({"rows": rows})))
    return {"rows": rows, "config": config}


def _name(path: str) -> str:
    return Path(path).name.split(".")[0]


def _package(name: str) -> str:
    return "" if name in (OURS, REAL) else synthesizers.version(name)


def _one(
    name: str, fit: TableSettings, dataset: Dataset, place: Path, clock: Clock
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of one contender's samples, and those of real rows in their place."""
    samples = place.with_name(f"{place.name}.samples.npy")
    count = max(len(dataset.held_out), LEAST_SAMPLES)
    known: dict[str, Any] = {"data": dataset.digest, "samples": count}
    known |= {"settings": dataclasses.asdict(fit)} if name == OURS else {"package": _package(name), "seed": fit.seed}

    def drawn() -> dict[str, Any]:
        draw = _ours if name == OURS else _theirs
        values, seconds = draw(name, fit, dataset, place, count, clock)
        schema = _schema(dataset)
        figures = {"invalid": invalid(values, schema), **seconds}
        stream = io.BytesIO()
        np.save(stream, tidy(values, schema))
        samples.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(samples, stream.getvalue())
        return figures

    seconds = kept(place.with_name(f"{place.name}.fit.json"), known, clock, drawn)
    content = samples.read_bytes()
    asked = {
        "samples": hashlib.sha256(content).hexdigest(),
        "data": dataset.digest,
        "seed": fit.seed,
        "target": fit.target,
    }

    def judged() -> dict[str, Any]:
        logger.info(f"{place.name}: judging {count:,} rows")
        return _judged(np.load(io.BytesIO(content)), dataset, fit)

    found = kept(place.with_name(f"{place.name}.figures.json"), asked, clock, judged)
    return {**found["samples"], **seconds}, found["real"]


Seconds = dict[str, float]
"""Of the fit, and of the draw."""


def _ours(
    name: str, fit: TableSettings, dataset: Dataset, place: Path, count: int, clock: Clock
) -> tuple[np.ndarray, Seconds]:
    """Rows of our model, (n, c) of the learnt columns."""
    run = finished_run(TABLE, fit, place, dataset, clock, label=place.name)
    start = time.monotonic()
    points = run.generate(count, generator=torch.Generator().manual_seed(fit.seed + 1))
    return learnt(points.numpy(), _schema(dataset)), _seconds(training_seconds(run), time.monotonic() - start)


def _theirs(
    name: str, fit: TableSettings, dataset: Dataset, place: Path, count: int, clock: Clock
) -> tuple[np.ndarray, Seconds]:
    """Rows of a contender, which sees the same rows as our model."""
    logger.info(place.name)
    schema = _schema(dataset)
    rows = synthesizers.Plain.of(learnt(dataset.train.points.numpy(), schema), schema)
    start = time.monotonic()
    draw = synthesizers.fitted(name, rows, fit.seed)
    between = time.monotonic()
    values = rows.values(draw(count))
    return values, _seconds(between - start, time.monotonic() - between)


def _seconds(fit: float, draw: float) -> Seconds:
    return {"fit_seconds": round(fit, 2), "sample_seconds": round(draw, 2)}


def _schema(dataset: Dataset) -> MixedTable:
    assert isinstance(dataset.schema, MixedTable)
    return dataset.schema


def learnt(points: np.ndarray, schema: MixedTable) -> np.ndarray:
    """Rows (n, d) without the columns that are not learnt, (n, c)."""
    return points[:, schema.learnt].astype(np.float64)


def invalid(values: np.ndarray, schema: MixedTable) -> float:
    """Share of rows (n, c) with a value that no row can have.

    A number beyond the least and the largest of the data, or a missing value in a column that misses none.
    """
    wrong = np.zeros(len(values), dtype=bool)
    for own, column in zip(values.T, (column for column in schema.mixed if column.learnt), strict=True):
        wrong |= np.isnan(own) & (not column.missing)
        if column.numeric:
            wrong |= (own < column.low) | (own > column.high)
    return float(wrong.mean())


def tidy(values: np.ndarray, schema: MixedTable) -> np.ndarray:
    """Rows (n, c) rounded and clipped to the data's decimals and bounds, as SDV does it for every model."""
    return learnt(schema.tidy(schema.whole(torch.from_numpy(values))).numpy(), schema)


def _judged(values: np.ndarray, dataset: Dataset, fit: TableSettings) -> dict[str, dict[str, float]]:
    """What `quality` says of rows (n, c), `samples`, and of real ones in their place, `real`."""
    schema = _schema(dataset)
    train, held_out = (learnt(part.points.numpy(), schema) for part in (dataset.train, dataset.held_out))
    samples, unseen, seen = (schema.plain(schema.whole(torch.from_numpy(rows))) for rows in (values, held_out, train))
    judgement = judge(
        samples, unseen, training=seen, kinds=schema.kinds_learnt, target=fit.target or target_of(schema), seed=fit.seed
    )
    return {
        "samples": {**judgement.figures, "missing_error": missing_error(values, held_out)},
        "real": {**judgement.real, "missing_error": missing_error(train, held_out)},
    }


def missing_error(values: np.ndarray, others: np.ndarray) -> float:
    """The largest difference, over the columns, of the shares of missing values."""
    return float(np.abs(np.isnan(values).mean(0) - np.isnan(others).mean(0)).max())


def figure(found: Mapping[str, Any]) -> Figure:
    """Every figure of every contender, with real rows' as a line, and the seconds of a fit on a logarithmic axis."""
    tables = list(dict.fromkeys(row["table"] for row in found["rows"]))
    most = max(len(_of(found, table)) for table in tables)
    shown = new_figure(2.1 * (len(DRAWN) + 1) + 1.4, (0.34 * most + 1.2) * len(tables))
    axes = shown.subplots(len(tables), len(DRAWN) + 1, squeeze=False, sharey="row")
    for line, table in zip(axes, tables, strict=True):
        rows, real = _of(found, table), _of(found, table, real=True)[0]
        colors = [MODEL_COLOR if row["contender"] == OURS else DATA_COLOR for row in rows]
        for axis, name in zip(line, DRAWN, strict=False):
            means, errors = ([side(row["runs"], name) for row in rows] for side in (_mean, _error))
            axis.barh(range(len(rows)), means, xerr=errors, color=colors)
            if np.isfinite(reference := _mean(real["runs"], name)):
                axis.axvline(reference, color="black", linestyle="--", linewidth=1)
            if name in FROM_HALF:
                axis.set_xlim(0.4, 1)
            axis.set_xlabel(name.replace("_", " "))
        seconds = [max(_mean(row["runs"], "fit_seconds"), LEAST_SECONDS) for row in rows]
        line[-1].scatter(seconds, range(len(rows)), color=colors)
        line[-1].set(xscale="log", xlabel="seconds of a fit")
        line[-1].set_xlim(10 ** np.floor(np.log10(min(seconds)) - 0.1), 10 ** np.ceil(np.log10(max(seconds)) + 0.1))
        for axis in line:
            axis.minorticks_off()
            bare(axis)
        line[0].set_yticks(range(len(rows)), [row["contender"] for row in rows])
        line[0].invert_yaxis()
        line[0].set_title(f"{table}; dashed: real rows", loc="left")
    return shown


def _of(found: Mapping[str, Any], table: str, *, real: bool = False) -> list[dict[str, Any]]:
    """The rows of a table: of contenders, or of real rows."""
    return [row for row in found["rows"] if row["table"] == table and (row["contender"] == REAL) == real]


def _values(runs: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [run[name] for run in runs if name in run]


def _mean(runs: Sequence[Mapping[str, float]], name: str) -> float:
    values = _values(runs, name)
    return mean_and_error(values)[0] if values else float("nan")


def _error(runs: Sequence[Mapping[str, float]], name: str) -> float:
    values = _values(runs, name)
    return mean_and_error(values)[1] if values else 0.0


def table(found: Mapping[str, Any]) -> str:
    """The markdown table of a result."""
    rows = []
    for row in found["rows"]:
        cells = [
            over_seeds(values, digits=digits) if (values := _values(row["runs"], name)) else ""
            for name, digits in SHOWN.items()
        ]
        rows.append([row["table"], f"{row['train_rows']:,}", row["contender"], *cells])
    return markdown(["table", "training rows", "contender", *(name.replace("_", " ") for name in SHOWN)], rows)


def reading(found: Mapping[str, Any]) -> str:
    """Some sentences for every table, from the rows alone."""
    parts = []
    for name in dict.fromkeys(row["table"] for row in found["rows"]):
        rows, real = _of(found, name), _of(found, name, real=True)[0]["runs"]
        order = sorted(rows, key=lambda row: _mean(row["runs"], "detection"))
        told = ", ".join(f"{row['contender']} {_mean(row['runs'], 'detection'):.2f}" for row in order)
        text = f"{name}: trees tell samples from real rows with an area under the curve of {told}; real rows "
        text += f"{_mean(real, 'detection'):.2f}."
        if _values(real, "utility"):
            order = sorted(rows, key=lambda row: -_mean(row["runs"], "utility"))
            used = ", ".join(f"{row['contender']} {_mean(row['runs'], 'utility'):.2f}" for row in order)
            text += f" Trained on samples, trees predict with {used}; on real rows with {_mean(real, 'utility'):.2f}."
        order = sorted(rows, key=lambda row: _mean(row["runs"], "fit_seconds"))
        spent = ", ".join(f"{row['contender']} {_mean(row['runs'], 'fit_seconds'):,.0f} s" for row in order)
        parts.append(f"{text} A fit took {spent}.")
    return " ".join(parts)
