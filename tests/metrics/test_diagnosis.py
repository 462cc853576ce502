import pytest
import torch

from contrastive_entropy.metrics.diagnosis import (
    SIGNATURES,
    Diagnosis,
    Remedy,
    diagnose_alternatives,
    diagnose_classes,
    diagnose_predictions,
    diagnose_samples,
    diagnose_training,
)
from contrastive_entropy.metrics.monitors import monitors
from contrastive_entropy.mixtures.mixture import GaussianMixture

HEALTHY = {"spread": 1.0, "alone": 0.0, "window": 0.05}
REAL = {
    "precision": 0.95,
    "recall": 0.95,
    "coverage": 0.97,
    "effective_rank": 90.0,
    "far_share": 0.01,
    "memorization": 0.5,
}


def names(found):
    return [diagnosis.name for diagnosis in found]


def test_monitors_measure_what_they_say():
    p = GaussianMixture(torch.tensor([[0.0], [0.0], [10.0], [20.0]], dtype=torch.float64), 0.5)
    q = GaussianMixture(torch.tensor([[0.0], [10.0], [13.1], [50.0]], dtype=torch.float64), 0.5)
    found = monitors(p, q)
    assert found["alone"] == 0.5  # 13.1 lies 3.1 standard deviations of the kernel from 10
    assert found["window"] == pytest.approx((2 / 4 + 1 / 4 + 1 / 4 + 1 / 4) / 4, abs=1e-6)
    spread = torch.tensor([0.0, 10.0, 13.1, 50.0]).var() / torch.tensor([0.0, 0.0, 10.0, 20.0]).var()
    assert found["spread"] == pytest.approx(float(spread), rel=1e-6)
    wide = monitors(GaussianMixture(p.centers, 1e6), GaussianMixture(q.centers, 1e6))
    assert wide["window"] == pytest.approx(1, abs=1e-3)
    still = monitors(p, GaussianMixture(torch.zeros(3, 1, dtype=torch.float64), 0.5))
    assert still["spread"] == 0


@pytest.mark.parametrize(
    ("changes", "at_end", "expected"),
    [
        ({}, True, []),
        ({"spread": 1e-4}, False, ["constant"]),
        ({"alone": 0.6}, False, ["vanishing"]),
        ({"window": 0.99}, False, []),  # annealing starts so
        ({"window": 0.56}, True, []),  # digits at their best variance
        ({"window": 0.99}, True, ["blurred"]),
    ],
)
def test_training_signatures(changes, at_end, expected):
    assert names(diagnose_training(HEALTHY | changes, at_end=at_end)) == expected


@pytest.mark.parametrize(
    ("changes", "expected", "shown"),
    [
        ({}, [], ""),
        ({"precision": 0.3}, ["gibberish"], "precision 0.3 against 0.95"),
        ({"far_share": 0.4}, ["gibberish"], "40% lie farther from data than 99% of data do"),
        ({"recall": 0.1, "coverage": 0.2}, ["collapse"], "coverage 0.2 against 0.97, recall 0.1 against 0.95"),
        ({"effective_rank": 10.0}, ["collapse"], "effective rank 10 against 90"),
        ({"memorization": 0.95, "recall": 0.1}, ["collapse"], "recall 0.1 against 0.95"),  # blurred, not copied
        ({"memorization": 0.95}, ["memorization"], "95% of them lie nearer to one than a held-out point does"),
        ({"copies": 0.8}, ["memorization"], "80% of them equal one"),
        ({"column_distance": 0.2}, ["uneven"], "column distance 0.2 against 0.01, of 'age'"),
        ({"column_distance": 0.2, "recall": 0.1}, ["collapse"], "recall 0.1"),
        ({"tightness": 0.7}, ["unfinished"], "tightness 0.7 against 1.02"),
        ({"tightness": 0.77, "column_distance": 0.14, "copies": 0.4}, [], ""),
        ({"tightness": 0.7, "precision": 0.3}, ["gibberish"], ""),
    ],
)
def test_sample_signatures_show_their_figures(changes, expected, shown):
    real = REAL | {"column_distance": 0.01, "tightness": 1.02, "copies": 0.0}
    found = diagnose_samples(real | changes, real, column="age")
    assert names(found) == expected
    assert all(shown in str(diagnosis) and SIGNATURES[diagnosis.name] in str(diagnosis) for diagnosis in found)


