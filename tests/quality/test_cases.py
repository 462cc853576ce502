"""What people really have, each case drawn here; with CE_CASES, the folder that has them as files, these too."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy.quality import judge
from mixed_tables import (
    bounded,
    discrete,
    halves,
    mixed,
    oversampled,
    plain,
    random_table,
    rare_mode,
    rng,
    sentinel,
    zero_inflated,
)


def findings(samples, real, *, alone=False, **settings):
    """Name -> words of what is found, with training rows or without."""
    training, held_out = (None, real) if alone else halves(real)
    found = judge(samples, held_out, training=training, **{"thorough": False, **settings}).findings
    return {name: " | ".join(one.seen for one in found if one.name == name) for name in {one.name for one in found}}


def names(samples, real, **settings):
    return set(findings(samples, real, **settings))


LAWS = [sentinel, rare_mode, zero_inflated, bounded, discrete, oversampled, plain, mixed]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("alone", [False, True])
def test_other_rows_of_the_same_law_give_no_finding(law, alone):
    whole = law(2500, seed=11)  # of one draw, as repeated records are those of one table
    chosen = rng(5).permutation(2500)
    assert findings(whole.iloc[chosen[:1000]], whole.iloc[chosen[1000:]], alone=alone, thorough=True) == {}


@pytest.mark.parametrize("which", range(30))
def test_no_false_alarm_on_random_tables(which):
    sizes = rng([which, 7])
    real, samples = int(sizes.choice([100, 400, 1200])), int(sizes.choice([100, 400, 1200]))
    table = random_table(which, real + samples, seed=which + 100)
    given, drawn = table.iloc[:real], table.iloc[real:]
    assert findings(drawn, given, alone=which % 2 == 1, thorough=which % 6 == 0) == {}


@pytest.mark.parametrize("alone", [False, True])
def test_a_mark_that_is_lost_is_named(alone):
    found = findings(sentinel(3000, seed=4, mark=0.0), sentinel(), alone=alone)
    assert "co = -200" in found["missed part"]
    assert "co: -200 in" in found["lost value"]
    assert ".0% of the samples" in found["lost value"]


@pytest.mark.parametrize("alone", [False, True])
def test_a_rare_mode_that_is_lost_is_named(alone):
    samples = rare_mode(3000, seed=4, share=0.0)
    found = findings(samples, rare_mode(seed=2), alone=alone)
    assert set(found) == {"missed part"}
    judged = judge(samples, rare_mode(seed=2), thorough=False)
    assert judged.figures["missed"] == pytest.approx((rare_mode(seed=2)["x"] > 5).mean(), abs=0.004)
    assert judged.real["missed"] < 0.004
    assert (judged.missed_rows > 5).all().all()


def test_a_lost_corner_of_five_columns_and_a_lost_pair_of_levels_are_missed():
    real, samples = plain(3000, columns=5), plain(3000, seed=1, columns=5)
    real.iloc[:60] = 12 + 0.2 * rng(3).normal(size=(60, 5))
    assert "missed part" in names(samples, real)
    real, samples = mixed(3000), mixed(3000, seed=1)
    lost = (samples["colour"] == "gold") & samples["member"]
    assert "missed part" in names(samples[~lost], real)


def test_lost_zeros_and_negative_amounts():
    real = zero_inflated()
    samples = zero_inflated(seed=3)
    samples["amount"] = (samples["amount"] + rng(4).normal(0, 20, len(samples))).round(2)
    found = findings(samples, real)
    assert "amount: 0 in" in found["lost value"]
    assert "amount: " in found["out of range"]


def test_a_share_is_badly_off_beyond_a_factor_of_three():
    real, samples = zero_inflated(), zero_inflated(seed=3)
    for share, expected in ((0.3, False), (0.1, True)):
        few = samples[(samples["amount"] > 0) | (rng(1).random(len(samples)) < share / (1 - share) * 0.302 / 0.698)]
        assert (few["amount"] == 0).mean() == pytest.approx(share, abs=0.03)
        assert ("lost value" in names(few, real)) is expected
    assert "too frequent value" in names(real, few, alone=True)


def test_limits_are_kept_to():
    real = bounded()
    samples = bounded(seed=3)
    samples["percent"] = (samples["percent"] + rng(4).normal(0, 5, len(samples))).round(1)
    found = findings(samples, real)
    assert "with 1 others" in found["lost value"]
    assert "[0, 100]" in found["out of range"]
    clipped = samples.assign(percent=samples["percent"].clip(0, 100))
    assert "out of range" not in findings(clipped, real)


def test_blurred_integers_are_said():
    real = discrete()
    samples = real + rng(4).normal(0, 0.1, real.shape)
    found = findings(samples, real, thorough=True)
    assert "smoker: 0 in" in found["lost value"]
    assert {"told apart", "decimals"} <= set(found)
    assert all(f"{name}: all real values are whole numbers" in found["decimals"] for name in real)


def test_amounts_that_are_not_in_cents_are_said():
    real, samples = zero_inflated(), zero_inflated(seed=3)
    samples["amount"] *= 1.0001234
    assert findings(samples, real)["decimals"].startswith("amount: all real values have at most 2 decimals")
    assert "decimals" not in findings(samples.astype(np.float32), samples.round(5))


@pytest.mark.parametrize("row", [0, 777, 999])
def test_one_row_far_out_is_named_wherever_it_stands(row):
    samples = plain(1000, seed=3)
    samples.iloc[row] = 1e6
    found = findings(samples, plain())
    assert set(found) == {"out of range"}
    assert f"row {row}, counted from 0, has 1000000" in found["out of range"]


def test_values_beyond_heavy_tails_are_no_finding_and_far_dates_are():
    real = pd.DataFrame({"x": rng(0).lognormal(0, 2, 1000), "y": rng(1).normal(size=1000)})
    samples = pd.DataFrame({"x": rng(2).lognormal(0, 2, 1000), "y": rng(3).normal(size=1000)})
    samples.iloc[0, 0] = 3 * max(real["x"].max(), samples["x"].max())
    assert findings(samples, real) == {}
    samples = mixed(500, seed=1)
    samples.loc[3, "since"] = pd.Timestamp("2199-01-01")
    assert "row 3, counted from 0, has 2199-01-01" in findings(samples, mixed(500))["out of range"]


def test_repeated_records_are_said_and_are_no_alarm():
    whole = oversampled(2500)
    judged = judge(whole.iloc[:1000], whole.iloc[1000:1300], training=whole.iloc[1300:])
    assert judged.findings == []
    assert "repeat another one" in judged.notes[0]
    for real in (discrete(), sentinel(), mixed()):
        assert judge(real.iloc[:300], real.iloc[300:], thorough=False).notes == []


def test_levels_and_missing_values_that_are_lost_or_new():
    real, samples = mixed(1500), mixed(1500, seed=1)
    found = findings(samples[samples["colour"] != "gold"], real)
    assert "colour: 'gold' in" in found["lost level"]
    found = findings(samples.assign(colour=samples["colour"].replace("gold", "golden")), real)
    assert "'golden' in .0% of the real rows" in found["too frequent level"]
    found = findings(samples.dropna(subset="income"), real)
    assert found["missing values"].startswith("income: .0% of the samples, ")
    samples.loc[::4, "height"] = np.nan
    assert "height: 25.0% of the samples, .0% of the real rows" in findings(samples, real)["missing values"]


def test_the_worst_column_and_its_figure_are_named():
    real, samples = mixed(1000), mixed(1000, seed=1)
    samples["height"] += 8
    samples["member"] = rng(1).random(1000) < 0.7
    found = findings(samples, real)
    assert found["column"].startswith("height: score 0.")
    assert "one more column fails" in found["column"]


def test_dependence_that_is_lost_is_told_and_named():
    real = mixed(1500)
    shuffled = real.apply(lambda column: column.sample(frac=1, random_state=len(column.name)).to_numpy())
    found = findings(shuffled, real, thorough=True)
    assert {"pairs", "told apart"} <= set(found)
    assert "column" not in found
    r = rng(2)
    x = r.normal(size=2000)
    ring = pd.DataFrame({"x": x, "y": x**2 + 0.1 * r.normal(size=2000)})  # not correlated
    assert "pairs" in findings(ring.assign(y=r.permutation(ring["y"])), ring, alone=True)


@pytest.mark.parametrize("law", [plain, mixed, sentinel])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_exact_copies_are_found(law, share):
    real, samples = law(1500), law(1000, seed=3)
    training, held_out = halves(real)
    samples = samples.reset_index(drop=True)
    count = int(share * len(samples))
    samples.iloc[:count] = training.iloc[:count]
    found = {one.name for one in judge(samples, held_out, training=training, thorough=False).findings}
    if law is sentinel and share < 1:  # 40% of its honest rows equal a training row
        return
    assert "copies" in found


@pytest.mark.parametrize("columns", [2, 5, 8])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_copies_jittered_by_a_thousandth_of_a_deviation_are_found(columns, share):
    training, held_out = halves(plain(1500, columns=columns))
    samples = plain(1000, seed=3, columns=columns)
    count = int(share * len(samples))
    noise = 0.001 * training.std().to_numpy() * rng(4).normal(size=(count, columns))
    samples.iloc[:count] = training.iloc[:count] + noise
    judged = judge(samples, held_out, training=training, thorough=False)
    assert "near copies" in {one.name for one in judged.findings}
    assert judged.figures["near_copies"] >= share
    assert judged.real["near_copies"] < 0.02


def test_jittered_copies_of_mixed_rows_are_found_and_words_on_copying_need_training_rows():
    training, held_out = halves(mixed(1500))
    samples = training.copy()
    samples["height"] += 0.01 * rng(4).normal(size=len(samples))
    samples["income"] *= 1 + 0.001 * rng(5).normal(size=len(samples))
    found = {one.name for one in judge(samples, held_out, training=training, thorough=False).findings}
    assert {"near copies", "membership"} <= found
    alone = judge(samples, held_out, thorough=False)
    assert not {"copies", "near_copies", "membership", "nearer_to_training"} & set(alone.figures)
    assert not any("training" in one.seen or "cop" in one.name for one in alone.findings)


def test_noise_of_a_tenth_of_a_deviation_still_shows_what_was_trained_on():
    training, held_out = halves(plain(1500, columns=8))
    samples = training + 0.1 * training.std().to_numpy() * rng(4).normal(size=training.shape)
    judged = judge(samples, held_out, training=training, thorough=False)
    assert judged.figures["nearer_to_training"] > 0.6
    assert "membership" in {one.name for one in judged.findings}


def test_the_worst_comes_first():
    samples = discrete().assign(smoker=0.5)
    found = judge(samples, discrete(seed=1)).findings
    assert found[0].name in ("lost value", "told apart", "too frequent value")


CASES = Path(os.environ.get("CE_CASES", "/nowhere"))


@pytest.mark.skipif(not CASES.is_dir(), reason="CE_CASES names no folder")
@pytest.mark.parametrize(
    ("data", "samples", "expected"),
    [
        ("ev_data.csv", "ev_outlier_sample.csv", {"out of range"}),
        ("ev_disc_data.csv", "ev_disc_blurred.csv", {"lost value", "decimals", "told apart"}),
    ],
)
def test_the_files_of_the_cases(data, samples, expected):
    assert expected <= names(pd.read_csv(CASES / samples), pd.read_csv(CASES / data), thorough=True)


@pytest.mark.skipif(not CASES.is_dir(), reason="CE_CASES names no folder")
@pytest.mark.parametrize(
    "name", ["sentinel", "rare_mode", "zero_inflated", "bounded_mass", "oversampled_duplicates", "dates", "one_missing"]
)
def test_halves_of_the_cases_give_no_finding(name):
    table = pd.read_csv(CASES / f"{name}.csv").sample(frac=1, random_state=0)
    assert findings(table.iloc[: len(table) // 2], table.iloc[len(table) // 2 :]) == {}
