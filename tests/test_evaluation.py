import dataclasses

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.config import FitConfig
from contrastive_entropy.data import Dataset, sample_toy
from contrastive_entropy.evaluation import SPECTRUM_POINTS, evaluate
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.runs import Run

VARIANCE = 0.01


class Drawn(MixtureDensityNetwork):
    """Stands for a network that generates given points."""

    def __init__(self, points):
        super().__init__(
            torch.nn.Linear(1, 2), noise_dimension=1, location=torch.zeros(2), scale=torch.ones(()), variance=VARIANCE
        )
        self.points = points

    def sample(self, count, *, generator, from_density=False):
        return self.points[:count]


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    def evaluated(points, dataset):
        run = Run.create(tmp_path / "run", FitConfig(data="moons", variance_end=VARIANCE), dataset, overwrite=True)
        monkeypatch.setattr(Run, "load_network", lambda self: Drawn(points))
        return evaluate(run, dataset)

    return evaluated


@pytest.fixture(scope="module")
def moons():
    return Dataset("moons", sample_toy("moons", 3000, seed=0), sample_toy("moons", 1200, seed=1))


def test_a_perfect_model_scores_as_real_data_do(evaluated, moons):
    result = evaluated(sample_toy("moons", 4000, seed=9), moons)
    assert result.relative_tightness == pytest.approx(1, abs=0.02)
    assert result.model["debiased_tightness"] == pytest.approx(1, abs=0.02)
    assert result.reference["debiased_tightness"] == pytest.approx(1, abs=0.02)
    for name in ("precision", "recall", "density", "coverage"):
        assert result.model[name] == pytest.approx(result.reference[name], abs=0.05)
    assert result.model["far_share"] == pytest.approx(0.01, abs=0.01)
    assert result.reference["far_share"] == pytest.approx(0.01, abs=0.002)
    assert abs(result.model["energy_distance"]) < 0.003


def test_the_figures_are_what_they_say(evaluated, moons):
    points = sample_toy("circles", 4000, seed=9)
    result = evaluated(points, moons)
    first, again, test, train = (
        ce.GaussianMixture(s.double(), VARIANCE)
        for s in (points[:1000], points[1200:2200], moons.test[:1000], moons.train[:1000])
    )
    tightness, ceiling = ce.fidelity(test, first).item(), ce.fidelity(test, train).item()
    assert result.settings["spectrum_points"] == SPECTRUM_POINTS
    assert result.model["tightness"] == pytest.approx(tightness)
    assert result.reference["tightness"] == pytest.approx(ceiling)
    assert result.relative_tightness == pytest.approx(tightness / ceiling)
    debiased = tightness / (ce.fidelity(first, again).item() * ceiling) ** 0.5
    assert result.model["debiased_tightness"] == pytest.approx(debiased)
    assert result.spectrum.sum().item() == pytest.approx(tightness)
    assert result.as_dict()["model"] == result.model


def test_a_model_without_variety_is_found_out(tmp_path, evaluated):
    normal = torch.randn(3000, 10, generator=torch.Generator().manual_seed(0))
    data = Dataset("normal", 0.1 * normal[:2000], 0.1 * normal[2000:])
    shrunken = 0.07 * torch.randn(4000, 10, generator=torch.Generator().manual_seed(1))
    result = evaluated(shrunken, data)
    assert result.relative_tightness > 1
    assert result.model["debiased_tightness"] < 0.97


def test_too_few_points(evaluated, moons):
    few = dataclasses.replace(moons, test=moons.test[:5])
    with pytest.raises(InputError, match="and 5 held out are too few to evaluate; at least 6 of either"):
        evaluated(moons.train, few)
