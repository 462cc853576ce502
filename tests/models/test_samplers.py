"""Conditional models that generate samples: of a class, or of columns given others."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.data.given import parted
from contrastive_entropy.fitting import trainer
from contrastive_entropy.models.conditional.sampler import ConditionalSampler
from contrastive_entropy.models.conditional.settings import GIVEN_WEIGHT, load, plan
from contrastive_entropy.objectives.density import debiased_nuclear_norm
from contrastive_entropy.objectives.peers import energy_score
from contrastive_entropy.variance import neighbor_variance
from fits import fit, resume, same_weights, started
from samples import generator

DIGITS = ce.ConditionalSettings("digits", steps=30, batch_size=80, width=16, depth=1)
TABLE = ce.ConditionalSettings("inverse_sine", objective="debiased_nuclear_norm", steps=30, batch_size=32, width=16)


@pytest.fixture(scope="module")
def digits():
    return load(DIGITS)


@pytest.fixture(scope="module")
def table():
    return load(TABLE)


def test_a_fresh_sampler_draws_among_the_data():
    network = ConditionalSampler(nn.Linear(4 + 1, 2), noise_dimension=4, inputs=1, outputs=2, columns=True)
    x, y = torch.randn(500, 1, generator=generator()), torch.randn(500, 2, generator=generator(1))
    y = y * torch.tensor([1.0, 1000.0]) + torch.tensor([5.0, -3e4])
    network.place_given(10 * x + 7, y)
    assert network.encoded(10 * x + 7).std() == pytest.approx(1, abs=0.01)
    unscaled = network.unscaled(y)
    torch.testing.assert_close(unscaled.mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(unscaled.std(0), torch.ones(2), atol=1e-2, rtol=0)
    with torch.no_grad():
        network.body.weight.zero_()
        network.body.bias.zero_()
        drawn = network.draw(x, generator=generator(2))
    torch.testing.assert_close(drawn, y.mean(0).expand(500, 2), rtol=1e-4, atol=1e-3)


def test_a_class_is_a_one_among_zeros():
    network = ConditionalSampler(nn.Linear(4 + 3, 2), noise_dimension=4, inputs=1, outputs=2, levels=3)
    assert network.encoded(torch.tensor([[2.0], [0.0]])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert torch.equal(network.unscaled(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]))


def test_the_law_of_a_row_is_that_of_its_draws():
    body = nn.Linear(2 + 1, 1)
    with torch.no_grad():
        body.weight.copy_(torch.tensor([[0.5, 0.0, 2.0]]))
        body.bias.zero_()
        network = ConditionalSampler(body, noise_dimension=2, inputs=1, outputs=1, columns=True)
        laws = network(torch.tensor([[0.0], [1.0]]), draws=2000)
    assert laws.components == 2000
    torch.testing.assert_close(laws.mean[:, 0].float(), torch.tensor([0.0, 2.0]), atol=0.05, rtol=0)
    # Silverman's kernel adds its own variance
    widened = 0.25 * (1 + (4 / 3 / 2000) ** 0.4)
    torch.testing.assert_close(laws.covariance[:, 0, 0].float(), torch.full((2,), widened), rtol=0.15, atol=0)


@pytest.mark.parametrize("sizes", [{"noise_dimension": 0}, {"inputs": 0}, {"outputs": 0}, {"inputs": 2, "levels": 3}])
def test_sizes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="at least 1, and inputs 1 where x is a class"):
        ConditionalSampler(nn.Identity(), **{"noise_dimension": 2, "inputs": 1, "outputs": 1} | sizes)


def test_a_batch_has_as_many_rows_of_every_class_side_by_side(digits):
    loop = started(DIGITS, digits)
    rows = loop.part.draw(loop.begin(0))
    labels = digits.train.labels[rows].reshape(10, 16)
    assert bool((labels == labels[:, :1]).all())
    assert sorted(labels[:, 0].tolist()) == list(range(10))


def test_of_many_classes_a_step_sees_some(digits):
    loop = started(dataclasses.replace(DIGITS, batch_size=6), digits)
    seen = [digits.train.labels[loop.part.draw(loop.begin(step))].reshape(6, 2)[:, 0] for step in range(12)]
    assert all(len(one.unique()) == 6 for one in seen)
    assert len(torch.cat(seen).unique()) == 10


def test_every_class_has_a_norm_of_its_own(digits):
    loop = started(dataclasses.replace(DIGITS, coarse_every=2), digits)
    now = loop.begin(1)  # one that looks at the variance of the moment
    batch = loop.batch(now)
    answer = loop.part.answer(batch, now)
    outcome = loop.part.judge(answer, now)
    points, samples = answer.parts["points"], answer.parts["samples"].squeeze(-2)
    values = []
    for own in range(10):
        rows = slice(16 * own, 16 * own + 16)
        p, q = (ce.GaussianMixture(part[rows], now.variance) for part in (points, samples))
        values.append(float(debiased_nuclear_norm(p, q, paired=True).value.detach()))
    assert float(outcome.bound.value.detach()) == pytest.approx(sum(values) / 10, rel=1e-4)
    assert outcome.weight == 1
    assert outcome.bound.value.requires_grad
    assert "given" not in answer.parts
    later = [loop.part.judge(answer, dataclasses.replace(loop.begin(step), variance=0.5)) for step in (0, 2, 3)]
    assert later[0].weight != later[1].weight
    assert [one.weight > 1 for one in later] == [True, True, False]
    assert float(later[0].shown().value.detach()) == pytest.approx(float(later[2].bound.value.detach()), rel=1e-6)


def test_of_numbers_x_and_y_are_compared_together(table):
    loop = started(TABLE, table)
    now = loop.begin(1)
    batch = loop.batch(now)
    answer = loop.part.answer(batch, now)
    outcome = loop.part.judge(answer, now)
    given = GIVEN_WEIGHT * loop.network.encoded(batch.given)
    pair = [
        torch.cat([given, part], 1) for part in (loop.network.unscaled(batch.points), answer.parts["samples"][:, 0])
    ]
    expected = debiased_nuclear_norm(*(ce.GaussianMixture(part, now.variance) for part in pair), paired=True)
    assert float(outcome.bound.value.detach()) == pytest.approx(float(expected.value.detach()), rel=1e-5)


@pytest.mark.parametrize("settings", [DIGITS, TABLE])
def test_the_energy_score_compares_two_samples_at_every_row(settings, request):
    data = request.getfixturevalue("digits" if settings is DIGITS else "table")
    loop = started(dataclasses.replace(settings, objective="energy_score"), data)
    now = loop.begin(0)
    batch = loop.batch(now)
    answer = loop.part.answer(batch, now)
    outcome = loop.part.judge(answer, now)
    y, z = loop.network.unscaled(batch.points), answer.parts["samples"].detach()
    norms = [(a - b).norm(dim=-1) for a, b in ((y, z[:, 0]), (y, z[:, 1]), (z[:, 0], z[:, 1]))]
    expected = float((norms[2] / 2 - (norms[0] + norms[1]) / 2).mean())
    assert float(outcome.bound.value.detach()) == pytest.approx(expected, rel=1e-4)
    assert not outcome.limited


def test_the_energy_score_is_best_at_the_truth():
    y = torch.randn(4000, 1, 1, generator=generator(), dtype=torch.float64)
    values = []
    for deviation in (0.5, 1.0, 2.0):
        z = deviation * torch.randn(4000, 8, 1, generator=generator(1), dtype=torch.float64)
        values.append(float(energy_score(ce.GaussianMixture(y, 1.0), ce.GaussianMixture(z, 1.0)).value))
    assert values[1] == max(values)
    assert values[1] == pytest.approx(-1 / math.sqrt(math.pi), abs=0.02)
    with pytest.raises(ValueError, match="at least 2 model points"):
        energy_score(ce.GaussianMixture(y, 1.0), ce.GaussianMixture(z[:, :1], 1.0))


def test_the_variance_ends_where_the_classes_neighbours_are(digits):
    found = plan(DIGITS, digits)
    own = [neighbor_variance(digits.train.points[digits.train.labels == label], points=16) for label in range(10)]
    assert found.variance.end == pytest.approx(math.exp(sum(map(math.log, own)) / 10))
    assert found.model.classes == 10
    assert found.rows == 160
    assert plan(dataclasses.replace(DIGITS, batch_size=85), digits).rows == 160  # as many of each
    energy = plan(dataclasses.replace(DIGITS, objective="energy_score"), digits)
    assert not energy.variance.used
    assert energy.variance.end == pytest.approx(found.variance.end)  # of the comparison


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        (DIGITS, {"components": 9}, "`components` would be ignored: it is of predicted mixtures"),
        (DIGITS, {"members": 2}, "`members` would be ignored"),
        (DIGITS, {"gamma_fraction": 0.1}, "`gamma_fraction` would be ignored"),
        (DIGITS, {"objective": "energy_score", "variance_end": 1.0}, "energy_score does not see the variance"),
        (TABLE, {"objective": None, "noise_dimension": 3}, "it is of generated samples, and log_likelihood predicts"),
        (TABLE, {"objective": None, "body": "convolutional"}, "`body` would be ignored"),
        (DIGITS, {"anneal_fraction": 0.0, "coarse_every": 0, "variance_start": 3.0}, "the variance is fixed"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings, given, message, tmp_path):
    with pytest.raises(ce.InputError, match=message):
        ce.fit(dataclasses.replace(settings, **given), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_mixtures_of_images_are_refused(digits, tmp_path):
    with pytest.raises(ce.InputError, match=r"log_likelihood predicts mixtures.*take one of debiased_nuclear_norm"):
        ce.ConditionalSettings("digits", objective="log_likelihood")
    images = dataclasses.replace(digits, name="pictures.npz")
    with pytest.raises(ce.InputError, match=r"pictures\.npz holds images: take one of"):
        plan(ce.ConditionalSettings("pictures.npz"), images)
    with pytest.raises(ce.InputError, match="convolutional needs images"):
        fit(dataclasses.replace(TABLE, body="convolutional"), tmp_path / "run", load(TABLE))


@pytest.mark.parametrize("body", ["mlp", "convolutional"])
def test_a_stopped_fit_resumes_to_the_same_bytes(digits, tmp_path, monkeypatch, body):
    settings = dataclasses.replace(DIGITS, body=body, width=4, steps=12)
    whole = fit(settings, tmp_path / "whole", digits, checkpoint_every=5)
    asked = iter(range(100))
    with monkeypatch.context() as patch:
        from contextlib import nullcontext

        patch.setattr(trainer, "_stop_on_signal", lambda: nullcontext(lambda: next(asked) == 6))
        assert not fit(settings, tmp_path / "stopped", digits, checkpoint_every=5).finished
    assert same_weights(resume(tmp_path / "stopped").network(), whole.network())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of the digits, by the command line."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    result = call(
        *("fit", "conditional", "--data", "digits", "--target", "image", "--steps", 150, "--width", 64),
        *("--batch-size", 160, "--out", folder, "--accelerator", "cpu"),
    )
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_classes_are_fitted_judged_and_drawn(run, tmp_path):
    folder, output = run
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["headline"]["name"] == "class_tightness"
    model, real = (found["tables"]["classes"][side] for side in ("model", "reference"))
    assert set(found["tables"]["tightness"]["model"]) == set("0123456789")
    assert model["class_tightness"] == pytest.approx(np.mean(list(found["tables"]["tightness"]["model"].values())))
    assert model["worst_class"] == min(found["tables"]["tightness"]["model"].values())
    assert model["accuracy"] > 0.7
    assert real["accuracy"] > 0.95
    assert real["class_tightness"] == pytest.approx(1, abs=0.05)
    assert "Class tightness" in output
    assert (folder / "classes.png").stat().st_size > 10_000
    result = call("sample", folder, "--given", "class=3", "-n", 40, "--out", tmp_path / "s.npz")
    assert result.exit_code == 0, result.output
    drawn = np.load(tmp_path / "s.npz")
    assert drawn["samples"].shape == (40, 1, 8, 8)
    assert drawn["labels"].tolist() == [3] * 40
    threes, others = (
        np.abs(drawn["samples"].mean(0) - ce.load("digits").train.points[labels].mean(0).numpy().reshape(8, 8)).mean()
        for labels in (ce.load("digits").train.labels == 3, ce.load("digits").train.labels != 3)
    )
    assert threes < 0.6 * others
    assert call("sample", folder, "-n", 200, "--out", tmp_path / "all.npz").exit_code == 0
    assert len(set(np.load(tmp_path / "all.npz")["labels"].tolist())) == 10
    assert ce.open_run(folder).sample(5, given={"class": 3}).shape == (5, 64)


def test_what_cannot_be_given_is_refused(run, tmp_path):
    folder, _ = run
    for text, message in (
        ("class=12", "class has no value '12'"),
        ("digit=3", "no column 'digit' (known: class)"),
        ("3", "--given must be NAME=VALUE"),
    ):
        refused(call("sample", folder, "--given", text, "--out", tmp_path / "s.npz"), message)
    refused(
        call("predict", folder, "--given", tmp_path, "--out", tmp_path / "p.csv"),
        "makes images of a class, and predicts no columns",
    )
    refused(call("evaluate", folder, "--from-density"), "--from-density is for generators")
    moons = fit(ce.GeneratorSettings("moons", steps=2, width=8), tmp_path / "moons", ce.load("moons"))
    with pytest.raises(ce.InputError, match=r"`given` is for conditional runs.*holds a generator"):
        moons.sample(5, given={"class": 3})


@pytest.mark.parametrize("objective", ["debiased_nuclear_norm", "energy_score"])
def test_a_sampler_learns_columns(tmp_path, objective):
    draw = np.random.default_rng(0)
    x = draw.normal(size=2000)
    side = np.where(draw.random(2000) < 0.5, 1.0, -1.0)
    frame = pd.DataFrame({"x": 100 * x, "y": 1e-3 * (x + 2 * side + 0.1 * draw.normal(size=2000))})  # two answers
    frame.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "run"
    result = call(
        *("fit", "conditional", "--data", tmp_path / "t.csv", "--objective", objective, "--out", out),
        *("--steps", 400, "--batch-size", 128, "--width", 64, "--accelerator", "cpu"),
    )
    assert result.exit_code == 0, result.output
    found = json.loads((out / "evaluation.json").read_text())["tables"]["predictions"]
    assert found["model"]["nll"] < found["without_x"]["nll"] - 0.1
    assert found["model"]["coverage_90"] > 0.7
    drawn = ce.open_run(out).sample(500, given={"x": 100.0}).numpy()[:, 0] * 1e3
    assert np.mean(np.abs(drawn - 3) < 0.7) > 0.25
    assert np.mean(np.abs(drawn + 1) < 0.7) > 0.25
    frame[["x"]].to_csv(tmp_path / "x.csv", index=False)
    assert call("predict", out, "--given", tmp_path / "x.csv", "--out", tmp_path / "p.csv").exit_code == 0
    assert len(pd.read_csv(tmp_path / "p.csv")) == 2000


def test_small_and_missing_classes_are_said(digits, tmp_path):
    few = torch.cat([torch.nonzero(digits.held_out.labels == k)[: 5 if k == 3 else 50, 0] for k in range(10)])
    held_out = digits.held_out.rows(few)
    rows = digits.train.labels != 7
    data = dataclasses.replace(digits, held_out=held_out, train=digits.train.rows(rows.nonzero()[:, 0]))
    run = fit(DIGITS, tmp_path / "run", data)
    evaluation = run.kind.evaluate(run, data)
    assert set(evaluation.table("tightness")["model"]) == set("012456789")
    assert any("1 classes have fewer than 12 held-out points" in note for note in evaluation.notes)


def test_labels_are_parted_as_images_are(digits):
    assert parted(ce.load("digits")).digest == digits.digest


def test_images_are_made_in_range_and_columns_are_not_cut(digits, table):
    for settings, data, inside in ((DIGITS, digits, True), (TABLE, table, False)):
        loop = started(settings, data)
        with torch.no_grad():
            loop.network.body[-1].weight.mul_(100)
            drawn = loop.network.draw(data.train.given[:50], generator=generator())
        assert bool(((drawn >= 0) & (drawn <= 1)).all()) is inside


@pytest.mark.parametrize("objective", ["debiased_nuclear_norm", "energy_score"])
def test_several_columns_are_drawn_given_several(tmp_path, objective):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + draw.normal(size=300), "z": 9 * x[:, 1]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    result = call(
        *(
            "fit",
            "conditional",
            "--data",
            tmp_path / "t.csv",
            "--target",
            "y,z",
            "--objective",
            objective,
            "--steps",
            20,
        ),
        *("--batch-size", 32, "--width", 16, "--out", tmp_path / "run", "--accelerator", "cpu"),
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "predictions.png").stat().st_size > 10_000
    refused(
        call("sample", tmp_path / "run", "--given", "a=1e50,b=1", "--out", tmp_path / "s.csv"),
        "a must be a finite number that float32 holds",
    )
    run = ce.open_run(tmp_path / "run")
    with pytest.raises(ce.InputError, match="a must be a number, got None"):
        run.sample(2, given={"a": None, "b": 1})
    for count in (0, -1):
        for given in (None, {"a": 1, "b": 2}):
            with pytest.raises(ValueError, match=f"count must be at least 1, got {count}"):
                run.sample(count, given=given)
