"""Closed forms for two Gaussians: squared distances, log kernels and normalising constants (E1, E4).

A variance is a tensor that broadcasts against points of shape (..., n, d): a scalar (isotropic), (d,) (diagonal),
(n, 1) (one isotropic variance per component) or (n, d) (one diagonal per component). The functions here want it with
its last two axes explicit, (..., 1 or n, 1 or d), as `GaussianMixture` stores it.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.errors import NumericalWarning

EXPONENT_TOLERANCE = 1e-4
"""Largest acceptable absolute error of a kernel's exponent, in nats, before precision is raised (theory, section 4)."""

EXACT_TOLERANCE = 1e-11
"""The same where the points are float64: factorisations of a Gram matrix amplify its errors."""

DIRECT_DIMENSIONS = 8
"""Up to so many coordinates squared differences are summed one by one: as fast as a matrix product, and exact near 0."""


def log_normalizer(variance: Tensor, dimension: int) -> Tensor:
    """Log of the peak of a Gaussian density, c(v) = -1/2 sum_d log(2 pi v_d)  (E4).

    Args:
        variance: (..., 1 or n, 1 or d), in data units squared.
        dimension: d, the number of coordinates that an isotropic variance stands for.

    Returns:
        (..., 1 or n), in nats, float64: at d = 784, v = 0.01 it is +1085, whose exponential no float holds.

    >>> log_normalizer(torch.tensor([[0.01]]), 784).item()  # doctest: +ELLIPSIS
    1084.7...
    """
    v = variance.double()
    repeats = dimension if v.shape[-1] == 1 else 1
    return -0.5 * repeats * torch.log(2 * math.pi * v).sum(-1)


def squared_distances(x: Tensor, z: Tensor) -> Tensor:
    """All squared Euclidean distances, never negative.

    Args:
        x: (..., n, d).
        z: (..., m, d).

    Returns:
        (..., n, m). Up to 8 coordinates: summed differences, relative error eps. Beyond: |x_i|^2 + |z_j|^2 - 2 x_i.z_j,
        centred on the mean of x, absolute error about 3 eps max|x|^2; one matrix product. O(n m d) time, O(n m) memory.

    >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    if x.shape[-1] <= DIRECT_DIMENSIONS:
        return _summed_squares(x, z, x.new_ones((1, 1)))
    origin = x.detach().mean(-2, keepdim=True)
    x, z = x - origin, z - origin
    squares = x.square().sum(-1).unsqueeze(-1) + z.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * x @ z.mT).clamp_min(0)


def log_kernel(x: Tensor, x_variance: Tensor, z: Tensor, z_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Log N(x_i - z_j; v_i + v_j) for all pairs, as an exponent and a constant  (E1).

    Splitting off the constant keeps gaps exact in any dimension (E4): sums run over the exponents, and the constant,
    thousands of nats at image sizes, is added once, in float64.

    Args:
        x: (..., n, d) points.
        x_variance: (..., 1 or n, 1 or d); zeros stand for bare points.
        z: (..., m, d) points.
        z_variance: (..., 1 or m, 1 or d).

    Returns:
        exponent: (..., n, m), and constant: (...), float64; their sum is the log-density. With variances that all
        pairs share, the exponent is -|x_i - z_j|^2 / 2(v_x + v_z) in the points' precision; beyond 8 coordinates it is
        raised to float64, with a NumericalWarning, where float32 would err by more than 1e-4 nats, and float64 points are
        compared by differences where their products would err by more than 1e-11. With
        per-component variances the exponent holds everything, in float64, and the constant is 0; this costs O(n m d)
        memory.

    Raises:
        ValueError: the two sides have different numbers of coordinates.
    """
    if x.shape[-1] != z.shape[-1]:
        raise ValueError(f"dimensions differ: {x.shape[-1]} coordinates on one side and {z.shape[-1]} on the other")
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    if z.dtype in (torch.float16, torch.bfloat16):
        z = z.float()
    with exact_products(x.device):
        if x_variance.shape[-2] == 1 and z_variance.shape[-2] == 1:
            return _shared_log_kernel(x, z, x_variance + z_variance)
        total = x_variance.double().unsqueeze(-2) + z_variance.double().unsqueeze(-3)
        difference = x.double().unsqueeze(-2) - z.double().unsqueeze(-3)
        exponent = -0.5 * (difference.square() / total).sum(-1) + log_normalizer(total, x.shape[-1])
        return exponent, exponent.new_zeros(())


