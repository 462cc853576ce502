"""What fails of a table that stands for another, in words: lost values, values out of range, copies ..."""

from collections.abc import Iterator

import numpy as np

from contrastive_entropy.metrics.diagnosis import Diagnosis
from contrastive_entropy.quality.rows import Rows

TOLD = 0.75
"""Area under the ROC curve above which trees are said to tell samples from real rows."""

UNLIKE, PAIRS_UNLIKE = 0.1, 0.1
"""Shares of a column's score, and of the mean score of pairs, lost against real rows before it is said."""

HEAVY = 0.01
"""A value or level that so many real rows have exactly must be there."""

TIMES, DEVIATIONS = 3.0, 5.0
"""A share is off if it is beyond so many times the real one, and beyond so many standard errors."""

EXACT, EXACT_LOST = 0.5, 0.5
"""Share of repeated values from which on a number has exact values, and the share of them that samples may lose."""

MISSING_OFF = 0.1
"""Difference of the shares of missing values that is said."""

OUTSIDE = 1.0
"""A value is out of range if it lies beyond the data by more of their range than this."""


def values_lost(samples: Rows, data: Rows) -> Iterator[Diagnosis]:
    """Values and levels of at least 1% of the real rows whose share among the samples is far off.

    Args:
        samples: looked at.
        data: all real rows.
    """
    for index, name in enumerate(data.names):
        theirs, ours = data.values[:, index], samples.values[:, index]
        values, counts = np.unique(theirs[~np.isnan(theirs)], return_counts=True)
        heavy = counts >= max(HEAVY * len(theirs), 5)
        for value, count in zip(values[heavy], counts[heavy], strict=True):
            real, share = count / len(theirs), float((ours == value).mean())
            error = np.sqrt(real * (1 - real) * (1 / len(ours) + 1 / len(theirs)))
            times = max(real, 1e-12) / max(share, 1e-12)
            if abs(real - share) > DEVIATIONS * error and not 1 / TIMES <= times <= TIMES:
                yield Diagnosis(
                    "lost value",
                    f"{name} = {_shown(data, index, value)}: {real:.1%} of real rows, {share:.1%} of samples",
                )


def values_unknown(samples: Rows, data: Rows) -> Iterator[Diagnosis]:
    """Levels that no real row has."""
    for index, name in enumerate(data.names):
        if data.numeric[index]:
            continue
        unknown = (samples.values[:, index] >= data.levels(index) - 1).mean()
        if unknown > 0:
            yield Diagnosis("unknown values", f"{name}: {unknown:.1%} of the samples")


def exact_lost(samples: Rows, data: Rows) -> Iterator[Diagnosis]:
    """Numbers of which most real values repeat, where the samples' are other ones."""
    for index, name in enumerate(data.names):
        if not data.numeric[index]:
            continue
        theirs, ours = (rows.values[:, index] for rows in (data, samples))
        theirs, ours = theirs[~np.isnan(theirs)], ours[~np.isnan(ours)]
        if len(theirs) < 20 or not len(ours):
            continue
        halves = theirs[::2], theirs[1::2]
        real, share = float(np.isin(halves[1], halves[0]).mean()), float(np.isin(ours, theirs).mean())
        if real > EXACT and share < EXACT_LOST * real:
            yield Diagnosis(
                "exact values",
                f"{name}: {real:.0%} of real values are among other rows' values, {share:.0%} of samples'",
            )


def out_of_range(samples: Rows, data: Rows) -> Iterator[Diagnosis]:
    """Rows far outside the range of the real ones: all samples are looked at."""
    for index, name in enumerate(data.names):
        if not data.numeric[index]:
            continue
        theirs, ours = data.values[:, index], samples.values[:, index]
        if np.isnan(theirs).all():
            continue
        low, high = float(np.nanmin(theirs)), float(np.nanmax(theirs))
        margin = OUTSIDE * (high - low)
        out = np.flatnonzero((ours < low - margin) | (ours > high + margin))
        if len(out):
            first = _shown(data, index, ours[out[0]])
            seen = f"{name}: {len(out)} rows, the first is row {out[0]}, counted from 0, with {first}"
            yield Diagnosis(
                "out of range", f"{seen}; real rows hold {_shown(data, index, low)} to {_shown(data, index, high)}"
            )


def missing_off(samples: Rows, data: Rows) -> Iterator[Diagnosis]:
    """Columns whose share of missing values is off."""
    for index, name in enumerate(data.names):
        ours, theirs = (float(np.isnan(rows.values[:, index]).mean()) for rows in (samples, data))
        if abs(ours - theirs) > MISSING_OFF:
            yield Diagnosis("missing values", f"{name}: {theirs:.1%} of real rows, {ours:.1%} of samples")


def _shown(rows: Rows, index: int, value: float) -> str:
    """A value as people read it."""
    column = rows.schema.mixed[rows.learnt[index]]
    if not column.numeric:
        return repr(column.levels[int(value)])
    if column.kind == "date":
        return str(column.decode(np.array([value])).iloc[0])
    return f"{value + column.offset:g}"
