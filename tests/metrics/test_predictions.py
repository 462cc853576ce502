import math

import pytest
import torch
from scipy import stats

import contrastive_entropy as ce
from contrastive_entropy.data.laws import LAWS
from contrastive_entropy.metrics.catalog import GOALS, PREDICTION_METRICS, figures
from contrastive_entropy.metrics.outliers import outliers
from contrastive_entropy.metrics.predictions import Predictions
from samples import generator

COUNT = 3000


def normal(mean, deviation):
    """One Gaussian for each row."""
    mean, deviation = (torch.as_tensor(part, dtype=torch.float64).expand(COUNT) for part in (mean, deviation))
    return ce.GaussianMixture(mean[:, None, None], deviation.square()[:, None, None])


@pytest.fixture(scope="module")
def rows():
    x = torch.rand(COUNT, 1, generator=generator(0), dtype=torch.float64)
    return x, x + (0.1 + x) * torch.randn(COUNT, 1, generator=generator(1), dtype=torch.float64)


def truth(x):
    return normal(x[:, 0], 0.1 + x[:, 0])


def test_figures_of_the_truth_are_those_that_scipy_has(rows):
    x, y = rows
    found = figures(PREDICTION_METRICS, Predictions(truth(x), y, x))
    assert set(found) == {metric.name for metric in PREDICTION_METRICS}
    expected = stats.norm.logpdf(y[:, 0], x[:, 0], 0.1 + x[:, 0])
    assert found["nll"] == pytest.approx(-expected.mean())
    assert found["rmse"] == pytest.approx(float((y - x).square().mean().sqrt()))
    score = (y - x) / (0.1 + x)
    half = stats.norm.ppf(0.95)
    assert found["coverage_90"] == pytest.approx(float((score.abs() <= half).double().mean()))
    assert found["calibration_error"] < 0.02
    assert found["crps"] == pytest.approx(float((0.1 + x).mean()) / math.sqrt(math.pi), rel=0.05)
    assert found["tightness"] > 0.95


@pytest.mark.parametrize(
    ("metric", "laws"),
    [
        ("tightness", lambda x: normal(x[:, 0], 1.0)),
        ("nll", lambda x: normal(x[:, 0], 1.0)),
        ("crps", lambda x: normal(0.0, 0.6)),
        ("rmse", lambda x: normal(0.0, 0.6)),
        ("coverage_90", lambda x: normal(x[:, 0], 0.3)),
        ("calibration_error", lambda x: normal(x[:, 0] + 0.5, 0.6)),
    ],
)
def test_a_worse_law_has_a_worse_figure(rows, metric, laws):
    x, y = rows
    record = next(one for one in PREDICTION_METRICS if one.name == metric)
    good, bad = (record.of(Predictions(part, y, x)) for part in (truth(x), laws(x)))
    off = {"high": lambda v: -v, "low": lambda v: v, "0.9": lambda v: abs(v - 0.9)}[record.goal]
    assert off(bad) > off(good) + 0.02
    assert record.goal in GOALS


def test_one_law_for_all_rows_is_as_many_equal_ones(rows):
    _, y = rows
    one = ce.GaussianMixture(torch.tensor([[0.0], [1.0]], dtype=torch.float64), 0.3)
    many = ce.GaussianMixture(one.centers.expand(COUNT, 2, 1), 0.3)
    first, second = (figures(PREDICTION_METRICS, Predictions(laws, y)) for laws in (one, many))
    assert first == pytest.approx(second)
    assert "tightness" not in first


def test_several_columns_of_y_are_averaged(rows):
    x, y = rows
    both = torch.cat([y, 2 * y], 1)
    laws = truth(x)
    doubled = ce.GaussianMixture(
        torch.cat([laws.centers, 2 * laws.centers], -1), torch.cat([laws.variance, 4 * laws.variance], -1)
    )
    one, two = (figures(PREDICTION_METRICS, Predictions(a, b, x)) for a, b in ((laws, y), (doubled, both)))
    assert two["crps"] == pytest.approx(1.5 * one["crps"])
    assert two["coverage_90"] == pytest.approx(one["coverage_90"])
    assert "tightness" not in two


