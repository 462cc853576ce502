import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive_entropy.metrics import pairs
from contrastive_entropy.metrics.distances import column_distances, energy_distance, mean_pair_distance
from contrastive_entropy.metrics.neighborhoods import far_share, neighbor_distance, neighborhood_scores


def points(n, d, seed, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@st.composite
def pairs_of_sets(draw):
    d, seed = draw(st.integers(1, 3)), draw(st.integers(0, 10_000))
    x, y = points(draw(st.integers(4, 9)), d, seed), points(draw(st.integers(4, 9)), d, seed + 1)
    if draw(st.booleans()):
        x[0] = x[1]
        y[0] = x[2]
    return x, y


def slow_energy_distance(x, y):
    """Szekely and Rizzo 2013, U-statistics."""

    def mean(a, b, same):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return sum(np.linalg.norm(a[i] - b[j]) for i, j in pairs) / len(pairs)

    return 2 * mean(x, y, False) - mean(x, x, True) - mean(y, y, True)


def slow_scores(real, fake, k):
    """Naeem et al., arXiv 2002.09797; Kynkaanniemi et al., arXiv 1904.06991."""

    def radii(s):
        return [sorted(np.linalg.norm(a - b) for b in s)[k] for a in s]

    real_radii, fake_radii = radii(real), radii(fake)
    inside = [[np.linalg.norm(r - f) <= radius for f in fake] for r, radius in zip(real, real_radii, strict=True)]
    recalled = [any(np.linalg.norm(r - f) <= radius for f, radius in zip(fake, fake_radii, strict=True)) for r in real]
    return (
        np.any(inside, 0).mean(),
        np.mean(recalled),
        np.sum(inside) / (k * len(fake)),
        np.any(inside, 1).mean(),
    )


@given(pairs_of_sets())
def test_energy_distance_equals_the_reference(sets):
    x, y = sets
    assert energy_distance(x, y) == pytest.approx(slow_energy_distance(x.numpy(), y.numpy()), abs=1e-9)
    assert energy_distance(y, x) == pytest.approx(energy_distance(x, y), abs=1e-9)


@given(pairs_of_sets())
def test_column_distances_equal_the_reference(sets):
    x, y = sets
    expected = [
        slow_energy_distance(x[:, [k]].numpy(), y[:, [k]].numpy()) / mean_pair_distance(y[:, [k]])
        for k in range(y.shape[1])
    ]
    found = column_distances(x, y)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    scales = torch.tensor([1e-6, -3.0, 1e6], dtype=torch.float64)[: y.shape[1]]
    assert column_distances(x * scales + 5, y * scales + 5).tolist() == pytest.approx(found.tolist(), abs=1e-6)


def test_column_distances_of_known_laws(monkeypatch):
    y = points(20_000, 5, 0)
    x = points(20_000, 5, 1) * torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0], dtype=torch.float64)
    x[:, 3] += 1
    found = column_distances(x, y)
    # of deviation s: sqrt(2 (1 + s^2)) - 1 - s; of a mean that is off by 1: sqrt(pi) E|N(1, 2)| - 2
    shifted = 2 * math.exp(-0.25) + math.sqrt(math.pi) * math.erf(0.5) - 2
    expected = [0.0, math.sqrt(2.5) - 1.5, math.sqrt(10) - 3, shifted, math.sqrt(2) - 1]
    assert found.tolist() == pytest.approx(expected, abs=0.01)
    assert column_distances(x, torch.zeros_like(y)).tolist() == [0] * 5
    monkeypatch.setattr(pairs, "TILE", 1)
    assert torch.equal(column_distances(x, y), found)


@given(pairs_of_sets())
def test_scores_equal_the_reference(sets):
    scores = neighborhood_scores(*sets, neighbors=2)
    found = (scores.precision, scores.recall, scores.density, scores.coverage)
    assert found == pytest.approx(slow_scores(sets[0].numpy(), sets[1].numpy(), 2))


def test_energy_distance_is_zero_for_equal_laws_and_invariant():
    values = [energy_distance(points(60, 3, s), points(50, 3, 1000 + s)) for s in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values))
    x, y = points(60, 3, 0), points(50, 3, 1) + 1
    rotation = torch.linalg.qr(points(3, 3, 2)).Q
    assert energy_distance(x, y) > 0.3
    assert energy_distance(x @ rotation + 5, y @ rotation + 5) == pytest.approx(energy_distance(x, y))
    assert energy_distance(3 * x, 3 * y) == pytest.approx(3 * energy_distance(x, y))


def test_precision_and_recall_swap_with_the_sets():
    x, y = points(40, 2, 0), 0.5 * points(50, 2, 1)
    one, other = neighborhood_scores(x, y), neighborhood_scores(y, x)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.precision > one.recall


def test_scores_at_the_extremes():
    x = points(40, 2, 0)
    same = neighborhood_scores(x, x)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    far = neighborhood_scores(x, x + 100)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    collapsed = neighborhood_scores(x, x[:1] + 1e-9 * points(40, 2, 1))
    assert collapsed.precision == 1
    assert collapsed.recall < 0.1
    assert collapsed.coverage < 0.3


def test_tiles_change_nothing(monkeypatch):
    x, y = points(37, 3, 0), points(41, 3, 1)
    whole = neighborhood_scores(x, y), energy_distance(x, y), neighbor_distance(x, y, rank=3)
    monkeypatch.setattr(pairs, "TILE", 100)
    assert neighborhood_scores(x, y) == whole[0]
    assert energy_distance(x, y) == pytest.approx(whole[1])
    torch.testing.assert_close(neighbor_distance(x, y, rank=3), whole[2])


