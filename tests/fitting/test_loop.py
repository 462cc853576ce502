import dataclasses
import math

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.loop import ADAPT_ALONE
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.models.generator.network import Generator
from contrastive_entropy.models.generator.settings import plan
from contrastive_entropy.variance import geometric_schedule, neighbor_variance
from fits import adapted, fit, judged, started

SMALL = ce.GeneratorSettings("moons", steps=30, batch_size=32, components=32, width=16, depth=1, noise_dimension=4)
AUTOENCODER = ce.AutoencoderSettings("moons", centers=2, width=16, depth=1)


def rows(folder):
    import csv

    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def moons():
    return load("moons")


def test_an_adaptive_variance_waits_for_samples_without_data_near_them(tmp_path, moons, monkeypatch):
    settings = dataclasses.replace(SMALL, schedule="adaptive", steps=100, variance_end=1e-6)
    falls = {}
    for name, threshold in (("never", -1.0), ("always", 1.0), ("default", ADAPT_ALONE)):
        monkeypatch.setattr("contrastive_entropy.fitting.loop.ADAPT_ALONE", threshold)
        run = fit(settings, tmp_path / name, moons)
        falls[name] = [float(row["variance"]) for row in rows(tmp_path / name)]
        assert float(run.network().variance) == pytest.approx(falls[name][-1], rel=1e-6)
    start, end = run.plan.variance.start, run.plan.variance.end
    assert falls["never"] == pytest.approx([start] * 10, rel=1e-6)
    geometric = [geometric_schedule(step, steps=100, start=start, end=end) for step in range(9, 100, 10)]
    assert falls["always"] == pytest.approx(geometric, rel=1e-6)  # without waiting
    assert all(found >= least / 1.0001 for found, least in zip(falls["default"], geometric, strict=True))
    assert falls["default"] == sorted(falls["default"], reverse=True)
    assert end * 1.01 < falls["default"][-1] < start / 1.01  # the network is too small to keep up to the end


@pytest.mark.parametrize(
    ("settings", "changes", "rates"),
    [
        (SMALL, {}, [1.0, 1.0, 2 / 3, 1 / 6]),
        (SMALL, {"anneal_fraction": 0.5}, [1.0, 1.0, 2 / 3, 1 / 6]),
        (AUTOENCODER, {}, [1.0, 1.0, 1.0, 0.5]),
        (AUTOENCODER, {"anneal_fraction": 0.5}, [1.0, 1.0, 0.8, 0.2]),
        (AUTOENCODER, {"anneal_fraction": 1.0}, [1.0, 1.0, 1.0, 1.0]),  # the last tenth
        (SMALL, {"decay_fraction": 1.0}, [1.0, 0.6, 0.4, 0.1]),
        (SMALL, {"decay_fraction": 0.0}, [1.0] * 4),
    ],
)
def test_the_learning_rate_falls_at_the_end(moons, settings, changes, rates):
    loop = started(dataclasses.replace(settings, steps=100, learning_rate=1.0, **changes), moons)
    assert [loop.plan.rate(step) for step in (0, 40, 60, 90)] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("changes", "rate"), [({}, 3e-3), ({"width": 64}, 3e-3), ({"width": 1024}, 7.5e-4), ({"learning_rate": 0.1}, 0.1)]
)
def test_wide_networks_take_smaller_steps(moons, changes, rate):
    assert plan(ce.GeneratorSettings("moons", steps=10, **changes), moons).learning_rate == pytest.approx(rate)


def test_only_data_that_a_model_point_faces_let_the_variance_fall(moons):
    settings = dataclasses.replace(SMALL, schedule="adaptive")
    z = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    for near_half, falls in ((0, True), (1, False)):
        loop = started(settings, moons)
        x = torch.cat([z + 1e3 * (near_half == 1), z + 1e3 * (near_half == 0)])
        before = loop.plan.variance.start
        facing = judged_facing(loop, x, z, before)
        assert (adapted(loop, 3, facing, z, before) < before) == falls


