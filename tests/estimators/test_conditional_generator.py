import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import contrastive_entropy as ce
from contrastive_entropy import ConditionalGenerator

SMALL = {"steps": 300, "batch_size": 64, "width": 32, "depth": 2, "accelerator": "cpu", "random_state": 0}


def parted_rows(count=600, seed=0):
    """Labels, and points near (6, 0), (-6, 0) or (0, 6)."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(["a", "b", "c"], size=count)
    centers = {"a": (6, 0), "b": (-6, 0), "c": (0, 6)}
    return labels, np.array([centers[label] for label in labels]) + draw.normal(size=(count, 2))


@pytest.fixture(scope="module")
def by_class():
    return ConditionalGenerator(**SMALL).fit(*parted_rows())


def test_a_class_is_drawn_from_by_name(by_class):
    drawn = by_class.sample(["c", "a"], 200)
    assert drawn.shape == (2, 200, 2)
    assert np.abs(drawn[0].mean(0) - (0, 6)).max() < 1
    assert np.abs(drawn[1].mean(0) - (6, 0)).max() < 1
    assert drawn.std(1).min() > 0.5
    assert by_class.sample(["b"]).shape == (1, 2)
    assert by_class.classes_.tolist() == ["a", "b", "c"]
    assert by_class.n_features_in_ == 1
    assert len(by_class.history_["objective"]) == 30


def test_the_same_seed_draws_the_same(by_class):
    first, second, other = (by_class.sample(["a"] * 5, random_state=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    again = clone(by_class).fit(*parted_rows())
    assert np.array_equal(again.sample(["a"] * 5), by_class.sample(["a"] * 5))


def test_the_score_is_near_1_and_lower_for_other_labels(by_class):
    labels, points = parted_rows(seed=1)
    score = by_class.score(labels, points)
    assert 0.8 < score < 1.2
    assert by_class.score(np.roll(labels, 1), points) < 0.7 * score


def test_columns_are_drawn_given_columns():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(800, 2))
    y = np.stack([10 * x[:, 0], 1e-3 * x[:, 1] + 1e-3 * draw.normal(size=800)], 1)
    model = ConditionalGenerator(**SMALL | {"steps": 600}).fit(x, y)
    assert model.classes_ is None
    drawn = model.sample([[1.0, 1.0], [-1.0, 0.0]], 300)
    assert drawn[0, :, 0].mean() == pytest.approx(10, abs=2.5)
    assert drawn[1, :, 0].mean() == pytest.approx(-10, abs=2.5)
    assert drawn[0, :, 1].mean() - drawn[1, :, 1].mean() == pytest.approx(1e-3, abs=5e-4)
    assert model.score(x, y) > 0.6
    assert model.score(x, y[::-1]) < model.score(x, y) - 0.2


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (8, 8, 1)])
def test_images_come_back_in_their_shape(shape):
    digits = ce.load("digits")
    images = (255 * digits.train.points.numpy()).astype(np.uint8).reshape(-1, *shape)
    labels = digits.train.labels.numpy()
    model = ConditionalGenerator(**SMALL | {"steps": 60, "batch_size": 160}).fit(labels, images)
    drawn = model.sample([3, 3, 8])
    assert drawn.shape == (3, *shape)
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() <= drawn.max() <= 1
    means = [images[labels == label].mean(0) / 255 for label in (3, 0)]
    many = model.sample(np.full(100, 3)).mean(0)
    assert np.abs(many - means[0]).mean() < np.abs(many - means[1]).mean()


def test_colours_at_the_end_stay_there():
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    images = np.where(labels[:, None, None, None] == np.arange(3), 0.9, 0.1) + 0.05 * draw.random((200, 4, 4, 3))
    drawn = ConditionalGenerator(**SMALL).fit(labels, images).sample([0, 1], 20).mean((1, 2, 3))
    assert drawn.shape == (2, 3)
    assert drawn[0].argmax() == 0
    assert drawn[1].argmax() == 1


def test_what_cannot_be_fitted_is_refused():
    labels, points = parted_rows(100)
    model = ConditionalGenerator(**SMALL)
    with pytest.raises(NotFittedError):
        model.sample(["a"])
    for x, y, message in (
        (labels, points[:50], "inconsistent numbers of samples"),
        (labels, points[:, 0], r"y must have a row for each sample, \(n, d\)"),
        (labels[:9], points[:9], "9 rows are too few; at least 20"),
        (labels, np.where(points > 5, np.nan, points), "NaN"),
        (np.full((100, 1), np.nan), points, "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, y)
    with pytest.raises(ce.InputError, match="log_likelihood predicts mixtures: take MixtureDensityRegressor"):
        ConditionalGenerator(objective="log_likelihood").fit(labels, points)
    with pytest.raises(ce.InputError, match="energy_score generates samples: take ConditionalGenerator"):
        ce.MixtureDensityRegressor(objective="energy_score").fit(points, points[:, 0])


def test_what_was_not_there_to_fit_is_refused(by_class):
    labels, points = parted_rows(100)
    for x, message in (
        (["a", "z"], r"classes that were not there to fit: \['z'\]; known are a, b, c"),
        (np.zeros((2, 2)), r"X must be classes, \(n,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            by_class.sample(x)
    with pytest.raises(ValueError, match="n_samples must be a whole number, at least 1, got 0"):
        by_class.sample(["a"], 0)
    with pytest.raises(ValueError, match=r"y must have rows of shape \(2,\), got \(3,\)"):
        by_class.score(labels, np.zeros((100, 3)))
    with pytest.raises(ValueError, match="every class has fewer than 12 rows"):
        by_class.score(labels[:20], points[:20])


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_units_of_y_do_not_matter_to_classes(scale):
    draw = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 300)
    side = np.where(draw.random(600) < 0.5, 1.0, -1.0)
    y = np.stack([side + 4 * (labels == "b"), scale * (side + 0.1 * draw.normal(size=600))], 1)
    drawn = ConditionalGenerator(**SMALL).fit(labels, y).sample(labels)
    assert np.mean(np.abs(np.abs(drawn[:, 1] / scale) - 1) < 0.4) > 0.8


def test_a_score_needs_no_variance():
    labels, points = parted_rows(200)
    repeated = np.where(labels[:, None] == "a", 1.0, np.round(points / 6))
    model = ConditionalGenerator(**SMALL | {"steps": 5, "objective": "energy_score"}).fit(labels, repeated)
    assert model.sample(labels).shape == (200, 2)


def test_odd_conditions_are_refused():
    labels, points = parted_rows(100)
    model = ConditionalGenerator(**SMALL)
    some = labels.astype(object)
    some[3] = None
    for x, message in (
        (np.random.default_rng(0).normal(size=100), r"hardly classes; of one column of numbers take reshape\(-1, 1\)"),
        (some, "X holds missing classes"),
        (np.where(labels == "a", np.nan, 1.0), "X holds missing classes"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, points)
    with pytest.raises((TypeError, ValueError)):
        model.fit(sparse.eye_array(100), points)
    with pytest.raises(ce.InputError, match="`components` would be ignored"):
        ConditionalGenerator(settings={"components": 3}).fit(labels, points)
    with pytest.raises(ce.InputError, match="`noise_dimension` would be ignored"):
        ce.MixtureDensityRegressor(settings={"noise_dimension": 3}).fit(points, points[:, 0])
    fitted = ConditionalGenerator(**SMALL | {"steps": 2}).fit(labels.astype(object), points)
    assert fitted.sample(np.array(["a"], dtype=object)).shape == (1, 2)
    with pytest.raises(ValueError, match=r"n_samples must be a whole number, at least 1, got 2.5"):
        fitted.sample(["a"], 2.5)
