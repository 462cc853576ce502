"""Distances between rows of mixed tables, and the nearest rows."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from contrastive_entropy.quality.kinds import Coded

LEVELS = 40
"""Levels of a category that have a coordinate of their own while the nearest row is looked for."""

APART = 1.0
"""What another level, or a missing value on one side, adds to a squared distance: as numbers one deviation apart."""

CENTRAL = 4.652
"""Standard deviations between the quantiles .01 and .99 of a normal law."""


def deviations(real: Coded) -> np.ndarray:
    """(d,) deviations of numbers that a few outliers do not move: their central 98% over 4.652; 1 for categories."""
    found = np.ones(len(real.columns))
    for place, column in enumerate(real.columns):
        present = real.values[:, place][~np.isnan(real.values[:, place])]
        if column.is_category or not len(present):
            continue
        low, high = np.quantile(present, [0.01, 0.99])
        spread = (high - low) / CENTRAL
        found[place] = spread if spread > 0 else (float(present.std()) or 1.0)
    return found


def scaled(table: Coded, real: Coded) -> Coded:
    """Numbers less the median of real rows, over their `deviations`."""
    kinds = np.array([column.is_category for column in table.columns])
    middle = np.where(kinds, 0.0, _medians(real))
    return Coded(table.columns, (table.values - middle) / np.where(kinds, 1.0, deviations(real)))


def ranked(table: Coded, real: Coded) -> Coded:
    """Numbers as the share of real values below them, ties counting half, as in Gower's distance by ranks.

    In [0, 1]; times sqrt(12), so that they have about deviation 1.
    """
    values = table.values.copy()
    for place, column in enumerate(table.columns):
        if column.is_category:
            continue
        known = np.sort(real.values[:, place][~np.isnan(real.values[:, place])])
        if len(known):
            ends = [np.searchsorted(known, values[:, place], side=side) for side in ("left", "right")]
            share = (ends[0] + ends[1]) / (2 * len(known))
            values[:, place] = np.where(np.isnan(values[:, place]), np.nan, share * np.sqrt(12))
    return Coded(table.columns, values)


def nearest(points: Coded, others: Coded, *, rank: int = 1) -> np.ndarray:
    """Distance from every row to its rank-th nearest one of others.

    The distance of two rows is the root of the mean over columns of squared differences; another level, or a value that
    is missing on one side, counts as 1.

    Args:
        points: (n) rows, `scaled` or `ranked`.
        others: (m) rows, m >= rank.
        rank: from 1; 2 leaves a row that is among the others out.

    Returns:
        (n,) distances, exact for the row found. O(n m d) time, linear memory.
    """
    finder = NearestNeighbors(n_neighbors=rank, algorithm="brute").fit(_coordinates(others))
    chosen = finder.kneighbors(_coordinates(points), return_distance=False)
    found = [distances(points.values, others.values[column], points) for column in chosen.T]
    return np.sort(np.stack(found), axis=0)[rank - 1]


def distances(first: np.ndarray, second: np.ndarray, table: Coded) -> np.ndarray:
    """(n,) distances of rows to rows in their order, as in `nearest`."""
    kinds = np.array([column.is_category for column in table.columns])
    absent = np.isnan(first), np.isnan(second)
    squares = np.where(kinds, APART * (first != second), (first - second) ** 2)
    squares = np.where(absent[0] | absent[1], APART * (absent[0] != absent[1]), squares)
    return np.sqrt(squares.mean(1))


def _coordinates(table: Coded) -> np.ndarray:
    """Points whose squared Euclidean distance is that of the rows, but for the rarest levels of large categories."""
    parts = []
    for place, column in enumerate(table.columns):
        values = table.values[:, place]
        absent = np.isnan(values)
        if column.is_category:
            levels = min(len(column.levels), LEVELS)
            codes = np.where(absent, -1, np.minimum(values, LEVELS - 1))
            hot = (codes[:, None] == np.arange(-1, levels)).astype(float)
            parts.append(hot * np.sqrt(APART / 2))
        else:
            parts.append(np.where(absent, 0.0, values)[:, None])
            parts.append(np.sqrt(APART) * absent[:, None].astype(float))
    return np.concatenate(parts, axis=1)


def _medians(real: Coded) -> np.ndarray:
    found = np.zeros(len(real.columns))
    for place in range(len(found)):
        present = real.values[:, place][~np.isnan(real.values[:, place])]
        found[place] = np.median(present) if len(present) else 0.0
    return found
