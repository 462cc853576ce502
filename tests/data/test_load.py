import gc
import math
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.files import column_names, csv_bytes, read_points
from contrastive_entropy.data.hub import HUB
from contrastive_entropy.data.load import STACKED, TOYS, load, names, sample_toy, toy_modes, unevenness
from contrastive_entropy.data.schema import Table
from contrastive_entropy.metrics.modes import mode_scores

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", list(TOYS))
def test_toys_are_drawn_afresh_for_each_seed(name):
    data = load(name)
    dimension = 1200 if name == "modes1200" else 2
    assert data.train.points.shape == (10_000, dimension)
    assert data.held_out.points.shape == (5_000, dimension)
    assert data.train.points.dtype == torch.float32
    assert data.image_shape is None
    assert torch.equal(load(name).train.points, data.train.points)
    assert not torch.equal(load(name, seed=1).train.points, data.train.points)
    assert not torch.equal(data.train.points[:5000], data.held_out.points)


def test_the_mode_benchmarks_have_their_modes():
    ring = sample_toy("ring8", 20_000, seed=0).double()
    mode = torch.round(torch.atan2(ring[:, 1], ring[:, 0]) / (torch.pi / 4)).long() % 8
    assert torch.bincount(mode).tolist() == pytest.approx([2500] * 8, abs=200)
    centers = torch.stack([torch.cos(mode * torch.pi / 4), torch.sin(mode * torch.pi / 4)], 1)
    assert (ring - centers).std().item() == pytest.approx(0.01, rel=0.05)
    grid = sample_toy("grid25", 20_000, seed=0).double()
    modes = torch.round(grid / 2)
    assert len(modes.unique(dim=0)) == 25
    assert modes.abs().max() == 2
    assert (grid - 2 * modes).std().item() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    ("name", "share"), [("ring8", 1 - math.exp(-4.5)), ("grid25", 1 - math.exp(-4.5)), ("modes1200", 0.9985)]
)
def test_real_points_are_of_high_quality_and_even(name, share):
    """In the plane the share within 3 standard deviations is 1 - exp(-9/2)."""
    modes, radius = toy_modes(name)
    x = sample_toy(name, 5000, seed=0)
    found = mode_scores(x, modes, radius=radius)
    assert found.modes == len(modes)
    assert found.high_quality == pytest.approx(share, abs=4 * (share * (1 - share) / 5000) ** 0.5 + 1e-12)
    assert found.reverse_kl < 3 * len(modes) / 5000


def test_the_thousand_dimensions_hold_ten_clusters_of_seven_hundred():
    modes, radius = toy_modes("modes1200")
    assert float(torch.pdist(modes).min()) > 2 * radius  # no point is near two, nor is one between two
    x = sample_toy("modes1200", 3000, seed=0).double()
    own = x[torch.cdist(x, modes).argmin(1) == 0] - modes[0]
    assert float(own.norm(dim=1).mean()) == pytest.approx(0.5 * 700**0.5, rel=0.01)
    offsets = x - modes[torch.cdist(x, modes).argmin(1)]
    assert int((offsets.var(0) > 1e-9).sum()) == 700
    assert float(offsets[:, offsets.var(0) > 1e-9].std()) == pytest.approx(0.5, rel=0.01)
    with pytest.raises(InputError, match="moons has no separate modes; those that have are ring8, grid25, modes1200"):
        toy_modes("moons")


def test_the_other_toys_are_where_they_belong():
    board = sample_toy("checkerboard", 5000, seed=0)
    assert (((board + 2).floor().sum(1) % 2) == 0).all()
    assert board.abs().max() <= 2
    radius = sample_toy("circles", 5000, seed=0).norm(dim=1)
    assert (torch.minimum((radius - 0.5).abs(), (radius - 1).abs()) < 0.15).all()
    assert (radius > 0.75).float().mean().item() == pytest.approx(0.5, abs=0.03)
    moons = sample_toy("moons", 5000, seed=0)
    upper = (moons.norm(dim=1) - 1).abs()
    lower = ((moons - torch.tensor([1.0, 0.5])).norm(dim=1) - 1).abs()
    assert (torch.minimum(upper, lower) < 0.25).all()
    roll = sample_toy("swissroll", 5000, seed=0).norm(dim=1)
    assert 0.35 < roll.min() < 0.6
    assert 1.3 < roll.max() < 1.6
    pinwheel = sample_toy("pinwheel", 5000, seed=0)
    turn = torch.tensor(2 * torch.pi / 5)
    rotated = pinwheel @ torch.tensor([[turn.cos(), turn.sin()], [-turn.sin(), turn.cos()]])
    torch.testing.assert_close(torch.cov(rotated.T), torch.cov(pinwheel.T), atol=0.05, rtol=0)


