import uuid

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.estimators import TableGenerator
from contrastive_entropy.models.table.cells import CellTable, cells_of
from contrastive_entropy.models.table.imputing import best_guess, imputations
from contrastive_entropy.models.table.network import ColumnNetwork
from contrastive_entropy.models.table.sampling import draw
from contrastive_entropy.models.table.step import log_likelihood

TINY = {"steps": 40, "width": 16, "depth": 1, "batch_size": 64, "random_state": 0, "accelerator": "cpu"}


def fit(frame, **changed):
    return TableGenerator(**TINY | changed).fit(frame)


def every_kind(count=400, seed=0):
    """A table with a column of every kind, and missing values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "id": np.arange(count) + 100,
        "code": [f"C{row:05}" for row in range(count)],
        "uuid": [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(count)],
        "unit": ["kg"] * count,
        "age": rng.integers(18, 90, count).astype(np.int16),
        "paid": np.round(rng.lognormal(3, 1, count), 2),
        "normal": rng.normal(size=count),
        "city": rng.choice(["Ulm", "Jena", "Kiel"], count, p=[0.6, 0.3, 0.1]),
        "grade": pd.Categorical(rng.choice(["low", "high"], count), categories=["low", "mid", "high"], ordered=True),
        "member": pd.array(rng.random(count) < 0.5, dtype="boolean"),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, count), unit="D"),
        "text": (pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, count), unit="D")).strftime("%d.%m.%Y"),
        "score": pd.array(rng.integers(0, 5, count), dtype="Int8"),
    })  # fmt: skip
    for name in ("paid", "city", "grade", "member", "day", "text", "score"):
        frame[name] = frame[name].where(rng.random(count) > 0.1)
    return frame


@pytest.fixture(scope="module")
def fitted():
    return fit(every_kind())


def random_network(frame, seed=0):
    """A network whose last layers say something, which fresh ones do not."""
    from contrastive_entropy.data.mixed import MixedTable

    schema, _ = MixedTable.of(frame)
    points = schema.numbers(frame)
    cells = cells_of(schema, points)
    table = CellTable([c.count for c in cells], [c.ordered for c in cells], [c.missing for c in cells])
    torch.manual_seed(seed)
    network = ColumnNetwork(table, schema, width=16, depth=2)
    table.place(cells, points[:, network.learnt])
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval(), points


def some(network, points, share=0.5):
    cells, scores = network.cells.find(points[:, network.learnt])
    known = torch.rand(cells.shape, generator=torch.Generator().manual_seed(0)) < share
    known[:3] = False
    return cells, scores, known


def test_the_law_of_one_column_is_that_of_all():
    network, points = random_network(every_kind(60))
    cells, scores, known = some(network, points)
    laws = network.laws(network(cells, scores, known))
    assert len(laws) == network.columns
    for index, law in enumerate(laws):
        assert law.shape == (60, network.cells.counts[index])
        torch.testing.assert_close(network.law(index, cells, scores, known), law)


def test_what_stands_at_unknown_columns_plays_no_part():
    network, points = random_network(every_kind(60))
    cells, scores, known = some(network, points)
    generator = torch.Generator().manual_seed(1)
    other = torch.stack([torch.randint(count, (60,), generator=generator) for count in network.cells.counts], 1)
    changed = (
        torch.where(known, cells, other),
        torch.where(known, scores, torch.randn(scores.shape, generator=generator)),
    )
    torch.testing.assert_close(network(*changed, known), network(cells, scores, known), rtol=0, atol=0)
    assert not torch.allclose(network(other, scores, known), network(cells, scores, known))


def test_where_nothing_is_known_the_law_is_that_of_the_shares_exactly():
    network, points = random_network(every_kind(60))
    cells, scores, _ = some(network, points)
    nothing = torch.zeros(cells.shape, dtype=torch.bool)
    assert torch.equal(network(cells, scores, nothing), network.cells.log_shares.expand(60, -1))
    for index, (start, count) in enumerate(zip(network.cells.starts, network.cells.counts, strict=True)):
        shares = network.cells.log_shares[start : start + count]
        assert torch.equal(network.law(index, cells, scores, nothing), shares.expand(60, -1))
        torch.testing.assert_close(shares.exp().sum(), torch.tensor(1.0))


def joint(count=2000, seed=0):
    """Two categories and a number that depend on each other."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Ulm", "Jena", "Kiel"], count, p=[0.5, 0.3, 0.2])
    like = {"Ulm": [0.8, 0.2], "Jena": [0.1, 0.9], "Kiel": [0.5, 0.5]}
    fruit = np.array([rng.choice(["fig", "pear"], p=like[one]) for one in city])
    weight = np.where(fruit == "fig", 2.0, -2.0) + rng.normal(size=count)
    return pd.DataFrame({"city": city, "fruit": fruit, "weight": weight})


