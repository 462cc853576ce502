import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.analysis.samples import evaluate_files, evaluate_samples
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.metrics.samples import SPECTRUM_POINTS
from contrastive_entropy.variance.choice import neighbor_variance

VARIANCE = 0.01


@pytest.fixture(scope="module")
def moons():
    return Dataset.of("moons", sample_toy("moons", 3000, seed=0), sample_toy("moons", 1200, seed=1))


def test_a_perfect_model_scores_as_real_data_do(moons):
    result = evaluate_samples(sample_toy("moons", 4000, seed=9)[:2200], moons, variance=VARIANCE)
    assert result.model["fidelity_over_ceiling"] == pytest.approx(1, abs=0.02)
    assert result.model["tightness"] == pytest.approx(1, abs=0.02)
    assert result.reference["tightness"] == pytest.approx(1, abs=0.02)
    for name in ("precision", "recall", "density", "coverage"):
        assert result.model[name] == pytest.approx(result.reference[name], abs=0.05)
    assert result.model["far_share"] == pytest.approx(0.01, abs=0.01)
    assert result.reference["far_share"] == pytest.approx(0.01, abs=0.002)
    assert abs(result.model["energy_distance"]) < 0.003


def test_the_figures_are_what_they_say(moons):
    points = sample_toy("circles", 4000, seed=9)
    result = evaluate_samples(points[:2200], moons, variance=VARIANCE)
    first, again, test, train = (
        ce.GaussianMixture(s.double(), VARIANCE)
        for s in (points[:1000], points[1200:2200], moons.held_out.points[:1000], moons.train.points[:1000])
    )
    tightness, ceiling = ce.fidelity(test, first).item(), ce.fidelity(test, train).item()
    assert result.settings["spectrum_points"] == SPECTRUM_POINTS
    assert result.model["fidelity"] == pytest.approx(tightness)
    assert result.reference["fidelity"] == pytest.approx(ceiling)
    assert result.model["fidelity_over_ceiling"] == pytest.approx(tightness / ceiling)
    debiased = tightness / (ce.fidelity(first, again).item() * ceiling) ** 0.5
    assert result.model["tightness"] == pytest.approx(debiased)
    assert result.arrays["spectrum"].sum().item() == pytest.approx(tightness)
    assert result.as_dict()["tables"]["samples"]["model"] == result.model


def test_a_model_without_variety_is_found_out():
    normal = torch.randn(3000, 10, generator=torch.Generator().manual_seed(0))
    data = Dataset.of("normal", 0.1 * normal[:2000], 0.1 * normal[2000:])
    shrunken = 0.07 * torch.randn(4000, 10, generator=torch.Generator().manual_seed(1))
    result = evaluate_samples(shrunken[:2000], data, variance=VARIANCE)
    assert result.model["fidelity_over_ceiling"] > 1
    assert result.model["tightness"] < 0.97


def test_samples_of_a_file_are_judged_in_any_order(moons, tmp_path, monkeypatch):
    monkeypatch.setattr("contrastive_entropy.analysis.samples.load", lambda *args, **kwargs: moons)
    np.save(tmp_path / "sorted.npy", moons.train.points[moons.train.points[:, 0].argsort()].numpy())
    found = evaluate_files(str(tmp_path / "sorted.npy"), "moons", training="moons", variance=VARIANCE)
    assert found.settings["points"] == 1200
    assert found.model["tightness"] == pytest.approx(1, abs=0.03)  # its second sample is of the same law
    assert found.model["recall"] > 0.95
    assert found.model["memorization"] == 1.0
    default = evaluate_files(str(tmp_path / "sorted.npy"), "moons").settings["variance"]
    assert default == pytest.approx(neighbor_variance(moons.train.points))


def test_samples_are_not_drawn_as_a_file_is_split(tmp_path):
    values = sample_toy("moons", 1500, seed=3).numpy()
    np.save(tmp_path / "data.npy", values)
    found = evaluate_files(str(tmp_path / "data.npy"), str(tmp_path / "data.npy"))
    assert found.settings["points"] == 300
    drawn, held_out = found.arrays["generated"], load(str(tmp_path / "data.npy")).held_out.points
    assert torch.isin(drawn[:, 0], held_out[:, 0]).double().mean() == pytest.approx(0.2, abs=0.06)


