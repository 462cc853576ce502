import json
import math

import pytest
import torch

from contrastive_entropy.metrics.catalog import HIGH, Metric
from contrastive_entropy.metrics.diagnosis import Diagnosis, Remedy
from contrastive_entropy.metrics.evaluation import Evaluation, Headline, Table, evaluate_comparison
from contrastive_entropy.metrics.samples import Comparison
from contrastive_entropy.storage import json_bytes

METRICS = (
    Metric("recall", "data that are reached", lambda side: 0.0, HIGH),
    Metric("hidden", "", lambda side: 0.0, shown=False),
)


def evaluation(**changes):
    tables = (
        Table("bounds", "bounds", {"train": {"gap": 0.5}, "held_out": {"gap": math.inf}}),
        Table("samples", "samples", {"model": {"recall": 0.4, "hidden": 1.0}, "reference": {"recall": 0.9}}, METRICS),
    )
    diagnoses = (Diagnosis("unsharp", "seen", (Remedy("train longer", "steps", 4000),)),)
    known = {"headline": Headline("tightness", 0.93712, "about 1."), "tables": tables, "diagnoses": diagnoses}
    return Evaluation(**known | {"settings": {"seed": 1, "radius": math.nan, "counts": (1, math.nan)}} | changes)


def test_figures_are_read_by_name():
    found = evaluation()
    assert found.model["recall"] == 0.4
    assert found.reference["recall"] == 0.9
    assert found.table("bounds")["train"]["gap"] == 0.5
    assert found.table("samples").rows == ["recall"]  # what is not shown is in JSON alone
    assert found.table("bounds").rows == ["gap"]
    with pytest.raises(KeyError, match=r"no table 'figures' \(there are bounds, samples\)"):
        found.table("figures")
    with pytest.raises(KeyError, match="no table has a column 'model'"):
        _ = evaluation(tables=found.tables[:1]).model


def test_json_holds_everything_and_nothing_that_is_not_finite():
    value = json.loads(json_bytes(evaluation().as_dict()))
    assert value == {
        "headline": {"name": "tightness", "value": 0.93712, "says": "about 1."},
        "settings": {"seed": 1, "radius": None, "counts": [1, None]},
        "tables": {
            "bounds": {"train": {"gap": 0.5}, "held_out": {"gap": None}},
            "samples": {"model": {"recall": 0.4, "hidden": 1.0}, "reference": {"recall": 0.9}},
        },
        "diagnoses": [
            {
                "name": "unsharp",
                "seen": "seen",
                "remedies": [{"action": "train longer", "setting": "steps", "value": 4000}],
            }
        ],
    }


def test_the_headline_is_a_sentence():
    assert str(Headline("mean_error", 0.93712, "lower is better.")) == "Mean error 0.937: lower is better."


def test_a_comparison_says_what_it_was_computed_from():
    x = torch.randn(180, 3, generator=torch.Generator().manual_seed(0))
    unlike = x[:60] * torch.tensor([1.0, 1.0, 4.0])
    compared = Comparison(unlike, x[60:120], x[120:], 0.5)
    found = evaluate_comparison(compared, "title", settings={"seed": 3}, names=("a", "b", "c"))
    assert found.tables[0].title == "title, 30 points a side, variance 0.5"
    assert list(found.settings) == [
        "seed",
        "points",
        "spectrum_points",
        "neighbors",
        "variance",
        "far_radius",
        "column",
    ]
    assert (found.settings["points"], found.settings["spectrum_points"], found.settings["column"]) == (30, 30, "c")
    assert found.notes == (
        "real: training points in the samples' place.",
        "All of it is rough: 30 points a side are few.",
    )
    assert evaluate_comparison(compared, "title", settings={}).settings["column"] == 2
    images = Comparison(unlike, x[60:120], x[120:], 0.5, (1, 1, 3))
    assert evaluate_comparison(images, "title", settings={}).settings["column"] is None


class Plain:
    """A space that is that of the points."""

    settings, note = {"weights": "none"}, "Not the real thing."

    def __init__(self, most, name="inception"):
        self.most, self.name, self.seen = most, name, []

    def features(self, points, name):
        self.seen.append((name, len(points)))
        return points


def test_another_space_says_what_it_is():
    x = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))
    all_of_them, some = Plain(1000), Plain(80)
    plain, found = (
        evaluate_comparison(
            Comparison(x[:200], x[200:400], x[400:], 0.5, spaces=(space,)), "title", settings={}, notes=("More.",)
        )
        for space in (all_of_them, some)
    )
    assert (plain.settings["points"], plain.settings["inception"]) == (100, {"weights": "none", "points": 100})
    assert found.settings["inception"] == {"weights": "none", "points": 80}
    assert found.notes[1:] == ("Not the real thing.", "More.")
    assert plain.model["inception_recall"] == plain.model["recall"]
    assert sorted(some.seen) == [("held-out points", 80), ("samples", 80), ("training points", 80)]  # each once


@pytest.mark.parametrize(
    ("image_shape", "spaces", "hidden"),
    [
        ((3, 2, 2), ("efficientnet",), True),
        ((3, 2, 2), ("inception",), False),
        ((1, 3, 4), ("efficientnet",), False),
        (None, (), False),
    ],
)
def test_neighbours_in_pixels_of_colours_are_not_shown_where_features_are(image_shape, spaces, hidden):
    x = torch.rand(600, 12, generator=torch.Generator().manual_seed(0))
    spaces = tuple(Plain(1000, name) for name in spaces)
    found = evaluate_comparison(
        Comparison(0.01 * x[:200], x[200:400], x[400:], 0.5, image_shape, spaces), "title", settings={}
    )
    in_pixels = {"precision", "recall", "density", "coverage"}
    assert in_pixels <= set(found.model)
    assert in_pixels & set(found.tables[0].rows) == (set() if hidden else in_pixels)
    assert (" in pixels 0 against" in str(found.diagnoses[0])) is hidden
