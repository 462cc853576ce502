"""A judgement of a table as an evaluation, which terminal, JSON, pictures and the report render."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.metrics.diagnosis import Remedy
from contrastive_entropy.metrics.evaluation import MODEL, REFERENCE, Evaluation, Headline, Table
from contrastive_entropy.quality.judge import TABLE_METRICS, Judgement

READING = "how well trees tell samples from real rows; .5 is not at all, and real rows reach {real:.2f}."
"""How the headline is read."""

SHOWN = 6
"""Columns whose scores are shown, the worst first."""


def evaluation_of(
    judgement: Judgement,
    title: str,
    *,
    settings: Mapping[str, Any],
    remedies: Mapping[str, tuple[Remedy, ...]] | None = None,
    arrays: Mapping[str, Tensor] | None = None,
) -> Evaluation:
    """The evaluation of a table.

    Args:
        judgement: of it.
        title: what is compared, for people.
        settings: of the caller.
        remedies: what may help, by the name of a diagnosis.
        arrays: what pictures show.

    Returns:
        Evaluation with the tables `samples`, all figures, and `columns`, the scores of the worst columns.
    """
    figures, real = judgement.figures, judgement.real
    name = "detection" if "detection" in figures else "shapes"
    says = (
        READING.format(real=real[name])
        if name == "detection"
        else f"how like the columns are; real rows reach {real[name]:.3f}."
    )
    worst = judgement.columns.head(SHOWN)
    columns = {
        side: dict(zip(worst["name"], worst[column].astype(float), strict=True))
        for side, column in ((MODEL, "score"), (REFERENCE, "real"))
    }
    found = [dataclasses.replace(one, remedies=(remedies or {}).get(one.name, ())) for one in judgement.findings]
    return Evaluation(
        Headline(name, figures[name], says),
        (
            Table("samples", title, {MODEL: figures, REFERENCE: real}, TABLE_METRICS),
            Table("columns", "the columns least like the data's, 1 is exactly", columns),
        ),
        tuple(found),
        {**settings, "target": judgement.target},
        dict(arrays or {}),
        tuple(_notes(judgement)),
    )


def _notes(judgement: Judgement) -> list[str]:
    notes = ["real: real rows in the samples' place; those that were not trained on where it is about copying."]
    if judgement.target is not None and "utility" in judgement.figures:
        notes.append(f"utility is of {judgement.target}; `target` chooses another column.")
    if "copies" not in judgement.figures:
        notes.append("Nothing is said of copying: `training` names the rows that were trained on.")
    return [*notes, *judgement.notes]


def pair_arrays(judgement: Judgement, names: tuple[str, ...]) -> dict[str, Tensor]:
    """(d, d) scores of pairs of columns, of samples and of real rows; NaN where there is none."""
    found = {}
    for array, column in (("pair_scores", "score"), ("pair_scores_real", "real")):
        scores = np.full((len(names), len(names)), np.nan)
        for a, b, score in zip(
            judgement.pair_scores["a"], judgement.pair_scores["b"], judgement.pair_scores[column], strict=True
        ):
            scores[names.index(a), names.index(b)] = scores[names.index(b), names.index(a)] = score
        found[array] = torch.from_numpy(scores)
    return found