@pytest.fixture(scope="module")
def of_joint():
    return fit(joint(), steps=300, width=32, batch_size=256)


def test_draws_follow_a_known_law_and_what_is_given(of_joint):
    samples = of_joint.sample(8000)
    wanted = {("Ulm", "fig"): 0.4, ("Ulm", "pear"): 0.1, ("Jena", "fig"): 0.03, ("Jena", "pear"): 0.27,
              ("Kiel", "fig"): 0.1, ("Kiel", "pear"): 0.1}  # fmt: skip
    found = samples.value_counts(["city", "fruit"], normalize=True)
    assert all(abs(found.get(pair, 0) - share) < 0.03 for pair, share in wanted.items()), found
    means = samples.groupby("fruit")["weight"].mean()
    assert means["fig"] == pytest.approx(2, abs=0.25)
    assert means["pear"] == pytest.approx(-2, abs=0.25)
    assert samples.groupby("fruit")["weight"].std().max() < 1.3
    given = of_joint.sample(6000, given={"fruit": "pear"})
    assert (given["fruit"] == "pear").all()
    shares = given["city"].value_counts(normalize=True)
    for city, share in {"Ulm": 0.1 / 0.47, "Jena": 0.27 / 0.47, "Kiel": 0.1 / 0.47}.items():
        assert shares[city] == pytest.approx(share, abs=0.05)
    by_weight = of_joint.sample(4000, given={"weight": 3.0})
    assert (by_weight["weight"] == 3.0).all()
    assert (by_weight["fruit"] == "fig").mean() > 0.95


def test_what_is_given_is_kept_exactly_and_may_be_missing(fitted):
    schema = fitted.schema_
    rows = schema.numbers(every_kind()).clone()
    hidden = torch.rand(rows.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    given = torch.where(hidden, NOT_GIVEN, rows)
    found = draw(fitted.network_, given, generator=torch.Generator().manual_seed(0))
    learnt = torch.tensor([column.learnt for column in schema.mixed])
    kept = ~hidden & learnt
    assert torch.equal(found[kept].nan_to_num(-1.5), rows[kept].nan_to_num(-1.5))
    assert (found != NOT_GIVEN).all()
    samples = fitted.sample(100, given={"city": None, "day": pd.NaT, "paid": 1e9})
    assert samples["city"].isna().all()
    assert samples["day"].isna().all()
    assert (samples["paid"] == 1e9).all()


def test_no_value_is_invalid_in_many_rows_of_a_table_of_every_kind(fitted):
    frame, count = every_kind(), 20_000
    samples = fitted.sample(count)
    pd.testing.assert_series_equal(samples.dtypes, frame.dtypes)
    for name in ("id", "code", "uuid"):
        assert samples[name].is_unique
        assert not set(samples[name]) & set(frame[name])
    assert (samples["unit"] == "kg").all()
    for name in ("age", "paid", "normal", "day", "score"):
        assert samples[name].min() >= frame[name].min()
        assert samples[name].max() <= frame[name].max()
    assert (samples["paid"].dropna().round(2) == samples["paid"].dropna()).all()
    for name in ("city", "grade", "member", "score"):
        assert set(samples[name].dropna()) <= set(frame[name].dropna())
        shares = frame[name].value_counts(normalize=True)
        assert (samples[name].value_counts(normalize=True)[shares.index] - shares).abs().max() < 0.06
    dates = pd.to_datetime(samples["text"].dropna(), format="%d.%m.%Y")
    assert dates.min() >= pd.Timestamp("2024-01-01")
    gaps = frame.isna().mean()
    assert (samples.isna().mean() - gaps).abs().max() < 0.05
    assert (samples.isna().mean()[gaps == 0] == 0).all()
    fitted.schema_.numbers(samples)


def test_the_likelihoods_of_all_rows_of_a_finite_table_sum_to_one():
    frame = joint(200)[["city", "fruit"]].assign(city=lambda f: f["city"].where(np.arange(200) % 9 > 0))
    network, _ = random_network(frame)
    nan = float("nan")
    rows = torch.tensor([[city, fruit] for city in (0, 1, 2, nan) for fruit in (0, 1)], dtype=torch.float64)
    found = log_likelihood(network, rows)
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-6)
    drawn = draw(network, torch.full((40_000, 2), NOT_GIVEN, dtype=torch.float64),
                 generator=torch.Generator().manual_seed(0))  # fmt: skip
    for row, value in zip(rows, found, strict=True):
        same = (drawn.nan_to_num(9) == row.nan_to_num(9)).all(1)
        assert float(same.double().mean()) == pytest.approx(float(value.exp()), abs=0.01)


