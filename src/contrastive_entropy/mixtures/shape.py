"""What a mixture looks like: its modes, bounds of its entropy, and draws that its parameters can be learnt from."""

import math

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture

MERGED, FLAT = 0.1, 1e-6
"""Deviations of the components near by within which two climbs have ended at one mode, and the curvature, in one over
their variance, up to which a place counts as a peak."""


@torch.no_grad()
def modes(q: GaussianMixture, *, steps: int = 1000, tolerance: float = 1e-6) -> Tensor:
    """The places where the density has a peak, highest first.

    Every component's center climbs by mean shift, x <- (sum_j r_j / v_j)^-1 sum_j r_j z_j / v_j with r_j the share of
    component j in q(x), which never lowers the density. Source: Carreira-Perpinan, "Mode-finding for mixtures of Gaussian
    distributions", 2000. In more than one dimension a mixture may have peaks that no center climbs to; they are rare.

    Args:
        q: batch (...) of mixtures.
        steps: of the climb, at most.
        tolerance: the climb ends when no point moves by more of a deviation.

    Returns:
        (..., m, d) float64; rows of NaN behind the last mode. O(steps m^2 d).

    >>> modes(GaussianMixture(torch.tensor([[0.0], [0.1], [9.0]]), 1.0))[:2, 0].round(decimals=3)
    tensor([0.0500, 9.0000], dtype=torch.float64)
    """
    centers = q.centers.double()
    variance = q.variance.double().expand_as(centers)
    x = centers.clone()
    precision = 1 / variance
    for _ in range(steps):
        share = _shares(x, centers, variance, q.log_weights)
        new = (share @ (centers * precision)) / (share @ precision)
        moved = ((new - x).square() * (share @ precision)).sum(-1).amax()
        x = new
        if float(moved) < tolerance**2:
            break
    log_density = q.double().log_prob(x)
    weightless = q.log_weights.expand_as(log_density) == -math.inf
    log_density = log_density.masked_fill(weightless | ~_is_peak(x, centers, variance, q.log_weights), -math.inf)
    order = log_density.argsort(-1, descending=True)
    x = x.gather(-2, order.unsqueeze(-1).expand_as(x))
    log_density = log_density.gather(-1, order)
    local = _shares(x, centers, variance, q.log_weights) @ precision  # one over the variances near each
    apart = ((x.unsqueeze(-2) - x.unsqueeze(-3)).square() * local.unsqueeze(-2)).sum(-1).sqrt()
    earlier = torch.ones(apart.shape[-2:], dtype=torch.bool, device=x.device).tril(-1)
    known = ((apart < MERGED) & earlier).any(-1) | (log_density == -math.inf)
    first = known.int().argsort(stable=True, dim=-1)
    x = x.masked_fill(known.unsqueeze(-1), math.nan)
    return x.gather(-2, first.unsqueeze(-1).expand_as(x))


