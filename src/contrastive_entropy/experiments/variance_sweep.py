"""Diversity and meaning over the variance, per objective, and where the variance that is chosen from the data falls."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.comparison import Comparison, contender
from contrastive_entropy.experiments.journal import Clock, markdown, mean_and_error, shown, write_result
from contrastive_entropy.experiments.settings import VarianceSweepSettings, recorded
from contrastive_entropy.metrics.diagnosis import SIGNATURES, diagnose_samples, diagnose_training
from contrastive_entropy.metrics.monitors import monitors
from contrastive_entropy.metrics.neighborhoods import far_share
from contrastive_entropy.metrics.samples import FAR_QUANTILE
from contrastive_entropy.metrics.scores import vendi_score
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.report.drawing import DATA_COLOR, draw_points, draw_sheet, png_bytes, principal_axes
from contrastive_entropy.spaces.space import POINTS
from contrastive_entropy.storage import write_atomically

RANKED = 512
"""Samples whose effective rank is taken; `SHOWN` are looked at for the diagnoses and the strip."""

SHOWN = 1024


Strips = dict[str, list[tuple[float, Tensor, float]]]
"""Per objective, for each factor: the variance asked for, samples of the first seed, and the variance reached."""


def run(settings: VarianceSweepSettings, folder: Path) -> dict[str, Any]:
    """Train what is missing, then write variance-sweep.json and variance-sweep.png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        The settings, and rows: one per objective and factor, with figures of every seed; factor 1 is what the data chose.

    Raises:
        InputError: an unknown objective, data or a folder that cannot be used, or a signal stopped it.
    """
    for name in settings.objectives:
        if not contender(name).objective.sees_variance:
            raise InputError(f"{name} has no variance to sweep; leave it out of `objectives`")
    clock = Clock(folder)
    runs = len(settings.objectives) * len(settings.factors) * len(settings.seeds)
    comparison = Comparison(settings, folder, clock, expected=runs)
    auto = comparison.plan.variance.end
    rows: list[dict[str, Any]] = []
    strips: Strips = {name: [] for name in settings.objectives}
    asked = recorded(settings)
    for name in settings.objectives:
        for factor in settings.factors:
            row, strip = _row(comparison, settings, name, factor)
            rows.append(row)
            strips[name].append(strip)
        findings = {"space": comparison.judge.space.name, "auto": auto, "real": comparison.real, "rows": rows}
        write_result(folder / "variance-sweep.json", asked, list(settings.seeds), clock, findings)
        found = {"config": asked, **findings}
        write_atomically(folder / "variance-sweep.png", png_bytes(figure(found, strips, comparison.dataset)))
    return found


def _row(
    comparison: Comparison, settings: VarianceSweepSettings, name: str, factor: float
) -> tuple[dict[str, Any], tuple[float, Tensor, float]]:
    """An objective at one factor, all seeds, and what the strip shows of the first."""
    fall, choice = comparison.plan.variance, contender(name)
    end, label = fall.end * factor, f"{name}@{factor:g}"
    fits = [
        comparison.settings(choice, seed=seed, variance_end=end, variance_start=max(end, fall.start))
        for seed in settings.seeds
    ]
    results = [comparison.run(label, fit) for fit in fits]
    drawn = [comparison.samples(label, fit, SHOWN) for fit in fits]
    test = comparison.dataset.held_out.points
    ranks = [(effective_rank_of(samples, reached), effective_rank_of(test, reached)) for samples, reached in drawn]
    seen = [
        diagnosed(comparison, samples, result["figures"], both, reached)
        for (samples, reached), result, both in zip(drawn, results, ranks, strict=True)
    ]
    row = {
        "objective": name,
        "factor": factor,
        "variance": end,
        "reached": [reached for _, reached in drawn],
        "runs": results,
        "effective_ranks": [rank for rank, _ in ranks],
        "real_effective_ranks": [real for _, real in ranks],
        "diagnoses": [name for name in SIGNATURES if 2 * sum(name in names for names in seen) > len(seen)],
    }
    return row, (end, *drawn[0])


def effective_rank_of(points: Tensor, variance: float) -> float:
    """Of the Gram matrix of the first 512, at this variance of the density."""
    return vendi_score(points[:RANKED].double(), variance=2 * variance)


def diagnosed(
    comparison: Comparison, samples: Tensor, figures: dict[str, float], ranks: tuple[float, float], variance: float
) -> set[str]:
    """Names of what training and evaluation would say of a run's samples, against a random batch and real points.

    Args:
        comparison: of the run.
        samples: (n, d).
        figures: of the run, in the judge's space.
        ranks: effective rank of the samples and of real points.
        variance: that the run ended at, with an adaptive schedule above what was asked for where that is too small.
    """
    train, base = comparison.dataset.train.points, comparison.base
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    p, q = (GaussianMixture(points, variance) for points in (train[order[: base.batch]], samples[: base.made]))
    radius = float(comparison.judge.held_out_distance.quantile(FAR_QUANTILE))
    seen = diagnose_training(monitors(p, q), at_end=True) + diagnose_samples(
        figures | {"effective_rank": ranks[0], "far_share": far_share(samples, train, radius=radius)},
        comparison.real | {"effective_rank": ranks[1], "far_share": 1 - FAR_QUANTILE},
    )
    return {diagnosis.name for diagnosis in seen}


def measured(row: dict[str, Any], name: str) -> list[float]:
    """Mean and standard error of a figure over the seeds."""
    return mean_and_error([run["figures"][name] for run in row["runs"]])


def distance_of(found: dict[str, Any]) -> str:
    """The distance that counts: energy between points, Frechet between features."""
    return "energy" if found["space"] == POINTS else "frechet"


def highest_coverage(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row with the highest mean coverage, the first of several."""
    return max(rows, key=lambda row: measured(row, "coverage")[0])


