"""Columns one by one, and two by two: as SDMetrics' column shapes and column pair trends score them."""

import itertools

import numpy as np
import pandas as pd

from contrastive_entropy.quality.rows import Rows

BINS = 10
"""Intervals of a number beside a category."""


def shape_score(samples: np.ndarray, data: np.ndarray, *, numeric: bool) -> float:
    """How like two columns are, 1 is exactly: 1 - Kolmogorov-Smirnov distance of numbers that are there, or 1 - total
    variation of levels, a missing one among them (SDMetrics: KSComplement, TVComplement).

    Args:
        samples, data: (m,) and (n,), NaN is missing.
        numeric: whether they have an order.

    >>> shape_score(np.array([0.0, 1.0]), np.array([1.0, 1.0]), numeric=True)
    0.5
    """
    if not numeric:
        return 1.0 - _variation(_codes(samples), _codes(data))
    ours, theirs = (np.sort(part[~np.isnan(part)]) for part in (samples, data))
    if not len(ours) or not len(theirs):
        return 1.0 if len(ours) == len(theirs) else 0.0
    at = np.concatenate([ours, theirs])
    return 1.0 - float(np.abs(_below(ours, at) - _below(theirs, at)).max())


def pair_score(
    samples: tuple[np.ndarray, np.ndarray], data: tuple[np.ndarray, np.ndarray], numeric: tuple[bool, bool]
) -> float:
    """How like the dependence of two columns is, 1 is exactly.

    1 - half the difference of the correlations of two numbers, or 1 - total variation of the joint table, of a number in
    ten equal intervals of the data's range (SDMetrics: CorrelationSimilarity, ContingencySimilarity).

    Args:
        samples, data: two columns each, NaN is missing.
        numeric: whether each has an order.
    """
    if all(numeric):
        ours, theirs = (_correlation(*pair) for pair in (samples, data))
        return float("nan") if np.isnan(theirs) else 1.0 - abs((0.0 if np.isnan(ours) else ours) - theirs) / 2
    joint = []
    for pair in (samples, data):
        codes = [_binned(own, data[side]) if numeric[side] else _codes(own) for side, own in enumerate(pair)]
        joint.append(codes[0] * 100_003 + codes[1])
    return 1.0 - _variation(joint[0], joint[1])


def shapes(samples: Rows, data: Rows) -> np.ndarray:
    """(c,) `shape_score` of every column."""
    pairs = zip(samples.values.T, data.values.T, data.numeric, strict=True)
    return np.array([shape_score(ours, theirs, numeric=numeric) for ours, theirs, numeric in pairs])


def pairs(samples: Rows, data: Rows) -> pd.DataFrame:
    """`pair_score` of every two columns: a, b, score; NaN where a correlation is not defined."""
    found = []
    for a, b in itertools.combinations(range(len(data.names)), 2):
        ours, theirs = ((rows.values[:, a], rows.values[:, b]) for rows in (samples, data))
        score = pair_score(ours, theirs, (data.numeric[a], data.numeric[b]))
        found.append((data.names[a], data.names[b], score))
    return pd.DataFrame(found, columns=["a", "b", "score"])


def _below(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of sorted values up to each place."""
    return np.searchsorted(values, at, side="right") / len(values)


def _codes(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), -1, values).astype(np.int64)


def _binned(values: np.ndarray, data: np.ndarray) -> np.ndarray:
    present = data[~np.isnan(data)]
    if not len(present):
        return _codes(values)
    edges = np.histogram_bin_edges(present, BINS)
    found = np.searchsorted(edges[1:-1], np.nan_to_num(values), side="right")
    return np.where(np.isnan(values), -1, found).astype(np.int64)


def _variation(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Total variation distance of two samples of codes."""
    _, codes = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    first, second = codes[: len(ours)], codes[len(ours) :]
    size = int(codes.max()) + 1
    shares = [np.bincount(part, minlength=size) / max(len(part), 1) for part in (first, second)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    both = ~np.isnan(first) & ~np.isnan(second)
    a, b = first[both], second[both]
    if len(a) < 2 or a.std() < 1e-12 * max(1.0, np.abs(a).max()) or b.std() < 1e-12 * max(1.0, np.abs(b).max()):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
