"""Gaussian Gram matrices from points whose kernel has one variance, with gradients contracted onto the points."""

import math
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.numerics.derivatives import link, once_differentiable
from contrastive_entropy.numerics.gaussian import exact_products


def unit_gram(
    x: Tensor, z: Tensor, a: Tensor, b: Tensor, *, differences: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """exp(a_i + b_j - |x_i - z_j|^2 / 2) / its largest entry, (b, n, m), and the log of that entry, (b,).

    Entries below the root of the smallest normal number are 0: what a product of two of them yields is denormal, which
    makes a CPU's products a hundred times slower, and lies far below the rounding error of the others. The exponential
    is taken before, because one that underflows is twenty times slower than one that does not.
    """
    if differences:
        exponent = torch.zeros((), dtype=x.dtype, device=x.device).expand(*x.shape[:-1], z.shape[-2])
        for left, right in zip(x.unbind(-1), z.unbind(-1), strict=True):
            exponent = torch.sub(left.unsqueeze(-1), right.unsqueeze(-2)).square_().add_(exponent)
        exponent.mul_(-0.5).add_(a.unsqueeze(-1)).add_(b.unsqueeze(-2))
    else:
        exponent = torch.baddbmm((b - z.square().sum(-1) / 2).unsqueeze(-2), x, z.mT)
        exponent.add_((a - x.square().sum(-1) / 2).unsqueeze(-1))
    shift = exponent.amax((-2, -1), keepdim=True)
    cut = 0.5 * math.log(torch.finfo(dtype).tiny)
    matrix = exponent.sub_(shift).to(dtype).clamp_min_(cut).exp_()
    return matrix.mul_(matrix > 1.001 * math.exp(cut)), shift[..., 0, 0].double()


def contracted(
    weights: Tensor, x: Tensor, z: Tensor, *, wanted: tuple[bool, bool] = (True, True)
) -> tuple[Tensor | None, ...]:
    """Gradients in x, z, a and b of a function whose gradient in the exponents is given, (b, n, m).

    Args:
        weights: that gradient.
        x, z: the points, (b, n, d) and (b, m, d).
        wanted: whether those of x and a, and those of z and b, are.

    Returns:
        Those of x, z, a and b; None where they are not wanted.
    """
    weights = weights.to(x.dtype)
    on_x = _side(weights, x, z) if wanted[0] else (None, None)
    on_z = _side(weights.mT, z, x) if wanted[1] else (None, None)
    return on_x[0], on_z[0], on_x[1], on_z[1]


def _side(weights: Tensor, points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    found = weights @ torch.cat([others, torch.ones_like(others[..., :1])], -1)
    rows = found[..., -1]
    return found[..., :-1] - rows.unsqueeze(-1) * points, rows


def sides(ctx: Any) -> tuple[bool, bool]:
    """Whether a function of (x, z, a, b, ...) needs gradients in x or a, and in z or b."""
    needs = ctx.needs_input_grad
    return needs[0] or needs[2], needs[1] or needs[3]


def gram(x: Tensor, z: Tensor, a: Tensor, b: Tensor, *, differences: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """exp(a_i + b_j - |x_i - z_j|^2 / 2) / its largest entry, and the log of that entry, once differentiable.

    Args:
        x, z: (b, n, d) and (b, m, d), in units of the kernel's standard deviation.
        a, b: (b, n) and (b, m).
        differences, dtype: as in `unit_gram`.

    Returns:
        (b, n, m) in `dtype`, and (b,), float64. The gradient takes the log as constant: what divides the matrix by its
        largest entry, and multiplies by it again, changes nothing.
    """
    matrix, shift = _Gram.apply(x, z, a, b, link(x, z, a, b), differences, dtype)
    return matrix, shift


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, a: Tensor, b: Tensor, origin: Tensor, differences: bool, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Origin: a `link` to the others."""
        with exact_products(x.device):
            matrix, shift = unit_gram(x, z, a, b, differences=differences, dtype=dtype)
        ctx.save_for_backward(x.detach(), z.detach(), matrix, origin)
        ctx.mark_non_differentiable(shift)
        return matrix, shift

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, z, matrix, _ = ctx.saved_tensors
        with exact_products(x.device):
            return (*contracted(grads[0] * matrix, x, z, wanted=sides(ctx)), None, None, None)
