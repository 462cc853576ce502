"""Points, images and alternatives as figures, and figures as PNG files; the same figure gives the same bytes."""

import io
import math

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.scales import UNEVEN
from contrastive_entropy.data.schema import Schema, image_shape_of
from contrastive_entropy.numerics.principal import principal_directions

DATA_COLOR, MODEL_COLOR = "#444444", "#d1495b"

GRID = 10
"""Images per row and column of a sheet."""

SCATTER_POINTS = 2000
"""Points that are shown at most."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts keep out of each other's way."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(*axes: Axes) -> None:
    """Leave out the lines above and to the right."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)


def samples_figure(samples: Tensor, schema: Schema, data: Tensor | None = None) -> Figure:
    """Samples, beside data if given: sheets of images, or points (in more than two dimensions, principal components).

    Args:
        samples: (m, d).
        schema: of the points.
        data: (n, d) or None.
    """
    image_shape = image_shape_of(schema)
    sets = [("generated", samples, MODEL_COLOR)]
    if data is not None:
        sets.insert(0, ("data (held out)", data, DATA_COLOR))
    figure = new_figure(5 * len(sets), 5.3)
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


def alternatives_figure(
    inputs: Tensor,
    alternatives: Tensor,
    schema: Schema,
    *,
    posterior: Tensor | None = None,
    rows: int = GRID,
) -> Figure:
    """Each row an input and its alternatives; beside it, if given, data drawn from the posterior in their place.

    Args:
        inputs: (n, d).
        alternatives: (n, a, d).
        schema: of the points; those that are not images are drawn among the inputs.
        posterior: (n, a, d) or None.
        rows: inputs that are shown at most.
    """
    image_shape = image_shape_of(schema)
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
    figure = new_figure(*size)
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
