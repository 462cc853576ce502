"""What samples give away of the rows that were trained on, and what of the data they do not reach."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from contrastive_entropy.quality.rows import Rows, Scale, drawn

POINTS = 4000
"""Rows of a side between which distances are measured, at most."""

NEAR = 0.01
"""A row is a near copy of another where no number differs by more deviations of the bulk, and no category does."""

FAR = 0.99
"""A row is far from a set if it is farther than this share of real rows are from as many others."""


def distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) from each row (n, k) to the nearest of others (m, k)."""
    found: np.ndarray = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(rows)[0][:, 0]
    return found


def copies(rows: Rows, training: Rows) -> float:
    """Share of rows that equal a training row in all columns."""
    known = set(map(bytes, np.nan_to_num(training.values, nan=-1e300)))
    return float(np.mean([bytes(row) in known for row in np.nan_to_num(rows.values, nan=-1e300)]))


def near_copies(rows: Rows, training: Rows, scale: Scale) -> float:
    """Share of rows that are near copies of a training row, see `NEAR`."""
    tree = NearestNeighbors(n_neighbors=1, metric="chebyshev").fit(scale.points(training))
    return float((tree.kneighbors(scale.points(drawn(rows, POINTS, 0)))[0][:, 0] <= NEAR).mean())


def nearer_to_training(rows: Rows, training: Rows, held_out: Rows, scale: Scale) -> float:
    """Share of rows nearer to a training row than to a held-out one, of as many of both; .5 says nothing is given away.

    Rows as near to both count half.
    """
    count = min(len(training), len(held_out), POINTS)
    points = scale.points(drawn(rows, POINTS, 0))
    first, second = (distances(points, scale.points(drawn(part, count, 1))) for part in (training, held_out))
    return float((first < second).mean() + (first == second).mean() / 2)


def membership(rows: Rows, training: Rows, held_out: Rows, scale: Scale) -> float:
    """Area under the ROC curve of an attack: a row was trained on if a sample is near it; .5: it learns nothing."""
    count = min(len(training), len(held_out), POINTS)
    points = scale.points(rows)
    inside, outside = (distances(scale.points(drawn(part, count, 2)), points) for part in (training, held_out))
    labels = np.repeat([1, 0], [len(inside), len(outside)])
    return float(roc_auc_score(labels, -np.concatenate([inside, outside])))


@dataclass(frozen=True, eq=False)
class Missed:
    """Held-out rows that no sample comes near.

    Args:
        share: of the held-out rows.
        real: the same of real rows in the samples' place.
        rows: which, the farthest first.
    """

    share: float
    real: float
    rows: np.ndarray


def missed(samples: Rows, held_out: Rows, real: Rows, scale: Scale) -> Missed:
    """The share of held-out rows farther from all samples than 99% of them are from as many real rows.

    Args:
        samples, held_out: compared.
        real: other real rows, such as those that were trained on.
        scale: of distances.
    """
    count = min(len(samples), len(real), POINTS)
    points = scale.points(drawn(held_out, POINTS, 3))
    halves = [scale.points(drawn(real, 2 * count, 4).take(slice(side, None, 2))) for side in (0, 1)]
    near_real = [distances(points, half) for half in halves]
    radius = np.quantile(near_real[0], FAR)
    own = distances(points, scale.points(drawn(samples, len(halves[0]), 5)))
    far = np.flatnonzero(own > radius)
    return Missed(float((own > radius).mean()), float((near_real[1] > radius).mean()), far[np.argsort(-own[far])])
