import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.estimators import MixtureDensityRegressor

TINY = {"steps": 40, "width": 16, "depth": 1, "components": 2, "batch_size": 32, "random_state": 0}


DO_NOT_APPLY = {
    "check_methods_sample_order_invariance": "score_samples is of x and y, and the check calls it with x",
    "check_methods_subset_invariance": "score_samples is of x and y, and the check calls it with x",
    "check_sample_weight_equivalence_on_dense_data": "weights say how often a row is drawn, so that chance differs",
}


@parametrize_with_checks(
    [MixtureDensityRegressor(**TINY | {"steps": 150})], expected_failed_checks=lambda estimator: DO_NOT_APPLY
)
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def law(count, seed=0):
    """Of y given x: a deviation that grows with x, in units of thousands."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-1, 1, (count, 2))
    deviation = 100 * np.exp(x[:, 0])
    return x, 5000 + 1000 * x[:, 1] + deviation * draw.normal(size=count), deviation


@pytest.fixture(scope="module")
def fitted():
    x, y, _ = law(2000)
    return MixtureDensityRegressor(steps=600, components=3, width=32, members=2, random_state=0).fit(x, y)


def test_it_learns_a_known_law(fitted):
    x, y, deviation = law(4000, seed=1)
    truth = stats.norm.logpdf(y, 5000 + 1000 * x[:, 1], deviation).mean()
    found = fitted.score_samples(x, y).mean()
    assert truth - 0.05 < found < truth + 0.03  # chance alone may lift it
    np.testing.assert_allclose(fitted.predict(x), 5000 + 1000 * x[:, 1], atol=120)
    assert fitted.score(x, y) > 0.9
    ends = fitted.predict_interval(x, 0.8)
    assert ((ends[:, 0] <= y) & (y <= ends[:, 1])).mean() == pytest.approx(0.8, abs=0.03)


def test_its_law_its_quantiles_and_its_draws_agree(fitted):
    x, _, _ = law(50, seed=2)
    laws = fitted.pred_dist(x)
    quantiles = fitted.predict(x, quantiles=[0.1, 0.5, 0.9])
    assert quantiles.shape == (50, 3)
    below = laws.cdf(torch.as_tensor(quantiles[:, [1]]).unsqueeze(-1))
    torch.testing.assert_close(below.squeeze(), torch.full((50,), 0.5, dtype=torch.float64))
    drawn = fitted.sample(x, 4000)
    assert drawn.shape == (50, 4000)
    np.testing.assert_allclose(drawn.mean(1), fitted.predict(x), atol=25)
    np.testing.assert_allclose(np.quantile(drawn, 0.9, axis=1), quantiles[:, 2], atol=60)
    np.testing.assert_array_equal(fitted.sample(x, 3), fitted.sample(x, 3))
    np.testing.assert_array_equal(fitted.predict_interval(x, 0.8), quantiles[:, [0, 2]])


def test_an_evaluation_is_of_the_units_of_y(fitted):
    x, y, deviation = law(3000, seed=3)
    found = fitted.evaluate(x, y)
    assert found["nll"] == pytest.approx(-fitted.score_samples(x, y).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((fitted.predict(x) - y) ** 2).mean()), rel=1e-6)
    assert found["crps"] == pytest.approx((deviation / np.sqrt(np.pi)).mean(), rel=0.1)
    assert found["coverage_90"] == pytest.approx(0.9, abs=0.03)
    assert found["tightness"] == pytest.approx(1, abs=0.06)


def test_the_same_state_gives_the_same_bits_and_another_others():
    x, y, _ = law(100)
    first, second, other = (
        MixtureDensityRegressor(**TINY | {"random_state": seed}).fit(x, y).predict(x) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_several_outputs_have_a_joint_law():
    x, y, _ = law(300)
    both = np.stack([y, 1e-6 * x[:, 0]], 1)
    model = MixtureDensityRegressor(**TINY).fit(x, both)
    assert model.n_outputs_ == 2
    assert model.predict(x).shape == (300, 2)
    assert model.predict(x, quantiles=[0.1, 0.9]).shape == (300, 2, 2)
    assert model.sample(x, 5).shape == (300, 5, 2)
    assert model.pred_dist(x).dimension == 2
    assert "tightness" not in model.evaluate(x, both)
    assert np.corrcoef(model.predict(x)[:, 1], both[:, 1])[0, 1] > 0.9
    one = MixtureDensityRegressor(**TINY).fit(x, both[:, [0]])
    assert one.predict(x).shape == (300, 1)


def test_weights_say_how_often_a_row_is_seen():
    x = np.zeros((200, 1))
    y = np.repeat([0.0, 1.0], 100) + 0.01 * np.random.default_rng(0).normal(size=200)
    weights = np.repeat([3.0, 1.0], 100)
    model = MixtureDensityRegressor(**TINY | {"steps": 400}).fit(x, y, sample_weight=weights)
    assert model.predict(x[:1]) == pytest.approx(0.25, abs=0.05)
    with pytest.raises(ValueError, match="at least one non-zero"):
        MixtureDensityRegressor(**TINY).fit(x, y, sample_weight=np.zeros(200))


def test_it_comes_back_from_its_folder_without_pickle(fitted, tmp_path):
    x, _, _ = law(50, seed=2)
    fitted.save(tmp_path / "model")
    found = MixtureDensityRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(found.predict(x), fitted.predict(x))
    assert found.get_params() == fitted.get_params()
    found.save(tmp_path / "again")
    for name in ("regressor.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_a_damaged_folder_is_refused(fitted, tmp_path):
    with pytest.raises(InputError, match=r"no regressor in .*: regressor\.json does not exist"):
        MixtureDensityRegressor.load(tmp_path)
    fitted.save(tmp_path / "model")
    whole = (tmp_path / "model" / "weights.safetensors").read_bytes()
    (tmp_path / "model" / "weights.safetensors").write_bytes(whole[:-8])
    with pytest.raises(InputError, match="is damaged"):
        MixtureDensityRegressor.load(tmp_path / "model")
    (tmp_path / "model" / "regressor.json").write_text(json.dumps({"parameters": {}}))
    with pytest.raises(InputError, match="is damaged"):
        MixtureDensityRegressor.load(tmp_path / "model")


def test_frames_and_text_columns_go_through_scikit_learns_own_pipelines():
    x, y, _ = law(200)
    frame = pd.DataFrame({"size": x[:, 1], "kind": np.where(x[:, 0] > 0, "wide", "narrow")})
    columns = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["size"]))
    model = make_pipeline(columns, MixtureDensityRegressor(**TINY | {"steps": 300})).fit(frame, y)
    laws = model[-1].pred_dist(columns.transform(pd.DataFrame({"size": [0.0, 0.0], "kind": ["wide", "narrow"]})))
    wide, narrow = laws.covariance.flatten().sqrt()
    assert wide > 1.2 * narrow
    named = MixtureDensityRegressor(**TINY).fit(frame[["size"]], y)
    assert list(named.feature_names_in_) == ["size"]


def test_it_is_searched_and_scored_as_others_are():
    x, y, _ = law(120)
    assert len(cross_val_score(MixtureDensityRegressor(**TINY), x, y, cv=3)) == 3
    search = GridSearchCV(MixtureDensityRegressor(**TINY), {"components": np.array([1, 2])}, cv=2).fit(x, y)
    assert search.best_params_["components"] in (1, 2)
    assert clone(search.best_estimator_).get_params()["steps"] == 40


@pytest.mark.parametrize("value", [3.0, 0.0, -1e6])
def test_a_constant_target_is_predicted(value):
    x, _, _ = law(50)
    model = MixtureDensityRegressor(**TINY).fit(x, np.full(50, value))
    np.testing.assert_allclose(model.predict(x), value, atol=1e-2 * max(abs(value), 1e-3))
    assert np.isfinite(model.score_samples(x, np.full(50, value))).all()


def test_whole_numbers_do_not_make_the_likelihood_grow_without_end():
    x, _, _ = law(600)
    y = np.round(2 * x[:, 0] + np.random.default_rng(0).normal(size=600))
    model = MixtureDensityRegressor(steps=800, random_state=0).fit(x, y)
    assert float(model.pred_dist(x).variance.min()) >= 0.25 - 1e-6
    assert model.evaluate(x, y)["nll"] > 1.0


def test_what_cannot_be_used_is_refused(fitted):
    x, y, _ = law(50)
    with pytest.raises(NotFittedError):
        MixtureDensityRegressor().predict(x)
    with pytest.raises(ValueError, match=r"coverage must lie in \(0, 1\), got 1"):
        fitted.predict_interval(x, 1)
    with pytest.raises(ValueError, match=r"levels must lie in \(0, 1\)"):
        fitted.predict(x, quantiles=[0.5, 1.5])
    with pytest.raises(ValueError, match="y holds NaN"):
        fitted.score_samples(x, np.full(50, np.nan))
    with pytest.raises(ValueError, match=r"y must have shape \(50, 1\), got \(49, 1\)"):
        fitted.score_samples(x, y[1:])
    with pytest.raises(InputError, match="unknown objective 'anealed'; did you mean 'annealed'"):
        MixtureDensityRegressor(objective="anealed").fit(x, y)
    with pytest.raises(InputError, match="settings: gama_fraction is no setting; did you mean"):
        MixtureDensityRegressor(settings={"gama_fraction": 0.1}).fit(x, y)
    for name in ("target", "points", "held_out"):
        with pytest.raises(InputError, match=f"settings: {name} is no setting"):
            MixtureDensityRegressor(settings={name: 20}).fit(x, y)
    with pytest.raises(ce.InputError, match="components must be at least 1, got 0"):
        MixtureDensityRegressor(components=0).fit(x, y)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_robust_fit_finds_outliers_and_fits_the_rest(clustered):
    x, y, _ = law(600)
    spoiled, bad = y.copy(), np.zeros(600, dtype=bool)
    bad[:120] = True
    away = np.random.default_rng(1).uniform(-30_000, 40_000, 120)
    spoiled[bad] = y.mean() + 8 * y.std() if clustered else away
    robust = MixtureDensityRegressor(steps=500, width=32, robust=True, random_state=0).fit(x, spoiled)
    assert robust.outlier_share_ == pytest.approx(0.2, abs=0.05)
    assert robust.outliers_[bad].mean() > (0.99 if clustered else 0.88)  # some lie amid the others
    assert robust.outliers_[~bad].mean() < 0.01
    clean = MixtureDensityRegressor(steps=500, width=32, random_state=0).fit(x[~bad], y[~bad])
    plain = MixtureDensityRegressor(steps=500, width=32, random_state=0).fit(x, spoiled)
    test_x, test_y, _ = law(2000, seed=5)
    nll, reference, bent = (model.evaluate(test_x, test_y)["nll"] for model in (robust, clean, plain))
    assert nll < reference + 0.05
    assert bent > nll + 0.1


def test_a_robust_fit_of_clean_rows_leaves_none_out():
    x, y, _ = law(300)
    robust = MixtureDensityRegressor(steps=400, width=32, robust=True, random_state=0).fit(x, y)
    assert not robust.outliers_.any()
    assert robust.outlier_share_ < 0.02


def sure(**changed):
    """A fit that is far too sure: it learns few rows by heart."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(150, 5))
    model = MixtureDensityRegressor(**TINY | {"steps": 800, "dropout": 0.0} | changed)
    return model.fit(x, x[:, 0] + draw.normal(size=150))