@pytest.mark.parametrize(
    ("figures", "bounds", "centers", "expected", "shown"),
    [
        ({}, {}, 8, [], ""),
        ({"mean_preferred": 1.0}, {}, 8, [], ""),  # trained centers may well be better than draws
        ({"mean_preferred": 0.6, "sharpness": 0.1}, {}, 8, ["averaged"], "for 60% of codes"),
        ({"mean_preferred": 0.6}, {"effective_centers": 1.5}, 8, ["averaged"], "for 60% of codes"),
        ({"sharpness": 0.1}, {"effective_centers": 1.5}, 8, ["merged", "unsharp"], ""),
        ({"sharpness": 0.4}, {}, 8, ["unsharp"], "sharpness 0.4 against 1"),
        ({}, {"effective_centers": 1.5}, 8, ["merged"], "1.5 of 8 are apart, for 12 neighbours"),
        ({}, {"effective_centers": 1.0, "neighbors": 1.0}, 8, [], ""),  # one point per code: nothing to tell apart
        ({}, {"effective_centers": 1.0}, 1, [], ""),
    ],
)
def test_signatures_of_alternatives(figures, bounds, centers, expected, shown):
    model = {"mean_preferred": 0.0, "sharpness": 0.9} | figures
    bounds = {"neighbors": 12.0, "effective_centers": 6.0} | bounds
    found = diagnose_alternatives(model, {"sharpness": 1.0}, bounds, centers=centers)
    assert names(found) == expected
    assert all(shown in str(diagnosis) and SIGNATURES[diagnosis.name] in str(diagnosis) for diagnosis in found)
    points = {name: value for name, value in model.items() if name != "sharpness"}
    assert "unsharp" not in names(diagnose_alternatives(points, {}, bounds, centers=centers))


def test_data_of_few_values_are_not_called_copies():
    assert not diagnose_samples(REAL | {"copies": 0.9}, REAL | {"copies": 0.8})
    assert "of column 3, counted from 0" in str(
        diagnose_samples(REAL | {"column_distance": 1.0}, REAL | {"column_distance": 0.0}, column=3)[0]
    )


def test_a_variance_at_which_real_points_are_one_blur_is_named_alone():
    found = diagnose_samples(REAL | {"precision": 0.1, "effective_rank": 1.0}, REAL | {"effective_rank": 1.1})
    assert names(found) == ["blurred"]
    assert "real points have an effective rank of 1.1 at it" in str(found[0])


@pytest.mark.parametrize(
    ("remedies", "text"),
    [
        ([], ""),
        ([Remedy("lower", "variance_end")], ": lower `variance_end`"),
        (
            [Remedy("train longer", "steps", 4000), Remedy("raise", "centers")],
            ": train longer: `steps` 4000 or raise `centers`",
        ),
        (
            [Remedy("train on more data"), Remedy("lower", "steps"), Remedy("raise", "variance_end")],
            ": train on more data, lower `steps`, or raise `variance_end`",
        ),
    ],
)
def test_remedies_name_settings_in_backticks(remedies, text):
    found = Diagnosis("unsharp", "sharpness 0.4 against 1", tuple(remedies))
    assert str(found) == f"alternatives are blurred (sharpness 0.4 against 1){text}"
    assert found.finding == "alternatives are blurred (sharpness 0.4 against 1)"


def test_training_longer_is_twice_the_steps_where_they_are_known():
    unfinished = {"tightness": 0.5}
    for steps, text in ((2000, "train longer: `steps` 4000"), (None, "raise `steps`")):
        (found,) = diagnose_samples(REAL | unfinished, REAL, steps=steps)
        assert [str(remedy) for remedy in found.remedies] == [text]


def test_no_remedy_is_a_flag_or_names_an_objective_of_its_own():
    bad = {"precision": 0.1, "memorization": 1.0, "tightness": 0.1, "column_distance": 1.0}
    found = [
        *diagnose_training({"spread": 0.0, "alone": 1.0, "window": 1.0}, at_end=True),
        *diagnose_samples(REAL | bad, REAL | {"column_distance": 0.0}),
        *diagnose_samples(REAL | {"recall": 0.1}, REAL),
        *diagnose_samples(REAL | {"copies": 1.0}, REAL),
        *diagnose_samples(REAL, REAL, missed="6.9% of the data"),
        *diagnose_samples(REAL | {"column_distance": 1.0}, REAL | {"column_distance": 0.0}, column=1),
        *diagnose_samples(REAL, REAL | {"effective_rank": 1.0}),
        *diagnose_alternatives(
            {"mean_preferred": 0.0, "sharpness": 0.1}, {"sharpness": 1.0}, {"neighbors": 9.0, "effective_centers": 1.0},
            centers=8,
        ),
        *diagnose_alternatives(
            {"mean_preferred": 1.0, "sharpness": 0.1}, {}, {"neighbors": 1, "effective_centers": 1}, centers=1
        ),
        *diagnose_predictions({"coverage_90": 0.5}, steps=100, members=1),
        *diagnose_classes({"accuracy": 0.5}, {"accuracy": 1.0}),
        *diagnose_predictions({"coverage_90": 1.0}, steps=100, members=1),
    ]  # fmt: skip
    assert {one.name for one in found} == set(SIGNATURES) - {"unfinished"}
    assert all(one.remedies for one in found)
    text = " ".join(map(str, found))
    assert "--" not in text
    assert "nuclear_norm" not in text
    assert "inner_product" not in text


def test_a_comparison_of_samples_has_no_fit_to_change():
    for changes, real in (({"recall": 0.1}, {}), ({"memorization": 1.0}, {}), ({"precision": 0.1}, {})):
        (found,) = diagnose_samples(REAL | changes, REAL | real, fit=False)
        assert found.remedies == ()
    (found,) = diagnose_samples(REAL, REAL | {"effective_rank": 1.0}, fit=False)
    assert [str(remedy) for remedy in found.remedies] == ["lower `variance`"]
