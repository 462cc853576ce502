"""Principal directions of data."""

import torch
from torch import Tensor

EXACT = 1000
"""Up to this many points or coordinates, whichever are fewer, all eigenvectors are computed."""


def principal_directions(data: Tensor, count: int) -> Tensor:
    """Orthonormal directions in which centred data vary most, the most varied first.

    As many as points less one span the centred data: distances between them, and to what lies in the span, are exact then.

    Args:
        data: (n, d).
        count: r >= 1.

    Returns:
        (r, d) in the data's dtype; each direction's entry of largest modulus is positive. By eigenvectors of the smaller
        Gram matrix in float64, O(n d min(n, d)); where that has more than 1,000 rows, and r is less than a quarter of
        them, nearly so by randomised subspace iteration (Halko, Martinsson and Tropp 2011), always the same, in O(n d r).

    Raises:
        ValueError: count is not from 1 to min(n - 1, d).

    >>> principal_directions(torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 5.0]]), 1)
    tensor([[0., 1.]])
    """
    fewer = min(data.shape)
    most = min(len(data) - 1, data.shape[1])
    if not 1 <= count <= most:
        raise ValueError(
            f"count must lie from 1 to {most} for {len(data)} points of {data.shape[1]} coordinates, got {count}"
        )
    mean = data.mean(0, dtype=torch.float64)
    if fewer > EXACT and 4 * count < fewer:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            columns = torch.svd_lowrank(data - mean.to(data.dtype), q=count + count // 4 + 8, niter=2)[2][:, :count]
    else:
        centered = data.double() - mean
        wide = len(data) < data.shape[1]
        columns = torch.linalg.eigh(centered @ centered.T if wide else centered.T @ centered)[1][:, -count:].flip(-1)
        if wide:  # directions without any variance come out as whatever completes an orthonormal set
            columns = torch.linalg.qr(centered.T @ columns)[0]
    directions = columns.T
    largest = directions.abs().argmax(1, keepdim=True)
    return (directions * directions.gather(1, largest).sign()).contiguous().to(data.dtype)