def _shared_log_kernel(x: Tensor, z: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(x.dtype, z.dtype)
    constant = log_normalizer(variance, x.shape[-1]).squeeze(-1)
    scale = variance.double().rsqrt()  # float32 variances reach beyond what float32 can divide
    if x.shape[-1] <= DIRECT_DIMENSIONS:
        # Differences first: scaling before would round away the distances of near points.
        return -0.5 * _summed_squares(x.to(dtype), z.to(dtype), scale.to(dtype)), constant
    origin = x.detach().mean(-2, keepdim=True)
    scaled_x, scaled_z = (x - origin) * scale.to(dtype), (z - origin) * scale.to(dtype)
    error = product_error(scaled_x, scaled_z)
    if dtype != torch.float64 and error > EXPONENT_TOLERANCE:
        warnings.warn(
            "distances are so large against the variance that float32 would err by more than "
            f"{EXPONENT_TOLERANCE} nats in the exponent; computing in float64 (slower). A larger variance or "
            "float64 input avoids this",
            NumericalWarning,
            stacklevel=2,
        )
        origin = origin.double()
        scaled_x, scaled_z = (x.double() - origin) * scale, (z.double() - origin) * scale
    elif dtype == torch.float64 and error > EXACT_TOLERANCE:
        return -0.5 * torch.cdist(scaled_x, scaled_z, compute_mode="donot_use_mm_for_euclid_dist").square(), constant
    return -0.5 * squared_distances(scaled_x, scaled_z), constant


def _summed_squares(x: Tensor, z: Tensor, scale: Tensor) -> Tensor:
    """Sum over coordinates of (x_i - z_j)^2 scale^2; x (..., n, d), z (..., m, d), scale (..., 1, 1 or d)."""
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    scales = scale.expand(*scale.shape[:-1], x.shape[-1])
    for a, b, s in zip(x.unbind(-1), z.unbind(-1), scales.unbind(-1), strict=True):
        total = total + ((a.unsqueeze(-1) - b.unsqueeze(-2)) * s.unsqueeze(-1)).square()
    return total


def product_error(x: Tensor, z: Tensor) -> float:
    """About the largest rounding error of half a squared distance computed by a matrix product, in nats.

    Args:
        x: (..., n, d), centred and in units of the standard deviation.
        z: (..., m, d), likewise.

    Returns:
        3 eps max |x|^2; 1.9 times less is what was seen at d = 784, and 6 times less at d = 2.
    """
    with torch.no_grad():
        largest = max(float(torch.linalg.vector_norm(points, dim=-1).amax()) for points in ((x,) if x is z else (x, z)))
    return 3 * torch.finfo(x.dtype).eps * largest**2


@contextlib.contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Within it, float32 matrix products are float32: no autocast, no TF32, no bfloat16, which an exponent cannot bear."""
    backend: Any = getattr(torch.backends, "cuda" if device.type == "cuda" else "mkldnn").matmul
    name, exact = ("fp32_precision", "ieee") if hasattr(backend, "fp32_precision") else ("allow_tf32", False)
    previous = getattr(backend, name, exact)
    with torch.autocast(device.type, enabled=False):
        if previous == exact:
            yield
            return
        setattr(backend, name, exact)
        try:
            yield
        finally:
            setattr(backend, name, previous)
