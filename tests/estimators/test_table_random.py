"""Many tables of random columns: nothing fails, and nothing comes out that the data do not know."""

import numpy as np
import pandas as pd
import pytest

from columns import every_type, text_dates
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.estimators import TableGenerator

TYPES = every_type() | text_dates()


def table(seed):
    """2 to 40 columns of any type, 20 to 5,000 rows."""
    rng = np.random.default_rng(seed)
    rows = int(np.exp(rng.uniform(np.log(20), np.log(5000))))
    names = rng.choice(list(TYPES), rng.integers(1, 40))
    columns = {"beside": pd.Series(rng.choice([rng.normal(size=rows), rng.poisson(3, rows)]))}
    for index, name in enumerate(names):
        column = TYPES[name]
        columns[f"{index} {name}"] = column.iloc[rng.integers(0, len(column), rows)].reset_index(drop=True)
    if rng.random() < 0.3:
        columns["id"] = pd.Series(np.arange(rows))
    return pd.DataFrame(columns)[rng.permutation(list(columns))].set_axis(rng.permutation(rows) + 3)


def check(seed):
    frame = table(seed)
    schema, _ = MixedTable.of(frame)
    learnt = [column.name for column in schema.mixed if column.kind not in ("key", "ignore")]
    back = schema.frame(schema.numbers(frame))
    pd.testing.assert_frame_equal(back[learnt], frame[learnt].reset_index(drop=True))
    model = TableGenerator(steps=3, width=8, depth=1, batch_size=32, random_state=seed, accelerator="cpu").fit(frame)
    samples = model.sample(50)
    assert samples.columns.tolist() == frame.columns.tolist()
    pd.testing.assert_series_equal(samples[learnt].dtypes, frame[learnt].dtypes)
    complete = frame.notna().all()
    assert samples[[name for name in learnt if complete[name]]].notna().all().all()
    again = schema.numbers(samples)
    np.testing.assert_allclose(schema.tidy(again), again, rtol=1e-3)  # the digits of float16
    modelled = [column.name for column in schema.mixed if column.learnt]
    frame = frame.head(100)
    if frame[modelled].isna().any().any():
        filled = model.impute(frame)
        pd.testing.assert_frame_equal(filled.where(frame.notna()), frame.where(frame.notna()))
        assert filled[modelled].notna().all().all()
    assert np.isfinite(model.score(frame))


@pytest.mark.parametrize("seed", range(2))
def test_a_few_random_tables(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 202))
def test_many_random_tables(seed):
    check(seed)
