import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.load import load
from contrastive_entropy.data.schema import Column, Images, Table, difference, image_shape_of, schema_from


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_standardized_columns_have_mean_0_and_deviation_1_and_know_their_units(tmp_path, suffix):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"time": 1.7e9 + 50 * rng.random(300), "price": 1e-3 * rng.random(300), "none": 0.1})
    path = tmp_path / f"table{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    dataset = load(path, standardize=True)
    assert not load(path).schema.standardized
    assert dataset.schema.names == ("time", "price", "none")
    assert dataset.schema.constant == (2,)
    torch.testing.assert_close(dataset.train.points.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(dataset.train.points.std(0, correction=0), torch.tensor([1.0, 1, 0]))
    assert len(dataset.train.points[:, 0].unique()) == 240  # in float32 the times would have been four
    restored = np.sort(dataset.schema.decode(torch.cat([dataset.train.points, dataset.held_out.points])), 0)
    assert (np.abs(restored - np.sort(table, 0)).max(0) <= [1e-4, 1e-9, 0]).all()
    few = load(path, points=20, standardize=True)
    torch.testing.assert_close(few.train.points.std(0, correction=0), torch.tensor([1.0, 1, 0]))


def test_columns_that_vary_by_rounding_are_constant(tmp_path):
    for dtype in (torch.float32, torch.float64):
        values = torch.rand(200, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)
        values /= values.sum(1, keepdim=True)
        assert values.sum(1).std() > 0
        np.save(tmp_path / "shares.npy", torch.cat([values, values.sum(1, keepdim=True)], 1).numpy())
        schema = load(tmp_path / "shares.npy", standardize=True).schema
        assert schema.constant == (4,)
    held_out = schema.encode(torch.full((1, 5), 7.0))
    assert float(held_out[0, 4]) == 0  # in points to come, too
    assert float(schema.decode(held_out)[0, 4]) == pytest.approx(1)


def test_large_whole_numbers_do_not_vary_by_rounding():
    days = torch.tensor([2_459_000.0, 2_459_001.0]).repeat(50)
    counts = 12_345_670 + torch.arange(100.0) % 10
    stored = torch.full((100,), 1e9).nextafter(torch.tensor(2e9) * (torch.arange(100) % 2))  # whole by their size alone
    assert stored.std() > 0
    points = torch.stack([days, counts, stored], 1)
    schema = Table.of(3).standardizing(points)
    assert schema.constant == (2,)
    assert torch.equal(schema.decode(schema.encode(points))[:, 0], days.double())


def test_columns_that_are_not_standardized_stay_as_they_are():
    table = Table((Column("x"), Column("y", mean=5.0, deviation=2.0)), named=True)
    points = torch.tensor([[3.0, 7.0], [-1.0, 5.0]])
    assert table.encode(points).tolist() == [[3, 1], [-1, 0]]
    assert table.decode(table.encode(points)).tolist() == points.tolist()
    plain = Table.of(2)
    assert (plain.names, plain.standardized, plain.constant) == (None, False, ())
    assert plain.decode(plain.encode(points)) is points


def test_points_that_vary_where_the_training_points_do_not_are_refused():
    table = Table.of(2).standardizing(torch.tensor([[1.0, 4.0], [2.0, 4.0]]))
    others = torch.tensor([[1.0, 4.0], [2.0, 4.5]])
    assert table.encode(others)[:, 1].tolist() == [0, 0]
    with pytest.raises(InputError, match=r"column 1, counted from 0, is 4 in all .* by up to 0\.5 in others\.csv"):
        table.encode(others, "others.csv")


def test_images_are_clipped_when_decoded_alone():
    points = torch.tensor([[-0.5, 0.25, 1.5]])
    images = Images(1, 1, 3)
    assert images.encode(points) is points
    assert images.decode(points).tolist() == [[0, 0.25, 1]]
    assert (images.dimension, image_shape_of(images), image_shape_of(Table.of(3))) == (3, (1, 1, 3), None)


@pytest.mark.parametrize(
    "schema", [Images(3, 8, 6), Table.of(2), Table((Column("a", mean=1 / 3, deviation=1e-30), Column("b")), named=True)]
)
def test_a_schema_survives_json(schema):
    assert schema_from(json.loads(json.dumps(dataclasses.asdict(schema)))) == schema


@pytest.mark.parametrize(
    ("schema", "data", "message"),
    [
        (Table.of(2), Table.of(2, ("x", "y")), None),
        (Table.of(64), Images(1, 8, 8), None),
        (Images(1, 8, 8), Images(1, 8, 8), None),
        (Images(1, 8, 8), Images(1, 4, 16), r"p holds images of shape \(1, 8, 8\) and q of \(1, 4, 16\)"),
        (Images(1, 8, 8), Table.of(64), "p holds images, scaled to .* and q rows of numbers"),
        (Images(1, 8, 8), Table.of(2), "p has 64 coordinates and q has 2"),
        (Table.of(2), Table.of(3), "p has 2 coordinates and q has 3"),
        (Table.of(2, ("y", "x")), Table.of(2, ("x", "y")), "p has the columns y, x and q has x, y"),
    ],
)
def test_schemas_that_differ(schema, data, message):
    found = difference(schema, data, names=("p", "q"))
    assert found is None if message is None else re.search(message, str(found))
