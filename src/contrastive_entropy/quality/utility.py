"""Whether what is learnt from samples holds on real rows: train on samples, test on held-out rows."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

from contrastive_entropy.quality.detection import boosted_features
from contrastive_entropy.quality.kinds import Coded

ROWS = 10_000
"""Most rows that are learnt from, and most that are tested on."""

MOST_CLASSES = 12
"""Levels of a target beyond which the rarest count as one."""

LEAST = 20
"""Rows below which nothing is learnt."""


def utility(learn: Coded, test: Coded, place: int, *, rng: np.random.Generator, rows: int = ROWS) -> float:
    """How well a column is predicted from the others on held-out rows, learnt from other rows.

    Train on synthetic, test on real (Esteban et al., arXiv 1706.02633) with histogram gradient boosting. Rows without the
    target are left out.

    Args:
        learn: rows that are learnt from: samples, or training rows in their place.
        test: held-out rows.
        place: of the target.
        rng: of the rows that are drawn.
        rows: most that are learnt from.

    Returns:
        Area under the ROC curve of a target with two values, accuracy of a category with more, R^2 of a number. NaN: too
        few rows or columns, or the held-out rows have only one value.
    """
    sides = [_present(side, place).draw(count, rng) for side, count in ((learn, min(rows, ROWS)), (test, ROWS))]
    if min(len(side) for side in sides) < LEAST or len(learn.columns) < 2:
        return float("nan")
    kinds = [kind for at, kind in enumerate(boosted_features(learn)[1]) if at != place]
    known, asked = (np.delete(boosted_features(side)[0], place, axis=1) for side in sides)
    most = MOST_CLASSES if learn.columns[place].is_category else np.inf
    target, truth = (np.minimum(side.values[:, place], most) for side in sides)
    levels = np.unique(np.concatenate([target, truth]))
    if len(np.unique(truth)) < 2:
        return float("nan")
    settings = {"categorical_features": kinds, "early_stopping": False, "random_state": int(rng.integers(2**31))}
    if len(levels) > 2 and not learn.columns[place].is_category:
        center, scale = float(np.mean(truth)), float(np.std(truth))
        model = HistGradientBoostingRegressor(**settings).fit(known, (target - center) / scale)
        return float(r2_score((truth - center) / scale, model.predict(asked)))
    if len(np.unique(target)) < 2:
        return 0.5 if len(levels) == 2 else float((truth == target[0]).mean())
    model = HistGradientBoostingClassifier(max_iter=60, **settings).fit(known, target)
    if len(levels) > 2:
        return float(accuracy_score(truth, model.predict(asked)))
    return float(roc_auc_score(truth == levels[1], model.predict_proba(asked)[:, 1]))


def _present(side: Coded, place: int) -> Coded:
    return side.take(~np.isnan(side.values[:, place]))