def test_digits_are_split_once_and_for_all():
    data = load("digits")
    assert (len(data.train), len(data.held_out), data.image_shape) == (1297, 500, (1, 8, 8))
    assert data.train.points.min() == 0
    assert data.train.points.max() == 1
    assert torch.equal(load("digits", seed=5).held_out.points, data.held_out.points)
    assert sorted(data.train.labels.unique().tolist()) == list(range(10))
    assert len(torch.cat([data.train.points, data.held_out.points]).unique(dim=0)) == 1797


def write(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, samples=array, labels=np.zeros(len(array)))
    else:
        table = pd.DataFrame(array, columns=[f"c{i}" for i in range(array.shape[1])])
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_files_hold_one_point_per_row(tmp_path, suffix):
    array = RNG.standard_normal((50, 3))
    data = load(write(tmp_path / f"x{suffix}", array), held_out=0.2)
    assert (len(data.train), len(data.held_out)) == (40, 10)
    whole = torch.cat([data.train.points, data.held_out.points])
    expected = torch.from_numpy(array).float()
    torch.testing.assert_close(whole[whole[:, 0].argsort()], expected[expected[:, 0].argsort()])
    assert torch.equal(load(tmp_path / f"x{suffix}").held_out.points, data.held_out.points)
    assert not torch.equal(load(tmp_path / f"x{suffix}", seed=1).held_out.points, data.held_out.points)


def test_csv_without_header_integers_and_booleans(tmp_path):
    (tmp_path / "plain.csv").write_text("\n".join(f"{i},{i * 2}" for i in range(20)))
    assert len(load(tmp_path / "plain.csv").train) == 16
    table = pd.DataFrame({"a": pd.array(range(20), dtype="Int64"), "b": [True, False] * 10})
    table.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").train.points[:, 1].unique().tolist() == [0, 1]


def test_numbers_that_may_name_columns_are_pointed_at(tmp_path):
    rows = "\n".join(",".join(f"{x:.3f}" for x in row) for row in RNG.random((20, 3)))
    (tmp_path / "spectra.csv").write_text("400,410,420\n" + rows)
    with pytest.warns(UserWarning, match="the first line, 400, 410, 420, was read as a point"):
        points, _ = read_points(tmp_path / "spectra.csv")
    assert points[0].tolist() == [400, 410, 420]
    for first in ("400,420,410", "0.5,1,2", "0,1,2"):
        (tmp_path / "x.csv").write_text(first + "\n" + rows)
        read_points(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((12, 6, 5), (1, 6, 5)), ((12, 3, 6, 5), (3, 6, 5)), ((12, 6, 5, 3), (3, 6, 5)), ((12, 1, 6, 5), (1, 6, 5))],
)
def test_arrays_of_images(tmp_path, shape, image_shape):
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    data = load(write(tmp_path / "x.npy", array))
    assert data.image_shape == image_shape
    assert data.dimension == 6 * 5 * image_shape[0]
    assert 0 <= data.train.points.min() < data.train.points.max() <= 1
    first = array[0].transpose(2, 0, 1) if shape[-1] == 3 else array[0]
    whole = torch.cat([data.train.points, data.held_out.points])
    assert (whole == torch.from_numpy(first.reshape(-1) / 255).float()).all(1).any()


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_folders_of_images(tmp_path, mode):
    for i in range(12):
        (tmp_path / str(i % 2)).mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 255, (6, 5, 3), dtype=np.uint8)).convert(mode).save(
            tmp_path / str(i % 2) / f"{i}.png"
        )
    data = load(tmp_path)
    assert data.image_shape == ((1, 6, 5) if mode == "L" else (3, 6, 5))
    # what is hidden is not looked at, and no folder is looked at twice
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "0-checkpoint.png").write_bytes((tmp_path / "0" / "0.png").read_bytes())
    (tmp_path / "0" / "._0.png").write_bytes(b"no image")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "1" / "other").symlink_to(tmp_path / "0", target_is_directory=True)
    (tmp_path / "2").symlink_to(tmp_path / "1", target_is_directory=True)
    assert len(read_points(tmp_path)[0]) == len(data.train) + len(data.held_out)


