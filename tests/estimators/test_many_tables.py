"""A hundred random tables: whatever people bring, there is a law, and it is one."""

import warnings

import numpy as np
import pytest
import torch

from contrastive_entropy.estimators import MixtureDensityRegressor

UNIT = torch.linspace(-9, 9, 241, dtype=torch.float64)


def column(draw, rows):
    """Of one of the kinds that tables have."""
    kind = draw.integers(7)
    base = draw.normal(size=rows)
    if kind == 0:
        base = draw.standard_cauchy(size=rows)
    elif kind == 1:
        base = np.round(3 * base)
    elif kind == 2:
        base = np.full(rows, draw.normal())
    elif kind == 3:
        base = np.where(draw.random(rows) < 0.7, 0.0, np.exp(2 * base))
    elif kind == 4:
        base = draw.choice(draw.normal(size=max(2, rows // 10)), rows)
    elif kind == 5:
        base = draw.standard_t(3, size=rows)
    return 10.0 ** draw.uniform(-6, 6) * (base + draw.choice([0.0, 100.0]))


def integral(law):
    """Of a mixture's density, over points that lie close wherever a component is narrow."""
    deviation = law.variance.sqrt().expand_as(law.centers)
    points = (law.centers + deviation * UNIT).flatten().sort().values
    density = law.log_prob(points.unsqueeze(-1)).exp()
    return float(torch.trapezoid(density, points))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_a_random_table_is_fitted(seed):
    draw = np.random.default_rng(seed)
    rows, columns = int(10 ** draw.uniform(1, 4)), int(2 ** draw.uniform(0, 6))
    x = np.stack([column(draw, rows) for _ in range(columns)], 1)
    y = column(draw, rows)
    if draw.random() < 0.5:
        y = y + np.std(y) * np.tanh(x[:, 0] / (np.abs(x[:, 0]).max() or 1))
    model = MixtureDensityRegressor(steps=300, robust=bool(draw.random() < 0.2), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y)
        laws = model.pred_dist(x[:200])
        assert np.isfinite(model.predict(x)).all()
        quantiles = model.predict(x[:200], quantiles=[0.05, 0.5, 0.95])
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=1) >= 0).all()
        assert np.isfinite(model.score_samples(x, y)).all()
        assert all(np.isfinite(value) for value in model.evaluate(x, y).values())
    for row in range(0, min(200, rows), 50):
        one = type(laws)(laws.centers[row], laws.variance[row], log_weights=laws.log_weights[row])
        assert integral(one) == pytest.approx(1, abs=1e-3)