def covered(model, coverage, *, outputs=1):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(4000, 5))
    y = x[:, 0] + draw.normal(size=4000)
    low, high = model.predict_interval(x, coverage).T
    return np.mean((low <= y) & (y <= high))


def test_calibrated_intervals_hold_their_share(tmp_path):
    plain, calibrated = sure(), sure(calibrate=True)
    assert covered(plain, 0.9) < 0.8
    for coverage in (0.5, 0.9):
        assert coverage - 0.08 < covered(calibrated, coverage) <= min(1, coverage + 0.12)
    assert calibrated.calibration_.shape == (30, 1)
    with pytest.raises(ValueError, match=r"intervals that hold 0.99 need at least 99 rows.*30 were kept out"):
        calibrated.predict_interval(np.zeros((1, 5)), 0.99)
    calibrated.save(tmp_path / "saved")
    x = np.random.default_rng(2).normal(size=(5, 5))
    again = MixtureDensityRegressor.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_interval(x), calibrated.predict_interval(x))


def test_every_output_is_calibrated_by_itself():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2))
    y = np.stack([x[:, 0] + draw.normal(size=400), 100 * draw.normal(size=400)], 1)
    model = MixtureDensityRegressor(**TINY | {"calibrate": True}).fit(x, y)
    found = model.predict_interval(x, 0.8)
    assert found.shape == (400, 2, 2)
    inside = ((found[..., 0] <= y) & (y <= found[..., 1])).mean(0)
    assert np.abs(inside - 0.8).max() < 0.12


