"""Autoencoders of images, and generators that learn in their codes."""

import dataclasses
import itertools
from contextlib import nullcontext

import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy import InputError
from contrastive_entropy.errors import StoppedError
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.metrics.distances import energy_distance
from contrastive_entropy.metrics.moments import frechet_distance
from contrastive_entropy.models.codes import CODES
from contrastive_entropy.models.codes.space import first
from contrastive_entropy.models.conditional import CONDITIONAL
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.spaces.efficientnet import EfficientNet
from contrastive_entropy.variance import median_pair_variance, neighbor_variance
from fits import started
from samples import generator

TINY = {"steps": 20, "width": 8, "depth": 1, "batch_size": 32}
CPU = Machine(accelerator="cpu")


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """Of digits, 150 steps."""
    settings = ce.CodesSettings("digits", steps=150, width=8, code_dimension=6)
    return ce.fit(settings, tmp_path_factory.mktemp("codes") / "digits", machine=CPU, progress=False)


def test_codes_keep_most_of_the_digits(codes):
    found = codes.evaluate()
    assert found.headline.value == found.table("codes")["held_out"]["explained"]
    assert 0.5 < found.headline.value < 0.95
    error, noisy = (found.table("codes")["held_out"][name] for name in ("error", "noisy_error"))
    assert error < noisy
    data = codes.dataset()
    made = codes.network().images_of(codes.network().codes_of(data.held_out.points))
    assert float((made - data.held_out.points).square().mean()) == pytest.approx(error, rel=1e-5)
    variance = float((data.held_out.points - data.train.points.mean(0)).square().mean())
    assert found.headline.value == pytest.approx(1 - error / variance, rel=1e-5)


def test_the_report_of_codes_does_not_look_for_copies(codes, tmp_path):
    page = tmp_path / "codes.html"
    assert call("report", codes.folder, "--out", page, "--no-features").exit_code == 0
    text = page.read_text()
    assert "Held-out images and what their codes keep." in text
    assert "nearest training" not in text


def test_codes_are_judged_in_features_too(codes):
    images = codes.dataset().held_out.points[:20]  # as many as tests look at
    space, network = EfficientNet((1, 8, 8)), codes.network()
    made = network.images_of(network.codes_of(images))
    expected = frechet_distance(space.features(made, "made"), space.features(images, "real"))
    assert codes.evaluate().table("codes")["held_out"]["features_frechet"] == pytest.approx(expected, rel=1e-4)
    assert "features_frechet" not in codes.evaluate(features=False).table("codes")["held_out"]


def test_the_objective_is_the_share_of_the_variance_that_is_lost():
    settings = ce.CodesSettings("digits", width=4)
    fit = started(settings, CODES.load(settings))
    step, points = fit.part, fit.part.points[:50]
    now = fit.begin(0)
    mean = step.points.mean(0).expand(50, -1)

    def value(images):
        answer = type(step.answer(fit.batch(now), now))({"points": points, "images": images})
        return float(step.judge(answer, now).bound.value)

    assert value(points) == 0
    lost = (points - mean).square().sum(-1).mean() / step.points.var(0, correction=0).sum()
    assert value(mean) == pytest.approx(-float(lost), rel=1e-5)


def test_noise_is_on_the_codes_while_training():
    def answers(noise):
        settings = ce.CodesSettings("digits", width=4, code_noise=noise)
        fit = started(settings, CODES.load(settings))
        now = fit.begin(0)
        batch = fit.batch(now)
        return fit.part.answer(batch, now).parts["images"], fit.network.decode(fit.network.encode(batch.points))

    torch.testing.assert_close(*answers(0.0))
    with_noise, without = answers(0.5)
    assert not torch.allclose(with_noise, without, atol=1e-3)


def test_samples_of_codes_are_reconstructions_of_training_images(codes):
    drawn = codes.sample(5, seed=3)
    rows = torch.randint(len(codes.dataset().train), (5,), generator=generator(3))
    images = codes.dataset().train.points[rows]
    network = codes.network()
    torch.testing.assert_close(drawn, network.images_of(network.codes_of(images)))
    with pytest.raises(InputError, match="from_density"):
        codes.sample(5, from_density=True)


