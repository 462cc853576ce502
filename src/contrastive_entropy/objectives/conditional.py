"""Objectives on conditional densities q(x|y), each a Bound to maximise, with their limits (E15-E18).

A conditional is a batch of mixtures: `GaussianMixture` with one leading dimension, one mixture for each of s conditions
y_1 ... y_s. All numbers are nats, float64.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.mixtures.limits import log_mean
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.derivatives import once_differentiable
from contrastive_entropy.numerics.gaussian import EXPONENT_TOLERANCE, exact_products, log_normalizer
from contrastive_entropy.numerics.pairwise import FAST_TOLERANCE
from contrastive_entropy.objectives.bound import Bound, objective

GRAM_NUMBERS = 1 << 22
"""Most entries of the Gram matrices of all samples' centers, 32 MiB each; more go through the engine in linear memory."""


@objective
def conditional_normalized_inner_product(
    p: GaussianMixture, q: GaussianMixture, *, limit: Callable[[], Tensor] | None = None
) -> Bound:
    """2 log E_y <p(.|y), q(.|y)> - log E_y ||q(.|y)||^2, the conditional contrastive entropy  (E15, E18).

    The norm repels the centers of one condition from each other: c equal centers cost up to log c. Limit:
    log E_y ||p(.|y)||^2 by Cauchy-Schwarz in L2(p(y) dx), equal iff q(.|y) = p(.|y).

    Args:
        p: batch (s,) of what is true given y_1 ... y_s. A single draw x from p(.|y_s) as one component, (s, 1, d), gives
            the value without bias, but the limit of these components alone is the trivial c(2 v_p).
        q: batch (s,) of mixtures of c components each.
        limit: the limit of the law that p's draws came from, e.g. `JointMixture.log_norm` at these conditions.

    Returns:
        Bound. O(s c (d + c)) for single draws, with one pass over the centers for the value and one for the gradient.

    Raises:
        ValueError: p and q are not batches over the same conditions, or differ in dimension.

    >>> q = GaussianMixture(torch.zeros(3, 2, 1), 0.5)
    >>> conditional_normalized_inner_product(q, q).gap.item()
    0.0
    """
    cross, norms = _inner_and_norms(p, q)
    log_cross, log_norm = log_mean(cross), log_mean(norms)
    terms = {"log E <p,q>": log_cross, "log E <q,q>": log_norm}
    return Bound(2 * log_cross - log_norm, limit or (lambda: log_mean(p.detach().log_norm())), terms)


@objective
def conditional_log_likelihood(
    p: GaussianMixture, q: GaussianMixture, *, limit: Callable[[], Tensor] | None = None
) -> Bound:
    """E_y E_{x ~ p(.|y)} log q(x|y) over p's centers, the maximum-likelihood baseline  (E16).

    With one center it is minus the squared error / 2 v_q, plus a constant: the plain autoencoder. Equal centers cost
    nothing. p's variance plays no part.

    Args:
        p, q: as in `conditional_normalized_inner_product`.
        limit: as there, e.g. `JointMixture.negative_entropy`. Default: c(v_q), a density's highest value, reached
            where a condition's centers coincide.

    Returns:
        Bound. O(s c (d + c)), as there.

    Raises:
        ValueError: as in `conditional_normalized_inner_product`.
    """
    _check_batches(p, q)
    squares = _offset_squares(p, q)
    if squares is None:
        rows = (p.log_weights.exp() * q.log_prob(p.centers)).sum(-1)
    else:
        rows = _log_inners_of(squares, q, q.variance)
    value = rows.mean()
    peak = log_normalizer(q.variance, q.dimension).amax().detach()
    return Bound(value, limit or (lambda: peak), {"E log q": value})


