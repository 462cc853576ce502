"""Rows in the form in which they were given: an array, or a DataFrame of pandas or polars."""

from typing import Any

import numpy as np
import pandas as pd

from contrastive_entropy.errors import InputError

ARRAY, PANDAS, POLARS = "array", "pandas", "polars"


def form_of(X: Any) -> str:  # noqa: N803  # scikit-learn's name
    """In which form rows come.

    >>> form_of(np.zeros((3, 2)))
    'array'
    """
    if isinstance(X, pd.DataFrame):
        return PANDAS
    return POLARS if type(X).__module__.split(".")[0] == "polars" and hasattr(X, "to_pandas") else ARRAY


def as_pandas(X: Any) -> Any:  # noqa: N803
    """A DataFrame of polars as one of pandas; anything else as it is."""
    return X.to_pandas() if form_of(X) == POLARS else X


def in_form(table: pd.DataFrame, form: str) -> Any:
    """Rows as a form has them; an array is float64."""
    if form == POLARS:
        import polars

        return polars.from_pandas(table)
    return table if form == PANDAS else table.to_numpy(dtype=np.float64)


def number_types(table: pd.DataFrame) -> dict[str, Any]:
    """Types of the columns of numbers, by name.

    Raises:
        InputError: a column of anything else, or with missing values that numpy's numbers do not have.
    """
    for name in table.columns:
        if not (pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_bool_dtype(table[name])):
            raise InputError(
                f"X: column {name!r} holds {table[name].dtype}, expected numbers; TableGenerator learns tables with text, "
                "dates and missing values"
            )
    return {name: table[name].dtype for name in table.columns}


def of_types(values: np.ndarray, types: dict[str, Any]) -> pd.DataFrame:
    """Numbers (n, d) as a table of these columns; whole numbers and truth values are rounded."""
    found = {}
    for (name, dtype), own in zip(types.items(), values.T, strict=True):
        if pd.api.types.is_bool_dtype(dtype):
            own = own > 0.5
        elif pd.api.types.is_integer_dtype(dtype):
            own = np.round(own)
        found[name] = pd.Series(own).astype(dtype)
    return pd.DataFrame(found)
