"""Polynomials of symmetric matrices: inverse square roots in Chebyshev form, and composed quintics for polar factors."""

import functools
import itertools
import math

import torch
from torch import Tensor

_PANELS = 4
_LEAST_PANELLED = 768  # below, small products lose what is saved


def ladder(top: float) -> float:
    """The next of few values, so that polynomials can be kept."""
    return 2.0 ** (math.ceil(4 * math.log2(top)) / 4)


SHAPES = tuple((s, j) for products in range(2, 10) for s in range(2, 6) for j in range(1, 7) if s - 1 + j == products)
"""(s, j): a polynomial of degree s (j + 1) - 1 takes s - 1 + j products; the cheapest first. Beyond, `eigh` is cheaper."""


def cheapest_inverse_root(top: float, allowed: float) -> tuple[int, tuple[float, ...]]:
    """Block size and coefficients of the polynomial of fewest products within the allowed error; (0, ()): none."""
    for block, groups in SHAPES:
        coefficients, deviation = inverse_root(top, block * (groups + 1) - 1)
        if deviation <= allowed:
            return block, coefficients
    return 0, ()


@functools.lru_cache(maxsize=4096)
def inverse_root(top: float, degree: int) -> tuple[tuple[float, ...], float]:
    """Chebyshev coefficients of (1 + t)^(-1/2) on 0 <= t <= top, interpolated, and the largest error."""
    nodes = torch.cos((torch.arange(degree + 1, dtype=torch.float64) + 0.5) * math.pi / (degree + 1))
    order = torch.arange(degree + 1, dtype=torch.float64)
    basis = torch.cos(order.unsqueeze(1) * torch.acos(nodes))
    coefficients = 2 / (degree + 1) * (basis @ (1 + (nodes + 1) * top / 2).rsqrt())
    coefficients[0] /= 2
    # Exact at t = 0, where most of a spectrum lies: an error there would add up in the norm.
    coefficients /= (coefficients * (-1.0) ** order).sum()
    grid = torch.linspace(0, math.pi, 40 * (degree + 1), dtype=torch.float64)
    found = coefficients @ torch.cos(order.unsqueeze(1) * grid)
    error = (found - (1 + (grid.cos() + 1) * top / 2).rsqrt()).abs().amax()
    return tuple(coefficients.tolist()), float(error)


def chebyshev(u: Tensor, coefficients: tuple[float, ...], block: int) -> Tensor:
    """sum_k c_k T_k(U) for a symmetric U with spectrum in [-1, 1], in about 2 sqrt(degree) products.

    Blocks of `block` terms times T_block's Chebyshev polynomials, summed by Clenshaw's recurrence: the Chebyshev form of
    Paterson and Stockmeyer's scheme, whose monomials would lose all digits in float32.
    """
    known = [u]  # T_1, T_2, ...
    for k in range(2, block + 1):
        product = symmetric_product(known[k // 2 - 1], known[(k + 1) // 2 - 1], 2)
        # 2 T_i T_i = T_2i + 1, 2 T_i T_(i+1) = T_(2i+1) + T_1
        if k % 2 == 0:
            product.diagonal().sub_(1)
        else:
            product.sub_(u)
        known.append(product)
    rest, groups = list(coefficients), []
    for start in range(len(rest) - block, 0, -block):
        groups.append([rest[start], *(2 * c for c in rest[start + 1 : start + block])])
        for i in range(1, block):
            rest[start - i] -= rest[start + i]  # 2 T_i T_start = T_(start+i) + T_(start-i)
    first, second = torch.zeros_like(u), torch.zeros_like(u)
    for number, group in enumerate([*groups, rest[:block]]):
        # second <- sum_i group_i T_i + 2 T_block first - second, the last time without the 2
        second.neg_()
        second.diagonal().add_(group[0])
        for c, power in zip(group[1:], known, strict=False):
            second.add_(power, alpha=c)
        if number:
            symmetric_product(known[-1], first, 1 if number == len(groups) else 2, add_to=second)
        first, second = second, first
    return first


def symmetric_product(a: Tensor, b: Tensor, alpha: float, *, add_to: Tensor | None = None) -> Tensor:
    """alpha A B, or that added to a symmetric matrix, where A B is known to be symmetric: 5/8 of a product's work."""
    size = len(a)
    total = a.new_empty((size, size)) if add_to is None else add_to
    edges = [size * k // _PANELS for k in range(_PANELS + 1)] if size >= _LEAST_PANELLED else [0, size]
    for start, stop in itertools.pairwise(edges):
        part = total[start:stop, start:]
        part.addmm_(a[start:stop], b[:, start:], beta=0 if add_to is None else 1, alpha=alpha)
        total[stop:, start:stop] = total[start:stop, stop:].mT
    return total


@functools.lru_cache(maxsize=64)
def quintics(least: float, error: float) -> tuple[tuple[float, float, float], ...]:
    """Odd quintics a x + b x^3 + c x^5 whose composition takes [least, 1] to within `error` of 1, each the best there is.

    Source: Amsel, Persson, Musco, Gower, "The Polar Express", arXiv 2505.16932: composing greedily is optimal.
    """
    low, high, steps = least, 1.0, []
    while True:
        a, b, c, deviation = best_quintic(low, high)
        steps.append((a, b, c))
        if deviation <= error:
            return tuple(steps)
        low, high = 1 - deviation, 1 + deviation


def best_quintic(low: float, high: float) -> tuple[float, float, float, float]:
    """(a, b, c) with the least max |a x + b x^3 + c x^5 - 1| on [low, high], and that maximum: Remez' exchange."""
    points = torch.linspace(low, high, 4, dtype=torch.float64)
    signs = torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)
    for _ in range(50):
        system = torch.stack([points, points**3, points**5, signs], 1)
        a, b, c, deviation = torch.linalg.solve(system, torch.ones_like(points)).tolist()
        # The interior extremes are the roots of a + 3 b x^2 + 5 c x^4.
        root = math.sqrt(max(9 * b * b - 20 * a * c, 0.0))
        inner = sorted(math.sqrt(max((-3 * b + sign * root) / (10 * c), 0.0)) for sign in (-1, 1))
        moved = torch.tensor([low, *inner, high], dtype=torch.float64)
        if not low < inner[0] < inner[1] < high or float((moved - points).abs().amax()) < 1e-12 * high:
            break
        points = moved
    return a, b, c, abs(deviation)
