"""Samples beside held-out points, and real points in their place: what the figures of `catalog` are computed from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.distances import column_distances
from contrastive_entropy.metrics.missed import Missed, missed
from contrastive_entropy.metrics.moments import frechet_distance, kernel_distance
from contrastive_entropy.metrics.neighborhoods import (
    NEIGHBORS,
    NeighborhoodScores,
    neighbor_distance,
    neighborhood_scores,
)
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.operator import singular_values
from contrastive_entropy.objectives.density import fidelity

SPECTRUM_POINTS = 1000
"""Most points per side in the spectrum, the tightness and the effective rank: their values depend on the number."""

NEIGHBOR_POINTS = 5000
"""Most points per side in precision, recall, density and coverage."""

ENERGY_POINTS = 10_000
"""Most points per side in the energy distance, and in all figures."""

FAR_QUANTILE = 0.99
"""A sample is far if its nearest training point is farther away than this share of held-out points have theirs."""

TINY = 1e-100
"""A fidelity below it says that two sets do not overlap."""


class Featured(Protocol):
    """A space of features in which points are compared, too."""

    name: str
    """What figures need that are computed in it."""

    most: int
    """Points a side, at most."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Which features these are: figures of different ones do not compare."""

    @property
    def note(self) -> str | None:
        """What must be said beside the figures."""

    def features(self, points: Tensor, name: str) -> Tensor:
        """Points (n, d), and their name for a progress line, to features (n, k)."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Points and held-out ones in a space of features.

    Args:
        points, held_out: (n, k).
    """

    points: Tensor
    held_out: Tensor

    @property
    def frechet(self) -> float:
        """The Frechet distance."""
        return frechet_distance(self.points, self.held_out)

    @property
    def kernel(self) -> float:
        """The kernel distance."""
        return kernel_distance(self.points, self.held_out)

    @cached_property
    def scores(self) -> NeighborhoodScores:
        """Precision, recall, density and coverage."""
        return neighborhood_scores(self.held_out, self.points, neighbors=NEIGHBORS)


