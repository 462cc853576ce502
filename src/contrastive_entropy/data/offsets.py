"""Columns far from 0: what to take off them in double precision before single precision holds them."""

import numpy as np
import torch
from torch import Tensor

FINEST = 1e-3
"""Steps of single precision, in deviations of a column, beyond which an offset is taken off it."""

ROWS, NUMBERS = 20_000, 2**22
"""Rows that are looked at, at most, and numbers in them."""


def offsets(points: Tensor | np.ndarray) -> Tensor:
    """Offsets for the columns that single precision would blur, such as time stamps.

    Args:
        points: (n, d) in their own units, a tensor or a memory map.

    Returns:
        (d,) float64: a round number near the column's median; 0 of columns that are held well, or vary by rounding alone.

    >>> offsets(1.7e12 + torch.arange(10_001.0, dtype=torch.float64)[:, None]).tolist()
    [1700000005000.0]
    """
    step = -(-len(points) // min(ROWS, max(100, NUMBERS // points.shape[1])))
    rows = (
        points[::step].double() if isinstance(points, Tensor) else torch.from_numpy(np.array(points[::step])).double()
    )
    rows = rows[rows.isfinite().all(1)]
    if not len(rows):
        return torch.zeros(points.shape[1], dtype=torch.float64)
    low, median, high = torch.from_numpy(np.quantile(rows.numpy(), [0.25, 0.5, 0.75], axis=0))
    deviation, inner = (
        rows.std(0, correction=0),
        (high - low) / 1.349,
    )  # of a few wild values the inner one sees nothing
    deviation = torch.where(inner > 0, torch.minimum(deviation, inner), deviation)
    blurred = torch.finfo(torch.float32).eps * median.abs() > FINEST * deviation
    blurred &= deviation > rounding(rows)
    unit = 10.0 ** torch.where(blurred, deviation, 1.0).log10().floor()  # so that whole numbers stay whole
    return torch.where(blurred, (median / unit).round() * unit, 0.0)


def rounding(points: Tensor) -> Tensor:
    """Deviations up to which columns of points (n, d) vary by rounding alone, (d,)."""
    points = points.double()
    exact = (points == points.round()).all(0) & (points.abs().amax(0) < 2**24)  # whole numbers that float32 holds
    rounded = (points == points.float()).all(0) & ~exact  # to float32, as far as can be seen
    precision = torch.where(rounded, torch.finfo(torch.float32).eps, torch.finfo(torch.float64).eps)
    return 4 * precision * points.abs().amax(0)
