"""Bound: a value to maximise, together with the limit that it cannot pass."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.requirements import require_finite, require_mixtures


@dataclass(frozen=True, eq=False)
class Bound:
    """A value to maximise with its known limit, value <= limit, in nats.

    An optimiser minimises, so `-bound` is the loss, and `bound.backward()` is `(-bound).backward()`.

    Args:
        value: (...), float64, differentiable.
        limit_function: computes the limit; called at most once, when first asked for.
        terms: named parts of the value, for logs and for naming what went wrong.

    >>> import torch
    >>> bound = Bound(torch.tensor(-2.0), lambda: torch.tensor(-1.0))
    >>> bound.gap
    tensor(1.)
    >>> -bound
    tensor(2.)
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
    def attained(self) -> Tensor:
        """The share of the limit that is attained, exp(value - limit), in [0, 1]; 1 at the optimum.

        On a finite batch equal laws stay below 1, more or less so from objective to objective. `tightness` is the figure
        that tells how near two laws are.
        """
        return (-self.gap).exp().clamp_max(1.0)

    def __neg__(self) -> Tensor:
        """The loss: minus the value, (...), differentiable."""
        return -self.value

    def mean(self) -> "Bound":
        """The mean over a batch, of value, limit and terms."""
        terms = {name: term.mean() for name, term in self.terms.items()}
        return Bound(self.value.mean(), lambda: self.limit.mean(), terms)

    def backward(self) -> None:
        """Add the gradient of the loss, `-bound`, to the parameters, so that a step of an optimiser raises the value.

        Raises:
            RuntimeError: the value is a batch; take `(-bound).mean().backward()`.

        >>> import torch
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> Bound(2 * x, lambda: torch.tensor(9.0)).backward()
        >>> x.grad
        tensor(-2.)
        """
        if self.value.numel() != 1:
            raise RuntimeError(
                f"backward() needs one value, got {tuple(self.value.shape)} of them: (-bound).mean().backward()"
            )
        (-self).backward()


FUNCTORCH = ("vmap:", "In order to use an autograd.Function with functorch")
"""How torch's own messages begin where a transform of torch.func meets what it cannot transform."""

NO_TRANSFORMS = (
    "this objective does not work under torch.func (vmap, grad, jvp ...): give batches as leading dimensions, centers of "
    "shape (b, m, d), and take gradients by backward() or torch.autograd.grad (docs/library.md)"
)

Function = TypeVar("Function", bound=Callable[..., Bound])


def objective(function: Function, *, full: bool = False) -> Function:
    """Check what an objective takes: two mixtures, whose centers are finite.

    The centers are looked at only where the value is not finite, so that the check costs a finite value nothing.

    Args:
        function: two mixtures p and q, and options, to a Bound.
        full: whether it takes mixtures with full covariances, too.

    Returns:
        The same with these checks. Raises TypeError for anything but mixtures; NotFiniteError, with the bound's terms, for
        centers that are NaN or infinite; RuntimeError under a transform of torch.func that the objective does not support.
    """

    @functools.wraps(function)
    def checked(p: GaussianMixture, q: GaussianMixture, *args: Any, **options: Any) -> Bound:
        require_mixtures(full=full, p=p, q=q)
        try:
            bound = function(p, q, *args, **options)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            require_finite({}, p=p, q=q)
            raise
        except RuntimeError as error:
            if str(error).startswith(FUNCTORCH):
                raise RuntimeError(NO_TRANSFORMS) from error
            raise
        if not _is_finite(bound.value.detach()):
            require_finite(bound.terms, p=p, q=q)
        return bound

    return cast(Function, checked)


def _is_finite(value: Tensor) -> bool:
    """Whether all values are finite; True under vmap, where nobody can tell."""
    try:
        return bool(value.isfinite().all())
    except RuntimeError as error:
        if str(error).startswith(FUNCTORCH):
            return True
        raise