def test_frames_of_polars_are_taken():
    polars = pytest.importorskip("polars")
    x = np.random.default_rng(0).normal(size=(60, 2))
    frame = polars.DataFrame({"a": x[:, 0], "b": x[:, 1]})
    model = MixtureDensityRegressor(**TINY | {"steps": 5}).fit(frame, polars.Series("y", x[:, 0]))
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(model.predict(frame), model.predict(frame.to_pandas()))


def test_outliers_are_those_of_all_rows_and_calibrate_nothing():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 2))
    y = x[:, 0] + 0.3 * draw.normal(size=300)
    y[:30] += 50
    model = MixtureDensityRegressor(**TINY | {"steps": 300, "robust": True, "calibrate": True}).fit(x, y)
    assert model.outliers_.shape == (300,)
    assert model.outliers_[:30].all()
    assert model.outliers_[30:].mean() < 0.05
    assert np.diff(model.predict_interval(x[30:], 0.9)).max() < 10


def test_nine_rows_calibrate_intervals_of_nine_tenths():
    x = np.random.default_rng(0).normal(size=(45, 1))
    model = MixtureDensityRegressor(**TINY | {"calibrate": True}).fit(x, x[:, 0], sample_weight=np.arange(45) > 5)
    assert len(model.calibration_) == 9
    assert model.predict_interval(x, 0.9).shape == (45, 2)
    with pytest.raises(NotFittedError):
        MixtureDensityRegressor(**TINY).fit(x, x[:, 0]).set_params(calibrate=True).predict_interval(x)
