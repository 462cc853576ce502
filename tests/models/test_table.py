"""The model of a table: laws of any columns given any others, rows, and gaps filled."""

import numpy as np
import pandas as pd
import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.models.table.imputing import best_guess, imputations
from contrastive_entropy.models.table.step import log_likelihood

RNG = np.random.default_rng(0)


def people(count, seed=0):
    """Age, an income that follows from it, a city, membership that goes with the city, gaps of one city."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Bonn", "Jena", "Ulm"], count, p=[0.2, 0.3, 0.5])
    age = rng.integers(18, 80, count).astype(float)
    return pd.DataFrame(
        {
            "id": np.arange(count),
            "age": np.where((city == "Jena") & (rng.random(count) < 0.5), np.nan, age),
            "income": np.round(1000 * age + 500 * rng.normal(size=count), 2),
            "balance": np.where(rng.random(count) < 0.4, 0.0, np.round(rng.lognormal(3, 1, count), 2)),
            "city": city,
            "member": np.where(rng.random(count) < np.where(city == "Ulm", 0.9, 0.1), "yes", "no"),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, count), "D"),
            "country": "DE",
        }
    )


@pytest.fixture(scope="module")
def model():
    return ce.TableGenerator(random_state=0, steps=400).fit(people(1500))


@pytest.fixture(scope="module")
def rows(model):
    return model.sample(6000)


def test_rows_hold_nothing_that_the_data_do_not(rows):
    data = people(1500)
    assert rows.dtypes.equals(data.dtypes)
    assert rows["id"].is_unique
    assert rows["id"].min() > data["id"].max()
    assert set(rows["city"]) == set(data["city"])
    assert set(rows["country"]) == {"DE"}
    for name in ("age", "income", "balance", "joined"):
        assert data[name].min() <= rows[name].min()
        assert rows[name].max() <= data[name].max()
    assert (rows["income"].round(2) == rows["income"]).all()
    assert (rows["age"].dropna() % 1 == 0).all()


def test_shares_gaps_and_dependences_are_those_of_the_data(rows):
    data = people(1500)
    assert rows["city"].value_counts(normalize=True).to_dict() == pytest.approx(
        data["city"].value_counts(normalize=True).to_dict(), abs=0.03
    )
    assert (rows["balance"] == 0).mean() == pytest.approx((data["balance"] == 0).mean(), abs=0.03)
    for city in ("Ulm", "Jena"):
        ours, theirs = (table[table["city"] == city] for table in (rows, data))
        assert ours["age"].isna().mean() == pytest.approx(theirs["age"].isna().mean(), abs=0.06)
        assert (ours["member"] == "yes").mean() == pytest.approx((theirs["member"] == "yes").mean(), abs=0.06)
    both = rows[["age", "income"]].dropna()
    assert np.corrcoef(both.T)[0, 1] > 0.97


def test_one_column_s_law_is_that_of_all(model):
    network, points = model.network_, model.schema_.numbers(people(40, seed=5))
    cells, scores = network.cells.find(points[:, network.learnt])
    known = torch.rand(cells.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    known[0] = False
    laws = network.laws(network(cells, scores, known))
    for index, law in enumerate(laws):
        assert torch.allclose(network.law(index, cells, scores, known), law, atol=1e-4)


def test_unknown_columns_play_no_part_and_with_none_known_the_law_is_the_shares(model):
    network, points = model.network_, model.schema_.numbers(people(2, seed=5))
    cells, scores = network.cells.find(points[:, network.learnt])
    known = torch.zeros_like(cells, dtype=torch.bool)
    known[:, 0] = True
    others = torch.where(known, cells, 0)
    assert torch.equal(network(cells, scores, known), network(others, torch.where(known, scores, 9.0), known))
    nothing = network(cells, scores, torch.zeros_like(known))
    assert torch.equal(nothing[0], network.cells.log_shares)


def test_probabilities_of_all_rows_of_a_small_table_sum_to_1():
    table = pd.DataFrame({"a": ["x", "y", "y", "x"] * 25, "b": ["u", "u", "v", "w"] * 25})
    fitted = ce.TableGenerator(random_state=0, steps=200).fit(table)
    every = pd.DataFrame([(a, b) for a in "xy" for b in "uvw"], columns=["a", "b"])
    shares = log_likelihood(fitted.network_, fitted.schema_.numbers(every)).exp()
    assert shares.sum().item() == pytest.approx(1, abs=1e-5)
    seen = {("x", "u"): 0.25, ("y", "u"): 0.25, ("y", "v"): 0.25, ("x", "w"): 0.25}
    expected = [seen.get(pair, 0.0) for pair in every.itertuples(index=False, name=None)]
    assert shares.tolist() == pytest.approx(expected, abs=0.04)
    assert fitted.score(every) == pytest.approx(shares.log().mean().item())


def test_given_values_stay_and_the_others_follow(model):
    rows = model.sample(500, given={"city": "Jena", "age": None})
    assert set(rows["city"]) == {"Jena"}
    assert rows["age"].isna().all()
    assert (rows["member"] == "yes").mean() < 0.25
    old = model.sample(300, given={"age": 70})
    assert old["income"].between(62_000, 78_000).mean() > 0.9
    with pytest.raises(InputError, match=r"`given`: city has no value 'Jenna'; did you mean 'Jena'"):
        model.sample(1, given={"city": "Jenna"})
    with pytest.raises(InputError, match="`given`: no column 'town'"):
        model.sample(1, given={"town": "Jena"})
    with pytest.raises(InputError, match="`given`: id is a column of kind key"):
        model.sample(1, given={"id": 3})


def test_only_gaps_are_filled_and_with_what_follows(model):
    whole = people(400, seed=7)
    whole["age"] = whole["age"].fillna(40)
    gaps = whole.copy()
    empty = RNG.random(400) < 0.5
    gaps.loc[empty, "age"] = np.nan
    gaps.loc[~empty, "member"] = None
    filled = model.impute(gaps)
    assert filled.dtypes.equals(gaps.dtypes)
    assert not filled.isna().any().any()
    pd.testing.assert_frame_equal(filled[gaps.notna()], gaps[gaps.notna()])
    follows = whole["age"] != 40
    assert (filled["age"] - whole["income"] / 1000)[empty & follows].abs().mean() < 3
    assert (filled["member"] == whole["member"])[~empty].mean() > 0.8
    first, second = model.impute(gaps, 2, random_state=0)
    assert not first.equals(second)
    pd.testing.assert_frame_equal(first[gaps.notna()], gaps[gaps.notna()])
    with pytest.raises(InputError, match="no value is missing, so there is nothing to impute"):
        model.impute(whole)


def test_draws_of_a_gap_cover_the_truth_as_often_as_they_say(model):
    whole = people(300, seed=8).dropna()
    gaps = whole.assign(income=np.nan)
    draws = np.stack([one["income"] for one in imputations(model.network_, gaps, 99, seed=0)])
    low, high = np.sort(draws, 0)[[4, 94]]
    covered = ((whole["income"] >= low) & (whole["income"] <= high)).mean()
    assert covered == pytest.approx(0.9, abs=0.08)
    middle = best_guess(model.network_, gaps)["income"]
    assert np.corrcoef(middle, draws.mean(0))[0, 1] > 0.99


def test_weights_say_how_often_a_row_counts():
    table = pd.DataFrame({"a": ["x", "y"] * 50, "b": [1, 2] * 50})
    weights = np.where(table["a"] == "x", 3.0, 1.0)
    rows = ce.TableGenerator(random_state=0, steps=60).fit(table, sample_weight=weights).sample(2000)
    assert (rows["a"] == "x").mean() == pytest.approx(0.75, abs=0.04)


def test_a_given_row_marks_what_is_to_be_drawn(model):
    row = model.schema_.row({"age": 30})
    assert row[0, 1] == 30
    assert (row[0, [0, 2, 3, 4]] == NOT_GIVEN).all()
