"""Every two columns together: whether they depend on each other as in real rows."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from contrastive_entropy.quality.columns import variation, variation_of_chance, with_missing
from contrastive_entropy.quality.kinds import Coded

BINS = 10
"""Of a number beside a category."""

CORRELATED, ASSOCIATED = 0.5, 0.3
"""Correlation and Cramer's V of real rows beyond which a pair is said to be strong, as in sdmetrics' report."""


def correlation(values: np.ndarray) -> np.ndarray:
    """Pearson correlations of all columns, each of the rows in which both are there.

    Args:
        values: (n, d); NaN is missing.

    Returns:
        (d, d); NaN where a column is constant or fewer than two rows are left.
    """
    if not len(values):
        return np.full((values.shape[1],) * 2, np.nan)
    if not np.isnan(values).any():
        centered = values - values.mean(0)
        scale = np.sqrt((centered**2).sum(0))
        scale[np.ptp(values, axis=0) == 0] = np.nan
        unit = centered / np.where(scale > 0, scale, np.nan)
        return np.clip(unit.T @ unit, -1, 1)
    found = np.full((values.shape[1],) * 2, np.nan)
    for a, b in combinations(range(values.shape[1]), 2):
        both = values[~np.isnan(values[:, [a, b]]).any(1)][:, [a, b]]
        if len(both) > 1:
            found[a, b] = found[b, a] = correlation(both)[0, 1]
    return found


def own_bins(values: np.ndarray) -> np.ndarray:
    """Numbers to one of ten bins of equal width over their own range, as sdmetrics' Column Pair Trends has it.

    Args:
        values: (n,); NaN is missing.

    Returns:
        (n,) int64 from 0 to 12: 12 is missing, which sdmetrics puts beside the largest value.
    """
    present = values[~np.isnan(values)]
    edges = np.histogram_bin_edges(present, BINS) if len(present) else np.zeros(1)
    return np.where(np.isnan(values), BINS + 2, np.digitize(values, edges)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class PairScores:
    """Of all pairs of columns.

    Args:
        places: (p, 2) of the columns, first < second.
        scores: (p,) in [0, 1]; NaN where a correlation is not defined.
        strong: (p,) whether the real rows depend strongly.
    """

    places: np.ndarray
    scores: np.ndarray
    strong: np.ndarray

    def mean(self, *, strong: bool = False) -> float:
        """Of the pairs that have a score, or of those that are strong; NaN: there are none."""
        chosen = self.scores[self.strong] if strong else self.scores
        chosen = chosen[~np.isnan(chosen)]
        return float(chosen.mean()) if len(chosen) else float("nan")


def pair_scores(real: Coded, samples: Coded) -> PairScores:
    """How alike pairs of columns are.

    Two numbers: 1 - |difference of their Pearson correlations| / 2. Else 1 - total variation distance of the joint
    table, numbers in ten bins over their own side's range, missing being a level. These are the scores of sdmetrics'
    Column Pair Trends (https://docs.sdv.dev/sdmetrics) but for missing numbers, which sdmetrics counts in the highest bin.

    Args:
        real: rows that the samples should look like.
        samples: rows.

    Returns:
        PairScores. O((n + m) d^2) time.
    """
    places = np.array(list(combinations(range(len(real.columns)), 2)), dtype=int).reshape(-1, 2)
    numeric = [not column.is_category for column in real.columns]
    both = [correlation(np.where(numeric, side.values, 0.0)) for side in (real, samples)]
    codes = [[_codes(side, place) for place in range(len(real.columns))] for side in (real, samples)]
    scores, strong = [], []
    for a, b in places:
        if numeric[a] and numeric[b]:
            scores.append(1 - abs(both[0][a, b] - both[1][a, b]) / 2)
            strong.append(abs(both[0][a, b]) > CORRELATED)
            continue
        width = 1 + int(max(side[b].max() for side in codes))
        joint = [side[a] * width + side[b] for side in codes]
        scores.append(1 - variation(*joint))
        strong.append(_cramer(codes[0][a], codes[0][b]) > ASSOCIATED)
    return PairScores(places, np.array(scores, dtype=float), np.array(strong, dtype=bool))


def _codes(side: Coded, place: int) -> np.ndarray:
    column, values = side.columns[place], side.values[:, place]
    return with_missing(values, len(column.levels)) if column.is_category else own_bins(values)


def _cramer(first: np.ndarray, second: np.ndarray) -> float:
    """Cramer's V of two codes; 0 where one of them is constant."""
    width = int(second.max()) + 1
    table = np.bincount(first * width + second, minlength=(int(first.max()) + 1) * width).reshape(-1, width)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(table.shape) < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    chi = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi / table.sum() / (min(table.shape) - 1)))


def quantile_codes(real: Coded, *sides: Coded) -> list[list[np.ndarray]]:
    """Columns as codes that outliers do not move: numbers in the ten bins that quantiles of real rows bound.

    Args:
        real: whose quantiles these are.
        sides: tables to be coded.

    Returns:
        Of every side, one (n,) int64 per column; missing is a level.
    """
    found: list[list[np.ndarray]] = [[] for _ in sides]
    for place, column in enumerate(real.columns):
        present = real.values[:, place][~np.isnan(real.values[:, place])]
        edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.zeros(0)
        for side, codes in zip(sides, found, strict=True):
            values = side.values[:, place]
            if column.is_category:
                codes.append(np.minimum(with_missing(values, len(column.levels)), 2 * BINS))
            else:
                codes.append(np.where(np.isnan(values), BINS + 1, np.searchsorted(edges, values)).astype(np.int64))
    return found


def excess(real: list[np.ndarray], samples: list[np.ndarray], a: int, b: int) -> float:
    """How far the joint law of two columns is off, beyond either column by itself and beyond chance.

    Args:
        real, samples: of `quantile_codes`.
        a, b: places of the columns.

    Returns:
        Total variation distance of the joint tables, less that of chance and the larger one of the two columns.
    """
    width = 1 + int(max(real[b].max(), samples[b].max()))
    joint = [side[a] * width + side[b] for side in (real, samples)]
    alone = max(variation(real[place], samples[place]) for place in (a, b))
    return variation(*joint) - variation_of_chance(*joint) - alone
