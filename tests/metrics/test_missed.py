import pytest
import torch

from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import TOYS, sample_toy
from contrastive_entropy.metrics.diagnosis import diagnose_alternatives
from contrastive_entropy.metrics.evaluation import evaluate_comparison, missed_part
from contrastive_entropy.metrics.missed import missed, missed_beside
from contrastive_entropy.metrics.samples import Comparison


def normal(count, seed, dimension=2):
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def with_mode(count, seed, share=0.0113):
    points = normal(count, seed)
    mode = round(share * count)
    points[:mode] = 8 + 0.3 * points[:mode]
    return points[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]


def with_mark(count, seed, share=0.069):
    points = 20 + 5 * normal(count, seed)
    points[: round(share * count), 0] = -200
    return points[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize(("law", "share"), [(with_mode, 0.0113), (with_mark, 0.069)])
@pytest.mark.parametrize("seed", range(3))
def test_a_lost_mode_is_seen_beside_chance(law, share, seed):
    data = law(1500, seed)
    lost, kept = missed(law(900, seed + 10, 0.0), data), missed(law(900, seed + 10), data)
    assert lost.share == pytest.approx(share, abs=0.005)
    assert max(lost.real, kept.share, kept.real) < 0.006
    assert lost.significant
    assert not kept.significant
    assert (lost.example[0] > 6.5) if law is with_mode else (lost.example[0] == -200)


@pytest.mark.parametrize("name", sorted(set(TOYS) - {"modes1200"}))
def test_good_samples_of_toys_miss_nothing(name):
    for seed in range(3):
        points = sample_toy(name, 3000, seed=seed)
        assert not missed(points[:900], points[1000:2500], points[2500:]).significant


def test_other_digits_miss_nothing():
    data = load("digits")
    for seed in range(5):
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
        samples, rest = data.train.points[order[:500]], data.train.points[order[500:]]
        assert not missed(samples, rest, data.held_out.points).significant


def test_by_hand():
    line = torch.arange(200.0)[:, None]
    found = missed(line[:100], line)
    assert found.count == 200
    assert found.real == 0
    assert found.share == pytest.approx(0.48, abs=0.02)
    assert found.significant
    alike = missed(torch.arange(0.0, 200, 2)[:, None], line)
    assert alike.share == 0
    assert alike.example is None


@pytest.mark.parametrize(("law", "words"), [(with_mode, "as x = "), (with_mark, "as x = -200, y = ")])
def test_a_lost_part_is_diagnosed_with_what_it_is(law, words):
    data = law(1500, 0)

    def diagnoses(samples):
        comparison = Comparison(samples, data[:1200], data[1200:], 0.3 if law is with_mode else 30.0)
        return evaluate_comparison(comparison, "title", settings={}, names=("x", "y"), steps=100).diagnoses

    found = {one.name: one for one in diagnoses(law(900, 7, 0.0))}
    assert words in found["missed part"].seen
    assert "train longer: `steps` 200" in str(found["missed part"])
    assert diagnoses(law(900, 7)) == ()


def test_nothing_is_said_on_copying_where_training_points_are_not_known():
    data = normal(600, 0)
    for trained in (True, False):
        comparison = Comparison(data[:400], data[:400], data[400:], 0.3, trained=trained)
        found = evaluate_comparison(comparison, "title", settings={})
        assert ({"copies", "memorization"} <= set(found.model)) is trained
        assert [one.name for one in found.diagnoses] == ["memorization"] * trained
        assert ("training" in found.notes[0]) is trained


def test_alternatives_are_compared_with_draws_in_their_place():
    data, draws = with_mark(400, 1), with_mark(900, 2)
    lost = missed_beside(data, with_mark(900, 3, 0.0), draws)
    assert lost.share == pytest.approx(0.07, abs=0.02)  # and lone points
    assert lost.significant
    assert not missed_beside(data, with_mark(900, 3), draws).significant
    (found,) = diagnose_alternatives(
        {"mean_preferred": 0.0}, {}, {"neighbors": 1, "effective_centers": 1}, centers=1, missed=missed_part(lost, None)
    )
    assert "as 0 = -200" in str(found)
    assert "raise `centers`" in str(found)