@objective
def conditional_trace(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """Log E_y <p(.|y), q(.|y)>, the trace objective of autoencoders  (E17).

    With one center per sample it is (E11) on the pairs of input and reconstruction. It has no norm term: its best centers
    are all equal.

    Args:
        p, q: as in `conditional_normalized_inner_product`.

    Returns:
        Bound, whose limit is the components' own mean log squared norm; the share attained is mean_s k(x_s, z_s).
        O(s c (d + c)).

    Raises:
        ValueError: as in `conditional_normalized_inner_product`.
    """
    _check_batches(p, q)
    squares = _offset_squares(p, q)
    value = log_mean(p.log_inner(q) if squares is None else _log_inners_of(squares, q, p.variance + q.variance))
    return Bound(value, lambda: 0.5 * (log_mean(p.log_trace()) + log_mean(q.log_trace())), {"log E <p,q>": value})


def _check_batches(p: GaussianMixture, q: GaussianMixture) -> None:
    if len(p.batch_shape) != 1 or p.batch_shape != q.batch_shape:
        raise ValueError(
            "p and q must be batches over the same conditions, (s, m, d) centers; got batch shapes "
            f"{tuple(p.batch_shape)} and {tuple(q.batch_shape)}"
        )
    if p.dimension != q.dimension:
        raise ValueError(f"p has {p.dimension} coordinates and q has {q.dimension}")


class _OffsetGram(torch.autograd.Function):
    """Inner products of (z_sc - x_s) over c, (s, c, c): all squared distances of a condition's centers and its draw.

    Offsets are small once a model fits, so their products lose less than those of the points themselves; and the
    gradient is one product.
    """

    @staticmethod
    def forward(ctx: Any, centers: Tensor, x: Tensor) -> Tensor:
        """centers (s, c, d) and x (s, 1, d)."""
        offsets = centers - x
        ctx.save_for_backward(offsets, centers)
        with exact_products(offsets.device):
            return offsets @ offsets.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None]:
        """In the centers only."""
        offsets, _ = ctx.saved_tensors
        grad = grad_outputs[0]
        with exact_products(offsets.device):
            return (grad + grad.mT) @ offsets, None


def _offset_gram(p: GaussianMixture, q: GaussianMixture) -> Tensor | None:
    """(s, c, c) float64, data units squared, for single draws and one variance; None where it is not so or not precise."""
    if len(q.centers) * q.components**2 > GRAM_NUMBERS:
        return None
    return _of_offsets(p, q, _OffsetGram.apply, lambda gram: gram.diagonal(dim1=-2, dim2=-1))


def _offset_squares(p: GaussianMixture, q: GaussianMixture) -> Tensor | None:
    """The diagonal of `_offset_gram` alone, (s, c)."""
    return _of_offsets(p, q, lambda z, x: (z - x).square().sum(-1), lambda squares: squares)


def _of_offsets(
    p: GaussianMixture,
    q: GaussianMixture,
    compute: Callable[[Tensor, Tensor], Tensor],
    squares: Callable[[Tensor], Tensor],
) -> Tensor | None:
    """Compute(q's centers, p's draws) in float64, by float32 where that is precise; None where float64 is not, either."""
    single = p.components == 1 and p.variance.numel() == 1 and q.variance.numel() == 1
    if not single or p.centers.requires_grad:
        return None
    dtype = torch.promote_types(torch.promote_types(p.centers.dtype, q.centers.dtype), torch.float32)
    tolerance = EXPONENT_TOLERANCE if dtype == torch.float32 else FAST_TOLERANCE[torch.float64]
    smallest = float(torch.minimum(p.variance.double() + q.variance.double(), 2 * q.variance.double()).detach())
    for precision in dict.fromkeys((dtype, torch.float64)):
        result = compute(q.centers.to(precision), p.centers.to(precision))
        largest = float(squares(result.detach()).amax())
        if not 3 * torch.finfo(precision).eps * largest / smallest > tolerance:  # NaN is for the caller to see
            return result.double()
    return None


def _log_inners_of(squares: Tensor, q: GaussianMixture, variance: Tensor) -> Tensor:
    """(s,) log mean_c N(x_s - z_sc; variance) of squared distances (s, c)."""
    exponents = squares / (-2 * variance.double().reshape(()))
    constant = log_normalizer(variance.reshape(1, 1), q.dimension).reshape(())
    return torch.logsumexp(exponents + q.log_weights, -1) + constant


def _inner_and_norms(p: GaussianMixture, q: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Log <p_s, q_s> and log <q_s, q_s>, (s,) each."""
    _check_batches(p, q)
    gram = _offset_gram(p, q)
    if gram is None:
        return p.log_inner(q), q.log_norm()
    variance = 2 * q.variance.double()
    squares = gram.diagonal(dim1=-2, dim2=-1)
    distances = (squares.unsqueeze(-1) + squares.unsqueeze(-2) - 2 * gram).clamp_min(0)
    log_weights = q.log_weights.unsqueeze(-1) + q.log_weights.unsqueeze(-2)
    norms = torch.logsumexp((distances / (-2 * variance.reshape(())) + log_weights).flatten(-2), -1)
    norms = norms + log_normalizer(variance.reshape(1, 1), q.dimension).reshape(())
    return _log_inners_of(squares, q, p.variance + q.variance), norms