def tolerated(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """The least and the largest factor around the best coverage that keep nine tenths of it, without a gap between.

    Args:
        rows: of one objective, by factor.
    """
    best = highest_coverage(rows)
    top = measured(best, "coverage")[0]
    good = [measured(row, "coverage")[0] >= 0.9 * top for row in rows]
    low = high = rows.index(best)
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(good) and good[high + 1]:
        high += 1
    return rows[low]["factor"], rows[high]["factor"]


def figure(found: dict[str, Any], strips: Strips, dataset: Dataset) -> Figure:
    """Coverage, recall, precision and the distance that counts over the variance, and samples of the first seed."""
    objectives = [name for name, strip in strips.items() if strip]
    by_objective = _by_objective(found)
    columns = max(len(strips[name]) for name in objectives)
    basis = None if dataset.image_shape else principal_axes(dataset.held_out.points)
    limits = [] if basis is None else [_limits(axis) for axis in (dataset.held_out.points[:2000] @ basis).T]
    panel = 1.6
    if limits and dataset.dimension > 1:
        wide, high = (end - start for start, end in limits)
        panel = 0.3 + 1.3 * min(1.0, max(0.2, high / wide))
    heights = [3.4, panel * len(objectives)]
    result = Figure(figsize=(max(9.0, 1.5 * columns), sum(heights)), layout="constrained")
    FigureCanvasAgg(result)
    top, bottom = cast("list[SubFigure]", result.subfigures(2, 1, height_ratios=heights))
    distance = distance_of(found)
    for axis, name in zip(top.subplots(1, 4), ("coverage", "recall", "precision", distance), strict=True):
        for index, objective in enumerate(objectives):
            own = by_objective[objective]
            means, errors = zip(*(measured(row, name) for row in own), strict=True)
            variances = [row["variance"] for row in own]
            axis.errorbar(variances, means, errors, fmt="o-", markersize=3, color=f"C{index}", label=objective)
        axis.axvline(found["auto"], color="#777777", linestyle=":")
        axis.axhline(found["real"][name], color="#777777", linewidth=0.5)
        axis.set(
            xscale="log",
            xlabel="variance asked for",
            title=f"{name} distance" if name == distance else name,
            yscale="log" if name == distance else "linear",
        )
        axis.xaxis.set_minor_formatter("")  # over less than a decade they would be written over each other
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = top.axes[0].get_legend_handles_labels()
    top.legend(handles, labels, loc="outside lower center", ncols=len(objectives), fontsize=7)
    axes = bottom.subplots(len(objectives), columns, squeeze=False)
    for row, objective in zip(axes, objectives, strict=True):
        for axis, (variance, samples, reached) in zip(row, strips[objective], strict=False):
            axis.set(xticks=[], yticks=[])
            above = reached > 1.02 * variance
            axis.set_title(f"{variance:.2g}{f', ended at {reached:.2g}' if above else ''}", fontsize=6 if above else 8)
            if dataset.image_shape is not None:
                draw_sheet(axis, samples[:16], dataset.image_shape, columns=4)
                continue
            assert basis is not None
            draw_points(axis, samples, basis, DATA_COLOR, size=1.5, span=limits[0])
            if dataset.dimension > 1:
                axis.set(xlim=limits[0], ylim=limits[1], aspect="equal")
        row[0].set_ylabel(objective.replace("_", "\n"), fontsize=7)
    return result


def _limits(values: Tensor) -> tuple[float, float]:
    """Of an axis; around a constant, too."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def table(*results: dict[str, Any]) -> str:
    """The markdown table of results: per data set and objective, the best variance, what the chosen one reaches, the range
    around the best, and where failures are diagnosed.
    """
    headings = (
        "data",
        "objective",
        "steps",
        "chosen variance",
        "lowest variance reached / choice",
        "best coverage, at factor",
        "coverage at the choice / best",
        "lowest distance, at factor",
        "distance at the choice / lowest",
        "the same / that of the factor best on other seeds",
        "factors within 10% of the best coverage",
        "diagnosed at factors",
    )
    return markdown(
        headings,
        [_cells(found, name, own) for found in results for name, own in _by_objective(found).items()],
    )


def _cells(found: dict[str, Any], objective: str, own: list[dict[str, Any]]) -> list[str]:
    """A row of `table`, of one objective's rows."""
    distance = distance_of(found)
    chosen = min(own, key=lambda row: abs(math.log(row["factor"])))
    top, low = highest_coverage(own), min(own, key=lambda row: measured(row, distance)[0])
    coverage, least_distance = measured(top, "coverage"), measured(low, distance)
    share = measured(chosen, "coverage")[0] / coverage[0] if coverage[0] > 0 else math.nan
    ratio, error = _ratio(measured(chosen, distance), least_distance)
    least, largest = tolerated(own)
    down = _least_reached(own, found["auto"])
    return [
        found["config"]["data"],
        objective,
        f"{found['config']['steps']:,}",
        f"{found['auto']:.3g}",
        "-" if down is None else f"{down:.2g}",
        f"{coverage[0]:.3f} +- {coverage[1]:.3f}, {top['factor']:g}",
        f"{share:.1%}",
        f"{distance} {least_distance[0]:.3g} +- {least_distance[1]:.2g}, {low['factor']:g}",
        shown(ratio, 0 if chosen is low else error, digits=2),
        shown(*_against_other_seeds(own, chosen, distance), digits=2) if len(chosen["runs"]) > 1 else "-",
        f"{least:g} to {largest:g}",
        "; ".join(f"{name} {where}" for name, where in diagnosed_at(own).items()) or "none",
    ]


def _least_reached(rows: list[dict[str, Any]], auto: float) -> float | None:
    """The smallest variance that a run ended at, over the chosen one; older results do not say."""
    reached = [variance / auto for row in rows for variance in row.get("reached", ())]
    return min(reached) if reached else None


def _against_other_seeds(rows: list[dict[str, Any]], chosen: dict[str, Any], distance: str) -> tuple[float, float]:
    """Distance at the choice over that at the factor which is lowest in the mean of the other seeds; and its error.

    The lowest of several means is low by chance, too. Here the chance of a seed has no part in which factor faces the
    choice on it, so a sweep of variances that are all equally good gives about 1. Both are of the same seeds, and so is
    the error, from what they differ by.
    """
    values = [[run["figures"][distance] for run in row["runs"]] for row in rows]
    seeds = range(min(map(len, values)))  # a result that was put together may lack some
    faced = [min(values, key=lambda own: math.fsum(own[s] for s in seeds) - own[seed])[seed] for seed in seeds]
    reached = [values[rows.index(chosen)][seed] for seed in seeds]
    mean = mean_and_error(faced)[0]
    if mean <= 0:
        return math.nan, 0
    ratio = mean_and_error(reached)[0] / mean
    return ratio, mean_and_error([own - ratio * other for own, other in zip(reached, faced, strict=True)])[1] / mean


def _ratio(over: Sequence[float], under: Sequence[float]) -> tuple[float, float]:
    """Of two means with their errors, and its error; not a number unless the second is positive."""
    if under[0] <= 0:
        return math.nan, 0
    ratio = over[0] / under[0]
    return ratio, ratio * math.hypot(*(error / mean for mean, error in (over, under) if mean))


def _by_objective(found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each objective, in the order of the factors."""
    rows = sorted(found["rows"], key=lambda row: row["factor"])
    names = dict.fromkeys(row["objective"] for row in found["rows"])
    return {name: [row for row in rows if row["objective"] == name] for name in names}


def diagnosed_at(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Per failure signature that is diagnosed anywhere, at which factors, neighbouring ones as `least to largest`.

    Args:
        rows: of one objective, by factor.
    """
    result = {}
    for name in SIGNATURES:
        runs: list[list[str]] = [[]]
        for row in rows:
            if name in row["diagnoses"]:
                runs[-1].append(f"{row['factor']:g}")
            elif runs[-1]:
                runs.append([])
        spans = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs if run]
        if spans:
            result[name] = " and ".join(spans)
    return result


def reading(found: dict[str, Any]) -> str:
    """A paragraph on what was found, from the rows alone."""
    lines = [f"The variance chosen from the data is {found['auto']:.4g}; factors are relative to it."]
    for objective, own in _by_objective(found).items():
        least, largest = tolerated(own)
        seen = [f"{name} at {where}" for name, where in diagnosed_at(own).items()]
        down = _least_reached(own, found["auto"])
        lines.append(
            f"{objective}: within 10% of its best coverage from {least:g} to {largest:g}"
            + (f"; diagnosed: {'; '.join(seen)}." if seen else "; nothing is diagnosed.")
            + ("" if down is None else f" Runs ended at {down:.2g} times the chosen variance or more.")
        )
    return "\n".join(lines)
