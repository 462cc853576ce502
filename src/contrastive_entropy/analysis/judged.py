"""What `quality` says of the rows of a table, as an evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contrastive_entropy.data.arrays import reason
from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.catalog import AS_REAL, HIGH, LOW, Metric
from contrastive_entropy.metrics.diagnosis import Diagnosis
from contrastive_entropy.metrics.evaluation import MODEL, REFERENCE, Evaluation, Headline, Table
from contrastive_entropy.quality import Judgement

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
"""Of files that are read as tables."""

READING = "area under the curve of a classifier that tells samples from real rows; .5 is a coin's toss, 1 never wrong."
"""How the headline of a judged table is read."""


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


def is_table(source: str | Path) -> bool:
    """Whether this names a file that is read as a table."""
    return str(source).lower().endswith(SUFFIXES) and Path(source).is_file()


def read_table(path: str | Path) -> pd.DataFrame:
    """A file of mixed columns: the one place where `analysis` reads them.

    Args:
        path: of `SUFFIXES`; the first line of text names the columns unless all of it are numbers.

    Returns:
        Its rows; columns without names are numbered from 0.

    Raises:
        InputError: a file that cannot be read.
    """
    name = str(path).lower()
    try:
        if name.endswith(".parquet"):
            return pd.read_parquet(path)
        settings = {"sep": "\t" if ".tsv" in name else ",", "encoding": "utf-8-sig"}
        first = pd.read_csv(path, header=None, nrows=1, **settings)
        unnamed = all(map(pd.api.types.is_numeric_dtype, first.dtypes)) and not first.isna().any(axis=None)
        return pd.read_csv(path, header=None if unnamed else 0, low_memory=False, **settings)
    except Exception as error:  # damaged files make the readers raise nearly any type
        raise InputError(
            f"{path}: not a readable table ({reason(error)}); expected one of {', '.join(SUFFIXES)}"
        ) from error


def is_numeric(table: pd.DataFrame) -> bool:
    """Whether all columns are numbers, none missing or infinite: what a comparison of points needs."""
    kinds = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in table.dtypes]
    return all(kinds) and bool(np.isfinite(table.to_numpy(float, na_value=np.nan)).all())


def judged(judgement: Judgement, title: str) -> tuple[Table, list[Diagnosis], list[str]]:
    """The judgement's table, diagnoses and notes, as parts of an evaluation."""
    known = {MODEL: judgement.figures, REFERENCE: judgement.real}
    found = [Diagnosis(one.name, one.seen) for one in judgement.findings]
    return Table("rows", title, known, JUDGED), found, judgement.notes


def evaluation(judgement: Judgement, title: str, settings: dict[str, Any]) -> Evaluation:
    """A judgement by itself: of tables that are no points.

    Args:
        judgement: of the samples.
        title: what is compared, for people.
        settings: of the caller.
    """
    table, found, notes = judged(judgement, title)
    name = "detection" if "detection" in judgement.figures else "shapes"
    says = READING if name == "detection" else "mean over columns; 1: every column is as in real rows."
    headline = Headline(name, judgement.figures[name], says)
    return Evaluation(headline, (table,), tuple(found), settings, notes=tuple(notes))
