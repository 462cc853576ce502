"""Log-sum-exp over all pairs of two sets of Gaussians, in linear memory: the one hot loop (E2, E3).

With q = x / sqrt(v), k = z / sqrt(v) and per-key biases b, every sum here is an attention:

    LSE_j[b_j - |q_i - k_j|^2 / 2] = LSE_j[q_i.k_j + (b_j - |k_j|^2 / 2)] - |q_i|^2 / 2,

whose softmax mean of the keys is the gradient in q. So one primitive serves values and gradients; three engines compute it:
torch's fused attention kernel, tiles of matrix products, and tiles of coordinate differences.
"""

import math
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contrastive_entropy.errors import NumericalWarning
from contrastive_entropy.numerics import engines
from contrastive_entropy.numerics.derivatives import once_differentiable
from contrastive_entropy.numerics.engines import Engine
from contrastive_entropy.numerics.gaussian import (
    DIRECT_DIMENSIONS,
    EXPONENT_TOLERANCE,
    log_kernel,
    log_normalizer,
    product_error,
)

FAST_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""Acceptable absolute error of an exponent, in nats, by the precision of the points; beyond it, precision is raised."""

WARNED_ERROR = 1e-3
"""From here on the change of precision is worth a warning, unless few coordinates make it cheap."""


def log_sum_over_components(
    x: Tensor, x_variance: Tensor, z: Tensor, z_variance: Tensor, log_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """LSE_j[log w_j + log N(x_i - z_j; v_i + v_j)] for every i, differentiable once in everything.

    Args:
        x, x_variance, z, z_variance: as in `gaussian.log_kernel`.
        log_weights: (..., m); -inf leaves a component out.

    Returns:
        The sums without the shared constant, (..., n), and that constant, (...), float64. O(n m d) time and O(n + m)
        memory: tiles are computed again for the gradient.

    Raises:
        ValueError: the two sides have different numbers of coordinates.
    """
    _check_dimensions(x, z)
    if not shared_variance(x_variance, z_variance):
        return _component_rows(x, x_variance, z, z_variance, log_weights), x.new_zeros((), dtype=torch.float64)
    points, keys, engine, constant = _standardized(x, z, x_variance + z_variance)
    (points, keys, bias), batch = flat_batches([points, keys], [log_weights.to(keys.dtype)])
    rows: Tensor = _ComponentSum.apply(points, keys, bias, engine)
    return rows.reshape(*batch, -1), constant


def log_sum_over_pairs(
    x: Tensor,
    x_variance: Tensor,
    x_log_weights: Tensor,
    z: Tensor,
    z_variance: Tensor,
    z_log_weights: Tensor,
) -> Tensor:
    """LSE_ij[log a_i + log w_j + log N(x_i - z_j; v_i + v_j)], differentiable once in everything  (E2).

    Args:
        x, x_variance, z, z_variance: as in `gaussian.log_kernel`.
        x_log_weights: (..., n); -inf leaves a component out.
        z_log_weights: (..., m).

    Returns:
        (...), in nats, float64. O(n m d) time and O(n + m) memory.

    Raises:
        ValueError: the two sides have different numbers of coordinates.
    """
    _check_dimensions(x, z)
    if not shared_variance(x_variance, z_variance):
        rows = _component_rows(x, x_variance, z, z_variance, z_log_weights)
        return torch.logsumexp(rows + x_log_weights.double(), -1)
    points, keys, engine, constant = _standardized(x, z, x_variance + z_variance)
    weights = [x_log_weights.to(keys.dtype), z_log_weights.to(keys.dtype)]
    (points, keys, a, b), batch = flat_batches([points, keys], weights)
    total: Tensor = _PairSum.apply(points, keys, a, b, engine)
    return total.reshape(batch) + constant


def log_sum_over_own_pairs(x: Tensor, variance: Tensor, log_weights: Tensor, *, self_terms: bool) -> Tensor:
    """LSE_ij[log w_i + log w_j + log N(x_i - x_j; v_i + v_j)], with or without the pairs i = j  (E3).

    The gradient costs nothing beyond the value: both roles of a point pull alike.

    Args:
        x: (..., n, d), n >= 2 without self terms.
        variance: as in `gaussian.log_kernel`.
        log_weights: (..., n).
        self_terms: keep the pairs i = j.

    Returns:
        (...), in nats, float64. O(n^2 d) time and O(n) memory.
    """
    if not shared_variance(variance, variance):
        rows = _component_rows(x, variance, x, variance, log_weights, skip_diagonal=not self_terms)
        return torch.logsumexp(rows + log_weights.double(), -1)
    points, _, engine, constant = _standardized(x, x, 2 * variance)
    (points, bias), batch = flat_batches([points], [log_weights.to(points.dtype)])
    total: Tensor = _OwnPairSum.apply(points, bias, engine, not self_terms)
    return total.reshape(batch) + constant


# Sums with their gradients. Points (b, n, d), keys (b, m, d), biases (b, n) and (b, m).


class _ComponentSum(torch.autograd.Function):
    """rows_i = LSE_j[bias_j - |x_i - z_j|^2 / 2]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, bias: Tensor, engine: Engine) -> Tensor:
        rows, mean = engine(x, z, bias, with_mean=ctx.needs_input_grad[0])
        ctx.save_for_backward(x, z, bias, rows, mean)
        ctx.engine = engine
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        x, z, bias, rows, mean = ctx.saved_tensors
        (grad,) = grads
        needs_x, needs_z, needs_bias, _ = ctx.needs_input_grad
        grad_x = grad.unsqueeze(-1) * (mean - x) if needs_x else None
        if not (needs_z or needs_bias):
            return grad_x, None, None, None
        grad_z, grad_bias = torch.zeros_like(z), torch.zeros_like(bias)
        lowest, highest = (float(bound) for bound in grad.aminmax())
        for sign in (1,) * (highest > 0) + (-1,) * (lowest < 0):  # attention weights are positive
            part = (sign * grad).clamp_min(0)
            columns, column_mean = ctx.engine(z, x, part.log() - rows, with_mean=needs_z)
            share = sign * (bias + columns).exp()
            grad_bias += share
            if needs_z:
                grad_z += share.unsqueeze(-1) * (column_mean - z)
        return grad_x, grad_z if needs_z else None, grad_bias if needs_bias else None, None


