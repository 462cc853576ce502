"""One suite over every figure of the catalogue."""

import dataclasses
import math

import pytest
import torch

from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.alternatives import Alternatives, diversity
from contrastive_entropy.metrics.catalog import (
    ALTERNATIVE_METRICS,
    AS_REAL,
    GOALS,
    HIGH,
    LOW,
    ONE,
    SAMPLE_METRICS,
    Metric,
    figures,
)
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.metrics.samples import Comparison, Counts, check_samples

KNOWN = {"table", "images", "labels", "efficientnet", "inception", "gains", "ceiling", "trained", "missed"}


def normal(count, seed, scale=1.0):
    return scale * torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


class Space:
    """Features that are the points themselves."""

    note, settings = None, {}

    def __init__(self, name, most=1000):
        self.name, self.most = name, most

    def features(self, points, name):
        return points


def comparison(samples, **changes):
    return Comparison(
        **{"samples": samples, "train": normal(500, 1), "held_out": normal(300, 2), "variance": 0.3, "spaces": SPACES}
        | changes
    )


SPACES = Space("efficientnet"), Space("inception")


GOOD, COPIED = normal(600, 3), normal(500, 1)
BAD = {
    "tightness": normal(600, 4, 0.1),
    "fidelity": 3 + GOOD,
    "fidelity_over_ceiling": 3 + GOOD,
    "energy_distance": 3 + GOOD,
    "precision": 3 + GOOD,
    "recall": normal(600, 4, 0.1),
    "density": 3 + GOOD,
    "coverage": normal(600, 4, 0.1),
    "effective_rank": normal(600, 4, 0.1),
    "column_distance": GOOD * torch.tensor([1.0, 1.0, 3.0, 1.0]),
    "far_share": 3 + GOOD,
    "missed": normal(600, 4, 0.1),
    "memorization": COPIED,
    "copies": COPIED,
    "sharpness": normal(600, 4, 0.1),
    "pair_diversity": normal(600, 4, 0.1),
    "features_frechet": 3 + GOOD,
    "features_kernel": 3 + GOOD,
    "features_precision": 3 + GOOD,
    "features_recall": normal(600, 4, 0.1),
    "features_coverage": normal(600, 4, 0.1),
    "inception_frechet": 3 + GOOD,
    "inception_kernel": 3 + GOOD,
    "inception_precision": 3 + GOOD,
    "inception_recall": normal(600, 4, 0.1),
}
"""Samples that each figure must show to be bad."""


def images(seed, blur=0.0):
    points = torch.rand(200, 3, 36, generator=torch.Generator().manual_seed(seed))
    return (1 - blur) * points + blur * points.mean(-1, keepdim=True)


def alternatives(draws, *, wrong=0.0, gains=-1.0, missed=0.0):
    """Of inputs whose own alternatives are noise around them."""
    data = images(0).flatten(0, 1)
    return Alternatives(
        draws,
        data[:200],
        data[200:400],
        data[400:],
        2.0,
        (1, 6, 6),
        classified=lambda points: {"purity": 0.9 - wrong, "clarity": 0.9 - wrong},
        mean_gains=torch.full((10,), gains),
        missed=missed,
    )


NEAR = images(0).flatten(0, 1)[:200, None] + 0.3 * (images(1) - 0.5)
FAR = NEAR + 5
BAD_ALTERNATIVES = {
    "best_error": alternatives(FAR),
    "mean_error": alternatives(FAR),
    "diversity": alternatives(NEAR[:, :1].expand(-1, 3, -1)),
    "precision": alternatives(FAR),
    "far_share": alternatives(FAR),
    "missed": alternatives(NEAR, missed=0.3),
    "mean_preferred": alternatives(NEAR, gains=1.0),
    "purity": alternatives(NEAR, wrong=0.5),
    "sharpness": alternatives(images(2, blur=0.9)),
    "clarity": alternatives(NEAR, wrong=0.5),
}


def off(metric, value, real):
    """How far a figure is from its goal."""
    return {HIGH: -value, LOW: value, ONE: abs(value - 1), AS_REAL: abs(value - real)}[metric.goal]


@pytest.mark.parametrize("metrics", [SAMPLE_METRICS, ALTERNATIVE_METRICS])
def test_every_metric_says_what_it_is(metrics):
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.goal in GOALS
        assert metric.needs <= KNOWN
        assert metric.says
        assert "--" not in metric.says


@pytest.mark.parametrize("metric", SAMPLE_METRICS, ids=lambda metric: metric.name)
def test_a_figure_of_samples_is_finite_and_shows_what_is_bad(metric):
    shape = (1, 2, 2) if "images" in metric.needs else None
    good, bad = (comparison(samples, image_shape=shape) for samples in (GOOD, BAD[metric.name]))
    value, worse = metric.of(good.model), metric.of(bad.model)
    real = metric.of(good.real) if metric.needs <= good.real.has else math.nan
    assert math.isfinite(value)
    assert off(metric, worse, real) > off(metric, value, real) + 0.1


