import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from contrastive_entropy import InputError
from contrastive_entropy.data.load import load, read_points
from files import all_rows, load_unless_refused, save_images

RNG = np.random.default_rng(0)


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
    with pytest.raises(InputError, match=r"01\.png: in colour unlike gray of 00\.png; `image_mode` gray or rgb"):
        load(tmp_path)


def test_images_of_different_depth_are_named(tmp_path):
    save_images(tmp_path, [np.zeros((6, 5), np.uint8), np.zeros((6, 5), np.uint16)])
    with pytest.raises(InputError, match=r"01\.png: uint16 unlike uint8 of 00\.png"):
        load(tmp_path)


def test_a_folder_with_the_suffix_of_a_file(tmp_path):
    (tmp_path / "x.npy").mkdir()
    with pytest.raises(InputError, match=r"x\.npy: a folder without images"):
        load(tmp_path / "x.npy")


@pytest.fixture
def closed_inside(open_folder):
    (open_folder / "inner").mkdir()
    (open_folder / "inner").chmod(0)
    yield open_folder
    (open_folder / "inner").chmod(0o700)


def test_a_closed_subfolder_is_not_left_out_in_silence(closed_inside, ordinary_user):
    with pytest.raises(InputError, match=r"inner: cannot look into this folder \(Permission denied\)"):
        load(closed_inside)
