import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.data.dataset import Part
from contrastive_entropy.models.conditional.network import FLOOR, MixtureDensityNetwork, near_median, spacing_of
from contrastive_entropy.models.conditional.settings import DROPOUT, STEPS, load, plan
from contrastive_entropy.objectives.hoelder import conditional_hoelder
from fits import started
from samples import generator

SMALL = ce.ConditionalSettings("moons", steps=20, batch_size=32, width=16, depth=1)


@pytest.fixture(scope="module")
def moons():
    return load(SMALL)


def network(**changed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MixtureDensityNetwork(2, **{"outputs": 1, "components": 3, "members": 2, "width": 8} | changed)


def test_an_ensemble_is_one_mixture_of_its_members():
    found = network()
    x = torch.randn(5, 2, generator=generator())
    y = torch.linspace(-2, 2, 7).reshape(1, 7, 1).expand(5, 7, 1)
    with torch.no_grad():
        whole, own = found(x), found.answers(x.expand(2, 5, 2))
        densities = own.log_prob(y.expand(2, 5, 7, 1)).exp()
    assert whole.components == 6
    torch.testing.assert_close(whole.log_prob(y).exp(), densities.mean(0))


def test_full_covariances_lean_and_scale_with_y():
    found = network(outputs=2, full=True)
    x, y = torch.randn(200, 2, generator=generator()), torch.randn(200, 2, generator=generator(1))
    y = y * torch.tensor([1.0, 100.0]) + 5
    found.place_given(x, y)
    with torch.no_grad():
        laws = found(x)
        plain = found.body.weights[-1].clone()
        found.body.weights[-1][..., -3:] = 0  # the slopes of three components
        found.body.biases[-1][..., -3:] = 0
        upright = found(x)
        found.body.weights[-1].copy_(plain)
    assert laws.components == 6
    assert float(laws.cholesky[..., 1, 0].abs().mean()) > 0.1
    assert bool((upright.cholesky[..., 1, 0] == 0).all())
    ratio = laws.cholesky[..., 1, 1] / laws.cholesky[..., 0, 0]
    assert 50 < float(ratio.median()) < 200
    assert isinstance(laws.marginal([0]), ce.GaussianMixture)


def test_full_covariances_fit_columns_that_go_together(tmp_path):
    draw = np.random.default_rng(0)
    x, noise = draw.normal(size=1500), draw.normal(size=1500)
    frame = pd.DataFrame({"x": x, "y": x + noise, "z": 10 * (noise - x) + draw.normal(size=1500)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    nll = {}
    for covariance in ("diagonal", "full"):
        result = call(
            *("fit", "conditional", "--data", tmp_path / "t.csv", "--target", "y,z", "--covariance", covariance),
            *("--steps", 500, "--components", 1, "--width", 16, "--out", tmp_path / covariance, "--accelerator", "cpu"),
        )
        assert result.exit_code == 0, result.output
        evaluation = json.loads((tmp_path / covariance / "evaluation.json").read_text())
        nll[covariance] = evaluation["tables"]["predictions"]["model"]["nll"]
    truth = 0.5 * np.log((2 * np.pi * np.e) ** 2)  # the covariance [[1, 10], [10, 101]] has determinant 1
    assert truth - 0.1 < nll["full"] < truth + 0.4  # they go together by .995: more steps come nearer
    assert nll["diagonal"] > nll["full"] + 1.5
    drawn = ce.open_run(tmp_path / "full").sample(2000, given={"x": 0.0}).numpy()
    assert np.corrcoef(drawn.T)[0, 1] > 0.95


def test_a_network_is_placed_at_its_rows_and_units_do_not_matter():
    x, y = torch.randn(200, 2, generator=generator()), torch.randn(200, 1, generator=generator(1))
    first, second = network(), network()
    first.place_given(x, y)
    second.place_given(5 * x - 3, 1000 * y + 7)
    with torch.no_grad():
        a, b = first(x), second(5 * x - 3)
    torch.testing.assert_close(b.centers, 1000 * a.centers + 7, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(b.variance, 1e6 * a.variance, rtol=1e-4, atol=0)


def test_columns_that_do_not_vary_are_harmless():
    x, y = torch.full((50, 2), 3.0), torch.zeros(50, 1)
    found = network()
    found.place_given(x, y)
    with torch.no_grad():
        laws = found(x)
    assert bool(laws.centers.isfinite().all())
    assert bool((laws.variance > 0).all())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (torch.randn(100, generator=generator()), 0.0),
        (torch.arange(100.0) % 7, 1.0),
        (0.5 * (torch.arange(100) % 4), 0.5),
        (torch.zeros(100), 0.0),
        (torch.cat([torch.zeros(40), torch.randn(60, generator=generator())]), 0.0),  # a few share a limit
    ],
)
def test_rounded_values_have_a_spacing(values, expected):
    assert spacing_of(values) == pytest.approx(expected)


def test_the_floor_of_a_deviation_is_half_the_spacing_of_rounded_targets():
    found = network(outputs=2)
    y = torch.stack([torch.arange(100.0) % 7, torch.randn(100, generator=generator())], 1)
    found.place_given(torch.zeros(100, 2), y)
    assert float(found.floor[0] * found.scale[0]) == pytest.approx(0.5)
    assert float(found.floor[1]) == pytest.approx(FLOOR)


def test_a_robust_scale_does_not_see_outliers():
    y = torch.randn(1000, 1, generator=generator())
    spoiled = y.clone()
    spoiled[:200] = 1e4
    plain, robust = network(), network(robust=True)
    for found in (plain, robust):
        found.place_given(torch.zeros(1000, 2), spoiled)
    assert float(plain.scale) > 1000
    assert float(robust.scale) == pytest.approx(1, abs=0.1)
    assert float(robust.location) == pytest.approx(0, abs=0.1)
    assert int(near_median(spoiled).isnan().sum()) == 200
    assert not bool(near_median(torch.tensor([[0.0], [0.0], [0.0], [5.0]])).isnan().any())  # no scale to judge by


def test_every_row_is_answered_by_the_member_that_it_was_drawn_for(moons):
    loop = started(dataclasses.replace(SMALL, members=2, dropout=0.0), moons)
    now = loop.begin(0)
    batch = loop.batch(now)
    with torch.no_grad():
        found = loop.part.answer(batch, now).parts
        own = loop.network.answers(torch.stack([batch.given[:32], batch.given[32:]]))
    torch.testing.assert_close(found["centers"], torch.cat([own.centers[0], own.centers[1]]))
    assert torch.equal(found["points"], moons.train.points[batch.rows])


def test_gamma_falls_and_then_it_is_the_likelihood(moons):
    step = started(dataclasses.replace(SMALL, objective="annealed", steps=100), moons).part
    loop = started(dataclasses.replace(SMALL, objective="annealed", steps=100), moons)
    gammas = [step.gamma(dataclasses.replace(loop.begin(0), step=at)) for at in (0, 15, 29, 30, 99)]
    assert gammas == pytest.approx([1.0, 0.5, 1 / 30, 0.0, 0.0])
    assert started(SMALL, moons).part.gamma(loop.begin(0)) is None


@pytest.mark.parametrize("objective", ["log_likelihood", "annealed", "hoelder:gamma=0.5", "pointwise_hoelder"])
def test_a_step_judges_its_own_rows(moons, objective):
    loop = started(dataclasses.replace(SMALL, objective=objective, members=2), moons)
    now = loop.begin(0)
    batch = loop.batch(now)
    assert torch.equal(batch.given, moons.train.given[batch.rows])
    assert len(batch.rows) == 64
    outcome = loop.part.judge(loop.part.answer(batch, now), now)
    assert outcome.bound.value.requires_grad
    assert not outcome.limited
    if objective == "annealed":
        assert outcome.extra == {"gamma": 1.0}
        assert outcome.shown() is not None
    again = loop.begin(0)
    answer = {name: part.detach() for name, part in loop.part.answer(loop.batch(again), again).parts.items()}
    values = []
    for own in (slice(32), slice(32, 64)):
        parts = {name: part[own] for name, part in answer.items()}
        laws = ce.GaussianMixture(parts["centers"], parts["variance"], log_weights=parts["log_weights"])
        y = ce.GaussianMixture(parts["points"].unsqueeze(-2), 1.0)
        gamma = {"log_likelihood": 0.0, "hoelder:gamma=0.5": 0.5}.get(objective, 1.0)
        pointwise = objective == "pointwise_hoelder"
        values.append(float(conditional_hoelder(y, laws, gamma=gamma, pointwise=pointwise).value))
    assert float(outcome.bound.value.detach()) == pytest.approx(sum(values) / 2)


def test_rows_are_drawn_by_weight(moons):
    train = moons.train.rows(torch.arange(10))
    data = dataclasses.replace(moons, train=Part(train.points, train.given, weights=torch.eye(10)[3]))
    loop = started(dataclasses.replace(SMALL, members=2), data)
    assert loop.part.draw(loop.begin(0)).tolist() == [3] * 64


def test_dropout_ends_before_the_fit_does(moons):
    loop = started(dataclasses.replace(SMALL, dropout=0.5, steps=100), moons)

    def centers(step):
        now = dataclasses.replace(loop.begin(step), generator=generator(5))
        batch = loop.batch(dataclasses.replace(now, generator=generator(6)))
        return loop.part.answer(batch, now).parts["centers"]

    assert torch.equal(centers(90), centers(99))
    assert not torch.equal(centers(89), centers(90))


@pytest.mark.parametrize(("rows", "steps", "dropout"), [(50, 2000, 0.1), (1000, 2000, 0.1), (9000, 4218, 1 / 90)])
def test_steps_and_dropout_follow_the_rows(moons, rows, steps, dropout):
    data = dataclasses.replace(moons, train=moons.train.rows(torch.arange(rows)))
    found = plan(ce.ConditionalSettings("moons"), data)
    assert found.steps == steps >= STEPS
    assert found.model.dropout == pytest.approx(dropout)
    assert found.model.dropout <= DROPOUT
    asked = plan(ce.ConditionalSettings("moons", steps=7, dropout=0.0), data)
    assert (asked.steps, asked.model.dropout) == (7, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "nuclear_norm"}, "unknown objective 'nuclear_norm'"),
        ({"objective": "hoelder:gamma=2"}, r"gamma of 'hoelder:gamma=2' must lie in \[0, 1\], got 2"),
        ({"components": 0}, "components must be at least 1"),
        ({"members": 0}, "members must be at least 1"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"gamma_fraction": 1.5}, "gamma_fraction must lie in"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ce.InputError, match=message):
        dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 3))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + 0.1 * x[:, 2], "z": 5 * x[:, 1]})
    frame.to_csv(folder / "rows.csv", index=False)
    result = call(
        *("fit", "conditional", "--data", folder / "rows.csv", "--target", "z,y", "--steps", 300, "--width", 16),
        *("--out", folder / "run", "--accelerator", "cpu"),
    )
    assert result.exit_code == 0, result.output
    return folder, frame


