"""Figures of a run, as PNG files; the same run gives the same bytes."""

import csv
import io
import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.load import UNEVEN
from contrastive_entropy.evaluation import Evaluation
from contrastive_entropy.numerics.principal import principal_directions
from contrastive_entropy.reconstruction import ReconstructionEvaluation
from contrastive_entropy.runs import BOUNDS, METRICS, Run, write_atomically
from contrastive_entropy.tracking import read_bounds
from contrastive_entropy.variance.choice import VarianceChoice

DATA_COLOR, MODEL_COLOR = "#444444", "#d1495b"
GRID = 10  # images per row and column of a sheet
SCATTER_POINTS = 2000
SHOWN_COLUMNS = 16


def write_figures(run: Run, data: Tensor, evaluation: Evaluation) -> list[Path]:
    """Write samples.png, training.png and spectrum.png into the run folder, of tables of 3 to 16 columns also columns.png.

    Args:
        run: finished.
        data: (n, d) held-out points, shown beside the samples.
        evaluation: of the run.

    Returns:
        The paths.
    """
    tabular = run.image_shape is None and 2 < data.shape[1] <= SHOWN_COLUMNS
    figures = {
        "samples.png": samples_figure(evaluation.generated, run.image_shape, data),
        **({"columns.png": columns_figure(run, evaluation.generated, data)} if tabular else {}),
        "training.png": training_figure(run.folder / METRICS),
        "spectrum.png": spectrum_figure(evaluation),
    }
    for name, figure in figures.items():
        write_atomically(run.folder / name, png_bytes(figure))
    return [run.folder / name for name in figures]


def write_reconstruction_figures(run: Run, evaluation: ReconstructionEvaluation) -> list[Path]:
    """Write alternatives.png, bounds.png and training.png into the run folder.

    Args:
        run: of an autoencoder, finished.
        evaluation: of the run.

    Returns:
        The paths.
    """
    figures = {
        "alternatives.png": alternatives_figure(
            evaluation.inputs, evaluation.alternatives, run.image_shape, posterior=evaluation.posterior
        ),
        "bounds.png": bounds_figure(run.folder / BOUNDS),
        "training.png": training_figure(run.folder / METRICS),
    }
    for name, figure in figures.items():
        write_atomically(run.folder / name, png_bytes(figure))
    return [run.folder / name for name in figures]


def alternatives_figure(
    inputs: Tensor,
    alternatives: Tensor,
    image_shape: tuple[int, int, int] | None,
    *,
    posterior: Tensor | None = None,
    rows: int = GRID,
) -> Figure:
    """Each row an input and its alternatives; beside it, if given, data drawn from the posterior in their place.

    Args:
        inputs: (n, d).
        alternatives: (n, a, d).
        image_shape: (channels, height, width), or None for points, which are drawn with lines to their inputs.
        posterior: (n, a, d) or None.
        rows: inputs that are shown at most.
    """
    sets = [("input | alternatives", alternatives)]
    if posterior is not None:
        sets.append(("input | data from p(x|y)", posterior))
    size = (5.0 * len(sets), 5.3)
    if image_shape is not None:
        cell = 0.45
        size = (
            cell * (alternatives.shape[1] + 2) * len(sets),
            cell * image_shape[1] / image_shape[2] * min(rows, len(inputs)) + 0.5,
        )
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, len(sets), squeeze=False, sharex=True, sharey=True)[0]
    basis = None if image_shape else principal_axes(inputs)
    for axis, (title, drawn) in zip(axes, sets, strict=True):
        axis.set_title(title)
        if image_shape is not None:
            draw_alternatives(axis, inputs[:rows], drawn[:rows], image_shape)
            continue
        assert basis is not None
        _scatter(axis, inputs, basis, DATA_COLOR)
        for row in range(min(rows, len(inputs))):
            _scatter(axis, drawn[row], basis, f"C{row % 10}")
    return figure


def draw_alternatives(axis: Axes, inputs: Tensor, alternatives: Tensor, image_shape: tuple[int, int, int]) -> None:
    """A sheet of rows, each an image, a line and its alternatives.

    Args:
        axis: to draw on.
        inputs: (n, d).
        alternatives: (n, a, d).
        image_shape: (channels, height, width).
    """
    together = torch.cat([inputs.unsqueeze(1), alternatives], 1)
    draw_sheet(axis, together.flatten(0, 1), image_shape, columns=together.shape[1])
    axis.axvline(image_shape[2], color=MODEL_COLOR, linewidth=2)
    axis.set_axis_off()


