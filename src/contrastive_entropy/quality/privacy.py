"""Whether samples copy training rows: exactly, nearly, or so that it shows who was trained on."""

from dataclasses import dataclass

import numpy as np

from contrastive_entropy.quality.findings import SURE, Finding, Weighed, percent, surprise
from contrastive_entropy.quality.kinds import Coded, row_codes
from contrastive_entropy.quality.nearest import nearest, ranked, scaled

ROWS = 4000
"""Most rows whose nearest ones are looked for."""

WORK = 100_000_000
"""Most pairs of rows that are compared at once: fewer rows are drawn of large tables."""

NEAR = 0.004
"""Root mean square of a near copy's differences, in deviations: noise of a thousandth of a deviation is well within it."""

MORE = 0.1
"""By how much `nearer_to_training` and `membership` must exceed a half to be said."""


def copies(rows: Coded, training: Coded) -> float:
    """Share of rows that equal a training row in all columns, in [0, 1]."""
    return float(np.isin(row_codes(rows), row_codes(training)).mean())


def near_copies(rows: Coded, training: Coded, real: Coded, *, rng: np.random.Generator) -> float:
    """Share of rows whose nearest training row is within `NEAR`, numbers in deviations, categories equal.

    Args:
        rows: samples, or held-out rows in their place.
        training: all of them: a copy's source must be among them.
        real: rows whose deviations these are.
        rng: of the rows that are drawn.

    Returns:
        In [0, 1]; exact copies are among them.
    """
    count = max(200, min(ROWS, WORK // len(training)))
    found = nearest(scaled(rows.draw(count, rng), real), scaled(training, real))
    return float((found <= NEAR).mean())


def nearer_share(rows: Coded, training: Coded, held_out: Coded, real: Coded, *, rng: np.random.Generator) -> float:
    """Share of rows that lie nearer to a training row than to a held-out row, of equally many; ties count half.

    The idea of Platzer and Reutterer's holdout-based assessment, arXiv 2104.00635, numbers by their ranks.

    Args:
        rows: samples, or other real rows in their place.
        training, held_out: rows; the smaller table gives the number.
        real: rows whose ranks these are.
        rng: of the rows that are drawn.

    Returns:
        In [0, 1]; .5: no nearer to what was trained on.
    """
    count = min(len(training), len(held_out), ROWS)
    points = ranked(rows.draw(ROWS, rng), real)
    first, second = (nearest(points, ranked(side.draw(count, rng), real)) for side in (training, held_out))
    return float((first < second).mean() + (first == second).mean() / 2)


def membership(samples: Coded, training: Coded, held_out: Coded, real: Coded, *, rng: np.random.Generator) -> float:
    """How well the distance to the closest sample tells training rows from held-out rows.

    The attack by distance of Chen et al., GAN-Leaks, arXiv 1909.03935, without knowledge of the model.

    Args:
        samples: rows, or other real rows in their place.
        training, held_out: equally many are drawn: members and others.
        real: rows whose ranks these are.
        rng: of the rows that are drawn.

    Returns:
        Area under the ROC curve, in [0, 1]; .5: nothing is told.
    """
    count = min(len(training), len(held_out), ROWS)
    known = ranked(samples.draw(max(ROWS, WORK // (4 * count)), rng), real)
    own, other = (nearest(ranked(side.draw(count, rng), real), known) for side in (training, held_out))
    other = np.sort(other)
    ends = [np.searchsorted(other, own, side=side) for side in ("left", "right")]
    return float(1 - (ends[0] + ends[1]).mean() / (2 * len(other)))


@dataclass(frozen=True)
class Privacy:
    """Figures of samples and of held-out rows in their place.

    Args:
        figures: copies, near_copies, nearer_to_training and membership.
        real: the same; of the last two, one half of the held-out rows stands for the samples, the other for itself.
    """

    figures: dict[str, float]
    real: dict[str, float]


def privacy(samples: Coded, training: Coded, held_out: Coded, *, rng: np.random.Generator) -> Privacy:
    """All figures on copying.

    Args:
        samples, training, held_out: rows.
        rng: of what is drawn.

    Returns:
        Privacy.
    """
    real = Coded(training.columns, np.concatenate([training.values, held_out.values]))
    order = rng.permutation(len(held_out))
    half, rest = held_out.take(order[: len(order) // 2]), held_out.take(order[len(order) // 2 :])
    found = {
        "copies": copies(samples, training),
        "near_copies": near_copies(samples, training, real, rng=rng),
        "nearer_to_training": nearer_share(samples, training, held_out, real, rng=rng),
        "membership": membership(samples, training, held_out, real, rng=rng),
    }
    reference = {
        "copies": copies(held_out, training),
        "near_copies": near_copies(held_out, training, real, rng=rng),
    }
    if len(half):
        reference["nearer_to_training"] = nearer_share(half, training, rest, real, rng=rng)
        reference["membership"] = membership(half, training, rest, real, rng=rng)
    return Privacy(found, reference)


def privacy_findings(found: Privacy, samples: int, held_out: int) -> list[Weighed]:
    """What copies, and what shows who was trained on.

    Args:
        found: of `privacy`.
        samples, held_out: how many rows there are.
    """
    findings = []
    known = min(held_out, ROWS)
    for name, what in (("copies", "equal a training row"), ("near_copies", "lie within a hair of a training row")):
        own, real = found.figures[name], found.real[name]
        count = min(samples, ROWS)
        surprising = surprise(round(own * count), count, round(real * known), known) > SURE
        if surprising and own - real > max(0.005, 0.25 * real):
            seen = f"{percent(own)} of the samples {what}, and {percent(real)} of the held-out rows do"
            findings.append((0.5 + own / 2, Finding(name.replace("_", " "), seen)))
    nearer = found.figures["nearer_to_training"]
    chance = 4 * (0.25 / min(samples, ROWS) + 0.25 / known) ** 0.5
    if not findings and nearer > 0.5 + max(MORE, chance):
        seen = f"{percent(nearer)} of the samples lie nearer to a training row than to a held-out row; expected 50.0%"
        findings.append((nearer, Finding("near copies", seen)))
    attack = found.figures["membership"]
    if attack > 0.5 + max(MORE, 5 * (1 / (6 * known)) ** 0.5):
        seen = (
            f"the distance to the closest sample tells training from held-out rows, area under the curve {attack:.2f}"
        )
        findings.append((attack, Finding("membership", seen)))
    return findings