def judged_facing(loop, x, z, variance):
    """The data that an outcome hands to the schedule, of a batch's data."""
    from contrastive_entropy.fitting.contract import Answer

    now = dataclasses.replace(loop.begin(3), variance=variance)
    outcome = loop.part.judge(Answer({"points": x, "centers": z}), now)
    assert torch.equal(outcome.watched[1].centers, z)
    return outcome.watched[0].centers


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"variance_start": math.e, "variance_end": 1.0}, 0.125),
        ({"variance_start": math.e**3, "variance_end": 1.0}, 0.375),
        ({"variance_start": 1.0, "variance_end": 1e-5}, 0.8),
        ({"variance_start": 1.0, "variance_end": 1.0}, 0.0),
        ({"variance_start": math.e, "variance_end": 1.0, "objective": "log_likelihood"}, 0.8),
        ({"variance_start": math.e, "variance_end": 1.0, "principal_components": 2}, 0.8),
        ({"variance_start": math.e, "variance_end": 1.0, "anneal_fraction": 0.5}, 0.5),
    ],
)
def test_the_variance_falls_at_a_pace_of_its_logarithm(moons, changes, share):
    loop = started(ce.GeneratorSettings("moons", steps=1000, width=4, schedule="geometric", **changes), moons)
    fall = loop.plan.variance
    assert fall.fraction == pytest.approx(share)
    falls = [loop.begin(step).variance > fall.end * 1.0001 for step in range(1000)]
    assert sum(falls) == pytest.approx(1000 * share, abs=2)
    assert falls == sorted(falls, reverse=True)
    assert fall.over(800, 1000)


def test_an_adaptive_variance_that_had_to_wait_falls_until_four_fifths_of_the_steps(moons):
    given = {"variance_start": math.e, "variance_end": 1.0, "schedule": "adaptive", "batch_size": 32}
    loop = started(ce.GeneratorSettings("moons", steps=1000, width=4, **given), moons)
    z = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    paces = [math.log(2.5 / adapted(loop, step, z, z, 2.5)) for step in (60, 124, 125, 500, 799, 800)]
    assert paces == pytest.approx([2 / 125] * 5 + [0.0], rel=1e-3, abs=1e-5)  # twice the geometric pace, of 125 steps
    assert [loop.plan.variance.over(step, 1000) for step in (125, 799, 800)] == [False, False, True]
    assert adapted(loop, 500, z, z, 1.00001) == 1.0  # and no farther than to its end


def test_a_mixture_keeps_its_variance_while_the_fit_goes_on(moons):
    loop = started(dataclasses.replace(SMALL, schedule="geometric"), moons)
    (p, q), _, outcome = judged(loop, 0)
    of_network = loop.network(torch.zeros(3, 4))
    before = [float(m.variance) for m in (p, q, *outcome.watched, of_network)]
    loop.now = loop.begin(20)
    loop.settle()
    assert float(loop.network.variance) == loop.now.variance < before[0]
    assert [float(m.variance) for m in (p, q, *outcome.watched, of_network)] == before