def bounds_figure(bounds: Path) -> Figure:
    """Value and limit of (E15), tightness and errors over the steps, on training and on held-out points.

    Args:
        bounds: bounds.csv of a run.
    """
    parts = read_bounds(bounds)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    nats, tightness, errors = figure.subplots(1, 3)
    for part, color in (("train", DATA_COLOR), ("held_out", MODEL_COLOR)):
        columns = parts[part]
        step, label = columns["step"], part.replace("_", " ")
        nats.plot(step, columns["value"], color=color, label=f"value, {label}")
        nats.plot(step, columns["limit"], color=color, linestyle="--", label=f"limit, {label}")
        tightness.plot(step, columns["tightness"], color=color, label=label)
        tightness.plot(step, columns["iid_tightness"], color=color, linestyle=":", label=f"iid centers (E19), {label}")
        errors.semilogy(step, columns["best_error"], color=color, label=f"best of C, {label}")
        errors.semilogy(step, columns["mean_error"], color=color, linestyle="--", label=f"mean of C, {label}")
    nats.set(xlabel="step", ylabel="nats", title="bound (E15) and its limit")
    tightness.set(xlabel="step", title="tightness, exp(value - limit)", ylim=(0, 1.02))
    errors.set(xlabel="step", title="squared reconstruction error")
    for axis in (nats, tightness, errors):
        axis.legend(fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def samples_figure(samples: Tensor, image_shape: tuple[int, int, int] | None, data: Tensor | None = None) -> Figure:
    """Samples, beside data if given: sheets of images, or points (in more than two dimensions, principal components).

    Args:
        samples: (m, d).
        image_shape: (channels, height, width), or None for points.
        data: (n, d) or None.
    """
    sets = [("generated", samples, MODEL_COLOR)]
    if data is not None:
        sets.insert(0, ("data (held out)", data, DATA_COLOR))
    figure = Figure(figsize=(5 * len(sets), 5.3))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", wspace=0.08)
    axes = figure.subplots(1, len(sets), squeeze=False, sharex=image_shape is None, sharey=image_shape is None)[0]
    basis = None if image_shape else principal_axes(data if data is not None else samples)
    for axis, (title, points, color) in zip(axes, sets, strict=True):
        axis.set_title(title)
        if image_shape is not None:
            draw_sheet(axis, points[: GRID**2], image_shape)
            axis.set_axis_off()
        else:
            assert basis is not None
            _scatter(axis, points, basis, color)
    return figure


def columns_figure(run: Run, samples: Tensor, data: Tensor) -> Figure:
    """A histogram of every column, of held-out and of generated points, in the data's units.

    Args:
        run: of the samples.
        samples: (m, d).
        data: (n, d).
    """
    real, model = (run.schema.decode(points).double() for points in (data, samples))
    count = real.shape[1]
    names = run.schema.names or [f"column {column}" for column in range(count)]
    rows = math.ceil(count / 4)
    figure = Figure(figsize=(3.2 * min(count, 4), 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, min(count, 4), squeeze=False).flatten()
    for axis in axes[count:]:
        axis.set_axis_off()
    for axis, name, values, drawn in zip(axes, names, real.T, model.T, strict=False):
        low, high = (float(edge) for edge in values.aminmax())
        shown = drawn.clamp(2 * low - high, 2 * high - low)  # what lies farther is counted at the edge
        low, high = (float(edge) for edge in torch.cat([values, shown]).aminmax())
        for points, color, label in ((values, DATA_COLOR, "data (held out)"), (shown, MODEL_COLOR, "generated")):
            span = (low, high if high > low else low + 1)
            axis.hist(points.numpy(), bins=40, range=span, color=color, histtype="step", density=True, label=label)
        axis.set(title=str(name)[:24], yticks=[])
        axis.locator_params(axis="x", nbins=4)
        axis.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_sheet(axis: Axes, points: Tensor, image_shape: tuple[int, int, int], *, columns: int = GRID) -> None:
    """`image_sheet` on an axis: gray images dark on light, colours as they are."""
    sheet = image_sheet(points, image_shape, columns=columns)
    axis.imshow(sheet, cmap="gray_r" if image_shape[0] == 1 else None, vmin=0, vmax=1)


def image_sheet(points: Tensor, image_shape: tuple[int, int, int], *, columns: int = GRID) -> np.ndarray:
    """Images on one sheet, row by row, values clipped to [0, 1].

    Args:
        points: (n, d).
        image_shape: (channels, height, width), d in all.
        columns: per row.

    Returns:
        (rows, columns) or (rows, columns, 3) pixels.
    """
    channels, height, width = image_shape
    shown = points.clamp(0, 1).numpy().reshape(-1, channels, height, width)
    rows = math.ceil(len(shown) / columns)
    sheet = np.full((channels, rows * (height + 1) - 1, columns * (width + 1) - 1), 0.0 if channels == 1 else 1.0)
    for index, image in enumerate(shown):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        sheet[:, top : top + height, left : left + width] = image
    return sheet[0] if channels == 1 else sheet.transpose(1, 2, 0)


def training_figure(metrics: Path) -> Figure:
    """Objective and limit, tightness, and variance over the steps.

    Args:
        metrics: metrics.csv of a run.
    """
    with metrics.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    objective, tightness, variance = figure.subplots(1, 3)
    step = columns["step"]
    objective.plot(step, columns["objective"], color=MODEL_COLOR, label="objective (maximised)")
    objective.plot(step, columns["limit"], color=DATA_COLOR, linestyle="--", label="limit on this batch")
    objective.set(xlabel="step", ylabel="nats", title="objective and its limit")
    objective.legend()
    tightness.plot(step, columns["tightness"], color=MODEL_COLOR)
    tightness.set(xlabel="step", title="tightness on the batch, exp(objective - limit)", ylim=(0, 1.02))
    variance.semilogy(step, columns["variance"], color=DATA_COLOR)
    variance.set(xlabel="step", title="variance of the density")
    for axis in (objective, tightness, variance):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def spectrum_figure(evaluation: Evaluation) -> Figure:
    """Singular values of the Gaussian operator, model and held-out data against training and held-out data.

    Args:
        evaluation: of a run.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    pairs = (
        ("training data", evaluation.reference_spectrum, evaluation.reference["tightness"], DATA_COLOR),
        ("generated", evaluation.spectrum, evaluation.model["tightness"], MODEL_COLOR),
    )
    for label, spectrum, total, color in pairs:
        rank = np.arange(1, len(spectrum) + 1)
        axis.loglog(rank, spectrum.clamp_min(1e-12), color=color, label=f"{label} with held-out data, sum {total:.3f}")
    axis.set(xlabel="index", ylabel="singular value", title="spectrum: the sum is the tightness F", ylim=(1e-7, 1))
    axis.legend()
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def variance_figure(choices: list[VarianceChoice]) -> Figure:
    """What each method looks at over the variance, and where it chooses, with the standard error as a band."""
    labels = {
        "neighbors": "share of points whose\nneighbours are within reach",
        "effective_rank": "effective rank / points",
        "leave_one_out": "leave-one-out\nlog-likelihood, nats",
    }
    figure = Figure(figsize=(4.6 * len(choices), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, choice in zip(figure.subplots(1, len(choices), squeeze=False)[0], choices, strict=True):
        axis.semilogx(choice.variances, choice.scores, color=DATA_COLOR)
        low, high = (choice.variance * math.exp(sign * choice.error) for sign in (-1, 1))
        axis.axvspan(low, high, color=MODEL_COLOR, alpha=0.3, linewidth=0)
        axis.axvline(choice.variance, color=MODEL_COLOR)
        axis.set(xlabel="variance of the density", title=f"{choice.method.replace('_', ' ')}: {choice.variance:.4g}")
        axis.set_ylabel(labels[choice.method])
        if choice.method == "leave_one_out":  # which falls without end towards 0
            top = float(choice.scores.max())
            beyond = choice.scores[choice.variances > choice.variance]  # none where an outlier draws it off the grid
            if len(beyond):
                inner = float(beyond.min())
                axis.set_ylim(inner, top + 0.05 * (top - inner))
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG, without a creation date or version inside."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"savefig.dpi": 120}):
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def principal_axes(points: Tensor) -> Tensor:
    """(d, 2): the two leading principal directions; the first axes in up to two dimensions or of two points."""
    dimension = points.shape[1]
    if dimension <= 2 or len(points) < 3:
        return torch.eye(dimension, 2, dtype=points.dtype, device=points.device)
    return principal_directions(points, 2).T


def draw_points(
    axis: Axes,
    points: Tensor,
    basis: Tensor,
    color: str,
    *,
    size: float = 2.0,
    alpha: float | None = None,
    span: tuple[float, float] | None = None,
) -> None:
    """Points (n, d) along the (d, 2) `principal_axes`; of one coordinate a histogram, over a span if there is one."""
    first, second = (points @ basis).numpy().T
    if points.shape[1] == 1:
        axis.hist(first, bins=60, range=span, color=color, density=True)
    else:
        axis.scatter(first, second, s=size, color=color, alpha=alpha, linewidths=0)


def _scatter(axis: Axes, points: Tensor, basis: Tensor, color: str) -> None:
    draw_points(axis, points[:SCATTER_POINTS], basis, color, size=3, alpha=0.5)
    if points.shape[1] == 1:
        return
    spread = (points @ basis).std(0)
    if float(spread.amax()) <= UNEVEN * float(spread.amin()):  # else one of them would be a line
        axis.set_aspect("equal")
    if points.shape[1] > 2:
        axis.set(xlabel="principal component 1", ylabel="principal component 2")