def bad_file(folder, kind):
    """A file that cannot be used."""
    good = RNG.standard_normal((20, 2))
    arrays = {
        "vector": np.zeros(20),
        "five axes": np.zeros((20, 1, 2, 3, 4)),
        "channels": np.zeros((20, 7, 6, 5)),
        "empty": np.zeros((0, 3)),
        "strings": np.array([["a", "b"]] * 20),
        "few": np.zeros((5, 2)),
        "inf": np.where(np.arange(40).reshape(20, 2) == 7, np.inf, good),
        "huge": np.where(np.arange(40).reshape(20, 2) == 7, 1e300, good),
    }
    texts = {
        "text": "a,b\n" + "\n".join(["1,2"] * 4 + ["3,hello"] + ["1,2"] * 20),
        "blank": "a,b\n" + "\n".join(["1,2"] * 4 + ["3,"] + ["1,2"] * 20),
        "no rows": "a,b\n",
        "nothing": "",
        "ragged": "1,2\n3,4\n5,6,7\n",
    }
    if kind in arrays:
        return write(folder / "x.npy", arrays[kind])
    if kind in texts:
        (folder / "x.csv").write_text(texts[kind])
        return folder / "x.csv"
    if kind == "latin":
        (folder / "x.csv").write_bytes(b"\xe9t\xe9,b\n1,2\n")
        return folder / "x.csv"
    if kind == "pickle":
        np.save(folder / "x.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
        return folder / "x.npy"
    if kind == "arrays":
        np.savez(folder / "x.npz", a=good, b=good)
        return folder / "x.npz"
    if kind == "suffix":
        (folder / "x.txt").write_text("1 2")
        return folder / "x.txt"
    if kind.startswith("damaged"):
        suffix = kind.split()[1]
        (folder / f"x{suffix}").write_bytes(b"not really")
        return folder / f"x{suffix}"
    if kind == "folder":
        return folder
    for i, size in enumerate([(6, 5), (6, 6)]):
        Image.new("L", size).save(folder / f"{i}.png")
    if kind == "broken image":
        (folder / "0.png").write_bytes(b"no")
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("vector", r"wrong shape \(20,\); expected \(n, d\) points"),
        ("five axes", r"wrong shape \(20, 1, 2, 3, 4\)"),
        ("channels", r"wrong shape \(20, 7, 6, 5\)"),
        ("empty", r"the array is empty, shape \(0, 3\)"),
        ("strings", "holds values of type <U1; expected numbers"),
        ("few", "5 rows are too few"),
        ("inf", r"1 of 20 rows hold NaN or infinite values .rows 3, counted from 0."),
        ("huge", "beyond the range of float32"),
        ("text", r"column 'b' holds text .'hello' in row 4, counted from 0."),
        ("blank", r"1 of 25 rows hold NaN .* .rows 4,"),
        ("no rows", "holds no rows"),
        ("nothing", r"not a readable \.csv file"),
        ("ragged", r"not a readable \.csv file .*line 3"),
        ("latin", r"not a readable \.csv file"),
        ("pickle", r"not a readable \.npy file"),
        ("arrays", r"holds 2 arrays .a, b.; expected a single one, or one named 'samples'"),
        ("suffix", r"cannot read files of type \.txt; expected \.npy"),
        ("damaged .npy", r"not a readable \.npy file"),
        ("damaged .npz", r"not a readable \.npz file"),
        ("damaged .parquet", r"not a readable \.parquet file"),
        ("folder", r"a folder without images; expected files ending in \.png"),
        ("sizes", r"1\.png: its shape \(6, 6\) differs from \(5, 6\) of 0\.png"),
        ("broken image", r"0\.png: not a readable image"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, kind, message):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_names_that_cannot_be_used():
    with pytest.raises(InputError, match="no data set named 'moon'; did you mean 'moons'"):
        load("moon")
    with pytest.raises(InputError, match="no data set named 'xyzzy'; known are digits"):
        load("xyzzy")
    with pytest.raises(InputError, match="no such file or folder: here/x"):
        load("here/x")
    with pytest.raises(InputError, match="no toy law named 'ring9'; did you mean 'ring8'"):
        sample_toy("ring9", 3, seed=0)
    with pytest.raises(InputError, match=r"held_out must lie in \(0, 1\), got 1"):
        load("x.csv", held_out=1)
    assert set(names()) == {"digits", *TOYS, *HUB, STACKED}


def exact_moments(name):
    """Mean and variance of each coordinate, from the law."""
    angle = 1.5 * np.pi * (1 + 2 * (np.arange(100_000) + 0.5) / 100_000)
    spiral = (angle * [np.cos(angle), np.sin(angle)] / 10).astype(np.float64)
    return {
        "moons": ([0.5, 0.25], [0.7525, 0.565 - 1 / np.pi]),
        "circles": ([0, 0], [0.3134, 0.3134]),
        "swissroll": (spiral.mean(1), spiral.var(1) + 0.0009),
        "ring8": ([0, 0], [0.5001, 0.5001]),
        "grid25": ([0, 0], [8.0025, 8.0025]),
        "pinwheel": ([0, 0], [0.55, 0.55]),
        "checkerboard": ([0, 0], [4 / 3, 4 / 3]),
    }[name]


@pytest.mark.parametrize("name", [name for name in TOYS if name != "modes1200"])
def test_toys_have_the_moments_of_their_law(name):
    mean, variance = exact_moments(name)
    x = sample_toy(name, 40_000, seed=3).double().numpy()
    squares = (x - x.mean(0)) ** 2
    assert (np.abs(x.mean(0) - mean) < 4 * x.std(0) / 200).all()
    assert (np.abs(squares.mean(0) - variance) < 4 * squares.std(0) / 200).all()


@pytest.mark.parametrize("name", list(TOYS))
def test_no_part_of_a_toy_shares_a_draw_with_another(name):
    loaded = [load(name, seed=seed) for seed in range(2)]
    parts = [part.points[:5000] for data in loaded for part in (data.train, data.held_out)]
    parts += [sample_toy(name, 5000, seed=0), sample_toy(name, 5000, seed=2)]
    assert len({part.numpy().tobytes() for part in parts}) == len(parts)


def test_digits_keep_their_labels():
    digits = load_digits()
    label_of = {image.tobytes(): label for image, label in zip(digits.data, digits.target, strict=True)}
    data = load("digits")
    for images, labels in ((data.train.points, data.train.labels), (data.held_out.points, data.held_out.labels)):
        assert [label_of[image.tobytes()] for image in (16 * images.double()).numpy()] == labels.tolist()


def all_rows(data):
    return torch.cat([data.train.points, data.held_out.points])


def load_unless_refused(path):
    """None where the file is refused with a message that names it."""
    try:
        return load(path)
    except InputError as error:
        if str(path) not in str(error):
            raise
    return None


def csv_file(folder, text):
    path = folder / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


NUMBERS = "\n".join(f"{i},{100 + i}" for i in range(20))


@pytest.mark.parametrize("held_out", [0.1, 0.25, 0.5])
def test_the_share_that_is_held_out(tmp_path, held_out):
    data = load(write(tmp_path / "x.npy", RNG.random((40, 2))), held_out=held_out)
    assert (len(data.train), len(data.held_out)) == (40 - 40 * held_out, 40 * held_out)


@pytest.mark.parametrize("held_out", [0.001, 0.99])
def test_both_parts_of_a_split_hold_points(tmp_path, held_out):
    data = load(write(tmp_path / "x.npy", RNG.random((10, 2))), held_out=held_out)
    assert min(len(data.train), len(data.held_out)) >= 1


def test_an_archive_may_hold_one_array_of_any_name(tmp_path):
    np.savez(tmp_path / "x.npz", whatever=RNG.random((20, 3)))
    assert load(tmp_path / "x.npz").dimension == 3


def test_upper_case_suffixes_and_float_images_are_kept(tmp_path):
    images = RNG.random((12, 4, 5))
    write(tmp_path / "x.npy", images).rename(tmp_path / "x.NPY")
    data = load(tmp_path / "x.NPY")
    assert data.image_shape == (1, 4, 5)
    assert all_rows(data).sum().item() == pytest.approx(images.sum(), rel=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float64])
