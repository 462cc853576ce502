"""The singular functions of a data set's Gaussian operator as files and figures (E13, E14)."""

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.load import load_pair
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading
from contrastive_entropy.data.scales import NOWHERE_NEAR, default_variance
from contrastive_entropy.data.schema import Schema, image_shape_of
from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.decomposition import Decomposition, decompose
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.report.drawing import png_bytes
from contrastive_entropy.report.spectra import functions_figure, scree_figure
from contrastive_entropy.storage import write_atomically

FILES = ("scree.png", "functions.png", "decomposition.npz")


def decompose_data(
    data: str,
    out: Path,
    *,
    against: str | None = None,
    variance: float | None = None,
    points: int = 2000,
    functions: int = 12,
    data_root: Path | None = None,
    header: bool | None = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> tuple[float, list[Path]]:
    """Decompose the operator between two data sets, or of one with itself, and write its spectrum and functions.

    Args:
        data, against, data_root, header, standardize, seed: as in `data.load_pair`.
        reading: how folders of images are read, as `images` of `data.load_pair`.
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
        raise InputError(f"`functions` must be at least 1 and `points` at least 2, got {functions} and {points}")
    if variance is not None and not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    paths = [out / name for name in FILES]
    if not overwrite and (there := [path for path in paths if path.exists()]):
        raise InputError(f"{there[0]} exists; replace it with `overwrite`, or choose another `out`")
    whole, other, schema = load_pair(
        data, against, seed=seed, data_root=data_root, standardize=standardize, header=header, images=reading
    )
    x = _subset(whole, points, seed)
    z = x if other is None else _subset(other, points, seed)
    chosen = default_variance(whole, data) if variance is None else variance
    try:
        found = decompose(GaussianMixture(x, chosen), GaussianMixture(z, chosen))
    except ValueError as error:  # all else fits
        raise InputError(NOWHERE_NEAR) from error
    shown = min(functions, found.rank)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(paths[0], png_bytes(scree_figure(found)))
        write_atomically(paths[1], png_bytes(functions_figure(found, shown, image_shape_of(schema))))
        write_atomically(paths[2], _arrays(found, schema, (x, z), shown, chosen))
    except OSError as error:
        raise InputError(f"cannot write to {out} ({error.strerror}); choose another `out`") from error
    return chosen, paths


def _arrays(found: Decomposition, schema: Schema, points: tuple[Tensor, Tensor], count: int, variance: float) -> bytes:
    """decomposition.npz, with so many of the functions; the points with the offsets of their columns."""
    x, z = map(schema.decode, points) if schema.shifted else points
    stream = io.BytesIO()
    np.savez(
        stream,
        values=found.values.numpy(),
        total=found.total.numpy(),
        left_points=x.numpy(),
        left_functions=found.left_values[:, :count].numpy(),
        right_points=z.numpy(),
        right_functions=found.right_values[:, :count].numpy(),
        variance=np.array(variance),
    )
    return stream.getvalue()


def _subset(points: Tensor | np.ndarray, count: int, seed: int) -> Tensor:
    order = np.sort(np.random.default_rng(seed).permutation(len(points))[:count])
    chosen = torch.as_tensor(np.asarray(points[order]) if isinstance(points, np.ndarray) else points[order])
    if not bool(chosen.isfinite().all()):
        raise InputError("the points hold NaN or infinite values; remove or fill them")
    return chosen