@pytest.mark.parametrize(("objective", "count"), [("debiased_nuclear_norm", 2), ("nuclear_norm", 1)])
def test_each_half_of_the_model_points_faces_data_of_its_own(moons, objective, count):
    loop = started(dataclasses.replace(SMALL, objective=objective), moons)
    (p, q), _, _ = judged(loop, 3)
    assert p.components == loop.plan.rows == count * SMALL.batch_size
    value = loop.part._bound(p, q).value
    swapped = ce.GaussianMixture(p.centers.roll(p.components // 2, 0), p.variance)
    other = loop.part._bound(swapped, q).value
    assert bool(torch.isclose(value, other, rtol=0, atol=1e-6)) == (count == 1)


@pytest.mark.parametrize(
    ("changes", "period"),
    [
        ({}, 2),
        ({"objective": "debiased_normalized_inner_product"}, 0),
        ({"objective": "nuclear_norm"}, 0),  # at a larger variance its optimum is another
        ({"objective": "energy"}, 0),
        ({"anneal_fraction": 0.0}, 0),
        ({"anneal_fraction": 0.0, "coarse_every": 3}, 3),
        ({"objective": "log_likelihood", "coarse_every": 2}, 2),
        ({"coarse_every": 0}, 0),
    ],
)
def test_every_few_steps_the_objective_sees_a_larger_variance(moons, changes, period):
    loop = started(dataclasses.replace(SMALL, **changes), moons)
    end, start = loop.plan.variance.end, loop.plan.variance.start
    ratios = []
    for step in range(25, 65):
        (p, q), (coarse_p, coarse_q), outcome = judged(loop, step, end)
        assert torch.equal(coarse_p.centers, p.centers)
        assert torch.equal(coarse_q.centers, q.centers)
        assert float(coarse_p.variance) == float(coarse_q.variance) <= start
        assert outcome.weight == pytest.approx(math.sqrt(float(coarse_q.variance) / end))
        ratios.append(float(coarse_q.variance) / end)
    coarse = [ratio for step, ratio in enumerate(ratios, 25) if period and step % period == 0]
    assert [ratio > 1 for ratio in ratios] == [bool(period) and step % period == 0 for step in range(25, 65)]
    if coarse:  # over all scales
        assert min(coarse) < (start / end) ** 0.4 < (start / end) ** 0.6 < max(coarse)


class _TwoPoints(torch.nn.Module):
    """Noise to one of two points, with hardly anything between: what is learnt is their shares."""

    def __init__(self):
        super().__init__()
        self.border = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, noise):
        return torch.tanh(10 * (noise[:, :1] - self.border)) * torch.tensor([1.0, 0.0])


def slopes_of(settings, dataset, network, parameter):
    """A parameter's gradient of every step: of the even steps, and of the odd ones."""
    loop = started(settings, dataset, network)
    slopes = []
    for step in range(200):
        _, _, outcome = judged(loop, step)
        slopes.append(torch.autograd.grad(outcome.weight * outcome.bound.value, parameter)[0])
    return torch.stack(slopes).view(100, 2).T


def test_larger_variances_see_the_shares_of_separate_parts():
    generator = torch.Generator().manual_seed(0)
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).repeat(200, 1) + 0.05 * torch.randn(400, 2, generator=generator)
    settings = ce.GeneratorSettings(
        "two", batch_size=64, components=64, variance_start=0.5, variance_end=1e-4, anneal_fraction=0.0, coarse_every=2
    )
    body, place = _TwoPoints(), {"location": torch.zeros(2), "scale": torch.ones(())}
    network = Generator(body, noise_dimension=1, variance=1e-4, **place)
    seen, unseen = slopes_of(settings, Dataset.of("two", x, x), network, body.border)  # of the coarse steps, the others
    assert float(seen.mean() / seen.std()) * 100**0.5 < -3.5  # the border is too far right
    assert abs(float(unseen.mean() / unseen.std())) * 100**0.5 < 2.5


def test_metrics_stay_at_the_step_s_variance(tmp_path, moons):
    settings = dataclasses.replace(
        SMALL, steps=9, schedule="geometric", coarse_every=2, learning_rate=1e-12, variance_start=1.0, variance_end=0.1
    )
    fit(settings, tmp_path / "run", moons, log_every=1)
    loop = started(settings, moons)
    for step, row in enumerate(rows(tmp_path / "run")):
        with torch.no_grad():
            (p, q), _, _ = judged(loop, step)
            assert float(row["variance"]) == pytest.approx(float(q.variance))
            assert float(row["objective"]) == pytest.approx(float(loop.part._bound(p, q).value), rel=1e-5)
            assert float(row["tightness"]) == pytest.approx(float(ce.tightness(p.select(0, 32), q)), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        dataclasses.replace(SMALL, data="digits", fine_every=0, coarse_every=0, principal_components=5),
        ce.AutoencoderSettings("digits", batch_size=32, centers=2, principal_components=5),
    ],
)
def test_batches_in_principal_components_are_the_same_points_projected(settings):
    digits = load("digits")
    loop = started(settings, digits)
    now = loop.begin(3)
    batch = loop.batch(now)
    assert batch.points.shape == (loop.plan.rows, 5)
    torch.testing.assert_close(batch.points, loop.network.project(digits.train.points[batch.rows]))
    whole = started(dataclasses.replace(settings, principal_components=0), digits)
    assert torch.equal(whole.batch(whole.begin(3)).rows, batch.rows)
    answer = loop.part.answer(batch, now)
    assert answer.parts["centers"].shape[-1] == answer.parts["points"].shape[-1] == 5


