"""Metrics against the packages that people know them from, on the same arrays."""

import contextlib
import dataclasses
import io
import math
import sys
from unittest.mock import MagicMock

import numpy as np
import ot
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.stats
import torch
from torchmetrics.image.kid import poly_mmd
from vendi_score import vendi

from contrastive_entropy.metrics import pairs
from contrastive_entropy.metrics.distances import (
    energy_distance,
    gaussian_mmd,
    mean_pair_distance,
    sliced_energy_distance,
    sliced_wasserstein,
)
from contrastive_entropy.metrics.modes import ModeScores, class_mode_scores, clustering_purity, mode_scores
from contrastive_entropy.metrics.moments import frechet_distance, kernel_distance
from contrastive_entropy.metrics.neighborhoods import memorization, neighbor_distance, neighborhood_scores
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.metrics.scores import parzen_log_likelihood, vendi_score
from contrastive_entropy.spaces.inception import import_alone

with contextlib.redirect_stdout(io.StringIO()):
    from prdc import compute_prdc

SIZES = [(40, 60, 3), (60, 40, 80)]


def points(n, d, seed, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(params=SIZES, ids=str)
def sets(request):
    n, m, d = request.param
    return points(n, d, 0), 0.7 * points(m, d, 1) + 0.3


@pytest.mark.parametrize("neighbors", [1, 5])
def test_neighborhood_scores_equal_prdc(sets, neighbors):
    x, y = sets
    with contextlib.redirect_stdout(io.StringIO()):
        expected = compute_prdc(x.numpy(), y.numpy(), nearest_k=neighbors)
    found = neighborhood_scores(x, y, neighbors=neighbors)
    assert {name: pytest.approx(value, abs=1e-12) for name, value in expected.items()} == vars(found)


def test_vendi_score_equals_vendi_score(sets):
    x, _ = sets
    gram = torch.exp(-torch.cdist(x, x).square() / (2 * 9.0)).numpy()
    assert vendi_score(x, variance=9.0) == pytest.approx(vendi.score_K(gram), rel=1e-9)


def test_frechet_distance_equals_scipy(sets):
    x, y = sets
    c_x, c_y = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    root = scipy.linalg.sqrtm(c_x @ c_y)
    shift = x.mean(0) - y.mean(0)
    expected = float(shift @ shift) + np.trace(c_x + c_y - 2 * root.real)
    assert frechet_distance(x, y) == pytest.approx(
        expected, rel=1e-6
    )  # the product of singular matrices has no exact root


def test_frechet_distance_equals_torchmetrics(sets):
    from torchmetrics.image.fid import _compute_fid

    x, y = sets
    expected = _compute_fid(x.mean(0), x.mT.cov(), y.mean(0), y.mT.cov())
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-6)


def test_kernel_distance_equals_torchmetrics():
    x, y = points(50, 6, 0), 0.7 * points(50, 6, 1) + 0.3  # theirs wants as many of both
    assert kernel_distance(x, y) == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)


@pytest.fixture
def fidelity_module(torch_fidelity, monkeypatch):
    """Modules of torch-fidelity by name, without its `utils`, which read pictures with torchvision."""
    monkeypatch.setitem(sys.modules, "torch_fidelity.utils", MagicMock())
    return import_alone


def test_frechet_distance_equals_torch_fidelity(sets, fidelity_module):
    """Theirs sums the roots of the product's eigenvalues, of which those that are 0 come out at 1e-8 in its square root."""
    fid = fidelity_module("metric_fid")
    expected = fid.fid_statistics_to_metric(*map(fid.fid_features_to_statistics, sets), verbose=False)
    tolerance = 1e-9 if sets[0].shape[1] < 10 else 1e-6  # as many points as coordinates, or fewer: singular
    assert frechet_distance(*sets) == pytest.approx(expected[fid.KEY_METRIC_FID], rel=tolerance)


def test_kernel_distance_is_what_torch_fidelity_averages_over_subsets(sets, fidelity_module):
    """Ours takes all points at once, and as many or few of either; theirs is the mean over subsets of one size."""
    kid = fidelity_module("metric_kid")
    x, y = points(50, 6, 0), 0.7 * points(50, 6, 1) + 0.3
    kernels = (kid.kernel_poly(a.numpy(), b.numpy()) for a, b in ((x, x), (x, y), (y, y)))
    assert kernel_distance(x, y) == pytest.approx(kid.mmd2(*kernels), rel=1e-9)
    draw = np.random.RandomState(7)
    choices = [[draw.choice(len(s), 20, replace=False) for s in sets] for _ in range(3)]
    ours = [kernel_distance(*(s[rows] for s, rows in zip(sets, chosen, strict=True))) for chosen in choices]
    theirs = kid.kid_features_to_metric(*sets, kid_subsets=3, kid_subset_size=20, rng_seed=7, verbose=False)
    assert np.mean(ours) == pytest.approx(theirs[kid.KEY_METRIC_KID_MEAN], rel=1e-9)
    assert np.std(ours) == pytest.approx(theirs[kid.KEY_METRIC_KID_STD], rel=1e-9)


