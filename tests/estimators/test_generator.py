import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.estimators import MixtureGenerator
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.trainer import fit
from contrastive_entropy.models.generator import GENERATOR

TINY = {"steps": 2, "width": 4, "depth": 1, "components": 8, "batch_size": 8, "random_state": 0}


@parametrize_with_checks([MixtureGenerator(**TINY), MixtureGenerator(**TINY, standardize=True)])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def moons():
    return np.asarray(load("moons").train.points[:3000].double())


@pytest.fixture(scope="module")
def fitted(moons):
    return MixtureGenerator(steps=300, width=64, random_state=0).fit(moons)


def test_it_learns_the_law_and_the_score_says_so(fitted):
    """Against the truth: points of the same law, of another, and its own collapse to a few of them."""
    fresh = np.asarray(sample_toy("moons", 4000, seed=99))
    score = fitted.score(fresh)
    assert 0.9 < score < 1.02
    assert fitted.score(np.asarray(sample_toy("circles", 4000, seed=99))) < 0.8
    assert fitted.score(fresh + 0.3) < score - 0.1
    assert fitted.score(np.repeat(fresh[:20], 100, 0)) < score - 0.1
    assert fitted.score(fitted.sample(4000, random_state=5)) == pytest.approx(1, abs=0.02)
    samples = fitted.sample(5000)
    assert samples.shape == (5000, 2)
    np.testing.assert_allclose(samples.mean(0), fresh.mean(0), atol=0.1)
    np.testing.assert_allclose(samples.std(0), fresh.std(0), rtol=0.1)


def test_the_weights_are_those_of_a_fit(fitted, moons, tmp_path):
    train = torch.from_numpy(moons).float()
    run = fit(
        GENERATOR, ce.GeneratorSettings("X", steps=300, width=64), tmp_path / "run", Dataset.of("X", train, train)
    )
    assert isinstance(run, Run)
    for name, tensor in run.network().state_dict().items():
        assert torch.equal(tensor, fitted.network_.state_dict()[name]), name
    assert fitted.variance_ >= run.plan.variance.end
    assert fitted.history_["step"].tolist() == list(range(10, 301, 10))
    assert np.all(np.diff(fitted.history_["variance"]) <= 0)


def test_same_state_same_bits_and_other_states_others(moons):
    def samples(state, n=5):
        return MixtureGenerator(**(TINY | {"random_state": state})).fit(moons[:50]).sample(n)

    assert np.array_equal(samples(3), samples(3))
    assert not np.array_equal(samples(3), samples(4))
    assert np.array_equal(samples(np.random.RandomState(7)), samples(np.random.RandomState(7)))
    again = MixtureGenerator(**TINY).fit(moons[:50])
    assert np.array_equal(again.sample(5, random_state=1), again.sample(5, random_state=1))
    assert not np.array_equal(again.sample(5, random_state=1), again.sample(5, random_state=2))
    kept = pickle.loads(pickle.dumps(again))
    assert np.array_equal(kept.sample(5), again.sample(5))
    assert not hasattr(clone(again), "network_")


def test_samples_of_standardized_columns_are_in_their_units(moons):
    units = np.array([1.0, 1e5])
    plain, scaled = (
        MixtureGenerator(**TINY, standardize=True).fit(points) for points in (moons[:200], moons[:200] * units + 7)
    )
    np.testing.assert_allclose(scaled.sample(50), plain.sample(50) * units + 7, rtol=1e-4, atol=1e-4)
    assert scaled.score(moons * units + 7) == pytest.approx(plain.score(moons), rel=1e-3)
    noisy = plain.sample(50, from_density=True)
    assert not np.array_equal(noisy, plain.sample(50))


def test_it_works_within_scikit_learn(moons):
    estimator = MixtureGenerator(**TINY)
    scores = cross_val_score(estimator, moons[:90], cv=3)
    assert scores.shape == (3,)
    assert np.all((scores > 0) & (scores < 1.5))
    assert make_pipeline(StandardScaler(), estimator).fit(moons[:90]).score(moons[:90]) > 0


def test_the_score_chooses_among_variances(moons):
    grid = {"variance_end": np.array([0.01, 30.0]), "width": np.array([32])}
    search = GridSearchCV(MixtureGenerator(**TINY | {"steps": 150, "components": 64, "batch_size": 64}), grid, cv=2)
    assert search.fit(moons[:600]).best_params_["variance_end"] == 0.01


