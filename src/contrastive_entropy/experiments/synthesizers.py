"""What people use today to draw new rows of a table: each takes rows, fits, and draws, at its package's defaults."""

import importlib.metadata
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from contrastive_entropy.data.columns import MixedColumn
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.errors import InputError

MISSING = "missing"
"""Level of a missing category, and the ending of the name of a number's column that says whether it is missing."""

Drawn = Callable[[int], pd.DataFrame]
"""How many rows are wanted, to rows in the columns of a fit."""


@dataclass(frozen=True, eq=False)
class Plain:
    """A table as the packages want it: numbers without gaps, and text.

    A missing number is the mean of the others, and a column of text beside it says that it is missing; a missing
    category is a level of its own. Dates are numbers. Columns are named by their places in `learnt`.

    Args:
        frame: the rows.
        columns: of the schema that are learnt, in the order of the names.
    """

    frame: pd.DataFrame
    columns: tuple[MixedColumn, ...]

    @classmethod
    def of(cls, values: np.ndarray, schema: MixedTable) -> "Plain":
        """Rows (n, c) of the learnt columns, as `MixedTable.numbers` has them."""
        columns = tuple(column for column in schema.mixed if column.learnt)
        found: dict[str, np.ndarray] = {}
        for index, column in enumerate(columns):
            own, name = values[:, index], str(index)
            absent = np.isnan(own)
            if not column.numeric:
                codes = np.where(absent, -1, own).astype(np.int64)
                found[name] = np.where(absent, MISSING, codes.astype(str)).astype(object)
                continue
            filled = np.where(absent, own[~absent].mean() if not absent.all() else 0.0, own)
            found[name] = np.round(filled).astype(np.int64) if column.decimals == 0 else filled
            if absent.any():
                found[f"{name} {MISSING}"] = np.where(absent, "yes", "no").astype(object)
        return cls(pd.DataFrame(found), columns)

    @property
    def discrete(self) -> list[str]:
        """Names of the columns of text."""
        return [str(name) for name, own in self.frame.items() if not pd.api.types.is_numeric_dtype(own)]

    def values(self, drawn: pd.DataFrame) -> np.ndarray:
        """(n, c) of rows that were drawn in these columns; numbers with the decimals of the data, NaN is missing."""
        found = np.full((len(drawn), len(self.columns)), np.nan)
        for index, column in enumerate(self.columns):
            own, flags = drawn[str(index)], drawn.get(f"{index} {MISSING}")
            numbers = pd.to_numeric(own.astype(object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
            if column.numeric and column.decimals is not None:
                numbers = np.round(numbers, column.decimals)
            found[:, index] = numbers if flags is None else np.where(flags.astype(str) == "yes", np.nan, numbers)
        return found


Synthesizer = Callable[[Plain, int], Drawn]
"""(rows, seed) to what draws new ones."""


def independent(rows: Plain, seed: int) -> Drawn:
    """Values of each column by itself, drawn from those of the rows: right columns, and no dependences at all."""
    generator = np.random.default_rng(seed)

    def draw(count: int) -> pd.DataFrame:
        columns = {name: generator.choice(own.to_numpy(), count) for name, own in rows.frame.items()}
        return pd.DataFrame(columns)

    return draw


def gaussian_copula(rows: Plain, seed: int) -> Drawn:
    """A Gaussian copula as SDV sets it up: beta laws of the columns, categories as intervals as long as they are frequent.

    A category's number is uniform in its interval.
    """
    from copulas.multivariate import GaussianMultivariate
    from copulas.univariate import BetaUnivariate

    generator, numbers, intervals = np.random.default_rng(seed), rows.frame.copy(), {}
    for name in rows.discrete:
        shares = rows.frame[name].value_counts(normalize=True)
        ends = np.concatenate([[0.0], np.cumsum(shares.to_numpy())])
        intervals[name] = (shares.index.to_numpy(dtype=object), ends)
        codes = pd.Index(shares.index).get_indexer(rows.frame[name])
        numbers[name] = ends[codes] + shares.to_numpy()[codes] * generator.random(len(codes))
    model = GaussianMultivariate(distribution=BetaUnivariate, random_state=seed)
    model.fit(numbers.astype(np.float64))

    def draw(count: int) -> pd.DataFrame:
        drawn = model.sample(count)
        for name, (levels, ends) in intervals.items():
            places = np.searchsorted(ends, drawn[name].to_numpy(), side="right") - 1
            drawn[name] = levels[np.clip(places, 0, len(levels) - 1)]
        return pd.DataFrame(drawn)

    return draw


def ctgan(rows: Plain, seed: int) -> Drawn:
    """CTGAN (Xu et al. 2019, arXiv 1907.00503), as its package has it: 300 epochs."""
    from ctgan import CTGAN

    return _fitted(CTGAN(), rows, seed)


def tvae(rows: Plain, seed: int) -> Drawn:
    """TVAE of the same paper and package: 300 epochs."""
    from ctgan import TVAE

    return _fitted(TVAE(), rows, seed)


def _fitted(model: Any, rows: Plain, seed: int) -> Drawn:
    model.set_random_state(seed)
    model.fit(rows.frame, rows.discrete)
    draw: Drawn = model.sample
    return draw


def arf(rows: Plain, seed: int) -> Drawn:
    """Adversarial random forests (Watson et al. 2023, arXiv 2205.09435), as the package arfpy has them: 30 trees."""
    vars(np).setdefault("in1d", np.isin)  # arfpy calls it by the name that NumPy 2.4 dropped
    from arfpy import arf as package

    frame = rows.frame.assign(**{name: rows.frame[name].astype("category") for name in rows.discrete})
    frame.columns = range(frame.shape[1])  # it looks columns up by their places
    model = package.arf(frame, verbose=False, random_state=seed)
    model.forde()
    return lambda count: pd.DataFrame(model.forge(count)).set_axis(rows.frame.columns, axis=1)


def tabular_argn(rows: Plain, seed: int) -> Drawn:
    """TabularARGN (Tiwald et al. 2025, arXiv 2501.12012), as the package mostlyai-engine has it.

    Its protection of rare values is off: it costs likeness, and no other contender protects them.
    """
    from mostlyai.engine import TabularARGN

    kinds = {True: "TABULAR_CATEGORICAL", False: "TABULAR_NUMERIC_AUTO"}
    types = {str(name): kinds[name in rows.discrete] for name in rows.frame.columns}
    model = TabularARGN(value_protection=False, random_state=seed, tgt_encoding_types=types)
    model.fit(rows.frame)
    return lambda count: pd.DataFrame(model.sample(n_samples=count))


SYNTHESIZERS: dict[str, tuple[Synthesizer, str]] = {
    "independent": (independent, ""),
    "gaussian-copula": (gaussian_copula, "copulas"),
    "ctgan": (ctgan, "ctgan"),
    "tvae": (tvae, "ctgan"),
    "arf": (arf, "arfpy"),
    "tabular-argn": (tabular_argn, "mostlyai-engine"),
}
"""By name, each with the package that it needs."""


def require(name: str) -> None:
    """Raise InputError where the package of a contender is not installed."""
    try:
        version(name)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"the contender {name} needs the package {SYNTHESIZERS[name][1]}: "
            "pip install 'contrastive-entropy[tables]', or leave it out of `contenders`"
        ) from None


def version(name: str) -> str:
    """Of the package of a contender; "" where it needs none."""
    package = SYNTHESIZERS[name][1]
    return f"{package} {importlib.metadata.version(package)}" if package else ""


def fitted(name: str, rows: Plain, seed: int) -> Drawn:
    """A contender fitted to rows; the same seed gives the same rows."""
    with _by_itself(seed):
        draw = SYNTHESIZERS[name][0](rows, seed)

    def drawn(count: int) -> pd.DataFrame:
        with _by_itself(seed + 1):
            return draw(count)

    return drawn


@contextmanager
def _by_itself(seed: int) -> Iterator[None]:
    """Every global generator begins at a seed and goes on afterwards as if nothing had been drawn; nothing is warned of.

    Nor does a package's way to log stay: some set up the root logger, which then shows every message twice.
    """
    before, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    handlers = list(logging.root.handlers)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            logging.root.handlers[:] = handlers
            random.setstate(before)
            np.random.set_state(numpys)  # noqa: NPY002
