"""What a report of a table shows beyond figures and pictures: rows, what the columns were taken for, and privacy."""

from collections.abc import Sequence

import pandas as pd

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation, Listing, Section

ROWS, SHOWN_COLUMNS = 8, 12
"""Rows and columns that are shown."""

PRIVACY = """Copies, near copies, distances to training rows and a membership attack were looked at, each beside what
real rows that were not trained on reach. They are attacks that were tried; that they fail is no proof that others do.
The fit adds no noise of a known amount, so there is no guarantee of differential privacy. Levels of categories and values
that many rows share appear in samples as they stand in the data."""


def sections(run: Run, dataset: Dataset, evaluation: Evaluation) -> Sequence[Section]:
    """Rows of samples, what the columns were taken for, and what the figures say of privacy."""
    schema = dataset.schema
    assert isinstance(schema, MixedTable)
    made = schema.frame(evaluation.arrays["generated"][:ROWS])
    listings = [_rows("generated rows", made)]
    kinds = [(name, kind, details) for name, kind, details in schema.details()]
    return (
        Section("Rows", "Rows as `sample` writes them. Keys are new.", listings),
        Section(
            "Columns",
            "\n\n".join(dataset.notes),
            [Listing("what the columns were taken for", ("column", "kind", "values"), kinds)],
        ),
        Section("Privacy", " ".join(PRIVACY.split())),
    )


def _rows(title: str, table: pd.DataFrame) -> Listing:
    shown = table.iloc[:, :SHOWN_COLUMNS]
    rows = [["" if pd.isna(value) else str(value) for value in row] for row in shown.itertuples(index=False)]
    return Listing(title, list(map(str, shown.columns)), rows)