def test_the_code_has_the_root_of_the_pixels_by_default():
    settings = ce.CodesSettings("digits")
    data = CODES.load(settings)
    assert CODES.plan(settings, data).model.code_dimension == 8
    assert CODES.plan(dataclasses.replace(settings, code_dimension=3), data).model.code_dimension == 3


def test_codes_are_of_images(tmp_path):
    with pytest.raises(InputError, match="codes are of images, and moons holds points"):
        ce.fit(ce.CodesSettings("moons"), tmp_path / "run", progress=False)
    for space in ("codes", str(tmp_path)):
        with pytest.raises(InputError, match="`space` is for images, and moons holds points; leave it out"):
            ce.fit(ce.GeneratorSettings("moons", space=space), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(GENERATOR, ce.GeneratorSettings), (CONDITIONAL, ce.ConditionalSettings)],
    ids=["generator", "conditional"],
)
def test_a_model_of_codes_makes_images_and_keeps_the_autoencoder(kind, settings, codes, tmp_path):
    asked = settings("digits", space=str(codes.folder), **TINY)
    run = ce.fit(asked, tmp_path / "run", machine=CPU, progress=False)
    images = run.sample(30)
    assert images.shape == (30, 64)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    network, coder = run.network(), codes.network()
    for name, value in coder.state_dict().items():
        assert torch.equal(network.coder.state_dict()[name], value), name
    data = run.dataset()
    step = kind.step(run.plan, network, data)
    torch.testing.assert_close(step.points, coder.codes_of(data.train.points))
    torch.testing.assert_close(network.location, step.points.mean(0), atol=1e-5, rtol=0)
    assert float(network.scale) == pytest.approx(float((step.points - step.points.mean(0)).square().mean().sqrt()))
    assert run.plan.model.codes == (6, 8)
    assert run.plan.variance.start == pytest.approx(median_pair_variance(data.learnt.points))
    run.evaluate()


def test_variance_is_that_of_the_codes(codes):
    settings = ce.GeneratorSettings("digits", space=str(codes.folder), groups=0)
    data = GENERATOR.load(settings)
    plan = GENERATOR.plan(settings, data)
    assert plan.variance.end == pytest.approx(neighbor_variance(data.learnt.points))
    assert plan.model.noise_dimension == 12
    order = torch.randperm(len(data.train), generator=generator(0))  # a sorted file must not show one class alone
    torch.testing.assert_close(data.learnt.points, codes.network().codes_of(data.train.points[order]))
    assert torch.equal(data.learnt.labels, data.train.labels[order])


def test_the_objective_compares_codes(codes):
    settings = ce.GeneratorSettings("digits", space=str(codes.folder), **TINY)
    fit = started(settings, GENERATOR.load(settings))
    assert not any(weight.requires_grad for weight in fit.network.coder.parameters())
    fit.network.train()
    assert not fit.network.coder.training
    now = fit.begin(0)
    parts = fit.part.answer(fit.batch(now), now).parts
    assert parts["points"].shape[1] == parts["centers"].shape[1] == 6
    noise = fit.network.draw_noise(7, generator=generator())
    projected = fit.network(noise, projected=True).centers
    torch.testing.assert_close(fit.network(noise).centers, fit.network.coder.decode(projected))


def test_space_codes_trains_the_autoencoder_first_and_finds_it_again(tmp_path):
    base = ["--data", "digits", "--steps", "5", "--batch-size", "16", "--accelerator", "cpu"]
    out = tmp_path / "run"
    settings = ce.GeneratorSettings("digits", space="codes", **TINY)
    before = first(settings, out)
    assert before.folder == tmp_path / "run-codes"
    assert before.settings == ce.CodesSettings("digits")
    assert before.then == dataclasses.replace(settings, space=str(before.folder))
    ce.fit(ce.CodesSettings("digits", steps=5), before.folder, machine=CPU, progress=False)
    result = call("fit", "generator", *base, "--space", "codes", "--out", out)
    refused(result, "run-codes holds a run with other settings; give it as --space, or choose another --out")
    shown = call("fit", "generator", *base, "--space", before.folder, "--out", out)
    assert "Tightness" in shown.output
    opened = ce.open_run(out)
    assert opened.settings.space == str(before.folder)


