"""Scales of points: the variance that they suggest, and warnings about columns that one variance does not suit."""

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.variance.choice import neighbor_variance

Points = Tensor | np.ndarray
"""(n, d) floating point: a tensor, or a memory map of a file."""

UNEVEN = 10.0
"""Ratio of the standard deviations of columns beyond which one variance does not suit them all."""

NOWHERE_NEAR = "no point of one set is near any of the other at this variance; set a larger `variance`"
"""The message of two sets without a pair of points that the kernel connects."""


def coarseness(points: Tensor) -> str | None:
    """A warning if float32 points (n, d) lie so far from 0 that rounding moves them by a hundredth of a deviation."""
    if points.dtype != torch.float32:
        return None
    deviation, mean = torch.std_mean(points, 0)
    step = torch.finfo(torch.float32).eps * mean.abs()
    coarse = ((deviation > 0) & (step > 0.01 * deviation)).nonzero().flatten().tolist()
    if not coarse:
        return None
    return (
        f"column {coarse[0]}, counted from 0, lies near {mean[coarse[0]]:.4g} with a deviation of "
        f"{deviation[coarse[0]]:.3g}, where single precision has steps of {step[coarse[0]]:.2g}: subtract an offset from "
        "it, or set `standardize`"
    )


def unevenness(dataset: Dataset) -> str | None:
    """A warning if the standard deviations of columns are too different for one variance, or that of `coarseness`."""
    if not isinstance(dataset.schema, Table):
        return None
    coarse = coarseness(dataset.train.points)
    if coarse is not None or dataset.dimension < 2:
        return coarse
    deviations = dataset.train.points.double().std(0)
    varied = deviations[deviations > 0]
    low, high = (float(edge) for edge in varied.aminmax()) if len(varied) else (0.0, 0.0)
    if high <= UNEVEN * low:
        return None
    return (
        f"the columns' standard deviations range from {low:.3g} to {high:.3g}, and one variance serves all: the kernel "
        "sees little of the small ones; if they have units of their own, `standardize` brings them to one scale"
    )


def default_variance(points: Points, name: str) -> float:
    """The variance that a fit would end near, from up to 20,000 of the points.

    Raises:
        InputError: the points are constant or mostly duplicates.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(points))[:20_000])
    subset = torch.as_tensor(np.asarray(points[chosen]) if isinstance(points, np.ndarray) else points[chosen])
    try:
        return neighbor_variance(subset)
    except ValueError as error:
        raise InputError(f"{name}: {error}; or set `variance`") from error