def gapped(frame, share=0.3, seed=1):
    rng = np.random.default_rng(seed)
    return frame.where(rng.random(frame.shape) > share)


def test_only_gaps_change_and_several_imputations_differ(fitted):
    frame = every_kind(100, seed=3)
    best = best_guess(fitted.network_, frame)
    tables = imputations(fitted.network_, frame, 3, seed=0)
    for table in (best, *tables):
        pd.testing.assert_series_equal(table.dtypes, frame.dtypes)
        assert not table.isna().any().any()
        pd.testing.assert_frame_equal(table.where(frame.notna()), frame)
    assert not tables[0].equals(tables[1])
    pd.testing.assert_frame_equal(imputations(fitted.network_, frame, 3, seed=0)[2], tables[2])
    assert not imputations(fitted.network_, frame, 1, seed=1)[0].equals(tables[0])


def test_gaps_of_what_is_not_learnt_stay(fitted):
    frame = every_kind(50, seed=5)
    frame.loc[[1, 4], ["unit", "code"]] = None
    best = best_guess(fitted.network_, frame)
    pd.testing.assert_frame_equal(best[["unit", "code"]], frame[["unit", "code"]])
    with pytest.raises(InputError, match="no value is missing"):
        best_guess(fitted.network_, best)


def test_columns_in_another_order_and_more_of_them_are_taken(fitted):
    frame = every_kind(50, seed=4)
    other = frame[frame.columns[::-1]].assign(more=None).set_axis(range(7, 57))
    best = best_guess(fitted.network_, other)
    assert best.columns.tolist() == other.columns.tolist()
    assert best["more"].isna().all()
    want = best_guess(fitted.network_, frame)
    pd.testing.assert_frame_equal(best[frame.columns].reset_index(drop=True), want)


def test_what_follows_from_other_columns_is_imputed_right():
    rng = np.random.default_rng(0)
    city = rng.choice(["Ulm", "Jena", "Kiel"], 1200)
    frame = pd.DataFrame({
        "city": city,
        "zip": np.select([city == "Ulm", city == "Jena"], [89_073, 7743], 24_103),
        "x": rng.normal(size=1200),
    })  # fmt: skip
    frame["twice"] = 2 * frame["x"] + 1
    model = fit(frame, steps=400, width=32, batch_size=256)
    test = frame.tail(300).reset_index(drop=True)
    holes = test.assign(
        zip=test["zip"].where(test.index % 3 != 0), city=test["city"].where(test.index % 3 != 1),
        twice=test["twice"].where(test.index % 3 != 2),
    )  # fmt: skip
    completed = model.impute(holes)
    assert (completed["city"] == test["city"]).mean() > 0.98
    assert (completed["zip"] == test["zip"]).mean() > 0.97
    assert np.abs(completed["twice"] - test["twice"]).mean() < 0.15


def test_intervals_of_imputations_hold_their_share():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000)
    frame = pd.DataFrame({"x": x, "y": x + rng.normal(size=5000)})
    model = fit(frame.head(4000), steps=500, width=32, batch_size=256)
    test = frame.tail(1000).reset_index(drop=True)
    drawn = np.stack([table["y"] for table in model.impute(test.assign(y=np.nan), 100)])
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    assert ((low <= test["y"]) & (test["y"] <= high)).mean() == pytest.approx(0.9, abs=0.05)
    assert np.abs(drawn.mean(0) - test["x"]).mean() < 0.35
    best = model.impute(test.assign(y=np.nan))["y"]
    assert np.abs(best - test["x"]).mean() < 0.35


def test_weights_change_the_shares():
    frame = pd.DataFrame({"city": ["Ulm"] * 150 + ["Jena"] * 50, "x": np.random.default_rng(0).normal(size=200)})
    weights = np.where(frame["city"] == "Ulm", 1.0, 9.0)
    found = fit(frame).fit(frame, sample_weight=weights).sample(5000)["city"].value_counts(normalize=True)
    assert found["Jena"] == pytest.approx(0.75, abs=0.03)


def test_both_objectives_learn_the_law():
    samples = fit(joint(), steps=300, width=32, batch_size=256, objective="pointwise_hoelder:gamma=0.5").sample(8000)
    found = samples.value_counts(["city", "fruit"], normalize=True)
    assert found["Ulm", "fig"] == pytest.approx(0.4, abs=0.04)
    assert found["Jena", "pear"] == pytest.approx(0.27, abs=0.04)


def test_a_network_without_width_or_depth_is_refused():
    network, _ = random_network(joint(50))
    for width, depth in ((0, 1), (4, 0)):
        with pytest.raises(ValueError, match=f"width and depth must be at least 1, got {width} and {depth}"):
            ColumnNetwork(network.cells, network.schema, width=width, depth=depth)