def test_images_lie_between_0_and_1_or_are_refused(tmp_path, dtype):
    path = write(tmp_path / "x.npy", RNG.integers(0, 256, (12, 4, 5)).astype(dtype))
    data = load_unless_refused(path)
    assert data is None or data.train.points.max() <= 1


@pytest.mark.parametrize(("dtype", "expected"), [("Int64", [0, 1]), ("boolean", [0, 1]), ("Float32", [0, 1])])
def test_nullable_parquet_columns(tmp_path, dtype, expected):
    pd.DataFrame({"a": pd.array([0, 1] * 10, dtype=dtype)}).to_parquet(tmp_path / "x.parquet")
    assert all_rows(load(tmp_path / "x.parquet")).unique().tolist() == expected
    pd.DataFrame({"a": pd.array([None, 1] * 10, dtype=dtype)}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"10 of 20 rows hold NaN .*\(rows 0, 2, 4, 6, 8, \.\.\., counted from 0\)"):
        load(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (NUMBERS, 20),
        ("a,b\n" + NUMBERS, 20),
        ("\n" + NUMBERS, 20),
        (NUMBERS.encode("utf-8-sig"), 20),
        (("a,b\n" + NUMBERS).encode("utf-8-sig"), 20),
        ("\na,b\n" + NUMBERS, 20),
    ],
    ids=["plain", "header", "blank line", "byte order mark", "byte order mark, header", "blank line, header"],
)
def test_every_row_of_a_csv_is_read(tmp_path, text, rows):
    whole = all_rows(load(csv_file(tmp_path, text)))
    assert sorted(whole[:, 0].tolist()) == list(range(rows))