def test_rows_that_cannot_be_judged_are_named(tmp_path):
    values = np.random.default_rng(0).random((400, 64), np.float32)
    file = tmp_path / "samples.npy"

    def refused(message, data="digits", **settings):
        np.save(file, values)
        with pytest.raises(InputError, match=message):
            evaluate_files(str(file), data, **settings)

    values[[250, 77]] = np.nan
    refused("row 77, counted from 0, holds NaN or infinite values; remove or fill such rows")
    values[[250, 77]] = 3.0
    refused(r"digits holds images in \[0, 1\], channels first, and .* values from .* to 3; bring them to that range")
    values = values[:, :2]
    data = tmp_path / "data.csv"
    data.write_text("x,y\n" + "".join(f"{row / 7},5\n" for row in range(40)))
    refused(
        "column 1, counted from 0, is 5 in all of the data, but differs from it by up to", str(data), standardize=True
    )
    values = 1e6 * np.random.default_rng(1).random((400, 2), np.float32)
    refused("samples do not overlap with as many others, and real points do: are the samples in the units", "moons")
    values = np.random.default_rng(0).random((20, 1, 2), np.float32)
    refused("holds images, scaled to \\[0, 1\\], and moons rows of numbers: give both in one form", "moons")
    (tmp_path / "crossed.csv").write_text("y,x\n" + "5,1\n5,2\n" * 20)
    with pytest.raises(InputError, match=r"has the columns y, x and .* has x, y; bring them into one order"):
        evaluate_files(str(tmp_path / "crossed.csv"), str(data))


def test_of_few_samples_half_are_the_second_sample(moons):
    few = sample_toy("moons", 101, seed=5)
    found = evaluate_samples(few, moons, variance=VARIANCE)
    assert (found.settings["points"], found.settings["spectrum_points"]) == (51, 50)
    first, again = (ce.GaussianMixture(s.double(), VARIANCE) for s in (few[:50], few[-50:]))
    test, train = (ce.GaussianMixture(s[:50].double(), VARIANCE) for s in (moons.held_out.points, moons.train.points))
    tightness = [ce.fidelity(test, one).item() for one in (first, train)]
    assert found.model["fidelity"] == pytest.approx(tightness[0])
    debiased = tightness[0] / (ce.fidelity(first, again).item() * tightness[1]) ** 0.5
    assert found.model["tightness"] == pytest.approx(debiased)


def test_samples_that_cannot_be_judged(moons):
    def refused(samples, message):
        with pytest.raises(InputError, match=message):
            evaluate_samples(samples, moons, variance=VARIANCE)

    refused(moons.train.points[:11], "11 samples are too few to evaluate; at least 12 are needed")
    refused(moons.train.points[:, :1], r"expected samples of 2 coordinates as moons has, got shape \(3000, 1\)")
    refused(moons.train.points[0], r"got shape \(2,\)")
    refused(moons.train.points.log(), "samples hold NaN or infinite values")
    with pytest.raises(InputError, match="variance must be a positive number, got 0"):
        evaluate_samples(moons.train.points, moons, variance=0.0)


def test_too_few_points(moons):
    few = Dataset.of("moons", moons.train.points, moons.held_out.points[:5])
    with pytest.raises(InputError, match="and 5 held out are too few to evaluate; at least 6 of either"):
        evaluate_samples(moons.train.points, few, variance=VARIANCE)


def test_samples_of_others_get_no_remedies_of_a_fit(moons):
    collapsed = evaluate_samples(moons.train.points[:1].expand(2200, -1), moons, variance=VARIANCE)
    assert [found.name for found in collapsed.diagnoses] == ["collapse", "memorization"]
    assert all(not found.remedies for found in collapsed.diagnoses)
    blurred = evaluate_samples(moons.train.points, moons, variance=1e4)
    assert [str(remedy) for found in blurred.diagnoses for remedy in found.remedies] == ["lower `variance`"]
