"""Two hundred random tables of every kind of column: no traceback, no value that the data cannot have."""

import datetime
import decimal
import uuid

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.estimators import TableGenerator

START = pd.Timestamp("2019-03-01")


def gaps(values, rng, empty):
    return pd.Series(values).where(rng.random(len(values)) >= rng.choice([0.05, 0.5]), empty)


COLUMNS = {
    "normal": lambda n, rng: rng.normal(size=n),
    "single": lambda n, rng: rng.normal(size=n).astype("float32"),
    "cents": lambda n, rng: rng.lognormal(3, 2, n).round(2),
    "zeros": lambda n, rng: np.where(rng.random(n) < 0.6, 0.0, rng.gamma(1, 9, n).round(1)),
    "count": lambda n, rng: rng.poisson(3, n),
    "small": lambda n, rng: rng.integers(-100, 100, n).astype("int8"),
    "large": lambda n, rng: 2**60 + rng.integers(0, 10**6, n),
    "stamp": lambda n, rng: 1_700_000_000_000 + rng.integers(0, 10**4, n),
    "gaps": lambda n, rng: gaps(rng.normal(size=n), rng, np.nan),
    "nullable": lambda n, rng: gaps(rng.integers(0, 9, n), rng, pd.NA).astype("Int64"),
    "heavy": lambda n, rng: rng.standard_cauchy(n),
    "flag": lambda n, rng: rng.random(n) < 0.1,
    "maybe": lambda n, rng: gaps(rng.random(n) < 0.5, rng, pd.NA).astype("boolean"),
    "text": lambda n, rng: rng.choice(["Ulm", "Köln", "a,b", 'say "so"', "line\nbreak", " "], n),
    "rare": lambda n, rng: np.where(rng.random(n) < 0.01, "rare", rng.choice(list("abcdefgh"), n)),
    "many": lambda n, rng: rng.choice([f"level {i}" for i in range(300)], n),
    "none": lambda n, rng: gaps(rng.choice(["x", "y"], n).astype(object), rng, None),
    "ordered": lambda n, rng: pd.Categorical(rng.choice(["S", "L"], n), categories=["S", "M", "L"], ordered=True),
    "day": lambda n, rng: START + pd.to_timedelta(rng.integers(0, 2000, n), "D"),
    "moment": lambda n, rng: pd.Series(START + pd.to_timedelta(rng.integers(0, 10**9, n), "ms")).dt.tz_localize("UTC"),
    "length": lambda n, rng: pd.to_timedelta(rng.integers(0, 10**6, n), "s"),
    "written": lambda n, rng: (START + pd.to_timedelta(rng.integers(0, 2000, n), "D")).strftime("%d.%m.%Y"),
    "date": lambda n, rng: [datetime.date(2020, 1, 1) + datetime.timedelta(int(k)) for k in rng.integers(0, 900, n)],
    "money": lambda n, rng: [decimal.Decimal(int(k)) / 100 for k in rng.integers(0, 9000, n)],
    "constant": lambda n, rng: ["DE"] * n,
    "empty": lambda n, rng: [np.nan] * n,
    "id": lambda n, rng: np.arange(n) + 7,
    "uuid": lambda n, rng: [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(n)],
}


def random_table(seed):
    rng = np.random.default_rng(seed)
    count = int(np.exp(rng.uniform(np.log(20), np.log(5000))))
    kinds = [str(kind) for kind in rng.choice(list(COLUMNS), rng.integers(2, 41))]
    if not set(kinds) - {"constant", "empty", "id", "uuid"}:
        kinds.append("normal")
    return pd.DataFrame({f"{kind} {place}": COLUMNS[kind](count, rng) for place, kind in enumerate(kinds)})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_any_table_is_learnt_and_comes_back(seed):
    table = random_table(seed)
    schema, _ = MixedTable.of(table)
    known = [name for name, kind in schema.kinds.items() if kind != "key"]
    pd.testing.assert_frame_equal(schema.frame(schema.numbers(table))[known], table[known])
    rows = TableGenerator(steps=15, batch_size=64, width=32, random_state=0).fit(table).sample(300)
    assert list(rows) == list(table)
    for column in schema.mixed:
        ours, theirs = rows[column.name], table[column.name]
        assert ours.dtype == theirs.dtype
        assert column.missing or not ours.isna().any()
        if column.kind == "key":
            assert ours.is_unique
            assert not set(ours) & set(theirs)
        elif column.kind == "category":
            assert set(ours.dropna().astype(str)) <= set(theirs.dropna().astype(str))
        elif column.numeric:
            assert theirs.dropna().min() <= ours.dropna().min() if ours.notna().any() and not column.text else True
            assert ours.dropna().max() <= theirs.dropna().max() if ours.notna().any() and not column.text else True
