"""The data's side: real rows that no sample comes near, beside what other real rows miss by chance."""

from dataclasses import dataclass

import numpy as np
import torch

from contrastive_entropy.metrics.missed import beyond_chance, paired
from contrastive_entropy.quality.findings import Finding, Weighed, percent
from contrastive_entropy.quality.kinds import Coded
from contrastive_entropy.quality.nearest import nearest, scaled

ROWS = 5000
"""Most rows a side."""

LEAST = 20
"""Rows a side below which nothing is said."""


@dataclass(frozen=True, eq=False)
class Missed:
    """Real rows that the samples miss.

    Args:
        share: of real rows far from all samples and not from as many real rows.
        real: of real rows far from as many real rows and not from the samples.
        rows: (k,) which real rows these are, the farthest first.
        distances: (k,) to the nearest sample, over the farness that counts as far.
        counts: of real rows looked at.
    """

    share: float
    real: float
    rows: np.ndarray
    distances: np.ndarray
    counts: int


def missed(real: Coded, samples: Coded, *, rng: np.random.Generator) -> Missed | None:
    """Which real rows no sample comes near.

    Real rows are compared with samples and with equally many other real rows. With r the distance that 99% of them have to
    the nearest other real row: a row is missed if its nearest sample is farther than r and than three times its nearest
    real row; the reference is the same with both sides exchanged. Of samples of the same law both shares are equal but for
    chance, whatever the law: lone rows are far from both. It mirrors `metrics.neighborhoods.far_share`.

    Args:
        real: training and held-out rows, or held-out rows alone.
        samples: rows.
        rng: of the rows that are drawn.

    Returns:
        Missed; None: too few rows.
    """
    order = rng.permutation(len(real))
    known = min(len(samples), len(real) - 1, ROWS)
    if known < LEAST:
        return None
    looked = np.sort(order[: 2 * ROWS])
    points, stand_in = scaled(real.take(looked), real), order[:known]
    sampled = nearest(points, scaled(samples.draw(known, rng), real))
    own = _to_others(points, looked, real, stand_in)
    lost, alone, radius = paired(torch.from_numpy(sampled), torch.from_numpy(own))
    which = np.flatnonzero(lost.numpy())
    which = which[np.argsort(-sampled[which], kind="stable")]
    farness = sampled[which] / max(radius, 1e-300)
    return Missed(float(lost.double().mean()), float(alone.double().mean()), looked[which], farness, len(looked))


def _to_others(points: Coded, looked: np.ndarray, real: Coded, stand_in: np.ndarray) -> np.ndarray:
    """Distance of every row to the nearest one of the stand-in, itself left out."""
    known, inside = scaled(real.take(stand_in), real), np.isin(looked, stand_in)
    found = np.empty(len(looked))
    for chosen, rank in ((~inside, 1), (inside, 2)):
        if chosen.any():
            found[chosen] = nearest(points.take(chosen), known, rank=rank)
    return found


def missed_findings(found: Missed, real: Coded) -> list[Weighed]:
    """Whether more real rows are missed than chance explains.

    Args:
        found: of `missed`.
        real: the rows that it was told.
    """
    if not beyond_chance(found.share, found.real, found.counts):
        return []
    example = real.values[found.rows[len(found.rows) // 2]]
    words = ", ".join(f"{column.name} = {column.says(example[place])}" for place, column in enumerate(real.columns[:6]))
    more = ", ..." if len(real.columns) > 6 else ""
    seen = (
        f"{percent(found.share)} of the real rows have no sample near them, and {percent(found.real)} would by chance: "
        f"as the one with {words}{more}"
    )
    return [(0.5 + min(0.5, 3 * found.share), Finding("missed part", seen))]