def entropy_bounds(q: GaussianMixture) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound of the differential entropy -E log q, which has no closed form.

    sum_i w_i h_i - sum_i w_i log sum_j w_j exp(-D_ij), h_i the entropy of component i: D the Bhattacharyya distance gives
    the lower bound, the Kullback-Leibler divergence the upper one. Exact where components are far apart or coincide.
    Source: Kolchinsky and Tracey, "Estimating mixture entropy with pairwise distances", 2017, arXiv 1706.02419.

    Args:
        q: batch (...) of mixtures.

    Returns:
        Lower and upper bound, (...) each, nats, float64, differentiable. O(m^2 d).

    >>> low, high = entropy_bounds(GaussianMixture(torch.zeros(1, 1), 1.0))
    >>> round(low.item(), 4) == round(high.item(), 4) == round(0.5 * math.log(2 * math.pi * math.e), 4)
    True
    """
    centers = q.centers.double()
    variance = q.variance.double().expand_as(centers)
    weights = q.log_weights.expand(centers.shape[:-1])
    squares = (centers.unsqueeze(-2) - centers.unsqueeze(-3)).square()  # (..., i, j, d)
    own, other = variance.unsqueeze(-2), variance.unsqueeze(-3)
    mean = (own + other) / 2
    bhattacharyya = (squares / (8 * mean) + 0.5 * (mean / (own * other).sqrt()).log()).sum(-1)
    divergence = 0.5 * ((other / own).log() + (own + squares) / other - 1).sum(-1)
    entropies = 0.5 * (2 * math.pi * math.e * variance).log().sum(-1)
    probabilities = weights.exp()

    def bound(distance: Tensor) -> Tensor:
        overlap = torch.logsumexp(weights.unsqueeze(-2) - distance, -1)
        return (probabilities * (entropies - overlap)).sum(-1)

    return bound(bhattacharyya), bound(divergence)


def differentiable_sample(q: GaussianMixture, count: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Independent draws whose gradients reach centers, variances and weights.

    Coordinate by coordinate, x_i moves so that its conditional distribution function F(x_i | x_1 ... x_i-1) keeps its
    value: dx = -dF / q(x_i | ...). Source: Figurnov et al., "Implicit reparameterization gradients", 2018,
    arXiv 1805.08498.

    Args:
        q: batch (...) of mixtures.
        count: n >= 1.
        generator: source of randomness; None takes torch's global one.

    Returns:
        (..., n, d), in the centers' precision. O(n m d).

    Raises:
        ValueError: count < 1.

    >>> z = torch.tensor([[1.0]], requires_grad=True)
    >>> differentiable_sample(GaussianMixture(z, 1.0), 8).mean().backward()
    >>> round(z.grad.item(), 4)
    1.0
    """
    drawn = q.detach().sample(count, generator=generator).double()
    centers, logs = q.centers.double(), q.log_weights.unsqueeze(-2)  # of the components, given the coordinates so far
    deviation = q.variance.double().sqrt().expand_as(centers)
    found = []
    for index in range(q.dimension):
        z, s = centers[..., index].unsqueeze(-2), deviation[..., index].unsqueeze(-2)
        fixed = drawn[..., index]
        weights = torch.softmax(logs, -1)
        score = (fixed.unsqueeze(-1) - z) / s
        place = (weights * torch.special.ndtr(score)).sum(-1)
        density = (weights * (-0.5 * score.square()).exp() / (s * math.sqrt(2 * math.pi))).sum(-1).detach()
        x = fixed - (place - place.detach()) / density
        found.append(x)
        logs = logs - 0.5 * ((x.unsqueeze(-1) - z) / s).square() - s.log()
    return torch.stack(found, -1).to(q.centers.dtype)


def _is_peak(x: Tensor, centers: Tensor, variance: Tensor, log_weights: Tensor) -> Tensor:
    """(..., n): whether the density falls in every direction from where its slope is 0."""
    share = _shares(x, centers, variance, log_weights)
    slopes = (centers.unsqueeze(-3) - x.unsqueeze(-2)) / variance.unsqueeze(
        -3
    )  # (..., n, m, d) of each component's log
    within = share @ (1 / variance)
    curvature = slopes.mT @ (share.unsqueeze(-1) * slopes) - torch.diag_embed(within)
    return torch.linalg.eigvalsh(curvature)[..., -1] < FLAT * within.amax(-1)


def _shares(x: Tensor, centers: Tensor, variance: Tensor, log_weights: Tensor) -> Tensor:
    """(..., n, m): of each component in the density at each point."""
    squares = ((x.unsqueeze(-2) - centers.unsqueeze(-3)).square() / variance.unsqueeze(-3)).sum(-1)
    logs = log_weights.unsqueeze(-2) - 0.5 * squares - 0.5 * variance.log().sum(-1).unsqueeze(-2)
    return torch.softmax(logs, -1)
