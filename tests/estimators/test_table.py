import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from contrastive_entropy import InputError
from contrastive_entropy.estimators import TableGenerator

TINY = {"steps": 40, "width": 16, "depth": 1, "batch_size": 64, "random_state": 0, "accelerator": "cpu"}


@parametrize_with_checks([TableGenerator(**TINY)])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def people(count=200):
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "id": np.arange(count) + 1,
        "age": rng.integers(18, 90, count),
        "city": rng.choice(["Ulm", "Jena", "Kiel"], count, p=[0.6, 0.3, 0.1]),
        "paid": np.round(rng.lognormal(3, 1, count), 2),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, count), unit="D"),
        "grade": pd.Categorical(rng.choice(["low", "high"], count), categories=["low", "mid", "high"], ordered=True),
        "member": pd.array(rng.random(count) < 0.5, dtype="boolean"),
        "score": pd.array(rng.integers(0, 5, count), dtype="Int16"),
    })  # fmt: skip


def with_gaps(frame, share=0.2):
    rng = np.random.default_rng(1)
    found = frame.copy()
    for name in ("city", "paid", "day", "grade", "member", "score"):
        found[name] = found[name].where(rng.random(len(frame)) > share)
    return found


@pytest.fixture(scope="module")
def fitted():
    return TableGenerator(**TINY).fit(people())


def test_a_frame_comes_back_as_a_frame_of_the_same_types(fitted):
    frame, samples = people(), fitted.sample(50)
    pd.testing.assert_series_equal(samples.dtypes, frame.dtypes)
    assert samples.columns.tolist() == frame.columns.tolist() == fitted.feature_names_in_.tolist()
    assert not samples.isna().any().any()
    assert not set(samples["id"]) & set(frame["id"])
    assert any("id: no value repeats" in note for note in fitted.notes_)
    pd.testing.assert_frame_equal(fitted.sample(50), samples)
    assert not fitted.sample(50, random_state=1).equals(samples)
    assert len(fitted.sample()) == 1


def test_a_shuffled_index_does_not_matter(fitted):
    frame = people()
    other = TableGenerator(**TINY).fit(frame.set_axis(np.random.default_rng(0).permutation(len(frame)) - 5))
    pd.testing.assert_frame_equal(other.sample(20), fitted.sample(20))
    assert other.score(frame) == fitted.score(frame.set_axis(range(7, 207)))


def test_names_that_are_numbers_stay_numbers():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=[2, 1])
    frame.iloc[::5, 0] = np.nan
    model = TableGenerator(**TINY).fit(frame)
    assert model.sample(3).columns.tolist() == model.impute(frame).columns.tolist() == [2, 1]


def test_arrays_come_back_as_arrays():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=100), rng.integers(0, 3, 100)], 1)
    x[::7, 0] = np.nan
    model = TableGenerator(**TINY).fit(x)
    samples = model.sample(300)
    assert samples.shape == (300, 2)
    assert samples.dtype == np.float64
    assert set(np.unique(samples[:, 1])) <= {0, 1, 2}
    assert 0 < np.isnan(samples[:, 0]).mean() < 0.4
    completed = model.impute(x)
    assert not np.isnan(completed).any()
    np.testing.assert_array_equal(completed[~np.isnan(x)], x[~np.isnan(x)])


def test_frames_of_polars_come_back_with_their_types():
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(int(day)) for day in rng.integers(0, 90, 100)]
    frame = polars.DataFrame({
        "age": rng.integers(18, 90, 100).astype(np.int16),
        "visits": [None, 1, 2, 3] * 25,
        "city": ["Ulm", None, "Jena", "Ulm"] * 25,
        "day": days,
        "grade": polars.Series(["low", "high", "low", None] * 25, dtype=polars.Categorical),
        "member": [True, None] * 50,
        "share": rng.random(100).astype(np.float32),
    })  # fmt: skip
    model = TableGenerator(**TINY).fit(frame)
    samples, completed = model.sample(100), model.impute(frame)
    assert samples.schema == completed.schema == frame.schema
    assert completed.null_count().sum_horizontal().item() == 0
    assert samples["visits"].null_count() > 0
    for name in frame.columns:
        known = frame[name].is_not_null()
        assert completed[name].filter(known).to_list() == frame[name].filter(known).to_list()
        assert set(samples[name].drop_nulls()) <= set(frame[name]) or name in ("age", "day", "share")


def test_weights_say_how_often_rows_count():
    frame = pd.DataFrame({"city": ["Ulm"] * 100 + ["Jena"] * 100, "age": [30, 40] * 100})
    model = TableGenerator(**TINY).fit(frame, sample_weight=[9.0] * 100 + [1.0] * 100)
    assert (model.sample(4000)["city"] == "Ulm").mean() == pytest.approx(0.9, abs=0.03)
    only = TableGenerator(**TINY).fit(frame, sample_weight=[1.0] * 100 + [0.0] * 100)
    assert (only.sample(1000)["city"] == "Ulm").all()
    with pytest.raises(ValueError, match=r"must contain at least one non-zero|must hold a positive weight"):
        TableGenerator(**TINY).fit(frame, sample_weight=np.zeros(200))
    with pytest.raises(ValueError, match="sample_weight"):
        TableGenerator(**TINY).fit(frame, sample_weight=[1.0, 2.0])