class _PairSum(torch.autograd.Function):
    """LSE_ij[a_i + b_j - |x_i - z_j|^2 / 2], float64."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, a: Tensor, b: Tensor, engine: Engine) -> Tensor:
        # The query side's gradient comes with the value, so that is the side whose gradient is wanted.
        ctx.swapped = ctx.needs_input_grad[1] and not ctx.needs_input_grad[0]
        if ctx.swapped:
            x, z, a, b = z, x, b, a
        wanted = ctx.needs_input_grad[0] or ctx.swapped
        rows, mean = engine(x, z, b, with_mean=wanted)
        total = torch.logsumexp(rows.double() + a.double(), -1)
        ctx.save_for_backward(x, z, a, b, rows, mean, total)
        ctx.engine = engine
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        x, z, a, b, rows, mean, total = ctx.saved_tensors
        grad = grads[0].to(x.dtype).unsqueeze(-1)
        needs_x, needs_z, needs_a, needs_b, _ = ctx.needs_input_grad
        if ctx.swapped:
            needs_x, needs_z, needs_a, needs_b = needs_z, needs_x, needs_b, needs_a
        share = grad * (rows.double() + a.double() - total.unsqueeze(-1)).exp().to(x.dtype)
        grad_x = share.unsqueeze(-1) * (mean - x) if needs_x else None
        grad_a = share if needs_a else None
        grad_z = grad_b = None
        if needs_z or needs_b:
            columns, column_mean = ctx.engine(z, x, a, with_mean=needs_z)
            share = grad * (columns.double() + b.double() - total.unsqueeze(-1)).exp().to(x.dtype)
            grad_z = share.unsqueeze(-1) * (column_mean - z) if needs_z else None
            grad_b = share if needs_b else None
        if ctx.swapped:
            return grad_z, grad_x, grad_b, grad_a, None
        return grad_x, grad_z, grad_a, grad_b, None


class _OwnPairSum(torch.autograd.Function):
    """LSE_ij[b_i + b_j - |x_i - x_j|^2 / 2], float64."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, engine: Engine, skip_diagonal: bool) -> Tensor:
        rows, mean = engine(x, x, bias, with_mean=ctx.needs_input_grad[0], skip_diagonal=skip_diagonal)
        total = torch.logsumexp(rows.double() + bias.double(), -1)
        ctx.save_for_backward(x, bias, rows, mean, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        x, bias, rows, mean, total = ctx.saved_tensors
        share = (rows.double() + bias.double() - total.unsqueeze(-1)).exp().to(x.dtype)
        share = 2 * grads[0].to(x.dtype).unsqueeze(-1) * share
        needs_x, needs_bias, *_ = ctx.needs_input_grad
        return share.unsqueeze(-1) * (mean - x) if needs_x else None, share if needs_bias else None, None, None


# Choosing the precision and the shape


def shared_variance(x_variance: Tensor, z_variance: Tensor) -> bool:
    """One covariance for all pairs of a batch entry."""
    return x_variance.shape[-2] == 1 and z_variance.shape[-2] == 1


def _check_dimensions(x: Tensor, z: Tensor) -> None:
    if x.shape[-1] != z.shape[-1]:
        raise ValueError(f"dimensions differ: {x.shape[-1]} coordinates on one side and {z.shape[-1]} on the other")


def _standardized(x: Tensor, z: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Engine, Tensor]:
    """Points and keys centred and in units of the standard deviation, the engine that is exact enough, the constant."""
    constant = log_normalizer(variance, x.shape[-1]).squeeze(-1)
    dtype = torch.promote_types(torch.promote_types(x.dtype, z.dtype), torch.float32)
    points, keys = _scaled(x, z, variance, dtype)
    error = product_error(points, keys)
    if error <= FAST_TOLERANCE[dtype]:
        return points, keys, engines.automatic, constant
    if dtype == torch.float32 and error > WARNED_ERROR and x.shape[-1] > DIRECT_DIMENSIONS:
        warnings.warn(
            f"distances are so large against the variance that float32 would err by {error:.0e} nats in the exponent; "
            "computing in float64, at twice the time. A larger variance avoids this",
            NumericalWarning,
            stacklevel=4,
        )
    points, keys = _scaled(x, z, variance, torch.float64)
    if product_error(points, keys) <= FAST_TOLERANCE[dtype]:
        return points, keys, engines.automatic, constant
    return points, keys, engines.differences, constant


def _scaled(x: Tensor, z: Tensor, variance: Tensor, precision: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both sets centred on z's mean and in units of the standard deviation; one tensor if they are one."""
    origin = z.detach().mean(-2, keepdim=True).to(precision)
    scale = variance.double().rsqrt().to(precision)
    points = (x.to(precision) - origin) * scale
    return points, points if x is z else (z.to(precision) - origin) * scale


def standardized_for_matrix(x: Tensor, z: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, bool, Tensor]:
    """As the sums take them, for a matrix of exponents: points, keys, whether to take differences, and the constant.

    A matrix costs its n m entries anyhow, so that in few dimensions differences in float32 cost less than products in
    float64. They err by the rounding of the points: eps |x| times the length of a difference that still counts.
    """
    dtype = torch.promote_types(torch.promote_types(x.dtype, z.dtype), torch.float32)
    if x.shape[-1] <= DIRECT_DIMENSIONS and dtype == torch.float32:
        points, keys = _scaled(x, z, variance, dtype)
        with torch.no_grad():
            largest = max(float(points.abs().amax()), float(keys.abs().amax()))
        if 10 * torch.finfo(dtype).eps * largest <= EXPONENT_TOLERANCE:
            return points, keys, True, log_normalizer(variance, x.shape[-1]).squeeze(-1)
    points, keys, engine, constant = _standardized(x, z, variance)
    return points, keys, engine is engines.differences, constant


def flat_batches(points: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], torch.Size]:
    """Leading dimensions of (..., n, d) points and (..., n) biases, broadcast and flattened to one."""
    shapes = [p.shape[:-2] for p in points] + [b.shape[:-1] for b in biases]
    batch = torch.broadcast_shapes(*shapes)
    flat = [p.expand(*batch, *p.shape[-2:]).reshape(-1, *p.shape[-2:]) for p in points]
    return flat + [b.expand(*batch, b.shape[-1]).reshape(-1, b.shape[-1]) for b in biases], batch


def _component_rows(
    x: Tensor,
    x_variance: Tensor,
    z: Tensor,
    z_variance: Tensor,
    log_weights: Tensor,
    *,
    skip_diagonal: bool = False,
) -> Tensor:
    """Rows of sums where every component has a covariance of its own: tiles of (rows, columns, d), float64."""

    def block(x: Tensor, x_variance: Tensor, z: Tensor, z_variance: Tensor, weights: Tensor, offset: int) -> Tensor:
        exponent, constant = log_kernel(x, x_variance, z, z_variance)
        terms = exponent + constant[..., None, None] + weights.double().unsqueeze(-2)
        if skip_diagonal:
            engines.fill_diagonal(terms, offset)
        return torch.logsumexp(terms, -1)

    n, m = x.shape[-2], z.shape[-2]
    batch = torch.broadcast_shapes(x.shape[:-2], z.shape[:-2], log_weights.shape[:-1])
    budget = max(1, engines.TILE // (x.shape[-1] * max(1, batch.numel())))
    columns_at_once = min(m, max(1, math.isqrt(budget)))
    rows_at_once = min(n, max(1, budget // columns_at_once))
    whole = columns_at_once == m and rows_at_once == n
    result = []
    for row in range(0, n, rows_at_once):
        parts = []
        for column in range(0, m, columns_at_once):
            rows, columns = slice(row, row + rows_at_once), slice(column, column + columns_at_once)
            tile = (
                x[..., rows, :],
                _components(x_variance, rows),
                z[..., columns, :],
                _components(z_variance, columns),
                log_weights[..., columns],
                column - row,
            )
            parts.append(block(*tile) if whole else checkpoint(block, *tile, use_reentrant=False))
        result.append(torch.logsumexp(torch.stack(parts), 0))
    return torch.cat(result, -1)


def _components(variance: Tensor, components: slice) -> Tensor:
    return variance if variance.shape[-2] == 1 else variance[..., components, :]
