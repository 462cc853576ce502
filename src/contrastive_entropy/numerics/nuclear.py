"""The nuclear norm of a matrix, exact and smoothed, with a well-posed gradient; of a kernel matrix, by its points (E12)."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.errors import NumericalWarning
from contrastive_entropy.numerics.decompositions import smoothed_sum
from contrastive_entropy.numerics.derivatives import link, once_differentiable
from contrastive_entropy.numerics.gaussian import exact_products
from contrastive_entropy.numerics.grams import contracted, sides, unit_gram
from contrastive_entropy.numerics.polar import TOLERANCE, check_options, smoothed_polar


def matrix_nuclear_norm(
    matrix: Tensor, *, smoothing: float = 0.0, tolerance: float = TOLERANCE, method: str = "auto"
) -> Tensor:
    """(Smoothed) nuclear norm: sum_k sqrt(s_k^2 + e^2) - e with e = smoothing * s_max held constant  (E12).

    Smoothing lowers the value by at most e per singular value, so an upper limit on the exact norm still holds; it
    makes the gradient well-posed on smooth kernel matrices, whose many tiny singular values otherwise count fully, and
    fast: see `polar.smoothed_polar`, whose arguments these are.

    Args:
        matrix: (..., n, m).
        smoothing: eps >= 0, relative to the largest singular value; 0 is the exact norm.
        tolerance: relative error that the value and the gradient (Frobenius norm) may have in float32.
        method: of `polar.METHODS`. Where no gradient is wanted, it is by singular values in any case.

    Returns:
        (...). O(n m min(n, m)) at most.

    Raises:
        ValueError: smoothing is negative or not finite, tolerance not positive, or an unknown method.

    >>> matrix_nuclear_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    7.0
    """
    check_smoothing(smoothing)
    check_options(tolerance, method)
    if matrix.numel() == 0:
        return matrix.sum((-2, -1))
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    norms: Tensor = _NuclearNorm.apply(flat, link(flat), smoothing, tolerance, method)
    return norms.reshape(matrix.shape[:-2])


def check_smoothing(smoothing: float) -> None:
    """Raise ValueError for a smoothing that is negative or not finite."""
    if not 0 <= smoothing < math.inf:
        raise ValueError(f"smoothing must be a finite number >= 0, got {smoothing}")


def effective_rank(singular_values: Tensor) -> Tensor:
    """Exp of the entropy of the normalised singular values: how many directions share the spectrum evenly.

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.

    Args:
        singular_values: (..., k), not negative, not all zero.

    Returns:
        (...), between 1 and k.

    >>> effective_rank(torch.tensor([1.0, 1.0, 0.0])).item()  # doctest: +ELLIPSIS
    2.0...
    """
    share = singular_values / singular_values.sum(-1, keepdim=True)
    return torch.special.entr(share).sum(-1).exp()


class _NuclearNorm(torch.autograd.Function):
    """sum_k sqrt(s_k^2 + e^2) - e of (b, n, m) matrices, with the smoothed polar factor as its gradient."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor, origin: Tensor, smoothing: float, tolerance: float, method: str) -> Tensor:
        with exact_products(matrices.device):
            if not ctx.needs_input_grad[0]:
                return _norms(matrices, smoothing).to(matrices.dtype)
            found = [smoothed_polar(m, smoothing, tolerance=tolerance, method=method) for m in matrices]
        if any(float(polar.norm) == 0 for polar in found):
            warnings.warn(
                "the matrix is 0, and so are its nuclear norm and gradient: no point is near any other at this variance",
                NumericalWarning,
                stacklevel=3,
            )
        first = found[0].factor  # one matrix is the common case, and a copy of it would cost a page fault every 4 KiB
        factors = first.unsqueeze(0) if len(found) == 1 else torch.stack([p.factor for p in found])
        ctx.save_for_backward(factors, origin)
        return torch.stack([polar.norm for polar in found]).to(matrices.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None, None, None, None]:
        factors, _ = ctx.saved_tensors
        return grad_outputs[0][:, None, None] * factors, None, None, None, None


def _norms(matrices: Tensor, smoothing: float) -> Tensor:
    s = torch.linalg.svdvals(matrices)
    return smoothed_sum(s, smoothing * s[..., :1])


class LogNuclearNorm(torch.autograd.Function):
    """Log of the smoothed nuclear norm of exp(a_i + b_j - |x_i - z_j|^2 / 2), (b,), with W * K contracted onto the points.

    x (b, n, d), z (b, m, d), a (b, n), b (b, m); the matrix itself is in `dtype` and does not outlive the forward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        z: Tensor,
        a: Tensor,
        b: Tensor,
        origin: Tensor,
        options: tuple[bool, torch.dtype, float, float, str],
    ) -> Tensor:
        """Origin: a `link` to the others. Options: by differences, precision, smoothing, tolerance, method."""
        differences, dtype, smoothing, tolerance, method = options
        wanted = any(ctx.needs_input_grad)
        values, gradients = [], []
        with exact_products(x.device):
            kernels, shifts = unit_gram(x, z, a, b, differences=differences, dtype=dtype)
            if not wanted:
                return _norms(kernels, smoothing).log() + shifts
            for kernel, shift, *points in zip(kernels, shifts, x, z, strict=True):
                polar = smoothed_polar(kernel, smoothing, tolerance=tolerance, method=method)
                values.append(polar.norm.log() + shift)
                weights = polar.factor.mul_(kernel).div_(polar.norm.to(dtype))
                gradients.append(contracted(weights, *points, wanted=sides(ctx)))
        stacked = (None if parts[0] is None else torch.stack(parts) for parts in zip(*gradients, strict=True))
        ctx.save_for_backward(*stacked, origin)
        return torch.stack(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        """The contracted gradients, times what comes in."""
        (grad,) = grad_outputs
        x, z, a, b, _ = ctx.saved_tensors
        scaled = (None if g is None else grad.to(g.dtype).reshape(-1, *(1,) * (g.ndim - 1)) * g for g in (x, z, a, b))
        return (*scaled, None, None)
