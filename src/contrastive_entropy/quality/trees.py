"""What trees say of samples: can they be told from real rows, and do they serve as training data."""

import warnings

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from contrastive_entropy.quality.rows import Rows, drawn

BOOSTED_ROWS, FOREST_ROWS = 8000, 4000
"""Rows of either side that are told apart, at most."""

FOLDS = 3

MOST_LEVELS = 250
"""Levels of a category that boosted trees split by; the rarer ones share one."""

FEW_LEVELS = 30
"""Levels that are still predicted as classes."""


def detection(samples: Rows, data: Rows, *, seed: int, forest: bool = False) -> float:
    """Area under the ROC curve of trees that tell samples from real rows they were not trained on; .5: they cannot.

    Args:
        samples, data: as many of either are taken.
        seed: of the trees and the folds.
        forest: a random forest instead of boosted trees.

    Returns:
        In [0, 1].
    """
    most = FOREST_ROWS if forest else BOOSTED_ROWS
    count = min(len(samples), len(data), most)
    ours, theirs = drawn(samples, count, seed), drawn(data, count, seed + 1)
    features = np.concatenate([_features(ours), _features(theirs)])
    labels = np.repeat([1, 0], [len(ours), len(theirs)])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    if forest:
        model = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed)
        features = np.nan_to_num(features, nan=-1e9)
    else:
        model = HistGradientBoostingClassifier(categorical_features=_categories(data), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))


def utility(train: Rows, test: Rows, target: int, *, seed: int) -> float:
    """How well boosted trees trained on some rows predict a column of others.

    Args:
        train: samples, or real rows.
        test: held-out rows.
        target: which of the columns.
        seed: of the trees.

    Returns:
        R^2 of a number; area under the ROC curve of two levels; accuracy of more; NaN where it cannot be learnt.
    """
    here, there = (rows.take(~np.isnan(rows.values[:, target])) for rows in (train, test))
    y, truth = here.values[:, target], there.values[:, target]
    numeric = test.numeric[target] and len(np.unique(truth)) > 2
    if len(np.unique(y)) < 2 or len(np.unique(truth)) < 2 or len(y) < 20:
        return float("nan")
    others = [index for index in range(len(test.names)) if index != target]
    if not others:
        return float("nan")
    x, x_test = (_features(rows)[:, others] for rows in (here, there))
    kinds = [_categories(test)[index] for index in others]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if numeric:
            regressor = HistGradientBoostingRegressor(categorical_features=kinds, random_state=seed).fit(x, y)
            return float(r2_score(truth, regressor.predict(x_test)))
        classifier = HistGradientBoostingClassifier(categorical_features=kinds, random_state=seed).fit(x, y)
        if len(np.unique(truth)) == 2:
            column = list(classifier.classes_).index(max(np.unique(truth))) if max(np.unique(truth)) in y else 0
            return float(roc_auc_score(truth == max(np.unique(truth)), classifier.predict_proba(x_test)[:, column]))
        return float(accuracy_score(truth, classifier.predict(x_test)))


def predictable(rows: Rows, target: int) -> bool:
    """Whether a column may be predicted: a number, or one of few levels."""
    return rows.numeric[target] or rows.levels(target) <= FEW_LEVELS + 1


def _features(rows: Rows) -> np.ndarray:
    found = rows.values.copy()
    for index, numeric in enumerate(rows.numeric):
        if not numeric:
            found[:, index] = np.minimum(found[:, index], MOST_LEVELS)
    return found


def _categories(rows: Rows) -> list[bool]:
    return [not numeric for numeric in rows.numeric]