@pytest.mark.parametrize(
    ("changes", "period"),
    [
        ({}, 4),
        ({"fine_every": 2}, 2),
        ({"objective": "nuclear_norm"}, 0),  # of a part of the components its optimum is another
        ({"objective": "log_likelihood", "fine_every": 3}, 3),
        ({"fine_every": 0}, 0),
    ],
)
def test_every_few_steps_the_objective_sees_the_finer_components_alone(changes, period):
    digits = load("digits")
    loop = started(dataclasses.replace(SMALL, data="digits", principal_components=21, **changes), digits)
    assert [first for first, _ in loop.part.finer_looks] == [1, 2, 4, 8]
    looked = set()
    for step in range(80):
        (p, q), (fine_p, fine_q), outcome = judged(loop, step)
        first = p.dimension - fine_p.dimension
        coarse = loop.plan.model.coarse_every and step % loop.plan.model.coarse_every == 0
        assert (first > 0) == bool(period and not coarse and step % period == period - 1)
        assert torch.equal(fine_p.centers, p.centers[:, first:])
        assert torch.equal(fine_q.centers, q.centers[:, first:])
        assert float(fine_p.variance) == float(fine_q.variance)
        if first:
            looked.add(first)
            ratio = float(fine_p.variance) / float(q.variance)
            assert outcome.weight == pytest.approx(math.sqrt(ratio))
            chosen = [neighbor_variance(loop.part.points[:, start:], points=32) for start in (first, 0)]
            assert ratio == pytest.approx(chosen[0] / chosen[1])
            assert ratio < 1
    assert looked == ({1, 2, 4, 8} if period else set())


def test_what_varies_no_more_than_rounding_is_not_looked_at(moons):
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0] * 3 + [1e-5] * 5)
    duplicates = torch.cat([torch.arange(300.0)[:, None], torch.zeros(300, 7)], dim=1)
    for points, levels in ((x, [1, 2]), (duplicates, []), (torch.zeros(300, 8), []), (x[:, :1], [])):
        loop = started(SMALL, moons)
        loop.part.points = points
        assert [first for first, _ in loop.part.finer_looks] == levels


def test_fine_steps_are_for_principal_components(tmp_path):
    for given, message in (
        ({"fine_every": 2}, "fine_every needs principal_components"),
        ({"fine_every": 2, "principal_components": 1}, "two or more"),
        ({"fine_every": 1, "principal_components": 8}, "must be 0 or at least 2, got 1"),
        ({"fine_every": 2, "principal_components": 8, "coarse_every": 1}, "every step sees a larger variance"),
        ({"fine_every": 2, "principal_components": 8, "coarse_every": 2}, "no step sees all components at its own"),
    ):
        with pytest.raises(InputError, match=message):
            ce.GeneratorSettings("digits", **given)
    line = torch.arange(40.0)[:, None]
    with pytest.raises(InputError, match="the training points, 40 x 1, span 1: leave it out"):
        plan(ce.GeneratorSettings("one", principal_components=8, fine_every=4), Dataset.of("one", line, line))
    run = Run.create(
        tmp_path, GENERATOR, dataclasses.replace(SMALL, data="digits", principal_components=8), load("digits")
    )
    assert (run.plan.model.fine_every, run.plan.model.coarse_every) == (4, 4)
    assert ce.open_run(tmp_path).plan == run.plan


class _Deviations(torch.nn.Module):
    """Noise in eight components, of which the finer half varies as much as is learnt."""

    def __init__(self):
        super().__init__()
        self.fine = torch.nn.Parameter(torch.tensor(0.2))

    def forward(self, noise):
        return noise * torch.cat([torch.full((4,), 10.0), self.fine.expand(4)])


def test_finer_components_alone_show_that_samples_vary_too_little_in_them():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 8, generator=generator) * torch.tensor([10.0] * 4 + [0.3] * 4)
    settings = ce.GeneratorSettings(
        "eight", batch_size=64, components=128, principal_components=8, coarse_every=0, fine_every=2,
        variance_start=20.0, variance_end=20.0,
    )  # fmt: skip
    place = {"location": torch.zeros(8), "scale": torch.ones(()), "basis": torch.eye(8)}
    body = _Deviations()
    network = Generator(body, noise_dimension=8, variance=20.0, **place)
    unseen, seen = slopes_of(
        settings, Dataset.of("eight", x, x), network, body.fine
    )  # of steps that see all, the others
    assert float(seen.mean() / seen.std()) * 100**0.5 > 5  # it shall grow
    assert abs(float(unseen.mean() / unseen.std())) * 100**0.5 < 2.5


def test_metrics_are_of_all_components(tmp_path):
    digits = load("digits")
    settings = dataclasses.replace(SMALL, data="digits", principal_components=8, steps=6, learning_rate=1e-12)
    fit(settings, tmp_path / "run", digits, log_every=1)
    loop = started(settings, digits)
    for row in rows(tmp_path / "run"):
        with torch.no_grad():
            (p, q), _, _ = judged(loop, int(row["step"]) - 1, float(row["variance"]))
        assert float(row["objective"]) == pytest.approx(float(loop.part._bound(p, q).value), rel=1e-4)
