import math

import numpy as np
import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import TOYS, sample_toy, toy_modes
from contrastive_entropy.metrics.modes import mode_scores


@pytest.mark.parametrize("name", list(TOYS))
def test_toys_are_drawn_afresh_for_each_seed(name):
    data = load(name)
    dimension = 1200 if name == "modes1200" else 2
    assert data.train.points.shape == (10_000, dimension)
    assert data.held_out.points.shape == (5_000, dimension)
    assert data.train.points.dtype == torch.float32
    assert data.image_shape is None
    assert torch.equal(load(name).train.points, data.train.points)
    assert not torch.equal(load(name, seed=1).train.points, data.train.points)
    assert not torch.equal(data.train.points[:5000], data.held_out.points)


def test_the_mode_benchmarks_have_their_modes():
    ring = sample_toy("ring8", 20_000, seed=0).double()
    mode = torch.round(torch.atan2(ring[:, 1], ring[:, 0]) / (torch.pi / 4)).long() % 8
    assert torch.bincount(mode).tolist() == pytest.approx([2500] * 8, abs=200)
    centers = torch.stack([torch.cos(mode * torch.pi / 4), torch.sin(mode * torch.pi / 4)], 1)
    assert (ring - centers).std().item() == pytest.approx(0.01, rel=0.05)
    grid = sample_toy("grid25", 20_000, seed=0).double()
    modes = torch.round(grid / 2)
    assert len(modes.unique(dim=0)) == 25
    assert modes.abs().max() == 2
    assert (grid - 2 * modes).std().item() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    ("name", "share"), [("ring8", 1 - math.exp(-4.5)), ("grid25", 1 - math.exp(-4.5)), ("modes1200", 0.9985)]
)
def test_real_points_are_of_high_quality_and_even(name, share):
    """In the plane the share within 3 standard deviations is 1 - exp(-9/2)."""
    modes, radius = toy_modes(name)
    x = sample_toy(name, 5000, seed=0)
    found = mode_scores(x, modes, radius=radius)
    assert found.modes == len(modes)
    assert found.high_quality == pytest.approx(share, abs=4 * (share * (1 - share) / 5000) ** 0.5 + 1e-12)
    assert found.reverse_kl < 3 * len(modes) / 5000


def test_the_thousand_dimensions_hold_ten_clusters_of_seven_hundred():
    modes, radius = toy_modes("modes1200")
    assert float(torch.pdist(modes).min()) > 2 * radius  # no point is near two, nor is one between two
    x = sample_toy("modes1200", 3000, seed=0).double()
    own = x[torch.cdist(x, modes).argmin(1) == 0] - modes[0]
    assert float(own.norm(dim=1).mean()) == pytest.approx(0.5 * 700**0.5, rel=0.01)
    offsets = x - modes[torch.cdist(x, modes).argmin(1)]
    assert int((offsets.var(0) > 1e-9).sum()) == 700
    assert float(offsets[:, offsets.var(0) > 1e-9].std()) == pytest.approx(0.5, rel=0.01)
    with pytest.raises(InputError, match="moons has no separate modes; those that have are ring8, grid25, modes1200"):
        toy_modes("moons")


def test_the_other_toys_are_where_they_belong():
    board = sample_toy("checkerboard", 5000, seed=0)
    assert (((board + 2).floor().sum(1) % 2) == 0).all()
    assert board.abs().max() <= 2
    radius = sample_toy("circles", 5000, seed=0).norm(dim=1)
    assert (torch.minimum((radius - 0.5).abs(), (radius - 1).abs()) < 0.15).all()
    assert (radius > 0.75).float().mean().item() == pytest.approx(0.5, abs=0.03)
    moons = sample_toy("moons", 5000, seed=0)
    upper = (moons.norm(dim=1) - 1).abs()
    lower = ((moons - torch.tensor([1.0, 0.5])).norm(dim=1) - 1).abs()
    assert (torch.minimum(upper, lower) < 0.25).all()
    roll = sample_toy("swissroll", 5000, seed=0).norm(dim=1)
    assert 0.35 < roll.min() < 0.6
    assert 1.3 < roll.max() < 1.6
    pinwheel = sample_toy("pinwheel", 5000, seed=0)
    turn = torch.tensor(2 * torch.pi / 5)
    rotated = pinwheel @ torch.tensor([[turn.cos(), turn.sin()], [-turn.sin(), turn.cos()]])
    torch.testing.assert_close(torch.cov(rotated.T), torch.cov(pinwheel.T), atol=0.05, rtol=0)


def exact_moments(name):
    """Mean and variance of each coordinate, from the law."""
    angle = 1.5 * np.pi * (1 + 2 * (np.arange(100_000) + 0.5) / 100_000)
    spiral = (angle * [np.cos(angle), np.sin(angle)] / 10).astype(np.float64)
    return {
        "moons": ([0.5, 0.25], [0.7525, 0.565 - 1 / np.pi]),
        "circles": ([0, 0], [0.3134, 0.3134]),
        "swissroll": (spiral.mean(1), spiral.var(1) + 0.0009),
        "ring8": ([0, 0], [0.5001, 0.5001]),
        "grid25": ([0, 0], [8.0025, 8.0025]),
        "pinwheel": ([0, 0], [0.55, 0.55]),
        "checkerboard": ([0, 0], [4 / 3, 4 / 3]),
    }[name]


@pytest.mark.parametrize("name", [name for name in TOYS if name != "modes1200"])
def test_toys_have_the_moments_of_their_law(name):
    mean, variance = exact_moments(name)
    x = sample_toy(name, 40_000, seed=3).double().numpy()
    squares = (x - x.mean(0)) ** 2
    assert (np.abs(x.mean(0) - mean) < 4 * x.std(0) / 200).all()
    assert (np.abs(squares.mean(0) - variance) < 4 * squares.std(0) / 200).all()


@pytest.mark.parametrize("name", list(TOYS))
def test_no_part_of_a_toy_shares_a_draw_with_another(name):
    loaded = [load(name, seed=seed) for seed in range(2)]
    parts = [part.points[:5000] for data in loaded for part in (data.train, data.held_out)]
    parts += [sample_toy(name, 5000, seed=0), sample_toy(name, 5000, seed=2)]
    assert len({part.numpy().tobytes() for part in parts}) == len(parts)
