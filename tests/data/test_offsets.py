import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_entropy.data.given import conditions_of, parted
from contrastive_entropy.data.laws import LAWS
from contrastive_entropy.data.load import load, load_pair, load_points, read_points
from contrastive_entropy.data.offsets import offsets
from contrastive_entropy.data.scales import unevenness
from contrastive_entropy.data.schema import Column, Table, schema_from
from files import all_rows

RNG = np.random.default_rng(0)
TIMES = np.sort(RNG.integers(0, 10_000, 400)).astype(float)
TWIN = pd.DataFrame({"t": TIMES, "v": RNG.normal(size=400).round(3)})
START = 1_700_000_000_000
FAR = TWIN.assign(t=TWIN.t + START)


def saved(folder, table, name, suffix):
    path = folder / f"{name}{suffix}"
    if suffix == ".npy":
        np.save(path, table.to_numpy())
    elif suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_time_stamps_keep_every_value(tmp_path, suffix):
    twin = load(saved(tmp_path, TWIN, "twin", suffix))
    far = load(saved(tmp_path, FAR, "far", suffix))
    assert far.schema.shifted
    assert not far.schema.standardized
    assert not twin.schema.shifted
    assert far.train.points.dtype == twin.train.points.dtype == torch.float32
    shift = far.schema.columns[0].mean - START
    assert abs(shift - np.median(TIMES)) < 3000
    moved = torch.tensor([shift, 0.0])
    assert torch.equal(far.train.points + moved, twin.train.points)  # whole numbers stay whole
    assert torch.equal(
        far.schema.decode(far.held_out.points),
        twin.held_out.points.double() + torch.tensor([START, 0], dtype=torch.float64),
    )
    assert unevenness(far) == unevenness(twin)
    assert torch.equal(
        load(tmp_path / f"far{suffix}", points=50).train.points[:, 1], load(twin.name, points=50).train.points[:, 1]
    )


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (1.7e9 + 50 * RNG.random(300), 1.7e9 + 25),
        (-1e8 + RNG.normal(size=300), -1e8),
        (np.where(np.arange(300) == 17, 0.0, 1.7e12 + TIMES[:300]), 1.7e12 + np.median(TIMES[:300])),
        (20_000_101 + RNG.integers(0, 30, 300), 20_000_115),
        (np.repeat([1e9, 1e9 + 1], [280, 20]), 1e9),
        (RNG.normal(1000, 1, 300), 0),
        (RNG.lognormal(3, 2, 300), 0),
        (np.full(300, 1.7e12), 0),
        (np.full(300, 0.1) + np.spacing(0.1) * (np.arange(300) % 2), 0),
        (np.float32(1e9) + np.spacing(np.float32(1e9)) * (np.arange(300) % 2), 0),
        (RNG.integers(1990, 2020, 300), 0),
    ],
    ids=[
        *("seconds", "negative", "a zero among stamps", "whole numbers", "nearly constant", "near enough", "skewed"),
        *("constant", "rounding", "single precision's rounding", "years"),
    ],
)
def test_offsets_are_taken_off_columns_that_single_precision_blurs(column, expected):
    points = np.stack([np.asarray(column, dtype=np.float64), RNG.normal(size=300)], 1)
    found = offsets(points)
    assert found[1] == 0
    if expected == 0:
        assert found[0] == 0
    else:
        assert abs(float(found[0]) - expected) < 2 * points[100:, 0].std() + 1
        assert torch.equal(offsets(torch.from_numpy(points)), found)
        schema = Table.of(2).shifting(points)
        back = schema.decode(schema.encode(torch.from_numpy(points)))
        inner = abs(back - points)[np.abs(points[:, 0] - expected) < abs(expected) / 2]
        assert float(inner.max()) < 1e-3


@pytest.mark.parametrize("name", LAWS)
def test_the_laws_have_no_offsets(name):
    assert not load(name).schema.shifted


def test_what_is_held_well_stays_as_it_was(tmp_path):
    path = saved(tmp_path, TWIN, "twin", ".csv")
    points, schema = read_points(path)
    assert points.dtype == torch.float32
    assert torch.equal(points, torch.tensor(TWIN.to_numpy()).float())
    assert schema == Table.of(2, ("t", "v"))
    assert load(path).schema == schema
    values = torch.randn(3, 2)
    assert schema.decode(values) is values


def test_two_sets_share_the_first_ones_offsets(tmp_path):
    names = [saved(tmp_path, FAR[:300], "a", ".csv"), saved(tmp_path, FAR[300:], "b", ".npy")]
    p, q, schema = load_pair(*map(str, names))
    assert p.dtype == q.dtype == torch.float32
    torch.testing.assert_close(schema.decode(torch.cat([p, q])), torch.tensor(FAR.to_numpy()), rtol=0, atol=1e-6)
    one = saved(tmp_path, FAR[:1].sample(20, replace=True), "one", ".csv")  # constant: without an offset of its own
    _, q, schema = load_pair(str(names[0]), str(one))
    assert schema.decode(q)[0, 0] == FAR.t[0]
    mapped, _ = load_points(names[1])
    assert isinstance(mapped, np.memmap)
    twin = saved(tmp_path, TWIN, "twin", ".csv")
    p, q, _ = load_pair(str(twin), str(names[0]))
    assert p.dtype == q.dtype == torch.float32


def test_raw_points_are_not_blurred(tmp_path):
    path = saved(tmp_path, FAR, "far", ".csv")
    for points, schema in (read_points(path), load_points(path)):
        assert torch.equal(points, torch.tensor(FAR.to_numpy()))
        assert not schema.shifted


def test_standardized_columns_are_as_before(tmp_path):
    far, twin = (load(saved(tmp_path, t, n, ".csv"), standardize=True) for t, n in ((FAR, "far"), (TWIN, "twin")))
    torch.testing.assert_close(all_rows(far), all_rows(twin), atol=1e-6, rtol=0)
    assert not far.schema.shifted


def test_offsets_are_kept_with_the_schema_and_go_with_the_conditions(tmp_path):
    dataset = parted(load(saved(tmp_path, FAR, "far", ".csv")), target="v")
    assert dataset.given_schema.shifted
    assert not dataset.schema.shifted
    assert schema_from(json.loads(json.dumps(dataclasses.asdict(dataset.given_schema)))) == dataset.given_schema
    given = conditions_of({"t": START + 5001}, dataset.given_schema)
    assert given.dtype == torch.float32
    assert dataset.given_schema.decode(given).item() == START + 5001
    mixed = Table((Column("x"), Column("y", mean=5.0, deviation=2.0), Column("t", mean=1e12)))
    points = torch.tensor([[3.0, 7.0, 1e12 + 3]], dtype=torch.float64)
    assert mixed.encode(points).tolist() == [[3, 1, 3]]
    assert torch.equal(mixed.decode(mixed.encode(points)), points)
