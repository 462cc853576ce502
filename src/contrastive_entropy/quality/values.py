"""Single values: marks, limits, zeros and levels that are lost, values out of range, missing values, decimals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contrastive_entropy.quality.findings import SURE, Finding, Weighed, percent, surprise
from contrastive_entropy.quality.kinds import Coded, Column

ATOM = 0.01
"""Share of rows from which on one exact value, or a level, is looked for in the samples."""

OFF = 3.0
"""A share that is so many times too large or too small is badly off."""

DECIMALS = 6
"""Numbers of real rows with at most so many decimals are said to have them."""

CENTS = 2
"""With more decimals, numbers count as rounded only where a step is wide."""

WIDE_STEP = 0.01
"""A step of so many deviations is wide."""

EXTREMES = 10
"""Largest values of real rows from which the tail's length is judged."""


def value_findings(real: Coded, samples: Coded) -> list[Weighed]:
    """Everything that is wrong with single values of columns.

    Args:
        real: all real rows there are.
        samples: all of them.

    Returns:
        Findings and how bad they are, in the order of the columns.
    """
    found: list[Weighed] = []
    for place, column in enumerate(real.columns):
        sides = real.values[:, place], samples.values[:, place]
        found += _missing(column, *sides)
        present = [side[~np.isnan(side)] for side in sides]
        if not min(len(side) for side in present):
            continue
        found += _shares(column, *present)
        if not column.is_category:
            found += _range(column, present[0], sides[1])
        if column.kind in ("number", "count"):
            found += _decimals(column, *present)
    return found


def _missing(column: Column, real: np.ndarray, samples: np.ndarray) -> Iterator[Weighed]:
    counts = [int(np.isnan(side).sum()) for side in (samples, real)]
    own, other = counts[0] / len(samples), counts[1] / len(real)
    apart = abs(own - other) > 0.05 or not other / 2 <= own <= 2 * other
    if apart and surprise(counts[0], len(samples), counts[1], len(real)) > SURE:
        seen = f"{column.name}: {percent(own)} of the samples, {percent(other)} of the real rows"
        yield 0.5 + abs(own - other) / 2, Finding("missing values", seen)


@dataclass(frozen=True, eq=False)
class Atoms:
    """Exact values that at least 1% of either side has.

    Args:
        values: (k,) the most frequent in real rows first.
        real, samples: (k,) their counts.
        distinct: how many values there are in all.
    """

    values: np.ndarray
    real: np.ndarray
    samples: np.ndarray
    distinct: int


def atoms(real: np.ndarray, samples: np.ndarray) -> Atoms:
    """Exact values that at least 1% of either side has.

    Args:
        real: (n,) none missing.
        samples: (m,).
    """
    known = np.unique(np.concatenate([real, samples]))
    counts = [np.bincount(np.searchsorted(known, side), minlength=len(known)) for side in (real, samples)]
    often = np.flatnonzero(np.maximum(counts[0] / len(real), counts[1] / len(samples)) >= ATOM)
    often = often[np.argsort(-counts[0][often], kind="stable")]
    return Atoms(known[often], counts[0][often], counts[1][often], len(known))


def _shares(column: Column, real: np.ndarray, samples: np.ndarray) -> Iterator[Weighed]:
    """Values and levels whose shares are lost or badly off: one finding for what lacks, one for what is too frequent."""
    found = atoms(real, samples)
    if not len(found.values):
        return
    known, expected, seen = found.values, found.real / len(real), found.samples / len(samples)
    pairs = zip(found.real, found.samples, strict=True)
    least = np.log(1e3 * found.distinct)  # any of them may be the most surprising one
    off = np.array([surprise(int(a), len(real), int(b), len(samples)) > least for a, b in pairs])
    name = "level" if column.is_category else "value"
    less, more = off & (seen < expected / OFF), off & (seen > expected * OFF)
    if less.any():
        yield _value_finding(f"lost {name}", column, known[less], expected[less], seen[less])
    if more.any():
        yield _value_finding(f"too frequent {name}", column, known[more], expected[more], seen[more])


