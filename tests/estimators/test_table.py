import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from contrastive_entropy import InputError
from contrastive_entropy.estimators import TableGenerator

DO_NOT_APPLY = {
    "check_sample_weight_equivalence_on_dense_data": "weights say how often a row is drawn, so that chance differs",
}


@parametrize_with_checks([TableGenerator(steps=2)], expected_failed_checks=lambda estimator: DO_NOT_APPLY)
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


def table(count=120):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": pd.Categorical(rng.choice(["S", "L"], count), categories=["S", "M", "L"], ordered=True),
            "count": rng.integers(0, 9, count).astype("int16"),
            "when": pd.date_range("2024-01-01", periods=count, freq="h", tz="Europe/Berlin"),
            "seen": pd.array(rng.choice([True, False, None], count), dtype="boolean"),
        }
    )


@pytest.fixture(scope="module")
def model():
    return TableGenerator(steps=40, random_state=0).fit(table())


def test_a_data_frame_gives_a_data_frame(model):
    rows = model.sample(50)
    assert rows.dtypes.equals(table().dtypes)
    assert rows["size"].cat.categories.tolist() == ["S", "M", "L"]
    assert "M" not in set(rows["size"])
    assert model.n_features_in_ == 4
    assert model.feature_names_in_.tolist() == list(table())


def test_the_index_of_rows_plays_no_part(model):
    shuffled = table().sample(frac=1, random_state=0)
    again = TableGenerator(steps=5, random_state=0).fit(shuffled)
    assert again.schema_.kinds == model.schema_.kinds
    assert np.isfinite(again.score(shuffled))


def test_polars_and_arrays_come_back_as_they_went_in():
    rows = pl.from_pandas(table()[["count", "seen"]])
    drawn = TableGenerator(steps=5, random_state=0).fit(rows).sample(6)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.columns == ["count", "seen"]
    array = np.where(np.arange(60) % 5 == 0, np.nan, np.arange(60.0) % 7).reshape(-1, 2)
    drawn = TableGenerator(steps=5, random_state=0).fit(array).sample(200)
    assert isinstance(drawn, np.ndarray)
    assert np.isnan(drawn).any()


def test_seeds_and_clones(model):
    pairs = [(model.sample(9), model.sample(9)), (model.sample(9, random_state=3), model.sample(9, random_state=3))]
    for first, second in pairs:
        assert first.equals(second)
    assert not pairs[0][0].equals(pairs[1][0])
    assert clone(TableGenerator(width=7)).width == 7
    with pytest.raises(NotFittedError):
        TableGenerator().sample()


def test_columns_are_what_somebody_says():
    rows = pd.DataFrame({"zip": [10115, 89073] * 20, "rooms": [1, 2, 3, 4] * 10})
    model = TableGenerator(steps=5, columns={"zip": "category"}, random_state=0).fit(rows)
    assert model.schema_.kinds == {"zip": "category", "rooms": "count"}
    assert model.sample(5)["zip"].dtype == "int64"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": {"town": "key"}}, "`column`: no column 'town'"),
        ({"settings": {"steps": 3}}, "settings: steps is a parameter of its own"),
        ({"objective": "hoelder"}, "hoelder"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        TableGenerator(**arguments).fit(table())
    with pytest.raises(InputError, match="n_samples must be at least 1"):
        TableGenerator(steps=2).fit(table()).sample(0)