def test_a_missing_value_in_the_first_row_is_not_a_header(tmp_path):
    with pytest.raises(InputError, match=r"1 of 21 rows hold NaN or infinite values \(rows 0,"):
        load(csv_file(tmp_path, "NA,1\n" + NUMBERS))


@pytest.mark.parametrize("header", ["a", "# exported"], ids=["short header", "comment"])
def test_a_header_shorter_than_the_rows_drops_no_column(tmp_path, header):
    path = csv_file(tmp_path, header + "\n" + NUMBERS)
    data = load_unless_refused(path)
    assert data is None or data.dimension == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.csv: .*(empty|[Nn]o columns)"),
        ("a,b\n", r"x\.csv: (the array is empty|0 rows|holds no rows)"),
        (b"\x00\x01\x02" * 50, r"x\.csv: (not a readable \.csv file \((?!attempt)|the array is empty|0 rows|holds no)"),
        ("1,2\n3,4\n5,6,7\n" + NUMBERS, "Expected 2 fields in line 3, saw 3"),
        (("a,b\n" + NUMBERS).encode() + b"\n\xe9,1", r"not a readable \.csv file \('utf-8' codec can't decode"),
        (NUMBERS.encode("utf-16"), r"not a readable \.csv file \('utf-8' codec can't decode"),
        ("a,b\n1,\n" + NUMBERS, r"1 of 21 rows hold NaN .*\(rows 0, counted from 0\)"),
        ("a,b\n1\n" + NUMBERS, r"1 of 21 rows hold NaN .*\(rows 0, counted from 0\)"),
        ("a,b\n1,1e400\n" + NUMBERS, r"1 of 21 rows hold NaN or infinite values"),
        ("a,b\n" + "1,2020-01-01\n" * 20, r"column 'b' holds text \('2020-01-01' in row 0,"),
        ("1,2\n" * 4 + "3,hello\n" + NUMBERS, r"column 1 holds text \('hello' in row 4,"),
        ("a" * 200_000 + ",b\n" + NUMBERS, r"x\.csv"),
        ("a,b\n1,\n" + "0,True\n" * 20, r"(1 of 21 rows hold NaN|column 'b' (?!holds text \('nan'))"),
        ("a,b\n" + "1,2\n" * 300_000 + "hello,3\n", r"column 'a' holds text \('hello' in row 300000,"),
        (
            ",a\n" + "".join(f"{97 - 3 * row},.5\n" for row in range(20)),
            "no name and counts the rows, as .* index=False",
        ),
        (
            "a,b,\n" + "1,2,\n" * 20,
            "its last column is empty, as commas at the ends of the lines make one; remove them",
        ),
        ("0.5 0.25\n" * 20, "values are parted by ' ': expected commas"),
        ("5;0,5;0\n" * 20, "values are parted by ';': expected commas"),
    ],
    ids=[
        *("empty", "header only", "binary", "long row", "latin-1 later", "utf-16", "blank cell", "short row"),
        *("overflow", "dates", "no header", "long field", "blank truth value", "late text"),
        *("shuffled index", "trailing commas", "spaces", "decimal commas"),
    ],
)
def test_csv_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load(csv_file(tmp_path, text))


