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
    """Tightness, then objective and its limit, then the variance over the steps; those in which it falls are shaded.

    While the variance falls, ever finer detail is asked for: objective and limit move with it, and only their distance says
    how good the fit is.

    Args:
        metrics: metrics.csv of a run.

    Raises:
        InputError: the file has no rows.
    """
    columns = read_columns(metrics)
    step = columns["step"]
    figure = new_figure(12, 3.6)
    tightness, objective, variance = axes = figure.subplots(1, 3)
    noisy = columns["tightness"]
    tightness.plot(step, noisy, color=MODEL_COLOR, alpha=0.25, linewidth=1)
    tightness.plot(step, smoothed(noisy), color=MODEL_COLOR, label="on the batch")
    tightness.axhline(1, color=DATA_COLOR, linestyle="--", label="the best fit")
    top = max(1.08, 1.02 * float(np.nanmax(noisy, initial=0)))
    tightness.set(xlabel="step", title="tightness", ylim=(0, min(top, 1.5)))
    objective.plot(step, columns["objective"], color=MODEL_COLOR, label="objective (maximised)")
    objective.plot(step, columns["limit"], color=DATA_COLOR, linestyle="--", label="its limit on the batch")
    objective.set(xlabel="step", ylabel="nats", title="objective: both move with the variance")
    variance.semilogy(step, columns["variance"], color=DATA_COLOR, label="variance of the density")
    variance.set(xlabel="step", title="variance of the density")
    shade(axes, step, columns["variance"])
    for axis in (tightness, objective):
        axis.legend(fontsize=8, loc="lower right")
    variance.legend(handles=variance.patches, fontsize=8, loc="upper right")
    bare(*axes)
    return figure


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
    above = [at for at, value in zip(step, variance, strict=True) if value > variance[-1] * (1 + 1e-6)]
    if not above:
        return
    later = [at for at in step if at > above[-1]]
    for axis in axes:
        end = later[0] if later else above[-1]
        axis.axvspan(0, end, color=FALLING_COLOR, linewidth=0, zorder=0, label="the variance falls")
