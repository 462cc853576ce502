import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.models.table.cells import EMPTY, MOST_INTERVALS, PARTS, CellTable, cells_of


def placed(values, weights=None):
    """The cells of a column beside one of letters, what they are placed in, and the rows as numbers."""
    letters = [*"ab"] * (len(values) // 2) + ["b"] * (len(values) % 2)
    frame = pd.DataFrame({"v": values, "letter": letters})
    schema, _ = MixedTable.of(frame)
    points = schema.numbers(frame)
    cells = cells_of(schema, points)
    table = CellTable([c.count for c in cells], [c.ordered for c in cells], [c.missing for c in cells])
    table.place(cells, points, weights)
    return cells[0], table, points


def drawn(table, cells, seed=0):
    return table.values(0, cells, generator=torch.Generator().manual_seed(seed))


def mixture(seed=0, count=3000):
    """Normal values, many exactly 0 and 1 amidst them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count)
    values[rng.random(count) < 0.1] = 0
    values[rng.random(count) < 0.05] = 1
    return values


LAWS = {
    "normal": lambda rng: rng.normal(size=3000),
    "with atoms": lambda rng: mixture(1),
    "lognormal": lambda rng: rng.lognormal(0, 2, 3000),
    "counts": lambda rng: rng.poisson(3, 3000),
    "many counts": lambda rng: rng.poisson(900, 3000),
    "cents": lambda rng: np.round(rng.lognormal(3, 1, 3000), 2),
    "huge": lambda rng: rng.normal(size=3000) * 1e200,
    "beside a far offset": lambda rng: 1.7e12 + np.round(rng.uniform(0, 1e4, 3000)),
    "few": lambda rng: rng.normal(size=12),
    "one of two": lambda rng: np.where(rng.random(300) < 0.5, -3.5, 7.25),
}


@pytest.mark.parametrize("law", LAWS)
def test_cells_hold_all_values_and_do_not_overlap(law):
    values = LAWS[law](np.random.default_rng(0))
    column, table, points = placed(values)
    knots = column.knots
    assert knots.shape[1] == PARTS + 1
    assert (np.diff(knots, axis=1) >= 0).all()
    assert (knots[1:, 0] >= knots[:-1, -1]).all()
    assert (np.diff(knots[:, 0]) > 0).all()
    cells, scores = table.find(points)
    own = knots[cells[:, 0]]
    numbers = points[:, 0].numpy()
    assert ((own[:, 0] <= numbers) & (numbers <= own[:, -1])).all()
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(scores[order, 0].numpy()) >= 0).all()
    counts = torch.bincount(cells[:, 0], minlength=column.count)
    torch.testing.assert_close(table.log_shares[: column.count].exp(), (counts / len(values)).float())
    assert counts.min() > 0


@pytest.mark.parametrize("law", LAWS)
def test_find_and_values_are_inverse(law):
    column, table, points = placed(LAWS[law](np.random.default_rng(0)))
    single = torch.from_numpy(column.knots[:, 0] == column.knots[:, -1])
    cells = torch.arange(column.count).repeat_interleave(20)
    values, scores = drawn(table, cells)
    found, seen = table.find(torch.stack([values, torch.zeros_like(values)], 1))
    np.testing.assert_array_equal(found[:, 0], cells)
    torch.testing.assert_close(seen[:, 0], scores, atol=0.01, rtol=0)
    alone = single[cells]
    np.testing.assert_array_equal(values[alone], column.knots[cells[alone], 0])
    everywhere, _ = table.find(points)
    again, _ = drawn(table, everywhere[:, 0])
    exact = single[everywhere[:, 0]]
    assert torch.equal(again[exact], points[exact, 0])


@pytest.mark.parametrize("law", LAWS)
def test_values_drawn_by_share_have_the_quantiles_of_the_data_and_stay_within_them(law):
    values = LAWS[law](np.random.default_rng(0))
    column, table, points = placed(values)
    cells = torch.multinomial(table.log_shares[: column.count].exp(), 20_000, True, generator=torch.Generator())
    found = drawn(table, cells)[0].numpy()
    numbers = points[:, 0].numpy()
    assert numbers.min() <= found.min() <= found.max() <= numbers.max()
    if len(values) > 100:
        assert stats.ks_2samp(np.round(found, 9), np.round(numbers, 9)).statistic < 0.03


def test_a_value_that_many_rows_have_has_a_cell_of_its_own_amidst_the_others():
    values = mixture()
    column, table, points = placed(values)
    cells, _ = table.find(points)
    for atom in (0.0, 1.0):
        own = cells[values == atom, 0].unique()
        assert len(own) == 1
        assert (column.knots[own] == atom).all()
        assert not (cells[values != atom, 0] == own).any()
        share = table.log_shares[own].exp().item()
        assert share == pytest.approx((values == atom).mean(), rel=1e-5)


def test_numbers_that_repeat_have_a_cell_for_each_value():
    column, _, _ = placed(np.random.default_rng(0).poisson(4, 1000))
    assert (column.knots[:, 0] == column.knots[:, -1]).all()
    assert (column.knots[:, 0] == np.arange(len(column.knots))).all()


def test_there_are_no_more_intervals_than_rows_allow():
    assert placed(np.random.default_rng(0).normal(size=200))[0].count <= 15
    assert placed(np.random.default_rng(0).normal(size=30_000))[0].count <= MOST_INTERVALS + 20


@pytest.mark.parametrize("low", [200, 206, 213, 6])
def test_nothing_is_drawn_in_a_wide_gap(low):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(0, 1, low), rng.uniform(5, 6, 400 - low)])
    _, table, points = placed(rng.permutation(values))
    cells, _ = table.find(points)
    found = drawn(table, cells[:, 0].repeat(50))[0]
    between = (found > 1.001) & (found < 4.999)
    assert not between.any()
    assert ((found < 2).float().mean() - low / 400).abs() < 0.02


def test_normal_scores_are_those_of_the_ranks():
    values = np.random.default_rng(0).lognormal(0, 2, 5000)
    _, table, points = placed(values)
    _, scores = table.find(points)
    ranks = (stats.rankdata(values) - 0.5) / len(values)
    middle = (ranks > 0.01) & (ranks < 0.99)
    np.testing.assert_allclose(scores[middle, 0], stats.norm.ppf(ranks[middle]), atol=0.02)
    assert scores[:, 0].abs().max() < 4
    assert (scores[:, 1] == 0).all()  # letters have no order


def test_a_missing_value_has_the_last_cell():
    values = mixture()
    values[::4] = np.nan
    column, table, points = placed(values)
    assert column.missing
    assert column.count == len(column.knots) + 1
    cells, scores = table.find(points)
    assert (cells[::4, 0] == column.count - 1).all()
    assert (scores[::4, 0] == 0).all()
    assert table.log_shares[column.count - 1].exp().item() == pytest.approx(0.25)
    found, score = drawn(table, cells[:, 0])
    assert torch.equal(found.isnan(), points[:, 0].isnan())
    assert (score[::4] == 0).all()


def test_weights_count_rows_that_often():
    values = np.random.default_rng(0).integers(0, 7, 400)
    weights = torch.from_numpy((values % 3).astype(float))
    _, table, _ = placed(values, weights)
    wanted = np.bincount(values, weights) / weights.sum().item()
    shares = table.log_shares[: len(wanted)].exp().numpy()
    np.testing.assert_allclose(shares[wanted > 0], wanted[wanted > 0], rtol=1e-5)
    assert (table.log_shares[: len(wanted)][torch.from_numpy(wanted == 0)] == EMPTY).all()


def test_values_outside_have_the_nearest_cell():
    column, table, _ = placed(LAWS["normal"](np.random.default_rng(0)))
    cells, scores = table.find(torch.tensor([[-1e9, 0], [1e9, 0]], dtype=torch.float64))
    assert cells[:, 0].tolist() == [0, column.count - 1]
    assert scores[0, 0] < -3
    assert scores[1, 0] > 3


@given(st.lists(st.integers(-50, 50) | st.floats(-50, 50), min_size=10, max_size=300), st.integers(1, 60))
def test_any_numbers_have_cells(values, repeated):
    numbers = np.array([*values, *[values[0]] * repeated], dtype=np.float64)
    numbers = np.concatenate([numbers, [numbers.min() - 1]])
    column, table, points = placed(numbers)
    assert (np.diff(column.knots[:, 0]) > 0).all()
    cells, scores = table.find(points)
    assert scores.isfinite().all()
    again, _ = drawn(table, cells[:, 0])
    assert torch.equal(table.find(torch.stack([again, points[:, 1]], 1))[0][:, 0], cells[:, 0])
    assert points[:, 0].min() <= again.min() <= again.max() <= points[:, 0].max()