def test_what_is_given_is_what_all_rows_have(fitted):
    samples = fitted.sample(
        200, given={"city": "Kiel", "age": 95, "paid": 0.123, "day": "2030-01-01", "score": 2, "grade": "mid"}
    )
    assert (samples["city"] == "Kiel").all()
    assert (samples["age"] == 95).all()  # beyond the data
    assert (samples["paid"] == 0.123).all()
    assert (samples["day"] == pd.Timestamp("2030-01-01")).all()
    assert (samples["score"] == 2).all()
    assert (samples["grade"] == "mid").all()
    assert samples["member"].nunique() == 2
    with pytest.raises(InputError, match="`given`: no column 'town'"):
        fitted.sample(given={"town": "Ulm"})
    with pytest.raises(InputError, match="city has no value 'Bonn'"):
        fitted.sample(given={"city": "Bonn"})
    with pytest.raises(InputError, match="city cannot be missing"):
        fitted.sample(given={"city": None})


def test_gaps_are_filled_and_nothing_else_changes():
    frame = with_gaps(people()).set_axis(range(500, 700))
    model = TableGenerator(**TINY).fit(frame)
    best, again, several = model.impute(frame), model.impute(frame), model.impute(frame, 3)
    pd.testing.assert_frame_equal(best, again)
    assert len(several) == 3
    assert not several[0].equals(several[1])
    for completed in (best, *several):
        assert not completed.isna().any().any()
        pd.testing.assert_series_equal(completed.dtypes, frame.dtypes)
        pd.testing.assert_frame_equal(completed.where(frame.notna()), frame)
        assert completed["paid"].between(frame["paid"].min(), frame["paid"].max()).all()
        assert (completed["paid"].round(2) == completed["paid"]).all()
        assert set(completed["city"]) <= {"Ulm", "Jena", "Kiel"}
    with pytest.raises(InputError, match="no value is missing, so there is nothing to impute"):
        model.impute(people())
    with pytest.raises(InputError, match="n_imputations must be at least 1, got 0"):
        model.impute(frame, 0)


def test_whole_numbers_with_gaps_may_be_imputed_by_a_model_of_complete_rows(fitted):
    frame = people().astype({"age": "float64", "score": "float64"})
    frame.loc[::3, ["age", "city", "score"]] = None
    completed = fitted.impute(frame)
    assert not completed.isna().any().any()
    assert completed["age"].dtype == np.float64
    assert (completed["age"] % 1 == 0).all()


def test_a_score_is_the_mean_log_likelihood_and_rows_of_the_law_score_best(fitted):
    frame = people()
    own = fitted.score(frame)
    assert np.isfinite(own)
    assert own == pytest.approx((fitted.score(frame.head(100)) + fitted.score(frame.tail(100))) / 2)
    rare = frame.assign(city="Kiel")
    assert fitted.score(rare) < own
    with pytest.raises(InputError, match="column 'city' has no value in row 3, counted from 0"):
        fitted.score(frame.assign(city=frame["city"].where(frame.index != 3)))


def test_kinds_are_asked_for():
    frame = people().drop(columns="id")
    model = TableGenerator(columns={"score": "category", "paid": "ignore"}, **TINY).fit(frame)
    assert model.schema_.kinds["score"] == "category"
    assert model.sample(5)["paid"].isna().all()
    with pytest.raises(InputError, match="unknown kind 'text' of city"):
        TableGenerator(columns={"city": "text"}, **TINY).fit(frame)


def test_parameters_are_those_of_a_clone_and_bad_ones_are_refused():
    model = TableGenerator(columns={"a": "key"}, objective="pointwise_hoelder:gamma=0.5", depth=3)
    assert clone(model).get_params() == model.get_params()
    frame = people()
    for changed, message in (
        ({"objective": "likelihood"}, "unknown objective 'likelihood'"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must"),
        ({"settings": {"widht": 3}}, "settings: widht is no setting"),
    ):
        with pytest.raises(InputError, match=message):
            TableGenerator(**TINY | changed).fit(frame)
    with pytest.raises(NotFittedError):
        TableGenerator().sample()
    with pytest.raises(ValueError, match="minimum of 10 is required"):
        TableGenerator(**TINY).fit(frame.head(9))
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        TableGenerator(**TINY).fit(frame).sample(0)
    with pytest.raises(ValueError, match="feature names"):
        TableGenerator(**TINY).fit(frame).impute(frame.rename(columns={"age": "years"}))


@pytest.mark.parametrize("objective", ["log_likelihood", "pointwise_hoelder:gamma=0.5"])
@pytest.mark.parametrize("batch_size", [2, 7])
def test_small_batches_leave_all_weights_finite(objective, batch_size):
    model = TableGenerator(**TINY | {"objective": objective, "batch_size": batch_size}).fit(people())
    assert all(weight.isfinite().all() for weight in model.network_.parameters())
    assert np.isfinite(model.history_["objective"]).all()