def test_a_stop_in_the_first_fit_continues_with_the_same_call(tmp_path, monkeypatch):
    settings = ce.GeneratorSettings("digits", space="codes", **TINY)
    monkeypatch.setattr(ce.CodesSettings, "__post_init__", lambda self: object.__setattr__(self, "steps", 12))
    asked = itertools.count(1)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_stop_on_signal", lambda: nullcontext(lambda: next(asked) == 5))
        with pytest.raises(StoppedError, match="the same command continues the fit"):
            ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    assert not (tmp_path / "run").exists()
    assert not ce.open_run(tmp_path / "run-codes").finished
    run = ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    assert run.finished
    whole = ce.fit(settings, tmp_path / "other", machine=CPU, progress=False)
    for name in ("run", "run-codes"):
        other = name.replace("run", "other")
        mine, theirs = ((tmp_path / folder / "weights.safetensors").read_bytes() for folder in (name, other))
        assert mine == theirs
    assert whole.settings.space != run.settings.space


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"body": "convolutional"}, "in a space of codes the body must be mlp, got convolutional"),
        ({"principal_components": 5}, "principal_components are of pixels, and `space` has codes in their place"),
    ],
)
def test_a_space_of_codes_goes_with_no_setting_of_pixels(changed, message):
    with pytest.raises(InputError, match=message):
        ce.GeneratorSettings("digits", space="codes", **changed)


def test_a_space_must_be_codes_of_such_images(codes, tmp_path):
    with pytest.raises(InputError, match="no run in"):
        ce.fit(ce.GeneratorSettings("digits", space=str(tmp_path)), tmp_path / "run", progress=False)


def images_of(path, shape, count=100, seed=0):
    np.save(path, torch.rand(count, *shape, generator=generator(seed)).numpy())
    return str(path)


def test_codes_must_be_of_images_of_one_shape(tmp_path):
    """Also where the numbers of pixels agree: decoded in another layout, they would be no images."""
    wide, high = (images_of(tmp_path / f"{name}.npy", shape) for name, shape in (("wide", (8, 16)), ("high", (16, 8))))
    codes = ce.fit(ce.CodesSettings(wide, steps=2, width=4), tmp_path / "codes", machine=CPU, progress=False)
    settings = ce.GeneratorSettings(high, space=str(codes.folder), **TINY)
    with pytest.raises(
        InputError, match=r"has codes of images of 1 x 8 x 16, and .* has 1 x 16 x 8 .*train codes of them"
    ):
        ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changed", [{"seed": 1}, {"points": 50}, {"held_out": 0.3}, "the file"])
def test_codes_that_may_know_what_is_held_out_are_refused(changed, tmp_path):
    path = images_of(tmp_path / "images.npy", (8, 8))
    codes = ce.fit(ce.CodesSettings(path, steps=2, width=4), tmp_path / "codes", machine=CPU, progress=False)
    if changed == "the file":
        images_of(tmp_path / "images.npy", (8, 8), seed=1)
    asked = {} if changed == "the file" else changed
    settings = ce.GeneratorSettings(path, space=str(codes.folder), **TINY | asked)
    with pytest.raises(InputError, match=r"has codes of other rows of .*images"):
        ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    other = images_of(tmp_path / "other.npy", (8, 8), seed=2)  # of other data they may be taken
    ce.fit(ce.GeneratorSettings(other, space=str(codes.folder), **TINY), tmp_path / "run", machine=CPU, progress=False)


def test_the_autoencoder_has_the_seed_and_rows_of_the_fit(tmp_path):
    settings = ce.GeneratorSettings("digits", space="codes", seed=3, points=100, **TINY)
    assert first(settings, tmp_path / "run").settings == ce.CodesSettings("digits", seed=3, points=100)


def test_a_taken_folder_is_refused_before_codes_are_trained(codes, tmp_path):
    settings = ce.GeneratorSettings("digits", **TINY)
    ce.fit(settings, tmp_path / "run", machine=CPU, progress=False)
    with pytest.raises(InputError, match="already holds a finished run"):
        ce.fit(dataclasses.replace(settings, space="codes"), tmp_path / "run", machine=CPU, progress=False)
    assert not (tmp_path / "run-codes").exists()


