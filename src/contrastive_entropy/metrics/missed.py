"""The data's side: real points that no sample comes near, beside what other real points miss by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.metrics.neighborhoods import neighbor_distance

POINTS = 5000
"""Most points of the data that are looked at, and most on either side."""

QUANTILE = 0.99
"""A point is far from others if it is farther than this share of real points are from as many real ones."""

SURE = 3.0
"""Standard errors beyond which more is missed than chance explains."""

TIMES = 3.0
"""And if it is so many times as far from them as from the other side: a lone point is not missed."""


@dataclass(frozen=True, eq=False)
class Missed:
    """Real points that the samples miss.

    Args:
        share: of real points that are far from all samples and not from as many real points.
        real: of those that are far from the real points and not from the samples.
        count: of real points looked at.
        example: (d,) one that is missed, in the middle of them by its distance; None: there is none.
    """

    share: float
    real: float
    count: int
    example: Tensor | None

    @property
    def significant(self) -> bool:
        """Whether more is missed than chance explains: either side is equally likely to miss a point of the same law."""
        return beyond_chance(self.share, self.real, self.count)


def beyond_chance(share: float, real: float, count: int) -> bool:
    """Whether more is missed than chance explains: either side is equally likely to miss a point of the same law.

    Args:
        share: of real points that the samples miss.
        real: of those that other real points miss in the samples' place.
        count: of real points looked at.
    """
    lost, alone = (round(part * count) for part in (share, real))
    return lost - alone > SURE * (lost + alone + 1) ** 0.5 and share - real >= 0.004


def paired(sampled: Tensor, own: Tensor) -> tuple[Tensor, Tensor, float]:
    """Which real points the samples miss, and which the real points in the samples' place do.

    Args:
        sampled: (m,) distances of real points to the nearest sample.
        own: (m,) to the nearest of as many other real points.

    Returns:
        (m,) booleans of both, and the distance from which on a point is far: that of 99% of the real points.
    """
    radius = float(own.quantile(QUANTILE))
    lost = (sampled > radius) & (sampled > TIMES * own)
    return lost, (own > radius) & (own > TIMES * sampled), radius


def missed(samples: Tensor, *data: Tensor) -> Missed:
    """Which points of the data no sample comes near.

    With r the distance that 99% of the data have to the nearest one of as many other points of the data: a point is missed
    if its nearest sample is farther than r and than three times that neighbour; the reference is the same with both sides
    exchanged. Of samples of the same law both shares are equal but for chance, whatever the law is: lone points are far
    from both sides. It mirrors `neighborhoods.far_share`. In many coordinates nearest distances differ little, and
    only what lies far off is missed: look at recall and coverage, too.

    Args:
        samples: (n, d), n >= 1, in any order; at most half as many as the data are drawn, always the same ones.
        data: (m, d) each, 4 in all at least; 5,000 of all of them, always the same ones, are looked at.

    Returns:
        Missed. O((m + n) m d) time, linear memory.

    >>> line = torch.arange(200.0)[:, None]
    >>> round(missed(line[:100], line).share, 2)  # half of the line, but what is near to the other half
    0.48
    """
    looked = _drawn(data).double()
    known = min(len(samples), len(looked) // 2)
    inside = _spread(len(looked), known)
    stand_in, drawn = looked[inside], samples[_spread(len(samples), known)].double()
    sampled, own = neighbor_distance(looked, drawn), neighbor_distance(looked, stand_in)
    own[inside] = neighbor_distance(stand_in, stand_in, rank=2)
    return _paired(looked, sampled, own)


def missed_beside(data: Tensor, samples: Tensor, others: Tensor) -> Missed:
    """`missed`, where other points stand for the data in the samples' place.

    Args:
        data: (m, d), none of them among the others; the first 5,000 are looked at.
        samples: (n, d).
        others: (n, d) real points, drawn as the samples should be.
    """
    looked = data[:POINTS].double()
    return _paired(looked, *(neighbor_distance(looked, side.double()) for side in (samples, others)))


def _paired(looked: Tensor, sampled: Tensor, own: Tensor) -> Missed:
    """From the distances (m,) of real points to the nearest sample, and to the nearest real point in its place."""
    lost, alone, _ = paired(sampled, own)
    which = lost.nonzero().squeeze(1)
    middle = which[sampled[which].argsort()][len(which) // 2] if len(which) else None
    example = None if middle is None else looked[middle]
    return Missed(float(lost.double().mean()), float(alone.double().mean()), len(looked), example)


def _drawn(parts: Sequence[Tensor]) -> Tensor:
    """At most so many points of all parts."""
    chosen = _spread(sum(map(len, parts)), POINTS)
    found, start = [], 0
    for part in parts:
        found.append(part[chosen[(start <= chosen) & (chosen < start + len(part))] - start])
        start += len(part)
    return torch.cat(found)


def _spread(count: int, most: int) -> Tensor:
    """Indices of at most so many points, drawn at random, always the same ones."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[:most]
