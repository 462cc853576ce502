import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from contrastive_entropy import InputError
from contrastive_entropy.data import TOYS, load, names, sample_toy

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", list(TOYS))
def test_toys_are_drawn_afresh_for_each_seed(name):
    data = load(name)
    assert data.train.shape == (10_000, 2)
    assert data.test.shape == (5_000, 2)
    assert data.train.dtype == torch.float32
    assert data.image_shape is None
    assert torch.equal(load(name).train, data.train)
    assert not torch.equal(load(name, seed=1).train, data.train)
    assert not torch.equal(data.train[:5000], data.test)


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
    assert (len(data.train), len(data.test), data.image_shape) == (1297, 500, (1, 8, 8))
    assert data.train.min() == 0
    assert data.train.max() == 1
    assert torch.equal(load("digits", seed=5).test, data.test)
    assert sorted(data.train_labels.unique().tolist()) == list(range(10))
    assert len(torch.cat([data.train, data.test]).unique(dim=0)) == 1797


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
    assert (len(data.train), len(data.test)) == (40, 10)
    whole = torch.cat([data.train, data.test])
    expected = torch.from_numpy(array).float()
    torch.testing.assert_close(whole[whole[:, 0].argsort()], expected[expected[:, 0].argsort()])
    assert torch.equal(load(tmp_path / f"x{suffix}").test, data.test)
    assert not torch.equal(load(tmp_path / f"x{suffix}", seed=1).test, data.test)


def test_csv_without_header_integers_and_booleans(tmp_path):
    (tmp_path / "plain.csv").write_text("\n".join(f"{i},{i * 2}" for i in range(20)))
    assert len(load(tmp_path / "plain.csv").train) == 16
    table = pd.DataFrame({"a": pd.array(range(20), dtype="Int64"), "b": [True, False] * 10})
    table.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").train[:, 1].unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((12, 6, 5), (1, 6, 5)), ((12, 3, 6, 5), (3, 6, 5)), ((12, 6, 5, 3), (3, 6, 5)), ((12, 1, 6, 5), (1, 6, 5))],
)
def test_arrays_of_images(tmp_path, shape, image_shape):
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    data = load(write(tmp_path / "x.npy", array))
    assert data.image_shape == image_shape
    assert data.dimension == 6 * 5 * image_shape[0]
    assert 0 <= data.train.min() < data.train.max() <= 1
    first = array[0].transpose(2, 0, 1) if shape[-1] == 3 else array[0]
    whole = torch.cat([data.train, data.test])
    assert (whole == torch.from_numpy(first.reshape(-1) / 255).float()).all(1).any()


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_folders_of_images(tmp_path, mode):
    for i in range(12):
        (tmp_path / str(i % 2)).mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 255, (6, 5, 3), dtype=np.uint8)).convert(mode).save(
            tmp_path / str(i % 2) / f"{i}.png"
        )
    assert load(tmp_path).image_shape == ((1, 6, 5) if mode == "L" else (3, 6, 5))


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
        ("no rows", "empty|too few"),
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
    assert set(names()) == {"digits", *TOYS}
