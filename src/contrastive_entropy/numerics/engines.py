"""Three engines for the log-sum-exp over pairs: torch's fused attention kernel, tiles of products, tiles of differences.

Each takes queries (b, n, d), keys (b, m, d) and biases (b, m), and returns LSE_j[bias_j - |q_i - k_j|^2 / 2], (b, n), and
the mean of the keys under that softmax, (b, n, d), or an empty tensor where `with_mean` is false.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from contrastive_entropy.numerics.gaussian import exact_products

TILE = 1 << 20
"""Pairs whose exponents are held at once: 4 MiB in float32, which stays in a core's cache."""

_PADDED = 16  # products of so many float32 coordinates are faster than those of 2 to 15: 1.5 times at d = 2

_LOWEST = -1e30  # stands for -inf in biases: a fused kernel that meets a first block of -inf only returns NaN

Engine = Callable[..., tuple[Tensor, Tensor]]


def automatic(
    queries: Tensor, keys: Tensor, bias: Tensor, *, with_mean: bool, skip_diagonal: bool = False
) -> tuple[Tensor, Tensor]:
    """Fused where that saves work: it always computes the mean, and cannot skip a diagonal."""
    suits = queries.device.type == "cpu" and not skip_diagonal and (with_mean or queries.shape[-1] <= 64)
    if suits and fused_kernel() is not None:
        return fused(queries, keys, bias, with_mean=with_mean)
    return products(queries, keys, bias, with_mean=with_mean, skip_diagonal=skip_diagonal)


def fused(
    queries: Tensor, keys: Tensor, bias: Tensor, *, with_mean: bool, skip_diagonal: bool = False
) -> tuple[Tensor, Tensor]:
    """torch's CPU attention kernel, which returns the log-sum-exp."""
    if skip_diagonal:
        raise NotImplementedError("the fused kernel cannot leave a diagonal out")
    kernel = fused_kernel()
    if kernel is None:
        raise NotImplementedError("this build of torch lacks the CPU attention kernel")
    dimension = queries.shape[-1]
    if queries.dtype == torch.float32 and 1 < dimension < _PADDED:
        queries, keys = (torch.nn.functional.pad(points, (0, _PADDED - dimension)) for points in (queries, keys))
    mask = (bias - keys.square().sum(-1) / 2).clamp_min(_LOWEST)[:, None, None, :]
    mask = mask.expand(-1, -1, queries.shape[1], -1)
    heads = keys.unsqueeze(1).contiguous()
    mean, rows = kernel(queries.unsqueeze(1).contiguous(), heads, heads, 0.0, False, attn_mask=mask, scale=1.0)
    rows = rows.squeeze(1) - queries.square().sum(-1) / 2
    return rows, mean.squeeze(1)[..., :dimension] if with_mean else rows.new_empty(0)


@functools.cache
def fused_kernel() -> Callable[..., tuple[Tensor, Tensor]] | None:
    """torch's private operator, if this version has it and it does what is expected of it."""
    kernel = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
    return kernel if kernel is not None and _works(kernel) else None


def _works(kernel: Callable[..., tuple[Tensor, Tensor]]) -> bool:
    points, bias = torch.eye(2), torch.tensor([0.5, -0.5])
    heads = points[None, None]
    try:
        mean, rows = kernel(heads, heads, heads, 0.0, False, attn_mask=bias.expand(1, 1, 2, 2), scale=1.0)
        expected = torch.logsumexp(points + bias, -1), torch.softmax(points + bias, -1) @ points
        return torch.allclose(rows[0, 0], expected[0]) and torch.allclose(mean[0, 0], expected[1])
    except Exception:  # a private operator may change in any way
        return False


def products(
    queries: Tensor, keys: Tensor, bias: Tensor, *, with_mean: bool, skip_diagonal: bool = False
) -> tuple[Tensor, Tensor]:
    """Tiles of matrix products."""
    bias = (bias - keys.square().sum(-1) / 2).unsqueeze(1)

    def exponents(rows: slice, columns: slice) -> Tensor:
        return torch.baddbmm(bias[:, :, columns], queries[:, rows], keys[:, columns].mT)

    sums, mean = _tiled(exponents, queries, keys, with_mean=with_mean, skip_diagonal=skip_diagonal)
    return sums - queries.square().sum(-1) / 2, mean


def differences(
    queries: Tensor, keys: Tensor, bias: Tensor, *, with_mean: bool, skip_diagonal: bool = False
) -> tuple[Tensor, Tensor]:
    """Tiles of coordinate differences: slower, and exact for near points however far from the origin."""

    def exponents(rows: slice, columns: slice) -> Tensor:
        distances = torch.cdist(queries[:, rows], keys[:, columns], compute_mode="donot_use_mm_for_euclid_dist")
        return distances.square_().mul_(-0.5).add_(bias[:, None, columns])

    return _tiled(exponents, queries, keys, with_mean=with_mean, skip_diagonal=skip_diagonal)


def _tiled(
    exponents: Callable[[slice, slice], Tensor], queries: Tensor, keys: Tensor, *, with_mean: bool, skip_diagonal: bool
) -> tuple[Tensor, Tensor]:
    """Softmax over tiles of columns with a running maximum, as flash attention does it."""
    batch, n, d = queries.shape
    m = keys.shape[1]
    budget = TILE if queries.device.type == "cpu" else 16 * TILE  # accelerators want larger products
    columns_at_once = min(m, max(1, math.isqrt(budget)))
    rows_at_once = max(1, budget // (columns_at_once * batch))
    sums, means = [], []
    with exact_products(queries.device):
        for row in range(0, n, rows_at_once):
            rows = slice(row, min(row + rows_at_once, n))
            peak = queries.new_full((batch, rows.stop - row, 1), _LOWEST)
            total = torch.zeros_like(peak)
            mean = queries.new_zeros((batch, rows.stop - row, d)) if with_mean else None
            for column in range(0, m, columns_at_once):
                columns = slice(column, min(column + columns_at_once, m))
                tile = exponents(rows, columns)
                if skip_diagonal:
                    fill_diagonal(tile, column - row)
                higher = torch.maximum(peak, tile.amax(-1, keepdim=True))
                shrink = (peak - higher).exp_()
                tile = tile.sub_(higher).exp_()
                total = total.mul_(shrink).add_(tile.sum(-1, keepdim=True))
                if mean is not None:
                    mean = torch.baddbmm(mean.mul_(shrink), tile, keys[:, columns])
                peak = higher
            sums.append((peak + total.log()).squeeze(-1))
            if mean is not None:
                means.append(mean / total.clamp_min(torch.finfo(total.dtype).tiny))  # 0 where all biases are -inf
    return torch.cat(sums, 1), torch.cat(means, 1) if with_mean else queries.new_empty(0)


def fill_diagonal(tile: Tensor, offset: int) -> None:
    """-inf where column + offset = row; the tile's columns start `offset` after its rows."""
    if -tile.shape[-1] < offset < tile.shape[-2]:
        tile.diagonal(-offset, -2, -1).fill_(-math.inf)
