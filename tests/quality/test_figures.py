import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import pairwise_distances

from contrastive_entropy.quality import judge
from contrastive_entropy.quality.columns import chance_of_shape, shape_score, variation_of_chance
from contrastive_entropy.quality.detection import detection, forest_detection
from contrastive_entropy.quality.findings import surprise
from contrastive_entropy.quality.kinds import Coded, Column, code
from contrastive_entropy.quality.nearest import nearest, ranked, scaled
from contrastive_entropy.quality.pairs import correlation, own_bins, pair_scores
from contrastive_entropy.quality.privacy import copies, membership, near_copies, nearer_share
from contrastive_entropy.quality.utility import utility
from mixed_tables import halves, mixed, plain, rng

NUMBER, LEVELS = Column("x", "number"), Column("c", "category", ("a", "b", "c"))
NAN = np.nan


def coded(**columns):
    """One table of numbers and of categories, which are text."""
    return code({"held-out rows": pd.DataFrame(columns)}, None)[0]["held-out rows"]


def test_the_shape_of_a_number_is_one_minus_kolmogorov_and_smirnov():
    first, second = np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])
    assert shape_score(NUMBER, first, second) == pytest.approx(0.5)
    r = rng()
    first, second = r.normal(size=77), r.normal(0.3, 1, size=120)
    assert shape_score(NUMBER, first, second) == pytest.approx(1 - ks_2samp(first, second).statistic)


def test_a_wrong_share_of_missing_values_lowers_the_shape():
    first, second = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 4, NAN, NAN, NAN, NAN])
    assert shape_score(NUMBER, first, second) == pytest.approx(0.5)
    assert shape_score(NUMBER, second, second) == 1
    assert shape_score(NUMBER, first, np.full(3, NAN)) == 0
    assert shape_score(NUMBER, np.full(2, NAN), np.full(3, NAN)) == 1


def test_the_shape_of_a_category_is_one_minus_total_variation_with_missing_as_a_level():
    first, second = np.array([0.0, 0, 1, NAN]), np.array([0.0, 0, 0, 2])
    assert shape_score(LEVELS, first, second) == pytest.approx(0.5)
    assert shape_score(LEVELS, first, first[::-1]) == 1


def test_chance_explains_what_two_samples_of_one_law_differ_by():
    r = rng(3)
    far = [1 - shape_score(NUMBER, r.normal(size=200), r.normal(size=300)) for _ in range(200)]
    assert max(far) < chance_of_shape(NUMBER, np.zeros(200), np.zeros(300)) < 3 * np.mean(far)
    drawn = [r.integers(0, 3, (2, 400)).astype(float) for _ in range(200)]
    found = np.mean([1 - shape_score(LEVELS, *pair) for pair in drawn])
    assert np.mean([variation_of_chance(*pair.astype(int)) for pair in drawn]) == pytest.approx(found, rel=0.1)


def test_pairs_by_hand():
    real, samples = coded(x=[0.0, 1, 2], y=[0.0, 1, 2]), coded(x=[0.0, 1, 2], y=[2.0, 1, 0])
    assert pair_scores(real, samples).scores == pytest.approx([0])  # correlations 1 and -1
    real, samples = coded(c=["a", "a", "b", "b"], d=["u", "u", "v", "v"]), coded(c=list("aabb"), d=list("uvuv"))
    assert pair_scores(real, samples).scores == pytest.approx([0.5])
    assert pair_scores(real, samples).strong.tolist() == [True]
    assert pair_scores(samples, real).strong.tolist() == [False]
    real, samples = coded(x=[0.0, 0, 10, 10], c=list("aabb")), coded(x=[0.0, 10, 0, 10], c=list("aabb"))
    assert pair_scores(real, samples).scores == pytest.approx([0.5])
    constant = coded(x=[1.0, 1, 1], y=[0.0, 1, 2])
    assert np.isnan(pair_scores(constant, constant).scores).all()
    assert np.isnan(pair_scores(constant, constant).mean())


def test_correlations_take_the_rows_in_which_both_are_there():
    x = np.array([[0.0, 0, 1], [1, 1, NAN], [2, NAN, 3], [3, 2, 2]])
    found = correlation(x)
    assert found[0, 1] == pytest.approx(np.corrcoef([0, 1, 3], [0, 1, 2])[0, 1])
    assert found[0, 2] == pytest.approx(np.corrcoef([0, 2, 3], [1, 3, 2])[0, 1])
    full = rng().normal(size=(50, 4))
    assert correlation(full) == pytest.approx(np.corrcoef(full.T))


