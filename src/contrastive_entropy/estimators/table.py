"""A scikit-learn estimator of tables: fit a DataFrame, draw more rows like it, fill its gaps."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_feature_names, _check_sample_weight, check_array, check_is_fitted

from contrastive_entropy.data.columns import IGNORED, KEY
from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.data.mixed_dataset import LEAST_ROWS
from contrastive_entropy.errors import InputError
from contrastive_entropy.estimators.fitting import asked, fitted, seed_of
from contrastive_entropy.estimators.forms import ARRAY, PANDAS, POLARS, as_pandas, form_of, in_form
from contrastive_entropy.models.table import TABLE, TableSettings
from contrastive_entropy.models.table import sample as sample_rows
from contrastive_entropy.models.table.imputing import best_guess, imputations
from contrastive_entropy.models.table.step import log_likelihood


class TableGenerator(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model of a table of text, dates, numbers and missing values, as `contrastive-entropy fit table` trains it.

    Args:
        columns: kinds of columns by name, where they are not what was found: number, count, category, date, key, ignore.
        objective: with its options, as in `TableSettings`, and so are all up to dropout.
        steps: optimiser steps; None is chosen by the number of rows.
        batch_size: rows per step.
        learning_rate: of Adam.
        width, depth: of the network.
        dropout: share of the hidden features that a step leaves out.
        settings: further fields of `TableSettings` by name, e.g. {"decay_fraction": 0.5}.
        accelerator: as Lightning's Trainer takes it.
        verbose: show progress on standard error.
        random_state: int, RandomState or None, of weights, batches and samples; the same int gives the same bits.

    Attributes:
        schema_: the columns and what is known of them.
        notes_: what was assumed of the columns, a sentence each.
        history_: steps, objective ... of every tenth step, an array each.
        network_: the trained network.
        n_features_in_, feature_names_in_: as in scikit-learn.

    >>> people = pd.DataFrame({"age": [31, 42, 25, 58] * 10, "city": ["Ulm", "Jena", "Ulm", None] * 10})
    >>> model = TableGenerator(steps=20, random_state=0).fit(people)
    >>> model.sample(3).columns.tolist()
    ['age', 'city']
    """

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        objective: str = "log_likelihood",
        steps: int | None = None,
        batch_size: int = 512,
        learning_rate: float = 2e-3,
        width: int | None = None,
        depth: int = 2,
        dropout: float | None = None,
        settings: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.columns = columns
        self.objective = objective
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.settings = settings
        self.accelerator = accelerator
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: None = None, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Train.

        Args:
            X: n >= 10 rows: a DataFrame of pandas or polars with columns of any kind, or an array of numbers, in which NaN
                is a missing value.
            y: not used.
            sample_weight: (n,) how often each row counts; None: all the same.

        Raises:
            ValueError: X, a weight or a parameter cannot be used.
            TrainingError: a loss or a gradient is not finite.
            KeyboardInterrupt: Ctrl-C, at the end of the step.
        """
        table = self._table(X, reset=True)
        weights = None
        if sample_weight is not None:
            weights = torch.from_numpy(
                np.asarray(_check_sample_weight(sample_weight, table, dtype=np.float64, ensure_non_negative=True))
            )
            if not bool(weights.sum() > 0):
                raise InputError("sample_weight must hold a positive weight, and all are 0")
        schema, notes = MixedTable.of(table, self.columns)
        train = Part(schema.numbers(table), weights=weights)
        settings = TableSettings("X", seed=seed_of(self.random_state), **asked(TABLE, self.get_params(), self.settings))
        dataset = Dataset("X", train, train, schema, notes=notes)
        network, history = fitted(TABLE, settings, dataset, accelerator=self.accelerator, verbose=self.verbose)
        self.network_, self.history_, self.schema_, self.notes_ = network, history, schema, notes
        return self

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Draw rows.

        Args:
            n_samples: n >= 1.
            given: values that all rows have, by column; the others are drawn given these.
            random_state: of the draws; None is the estimator's.

        Returns:
            n rows in the form of X: a DataFrame of the same columns, types and categories, or an array (n, d).

        Raises:
            ValueError: n_samples < 1, or a value that a column cannot have.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        if n_samples < 1:
            raise InputError(f"n_samples must be at least 1, got {n_samples}")
        seed = self._seed(random_state)
        rows = None if given is None else self.schema_.row(given).expand(n_samples, -1)
        points = sample_rows(
            self.network_, self._no_data, n_samples, generator=torch.Generator().manual_seed(seed), given=rows
        )
        return self._out(self.schema_.frame(points, seed=seed))

    def impute(
        self,
        X: Any,  # noqa: N803
        n_imputations: int | None = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Fill the missing values of rows.

        Args:
            X: n rows with the columns of the fit.
            n_imputations: so many completed tables, whose spread is what is not known; None: one, of the best value of each
                cell.
            random_state: of the draws; None is the estimator's.

        Returns:
            The completed rows in the form of X, or a list of them.

        Raises:
            ValueError: no value is missing, or X does not fit what was learnt.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        if n_imputations is not None and n_imputations < 1:
            raise InputError(f"n_imputations must be at least 1, got {n_imputations}")
        table = self._table(X, reset=False)
        if n_imputations is None:
            return self._out(best_guess(self.network_, table))
        completed = imputations(self.network_, table, n_imputations, seed=self._seed(random_state))
        return [self._out(one) for one in completed]

    def score(self, X: Any, y: None = None) -> float:  # noqa: N803
        """Mean log-likelihood of the rows, nats a row: probabilities of the cells into which each column is divided.

        Compares fits of the same columns and the same training rows; higher is better.

        Args:
            X: n rows with the columns of the fit.
            y: not used.

        Raises:
            ValueError: X does not fit what was learnt.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        return float(log_likelihood(self.network_, self.schema_.numbers(self._table(X, reset=False))).mean())

    def _seed(self, random_state: int | np.random.RandomState | None) -> int:
        return int(check_random_state(self.random_state if random_state is None else random_state).randint(2**31))

    def _table(self, X: Any, *, reset: bool) -> pd.DataFrame:  # noqa: N803
        """X as a DataFrame of pandas, and what scikit-learn wants to know of it."""
        if not reset:
            check_is_fitted(self, "network_")
        form = form_of(X)
        types = dict(X.schema) if form == POLARS else {}
        X = as_pandas(X)
        if form == ARRAY:
            X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", estimator=self, input_name="X")
        _check_feature_names(self, X, reset=reset)
        if reset:
            self.n_features_in_, self._form, self._types = X.shape[1], form, types or {}
            self._names = {str(name): name for name in X.columns} if form == "pandas" else {}
        elif X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                "input"
            )
        if len(X) < (LEAST_ROWS if reset else 1):
            raise ValueError(
                f"Found array with {len(X)} sample(s) (shape={X.shape}) while a minimum of {LEAST_ROWS} is required"
            )
        if form == ARRAY:
            X = pd.DataFrame(X, columns=[f"x{index}" for index in range(X.shape[1])])
        return X.rename(columns=str)

    def _out(self, table: pd.DataFrame) -> Any:
        """A table in the form in which X was given, with its names and types."""
        if self._form == ARRAY:
            return in_form(table, self._form)
        if self._form == PANDAS:
            return table.rename(columns=self._names)
        found = in_form(table, self._form)
        same = [
            name for name in found.columns if self.schema_.kinds[name] not in (KEY, IGNORED)
        ]  # new keys may not fit
        return found.with_columns(found[name].cast(self._types[name], strict=False) for name in same)

    @staticmethod
    def _no_data() -> Dataset:
        raise AssertionError("rows are drawn without data")

    def __sklearn_tags__(self) -> Any:
        """Missing values and text are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
