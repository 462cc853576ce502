"""Center and spread of columns that far values do not move."""

from torch import Tensor

NORMAL = 1.4826
"""Deviation of a normal law over its median absolute deviation."""


def robust_moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Median and robust deviation, 1.4826 times the median absolute one, of each column.

    Args:
        points: (n, d).

    Returns:
        (d,) each, float64; a deviation is 0 where more than half of a column share one value.

    >>> import torch
    >>> center, deviation = robust_moments(torch.tensor([[0.0], [1.0], [2.0], [3.0], [1e9]]))
    >>> center.item(), round(deviation.item(), 4)
    (2.0, 1.4826)
    """
    points = points.double()
    center = points.median(0).values
    return center, NORMAL * (points - center).abs().median(0).values