def _value_finding(name: str, column: Column, known: np.ndarray, expected: np.ndarray, seen: np.ndarray) -> Weighed:
    worst = int(np.abs(expected - seen).argmax())
    words = (
        f"{column.name}: {column.says(known[worst])} in {percent(expected[worst])} of the real rows and "
        f"{percent(seen[worst])} of the samples"
    )
    if len(known) > 1:
        words += f"; with {len(known) - 1} others {percent(expected.sum())} and {percent(seen.sum())}"
    return 0.5 + abs(float((expected - seen).sum())) / 2, Finding(name, words)


def _range(column: Column, real: np.ndarray, samples: np.ndarray) -> Iterator[Weighed]:
    """Samples far beyond the smallest and largest real value, or more of them beyond than chance puts there."""
    low, high = float(real.min()), float(real.max())
    with np.errstate(invalid="ignore"):
        outside = (samples < low) | (samples > high)
    if not outside.any():
        return
    far = outside & (_beyond(real, samples) > 0)
    expected = 2 * len(samples) / (len(real) + 1)
    limits = sum((real == end).sum() >= max(EXTREMES, ATOM * len(real)) for end in (low, high))
    many = outside.sum() > 10 + 5 * expected or (limits == 2 and outside.mean() > 0.005)
    if not far.any() and not many:
        return
    which = far if far.any() else outside
    row = int(np.flatnonzero(which)[np.argmax(np.abs(samples[which] - np.median(real)))])
    seen = (
        f"{column.name}: {percent(float(outside.mean()))} of the samples lie outside [{column.says(low)}, "
        f"{column.says(high)}], the range of the real rows; row {row}, counted from 0, has {column.says(samples[row])}"
    )
    yield 0.55 + float(outside.mean()) / 2, Finding("out of range", seen)


def _beyond(real: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """How far values lie beyond what the tails of real rows allow: positive where too far.

    On the scale asinh((x - median) / deviation), on which heavy tails fall off as exponentials: beyond the largest real
    value by more than twelve times the mean excess of the ten most extreme (Hill 1975) on the heavier side, more if there
    are more samples than real rows, and by .7, about a factor of two.
    """
    middle = float(np.median(real))
    low, high = np.quantile(real, [0.1, 0.9])
    scale = (high - low) / 2.563 if high > low else (float(real.std()) or max(abs(middle), 1.0))
    known, asked = (np.arcsinh((side - middle) / scale) for side in (real, samples))
    found, times = np.full(len(samples), -np.inf), 12 + np.log(max(1.0, len(samples) / len(real)))
    tails = {sign: np.sort(sign * known)[::-1][: EXTREMES + 1] for sign in (1.0, -1.0)}
    excess = max(float((tail[:-1] - tail[-1]).mean()) if len(tail) > 1 else 0.0 for tail in tails.values())
    for sign, tail in tails.items():
        found = np.fmax(found, sign * asked - tail[0] - max(0.7, times * excess))
    return found


def decimals(values: np.ndarray) -> int | None:
    """Least number of decimals, 0 to 6, that all values have room in; None: they have more."""
    for places in range(DECIMALS + 1):
        if _fits(values, places).all():
            return places
    return None


def _fits(values: np.ndarray, places: int) -> np.ndarray:
    """Whether values are multiples of the power of ten, up to single precision."""
    grid = np.round(values, places)
    return np.abs(values - grid) <= np.minimum(2e-7 * np.abs(values), 10.0**-places / 100)


def _decimals(column: Column, real: np.ndarray, samples: np.ndarray) -> Iterator[Weighed]:
    places = decimals(real)
    if places is None or len(real) < 20 or (places > CENTS and 10.0**-places < WIDE_STEP * real.std()):
        return
    more = float((~_fits(samples, places)).mean())
    if more > 0.02:
        what = "all real values are whole numbers" if places == 0 else f"all real values have at most {places} decimals"
        yield (
            0.4 + more / 2,
            Finding("decimals", f"{column.name}: {what}, and {percent(more)} of the samples have more"),
        )
