"""How a fit went: figures of metrics.csv and of what else was recorded over the steps."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_entropy.errors import InputError
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, new_figure

FALLING_COLOR = "#dfe6ee"
"""Of the steps in which the variance falls."""

SMOOTHED = 0.05
"""Share of the rows over which a noisy curve is averaged."""


def training_figure(metrics: Path) -> Figure:
    """Tightness, variance, and objective beside its limit over the steps; those in which the variance falls are shaded.

    While the variance falls, ever finer detail counts: objective and limit move with it, and their distance may grow
    although the fit gets better.

    Args:
        metrics: metrics.csv of a run.

    Raises:
        InputError: the file has no rows.
    """
    columns = read_columns(metrics)
    step = columns["step"]
    figure = new_figure(12, 4.4)
    tightness, variance, objective = axes = figure.subplots(1, 3)
    noisy = columns["tightness"]
    tightness.plot(step, noisy, color=MODEL_COLOR, alpha=0.25, linewidth=1)
    tightness.plot(step, smoothed(noisy), color=MODEL_COLOR, label="on the batch")
    tightness.axhline(1, color=DATA_COLOR, linestyle="--", label="the best fit")
    top = float(noisy[np.isfinite(noisy)].max(initial=1.0))
    tightness.set(xlabel="step", title="tightness", ylim=(0, min(1.04 * top, 1.5)))
    variance.semilogy(step, columns["variance"], color=DATA_COLOR, label="of the density")
    variance.set(xlabel="step", title="variance")
    objective.plot(step, columns["objective"], color=MODEL_COLOR, label="objective (maximised)")
    objective.plot(step, columns["limit"], color=DATA_COLOR, linestyle="--", label="its limit on the batch")
    objective.set(xlabel="step", ylabel="nats", title="objective and its limit at that variance")
    shade(axes, step, columns["variance"])
    finish(axes)
    return figure


def objective_axis(metrics: Path) -> tuple[Figure, Axes, dict[str, np.ndarray]]:
    """The objective of the batches over the steps, also smoothed, on an axis of its own, and all columns by name.

    Args:
        metrics: metrics.csv of a run.

    Raises:
        InputError: the file has no rows.
    """
    columns = read_columns(metrics)
    figure = new_figure(6, 4)
    axis = figure.subplots()
    axis.plot(columns["step"], columns["objective"], color=MODEL_COLOR, alpha=0.25, linewidth=1)
    axis.plot(columns["step"], smoothed(columns["objective"]), color=MODEL_COLOR)
    axis.set(xlabel="step")
    bare(axis)
    return figure, axis, columns


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table of numbers by name.

    Raises:
        InputError: the file has no rows.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise InputError(f"{path} is empty; remove its folder and train again")
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over neighbouring rows; what is not a number is left out.

    >>> smoothed(np.array([1.0, 3.0])).tolist()
    [1.0, 3.0]
    """
    reach = math.floor(len(values) * SMOOTHED / 2)
    parts = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else math.nan for part in parts])


def shade(axes: Sequence[Axes], step: Sequence[float] | np.ndarray, variance: Sequence[float] | np.ndarray) -> None:
    """Shade the steps in which the variance falls, if it does.

    Args:
        axes: over the steps.
        step, variance: as they were recorded.
    """
    falling = [at for at, value in zip(step, variance, strict=True) if value > variance[-1] * (1 + 1e-6)]
    if not falling:
        return
    end = min(at for at in step if at > falling[-1])
    for axis in axes:
        axis.axvspan(
            0, end, color=FALLING_COLOR, linewidth=0, zorder=0, label="the variance falls: finer detail counts"
        )


def finish(axes: Sequence[Axes], *, columns: int = 1) -> None:
    """Legends below the axes, where they hide nothing, and bare axes.

    Args:
        axes: over the steps.
        columns: of a legend.
    """
    for axis in axes:
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns, frameon=False)
    bare(*axes)
