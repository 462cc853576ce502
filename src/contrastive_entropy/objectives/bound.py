"""Bound: a value to maximise, together with the limit that it cannot pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bound:
    """A value to maximise with its known limit, value <= limit, in nats.

    Args:
        value: (...), float64, differentiable.
        limit_function: computes the limit; called at most once, when first asked for.
        terms: named parts of the value, for logs and for naming what went wrong.

    >>> import torch
    >>> bound = Bound(torch.tensor(-2.0), lambda: torch.tensor(-1.0))
    >>> bound.gap
    tensor(1.)
    """

    value: Tensor
    limit_function: Callable[[], Tensor] = field(repr=False)
    terms: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def limit(self) -> Tensor:
        """The largest value that any model can reach, in nats."""
        return self.limit_function()

    @property
    def gap(self) -> Tensor:
        """Limit - value, in nats; 0 at the optimum. Rounding may leave it at about -1e-6 there in float32."""
        return self.limit - self.value

    @property
    def tightness(self) -> Tensor:
        """exp(value - limit), in [0, 1]; 1 at the optimum."""
        return (-self.gap).exp().clamp_max(1.0)
