"""Groups of the training points, which a step compares one by one."""

import dataclasses

import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.models.generator.groups import centers_of, nearest_center
from contrastive_entropy.variance import grouped_variance, neighbor_variance
from fits import started
from samples import generator

TINY = {"steps": 30, "width": 16, "depth": 1, "batch_size": 64, "groups": 4}
CPU = Machine(accelerator="cpu")


def blobs(shares=(0.5, 0.25, 0.15, 0.1), count=1000):
    """Points around four corners, so many of each."""
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    own = torch.cat([torch.full((round(share * count),), group) for group, share in enumerate(shares)])
    return corners[own] + 0.1 * torch.randn(len(own), 2, generator=generator()), own


def test_groups_of_separate_blobs_are_the_blobs():
    points, own = blobs()
    centers = centers_of(points, 4)
    found = nearest_center(points, centers)
    for group in range(4):
        assert len(found[own == group].unique()) == 1
    assert len(found.unique()) == 4
    nearest = torch.stack([(points[found == group].mean(0) - centers[group]).norm() for group in range(4)])
    assert float(nearest.max()) < 1e-4
    assert torch.equal(centers, centers_of(points, 4))


def test_k_means_sees_some_of_many_points(monkeypatch):
    monkeypatch.setattr("contrastive_entropy.models.generator.groups.SEEN", 100)
    points, _ = blobs()
    seen = points[torch.randperm(len(points), generator=generator(0))[:100]]
    assert torch.equal(
        centers_of(points, 4), centers_of(seen[torch.argsort(torch.randperm(100, generator=generator(0)))], 4)
    )


@pytest.mark.parametrize("points", [torch.zeros(50, 2), torch.arange(3.0).repeat(10).unsqueeze(1)])
def test_points_that_repeat_make_fewer_groups(points):
    with pytest.raises(InputError, match="lower `groups`"):
        centers_of(points, 4)


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    path = tmp_path_factory.mktemp("groups") / "blobs.npy"
    points = blobs()[0]
    np.save(path, points[torch.randperm(len(points), generator=generator())].numpy())
    settings = ce.GeneratorSettings(str(path), **TINY)
    found = started(settings, GENERATOR.load(settings))
    found.data_path = str(path)
    return found


def test_a_step_sees_as_many_of_each_group_and_makes_as_many_for_it(loop):
    now = loop.begin(0)
    batch = loop.batch(now)
    centers = loop.network.group_centers
    assert loop.plan.rows == 128
    assert nearest_center(batch.points, centers).tolist() == [group for group in range(4) for _ in range(32)]
    noise = []
    draw = loop.network.draw_noise
    loop.network.draw_noise = lambda *args, **known: noise.append(draw(*args, **known)) or noise[-1]
    answer = loop.part.answer(batch, now)
    loop.network.draw_noise = draw
    assert noise[0][:, -4:].argmax(-1).tolist() == [group for group in range(4) for _ in range(32)]
    assert answer.parts["centers"].shape == (128, 2)
    assert len(batch.rows.unique()) > 60


def test_the_objective_is_the_mean_over_groups(loop):
    now = loop.begin(1)
    answer = loop.part.answer(loop.batch(now), now)
    outcome = loop.part.judge(answer, now)
    points, centers = answer.parts["points"], answer.parts["centers"]
    expected = [
        ce.debiased_nuclear_norm(
            GaussianMixture(points[i : i + 32], now.variance), GaussianMixture(centers[i : i + 32], now.variance)
        )
        for i in range(0, 128, 32)
    ]
    for name in ("value", "limit"):
        mean = torch.stack([getattr(bound, name) for bound in expected]).mean()
        torch.testing.assert_close(getattr(outcome.bound, name), mean, rtol=2e-4, atol=5e-4)


@pytest.mark.parametrize("peer", ["mmd", "energy"])
def test_a_peer_is_the_mean_over_groups_too(loop, peer):
    settings = ce.GeneratorSettings(loop.data_path, **TINY | {"objective": peer})
    own = started(settings, GENERATOR.load(settings))
    now = own.begin(1)
    answer = own.part.answer(own.batch(now), now)
    bound = own.part.judge(answer, now).bound
    known = {"start": own.plan.variance.start}
    parts = [
        own.part.objective.bound(
            *(GaussianMixture(part[i : i + 32], now.variance) for part in answer.parts.values()), **known
        )
        for i in range(0, 128, 32)
    ]
    for name in ("value", "limit"):
        torch.testing.assert_close(getattr(bound, name), torch.stack([getattr(part, name) for part in parts]).mean())


def test_shares_are_those_of_all_training_points(loop):
    _ = loop.part.members
    points = loop.part.points
    counts = torch.bincount(nearest_center(points, loop.network.group_centers), minlength=4)
    torch.testing.assert_close(loop.network.group_shares, counts / len(points))
    assert sorted(loop.network.group_shares.tolist()) == pytest.approx([0.1, 0.15, 0.25, 0.5], abs=0.03)


