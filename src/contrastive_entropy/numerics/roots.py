"""Inverse roots of Gram matrices, and the inner product of two operators' roots, with exact gradients (E24)."""

from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.numerics.derivatives import link, once_differentiable
from contrastive_entropy.numerics.gaussian import exact_products


def inverse_root_factor(gram: Tensor, jitter: float) -> Tensor:
    """H with H H^T = (G + j)^(-1/2), by eigenvectors.

    Args:
        gram: (..., n, n), symmetric, positive semidefinite up to rounding.
        jitter: j, positive where G has no inverse. float32 serves for j >= 1e-5 of the largest eigenvalue.

    Returns:
        (..., n, n), with the gradient of functions of H H^T, once. O(n^3).
    """
    factor: Tensor = _InverseRootFactor.apply(gram, link(gram), jitter)
    return factor


class _InverseRootFactor(torch.autograd.Function):
    """The gradient of the root is by divided differences, (a^-1/2 - b^-1/2) / (a - b) = -1 / (a b^1/2 + a^1/2 b), which
    need no gaps between eigenvalues.
    """

    @staticmethod
    def forward(ctx: Any, gram: Tensor, origin: Tensor, jitter: float) -> Tensor:
        """Origin: a `link` to the matrix."""
        with exact_products(gram.device):
            values, vectors = torch.linalg.eigh(gram)
        roots = values.clamp_min_(0).add_(jitter).sqrt_()
        ctx.save_for_backward(roots, vectors, origin)
        return vectors * roots.rsqrt().unsqueeze(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """A gradient g in H is 2 g_R H for the gradient g_R in R = H H^T."""
        roots, vectors, _ = ctx.saved_tensors
        rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
        with exact_products(vectors.device):
            inner = (vectors.mT @ grads[0]).div_(-2 * columns.sqrt() * rows * (rows + columns))
            return vectors @ inner @ vectors.mT, None, None


def squared_norm_between(left: Tensor, cross: Tensor, right: Tensor) -> Tensor:
    """|A^T C B|^2, the squared Frobenius norm.

    Args:
        left: A, (..., n, n).
        cross: C, (..., n, m).
        right: B, (..., m, m).

    Returns:
        (...), once differentiable. O(n m (n + m)).
    """
    value: Tensor = _SquaredNorm.apply(left, cross, right, link(left, cross, right))
    return value


class _SquaredNorm(torch.autograd.Function):
    """Two products forward, and four backward where all are wanted: autograd would take more."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, cross: Tensor, right: Tensor, origin: Tensor) -> Tensor:
        """Origin: a `link` to the others."""
        with exact_products(cross.device):
            by_right = cross @ right
            inner = left.mT @ by_right
        ctx.save_for_backward(left.detach(), cross.detach(), right.detach(), by_right, inner, origin)
        return inner.square().sum((-2, -1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        left, cross, right, by_right, inner, _ = ctx.saved_tensors
        inner = inner * (2 * grads[0][..., None, None])
        needs = ctx.needs_input_grad
        with exact_products(cross.device):
            outer = left @ inner
            return (
                by_right @ inner.mT if needs[0] else None,
                outer @ right.mT if needs[1] else None,
                cross.mT @ outer if needs[2] else None,
                None,
            )