@pytest.mark.parametrize("name", ["heteroscedastic", "bimodal", "skewed"])
def test_the_gap_of_the_truth_is_nearly_0_and_its_error_covers_chance(name):
    law = LAWS[name]
    found = []
    for seed in range(4):
        x, y = law.draw(1500, seed=seed)
        found.append(Predictions(law.given(x), y, x).best_gap)
    gaps, errors = (torch.tensor(part) for part in zip(*found, strict=True))
    assert float(gaps.abs().max()) < 0.08
    assert float(gaps.abs().mean()) < 0.04
    assert bool((gaps > -2.5 * errors).all())


def test_the_gap_of_a_law_without_x_is_near_what_is_known():
    """Of Gaussians whose means x moves by one deviation: E18's limit and value in closed form."""
    x = torch.randn(COUNT, 1, generator=generator(2), dtype=torch.float64)
    y = x + torch.randn(COUNT, 1, generator=generator(3), dtype=torch.float64)
    gap, error = Predictions(normal(0.0, 2**0.5), y, x).best_gap
    expected = 0.5 * math.log(2)  # log(1 / sqrt(4 pi)) against log(1 / sqrt(8 pi))
    assert gap == pytest.approx(expected, abs=0.1)
    assert gap < expected + 2 * error


def test_too_few_rows_have_no_gap(rows):
    x, y = rows
    with pytest.raises(ValueError, match="at least 3 rows are needed, got 2"):
        _ = Predictions(normal(0.0, 1.0).select(0, 1), y[:2], x[:2]).best_gap


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("spread", [True, False])
def test_outliers_are_counted_and_found(rows, share, spread):
    x, y = rows
    bad = torch.zeros(COUNT, dtype=torch.bool)
    bad[: int(share * COUNT)] = True
    away = 60 * (2 * torch.rand(COUNT, 1, generator=generator(4), dtype=torch.float64) - 1)
    spoiled = torch.where(bad[:, None], away if spread else 9 + 0.01 * away, y)
    laws = truth(x)
    found, flags = outliers(laws, spoiled)
    assert found == pytest.approx(share, abs=0.06)
    if share:
        assert float(flags[bad].double().mean()) > (0.93 if spread else 0.999)
    assert float(flags[~bad].double().mean()) < 0.02


def test_a_target_that_hardly_varies_still_has_a_background():
    y = torch.zeros(50, 1)
    y[0] = 1.0
    laws = ce.GaussianMixture(torch.zeros(50, 1, 1), 1e-4)
    _, flags = outliers(laws, y)
    assert bool(flags[0])
    assert not bool(flags[1:].any())


def test_a_target_that_does_not_vary_has_no_outliers():
    laws = ce.GaussianMixture(torch.zeros(50, 1, 1), 1e-6)
    share, flags = outliers(laws, torch.zeros(50, 1))
    assert share < 1e-3
    assert not bool(flags.any())


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_share_is_exact_where_outliers_have_the_law_that_is_assumed(rows, share):
    x, y = rows
    bad = torch.arange(COUNT) < share * COUNT
    center, deviation = y.median(), 1.4826 * (y - y.median()).abs().median()
    uniform = torch.rand(COUNT, 1, generator=generator(6), dtype=torch.float64)
    width = 5.0 * deviation
    for _ in range(20):  # the width is that of all rows
        away = center + width * torch.tan(math.pi * (uniform - 0.5))
        spoiled = torch.where(bad[:, None], away, y)
        width = 5 * 1.4826 * (spoiled - spoiled.median()).abs().median()
    found, _ = outliers(truth(x), spoiled)
    assert found == pytest.approx(share, abs=0.02)


def test_the_standard_error_of_the_gap_is_what_repetitions_spread():
    law = LAWS["heteroscedastic"]
    gaps, errors = [], []
    for seed in range(40):
        x, y = law.draw(500, seed=seed)
        gap, error = Predictions(law.given(x), y, x).best_gap
        gaps.append(gap)
        errors.append(error)
    spread = float(torch.tensor(gaps).std())
    assert 0.6 < sum(errors) / 40 / spread < 1.7