def test_resume_where_nothing_was_begun_begins_nothing(tmp_path):
    result = call("fit", "generator", "--data", "digits", "--space", "codes", "--out", tmp_path / "run", "--resume")
    refused(result, "no run in")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "native", "convolves", "expected"),
    [
        ("auto", True, True, "bf16-mixed"),
        ("auto", True, False, "32-true"),
        ("auto", False, True, "32-true"),
        ("32-true", True, True, "32-true"),
        ("bf16-mixed", False, False, "bf16-mixed"),
    ],
)
def test_automatic_precision(asked, native, convolves, expected, monkeypatch):
    monkeypatch.setattr("contrastive_entropy.fitting.machine._multiplies_bfloat16", lambda: native)
    assert Machine(accelerator="cpu", precision=asked).resolved(convolves=convolves).precision == expected


def test_noise_of_the_density_is_on_the_codes(codes, tmp_path):
    settings = ce.GeneratorSettings("digits", space=str(codes.folder), **TINY)
    network = ce.fit(settings, tmp_path / "run", machine=CPU, progress=False).network()
    drawn = network.sample(20, generator=generator(4), from_density=True)
    draws = generator(4)
    centers = network(network.draw_noise(20, generator=draws), projected=True).centers
    blurred = centers + network.variance.float().sqrt() * torch.randn(20, 6, generator=draws)
    torch.testing.assert_close(drawn, network.coder.decode(blurred).detach())


def test_the_same_command_with_resume_goes_on_in_either_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(ce.CodesSettings, "__post_init__", lambda self: object.__setattr__(self, "steps", 12))
    out = tmp_path / "run"
    command = ["fit", "generator", "--data", "digits", "--space", "codes", "--steps", "20", "--batch-size", "32"]
    command += ["--width", "8", "--depth", "1", "--accelerator", "cpu", "--out", str(out)]
    for fit_steps in (5, 12 + 5):  # the first stop is in the autoencoder's fit, the second in the generator's
        asked = itertools.count(1)
        with monkeypatch.context() as patch:
            patch.setattr(
                trainer, "_stop_on_signal", lambda asked=asked, at=fit_steps: nullcontext(lambda: next(asked) == at)
            )
            resumed = ["--resume"] if fit_steps > 5 else []
            stopped = call(*command, *resumed)
        assert stopped.exit_code == 130, stopped.output
    assert ce.open_run(tmp_path / "run-codes").finished
    assert not ce.open_run(out).finished
    done = call(*command, "--resume")
    assert done.exit_code == 0, done.output
    assert ce.open_run(out).finished


@pytest.mark.parametrize("changed", ["codes", "components"])
def test_the_ceiling_is_what_training_points_become(changed, codes, tmp_path):
    how = {"space": str(codes.folder)} if changed == "codes" else {"principal_components": 3}
    run = ce.fit(ce.GeneratorSettings("digits", **TINY | how), tmp_path / "run", machine=CPU, progress=False)
    found = run.evaluate(features=False)
    ceiling, real = (found.table("samples")[name] for name in ("ceiling", "reference"))
    data = run.dataset()
    train, held_out = data.train.points, data.held_out.points
    network = codes.network()
    if changed == "codes":
        best = network.images_of(network.codes_of(train))
    else:
        centered = train - train.mean(0)
        axes = torch.linalg.svd(centered, full_matrices=False)[2][:3]
        best = centered @ axes.T @ axes + train.mean(0)
    assert ceiling["energy_distance"] == pytest.approx(energy_distance(best[:500], held_out), rel=1e-3)
    assert real["energy_distance"] < ceiling["energy_distance"]
    assert not {"missed", "memorization", "copies"} & set(ceiling)
    assert any(note.startswith("ceiling: ") for note in found.notes)
    plain = ce.fit(ce.GeneratorSettings("digits", **TINY), tmp_path / "plain", machine=CPU, progress=False)
    assert "ceiling" not in plain.evaluate(features=False).table("samples").columns
