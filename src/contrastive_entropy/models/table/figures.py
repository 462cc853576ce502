"""Pictures of a table's model: every column beside the data's, and every pair of columns."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_entropy.data.columns import MixedColumn
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.fitting.run import METRICS, Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, new_figure
from contrastive_entropy.report.training import objective_axis

SHOWN_COLUMNS, SHOWN_LEVELS = 24, 10
"""Columns that are shown at most, and levels of a category."""


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Figure]:
    """columns.png, pairs.png where there are pairs, and training.png.

    Args:
        run: finished.
        dataset: whose held-out rows are shown beside the samples.
        evaluation: of the run.

    Returns:
        File name -> figure.
    """
    schema = dataset.schema
    assert isinstance(schema, MixedTable)
    samples, held_out = evaluation.arrays["generated"].numpy(), dataset.held_out.points.numpy()
    found = {"columns.png": columns_figure(samples, held_out, schema)}
    if "pair_scores" in evaluation.arrays:
        found["pairs.png"] = pairs_figure(evaluation, schema)
    found["training.png"] = training_figure(run)
    return found


def columns_figure(samples: np.ndarray, data: np.ndarray, schema: MixedTable) -> Figure:
    """Every learnt column, of samples and of data: histograms of numbers, shares of levels.

    Args:
        samples: (m, d) as `MixedTable.numbers`.
        data: (n, d) likewise.
        schema: the columns.
    """
    shown = schema.learnt[:SHOWN_COLUMNS]
    across = min(len(shown), 4)
    rows = math.ceil(len(shown) / across)
    figure = new_figure(3.4 * across, 2.6 * rows)
    axes = figure.subplots(rows, across, squeeze=False).flatten()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, index in zip(axes, shown, strict=False):
        column = schema.mixed[index]
        draw = _histogram if column.numeric else _levels
        draw(axis, data[:, index], samples[:, index], column)
        missing = [np.isnan(part[:, index]).mean() for part in (data, samples)]
        gone = f", missing {missing[0]:.0%} / {missing[1]:.0%}" if max(missing) > 0 else ""
        axis.set_title(f"{column.name[:24]}{gone}", fontsize=10)
    bare(*axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _histogram(axis: Axes, data: np.ndarray, samples: np.ndarray, column: MixedColumn) -> None:
    present, drawn = (part[~np.isnan(part)] for part in (data, samples))
    if not len(present):
        return
    low, high = np.quantile(present, [0.002, 0.998])
    if high <= low:
        low, high = present.min(), max(present.max(), present.min() + 1)
    bins = np.linspace(low, high, 41)
    if column.decimals == 0:
        step = max(1, math.ceil((high - low) / 40))
        bins = np.arange(math.floor(low), math.ceil(high) + 2 * step, step) - 0.5
    for values, color, label in ((present, DATA_COLOR, "data (held out)"), (drawn, MODEL_COLOR, "generated")):
        shares = np.histogram(np.clip(values, low, high), bins)[0] / max(len(values), 1)
        axis.stairs(shares, bins, color=color, label=label, linewidth=1.4)
    axis.set_yticks([])
    axis.locator_params(axis="x", nbins=4)
    if column.kind == "date" or column.offset:
        ticks = np.linspace(low, high, 3)
        axis.set_xticks(ticks, [str(value)[:10] for value in column.decode(np.round(ticks))], fontsize=7)


def _levels(axis: Axes, data: np.ndarray, samples: np.ndarray, column: MixedColumn) -> None:
    counts = [
        np.bincount(part[~np.isnan(part)].astype(np.int64), minlength=len(column.levels)) for part in (data, samples)
    ]
    order = np.argsort(-counts[0], kind="stable")[:SHOWN_LEVELS]
    at = np.arange(len(order))
    for side, (count, color, label) in enumerate(
        zip(counts, (DATA_COLOR, MODEL_COLOR), ("data (held out)", "generated"), strict=True)
    ):
        axis.bar(at + 0.4 * side - 0.2, count[order] / max(count.sum(), 1), 0.4, color=color, label=label)
    names = [str(column.levels[index])[:14] for index in order]
    axis.set_xticks(at, names, rotation=40, ha="right", fontsize=7)
    axis.set_yticks([])


def pairs_figure(evaluation: Evaluation, schema: MixedTable) -> Figure:
    """How well the dependence of every two columns is met, 1 is exactly: samples, and real rows in their place.

    Args:
        evaluation: with the arrays pair_scores and pair_scores_real, (d, d) with NaN where there is none.
        schema: the columns.
    """
    scores = {"generated": evaluation.arrays["pair_scores"], "real rows": evaluation.arrays["pair_scores_real"]}
    keep = np.flatnonzero(~np.isnan(scores["generated"].numpy()).all(1))[:SHOWN_COLUMNS]
    names = [schema.names[index][:16] for index in keep]
    size = max(3.2, 0.32 * len(keep) + 1.4)
    figure = new_figure(2 * size + 1.4, size + 0.9)
    axes = figure.subplots(1, 2, sharey=True)
    low = min(0.8, float(np.nanmin(scores["generated"].numpy()[np.ix_(keep, keep)])))
    for axis, (title, values) in zip(axes, scores.items(), strict=True):
        shown = axis.imshow(values.numpy()[np.ix_(keep, keep)], vmin=low, vmax=1, cmap="viridis")
        axis.set_title(title, fontsize=10, pad=8)
        axis.set_xticks(range(len(keep)), names, rotation=60, ha="right", fontsize=7)
        axis.set_yticks(range(len(keep)), names, fontsize=7)
    figure.colorbar(shown, ax=list(axes), shrink=0.8, label="score of the pair")
    return figure


def training_figure(run: Run) -> Figure:
    """The objective over the steps, nats a row."""
    figure, axis, _ = objective_axis(run.folder / METRICS)
    axis.set(ylabel="nats a row", title=f"{run.plan.objective} of a batch (maximised)")
    return figure