@pytest.mark.parametrize("values", [[None] * 20, [None] + [True] * 19], ids=["all", "first"])
def test_a_missing_value_is_not_called_text(tmp_path, values):
    pd.DataFrame({"a": range(20), "b": values}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"NaN|missing|column 'b'") as error:
        load(tmp_path / "x.parquet")
    assert "holds text ('None'" not in str(error.value)


def damage(path, *, start, length):
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\xff" * length
    path.write_bytes(content)
    return path


def wrong_content(folder, kind):
    """A file that is not what its suffix says."""
    array = np.random.default_rng(0).random((50, 3))
    npy, npz, parquet = folder / "x.npy", folder / "x.npz", folder / "x.parquet"
    if kind == "npy header":
        npy.write_bytes(b"\x93NUMPY\x01\x00\x16\x00{'descr': ((((((((((((\n")
        return npy
    if kind == "npz named npy":
        return write(npz, array).rename(npy)
    if kind == "npy named npz":
        return write(npy, array).rename(npz)
    if kind == "not npy":
        npy.write_bytes(b"not really")
        return npy
    if kind.startswith("half"):
        path = write(folder / f"x.{kind.split()[1]}", array)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path
    if kind == "npz member":
        return damage(write(npz, array), start=20, length=30)
    return damage(write(parquet, array), start=900, length=40)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("npy header", r"x\.npy: not a readable \.npy file"),
        ("npz named npy", r"x\.npy: (not a readable \.npy file|.*\.npz)"),
        ("npy named npz", r"x\.npz: (not a readable \.npz file|.*\.npy)"),
        ("not npy", r"x\.npy: not a readable \.npy file"),
        ("half npy", r"x\.npy: not a readable \.npy file"),
        ("half npz", r"x\.npz: not a readable \.npz file"),
        ("half parquet", r"x\.parquet: not a readable \.parquet file"),
        ("npz member", r"x\.npz: not a readable \.npz file"),
        ("parquet pages", r"x\.parquet: "),
    ],
)
def test_files_that_are_not_what_their_suffix_says(tmp_path, kind, message):
    path = wrong_content(tmp_path, kind)
    with pytest.raises(InputError, match=message) as error:
        load(path)
    shown = str(error.value).replace(str(tmp_path), "")
    assert len(shown) < 400
    assert "allow_pickle" not in shown
    del error
    gc.collect()  # a file left open becomes a warning, and so an error


@pytest.mark.parametrize("make", [np.zeros, np.ones])
def test_three_channels_are_found_at_either_end(tmp_path, make):
    assert load(write(tmp_path / "x.npy", make((12, 6, 5, 3)))).image_shape == (3, 6, 5)
    assert load(write(tmp_path / "x.npy", make((12, 3, 6, 5)))).image_shape == (3, 6, 5)


