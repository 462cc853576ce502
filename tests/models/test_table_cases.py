"""Tables of the kinds that people really have: what must hold of each."""

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy.estimators import TableGenerator


def fitted(table):
    model = TableGenerator(random_state=0).fit(table)
    return model, model.sample(3000)


@pytest.mark.parametrize(("mark", "share"), [(-200.0, 0.069), (9999.0, 0.03), (-999.0, 0.1)])
def test_a_mark_for_missing_values_keeps_its_share_and_is_named(mark, share):
    rng = np.random.default_rng(0)
    nox = rng.normal(40, 10, 1500).round()
    co = np.where(rng.random(1500) < share, mark, (0.5 * nox + rng.normal(0, 1, 1500)).round(1))
    table = pd.DataFrame({"co": co, "nox": nox})
    model, rows = fitted(table)
    assert (rows["co"] == mark).mean() == pytest.approx((co == mark).mean(), abs=0.02)
    assert rows.corr().iloc[0, 1] == pytest.approx(table.corr().iloc[0, 1], abs=0.08)
    assert any(f"are {mark:g}" in note and "mark for a missing value" in note for note in model.notes_)


@pytest.mark.parametrize(("place", "share"), [(8.0, 0.0113), (-6.0, 0.02), (20.0, 0.012)])
def test_a_part_of_one_in_a_hundred_is_reached(place, share):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1500, 2))
    rare = rng.permutation(1500) < round(share * 1500)
    points[rare] = place + 0.3 * points[rare]
    _, rows = fitted(pd.DataFrame(points.round(3), columns=["x", "y"]))
    there = (rows - place).abs().max(axis=1) < 2
    assert 2 / 3 * rare.mean() < there.mean() < 1.5 * rare.mean()


def test_zeros_limits_and_cents():
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(1500) < 0.7, 0.0, rng.lognormal(3, 1, 1500).round(2))
    percent = np.clip(rng.normal(50, 55, 1500).round(1), 0, 100)
    score = np.minimum(rng.normal(4, 1, 1500).round(2), 5)
    _, rows = fitted(pd.DataFrame({"amount": amount, "percent": percent, "score": score}))
    assert (rows["amount"] == 0).mean() == pytest.approx(0.7, abs=0.03)
    assert rows["amount"].min() == 0
    assert (rows["amount"].round(2) == rows["amount"]).all()
    for value in (0, 100):
        assert (rows["percent"] == value).mean() == pytest.approx((percent == value).mean(), abs=0.03)
    assert rows["percent"].between(0, 100).all()
    assert (rows["score"] == 5).mean() == pytest.approx((score == 5).mean(), abs=0.03)
    assert rows["score"].max() == 5


@pytest.mark.parametrize("offset", [0, 1_700_000_000_000, -(2**60)])
def test_an_offset_changes_nothing_but_the_numbers(offset):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"t": offset + rng.integers(0, 10_000, 1500), "v": rng.normal(size=1500).round(3)})
    _, rows = fitted(table)
    assert rows["t"].dtype == np.int64
    moved = rows["t"] - offset
    assert moved.between(0, 10_000).all()
    assert moved.std() == pytest.approx((table["t"] - offset).std(), rel=0.05)
    assert moved.mean() == pytest.approx((table["t"] - offset).mean(), rel=0.05)


@pytest.mark.parametrize("value", [1e6, -1e9, 300.0])
def test_one_value_far_from_all_others_is_named_and_left_out(value):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(1500, 2)), columns=["a", "b"])
    table.loc[17, "a"] = value
    model, rows = fitted(table)
    assert any("a: row 17, counted from 0, holds" in note for note in model.notes_)
    assert rows["a"].std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "key", [range(1, 1501), [f"C-{i:05d}" for i in range(1500)], [hex(i * 7919)[2:] for i in range(1500)]]
)
def test_keys_are_left_out_and_new(key):
    table = pd.DataFrame({"id": list(key), "temp": np.random.default_rng(0).normal(20, 5, 1500).round(1)})
    model, rows = fitted(table)
    assert model.schema_.kinds["id"] == "key"
    assert rows["id"].is_unique
    assert not set(rows["id"]) & set(table["id"])
    assert rows.dtypes.equals(table.dtypes)
