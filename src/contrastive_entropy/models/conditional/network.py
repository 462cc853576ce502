"""Given x to the law of y: mixture density networks."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from contrastive_entropy.mixtures.full import FullCovarianceMixture, Mixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.networks.members import Members
from contrastive_entropy.numerics.robust import robust_moments

FLOOR = 1e-3
"""Least deviation of a component, in deviations of the target."""

NEAR = 5.0
"""Robust deviations within which a value counts for a robust scale."""

REPEATED = 0.5
"""Share of rows whose target value others have, too, from which on values are taken for rounded ones."""


class MixtureDensityNetwork(nn.Module):
    """x to weights, means and variances of a mixture of Gaussians over y  (Bishop 1994).

    Args:
        inputs: k, columns of x.
        outputs: d, columns of y.
        components: of the mixture.
        full: whether components have full covariances, through a Cholesky factor; else their coordinates are independent.
        members: networks side by side, an ensemble whose answer is one mixture of all their components.
        width, depth, dropout: of the hidden layers.
        robust: whether `place` takes the scale of y from rows near the median alone.

    Raises:
        ValueError: a size is not positive, or dropout is out of range.

    >>> network = MixtureDensityNetwork(2, 1, components=3)
    >>> network(torch.zeros(5, 2))
    GaussianMixture(batch_shape=(5,), components=3, dimension=1, variance=shape (5, 3, 1))
    """

    given_location: Tensor
    given_scale: Tensor
    location: Tensor
    scale: Tensor
    floor: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        components: int = 5,
        members: int = 1,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.0,
        robust: bool = False,
        full: bool = False,
    ) -> None:
        super().__init__()
        if components < 1 or outputs < 1:
            raise ValueError(f"components and outputs must be at least 1, got {components} and {outputs}")
        self.components, self.outputs, self.robust, self.full = components, outputs, robust, full
        self.sizes = [components, components * outputs, components * outputs]
        if full:
            self.sizes.append(components * outputs * (outputs - 1) // 2)
        self.body = Members(members, inputs, sum(self.sizes), width=width, depth=depth, dropout=dropout)
        for name, count in (("given_location", inputs), ("location", outputs)):
            self.register_buffer(name, torch.zeros(count))
        for name, count in (("given_scale", inputs), ("scale", outputs)):
            self.register_buffer(name, torch.ones(count))
        self.register_buffer("floor", torch.full((outputs,), FLOOR))

    @property
    def members(self) -> int:
        """Networks side by side."""
        return self.body.members

    def place_given(self, given: Tensor, points: Tensor) -> None:
        """Set locations and scales from training rows, and the least deviation of a component.

        Where most target values are shared, as whole numbers are, the deviation's floor is half their spacing: the
        likelihood has no limit on such data, and grows as components sit on the values.

        Args:
            given: (n, k).
            points: (n, d).
        """
        for values, location, scale in (
            (given, self.given_location, self.given_scale),
            (near_median(points) if self.robust else points, self.location, self.scale),
        ):
            mean, deviation = _moments(values)
            location.copy_(mean)
            scale.copy_(deviation)
        spacing = torch.tensor([spacing_of(column) for column in points.T], device=self.scale.device)
        self.floor.copy_(torch.maximum(torch.full_like(self.floor, FLOOR), spacing / 2 / self.scale))

    def answers(self, given: Tensor, *, generator: torch.Generator | None = None) -> Mixture:
        """The mixture of every member for its own rows.

        Args:
            given: (members, n, k).
            generator: of dropout, on the CPU; None leaves no unit out.

        Returns:
            Batch (members, n) of mixtures of `components` each.
        """
        outputs = self.body((given - self.given_location) / self.given_scale, generator=generator)
        shape = (self.components, self.outputs)
        with torch.autocast(given.device.type, enabled=False):
            logits, means, deviations, *slopes = outputs.float().split(self.sizes, -1)
            deviation = self.scale * (nn.functional.softplus(deviations.unflatten(-1, shape)) + self.floor)
            centers = torch.addcmul(self.location, self.scale, means.unflatten(-1, shape))
            if not self.full:
                return GaussianMixture(centers, deviation.square(), log_weights=logits)
            below = torch.tril_indices(self.outputs, self.outputs, -1, device=given.device)
            leaning = deviation.new_zeros((*deviation.shape, self.outputs))
            leaning[..., below[0], below[1]] = slopes[0].unflatten(-1, (self.components, -1))
            factor = torch.diag_embed(deviation) + self.scale.unsqueeze(-1) * leaning
            return FullCovarianceMixture(centers, factor, log_weights=logits)

    def forward(self, given: Tensor) -> Mixture:
        """The law of y given x, one mixture of all members' components.

        Args:
            given: (n, k).

        Returns:
            Batch (n,) of mixtures of members * components each.
        """
        own = self.answers(given.expand(self.members, *given.shape))
        parts = {name: part.movedim(0, 1).flatten(1, 2) for name, part in parts_of(own).items()}
        return mixture_of(parts)  # each member has the same share


def parts_of(mixture: Mixture) -> dict[str, Tensor]:
    """Centers, log-weights, and variance or cholesky, by name."""
    spread = "cholesky" if isinstance(mixture, FullCovarianceMixture) else "variance"
    return {name: getattr(mixture, name) for name in ("centers", spread, "log_weights")}


def mixture_of(parts: Mapping[str, Tensor]) -> Mixture:
    """The mixture that `parts_of` took apart; further parts are left."""
    centers, log_weights = parts["centers"], parts["log_weights"]
    if "cholesky" in parts:
        return FullCovarianceMixture(centers, parts["cholesky"], log_weights=log_weights)
    return GaussianMixture(centers, parts["variance"], log_weights=log_weights)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of columns (n, d), without what is NaN; a deviation of 0 becomes 1."""
    values = values.double()
    mean = values.nanmean(0)
    deviation = (values - mean).square().nanmean(0).sqrt()
    return mean, torch.where(deviation > 0, deviation, 1.0)


def near_median(points: Tensor) -> Tensor:
    """Points (n, d) with NaN for what is more than `NEAR` robust deviations from the median of its column."""
    center, deviation = robust_moments(points)
    far = (points.double() - center).abs() > NEAR * deviation
    return points.double().masked_fill(far & (deviation > 0), math.nan)


def spacing_of(values: Tensor) -> float:
    """The usual distance of neighbouring values (n,) where most rows share theirs with others, else 0."""
    distinct, counts = values.unique(return_counts=True)
    shared = float(counts[counts > 1].sum()) / len(values)
    return float(distinct.double().diff().median()) if shared > REPEATED and len(distinct) > 1 else 0.0