def save_images(folder, arrays, suffix=".png"):
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:02}{suffix}")
    return folder


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3), (1, 7, 3), (3, 7, 3), (5, 3), (5, 1)])
def test_image_folders_keep_their_pixels(tmp_path, shape):
    arrays = RNG.integers(0, 256, (12, *shape), dtype=np.uint8)
    data = load(save_images(tmp_path, arrays))
    channels = shape[2] if len(shape) == 3 else 1
    assert data.image_shape == (channels, *shape[:2])
    flat = arrays.reshape(12, *shape[:2], channels).transpose(0, 3, 1, 2).reshape(12, -1) / 255
    assert sorted(all_rows(data).tolist()) == sorted(torch.from_numpy(flat).float().tolist())


@pytest.mark.parametrize(("dtype", "top", "suffix"), [(np.uint16, 65535, ".png"), (np.float32, 1, ".tif")])
def test_deep_images_keep_their_gray_levels_or_are_refused(tmp_path, dtype, top, suffix):
    arrays = np.linspace(0, top, 12 * 30).reshape(12, 6, 5).astype(dtype)
    data = load_unless_refused(save_images(tmp_path, arrays, suffix))
    assert data is None or len(all_rows(data).unique()) > 200


def huge_png():
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [b"", b"half", huge_png()], ids=["empty", "half", "900 megapixels"])
def test_images_that_cannot_be_read_are_named(tmp_path, content):
    save_images(tmp_path, RNG.integers(0, 256, (12, 64, 64), dtype=np.uint8))
    path = tmp_path / "05.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content == b"half" else content)
    with pytest.raises(InputError, match=r"05\.png: not a readable image"):
        load(tmp_path)


def test_images_of_different_kinds_are_named(tmp_path):
    save_images(tmp_path, [np.zeros((6, 5), np.uint8), np.zeros((6, 5, 3), np.uint8)])
    with pytest.raises(InputError, match=r"01\.png: its shape \(6, 5, 3\) differs from \(6, 5\) of 00\.png"):
        load(tmp_path)


def test_a_folder_with_the_suffix_of_a_file(tmp_path):
    (tmp_path / "x.npy").mkdir()
    with pytest.raises(InputError, match=r"x\.npy: a folder without images"):
        load(tmp_path / "x.npy")


def test_few_images_and_many_bad_rows(tmp_path):
    with pytest.raises(InputError, match="3 rows are too few to train and hold out; at least 10 are needed"):
        load(save_images(tmp_path, np.zeros((3, 4, 4), np.uint8)))
    with pytest.raises(InputError, match=r"20 of 20 rows .*\(rows 0, 1, 2, 3, 4, \.\.\., counted from 0\)"):
        load(write(tmp_path / "x.npy", np.full((20, 2), np.nan)))


