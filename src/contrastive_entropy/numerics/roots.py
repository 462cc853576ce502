"""Inverse roots of Gram matrices, and the inner product of two operators' roots, with exact gradients (E24)."""

from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.numerics.derivatives import link, once_differentiable
from contrastive_entropy.numerics.gaussian import exact_products


def inverse_root(gram: Tensor, jitter: float) -> Tensor:
    """(G + j)^(-1/2), by eigenvectors.

    Args:
        gram: (..., n, n), symmetric, positive semidefinite up to rounding.
        jitter: j, positive where G has no inverse. float32 serves for j >= 1e-6 of the largest eigenvalue.

    Returns:
        (..., n, n), once differentiable. O(n^3).
    """
    root: Tensor = _InverseRoot.apply(gram, link(gram), jitter)
    return root


class _InverseRoot(torch.autograd.Function):
    """Its gradient is by divided differences, (a^-1/2 - b^-1/2) / (a - b) = -1 / (a b^1/2 + a^1/2 b), which need no gaps
    between eigenvalues.
    """

    @staticmethod
    def forward(ctx: Any, gram: Tensor, origin: Tensor, jitter: float) -> Tensor:
        """Origin: a `link` to the matrix."""
        with exact_products(gram.device):
            values, vectors = torch.linalg.eigh(gram)
            roots = (values.clamp_min(0) + jitter).sqrt()
            ctx.save_for_backward(roots, vectors, origin)
            return (vectors / roots.unsqueeze(-2)) @ vectors.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        roots, vectors, _ = ctx.saved_tensors
        rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
        with exact_products(vectors.device):
            inner = vectors.mT @ grads[0] @ vectors
            return -vectors @ inner.div_(rows * columns * (rows + columns)) @ vectors.mT, None, None


def inner_product_of_roots(left: Tensor, cross: Tensor, right: Tensor) -> Tensor:
    """tr(A C B C^T) of symmetric A, B and any C.

    Args:
        left: A, (..., n, n).
        cross: C, (..., n, m).
        right: B, (..., m, m).

    Returns:
        (...), once differentiable. O(n m (n + m)).
    """
    value: Tensor = _InnerProduct.apply(left, cross, right, link(left, cross, right))
    return value


class _InnerProduct(torch.autograd.Function):
    """Two products forward, and one backward for each of the three: autograd would take twice as many."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, cross: Tensor, right: Tensor, origin: Tensor) -> Tensor:
        """Origin: a `link` to the others."""
        with exact_products(cross.device):
            by_left, by_right = left @ cross, cross @ right
        ctx.save_for_backward(cross.detach(), right.detach(), by_left, by_right, origin)
        return (by_left * by_right).sum((-2, -1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cross, right, by_left, by_right, _ = ctx.saved_tensors
        needs = ctx.needs_input_grad
        scale = grads[0][..., None, None]
        with exact_products(cross.device):
            left = by_right @ cross.mT * scale if needs[0] else None
            middle = by_left @ right * (2 * scale) if needs[1] else None
            return left, middle, cross.mT @ by_left * scale if needs[2] else None, None
