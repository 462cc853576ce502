"""Samples made of a class, beside held-out points of the same class."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from contrastive_entropy.metrics.neighborhoods import NEIGHBORS, NeighborhoodScores, neighborhood_scores
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.objectives.density import tightness

LEAST = 2 * (NEIGHBORS + 1)
"""Points of a class with which it is compared, at least, on both sides."""


@dataclass(frozen=True, eq=False)
class ByClass:
    """One column of the table: points of known classes, real or made.

    Args:
        points: (n, d).
        labels: (n,) int64, what they are or were made of.
        accuracy: share whose class a classifier finds; of real points, of held-out ones.
        held_out: (m, d).
        held_out_labels: (m,).
        variance: of the densities.
    """

    points: Tensor
    labels: Tensor
    accuracy: float
    held_out: Tensor
    held_out_labels: Tensor
    variance: float

    @property
    def has(self) -> frozenset[str]:
        """What figures may need."""
        return frozenset({"classes"} if self.pairs else set())

    @cached_property
    def pairs(self) -> dict[int, tuple[Tensor, Tensor]]:
        """By class, held-out points and as many of these; without classes that have fewer than `LEAST`."""
        found = {}
        for label in self.held_out_labels.unique().tolist():
            real, own = self.held_out[self.held_out_labels == label], self.points[self.labels == label]
            count = min(len(real), len(own))
            if count >= LEAST:
                found[int(label)] = (real[:count], own[:count])
        return found

    @cached_property
    def tightness(self) -> dict[int, float]:
        """Of every class by itself  (E20)."""
        return {
            label: float(tightness(*(GaussianMixture(part.double(), self.variance) for part in pair)))
            for label, pair in self.pairs.items()
        }

    @cached_property
    def scores(self) -> list[NeighborhoodScores]:
        """Of every class by itself."""
        return [neighborhood_scores(*pair, neighbors=NEIGHBORS) for pair in self.pairs.values()]

    def mean(self, name: str) -> float:
        """Of a figure of `scores`, over classes."""
        return sum(getattr(one, name) for one in self.scores) / len(self.scores)