@pytest.fixture
def ordinary_user():
    """Root may read everything, so the test runs as nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def unreadable(open_folder):
    file = write(open_folder / "x.npy", np.zeros((20, 2)))
    file.chmod(0)
    closed = open_folder / "closed"
    closed.mkdir()
    write(closed / "x.npy", np.zeros((20, 2)))
    closed.chmod(0)
    yield {"file": file, "folder": closed / "x.npy"}
    closed.chmod(0o700)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read(unreadable, ordinary_user, kind):
    with pytest.raises(InputError, match=r"x\.npy.*[Pp]ermission"):
        load(unreadable[kind])


@pytest.mark.parametrize("held_out", [0, 1, -0.1, 2, float("nan")])
def test_held_out_must_leave_both_parts(tmp_path, held_out):
    with pytest.raises(InputError, match=rf"held_out must lie in \(0, 1\), got {held_out}"):
        load(write(tmp_path / "x.npy", np.zeros((20, 2))), held_out=held_out)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Moons", "did you mean 'moons'"),
        ("ring-8", "did you mean 'ring8'"),
        ("digit", "did you mean 'digits'"),
        ("missing.npz", r"no such file or folder: missing\.npz"),
        ("x" * 5000, "no data set named|no such file"),
        ("", "no data set named ''|no such file"),
    ],
    ids=["capital", "hyphen", "singular", "path", "long", "empty"],
)
def test_more_names_that_cannot_be_used(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load(name)


def test_columns_named_by_their_numbers(tmp_path):
    table = pd.DataFrame(RNG.random((20, 3)))
    table.to_csv(tmp_path / "x.csv", index=False)
    assert all_rows(load(tmp_path / "x.csv")).sum().item() == pytest.approx(table.to_numpy().sum(), rel=1e-5)
    assert len(all_rows(load(csv_file(tmp_path, "0,1\n1,2\n" + NUMBERS)))) == 22  # whole numbers: the first is a row


def test_dates_objects_and_images_out_of_range_are_refused(tmp_path):
    pd.DataFrame({"when": pd.date_range("2020-01-01", periods=20)}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"column 'when' holds datetime64\S*; expected numbers"):
        load(tmp_path / "x.parquet")
    np.save(tmp_path / "o.npy", np.array([[None, 1]] * 20))
    with pytest.raises(InputError, match=r"o\.npy: .*it holds Python objects, not numbers"):
        load(tmp_path / "o.npy")
    path = write(tmp_path / "x.npy", np.linspace(-1, 1, 12 * 20).reshape(12, 4, 5))
    with pytest.raises(InputError, match=r"float64 with values from -1 to 1; expected floats in \[0, 1\], or uint8"):
        load(path)


def test_images_of_different_depth_are_named(tmp_path):
    save_images(tmp_path, [np.zeros((6, 5), np.uint8), np.zeros((6, 5), np.uint16)])
    with pytest.raises(InputError, match=r"01\.png: uint16 unlike uint8 of 00\.png"):
        load(tmp_path)


@pytest.fixture
def closed_inside(open_folder):
    (open_folder / "inner").mkdir()
    (open_folder / "inner").chmod(0)
    yield open_folder
    (open_folder / "inner").chmod(0o700)


def test_a_closed_subfolder_is_not_left_out_in_silence(closed_inside, ordinary_user):
    with pytest.raises(InputError, match=r"inner: cannot look into this folder \(Permission denied\)"):
        load(closed_inside)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match=r"seed must lie from 0 to 2\^63 - 1, got -1"):
        load("moons", seed=-1)


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


def test_columns_whose_rounding_shows_are_pointed_at(tmp_path):
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near, far = (Dataset.of("x", *(2 * [(points + offset).float()])) for offset in (1e3, 1e7))
    assert unevenness(near) is None
    assert "column 0, counted from 0, lies near 1e+07 with a deviation of" in str(unevenness(far))
    assert "steps of 1.2: subtract an offset from it, or give --standardize" in str(unevenness(far))
    np.savetxt(tmp_path / "far.csv", points + 1e7, delimiter=",", fmt="%.18g")
    assert unevenness(load(tmp_path / "far.csv", standardize=True)) is None
    assert "column 0" in str(unevenness(Dataset.of("x", *(2 * [(points[:, :1] + 1e7).float()]))))


@pytest.mark.parametrize("name", ["digits", "mnist", STACKED, "hub:ylecun/mnist"])
def test_images_are_not_standardized(name, tmp_path):
    with pytest.raises(InputError, match="holds images, whose pixels share one scale: leave standardize out"):
        load(name, standardize=True, data_root=tmp_path)  # said before anything is looked for
    np.save(tmp_path / "images.npy", np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(InputError, match="holds images"):
        load(tmp_path / "images.npy", standardize=True)


def test_columns_without_names_have_none(tmp_path):
    np.savetxt(tmp_path / "plain.csv", np.eye(12), delimiter=",")
    assert load(tmp_path / "plain.csv").schema.names is None
    assert load("moons").schema.names is None


@pytest.mark.parametrize("columns", [None, ("a", "b c"), ('comma, "quoted"', "2"), ("2019", "2020")])
def test_a_table_written_is_read_back(tmp_path, columns):
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-6, 1e6])
    path = tmp_path / "points.csv"
    path.write_bytes(csv_bytes(points, columns))
    assert torch.equal(read_points(path)[0], points)
    assert column_names(path) == (None if columns == ("2019", "2020") else columns)
    double = points.double() + torch.tensor([1.0, 1.7e9])
    path.write_bytes(csv_bytes(double, columns))
    assert len(path.read_text().splitlines()[-1].split(",")[1]) < 15
    torch.testing.assert_close(read_points(path, double=True)[0], double, rtol=0, atol=1e-2)
    torch.testing.assert_close(read_points(path, double=True)[0][:, 0], double[:, 0], rtol=0, atol=1e-14)
