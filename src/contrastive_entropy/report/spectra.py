"""Figures of spectra, singular functions and variances: of data sets, without a run."""

import math

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_entropy.mixtures.decomposition import Decomposition
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, new_figure, principal_axes
from contrastive_entropy.variance.choice import VarianceChoice

GRID = 120
"""Points of a field along its longer side."""


def scree_figure(found: Decomposition) -> Figure:
    """Singular values over their index, and their running sum.

    Args:
        found: of any two mixtures.
    """
    figure = new_figure(10, 3.8)
    scree, running = figure.subplots(1, 2)
    index = np.arange(1, found.rank + 1)
    scree.loglog(index, found.values, color=DATA_COLOR, marker=".", markersize=3)
    scree.set(xlabel="index", ylabel="singular value", title=f"spectrum, {found.rank} values kept")
    running.semilogx(index, found.values.cumsum(0), color=MODEL_COLOR)
    running.axhline(float(found.total), color=DATA_COLOR, linestyle="--", label=f"F = {float(found.total):.4f}")
    running.set(xlabel="index", title="running sum, up to the fidelity F", ylim=(0, None))
    running.legend(loc="lower right")
    for axis in (scree, running):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def functions_figure(found: Decomposition, count: int, image_shape: tuple[int, int, int] | None) -> Figure:
    """The leading left functions: fields in the plane, singular images for images, else on principal components.

    A singular image is E_p[f_k(x) x]: how each pixel varies along f_k. The first one is nearly the mean.

    Args:
        found: of two mixtures.
        count: how many functions.
        image_shape: (channels, height, width), or None for points.
    """
    columns = min(count, 6)
    rows = -(-count // columns)
    points = found.p.centers
    spread = (points.amax(0) - points.amin(0)).tolist() if points.shape[1] == 2 else [1.0, 1.0]
    margin = 0.3 * max(spread) or 1.0
    height = 0.35 + 2.3 * min(2.0, (spread[1] + margin) / (spread[0] + margin))
    figure = new_figure(2.3 * columns, height * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    basis = None if image_shape else principal_axes(points)
    for k, axis in enumerate(axes):
        axis.set_axis_off()
        if k >= count:
            continue
        axis.set_title(f"{k + 1}: s = {float(found.values[k]):.3g}", fontsize=9)
        if image_shape is not None:
            _image(axis, found, k, image_shape)
        elif points.shape[1] == 2:
            _field(axis, found, k)
        else:
            assert basis is not None
            place = (points @ basis).numpy()
            values = found.left_values[:, k].numpy()
            limit = float(np.abs(values).max())
            axis.scatter(place[:, 0], place[:, 1], c=values, s=4, cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure


def _field(axis: Axes, found: Decomposition, k: int) -> None:
    points = found.p.centers
    low, high = points.amin(0), points.amax(0)
    margin = 0.15 * (high - low).amax() or 0.5
    low, high = low - margin, high + margin
    step = (high - low).amax() / GRID
    across, up = (torch.arange(float(low[i]), float(high[i]), float(step)) for i in (0, 1))
    grid = torch.cartesian_prod(up, across).flip(1)
    values = found.left(grid)[:, k].reshape(len(up), len(across)).numpy()
    limit = float(found.left_values[:, k].abs().amax())
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axis.imshow(values, origin="lower", extent=extent, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.scatter(points[:500, 0], points[:500, 1], s=0.3, color="black", alpha=0.4)


def _image(axis: Axes, found: Decomposition, k: int, image_shape: tuple[int, int, int]) -> None:
    weights = found.p.log_weights.exp() * found.left_values[:, k]
    image = (weights @ found.p.centers.double()).reshape(image_shape).mean(0).numpy()
    limit = float(np.abs(image).max()) or 1.0
    axis.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)


def variance_figure(choices: list[VarianceChoice]) -> Figure:
    """What each method looks at over the variance, and where it chooses, with the standard error as a band."""
    labels = {
        "neighbors": "share of points whose\nneighbours are within reach",
        "effective_rank": "effective rank / points",
        "leave_one_out": "leave-one-out\nlog-likelihood, nats",
    }
    figure = new_figure(4.6 * len(choices), 3.8)
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
