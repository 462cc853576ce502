"""Whether a classifier tells samples from real rows: .5 is a coin's toss, 1 is never wrong."""

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from contrastive_entropy.quality.kinds import Coded

BOOSTED_ROWS, FOREST_ROWS = 10_000, 5_000
"""Most rows a side that boosted trees and a forest learn from and are tested on."""

FOLDS = 3

LEAST = 15
"""Rows a side below which nothing is learnt."""

MOST_LEVELS = 250
"""Levels that boosted trees tell apart; the rarest share the last code."""

ONE_HOT = 10
"""Categories of at most so many levels have a column of a forest for each."""


def boosted_features(table: Coded) -> tuple[np.ndarray, list[bool]]:
    """(n, d) values with few enough codes for boosted trees, NaN being missing, and which columns are categories."""
    kinds = [column.is_category for column in table.columns]
    return np.where(kinds, np.minimum(table.values, MOST_LEVELS), table.values), kinds


def forest_features(table: Coded) -> np.ndarray:
    """(n, k) values for a forest: categories of few levels one-hot, of many their codes, by frequency; NaN is missing."""
    parts = []
    for place, column in enumerate(table.columns):
        values = table.values[:, place]
        if column.is_category and len(column.levels) <= ONE_HOT:
            parts.append((values[:, None] == np.arange(len(column.levels))).astype(float))
        else:
            parts.append(values[:, None])
    return np.concatenate(parts, axis=1)


def detection(real: Coded, samples: Coded, *, rng: np.random.Generator, rows: int = BOOSTED_ROWS) -> float:
    """How well gradient-boosted trees tell samples from real rows.

    The classifier two-sample test of Lopez-Paz and Oquab, arXiv 1610.06545, with histogram gradient boosting, which
    takes categories and missing values as they are: area under the ROC curve, mean over three folds.

    Args:
        real: rows.
        samples: rows.
        rng: of the rows that are drawn and the folds.
        rows: most that are drawn a side; equally many.

    Returns:
        In [0, 1]; NaN if there are fewer than 15 rows a side.
    """
    first, second, seed = _equal(real, samples, rows, rng)
    if len(first) < LEAST:
        return float("nan")
    kinds = boosted_features(first)[1]
    features = np.concatenate([boosted_features(side)[0] for side in (first, second)])
    trees = HistGradientBoostingClassifier(
        categorical_features=kinds, early_stopping=False, random_state=seed, max_iter=60
    )
    return _told_apart(trees, features, seed)


def forest_detection(real: Coded, samples: Coded, *, rng: np.random.Generator, rows: int = FOREST_ROWS) -> float:
    """How well a random forest of a hundred trees tells samples from real rows: it finds rounding, marks and limits.

    As `detection`, arXiv 1610.06545.

    Args:
        real: rows.
        samples: rows.
        rng: of the rows that are drawn and the folds.
        rows: most that are drawn a side; equally many.

    Returns:
        In [0, 1]; NaN if there are fewer than 15 rows a side.
    """
    first, second, seed = _equal(real, samples, rows, rng)
    if len(first) < LEAST:
        return float("nan")
    features = _single(np.concatenate([forest_features(side) for side in (first, second)]))
    return _told_apart(RandomForestClassifier(100, random_state=seed, n_jobs=-1), features, seed)


def _told_apart(classifier: Any, features: np.ndarray, seed: int) -> float:
    """Area under the ROC curve on rows not learnt from, mean over the folds; the second half of the rows are samples."""
    labels = np.repeat([0, 1], len(features) // 2)
    found = []
    for learn, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, labels):
        classifier.fit(features[learn], labels[learn])
        found.append(roc_auc_score(labels[test], classifier.predict_proba(features[test])[:, 1]))
    return float(np.mean(found))


def _single(features: np.ndarray) -> np.ndarray:
    """Shifted and scaled, as forests round to single precision: large offsets would hide differences."""
    with np.errstate(invalid="ignore"):
        present = np.where(np.isnan(features), 0.0, features)
    center = np.median(present, axis=0)
    spread = np.quantile(np.abs(present - center), 0.9, axis=0)
    return (features - center) / np.where(spread > 0, spread, 1.0)


def _equal(real: Coded, samples: Coded, rows: int, rng: np.random.Generator) -> tuple[Coded, Coded, int]:
    count = min(len(real), len(samples), rows)
    return real.draw(count, rng), samples.draw(count, rng), int(rng.integers(2**31))
