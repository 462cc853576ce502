"""What a mixture is made of, checked."""

import math

import torch
from torch import Tensor


def checked_variance(variance: float | Tensor, centers: Tensor) -> Tensor:
    """The variance with its last two axes explicit, (..., 1 or m, 1 or d)."""
    if isinstance(variance, Tensor):
        if not variance.is_floating_point():
            raise TypeError(f"variance must be a number or a floating-point tensor, got {variance.dtype}")
    else:
        try:
            variance = torch.tensor(float(variance), dtype=torch.float64, device=centers.device)
        except TypeError:
            kind = type(variance).__name__
            raise TypeError(f"variance must be a number or a floating-point tensor, got {kind}") from None
    if not bool(((variance > 0) & variance.isfinite()).all()):
        raise ValueError(
            f"variance must be positive and finite, got values from {float(variance.min()):.6g} "
            f"to {float(variance.max()):.6g}"
        )
    while variance.ndim < 2:
        variance = variance.unsqueeze(0)
    try:
        fits = torch.broadcast_shapes(variance.shape, centers.shape) == centers.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"variance of shape {tuple(variance.shape)} does not broadcast against centers of shape "
            f"{tuple(centers.shape)}; expected a number, (d,), (m, 1) or (m, d), with leading dimensions for batches"
        )
    return variance


def checked_log_weights(weights: Tensor | None, log_weights: Tensor | None, centers: Tensor) -> Tensor:
    """Normalised log-weights, (m,) or (..., m)."""
    components = centers.shape[-2]
    if weights is not None and log_weights is not None:
        raise ValueError("give weights or log_weights, not both")
    if weights is None and log_weights is None:
        return torch.full((components,), -math.log(components), dtype=torch.float64, device=centers.device)
    given = weights if weights is not None else log_weights
    if not isinstance(given, Tensor):
        raise TypeError(f"weights must be a tensor, got {type(given).__name__}; convert with torch.as_tensor")
    try:
        fits = torch.broadcast_shapes(given.shape, centers.shape[:-1]) == centers.shape[:-1]
    except RuntimeError:
        fits = False
    if not fits or given.shape[-1:] != (components,):
        raise ValueError(
            f"weights must have shape (..., {components}), one per component, got {tuple(given.shape)} "
            f"for centers of shape {tuple(centers.shape)}"
        )
    if weights is not None:
        if bool((weights < 0).any()):
            raise ValueError(f"weights must not be negative, got a smallest value of {float(weights.min()):.6g}")
        given = weights.log()
    normalised = torch.log_softmax(given.double(), -1)
    if bool(normalised.isnan().any()):
        raise ValueError("weights must be finite and not all zero in a mixture")
    return normalised


def not_a_mixture(name: str, value: object) -> TypeError:
    """What to raise for an argument that is no mixture: it says how points become one."""
    sizes = getattr(value, "shape", None)
    shape = f" of shape {tuple(sizes)}" if isinstance(sizes, tuple) else ""
    return TypeError(
        f"{name} must be a GaussianMixture, got {type(value).__name__}{shape}; "
        "of points x (n, d) it is ce.GaussianMixture(x, variance)"
    )