@dataclass(frozen=True)
class Counts:
    """How many points are compared.

    Args:
        points: on either side.
        again: further ones, which are a second sample of the same law.
    """

    points: int
    again: int

    @classmethod
    def of(cls, train: int, held_out: int, samples: int | None = None) -> "Counts":
        """As many as the data allow; with so many samples, at most half of them are the second sample."""
        again = min(held_out, SPECTRUM_POINTS, train // 2)
        points = min(held_out, train, ENERGY_POINTS)
        if samples is None:
            return cls(points, again)
        again = min(again, samples // 2)
        return cls(min(points, samples - again), again)

    @property
    def total(self) -> int:
        """Samples that are needed."""
        return self.points + self.again


@dataclass(frozen=True, eq=False)
class Side:
    """One column of the table: points, and a second sample of their law.

    Args:
        name: of the points, for a progress line.
        points: (n, d).
        again: (k, d), k <= n.
        nearest: (l,) distances to the nearest training point.
        held_out: (n, d) that the points are compared with.
        variance: of the densities.
        image_shape, spaces: of `Comparison`.
        real: the side of real points; None: this one is it.
        missed: share of the data that this side misses.
        trained: whether the training points are what the samples were made from.
    """

    name: str
    points: Tensor
    again: Tensor
    nearest: Callable[[], Tensor]
    held_out: Tensor
    variance: float
    image_shape: tuple[int, int, int] | None
    spaces: tuple[Featured, ...]
    real: "Side | None" = None
    missed: Callable[[], float] = lambda: math.nan
    trained: bool = True

    @property
    def has(self) -> frozenset[str]:
        """What figures may need."""
        found = {space.name for space in self.spaces} | {"images" if self.image_shape else "table"}
        found |= {"colors"} if self.image_shape and self.image_shape[0] > 1 else set()
        found |= {"trained"} if self.trained else set()
        return frozenset(found | (set() if self.real is None else {"ceiling"}))

    @cached_property
    def mixtures(self) -> tuple[GaussianMixture, GaussianMixture, GaussianMixture]:
        """Held-out points, these and their second sample, as many as there are of that."""
        parts = (part[: len(self.again)].double() for part in (self.held_out, self.points, self.again))
        p, q, r = (GaussianMixture(part, self.variance) for part in parts)
        return p, q, r

    @cached_property
    def spectrum(self) -> Tensor:
        """(k,) singular values of the cross-Gram matrix with held-out points, scaled so that they sum to the fidelity."""
        p, q, _ = self.mixtures
        return singular_values(p, q)

    @cached_property
    def own_spectrum(self) -> Tensor:
        """(k,) the same of the points with themselves."""
        _, q, _ = self.mixtures
        return singular_values(q, q)

    @cached_property
    def fidelity(self) -> float:
        """F(these, held-out points)."""
        return float(self.spectrum.sum())

    @cached_property
    def own_fidelity(self) -> float:
        """F(these, a second sample of their law): smaller the more variety there is."""
        _, q, r = self.mixtures
        return float(fidelity(q, r))

    @property
    def ceiling(self) -> float:
        """The fidelity of real points."""
        return self.fidelity if self.real is None else self.real.fidelity

    @cached_property
    def scores(self) -> NeighborhoodScores:
        """Precision, recall, density and coverage."""
        held_out, points = (part[:NEIGHBOR_POINTS] for part in (self.held_out, self.points))
        return neighborhood_scores(held_out, points, neighbors=NEIGHBORS)

    @cached_property
    def columns(self) -> Tensor:
        """(d,) distance of every column by itself."""
        return column_distances(self.points, self.held_out)

    @cached_property
    def distances(self) -> Tensor:
        """(l,) to the nearest training point."""
        return self.nearest()

    @cached_property
    def real_distances(self) -> Tensor:
        """(m,) of held-out points to theirs."""
        return self.distances if self.real is None else self.real.distances

    @cached_property
    def radius(self) -> float:
        """Beyond which a sample is far."""
        return float(self.real_distances.quantile(FAR_QUANTILE))

    @cached_property
    def placed(self) -> dict[str, Placed]:
        """Where the points and the held-out ones lie in each space, by its name."""
        return {space.name: self._placed(space) for space in self.spaces}

    def _placed(self, space: Featured) -> Placed:
        points = space.features(self.points[: space.most], self.name)
        if self.real is not None:
            return Placed(points, self.real.placed[space.name].held_out)
        return Placed(points, space.features(self.held_out[: space.most], "held-out points"))

    @cached_property
    def sharpness(self) -> float:
        """Detail of images over that of held-out ones; not finite where these are flat."""
        assert self.image_shape is not None
        return sharpness(self.points, self.held_out, self.image_shape)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples and real points, each beside held-out points.

    Args:
        samples: (n, d); the last ones serve as a second sample of their law.
        train, held_out: all there are of the data.
        variance: of the densities, v > 0, in data units squared.
        image_shape: (channels, height, width) of images; None: points are rows of a table.
        spaces: also compares in these features.
        trained: whether the training points are what the samples were made from; else nothing is said on copying.
        reachable: training points as a model would make them at best, (m, d), such as reconstructions from codes; None: all
            points can be made.
    """

    samples: Tensor
    train: Tensor
    held_out: Tensor
    variance: float
    image_shape: tuple[int, int, int] | None = None
    spaces: tuple[Featured, ...] = ()
    trained: bool = True
    reachable: Tensor | None = None

    @cached_property
    def missed(self) -> "Missed":
        """Data that the samples miss, and that as many training points miss."""
        return missed(self.samples[: self.counts.total], self.train, self.held_out)

    @cached_property
    def counts(self) -> Counts:
        """How many points are compared."""
        return Counts.of(len(self.train), len(self.held_out), len(self.samples))

    @cached_property
    def real(self) -> Side:
        """Training points in the samples' place; nearest to training points are held-out ones."""
        return self._side(
            "training points", self.train, lambda: neighbor_distance(self.held_out, self.train), real=None
        )

    @cached_property
    def model(self) -> Side:
        """The samples."""
        return self._side(
            "samples",
            self.samples,
            lambda: neighbor_distance(self.samples[: self.counts.points], self.train),
            real=self.real,
        )

    @cached_property
    def best(self) -> Side | None:
        """The best that a model could make, in the samples' place."""
        if self.reachable is None:
            return None
        points = self.reachable
        return self._side("reachable points", points, lambda: neighbor_distance(points, self.train), real=self.real)

    def check(self) -> None:
        """Raise InputError where the variance shows no overlap, of the samples or even of real points."""
        real = min(self.real.fidelity, self.real.own_fidelity)
        if self.model.own_fidelity < TINY <= real:
            raise InputError(
                f"at the variance, {self.variance:.4g}, {self.counts.again} samples do not overlap with as many others, "
                "and real points do: are the samples in the units of the data?"
            )
        if real < TINY:
            raise InputError(
                f"the variance, {self.variance:.4g}, is too small to compare {self.counts.again} points at: even real ones "
                "do not overlap; take a larger one: of a run, train with a higher `variance_end`"
            )

    def _side(self, name: str, points: Tensor, nearest: Callable[[], Tensor], *, real: Side | None) -> Side:
        count, again = self.counts.points, self.counts.again
        held_out = self.held_out[:count]
        kind = self.image_shape, self.spaces
        missed = (lambda: self.missed.real) if real is None else (lambda: self.missed.share)
        parts = points[:count], points[-again:], nearest, held_out, self.variance
        return Side(name, *parts, *kind, real, missed, self.trained)


def check_samples(samples: Tensor, *, dimension: int, name: str, variance: float) -> None:
    """Samples that can be compared with data.

    Args:
        samples: to be compared.
        dimension, name: of the data.
        variance: of the densities.

    Raises:
        InputError: too few samples, another number of coordinates, values that are not finite, or a variance that is not
            positive.
    """
    if samples.ndim != 2 or samples.shape[1] != dimension:
        raise InputError(f"expected samples of {dimension} coordinates as {name} has, got shape {tuple(samples.shape)}")
    if len(samples) < 2 * (NEIGHBORS + 1):
        raise InputError(f"{len(samples)} samples are too few to evaluate; at least {2 * (NEIGHBORS + 1)} are needed")
    if not bool(torch.isfinite(samples).all()):
        raise InputError("samples hold NaN or infinite values; leave such rows out")
    if not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