@pytest.mark.parametrize("neighbors", [1, 3, 5])
@pytest.mark.parametrize("d", [3, 80])
def test_precision_and_recall_equal_torch_fidelity(fidelity_module, d, neighbors):
    """The definitions agree, but for the default number of neighbours: 3 there, as published, and 5 here."""
    prc = fidelity_module("metric_prc")
    real, generated = points(60, d, 0), points(40, d, 1) + 0.2
    found = neighborhood_scores(real, generated, neighbors=neighbors)
    for theirs in (prc.calculate_precision_recall_full, prc.calculate_precision_recall_part):
        expected = theirs(generated, real, neighborhood=neighbors)  # shares in float32
        assert (found.precision, found.recall) == pytest.approx(expected, abs=1e-6)
    assert 0 < found.precision < 1
    assert 0 < found.recall < 1


def test_sliced_wasserstein_equals_pot(sets):
    x, y = sets
    directions = torch.randn((x.shape[1], 64), generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    directions /= directions.norm(dim=0)
    expected = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=directions.numpy(), p=2)
    assert sliced_wasserstein(x, y, projections=64, seed=7) == pytest.approx(float(expected), rel=1e-9)


def test_energy_distance_equals_scipy_in_one_dimension():
    x, y = points(30, 1, 0), points(50, 1, 1) + 0.5
    squared = (
        scipy.stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2
    )  # V-statistics: pairs of a point with itself
    n, m = len(x), len(y)
    biased = energy_distance(x, y) + mean_pair_distance(x) / n + mean_pair_distance(y) / m
    assert biased == pytest.approx(squared, rel=1e-9)


@pytest.mark.parametrize(("d", "projections", "tolerance"), [(1, 1, 1e-12), (2, 128, 1e-4), (5, 20_000, 0.02)])
def test_sliced_energy_distance_is_the_energy_distance(d, projections, tolerance):
    x, y = points(300, d, 0), 1.1 * points(200, d, 1) + 0.3
    for a, b, seed in ((x, y, 0), (y, x, 1), (100 + x, 100 + y, 2)):
        found = sliced_energy_distance(a, b, projections=projections, seed=seed)
        assert found == pytest.approx(energy_distance(a, b), rel=tolerance)


def test_memorization_equals_the_mann_whitney_statistic():
    train, samples, held_out = points(40, 2, 0), points(30, 2, 1), points(20, 2, 2)
    samples[:5] = train[:5]
    held_out[:3] = train[:3]
    own, other = neighbor_distance(samples, train), neighbor_distance(held_out, train)
    statistic = scipy.stats.mannwhitneyu(other, own).statistic
    assert memorization(samples, train, held_out) == pytest.approx(statistic / (30 * 20), rel=1e-12)
    assert memorization(train, train, held_out) == pytest.approx(1 - 1.5 / 20)  # ties with three copies count half


def test_gaussian_mmd_equals_its_definition(sets):
    x, y = sets

    def mean(a, b, same):
        values = [
            math.exp(-float((a[i] - b[j]).square().sum()) / (2 * 5.0))
            for i in range(len(a))
            for j in range(len(b))
            if not (same and i == j)
        ]
        return sum(values) / len(values)

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert gaussian_mmd(x, y, variance=5.0) == pytest.approx(expected, abs=1e-12)


def test_parzen_log_likelihood_equals_scipy():
    x, y = points(20, 2, 0), points(9, 2, 1)
    densities = [
        np.mean([scipy.stats.multivariate_normal(z, 0.3 * np.eye(2)).pdf(point) for z in x.numpy()])
        for point in y.numpy()
    ]
    assert parzen_log_likelihood(x, y, variance=0.3) == pytest.approx(np.log(densities).mean(), rel=1e-9)


@pytest.mark.parametrize(
    "measure",
    [energy_distance, frechet_distance, kernel_distance, sliced_energy_distance, sliced_wasserstein],
    ids=lambda f: f.__name__,
)
def test_distances_of_sets_are_symmetric_and_see_a_shift(measure):
    x, y = points(300, 4, 0), points(200, 4, 1)
    assert measure(x, y) == pytest.approx(measure(y, x), rel=1e-9)
    assert measure(x, y + 2) > 5 * abs(measure(x, y))


