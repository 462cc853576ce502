"""The singular functions of a data set's Gaussian operator as files and figures (E13, E14)."""

import io
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.load import NOWHERE_NEAR, default_variance, load_pair
from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.decomposition import Decomposition, decompose
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.report import DATA_COLOR, MODEL_COLOR, png_bytes, principal_axes
from contrastive_entropy.runs import write_atomically

FILES = ("scree.png", "functions.png", "decomposition.npz")
GRID = 120  # points of a field along the longer side


def decompose_data(
    data: str,
    out: Path,
    *,
    against: str | None = None,
    variance: float | None = None,
    points: int = 2000,
    functions: int = 12,
    data_root: Path | None = None,
    standardize: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> tuple[float, list[Path]]:
    """Decompose the operator between two data sets, or of one with itself, and write its spectrum and functions.

    Args:
        data, against, data_root, standardize, seed: as in `data.load_pair`.
        out: folder, made if need be.
        variance: of both densities, in data units squared; None is what `fit` would anneal down to.
        points: most points of either side, drawn at random.
        functions: how many are shown and written.
        overwrite: replace the files.

    Returns:
        The variance, and the paths: scree.png, functions.png and decomposition.npz, which holds values (those above 1e-6 of
        the largest), their total (F, with the others), left_points, left_functions (n, r), right_points, right_functions
        (m, r) and the variance.

    Raises:
        InputError: an argument, data or files that cannot be used.
    """
    if functions < 1 or points < 2:
        raise InputError(f"--functions must be at least 1 and --points at least 2, got {functions} and {points}")
    if variance is not None and not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    paths = [out / name for name in FILES]
    if not overwrite and (there := [path for path in paths if path.exists()]):
        raise InputError(f"{there[0]} exists; replace it with --overwrite, or choose another --out")
    whole, other, shape = load_pair(data, against, seed=seed, data_root=data_root, standardize=standardize)
    x = _subset(whole, points, seed)
    z = x if other is None else _subset(other, points, seed)
    chosen = default_variance(whole, data) if variance is None else variance
    try:
        found = decompose(GaussianMixture(x, chosen), GaussianMixture(z, chosen))
    except ValueError as error:  # all else fits
        raise InputError(NOWHERE_NEAR) from error
    shown = min(functions, found.rank)
    stream = io.BytesIO()
    np.savez(
        stream,
        values=found.values.numpy(),
        total=found.total.numpy(),
        left_points=x.numpy(),
        left_functions=found.left_values[:, :shown].numpy(),
        right_points=z.numpy(),
        right_functions=found.right_values[:, :shown].numpy(),
        variance=np.array(chosen),
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(paths[0], png_bytes(scree_figure(found)))
        write_atomically(paths[1], png_bytes(functions_figure(found, shown, shape)))
        write_atomically(paths[2], stream.getvalue())
    except OSError as error:
        raise InputError(f"cannot write to {out} ({error.strerror}); choose another --out") from error
    return chosen, paths


def scree_figure(found: Decomposition) -> Figure:
    """Singular values over their index, and their running sum.

    Args:
        found: of any two mixtures.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
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
    figure = Figure(figsize=(2.3 * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
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


def _subset(points: Tensor | np.ndarray, count: int, seed: int) -> Tensor:
    order = np.sort(np.random.default_rng(seed).permutation(len(points))[:count])
    chosen = torch.as_tensor(np.asarray(points[order]) if isinstance(points, np.ndarray) else points[order])
    if not bool(chosen.isfinite().all()):
        raise InputError("the points hold NaN or infinite values; remove or fill them")
    return chosen
