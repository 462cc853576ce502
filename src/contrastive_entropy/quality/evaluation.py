"""What `quality` says of the rows of a table, as an evaluation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contrastive_entropy.metrics.catalog import AS_REAL, HIGH, LOW, Metric
from contrastive_entropy.metrics.diagnosis import Diagnosis, Remedy
from contrastive_entropy.metrics.evaluation import MODEL, REFERENCE, Evaluation, Headline, Table
from contrastive_entropy.quality.judge import Judgement

READING = "how well trees tell samples from real rows; .5 is a coin's toss, and other real rows reach {real:.2f}."
"""How the headline of a judged table is read."""

SHOWN = 6
"""Columns whose scores are shown, the worst first."""


def _metric(name: str, says: str, goal: str) -> Metric[Any]:
    return Metric(name, says, lambda judgement: judgement.figures[name], goal)


JUDGED = (
    _metric("shapes", "columns by themselves, mean", HIGH),
    _metric("pairs", "two columns together, mean", HIGH),
    _metric("strong_pairs", "the same where real ones depend", HIGH),
    _metric("detection", "boosted trees tell samples", AS_REAL),
    _metric("forest_detection", "a forest tells samples", AS_REAL),
    _metric("utility", "learnt from samples", HIGH),
    _metric("missed", "data without a sample near", AS_REAL),
    _metric("uniqueness", "of keys", HIGH),
    _metric("copies", "equal to a training row", AS_REAL),
    _metric("near_copies", "within a hair of a training row", AS_REAL),
    _metric("nearer_to_training", "than to held-out rows", AS_REAL),
    _metric("membership", "tells who was trained on", LOW),
)
"""Figures of `quality.judge`, as `evaluate-samples` shows them."""


def is_numeric(table: pd.DataFrame) -> bool:
    """Whether all columns are numbers, none missing or infinite: what a comparison of points needs."""
    kinds = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in table.dtypes]
    return all(kinds) and bool(np.isfinite(table.to_numpy(float, na_value=np.nan)).all())


def judged(judgement: Judgement, title: str) -> tuple[Table, list[Diagnosis], list[str]]:
    """The judgement's table, diagnoses and notes, as parts of an evaluation."""
    known = {MODEL: judgement.figures, REFERENCE: judgement.real}
    found = [Diagnosis(one.name, one.seen) for one in judgement.findings]
    return Table("rows", title, known, JUDGED), found, judgement.notes


def evaluation(
    judgement: Judgement,
    title: str,
    settings: dict[str, Any],
    *,
    remedies: Mapping[str, tuple[Remedy, ...]] | None = None,
) -> Evaluation:
    """A judgement by itself: of tables that are no points.

    Args:
        judgement: of the samples.
        title: what is compared, for people.
        settings: of the caller.
        remedies: what may help, by the name of a diagnosis.
    """
    table, found, notes = judged(judgement, title)
    name = "detection" if "detection" in judgement.figures else "shapes"
    says = READING if name == "detection" else "mean over columns; 1: every column is as in real rows."
    headline = Headline(name, judgement.figures[name], says.format(real=judgement.real.get(name, 0.5)))
    diagnoses = tuple(dataclasses.replace(one, remedies=(remedies or {}).get(one.name, ())) for one in found)
    worst = judgement.columns.sort_values("score").head(SHOWN)
    sides = {
        side: dict(zip(map(str, worst["name"]), worst[column].astype(float), strict=True))
        for side, column in ((MODEL, "score"), (REFERENCE, "real"))
    }
    columns = Table("columns", "the columns least like the data's; 1 is exactly", sides)
    return Evaluation(headline, (table, columns), diagnoses, settings, notes=tuple(notes))


def pair_arrays(judgement: Judgement, names: tuple[str, ...]) -> dict[str, Tensor]:
    """(d, d) scores of pairs of columns, of samples and of real rows; NaN where there is none."""
    found = {}
    for array, column in (("pair_scores", "score"), ("pair_scores_real", "real")):
        scores = np.full((len(names), len(names)), np.nan)
        for a, b, score in zip(*(judgement.pair_scores[part] for part in ("a", "b", column)), strict=True):
            scores[names.index(a), names.index(b)] = scores[names.index(b), names.index(a)] = score
        found[array] = torch.from_numpy(scores)
    return found
