"""Tables of kinds that people have and earlier versions failed on: what must hold of samples.

The slow tests are of default fits, the first of each kind also of a short one.
"""

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy.estimators import TableGenerator

ROWS = 800
SHORT = {"steps": 240, "width": 32, "batch_size": 256, "depth": 1, "learning_rate": 4e-3, "dropout": 0.1}


def cases(names, first, *others):
    """The parameters of a test: a short fit of the first, and default fits of all."""
    slow = [pytest.param(*(case if "," in names else (case,)), {}, marks=pytest.mark.slow) for case in (first, *others)]
    return pytest.mark.parametrize(f"{names},how", [(*(first if "," in names else (first,)), SHORT), *slow])


def fit(frame, how):
    return TableGenerator(random_state=0, accelerator="cpu", **how).fit(frame)


def sampled(frame, how, count=4000):
    model = fit(frame, how)
    samples = model.sample(count)
    pd.testing.assert_series_equal(samples.dtypes, frame.dtypes)
    return samples, " ".join(model.notes_)


def share(values):
    return np.mean(np.asarray(values))


@cases("mark,part,center", (-200.0, 0.069, 20), (9999.0, 0.03, 500), (-1e3, 0.15, 3))
def test_a_mark_for_a_missing_value_keeps_its_share_and_is_named(mark, part, center, how):
    rng = np.random.default_rng(0)
    co = rng.normal(center, center / 4, ROWS)
    nox = 2 * co + rng.normal(size=ROWS)
    co[rng.random(ROWS) < part] = mark
    frame = pd.DataFrame({"co": co, "nox": nox})
    samples, notes = sampled(frame, how)
    assert share(samples["co"] == mark) == pytest.approx(share(co == mark), abs=0.02)
    assert f"of the values are {mark:g}, apart from all others, and look like a mark" in notes
    true, found = (part.corr().iloc[0, 1] for part in (frame, samples))
    assert found == pytest.approx(true, abs=0.15)
    good, real = (part[part["co"] != mark].corr().iloc[0, 1] for part in (samples, frame))
    assert good == pytest.approx(real, abs=0.07)
    assert samples["co"].std() == pytest.approx(frame["co"].std(), rel=0.15)


@cases("part,place", (0.0113, 8), (0.02, 20), (0.0113, -5))
def test_a_rare_mode_is_not_missed(part, place, how):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2000, 2))
    rare = rng.random(2000) < part
    rows[rare] = place + 0.3 * rng.normal(size=(rare.sum(), 2))
    samples, _ = sampled(pd.DataFrame(rows, columns=["x", "y"]), how, 10_000)
    near = (np.abs(samples - place) < 1.5).all(axis=1)
    assert rare.mean() / 2 < near.mean() < 2 * rare.mean()
    apart = (np.abs(samples - place) < 1.5).any(axis=1) & ~near & (np.abs(samples).max(axis=1) > 4.5)
    assert apart.mean() < rare.mean()


@cases("zeros", 0.698, 0.2, 0.95)
def test_amounts_that_are_often_zero_stay_so_and_are_cents(zeros, how):
    rng = np.random.default_rng(2)
    amount = np.round(rng.lognormal(3, 1, ROWS), 2) * (rng.random(ROWS) >= zeros)
    frame = pd.DataFrame({"amount": amount, "visits": rng.poisson(2, ROWS)})
    samples, _ = sampled(frame, how)
    assert share(samples["amount"] == 0) == pytest.approx(share(amount == 0), abs=0.03)
    assert samples["amount"].min() == 0
    assert (samples["amount"].round(2) == samples["amount"]).all()
    some, real = (np.log(part[part > 0]) for part in (samples["amount"], amount))
    assert some.mean() == pytest.approx(real.mean(), abs=0.2)


@cases("low,high", (0, 100), (-1.0, 1.0), (0.0, 0.001))
def test_values_at_the_ends_of_a_range_stay_there_and_none_lies_beyond(low, high, how):
    rng = np.random.default_rng(3)
    where = rng.random(ROWS)
    percent = rng.uniform(low, high, ROWS)
    percent[where < 0.2], percent[where > 0.8] = low, high
    frame = pd.DataFrame({"percent": percent, "score": np.minimum(rng.normal(4, 1, ROWS), 5)})
    samples, _ = sampled(frame, how)
    for name in frame:
        assert samples[name].between(frame[name].min(), frame[name].max()).all()
    for end in (low, high):
        assert share(samples["percent"] == end) == pytest.approx(share(percent == end), abs=0.03)
    assert share(samples["score"] == 5) == pytest.approx(share(frame["score"] == 5), abs=0.03)


