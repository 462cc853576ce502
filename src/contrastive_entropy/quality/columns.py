"""Every column by itself: whether its values, levels and missing values are as frequent as in real rows."""

import numpy as np

from contrastive_entropy.quality.kinds import MOMENT, Coded, Column

DIGITS = 14
"""Decimals to which numbers are rounded before they are compared, as sdmetrics does."""


def ks_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest distance of two empirical distribution functions: Kolmogorov and Smirnov's statistic.

    Args:
        first: (n,) numbers, n >= 1.
        second: (m,), m >= 1.

    Returns:
        In [0, 1]. O((n + m) log(n + m)) time.

    >>> ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    0.5
    """
    first, second = np.sort(first), np.sort(second)
    places = np.concatenate([first, second])
    below = np.searchsorted(first, places, side="right") / len(first)
    return float(np.abs(below - np.searchsorted(second, places, side="right") / len(second)).max())


def variation(first: np.ndarray, second: np.ndarray) -> float:
    """Total variation distance of two empirical laws: half the sum of the differences of all shares.

    Args:
        first: (n,) codes from 0.
        second: (m,).

    Returns:
        In [0, 1].

    >>> variation(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 2]))
    0.5
    """
    size = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(side.astype(np.int64), minlength=size) / len(side) for side in (first, second)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def variation_of_chance(first: np.ndarray, second: np.ndarray) -> float:
    """About the total variation distance that two such samples of one law have by chance.

    Half the sum of the mean absolute differences of shares, each taken as normal.

    Args:
        first: (n,) codes from 0.
        second: (m,).

    Returns:
        At least 0.
    """
    size = int(max(first.max(), second.max())) + 1
    counts = sum(np.bincount(side.astype(np.int64), minlength=size) for side in (first, second))
    share = np.asarray(counts) / (len(first) + len(second))
    return float(np.sqrt(2 / np.pi * share * (1 - share) * (1 / len(first) + 1 / len(second))).sum() / 2)


def with_missing(codes: np.ndarray, levels: int) -> np.ndarray:
    """Codes in which missing, NaN, is a level of its own: the last one."""
    return np.where(np.isnan(codes), levels, codes).astype(np.int64)


def shape_score(column: Column, real: np.ndarray, samples: np.ndarray) -> float:
    """How alike one column is on both sides.

    Numbers and dates: (1 - KS) of the values that are there, times 1 - |difference of the shares of missing values|.
    Categories: 1 - total variation distance, missing being a level. Without missing values these are KSComplement and
    TVComplement of sdmetrics (https://docs.sdv.dev/sdmetrics), which leaves missing values out.

    Args:
        column: what it is.
        real: (n,) coded values; NaN is missing.
        samples: (m,).

    Returns:
        In [0, 1]; 1: equal laws.
    """
    if column.is_category:
        size = len(column.levels)
        return 1 - variation(with_missing(real, size), with_missing(samples, size))
    absent = [float(np.isnan(side).mean()) for side in (real, samples)]
    present = [np.round(side[~np.isnan(side)], DIGITS) for side in (real, samples)]
    empty = [not len(side) for side in present]
    if any(empty):
        return float(all(empty))
    return (1 - ks_distance(*present)) * (1 - abs(absent[0] - absent[1]))


def shape_scores(real: Coded, samples: Coded) -> np.ndarray:
    """(d,) `shape_score` of every column; their mean is the figure `shapes`."""
    return np.array(
        [
            shape_score(column, real.values[:, place], samples.values[:, place])
            for place, column in enumerate(real.columns)
        ]
    )


def chance_of_shape(column: Column, real: np.ndarray, samples: np.ndarray) -> float:
    """About the most that 1 - `shape_score` is by chance, of two samples of one law.

    Args:
        column: what it is.
        real: (n,) coded values.
        samples: (m,).

    Returns:
        At least 0: passed by about one of ten thousand. Kolmogorov's bound of the distance of numbers; of categories the
        mean variation by chance and McDiarmid's bound of what is beyond.
    """
    if column.is_category:
        size = len(column.levels)
        return variation_of_chance(with_missing(real, size), with_missing(samples, size)) + beyond_chance(real, samples)
    return beyond_chance(real[~np.isnan(real)], samples[~np.isnan(samples)])


def beyond_chance(first: np.ndarray, second: np.ndarray) -> float:
    """2.2 sqrt(1/n + 1/m), for n and m values: a bound that about one of ten thousand distances passes."""
    return float(2.2 * np.sqrt(1 / max(1, len(first)) + 1 / max(1, len(second))))


def difference_in_words(column: Column, real: np.ndarray, samples: np.ndarray) -> str:
    """What differs most in a column.

    Args:
        column: what it is.
        real: (n,) coded values.
        samples: (m,).

    Returns:
        Of categories the level whose shares differ most; of numbers medians and central 90% ranges.
    """
    if column.is_category:
        size = len(column.levels)
        shares = [np.bincount(with_missing(side, size), minlength=size + 1) / len(side) for side in (real, samples)]
        worst = int(np.abs(shares[0] - shares[1]).argmax())
        value = column.says(np.nan if worst == size else worst)
        return f"{value} in {shares[0][worst]:.1%} of the real rows, {shares[1][worst]:.1%} of the samples"
    words = [_middle(column, side) for side in (real, samples)]
    absent = [float(np.isnan(side).mean()) for side in (real, samples)]
    more = f"; missing {absent[0]:.1%} and {absent[1]:.1%}" if max(absent) > 0 else ""
    return f"real {words[0]}, samples {words[1]}{more}"


def _middle(column: Column, values: np.ndarray) -> str:
    present = values[~np.isnan(values)]
    if not len(present):
        return "all missing"
    low, middle, high = np.quantile(present, [0.05, 0.5, 0.95])
    if column.kind == "date":
        shown = [column.says(value) for value in (middle, low, high)]
        middle, low, high = (one[:10] if column.dates == MOMENT else one.split(".")[0] for one in shown)
        return f"median {middle} ({low} to {high})"
    return f"median {middle:.4g} ({low:.4g} to {high:.4g})"
