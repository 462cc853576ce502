"""What `experiment compare` trains with: our objectives, and the losses that people would use instead."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.config import ANNEAL_MOST, SMOOTHED, FitConfig
from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.gaussian import squared_distances
from contrastive_entropy.objectives.density import OBJECTIVES
from contrastive_entropy.steps import marginal_bound

Loss = Callable[[GaussianMixture, GaussianMixture], Tensor]
"""Data and model points, with their scheduled variance, to what is minimised."""

MMD_WIDTHS = tuple(2.0**power for power in range(-3, 3))
"""Variances of the kernels that `mmd` adds up, in units of the starting variance times its parameter."""


SINKHORN_BLUR = 0.1
"""Geomloss's blur, in units of the root of the starting variance."""


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Args:
        name: NAME or NAME:PARAMETER, as it was asked for.
        parameter: smoothing of our nuclear norms, blur of Sinkhorn's in units of the root of the starting variance, scale
            of MMD's kernels in units of it; None is the default.
        variance_start: of the run: half the median squared distance of two data points, unless set.
    """

    name: str
    parameter: float | None
    variance_start: float

    @classmethod
    def named(cls, name: str, variance_start: float) -> "Contender":
        """Parse NAME or NAME:PARAMETER.

        Raises:
            InputError: no such contender, or a parameter that it does not take.
        """
        base, _, text = name.partition(":")
        if base not in NAMES:
            raise InputError(f"no contender named {base!r}{suggestion(base, NAMES)}; there are {', '.join(NAMES)}")
        if not text:
            return cls(name, None, variance_start)
        try:
            parameter = float(text)
        except ValueError:
            raise InputError(f"expected NAME:NUMBER, got {name!r}") from None
        if base not in PARAMETERS or not 0 < parameter < math.inf:
            known = ", ".join(f"{known} ({what})" for known, what in PARAMETERS.items())
            raise InputError(f"{name!r}: parameters are positive numbers, for {known}")
        return cls(name, parameter, variance_start)

    @property
    def base(self) -> str:
        """The name without the parameter, of `NAMES`."""
        return self.name.partition(":")[0]

    def settings(self, config: FitConfig) -> FitConfig:
        """Of a run with this loss: peers see as many data as the debiased norm, and the same of them in every step.

        Args:
            config: what all runs share.
        """
        if self.base in OBJECTIVES:
            return dataclasses.replace(config, objective=self.base, smoothing=self.parameter)
        return dataclasses.replace(
            config, objective="debiased_nuclear_norm", anneal_fraction=ANNEAL_MOST, coarse_every=0, fine_every=0
        )

    def loss(self) -> Loss:
        """What is minimised.

        Raises:
            InputError: geomloss is not installed.
        """
        base = self.base
        if base in OBJECTIVES:
            config = self.settings(FitConfig(""))
            return lambda p, q: -marginal_bound(config, p, q).value
        if base == "energy":
            return lambda p, q: energy_loss(p.centers, q.centers)
        if base == "mmd":
            scale = self.variance_start * (self.parameter or 1.0)
            return lambda p, q: mmd_loss(p.centers, q.centers, [scale * width for width in MMD_WIDTHS])
        blur = (self.parameter or SINKHORN_BLUR) * self.variance_start**0.5
        return sinkhorn_loss(debiased=base == "sinkhorn_debiased", blur=blur)


def energy_loss(x: Tensor, z: Tensor) -> Tensor:
    """2 E|x - z| - E|z - z'|, pairs of a point with itself left out: the energy distance, but for what z cannot change."""
    cross, own = (_roots(squared_distances(other, z)) for other in (x, z))
    return 2 * cross.mean() - _mean_of_others(own)


def mmd_loss(x: Tensor, z: Tensor, variances: list[float]) -> Tensor:
    """Squared MMD of the sum of Gaussian kernels, without self terms, but for what z cannot change."""
    cross, own = squared_distances(x, z), squared_distances(z, z)
    kernels = [_mean_of_others((own / (-2 * v)).exp()) - 2 * (cross / (-2 * v)).exp().mean() for v in variances]
    return torch.stack(kernels).sum()


def _mean_of_others(values: Tensor) -> Tensor:
    """The mean of a square matrix (n, n) without its diagonal, a point's pair with itself."""
    return (values.sum() - values.diagonal().sum()) / (len(values) * (len(values) - 1))


def _roots(squares: Tensor) -> Tensor:
    """Distances, without the infinite slope at 0 of a point's distance to itself."""
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)


def sinkhorn_loss(*, debiased: bool, blur: float) -> Loss:
    """Geomloss's Sinkhorn divergence of |x - z|^2 / 2, or the minibatch energy distance of its transport cost.

    Debiased: OT(x, z) + OT(x', z') - OT(z, z') with halves of the data and the model points, as (E20) in training; of the
    four cross terms of OT-GAN (arXiv 1803.05573) two, which have the same expectation. Else the divergence of the whole
    batches, which subtracts OT(z, z) of the same points.

    Raises:
        InputError: geomloss is not installed.
    """
    try:
        from geomloss import SamplesLoss
    except ImportError:
        raise InputError(
            "the Sinkhorn contenders need geomloss: pip install geomloss, or leave them out of --contenders"
        ) from None
    cost = SamplesLoss("sinkhorn", p=2, blur=blur, debias=not debiased, backend="tensorized")
    if not debiased:
        return lambda p, q: cost(q.centers, p.centers)

    def halves(p: GaussianMixture, q: GaussianMixture) -> Tensor:
        (x, x_other), (z, z_other) = p.centers.chunk(2), q.centers.chunk(2)
        total: Tensor = cost(z, x) + cost(z_other, x_other) - cost(z, z_other)
        return total

    return halves


PARAMETERS = {
    **dict.fromkeys(SMOOTHED, "smoothing"),
    "mmd": "scale of the kernels",
    "sinkhorn": "blur over the root of the starting variance",
    "sinkhorn_debiased": "the same",
}
"""What the number behind a contender's name is."""

OBJECTIVE_NAMES = tuple(name for name in OBJECTIVES if name != "trace")
"""Ours."""

PEERS = ("energy", "mmd", "sinkhorn", "sinkhorn_debiased")
"""What people would use instead: none of them sees the variance."""

NAMES = (*OBJECTIVE_NAMES, *PEERS)
"""All contenders."""