def test_a_table_is_fitted_predicted_and_sampled(table_run, tmp_path):
    folder, frame = table_run
    found = json.loads((folder / "run" / "evaluation.json").read_text())
    assert found["headline"]["name"] == "crps"  # tightness is of one column
    assert set(found["tables"]["predictions"]) == {"model", "without_x"}
    assert found["tables"]["predictions"]["model"]["nll"] < found["tables"]["predictions"]["without_x"]["nll"] - 1
    shuffled = frame[["y", "b", "a"]]
    shuffled.to_csv(tmp_path / "given.csv", index=False)
    result = call(
        *("predict", folder / "run", "--given", tmp_path / "given.csv", "--out", tmp_path / "p.csv"),
        *("--quantiles", "0.1,0.5,0.9"),
    )
    assert result.exit_code == 0, result.output
    predicted = pd.read_csv(tmp_path / "p.csv")
    assert list(predicted) == [
        f"{name}_{what}" for name in "zy" for what in ("mean", "deviation", "q0.1", "q0.5", "q0.9")
    ]
    assert len(predicted) == 400
    assert np.corrcoef(predicted["z_mean"], frame["z"])[0, 1] > 0.95
    assert np.corrcoef(predicted["y_q0.5"], frame["y"])[0, 1] > 0.95
    assert (predicted["y_q0.1"] < predicted["y_q0.9"]).all()
    result = call("sample", folder / "run", "-n", 50, "--out", tmp_path / "s.csv")
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(tmp_path / "s.csv")) == ["a", "b", "z", "y"]  # what was given, then a draw
    result = call("sample", folder / "run", "-n", 5, "--given", "b=2, a=-1", "--out", tmp_path / "t.csv")
    assert result.exit_code == 0, result.output
    drawn = pd.read_csv(tmp_path / "t.csv")
    assert (drawn["a"] == -1).all()
    assert (drawn["b"] == 2).all()
    assert drawn["z"].mean() == pytest.approx(10, abs=2)