@pytest.mark.parametrize("metric", ALTERNATIVE_METRICS, ids=lambda metric: metric.name)
def test_a_figure_of_alternatives_is_finite_and_shows_what_is_bad(metric):
    value, worse = metric.of(alternatives(NEAR)), metric.of(BAD_ALTERNATIVES[metric.name])
    assert math.isfinite(value)
    assert off(metric, worse, value) > off(metric, value, value) + 0.1


def test_what_the_data_lack_is_not_computed():
    def names(**changes):
        side = comparison(GOOD, **changes)
        return [set(figures(SAMPLE_METRICS, one)) for one in (side.model, side.real)]

    everything = {metric.name for metric in SAMPLE_METRICS}
    images = {"sharpness", "pair_diversity"}
    featured, known = (
        {name for name in everything if name.startswith(f"{part}_")} for part in ("features", "inception")
    )
    assert (len(featured), len(known)) == (5, 4)
    assert names() == [everything - images, everything - images - {"fidelity_over_ceiling"}]
    assert names(spaces=())[0] == everything - images - featured - known
    assert names(spaces=SPACES[:1])[0] == everything - images - known
    assert names(spaces=SPACES[1:])[0] == everything - images - featured
    assert names(image_shape=(1, 2, 2))[0] == everything - {"column_distance"}
    side = alternatives(NEAR)
    assert set(figures(ALTERNATIVE_METRICS, side)) == {metric.name for metric in ALTERNATIVE_METRICS}
    without = {"image_shape": "sharpness", "mean_gains": "mean_preferred"}
    for name, missing in without.items():
        found = figures(ALTERNATIVE_METRICS, dataclasses.replace(side, **{name: None}))
        assert missing not in found
        assert len(found) == len(ALTERNATIVE_METRICS) - 1
    assert not {"purity", "clarity"} & set(figures(ALTERNATIVE_METRICS, dataclasses.replace(side, classified=None)))


def test_figures_that_are_not_finite_are_left_out():
    metrics = (Metric("one", "1", lambda side: 1.0), Metric("none", "nan", lambda side: math.nan))
    assert figures(metrics, comparison(GOOD).model) == {"one": 1.0}


def test_parts_that_several_figures_share_are_computed_once(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "contrastive_entropy.metrics.samples.neighbor_distance",
        lambda x, y: calls.append(len(x)) or torch.linspace(0.1, 1, len(x)),
    )
    side = comparison(GOOD[:500])
    figures(SAMPLE_METRICS, side.model)
    figures(SAMPLE_METRICS, side.real)
    assert sorted(calls) == [250, 300]  # samples without the second sample, and held-out points


@pytest.mark.parametrize(
    ("train", "held_out", "samples", "expected"),
    [
        (3000, 1200, None, (1200, 1000)),
        (3000, 1200, 2200, (1200, 1000)),
        (3000, 1200, 101, (51, 50)),
        (100, 60, None, (60, 50)),
        (50_000, 20_000, None, (10_000, 1000)),
    ],
)
def test_how_many_points_are_compared(train, held_out, samples, expected):
    counts = Counts.of(train, held_out, samples)
    assert (counts.points, counts.again) == expected
    assert counts.total == sum(expected)


def test_variances_that_show_no_overlap_are_refused():
    with pytest.raises(InputError, match="250 samples do not overlap with as many others, and real"):
        comparison(1e6 * GOOD).check()
    with pytest.raises(InputError, match=r"too small to compare 250 points at.*train with a higher `variance_end`"):
        comparison(GOOD, variance=1e-9).check()
    comparison(GOOD).check()


@pytest.mark.parametrize(
    ("samples", "variance", "message"),
    [
        (GOOD[:11], 1.0, "11 samples are too few to evaluate; at least 12 are needed"),
        (GOOD[:, :3], 1.0, r"expected samples of 4 coordinates as normal has, got shape \(600, 3\)"),
        (GOOD.log(), 1.0, "samples hold NaN or infinite values; leave such rows out"),
        (GOOD, math.inf, "variance must be a positive number, got inf"),
    ],
)
def test_samples_that_cannot_be_compared(samples, variance, message):
    with pytest.raises(InputError, match=message):
        check_samples(samples, dimension=4, name="normal", variance=variance)


def test_few_points_are_refused():
    require_enough("moons", 6, 6)
    with pytest.raises(
        InputError, match=r"moons: 6 points to train on and 5 held out are too few .* another `held_out`"
    ):
        require_enough("moons", 6, 5)


def test_diversity_is_relative_to_the_data():
    data = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    assert diversity(data[:3000].unflatten(0, (100, 30)), data) == pytest.approx(1, abs=0.05)
    assert diversity(data[:100, None].expand(-1, 5, -1), data) == 0
