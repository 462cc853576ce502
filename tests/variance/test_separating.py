import dataclasses
import math

import pytest
import torch

from contrastive_entropy.data.load import load
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.models.autoencoder.settings import AutoencoderSettings, plan
from contrastive_entropy.variance.choice import neighbor_variance
from samples import points, separating


def test_the_separating_variance_of_points_all_as_far_apart_that_all_share_a_code():
    """The blur's gain is 2 log n - log C - D^2 / 4 v there, and is to be -2."""
    n, centers = 100, 4
    threshold = 18 / (4 * (2 * math.log(n) - math.log(centers) + 2))
    for most in (0.6, 0.8, 1.0):
        found = separating(3 * torch.eye(n), most=most, centers=centers, feature_variance=1e4)
        assert threshold / 2**0.5 <= found * 1.02
        assert found <= threshold * 1.02
        assert 2 * math.log2(most / found) == pytest.approx(round(2 * math.log2(most / found)))
    for most in (threshold / 2, 5 * threshold):  # fine as it is, and beyond help
        assert separating(3 * torch.eye(n), most=most, feature_variance=1e4) == most


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [
        ([0.2, 0.1, 0.1, 0.1, 0.1], 0),
        ([0.9, 0.5, 0.3, 0.2, 0.1], 3),
        ([0.9, 0.8, 0.7, 0.6, 0.45], 4),  # not there yet, but it helps
        ([0.9, 0.8, 0.7, 0.6, 0.5], 0),  # it hardly does
    ],
)
def test_the_separating_variance_follows_the_share_of_codes_where_the_blur_is_near(monkeypatch, shares, chosen):
    given = iter(shares)

    def gains(joint, conditions, centers):
        assert len(conditions) == 100
        near = torch.arange(100) < round(100 * next(given))
        return torch.where(near, -1.9, -2.1)

    monkeypatch.setattr(JointMixture, "mean_gains", gains)
    assert separating(points(), most=1.0, feature_variance=1e4) == 2.0 ** (-chosen / 2)


def test_codes_that_belong_to_one_point_do_not_count(monkeypatch):
    """Of even codes .01 apart all belong to one point, or none: counted, the first would ask for less variance."""
    shares = iter([1.0, 1.0, 1.0, 1.0, 0.4] * 2)
    near = lambda joint, conditions, centers: torch.where(torch.arange(100) < 100 * next(shares), -1.0, -3.0)  # noqa: E731
    monkeypatch.setattr(JointMixture, "mean_gains", near)
    line = torch.arange(200.0)[:, None]
    assert separating(line, most=1.0, feature_variance=1e-8) == 1.0
    shares = iter([1.0, 1.0, 1.0, 1.0, 0.4])
    assert separating(line, most=1.0, feature_variance=1e-2) == 0.25


def test_moons_fill_a_code_evenly():
    assert separating(load("moons").train.points, most=1e-3, feature_variance=0.0025) == 1e-3


def test_a_code_that_tells_all_data_apart_needs_no_smaller_variance():
    assert separating(points(), most=1.0, feature_variance=1e-12) == 1.0
    assert separating(3 * torch.eye(100), most=1.0, feature_variance=1e-12) == 1.0
    assert separating(3 * torch.eye(100), most=1.0, feature_variance=1e4) < 1.0
    assert (
        separating(points(100, 9), most=1.0, features=20, feature_variance=1e-4) == 1.0
    )  # more features than coordinates


@pytest.mark.parametrize(("centers", "capped"), [(1, False), (2, True)])
def test_an_autoencoder_ends_where_alternatives_can_be_apart(centers, capped):
    settings = AutoencoderSettings("digits", features=1, centers=centers)
    data = load("digits")
    most = neighbor_variance(data.train.points, neighbors=8) / 2
    expected = separating(data.train.points, most=most, centers=2, feature_variance=0.0025)
    assert expected < most
    assert plan(settings, data).variance.end == pytest.approx(expected if capped else most)
    assert plan(dataclasses.replace(settings, variance_end=0.5), data).variance.end == 0.5
