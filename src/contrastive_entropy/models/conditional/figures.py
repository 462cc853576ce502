"""Pictures of predicted laws."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Table, image_shape_of
from contrastive_entropy.fitting.run import METRICS, Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, draw_sheet, new_figure
from contrastive_entropy.report.training import FALLING_COLOR, objective_axis
from contrastive_entropy.report.training import training_figure as falling_figure

SHOWN_ROWS = 2000
"""Rows that are shown at most."""

BANDS = (0.5, 0.9)
"""Central intervals that are shown."""

PER_CLASS, SHOWN_CLASSES = 10, 20
"""Images of each class on a sheet, and classes, at most."""

GRID = 200
"""Points of the grid over x and over y."""


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Figure]:
    """predictions.png and calibration.png, or of classes of images classes.png; and training.png.

    Args:
        run: finished.
        dataset: of the run.
        evaluation: of the run.

    Returns:
        File name -> figure.
    """
    arrays = evaluation.arrays
    seen = run.plan.variance.used
    training = falling_figure(run.folder / METRICS) if seen else training_figure(run)
    if run.plan.model.levels:
        shape = image_shape_of(dataset.schema)
        sheet = {} if shape is None else {"classes.png": classes_figure(run, dataset, evaluation, shape)}
        return {**sheet, "training.png": training}
    laws = GaussianMixture(arrays["centers"], arrays["variance"], log_weights=arrays["log_weights"])
    name = dataset.schema.names[0] if dataset.schema.names else "y"
    if arrays["given"].shape[1] == 1 and arrays["y"].shape[1] == 1:
        shown = density_figure(run, arrays["given"], arrays["y"], labels=(run.plan.model.given[0], name))
    else:
        shown = intervals_figure(laws.marginal([0]), arrays["y"][:, 0], name)
    return {
        "predictions.png": shown,
        "calibration.png": calibration_figure(arrays["transforms"]),
        "training.png": training,
    }


def classes_figure(run: Run, dataset: Dataset, evaluation: Evaluation, shape: tuple[int, int, int]) -> Figure:
    """A row for each class: held-out images on the left, generated ones on the right.

    Args:
        run: finished.
        dataset: of the run.
        evaluation: of the run.
        shape: (channels, height, width).
    """
    levels, arrays = run.plan.model.levels, evaluation.arrays
    assert dataset.held_out.given is not None
    real = dataset.held_out.points, dataset.held_out.given[:, 0].long()
    made = arrays["generated"], arrays["labels"]
    rows = [
        label
        for label in range(len(levels))
        if min(int((labels == label).sum()) for _, labels in (real, made)) >= PER_CLASS
    ][:SHOWN_CLASSES]
    figure = new_figure(2 * PER_CLASS * 0.5 + 1, 0.5 * shape[1] / shape[2] * len(rows) + 0.6)
    figure.set_layout_engine("constrained", wspace=0.08)
    axes = figure.subplots(1, 2)
    for axis, title, (points, labels) in zip(axes, ("data (held out)", "generated"), (real, made), strict=True):
        chosen = [torch.nonzero(labels == label)[:PER_CLASS, 0] for label in rows]
        axis.set_title(title)
        draw_sheet(axis, points[torch.cat(chosen)] if chosen else points[:PER_CLASS], shape, columns=PER_CLASS)
        axis.set(xticks=[], yticks=[])
        for side in axis.spines.values():
            side.set_visible(False)
    places = [(shape[1] + 1) * row + shape[1] / 2 for row in range(len(rows))]
    axes[0].set_yticks(places, [levels[label][:14] for label in rows])
    axes[0].tick_params(length=0)
    return figure


@torch.no_grad()
def density_figure(run: Run, given: Tensor, y: Tensor, *, labels: tuple[str, str]) -> Figure:
    """The predicted density over x and y, with the held-out points on it.

    Args:
        run: finished.
        given: (n, 1) held out.
        y: (n, 1).
        labels: of x and y.
    """
    x = torch.linspace(float(given.min()), float(given.max()), GRID).unsqueeze(-1)
    low, high = float(y.min()), float(y.max())
    margin = 0.05 * (high - low)
    grid = torch.linspace(low - margin, high + margin, GRID, dtype=torch.float64).unsqueeze(-1)
    laws = run.network()(x)
    density = laws.log_prob(grid.expand(len(x), -1, -1)).exp()  # (x, y)
    figure = new_figure(7.5, 5)
    axis = figure.subplots()
    top = float(density.quantile(0.99))  # a few sharp places would leave the rest white
    extent = (float(x[0]), float(x[-1]), float(grid[0]), float(grid[-1]))
    shown = axis.imshow(
        density.T.numpy(), origin="lower", aspect="auto", extent=extent, cmap="Reds", vmin=0, vmax=top, alpha=0.9
    )
    figure.colorbar(shown, ax=axis, label="predicted density of y", extend="max")
    points = given[:SHOWN_ROWS, 0], y[:SHOWN_ROWS, 0]
    axis.scatter(points[0].numpy(), points[1].numpy(), s=3, color=DATA_COLOR, linewidths=0, alpha=0.5, label="held out")
    for share, style in zip(BANDS, (":", "--"), strict=True):
        ends = laws.quantile(torch.tensor([0.5 - share / 2, 0.5 + share / 2]))
        label = f"central {share:.0%}"
        for end in ends.T:
            axis.plot(x[:, 0].numpy(), end.numpy(), style, color=MODEL_COLOR, linewidth=1, label=label)
            label = ""
    axis.set(xlabel=labels[0], ylabel=labels[1], xlim=extent[:2], ylim=extent[2:], title="what is predicted given x")
    axis.legend()
    return figure


def intervals_figure(laws: GaussianMixture, y: Tensor, name: str) -> Figure:
    """Predicted medians and intervals of held-out rows, in the order of the medians, and what came.

    Args:
        laws: batch (n,) of one coordinate.
        y: (n,).
        name: of the target.
    """
    rows = torch.arange(len(y))[:: max(1, len(y) // 300)]
    levels = torch.tensor([part for share in BANDS for part in (0.5 - share / 2, 0.5 + share / 2)] + [0.5])
    weights = laws.log_weights.expand(laws.centers.shape[:-1])
    shown = GaussianMixture(laws.centers[rows], laws.variance[rows], log_weights=weights[rows])
    quantiles = shown.quantile(levels)
    order = quantiles[:, -1].argsort()
    bands = quantiles[order].T.numpy()
    place = np.arange(len(rows))
    figure = new_figure(9, 5)
    axis = figure.subplots()
    for index, (share, alpha) in reversed(list(enumerate(zip(BANDS, (0.45, 0.2), strict=True)))):
        axis.fill_between(
            place,
            bands[2 * index],
            bands[2 * index + 1],
            color=MODEL_COLOR,
            alpha=alpha,
            label=f"central {share:.0%}",
            linewidth=0,
        )
    axis.plot(place, bands[-1], color=MODEL_COLOR, linewidth=1.5, label="predicted median")
    axis.scatter(place, y[rows][order].numpy(), s=7, color=DATA_COLOR, label="held out", zorder=3, linewidths=0)
    axis.set(xlabel="held-out rows, by predicted median", ylabel=name, title="what is predicted, and what came")
    axis.legend()
    bare(axis)
    return figure


def calibration_figure(transforms: Tensor) -> Figure:
    """A histogram of Q(y|x), flat where laws are right, and the share of values below each predicted quantile.

    Args:
        transforms: (n, d) probability integral transforms.
    """
    values = transforms.flatten().numpy()
    figure = new_figure(9, 4)
    histogram, curve = figure.subplots(1, 2)
    histogram.hist(values, bins=20, range=(0, 1), density=True, color=MODEL_COLOR, alpha=0.6)
    histogram.axhline(1, color=DATA_COLOR, linestyle="--")
    histogram.set(
        xlabel="place of the value in its predicted law, from 0 to 1", ylabel="density", title="flat: laws are right"
    )
    levels = np.linspace(0, 1, 101)
    curve.plot(levels, levels, color=DATA_COLOR, linestyle="--", label="perfect")
    curve.plot(levels, np.searchsorted(np.sort(values), levels, side="right") / len(values), color=MODEL_COLOR)
    curve.set(xlabel="level of the predicted quantile", ylabel="held-out values below it", title="on the line: right")
    curve.legend()
    _square(curve)
    bare(histogram, curve)
    return figure


def _square(axis: Axes) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")


def training_figure(run: Run) -> Figure:
    """The batches' log-likelihood or energy score over the steps, also smoothed; where gamma falls they are shaded."""
    figure, axis, columns = objective_axis(run.folder / METRICS)
    if "gamma" in columns and (columns["gamma"] > 0).any():
        last = float(columns["step"][columns["gamma"] > 0].max())
        axis.axvspan(float(columns["step"][0]), last, color=FALLING_COLOR, label="gamma falls", zorder=0)
        axis.legend()
    units = "deviations of y" if isinstance(run.schema, Table) else "units of y"
    shown = ("-energy score", units) if run.plan.model.samples else ("log-likelihood", "nats per row")
    axis.set(ylabel=shown[1], title=f"{run.plan.objective}: {shown[0]} of batches")
    return figure
