"""Alternatives of one input each, beside draws from the data's own posterior."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from contrastive_entropy.metrics.neighborhoods import NEIGHBORS, far_share, neighborhood_scores
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.metrics.samples import NEIGHBOR_POINTS

ROUNDING = 1e-6
"""Nats: where one point alone has a code, its mean is as good as a draw, up to rounding."""

Classified = Callable[[Tensor], dict[str, float]]
"""Alternatives (n, a, d) to their purity and clarity."""


@dataclass(frozen=True, eq=False)
class Alternatives:
    """One column of the table.

    Args:
        draws: (n, a, d) alternatives of each input.
        inputs: (n, d) held-out points.
        train, held_out: all there are of the data.
        radius: beyond which an alternative lies far from training points.
        image_shape: (channels, height, width) of images, else None.
        classified: where the data have classes.
        mean_gains: (s,) nats by which the mean of what shares a code beats draws of it (E19); None for real points.
        missed: share of held-out points that the alternatives miss, beside draws from the posterior; None: not known.
    """

    draws: Tensor
    inputs: Tensor
    train: Tensor
    held_out: Tensor
    radius: float
    image_shape: tuple[int, int, int] | None = None
    classified: Classified | None = None
    mean_gains: Tensor | None = None
    missed: float | None = None

    @property
    def has(self) -> frozenset[str]:
        """What figures may need."""
        found = {"images" if self.image_shape else "table"}
        found |= {"labels"} if self.classified else set()
        found |= {"missed"} if self.missed is not None else set()
        return frozenset(found | ({"gains"} if self.mean_gains is not None else set()))

    @cached_property
    def flat(self) -> Tensor:
        """(n a, d) all alternatives."""
        return self.draws.flatten(0, 1)

    @cached_property
    def squares(self) -> Tensor:
        """(n, a) squared distances to the input."""
        return (self.draws - self.inputs.unsqueeze(1)).square().sum(-1).double()

    @property
    def mean_preferred(self) -> float:
        """Share of codes at which a blur beats draws."""
        assert self.mean_gains is not None
        return float((self.mean_gains > ROUNDING).double().mean())

    @property
    def precision(self) -> float:
        """Share of alternatives that lie on the data."""
        return neighborhood_scores(self.held_out[:NEIGHBOR_POINTS], self.flat, neighbors=NEIGHBORS).precision

    @property
    def far_share(self) -> float:
        """Share of alternatives that are far from training points."""
        return far_share(self.flat, self.train, radius=self.radius)

    @property
    def sharpness(self) -> float:
        """Detail of images over that of held-out ones; not finite where these are flat."""
        assert self.image_shape is not None
        return sharpness(self.flat, self.held_out, self.image_shape)

    @cached_property
    def classes(self) -> dict[str, float]:
        """Purity and clarity."""
        assert self.classified is not None
        return self.classified(self.draws)


def diversity(alternatives: Tensor, data: Tensor) -> float:
    """Root mean squared distance between alternatives of one input, relative to that between any two data points.

    Args:
        alternatives: (n, a, d), a >= 2.
        data: (m, d), m >= 2.

    Returns:
        0 where they are all equal, about 1 where they vary as the data do.
    """
    own = alternatives.double().var(1).sum(-1).mean()  # half the mean squared distance of two
    return float((own / data.double().var(0).sum()).sqrt())
