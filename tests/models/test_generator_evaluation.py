import dataclasses
import json

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.analysis.samples import evaluate_samples
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.fitting.run import METRICS, Run
from contrastive_entropy.metrics.catalog import SAMPLE_METRICS
from contrastive_entropy.models.generator import GENERATOR
from contrastive_entropy.models.generator.evaluation import BEST, evaluate
from contrastive_entropy.models.generator.figures import columns_figure, figures
from contrastive_entropy.models.generator.network import Generator
from contrastive_entropy.storage import json_bytes

VARIANCE = 0.01


class Drawn(Generator):
    """Stands for a network that generates given points."""

    def __init__(self, points):
        super().__init__(
            torch.nn.Linear(1, 2), noise_dimension=1, location=torch.zeros(2), scale=torch.ones(()), variance=VARIANCE
        )
        self.points = points

    def sample(self, count, *, generator, from_density=False):
        assert generator.initial_seed() == 7
        return self.points[:count]


@pytest.fixture(scope="module")
def moons():
    return Dataset.of("moons", sample_toy("moons", 3000, seed=0), sample_toy("moons", 1200, seed=1))


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    def evaluated(points, dataset, **settings):
        settings = ce.GeneratorSettings("moons", **{"variance_end": VARIANCE} | settings)
        run = Run.create(tmp_path / "run", GENERATOR, settings, dataset, overwrite=True)
        monkeypatch.setattr(Run, "network", lambda self: Drawn(points))
        return evaluate(run, dataset, seed=7)

    return evaluated


def test_as_many_points_as_are_held_out_are_compared_and_a_second_sample(evaluated, moons):
    points = sample_toy("circles", 4000, seed=9)
    found, expected = evaluated(points, moons), evaluate_samples(points[:2200], moons, variance=VARIANCE)
    assert found.model == expected.model
    assert found.reference == expected.reference
    assert (found.settings["points"], found.settings["seed"], found.settings["from_density"]) == (1200, 7, False)
    assert torch.equal(found.arrays["generated"], points[:1200])


def test_the_headline_is_the_one_tightness(evaluated, moons):
    found = evaluated(sample_toy("moons", 4000, seed=9), moons)
    assert (found.headline.name, found.headline.value) == ("tightness", found.model["tightness"])
    assert str(found.headline).startswith("Tightness 0.9") or str(found.headline).startswith("Tightness 1.0")
    assert found.diagnoses == ()
    value = json.loads(json_bytes(found.as_dict()))
    shown = {metric.name for metric in SAMPLE_METRICS if not metric.needs & {"efficientnet", "inception", "images"}}
    assert set(value["tables"]["samples"]["model"]) == shown
    assert set(value["tables"]["samples"]["reference"]) == shown - {"fidelity_over_ceiling"}
    assert json_bytes(value).decode().count("fidelity_over_ceiling") == 1


def test_remedies_know_the_fit(evaluated, moons):
    same = sample_toy("moons", 1, seed=9).expand(4000, -1)
    (found, *_) = evaluated(same, moons, steps=300).diagnoses
    assert found.name == "collapse"
    assert [str(remedy) for remedy in found.remedies] == [
        "train longer: `steps` 600", "raise `batch_size`", "raise `components`", "lower `variance_end`",
    ]  # fmt: skip
    (found, *_) = evaluated(same, moons, objective="inner_product").diagnoses
    assert f"another objective: `objective` {BEST}" in map(str, found.remedies)
    (found, *_) = evaluated(same, moons, objective=f"{BEST}:smoothing=0.001").diagnoses
    assert not any(remedy.setting == "objective" for remedy in found.remedies)


def test_a_variance_that_ended_above_what_was_asked_is_said(evaluated, moons):
    points = sample_toy("moons", 4000, seed=9)
    assert not any("ended" in note for note in evaluated(points, moons).notes)
    (note,) = (note for note in evaluated(points, moons, variance_end=VARIANCE / 2).notes if "ended" in note)
    assert note.startswith("The variance ended at 0.01, above the 0.005 asked for: further down, too many samples")


def test_too_few_points(evaluated, moons):
    few = Dataset.of("moons", moons.train.points, moons.held_out.points[:5])
    with pytest.raises(InputError, match="and 5 held out are too few to evaluate; at least 6 of either"):
        evaluated(moons.train.points, few)


def test_tables_of_some_columns_are_drawn_by_column(evaluated, moons, tmp_path):
    found = evaluated(sample_toy("moons", 4000, seed=9), moons)
    run = Run.open(tmp_path / "run", [GENERATOR])
    (run.folder / METRICS).write_text("step,objective,limit,tightness,variance\n10,-2,-1,0.3,4\n20,-1.5,-1,0.6,2\n")
    assert list(figures(run, moons, found)) == ["samples.png", "training.png", "spectrum.png"]
    three = Dataset.of(
        "three", *(torch.cat([part, part[:, :1]], 1) for part in (moons.train.points, moons.held_out.points))
    )
    wide = dataclasses.replace(found, arrays={**found.arrays, "generated": three.held_out.points})
    drawn = figures(run, three, wide)
    assert list(drawn) == ["samples.png", "columns.png", "training.png", "spectrum.png"]
    assert [axis.get_title() for axis in drawn["columns.png"].axes] == ["column 0", "column 1", "column 2"]
    labels = [text.get_text() for text in drawn["spectrum.png"].axes[0].get_legend().get_texts()]
    assert labels[1] == f"generated with held-out data, sum {found.model['fidelity']:.3f}"


def test_columns_are_in_the_units_of_the_data():
    table = ce.data.schema.Table.of(3, ("a", "b", "c")).standardizing(torch.tensor([[0.0, 5, 1], [10, 7, 1]]))
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    axis = columns_figure(points, points, table).axes[0]
    low, high = (table.decode(points)[:, 0].amin(), table.decode(points)[:, 0].amax())
    assert axis.get_title() == "a"
    assert axis.get_xlim()[0] <= float(low)
    assert axis.get_xlim()[1] >= float(high) > 10
