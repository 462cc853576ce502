import gc

import numpy as np
import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.load import load
from files import all_rows, load_unless_refused, write

RNG = np.random.default_rng(0)


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


@pytest.mark.parametrize("make", [np.zeros, np.ones])
def test_three_channels_are_found_at_either_end(tmp_path, make):
    assert load(write(tmp_path / "x.npy", make((12, 6, 5, 3)))).image_shape == (3, 6, 5)
    assert load(write(tmp_path / "x.npy", make((12, 3, 6, 5)))).image_shape == (3, 6, 5)


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