def test_bins_are_ten_of_equal_width_and_missing_is_one_of_its_own():
    assert own_bins(np.array([0.0, 0.5, 1, 9.5, 10, NAN])).tolist() == [1, 1, 2, 10, 11, 12]


@pytest.mark.parametrize("seed", [0, 1])
def test_shapes_and_pairs_are_those_of_sdmetrics(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("sdmetrics")
        from sdmetrics.reports.single_table import QualityReport

        real, samples = (mixed(400 + 100 * side, seed=seed + side).drop(columns="row_id") for side in (0, 1))
        real, samples = (table[~table.isna().any(axis=1)].reset_index(drop=True) for table in (real, samples))
        samples["height"] += 4
        kinds = dict.fromkeys(("height", "income", "visits"), "numerical") | {
            "colour": "categorical", "member": "boolean", "since": "datetime",
        }  # fmt: skip
        metadata = {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}
        shapes, pairs, strong = [], [], []
        for threshold in (False, True):
            report = QualityReport()
            if not threshold:
                report.real_correlation_threshold = report.real_association_threshold = 0
            report.generate(real, samples, metadata, verbose=False)
            found = report.get_properties().set_index("Property")["Score"]
            shapes.append(found["Column Shapes"])
            (strong if threshold else pairs).append(found["Column Pair Trends"])
            if not threshold:
                each = report.get_details("Column Pair Trends")
    judged = judge(samples, real, thorough=False)
    assert judged.figures["shapes"] == pytest.approx(shapes[0], abs=1e-6)
    assert judged.figures["pairs"] == pytest.approx(pairs[0], abs=1e-6)
    assert judged.pair_scores["score"].to_numpy() == pytest.approx(each["Score"].to_numpy(), abs=1e-6)
    if "Meets Threshold?" in each:  # later versions leave weak pairs out
        assert judged.figures["strong_pairs"] == pytest.approx(strong[0], abs=1e-6)


def test_distances_are_gowers_squared():
    first = coded(x=[0.0, 1, 2, NAN], c=["a", "b", None, "a"])
    second = coded(x=[0.0, 1, 2, NAN], c=["a", "b", None, "a"])
    moved = Coded(first.columns, np.array([[0.5, 0.0], [NAN, 0.0], [2.0, 1.0]]))
    assert nearest(moved, second) == pytest.approx(np.sqrt(np.array([0.25, 0, 1]) / 2))
    assert nearest(first, second) == pytest.approx(np.zeros(4))
    x = rng().normal(size=(60, 3))
    table = coded(x=x[:, 0], y=x[:, 1], z=x[:, 2])
    everyone = np.sort(pairwise_distances(x) / np.sqrt(3), axis=1)
    assert nearest(table, table, rank=2) == pytest.approx(everyone[:, 1])


def test_numbers_are_scaled_by_deviations_that_outliers_do_not_move():
    values = rng().normal(5, 3, 4000)
    table = coded(x=np.append(values, 1e9))
    assert scaled(table, table).values[:-1].std() == pytest.approx(1, abs=0.05)
    assert ranked(coded(x=[1.0, 2, 2, 3]), coded(x=[1.0, 2, 2, 3])).values[:, 0] / np.sqrt(12) == pytest.approx(
        [1 / 8, 1 / 2, 1 / 2, 7 / 8]
    )


def test_copies_by_hand():
    training = coded(x=[0.0, 1, 2, NAN, 50], y=[0.0, 1, 2, 3, 60])
    rows = Coded(training.columns, np.array([[0.0, 0], [1, 2], [NAN, 3], [2.001, 2]]))
    assert copies(rows, training) == 0.5
    assert near_copies(rows, training, training, rng=rng()) == 0.75


def test_nearer_to_training_and_membership_by_hand():
    line = np.arange(100.0) + 0.25
    everything, training, held_out = coded(x=line), coded(x=line[::2]), coded(x=line[1::2])
    assert nearer_share(training, training, held_out, everything, rng=rng()) == 1
    assert nearer_share(held_out, training, held_out, everything, rng=rng()) == 0
    assert nearer_share(coded(x=line[:-1] + 0.5), training, held_out, everything, rng=rng()) == pytest.approx(
        0.5, abs=0.02
    )
    assert membership(training, training, held_out, everything, rng=rng()) == 1
    assert membership(held_out, training, held_out, everything, rng=rng()) == 0
    assert membership(coded(x=[-1e6]), training, held_out, everything, rng=rng()) == pytest.approx(0.5, abs=0.02)


def test_classifiers_tell_what_can_be_told():
    same, other = (coded(x=rng(seed).normal(size=500)) for seed in (0, 1))
    shifted = coded(x=rng(2).normal(size=500) + 1)  # the best area under the curve is P(N(1, 2) > 0) = .760
    for tell in (detection, forest_detection):
        assert tell(same, other, rng=rng()) == pytest.approx(0.5, abs=0.06)
        assert 0.62 < tell(same, shifted, rng=rng()) < 0.8
        assert tell(same, coded(x=rng(3).normal(size=500).round(0)), rng=rng()) > 0.8
        assert np.isnan(tell(same, same.take(np.arange(14)), rng=rng()))


def test_a_forest_tells_small_differences_of_large_numbers():
    first = coded(t=1.7e18 + 1e10 * rng(0).integers(0, 50, 300))  # nanoseconds; single precision has steps of 1.4e11
    second = coded(t=1.7e18 + 1e10 * (rng(1).integers(0, 50, 300) + 0.4))
    assert forest_detection(first, second, rng=rng()) > 0.95


def test_utility_is_that_of_learning_from_the_samples():
    def table(seed, noise=0.0, swap=False):
        x = rng(seed).normal(size=800)
        return coded(x=x, y=(-2 if swap else 2) * x + noise * rng(seed + 1).normal(size=800), c=(x > 0).astype(float))

    real = table(0)
    assert utility(table(5), real, 1, rng=rng()) > 0.9
    assert utility(table(5, swap=True), real, 1, rng=rng()) < 0
    assert utility(table(5), real, 2, rng=rng()) == pytest.approx(1, abs=0.01)
    many = coded(x=rng(0).normal(size=300), c=np.array(list("abc"))[rng(1).integers(0, 3, 300)])
    assert utility(many, many, 1, rng=rng()) > 0.5  # accuracy where there are three levels
    assert np.isnan(utility(real.take(np.arange(10)), real, 1, rng=rng()))


def test_surprise_is_the_logarithm_of_chernoffs_bound():
    assert surprise(10, 50, 0, 50) == pytest.approx(10 * np.log(2))
    assert surprise(7, 70, 3, 30) == pytest.approx(0)
    assert surprise(0, 5, 0, 5) == 0


def test_all_figures_are_there_with_training_rows_and_none_of_copying_without():
    training, held_out = halves(mixed(600))
    samples = mixed(400, seed=5)
    common = {"shapes", "pairs", "strong_pairs", "detection", "forest_detection", "utility", "missed", "uniqueness"}
    copying = {"copies", "near_copies", "nearer_to_training", "membership"}
    with_training = judge(samples, held_out, training=training)
    assert set(with_training.figures) == set(with_training.real) == common | copying
    without = judge(samples, pd.concat([training, held_out]))
    assert set(without.figures) == set(without.real) == common
    assert list(with_training.columns) == ["name", "kind", "score", "real", "differs"]
    assert list(with_training.pair_scores) == ["a", "b", "score", "real"]
    assert len(with_training.columns) == 6
    assert len(with_training.pair_scores) == 15
    quick = judge(samples, held_out, training=training, thorough=False)
    assert set(quick.figures) == (common | copying) - {"forest_detection", "utility"}


def test_figures_do_not_depend_on_the_order_of_rows_and_columns_or_the_names_of_levels():
    real, samples = mixed(300), mixed(250, seed=4)
    first = judge(samples, real, thorough=False)
    mixed_up = samples.sample(frac=1, random_state=0)[list(reversed(samples.columns))]
    names = {"red": "1", "green": "zz", "blue": "A", "gold": "blue"}
    renamed = [table.assign(colour=table["colour"].map(names)) for table in (mixed_up, real.sample(frac=1))]
    second = judge(*renamed, thorough=False)
    for name in ("shapes", "pairs", "strong_pairs", "uniqueness"):
        assert second.figures[name] == pytest.approx(first.figures[name], abs=1e-12)
    assert second.columns["score"].tolist() == pytest.approx(first.columns["score"].tolist())
    assert second.figures["detection"] == pytest.approx(first.figures["detection"], abs=0.08)


def test_a_seed_repeats_the_judgement():
    training, held_out = halves(plain(200))
    found = [judge(plain(150, seed=3), held_out, training=training, seed=2) for _ in range(2)]
    assert found[0].figures == found[1].figures
    assert found[0].real == found[1].real
