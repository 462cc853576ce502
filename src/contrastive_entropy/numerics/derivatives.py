"""Gradients that are computed beside the value, and cannot be differentiated again."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Backward = Callable[..., tuple[Tensor | None, ...]]

AGAIN = (
    "this gradient cannot be differentiated again: sums over pairs and the nuclear norm have first derivatives only. "
    "With a variance for each component, (m, 1), the sums have second derivatives, too (docs/library.md)"
)


def once_differentiable(backward: Backward) -> Backward:
    """A backward pass without a graph, whose results raise RuntimeError where they are differentiated.

    torch's decorator of this name returns constants where the incoming gradient needs no gradient itself, and with them a
    gradient penalty counts nothing, without a word.

    Args:
        backward: of an autograd function, (ctx, gradients) -> gradients. Among the saved tensors must be the inputs that
            may need a gradient, or a `link` to them: by these the results are known to depend on them.
    """

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():  # so it is unless a graph of the gradient is asked for
            return found
        origins = [tensor for tensor in (*ctx.saved_tensors, *grads) if tensor is not None and tensor.requires_grad]
        return tuple(None if part is None else _Final.apply(part, *origins) for part in found)

    return once


def link(*inputs: Tensor) -> Tensor:
    """An empty tensor, (0,), in the graph of the inputs, which have one precision: to be saved in place of them."""
    return torch.cat([tensor[:0].reshape(-1) for tensor in inputs])


class _Final(torch.autograd.Function):
    """The same tensor, in the graph of its origins, which ends here."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *origins: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> None:
        raise RuntimeError(AGAIN)