def test_a_fit_that_fails_leaves_what_was_fitted(moons):
    estimator = MixtureGenerator(**TINY, standardize=True).fit(moons[:50])
    before = estimator.sample(9, random_state=0)
    with pytest.raises(InputError, match="learning_rate"):
        estimator.set_params(learning_rate=-1.0).fit(1e3 * moons[:50] + 5e4)
    np.testing.assert_array_equal(estimator.sample(9, random_state=0), before)
    fresh = MixtureGenerator(**TINY, learning_rate=-1.0)
    with pytest.raises(InputError, match="learning_rate"):
        fresh.fit(moons[:50])
    with pytest.raises(NotFittedError):
        fresh.sample()


def test_a_column_that_a_standardized_fit_cannot_see(moons):
    flat = np.column_stack([moons[:50], np.ones(50)])
    estimator = MixtureGenerator(**TINY, standardize=True).fit(flat)
    assert estimator.score(flat) > 0
    with pytest.raises(InputError, match=r"column 2, counted from 0, is 1 in all of the data, but differs .* in X"):
        estimator.score(flat * [1, 1, 0])


def test_refusals(moons):
    with pytest.raises(NotFittedError):
        MixtureGenerator().sample()
    with pytest.raises(ValueError, match="minimum of 10"):
        MixtureGenerator(**TINY).fit(moons[:9])
    with pytest.raises(InputError, match="unknown objective 'adversarial'"):
        MixtureGenerator(**TINY, objective="adversarial").fit(moons[:50])
    with pytest.raises(InputError, match="variance_end must be"):
        MixtureGenerator(**TINY, variance_end=-1.0).fit(moons[:50])
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        MixtureGenerator(**TINY).fit(moons[:50]).sample(0)
    wide = MixtureGenerator(**TINY).fit(1e6 * moons[:50])
    with pytest.raises(ValueError, match="all far from each other: is X in the units of what was fitted"):
        wide.score(moons[:50])


def test_ctrl_c_is_an_interruption(moons, monkeypatch):
    class Stopped:
        finished = False

    monkeypatch.setattr("contrastive_entropy.estimators.fitting.fit", lambda *_, **__: Stopped())
    with pytest.raises(KeyboardInterrupt):
        MixtureGenerator(**TINY).fit(moons[:50])


def test_further_settings_go_by_name_and_parameters_do_not(moons):
    estimator = MixtureGenerator(**TINY, settings={"schedule": "geometric", "variance_start": 1.0})
    with pytest.raises(InputError, match="settings: variance_start is a parameter of its own"):
        estimator.fit(moons[:50])
    with pytest.raises(InputError, match="settings: scedule is no setting; did you mean 'schedule'"):
        MixtureGenerator(**TINY, settings={"scedule": "geometric"}).fit(moons[:50])
    with pytest.raises(InputError, match="unknown schedule 'linear'"):
        MixtureGenerator(**TINY, settings={"schedule": "linear"}).fit(moons[:50])
    longer = TINY | {"steps": 20, "variance_end": 0.01}
    fixed = MixtureGenerator(**longer, settings={"anneal_fraction": 0.0}).fit(moons[:50])
    assert set(fixed.history_["variance"]) == {fixed.variance_}
    falling = MixtureGenerator(**longer, settings={"schedule": "geometric"}).fit(moons[:50])
    assert falling.history_["variance"][0] > falling.variance_


def test_a_data_frame_gives_a_data_frame_of_the_same_columns_and_types():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"rooms": rng.integers(1, 9, 200), "area": rng.normal(80, 9, 200), "new": rng.random(200) < 0.5}
    )
    model = MixtureGenerator(steps=20, standardize=True, random_state=0).fit(table)
    drawn = model.sample(7)
    assert drawn.dtypes.equals(table.dtypes)
    assert drawn["rooms"].between(-20, 40).all()
    assert isinstance(model.fit(pl.from_pandas(table)).sample(3), pl.DataFrame)
    assert isinstance(model.fit(table.to_numpy(float)).sample(3), np.ndarray)


def test_text_is_refused_with_the_estimator_that_learns_it():
    with pytest.raises(InputError, match=r"column 'city' holds str, expected numbers; TableGenerator learns tables"):
        MixtureGenerator().fit(pd.DataFrame({"city": ["Ulm"] * 20, "age": range(20)}))