def test_what_cannot_be_predicted_is_refused(table_run, tmp_path):
    folder, frame = table_run
    frame[["a"]].to_csv(tmp_path / "a.csv", index=False)
    out = tmp_path / "p.csv"
    run = folder / "run"
    refused(call("predict", run, "--given", tmp_path / "a.csv", "--out", out), "lacks columns", "predicts from: b")
    refused(call("predict", run, "--given", tmp_path / "none.csv", "--out", out), "no such file")
    np.save(tmp_path / "x.npy", np.zeros((5, 3)))
    refused(
        call("predict", run, "--given", tmp_path / "x.npy", "--out", out), "has 3 columns and the run predicts from 2"
    )
    for levels in ("0", "0.5,2", "half", ""):
        result = call("predict", run, "--given", tmp_path / "a.csv", "--out", out, "--quantiles", levels)
        refused(result, "--quantiles must be numbers between 0 and 1")
    refused(call("evaluate", run, "--from-density"), "--from-density is for generators")
    sampled = call("sample", run, "--from-density", "--out", tmp_path / "s.csv")
    for text, message in (("a=1", "--given lacks b"), ("a=1,a=2", "each name once"), ("a", "must be NAME=VALUE")):
        refused(call("sample", run, "--given", text, "--out", tmp_path / "s.csv"), message)
    refused(sampled, "--from-density is for generators; a predicted law is drawn from as it is")
    assert not out.exists()
    np.save(tmp_path / "x.npy", np.zeros((5, 2)))  # without names, in the run's order
    assert call("predict", run, "--given", tmp_path / "x.npy", "--out", out).exit_code == 0