def test_neighbors_and_far_points():
    x, y = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [3.0], [9.5]])
    assert neighbor_distance(x, y).tolist() == [1, 0.5]
    assert neighbor_distance(x, y, rank=2).tolist() == [3, 7]
    assert far_share(x, y, radius=0.75) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: energy_distance(points(1, 2, 0), points(5, 2, 0)),
            r"first set must have shape .* n >= 2, got \(1, 2\)",
        ),
        (lambda: energy_distance(points(5, 2, 0), points(5, 3, 0)), "numbers of coordinates: 2 and 3"),
        (lambda: neighborhood_scores(points(9, 2, 0), points(5, 2, 0)), r"second set .* n >= 6, got \(5, 2\)"),
        (lambda: neighborhood_scores(points(9, 2, 0), points(9, 2, 0), neighbors=0), "neighbors must be at least 1"),
        (lambda: neighbor_distance(points(3, 2, 0), points(3, 2, 0), rank=4), r"rank must lie in 1\.\.3"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(pairs_of_sets(), st.integers(1, 3))
def test_scores_equal_the_reference_for_other_numbers_of_neighbors(sets, k):
    scores = neighborhood_scores(*sets, neighbors=k)
    found = (scores.precision, scores.recall, scores.density, scores.coverage)
    assert found == pytest.approx(slow_scores(sets[0].numpy(), sets[1].numpy(), k))


@pytest.mark.parametrize("n", [20, 40])
def test_a_shift_of_the_origin_changes_no_distance(n):
    x, y = points(n, 2, 0), points(n, 2, 1) + 1
    assert energy_distance(x + 1e4, y + 1e4) == pytest.approx(energy_distance(x, y), rel=1e-8)
    torch.testing.assert_close(neighbor_distance(x + 1e4, y + 1e4), neighbor_distance(x, y), rtol=0, atol=1e-8)


@pytest.mark.parametrize("n", [20, 40])
def test_a_point_is_at_distance_zero_from_itself(n):
    x = points(n, 2, 5)
    assert neighbor_distance(x, x).max() == 0
    assert far_share(x, x, radius=0.0) == 0


@pytest.mark.parametrize("copies", [2, 8])
def test_identical_sets_with_duplicates_are_perfect(copies):
    x = points(10, 2, 3).repeat(copies, 1)
    scores = neighborhood_scores(x, x)
    assert (scores.precision, scores.recall, scores.coverage) == (1, 1, 1)


@pytest.mark.parametrize("tile", [1, 41, 90])
def test_tiles_of_any_size_change_nothing(monkeypatch, tile):
    x, y = points(7, 3, 0), points(41, 3, 1)
    whole = neighborhood_scores(x, y), energy_distance(x, y)
    monkeypatch.setattr(pairs, "TILE", tile)
    assert neighborhood_scores(x, y) == whole[0]
    assert energy_distance(x, y) == pytest.approx(whole[1])


def test_single_precision_points_are_compared_in_double():
    x, y = points(20, 3, 0, torch.float32), points(30, 3, 1, torch.float32)
    assert energy_distance(x, y) == energy_distance(x.double(), y.double())
    assert neighbor_distance(x, y).dtype == torch.float64


@pytest.mark.parametrize("radius", [0.5, 1.0])
def test_a_point_on_the_radius_is_not_far(radius):
    assert far_share(torch.tensor([[1.0], [-0.5], [0.0]]), torch.zeros(1, 1), radius=radius) == (1 / 3) * (radius < 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_distance(points(5, 2, 0), points(1, 2, 0)), r"second set .* n >= 2, got \(1, 2\)"),
        (lambda: energy_distance(points(5, 2, 0)[0], points(5, 2, 0)), r"first set .* got \(2,\)"),
        (lambda: neighborhood_scores(points(9, 2, 0), points(9, 3, 0)), "numbers of coordinates: 2 and 3"),
        (lambda: neighbor_distance(points(3, 2, 0), points(3, 2, 0), rank=0), r"rank must lie in 1\.\.3.* got 0"),
        (lambda: far_share(points(3, 2, 0), points(3, 3, 0), radius=1.0), "numbers of coordinates: 2 and 3"),
        (lambda: neighborhood_scores(points(9, 2, 0), points(9, 2, 0) / 0), "the second set holds NaN or infinite"),
        (lambda: far_share(points(3, 2, 0), points(0, 2, 0), radius=1.0), r"second set .* n >= 1, got \(0, 2\)"),
    ],
)
def test_more_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_far_outlier_costs_the_others_no_digits():
    x = torch.rand(60, 100, generator=torch.Generator().manual_seed(0))
    y = torch.cat([x[:40], torch.full((1, 100), 1e9)])
    assert float(neighbor_distance(x[:40], y).max()) < 1e-6


def test_many_coordinates_by_products_are_as_good_as_differences(monkeypatch):
    x = torch.rand(60, 100, generator=torch.Generator().manual_seed(0)) + 50
    y = torch.cat([x[:5], torch.rand(70, 100, generator=torch.Generator().manual_seed(1)) + 50])
    calls = [
        lambda: torch.tensor(energy_distance(x, y)),
        lambda: neighbor_distance(x, y, rank=2),
        lambda: torch.tensor(list(dataclasses.astuple(neighborhood_scores(x, y[5:], neighbors=3)))),
    ]
    fast = [call() for call in calls]
    monkeypatch.setattr(pairs, "DIFFERENCES", 1000)
    for call, value in zip(calls, fast, strict=True):
        torch.testing.assert_close(value, call(), atol=1e-9, rtol=1e-9)