def dates(rng, form=None):
    days = pd.Series(pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 365, ROWS), unit="D"))
    return days.dt.strftime(form) if form else days


@cases("form", None, "%d.%m.%Y", "%m/%d/%Y")
def test_dates_and_text_are_written_back_as_what_they_were(form, how):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"day": dates(rng, form), "city": rng.choice(["Ulm", "Jena"], ROWS, p=[0.8, 0.2])})
    samples, _ = sampled(frame, how)
    days = pd.to_datetime(samples["day"], format=form)
    assert days.between("2023-01-01", "2023-12-31").all()
    assert days.dt.dayofyear.mean() == pytest.approx(183, abs=8)
    assert share(samples["city"] == "Ulm") == pytest.approx(0.8, abs=0.04)


@cases("levels", 3, 60, 400)
def test_categories_keep_their_levels_and_shares(levels, how):
    rng = np.random.default_rng(5)
    names = np.array([f"level {index}" for index in range(levels)])
    chosen = rng.zipf(1.5, ROWS) % levels
    frame = pd.DataFrame({"a": pd.Categorical(names[chosen]), "b": np.where(chosen % 2 == 0, "even", "odd")})
    samples, _ = sampled(frame, how)
    real, found = (part["a"].value_counts(normalize=True) for part in (frame, samples))
    assert (found - real).abs().sum() / 2 < 0.08
    follows = samples["a"].astype(str).str[6:].astype(int) % 2 == (samples["b"] == "odd")
    assert follows.mean() > 0.9


@cases("dtype,part", ("float64", 0.001), ("Int64", 0.2), ("boolean", 0.4))
def test_missing_values_are_learnt_with_their_share(dtype, part, how):
    rng = np.random.default_rng(6)
    values = pd.Series(rng.integers(0, 2, ROWS)).astype(dtype)
    gone = rng.random(ROWS) < part
    gone[7] = True
    frame = pd.DataFrame({"v": values.where(~gone), "w": rng.normal(size=ROWS) + 3 * gone})
    samples, _ = sampled(frame, how)
    assert share(samples["v"].isna()) == pytest.approx(share(gone), abs=0.03)
    assert samples["w"].notna().all()
    if part > 0.1:
        means = samples.groupby(samples["v"].isna())["w"].mean()
        assert means[True] - means[False] == pytest.approx(3, abs=0.5)


@cases(
    "name,keys",
    ("id", np.arange(1, ROWS + 1)),
    ("order", [f"2024-{row:06}" for row in range(ROWS)]),
    ("customer_id", np.random.default_rng(0).permutation(10**6)[:ROWS]),
)
def test_keys_are_said_and_new_ones_written(name, keys, how):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({name: keys, "x": rng.normal(size=ROWS)})
    samples, notes = sampled(frame, how)
    assert f"{name}: no value repeats, so it is taken for a key" in notes
    assert samples[name].is_unique
    assert not set(samples[name]) & set(frame[name])


@cases("value,deviation", (1e6, 1), (-1e9, 1), (50.0, 0.01))
def test_one_far_value_is_named_and_the_others_are_modelled(value, deviation, how):
    rng = np.random.default_rng(8)
    x = deviation * rng.normal(size=1500)
    x[17] = value
    frame = pd.DataFrame({"x": x, "y": rng.normal(size=1500) + x.clip(-3, 3)})
    samples, notes = sampled(frame, how)
    assert f"x: row 17, counted from 0, holds {value:g}, far from all others" in notes
    assert samples["x"].std() == pytest.approx(deviation, rel=0.1)


@cases("offset", 1_700_000_000_000, 2**53 + 1, -(10**15))
def test_whole_numbers_far_from_zero_are_modelled_as_those_near_it(offset, how):
    rng = np.random.default_rng(9)
    since = rng.integers(0, 10_000, ROWS)
    frame = pd.DataFrame({"t": offset + since, "v": rng.normal(size=ROWS) + since / 5000})
    model, twin = fit(frame, how), fit(frame.assign(t=since), how)
    samples, same = model.sample(3000), twin.sample(3000)
    assert samples["t"].dtype == np.int64
    apart = np.abs(samples["t"] - offset - same["t"])  # inside a cell values are drawn in float64, to 1/8 at 1e15
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.1
    assert np.isclose(samples["v"], same["v"]).mean() > 0.9
    assert same["t"].std() == pytest.approx(since.std(), rel=0.05)
    assert same.corr().iloc[0, 1] == pytest.approx(np.corrcoef(since, frame["v"])[0, 1], abs=0.12)
