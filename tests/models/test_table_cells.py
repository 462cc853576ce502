"""Values of a table as cells, and back."""

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.models.table.cells import PARTS, CellTable, cells_of


def placed(table, weights=None):
    schema, _ = MixedTable.of(table)
    points = schema.numbers(table)
    columns = cells_of(schema, points)
    cells = CellTable(*zip(*[(one.count, one.ordered, one.missing) for one in columns], strict=True))
    cells.place(columns, points, weights)
    return cells, points


def drawn(cells, count, column=0):
    law = cells.log_shares[cells.starts[column] : cells.starts[column] + cells.counts[column]].exp()
    generator = torch.Generator().manual_seed(0)
    picked = torch.multinomial(law, count, replacement=True, generator=generator)
    return cells.values(column, picked, generator=generator)


def test_values_that_repeat_are_cells_of_their_own_and_come_back():
    cells, points = placed(pd.DataFrame({"x": [1.5, 2.5, 2.5, 9.0] * 20}))
    found, scores = cells.find(points)
    assert cells.counts == (3,)
    assert found[:4, 0].tolist() == [0, 1, 1, 2]
    values, again = cells.values(0, found[:, 0], generator=torch.Generator())
    assert torch.equal(values, points[:, 0])
    assert torch.equal(again, scores[:, 0])
    assert cells.log_shares.exp().tolist() == pytest.approx([0.25, 0.5, 0.25])
    # the middle of the ranks 0 to .25 and .25 to .75, as normal scores
    assert scores[:2, 0].tolist() == pytest.approx([-1.1503, 0.0], abs=1e-3)


def test_a_smooth_column_keeps_its_law_and_its_range():
    x = np.random.default_rng(0).lognormal(size=4000)
    cells, _ = placed(pd.DataFrame({"x": x}))
    values, scores = drawn(cells, 20_000)
    assert cells.counts == (200,)
    assert x.min() <= values.min() <= values.max() <= x.max()
    at = np.linspace(0.01, 0.99, 25)
    assert np.quantile(values.numpy(), at) == pytest.approx(np.quantile(x, at), rel=0.06)
    assert scores.std().item() == pytest.approx(1, abs=0.03)
    order = values.argsort()
    assert bool((scores[order].diff() >= -1e-5).all())


def test_an_atom_has_its_share_and_nothing_fills_the_gap_beside_it():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(3000) < 0.07, -200.0, rng.normal(20, 5, 3000))
    values, _ = drawn(placed(pd.DataFrame({"x": x}))[0], 20_000)
    assert (values == -200).double().mean().item() == pytest.approx((x == -200).mean(), abs=0.006)
    assert not ((values > -199) & (values < x[x > -200].min())).any()


def test_a_part_far_off_is_reached_without_a_bridge():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=1483), rng.normal(8, 0.3, 17)])
    values, _ = drawn(placed(pd.DataFrame({"x": x}))[0], 40_000)
    assert (values > 7).double().mean().item() == pytest.approx(17 / 1500, rel=0.15)
    assert not ((values > x[:1483].max()) & (values < x[1483:].min())).any()


def test_missing_values_have_the_last_cell():
    cells, points = placed(pd.DataFrame({"x": [1.0, np.nan, 3.0, 3.0] * 10, "c": ["a", None, "b", "b"] * 10}))
    found, scores = cells.find(points)
    assert found[1].tolist() == [cells.counts[0] - 1, cells.counts[1] - 1]
    assert scores[1].tolist() == [0, 0]
    values, _ = cells.values(0, found[:, 0], generator=torch.Generator())
    assert torch.equal(values.isnan(), points[:, 0].isnan())
    assert cells.log_shares.exp()[[2, 5]].tolist() == pytest.approx([0.25, 0.25])


def test_weights_change_the_shares():
    table = pd.DataFrame({"x": ["a", "b"] * 10})
    cells, _ = placed(table, torch.tensor([3.0, 1.0] * 10))
    assert cells.log_shares.exp().tolist() == pytest.approx([0.75, 0.25])


def test_a_value_between_two_cells_belongs_to_the_nearer():
    cells, _ = placed(pd.DataFrame({"x": [0.0, 10.0] * 20}))
    found, _ = cells.find(torch.tensor([[2.0], [7.0], [-5.0], [50.0]], dtype=torch.float64))
    assert found[:, 0].tolist() == [0, 1, 0, 1]
    assert cells.knots.shape == (2, PARTS + 1)
