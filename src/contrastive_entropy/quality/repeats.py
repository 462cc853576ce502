"""Rows that real tables hold several times: oversampled classes, repeated records."""

import numpy as np

from contrastive_entropy.quality.kinds import Coded, row_codes

OFTEN = 0.2
"""Share of rows that must repeat others."""

MARK = 0.03
"""Share of rows beyond which one row is no record but marks and limits that fall together."""

LIKE_ROWS = 0.7
"""A number with so many distinct values per distinct row would not repeat by chance together with all others."""


def repeated_share(real: Coded) -> float:
    """Share of rows that repeat an earlier one although their numbers would not by chance.

    A number that has nearly as many values as there are distinct rows, beside other columns: whole records were repeated.
    A table of few levels repeats rows by chance and is none of this kind.

    Args:
        real: all real rows.

    Returns:
        In [0, 1); 0: no repeated records.
    """
    rows = real.distinct()
    times = np.unique(row_codes(real), return_counts=True)[1]
    share = float((times - 1)[times <= max(5, MARK * len(real))].sum()) / len(real)
    numbers = [place for place, column in enumerate(real.columns) if not column.is_category]
    if share < OFTEN or len(real.columns) < 2 or not numbers:
        return 0.0
    most = max(len(np.unique(rows.values[:, place])) for place in numbers)
    return share if most > LIKE_ROWS * len(rows) else 0.0


def distinct_if_repeated(real: Coded, *tables: Coded) -> tuple[Coded, ...]:
    """Tables with every row once where real rows are repeated records, else as they are.

    A classifier would know repeated rows of one fold in another.

    Args:
        real: all real rows.
        tables: to be compared by a classifier.
    """
    return tuple(table.distinct() for table in tables) if repeated_share(real) else tables
