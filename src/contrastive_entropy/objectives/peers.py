"""The losses that people would use instead, as bounds: minus the loss, and minus its value for equal laws.

Their limit is an estimate from the batch, which chance lets a value pass.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.gaussian import squared_distances
from contrastive_entropy.objectives.bound import Bound

MMD_WIDTHS = tuple(2.0**power for power in range(-3, 3))
"""Variances of the kernels that `mmd` adds up, in units of the starting variance times its scale."""


def energy(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """Minus the energy distance, but for what the model cannot change: E|z - z'| - 2 E|x - z|.

    Pairs of a point with itself are left out. Source: Szekely and Rizzo, "Energy statistics", 2013.

    Args:
        p: n data points, or a batch (...) of such; neither variance nor weights play a part.
        q: m model points, likewise.

    Returns:
        Bound (...) with the limit -E|x - x'|, estimated from the batch. O((n + m) m d), in data units.
    """
    x, z = p.centers, q.centers
    cross, own = (_roots(squared_distances(other, z)) for other in (x, z))
    value = _mean_of_others(own) - 2 * cross.mean((-2, -1))
    return Bound(value, lambda: -_mean_of_others(_roots(squared_distances(x, x))).detach(), {"-energy": value})


def energy_score(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """Minus the energy score: E|z - z'| / 2 - E|y - z|, for every condition by itself.

    Source: Gneiting and Raftery, "Strictly proper scoring rules", 2007; as a loss, Shen and Meinshausen, "Engression",
    arXiv 2307.00835.

    Args:
        p: batch (..., s), draws given x_1 ... x_s; neither variance nor weights play a part.
        q: batch (..., s) of m >= 2 model points for each, likewise.

    Returns:
        Bound with the limit 0, which only a law without chance reaches. O(m^2 d) each, in data units.

    Raises:
        ValueError: a single model point, which says nothing of their spread.
    """
    y, z = p.centers, q.centers
    if q.components < 2:
        raise ValueError("the energy score needs at least 2 model points for each condition, got 1")
    cross, own = (_roots(squared_distances(other, z)) for other in (y, z))
    spread = own.sum((-2, -1)) / (q.components * (q.components - 1))
    value = (spread / 2 - cross.mean((-2, -1))).mean(-1)
    return Bound(value, lambda: torch.zeros_like(value), {"-energy score": value})


def mmd(p: GaussianMixture, q: GaussianMixture, *, start: float, scale: float = 1.0) -> Bound:
    """Minus the squared MMD of the sum of six Gaussian kernels, without self terms, but for what the model cannot change.

    Source: Gretton et al., "A kernel two-sample test", JMLR 2012.

    Args:
        p, q: as in `energy`.
        start: the variance at which the fit starts, in data units squared.
        scale: the kernels' variances are `MMD_WIDTHS` times this times start.

    Returns:
        Bound with the limit E k(x, x'), estimated from the batch. O((n + m) m d).
    """
    x, z = p.centers, q.centers
    variances = [scale * start * width for width in MMD_WIDTHS]
    cross, own = squared_distances(x, z), squared_distances(z, z)
    kernels = [2 * (cross / (-2 * v)).exp().mean((-2, -1)) - _mean_of_others((own / (-2 * v)).exp()) for v in variances]
    value = torch.stack(kernels).sum(0)

    def limit() -> Tensor:
        data = squared_distances(x, x)
        return torch.stack([_mean_of_others((data / (-2 * v)).exp()) for v in variances]).sum(0).detach()

    return Bound(value, limit, {"-mmd^2": value})


def sinkhorn(p: GaussianMixture, q: GaussianMixture, *, start: float, debiased: bool, blur: float = 0.1) -> Bound:
    """Minus geomloss's Sinkhorn divergence of |x - z|^2 / 2, or minus the minibatch energy distance of its transport cost.

    Debiased: OT(x, z) + OT(x', z') - OT(z, z') with halves of the data and the model points, as (E20) in training; of the
    four cross terms of OT-GAN (arXiv 1803.05573) two, which have the same expectation. Else the divergence of the whole
    batches (Feydy et al., arXiv 1810.08278), which subtracts OT(z, z) of the same points.

    Args:
        p, q: as in `energy`.
        start: the variance at which the fit starts, in data units squared.
        debiased: by halves.
        blur: geomloss's, in units of the root of start.

    Returns:
        Bound with the limit 0, or minus OT(x, x').

    Raises:
        InputError: geomloss is not installed.
    """
    cost = _transport(blur * start**0.5, debias=not debiased)
    if not debiased:
        value = -cost(q.centers, p.centers)
        return Bound(value, lambda: torch.zeros_like(value), {"-divergence": value})
    (x, x_other), (z, z_other) = p.centers.chunk(2, -2), q.centers.chunk(2, -2)
    value = cost(z, z_other) - cost(z, x) - cost(z_other, x_other)
    return Bound(value, lambda: -cost(x, x_other).detach(), {"-transport": value})


def _transport(blur: float, *, debias: bool) -> Callable[[Tensor, Tensor], Tensor]:
    try:
        from geomloss import SamplesLoss
    except ImportError:
        raise InputError("the Sinkhorn peers need geomloss: pip install geomloss, or leave them out") from None
    loss: Callable[[Tensor, Tensor], Tensor] = SamplesLoss(
        "sinkhorn", p=2, blur=blur, debias=debias, backend="tensorized"
    )

    def cost(x: Tensor, z: Tensor) -> Tensor:
        """Of batches one by one: geomloss would start them all from the widest one's temperature."""
        return loss(x, z) if x.ndim == 2 else torch.stack([cost(*pair) for pair in zip(x, z, strict=True)])

    return cost


def _mean_of_others(values: Tensor) -> Tensor:
    """The mean of square matrices (..., n, n) without their diagonals, the pairs of a point with itself."""
    count = values.shape[-1]
    return (values.sum((-2, -1)) - values.diagonal(dim1=-2, dim2=-1).sum(-1)) / (count * (count - 1))


def _roots(squares: Tensor) -> Tensor:
    """Distances, without the infinite slope at 0 of a point's distance to itself."""
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