def test_sharpness_is_scipy_s_laplacian_and_falls_with_blur():
    images, reference = points(7, 2 * 5 * 6, 0), points(3, 2 * 5 * 6, 1)

    def energy(flat):
        planes = flat.reshape(-1, 5, 6).numpy()
        return np.mean([np.mean(scipy.ndimage.laplace(plane, mode="nearest") ** 2) for plane in planes])

    expected = energy(images) / energy(reference)
    assert sharpness(images, reference, (2, 5, 6)) == pytest.approx(expected, rel=1e-5)
    smooth = scipy.ndimage.gaussian_filter(images.reshape(-1, 5, 6).numpy(), (0, 1, 1))
    assert sharpness(torch.from_numpy(smooth).reshape(7, -1), images, (2, 5, 6)) < 0.1
    assert sharpness(images, 1 + 0 * reference, (2, 5, 6)) == math.inf


def test_tiles_of_any_size_change_nothing(monkeypatch):
    x, y = points(40, 3, 0), points(60, 3, 1)

    def all_of_them():
        return [
            kernel_distance(x, y),
            sliced_wasserstein(x, y, projections=30),
            sliced_energy_distance(x, y, projections=30),
            vendi_score(x, variance=1.0),
            memorization(x, y, y[:7] + 0.1),
            mean_pair_distance(x),
        ]

    whole = all_of_them()
    monkeypatch.setattr(pairs, "TILE", 97)
    assert all_of_them() == pytest.approx(whole, rel=1e-12)


def test_modes_are_counted_as_published():
    modes = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    samples = torch.tensor([[0.1, 0.0], [0.0, 0.2], [9.9, 0.0], [6.0, 0.0]])
    found = mode_scores(samples, modes, radius=0.15)
    expected = math.log(3) + 2 * 0.5 * math.log(0.5)  # shares 1/2, 1/2, 0 against thirds
    assert found == ModeScores(2, 0.5, pytest.approx(expected), pytest.approx(0.1, rel=1e-5))
    classes = class_mode_scores(torch.tensor([0, 0, 1, 1]), modes=3)
    assert dataclasses.astuple(classes)[:3] == (2, 1.0, pytest.approx(expected))


def test_purity_of_clusters():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert clustering_purity(labels, labels) == 1
    assert clustering_purity(torch.zeros(6, dtype=torch.int64), labels) == pytest.approx(1 / 3)
    assert clustering_purity(torch.arange(6), labels) == 1
    assert clustering_purity(torch.tensor([4, 4, 4, 0, 0, 0]), labels) == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: sliced_wasserstein(points(3, 2, 0), points(3, 2, 0), projections=0),
            "projections must be at least 1, got 0",
        ),
        (lambda: sliced_energy_distance(points(1, 2, 0), points(3, 2, 0)), r"first set .* n >= 2, got \(1, 2\)"),
        (
            lambda: sliced_energy_distance(points(3, 2, 0), points(3, 2, 0), projections=0),
            "projections must be at least 1, got 0",
        ),
        (
            lambda: sharpness(points(3, 8, 0), points(3, 9, 0), (1, 3, 3)),
            r"expected images of shape \(n, 9\), got \(3, 8\)",
        ),
        (lambda: sharpness(points(3, 9, 0)[:0], points(3, 9, 0), (1, 3, 3)), r"got \(0, 9\)"),
        (lambda: vendi_score(points(3, 2, 0), variance=0.0), "variance must be positive, got 0.0"),
        (lambda: gaussian_mmd(points(3, 2, 0), points(3, 2, 1), variance=-1.0), "variance must be positive, got -1.0"),
        (lambda: frechet_distance(points(1, 2, 0), points(3, 2, 0)), r"first set .* n >= 2, got \(1, 2\)"),
        (lambda: kernel_distance(points(3, 2, 0), points(3, 3, 0)), "numbers of coordinates: 2 and 3"),
        (lambda: mean_pair_distance(points(1, 2, 0)), "n >= 2"),
        (lambda: memorization(points(3, 2, 0), points(3, 2, 0), points(3, 3, 0)), "numbers of coordinates"),
        (lambda: mode_scores(points(3, 2, 0) / 0, points(3, 2, 0), radius=1.0), "first set holds NaN or infinite"),
        (lambda: class_mode_scores(torch.tensor([3]), modes=3), r"must lie in 0\.\.2, got 3\.\.3"),
        (lambda: clustering_purity(torch.tensor([3]), torch.tensor([3, 4])), "as many clusters as labels"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