def test_the_variance_is_the_groups_own():
    points, own = blobs()
    every = [points[own == group] for group in range(4)]
    found = grouped_variance(every, 16)
    each = torch.tensor([neighbor_variance(group, points=16) for group in every])
    assert found == pytest.approx(float(each.log().mean().exp()))
    assert found < neighbor_variance(points, points=64)


def test_a_fit_with_groups_takes_the_variance_of_as_many_points_as_a_step_has_of_each(loop):
    data = loop.part.points
    own = nearest_center(data, centers_of(data, 4))
    expected = grouped_variance([data[own == group] for group in range(4)], 16)
    assert loop.plan.variance.end == pytest.approx(expected)
    assert expected != pytest.approx(grouped_variance([data[own == group] for group in range(4)], 64))


def test_a_group_of_points_that_repeat_does_not_refuse_the_fit():
    points, own = blobs()
    every = [points[own == group] for group in range(4)]
    assert grouped_variance([*every, torch.ones(50, 2)], 16) == grouped_variance(every, 16)
    with pytest.raises(ValueError, match="duplicates"):
        grouped_variance([torch.ones(50, 2), torch.zeros(50, 2)], 16)


def test_too_many_groups_are_refused_before_anything_is_written(tmp_path):
    settings = ce.GeneratorSettings("digits", points=20, groups=50, variance_end=0.1)
    with pytest.raises(InputError, match=r"20 different points are too few for 50 groups; lower `groups`$"):
        ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    assert not (tmp_path / "run").exists()


def test_of_few_points_a_step_takes_no_more_than_there_are():
    settings = ce.GeneratorSettings("digits", points=100, groups=5)
    plan = GENERATOR.plan(settings, GENERATOR.load(settings))
    assert (plan.model.facing, plan.model.components) == (100, 200)
    asked = dataclasses.replace(settings, batch_size=320)
    assert GENERATOR.plan(asked, GENERATOR.load(asked)).model.facing == 320


@pytest.mark.parametrize("groups", [7, 25])
def test_halves_stay_equal(groups):
    settings = ce.GeneratorSettings("moons", objective="debiased_affinity", groups=groups)
    plan = GENERATOR.plan(settings, GENERATOR.load(settings))
    assert plan.model.components == 2 * plan.model.facing == plan.rows
    assert plan.model.facing % groups == 0


def test_samples_of_a_fit_with_groups_come_in_their_shares(tmp_path):
    points, _ = blobs()
    np.save(tmp_path / "blobs.npy", points[torch.randperm(len(points), generator=generator())].numpy())
    settings = ce.GeneratorSettings(str(tmp_path / "blobs.npy"), **TINY | {"steps": 200, "noise_dimension": 2})
    run = ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    samples = run.sample(4000).float()
    network = run.network()
    shares = torch.bincount(nearest_center(samples, network.group_centers), minlength=4) / 4000
    assert shares.tolist() == pytest.approx(network.group_shares.tolist(), abs=0.03)
    assert (
        float((samples - network.group_centers[nearest_center(samples, network.group_centers)]).norm(dim=1).median())
        < 1
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"groups": 20}, "20 groups of a step's 64 points have fewer than 8 each; lower groups, or raise batch_size"),
        ({"principal_components": 2}, "groups are of all coordinates, or of codes"),
    ],
)
def test_refusals(changed, message):
    with pytest.raises(InputError, match=message):
        ce.GeneratorSettings("digits", **TINY | changed)


def test_sizes_of_a_step_are_multiples_of_the_groups(tmp_path):
    settings = ce.GeneratorSettings("moons", batch_size=50, components=70, groups=4)
    plan = GENERATOR.plan(settings, GENERATOR.load(settings))
    assert (plan.rows, plan.model.facing, plan.model.components) == (2 * 48, 48, 68)
    assert (settings.batch, settings.made) == (50, 70)
    coded = {batch: ce.GeneratorSettings("digits", space="codes", batch_size=batch).grouped for batch in (None, 40, 8)}
    assert coded == {None: 10, 40: 5, 8: 0}
    assert ce.GeneratorSettings("digits", space="codes", groups=0).grouped == 0
    assert (ce.GeneratorSettings("moons").batch, ce.GeneratorSettings("moons").made) == (256, 512)
    assert (ce.GeneratorSettings("moons", batch_size=50).batch, ce.GeneratorSettings("moons", batch_size=50).made) == (
        50,
        512,
    )
    assert (ce.GeneratorSettings("moons", groups=5).batch, ce.GeneratorSettings("moons", groups=5).made) == (640, 1280)
