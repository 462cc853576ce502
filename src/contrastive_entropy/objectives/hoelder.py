"""The Hoelder family on conditional densities: from the efficient likelihood to the robust (E18)  (E21, E22).

A conditional is a batch of mixtures, one for each given x_1 ... x_s; further leading dimensions are models side by side.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from contrastive_entropy.mixtures.full import FullCovarianceMixture, Mixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.gaussian import log_normalizer, squared_distances
from contrastive_entropy.objectives.bound import Bound, objective

NODES = 16
"""Of a quadrature for each component where y has one coordinate, and draws for each component where it has more."""


@partial(objective, full=True)
def conditional_hoelder(
    p: GaussianMixture,
    q: Mixture,
    *,
    gamma: float = 1.0,
    pointwise: bool = False,
    nodes: int = NODES,
    limit: Callable[[], Tensor] | None = None,
) -> Bound:
    """((1 + g) / g) log E q(y|x)^g - log E_x Int q(y|x)^(1+g) dy  (E21), g = gamma.

    An outlier contributes q^g, about 0, where the likelihood's log q is about -infinity: g = 1 is (E18), robust; g = 0 is
    the mean log-likelihood, efficient. Limit: (1/g) log E_x Int p(y|x)^(1+g) dy by Hoelder's inequality, equal iff
    q(.|x) = p(.|x); for g = 0 it is -H(y|x).

    Args:
        p: batch (..., s) of what is true given x_1 ... x_s: its centers are draws from it, (..., s, m, d). Its variance
            plays no part.
        q: batch (..., s) of mixtures, with diagonal or full covariances.
        gamma: in [0, 1].
        pointwise: ((1 + g) / g) log E (q(y|x) / ||q(.|x)||_(1+g))^g instead  (E22): every condition is normalised by
            itself, so that conditions with a dense answer do not outweigh the others.
        nodes: of the integral, see `log_power_integral`.
        limit: the limit of the law that the draws came from, if it is known. Default: the value where every draw is the
            center of a component as sharp as q's sharpest, which no q passes.

    Returns:
        Bound of shape (...), O(s m c d) and O(s c^2 d nodes) for 0 < g < 1.

    Raises:
        ValueError: gamma out of range, or p and q are not batches over the same conditions.
    """
    _check(p, q, gamma)
    rows = torch.logsumexp(gamma * q.log_prob(p.centers) + p.log_weights, -1) if gamma else None
    if rows is None:
        value = (p.log_weights.exp() * q.log_prob(p.centers)).sum(-1).mean(-1)
        terms = {"E log q": value}
    else:
        integrals = log_power_integral(q, gamma, nodes=nodes)
        share = (1 + gamma) / gamma
        if pointwise:
            value = share * _log_mean(rows - gamma / (1 + gamma) * integrals)
            terms = {"log E q^g / |q|^g": value}
        else:
            cross, norm = _log_mean(rows), _log_mean(integrals)
            value = share * cross - norm
            terms = {"log E q^g": cross, "log E |q|^(1+g)": norm}
    return Bound(value, limit or (lambda: _highest(q, gamma).expand(value.shape)), terms)


def log_power_integral(q: Mixture, gamma: float, *, nodes: int = NODES) -> Tensor:
    """Log Int q(y)^(1 + gamma) dy = log E_q q(y)^gamma, nats.

    Every component N(z; S) is looked at through nodes of N(z; S / (1 + gamma)), the shape of its own power: exact where
    components are far apart or coincide.

    Args:
        q: batch (...).
        gamma: in (0, 1]; 1 is `q.log_norm()`, exact.
        nodes: of a Gauss-Hermite quadrature for each component where y has one coordinate: 16 are up to 1e-2 off where
            components of very different widths overlap, mostly 1e-3. In more coordinates so many draws for each
            component, half of them mirrored, the same at every call: with 16 of them and 8 components mostly .05 nats off,
            more where gamma is near 1 and components overlap.

    Returns:
        (...), float64. O(c^2 d nodes); O(c^2 (d + nodes)) where the components share their variance.

    Raises:
        ValueError: fewer than 2 nodes.
    """
    if nodes < 2:
        raise ValueError(f"nodes must be at least 2, got {nodes}")
    if gamma == 1:
        return q.log_norm()
    unit, log_shares = (part.to(q.centers.device) for part in _nodes(nodes, q.dimension))
    unit = unit / math.sqrt(1 + gamma)
    log_shares = log_shares + 0.5 * gamma * unit.square().sum(-1) - 0.5 * q.dimension * math.log1p(gamma)
    log_powers = gamma * _at_nodes(q, unit)  # (..., c, nodes)
    return torch.logsumexp((log_powers + q.log_weights.unsqueeze(-1) + log_shares).flatten(-2), -1)


def _at_nodes(q: Mixture, unit: Tensor) -> Tensor:
    """Log q at nodes (n, d) around each center, in deviations of its component, (..., c, n)."""
    if isinstance(q, GaussianMixture) and q.variance.shape[-2] == 1:
        # |y_j + u - y_l|^2 from the distances of the centers and their projections on u: no node has coordinates
        deviation = q.variance.double().sqrt()
        centers = q.centers.double() / deviation
        moved = centers @ unit.mT
        squares = squared_distances(centers, centers).unsqueeze(-2) + unit.square().sum(-1).unsqueeze(-1)
        squares = squares + 2 * (moved.unsqueeze(-1) - moved.mT.unsqueeze(-3))  # (..., c, n, c)
        logs = torch.logsumexp(q.log_weights.unsqueeze(-2).unsqueeze(-2) - 0.5 * squares, -1)
        constant = deviation.log().expand(*deviation.shape[:-1], q.dimension).sum(-1, keepdim=True)
        return logs - constant - 0.5 * q.dimension * math.log(2 * math.pi)
    if isinstance(q, FullCovarianceMixture):
        offsets = unit @ q.cholesky.double().mT  # (..., c, nodes, d)
    else:
        offsets = q.variance.double().sqrt().expand_as(q.centers).unsqueeze(-2) * unit
    points = q.centers.double().unsqueeze(-2) + offsets
    return q.double().log_prob(points.flatten(-3, -2)).unflatten(-1, points.shape[-3:-1])


def _nodes(count: int, dimension: int) -> tuple[Tensor, Tensor]:
    """Points (n, d) and log-weights (n,) of a standard normal law."""
    if dimension == 1:
        off = torch.arange(1, count, dtype=torch.float64).sqrt()
        points = torch.linalg.eigvalsh(torch.diag(off, 1) + torch.diag(off, -1))  # Golub and Welsch 1969
        # weights by the orthonormal polynomials: an eigenvector's own entries lose the small ones to rounding
        before, polynomial = torch.zeros_like(points), torch.ones_like(points)
        total = polynomial.square()
        for order in range(1, count):
            before, polynomial = polynomial, (points * polynomial - (order - 1) ** 0.5 * before) / order**0.5
            total = total + polynomial.square()
        return points.unsqueeze(-1), -total.log()
    half = torch.randn(count // 2, dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.cat([half, -half]), torch.full((2 * (count // 2),), -math.log(2 * (count // 2)), dtype=torch.float64)


def _log_mean(values: Tensor) -> Tensor:
    return torch.logsumexp(values, -1) - math.log(values.shape[-1])


def _highest(q: Mixture, gamma: float) -> Tensor:
    """The value where every draw is a component's center and all are as sharp as the sharpest: no q passes it.

    q is a positive mixture of Gaussians of the smallest variance v, in any direction where components may lean.
    log q(y) - log Int q^(1+g) / (1 + g) is quasi-concave in the mixing measure, and its derivative from a point mass at y
    towards one at distance r, exp(-r^2/2v) - exp(-g r^2/2(1+g)v), is nowhere positive.
    """
    if isinstance(q, FullCovarianceMixture):
        sharpest = torch.linalg.eigvalsh(q.detach().double().covariances).amin().reshape(1)
    else:
        sharpest = q.variance.detach().amin(tuple(range(q.variance.ndim - 1)))
    repeats = q.dimension if sharpest.numel() == 1 else 1
    highest = log_normalizer(sharpest.reshape(1, -1), q.dimension).reshape(())
    return highest + 0.5 * repeats * sharpest.numel() * math.log1p(gamma)


def _check(p: GaussianMixture, q: Mixture, gamma: float) -> None:
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}")
    if not p.batch_shape or p.batch_shape != q.batch_shape:
        raise ValueError(
            "p and q must be batches over the same conditions, (..., s, m, d) centers; got batch shapes "
            f"{tuple(p.batch_shape)} and {tuple(q.batch_shape)}"
        )
    if p.dimension != q.dimension:
        raise ValueError(f"p has {p.dimension} coordinates and q has {q.dimension}")
