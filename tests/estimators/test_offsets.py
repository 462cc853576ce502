"""Time stamps give the estimators' answers of their twins without the offset."""

import numpy as np
import pytest

from contrastive_entropy.estimators.conditional_generator import ConditionalGenerator
from contrastive_entropy.estimators.generator import MixtureGenerator
from contrastive_entropy.estimators.regressor import MixtureDensityRegressor

START = np.array([1.7e12, 0.0])
RNG = np.random.default_rng(0)
TWIN = np.stack([RNG.integers(0, 10_000, 200).astype(float), RNG.normal(size=200).round(3)], 1)
SMALL = {"steps": 20, "width": 16, "depth": 1, "random_state": 0, "accelerator": "cpu"}


@pytest.mark.parametrize("standardize", [False, True])
def test_generators(standardize):
    far, twin = (MixtureGenerator(**SMALL, standardize=standardize).fit(X) for X in (TWIN + START, TWIN))
    assert far.variance_ == pytest.approx(twin.variance_, rel=1e-4)
    assert far.score(TWIN + START) == pytest.approx(twin.score(TWIN), abs=0.02)
    moved = far.sample(100) - START
    np.testing.assert_allclose(moved, twin.sample(100), atol=60, rtol=0)
    assert far.schema_.shifted != standardize


@pytest.mark.slow
def test_conditional_generators():
    t, v = TWIN[:, :1], TWIN[:, 1:]
    for given, values, start in ((t, v, 0), (v, t, START[0])):
        twin = ConditionalGenerator(**SMALL).fit(given, values).sample(given)
        given, values = given + START[0] - start, values + start
        model = ConditionalGenerator(**SMALL).fit(given, values)
        np.testing.assert_allclose(model.sample(given) - start, twin, atol=60 if start else 1e-2, rtol=0)
        assert np.isfinite(model.score(given, values))
        with pytest.raises(ValueError, match="y must have rows of shape"):
            model.score(given, np.concatenate([values, values], 1))


def test_regressors():
    far, twin = (
        MixtureDensityRegressor(**SMALL).fit(TWIN[:, :1] + start, TWIN[:, 1]).predict(TWIN[:, :1] + start)
        for start in (START[0], 0)
    )
    np.testing.assert_allclose(far, twin, atol=1e-3)
