"""Folders of images as people have them; each kind with the report that it comes from in mind."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from contrastive_entropy import InputError
from contrastive_entropy.data.load import read_points
from contrastive_entropy.data.pixels import suffixes
from files import gray, notices, read, save_images

SHAPE = (6, 5)
WHITE = 255
HIDDEN, SHOWN = (255, 0, 255), (10, 20, 30)


def see_through(mode):
    """An image whose left half is transparent, with a colour behind that nobody sees, and what is saved beside it."""
    half = np.zeros((4, 4), bool)
    half[:, :2] = True
    colours = np.where(half[..., None], HIDDEN, SHOWN).astype(np.uint8)
    alpha = np.where(half, 0, 255).astype(np.uint8)
    level = np.where(half, 77, 10).astype(np.uint8)
    if mode == "RGBA":
        return Image.fromarray(np.dstack([colours, alpha])), {}
    if mode == "LA":
        return Image.merge("LA", (Image.fromarray(level), Image.fromarray(alpha))), {}
    if mode.startswith("P"):
        image = Image.fromarray(half.astype(np.uint8)).convert("P")
        image.putpalette([*SHOWN, *HIDDEN])
        return image, {"transparency": 1 if mode == "P" else bytes([255, 0])}
    if mode == "I;16":
        return Image.fromarray(256 * level.astype(np.uint16)), {"transparency": 256 * 77}
    if mode == "L":
        return Image.fromarray(level), {"transparency": 77}
    return Image.fromarray(colours), {"transparency": HIDDEN}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P bytes", "L", "RGB", "I;16"])
def test_what_is_transparent_is_white(tmp_path, mode):
    image, beside = see_through(mode)
    image.save(tmp_path / "a.png", **beside)
    (found,) = read(tmp_path)
    assert (found[:, :2] == WHITE).all()
    expected = SHOWN if found.ndim == 3 else 10
    assert np.allclose(found[:, 2:], expected, atol=0.05)  # of 16 bits, 10 x 256 of 65535
    assert (found.ndim == 3) == (mode[0] in "RP")


@pytest.mark.parametrize(("suffix", "mode"), [(".tif", "RGBA"), (".webp", "RGBA"), (".gif", "P"), (".tga", "RGBA")])
def test_transparency_of_other_formats(tmp_path, suffix, mode):
    image, beside = see_through(mode)
    image.save(tmp_path / f"a{suffix}", **beside, **({"lossless": True} if suffix == ".webp" else {}))
    (found,) = read(tmp_path)
    assert (found[:, :2] == WHITE).all()
    assert (found[:, 2:] == SHOWN).all()


def test_half_transparent_pixels_are_mixed_with_white(tmp_path, caplog):
    Image.fromarray(np.full((4, 4, 4), 100, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 4, 4), 255, np.uint8)).save(tmp_path / "b.png")  # opaque
    text = notices(caplog, lambda: read(tmp_path))
    assert np.abs(read(tmp_path)[0] - (100 * 100 + 155 * 255) / 255).max() < 1
    assert "1 file with transparency laid on white" in text


EXACT = {".png": {}, ".tif": {}, ".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(tmp_path, suffix, orientation):
    """All eight ways to hold a camera, from an upright image turned back."""
    upright = np.zeros((8, 16), np.uint8)
    upright[:, :8], upright[:4, 8:] = 250, 90
    undo = {2: [1], 3: [1, 0], 4: [0], 5: ["t"], 6: ["t", 0], 7: ["t", 0, 1], 8: ["t", 1]}.get(orientation, [])
    stored = upright
    for step in undo:
        stored = stored.T if step == "t" else np.flip(stored, step)
    tag = Image.Exif()
    tag[274] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored)).convert("RGB")
    image.save(tmp_path / f"a{suffix}", exif=tag, **EXACT[suffix])
    (found,) = read(tmp_path)
    assert found.shape == (8, 16, 3)
    assert np.abs(found - upright[..., None]).max() < 6


def test_portraits_and_landscapes_of_one_camera_become_one_size(tmp_path, caplog):
    tag = Image.Exif()
    tag[274] = 6
    for i, image in enumerate(gray(12, (24, 16))):
        turned = np.ascontiguousarray(np.rot90(image)) if i % 2 else image
        Image.fromarray(turned).save(tmp_path / f"{i:02}.png", **({"exif": tag} if i % 2 else {}))
    assert "6 files turned upright" in notices(caplog, lambda: read(tmp_path))
    assert read(tmp_path).shape == (12, 24, 16)


@pytest.mark.parametrize(
    ("dtype", "top", "white"), [(np.uint16, 4096, 4095), (np.uint16, 1024, 1023), (np.uint8, 2, 1)]
)
def test_files_that_use_a_part_of_their_range(tmp_path, caplog, dtype, top, white):
    arrays = gray(dtype=dtype, top=top)
    arrays[0, 0, 0] = white
    save_images(tmp_path, arrays)
    most = np.iinfo(dtype).max
    text = notices(caplog, lambda: read(tmp_path))
    assert f"values up to {white}, and could hold {most}, which counts as white" in text
    assert f"set `image_range` 0,{white}" in text
    assert np.allclose(read(tmp_path), arrays / most * 255, atol=1e-3)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="contrastive_entropy"):
        scaled = read(tmp_path, image_range=f"0,{white}")
    assert np.allclose(scaled, arrays / white * 255, atol=1e-3)
    assert "dark" not in caplog.text


def test_files_that_use_their_range_are_not_called_dark(tmp_path, caplog):
    save_images(tmp_path, gray(dtype=np.uint16, top=65536))
    assert "dark" not in notices(caplog, lambda: read(tmp_path))


def test_a_range_that_the_values_leave_is_refused(tmp_path):
    save_images(tmp_path, gray(dtype=np.uint16, top=4096))
    with pytest.raises(InputError, match=r"values from \d+ to \d+ are outside of `image_range` 0,1000; widen it"):
        read(tmp_path, image_range="0,1000")


def test_floats_and_32_bits_are_scaled_on_request(tmp_path):
    arrays = np.linspace(-1000, 3000, 12 * 30).reshape(12, *SHAPE).astype(np.float32)
    save_images(tmp_path, arrays, ".tif")
    with pytest.raises(InputError, match=r"float32 values from -1000 to 3000, .* set `image_range` .* -1000,3000"):
        read(tmp_path)
    assert np.allclose(read(tmp_path, image_range="-1000,3000"), (arrays + 1000) / 4000 * 255, atol=1e-3)


LOSSLESS = [
    ".png",
    ".bmp",
    ".dib",
    ".pgm",
    ".ppm",
    ".pnm",
    ".tif",
    ".tiff",
    ".tga",
    ".jp2",
    ".j2k",
    ".pcx",
    ".sgi",
    ".im",
]


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_pillow_reads_is_read(tmp_path, suffix, channels):
    if suffix.startswith(".j") and not features.check("jpg_2000"):
        pytest.skip("Pillow without JPEG 2000")
    shape = (8, 8, 3) if channels == 3 else (8, 8)
    arrays = gray(3, shape)
    save_images(tmp_path, arrays, suffix)
    assert np.allclose(read(tmp_path), arrays, atol=1e-3)


def test_other_formats_are_known(tmp_path):
    assert {".ico", ".webp", ".gif", ".jfif", ".apng", ".qoi", ".psd", ".dds"} <= suffixes()
    assert not {".mpg", ".h5", ".eps", ".pdf", ".csv", ".npy"} & suffixes()
    Image.fromarray(gray(1, (16, 16, 3))[0]).save(tmp_path / "a.ico", sizes=[(16, 16)])
    assert read(tmp_path).shape == (1, 16, 16, 3)


def test_formats_side_by_side(tmp_path, caplog):
    arrays = gray(40)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / (f"{i:02}.png" if i < 11 else f"{i:02}.PGM"), format=None)
    (tmp_path / "labels.csv").write_text("1")
    (tmp_path / "notes").write_text("1")
    text = notices(caplog, lambda: read(tmp_path))
    assert f"{tmp_path}: read 40 images from 1 folder, left out 2 files (1 .csv; 1 without a suffix)" in text
    assert caplog.records[0].levelno == logging.WARNING
    assert np.allclose(read(tmp_path), arrays, atol=1e-3)


def test_pages_of_stacks_are_images(tmp_path, caplog):
    arrays = gray(120)
    for i in range(12):
        first, *rest = map(Image.fromarray, arrays[10 * i : 10 * i + 10])
        first.save(tmp_path / f"{i:02}.tif", save_all=True, append_images=rest)
    assert "read 120 images from 1 folder; 120 are frames or pages of 12 files" in notices(
        caplog, lambda: read(tmp_path)
    )
    assert np.allclose(read(tmp_path), arrays, atol=1e-3)
    assert np.allclose(read(tmp_path / "03.tif"), arrays[30:40], atol=1e-3)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("colour", [False, True])
def test_frames_of_animations_are_images(tmp_path, suffix, colour):
    frames = np.repeat(np.arange(12, dtype=np.uint8)[:, None, None] * 20, 8, 1).repeat(8, 2)
    frames[:, :4] = 255 - frames[:, :4]
    if colour:
        frames = np.stack([frames, frames // 2, 255 - frames], 3)
    first, *rest = map(Image.fromarray, frames)
    beside = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=rest, **beside)
    found = read(tmp_path)
    found = found[..., 0] if suffix != ".png" and not colour else found  # the others know colour only
    assert found.shape == frames.shape
    assert np.abs(found - frames).max() < 1


def test_transparent_animations_lie_on_white(tmp_path):
    frames = []
    for i in range(4):
        pixels = np.zeros((8, 8, 4), np.uint8)
        pixels[i : i + 3, 2:5] = (200, 10, 10, 255)
        frames.append(Image.fromarray(pixels))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2)
    for i, found in enumerate(read(tmp_path)):
        expected = np.full((8, 8, 3), 255)
        expected[i : i + 3, 2:5] = (200, 10, 10)
        assert np.abs(found - expected).max() < 1, i


def test_previews_inside_of_a_file_are_no_images(tmp_path):
    """A camera's JPEG holds a small one, a scan's TIFF a reduced page."""
    large, small = gray(1, (16, 16, 3))[0], gray(1, (4, 4, 3))[0]
    Image.fromarray(large).save(tmp_path / "a.mpo", save_all=True, append_images=[Image.fromarray(small)])
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    assert read(tmp_path).shape == (1, 16, 16, 3)
    reduced = Image.fromarray(small)
    reduced.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(large).save(tmp_path / "b.tif", save_all=True, append_images=[reduced])
    assert read(tmp_path / "b.tif").shape == (1, 16, 16, 3)
    instead, *frames = (Image.fromarray(np.full((4, 4), 50 * i, np.uint8)) for i in range(4))  # where nothing moves
    instead.save(tmp_path / "c.png", save_all=True, append_images=frames, default_image=True)
    assert read(tmp_path / "c.png")[:, 0, 0].round().tolist() == [50, 100, 150]


def test_gray_and_colour_become_one_on_request(tmp_path):
    array = gray(1, (6, 5, 3))[0]
    Image.fromarray(array[..., 0]).save(tmp_path / "a.png")
    Image.fromarray(array).save(tmp_path / "b.png")
    Image.fromarray(array).quantize(4).save(tmp_path / "c.png")
    with pytest.raises(InputError, match=r"b\.png: in colour unlike gray of a\.png; `image_mode` gray or rgb"):
        read(tmp_path)
    found = read(tmp_path, image_mode="rgb")
    assert np.allclose(found[1], array, atol=1e-3)
    assert np.allclose(found[0], array[..., :1], atol=1e-3)
    found = read(tmp_path, image_mode="gray")
    assert np.allclose(found[0], array[..., 0], atol=1e-3)
    assert np.abs(found[1] - np.asarray(Image.fromarray(array).convert("L"))).max() < 1


def test_gray_pages_beside_colour_become_colour(tmp_path):
    """A decoder may give one frame of a file another mode than the rest."""
    array = gray(1, (6, 5, 3))[0]
    Image.fromarray(array).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(array[..., 0])])
    found = read(tmp_path)
    assert np.allclose(found[0], array, atol=1e-3)
    assert np.allclose(found[1], array[..., :1], atol=1e-3)


def test_depths_become_one_on_request(tmp_path):
    Image.fromarray(np.full(SHAPE, 51, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full(SHAPE, 257 * 102, np.uint16)).save(tmp_path / "b.png")
    assert np.allclose(read(tmp_path, image_mode="gray")[:, 0, 0], [51, 102], atol=1e-3)


def test_sizes_become_one_on_request(tmp_path, caplog):
    for i, shape in enumerate([(64, 64), (48, 64), (8, 16), (4, 4)]):
        Image.fromarray(np.full((*shape, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(
        InputError, match=r"1\.png: its size 64x48, width x height, differs from 64x64 of 0\.png; `image_size`"
    ):
        read(tmp_path)
    text = notices(caplog, lambda: read(tmp_path, image_size="8x4"))
    assert "; 4 resized to 8 x 4, the proportions of 3 changed" in text
    found = read(tmp_path, image_size="8x4")
    assert found.shape == (4, 4, 8, 3)
    assert np.allclose(found, 40 * np.arange(4)[:, None, None, None], atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_smaller_images_are_means_not_picked_pixels(tmp_path, dtype):
    checks = (np.indices((64, 64)).sum(0) % 2 * np.iinfo(dtype).max).astype(dtype)
    save_images(tmp_path, [checks])
    assert np.abs(read(tmp_path, image_size="8") - 127.5).max() < 12
    ramp = np.repeat(np.linspace(0, np.iinfo(dtype).max, 64)[None], 64, 0).astype(dtype)
    save_images(tmp_path, [ramp])
    assert np.abs(np.diff(read(tmp_path, image_size="8")[0, 0]) - 32).max() < 4  # triangles are cut at the edges


def test_unreadable_files_are_named_and_left_out_on_request(tmp_path, caplog):
    save_images(tmp_path, gray())
    (tmp_path / "03.png").write_bytes(b"")
    (tmp_path / "07.png").write_bytes((tmp_path / "08.png").read_bytes()[:50])
    with pytest.raises(InputError, match=r"03\.png: not a readable image .*`skip_unreadable`"):
        read(tmp_path)
    text = notices(caplog, lambda: read(tmp_path, skip_unreadable=True))
    assert f"read 10 images from 1 folder, left out 2 files (2 that cannot be read: {tmp_path / '03.png'}" in text
    assert "07.png" in text
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of its 1 images can be read"):
        read(tmp_path / "empty", skip_unreadable=True)


CASES = {
    "rgba_hidden": (40, (3, 16, 16)),
    "palette_transparent": (40, (3, 16, 16)),
    "exif_square": (40, (3, 16, 16)),
    "exif_portrait": (40, (3, 24, 16)),
    "gray12bit_png": (40, (1, 16, 16)),
    "tiff_stacks12": (120, (1, 16, 16)),
    "png_plus_pgm": (40, (1, 16, 16)),
    "train_test_masks": (54, (1, 16, 16)),
}


@pytest.mark.parametrize("name", CASES)
def test_cases_of_the_reports(name, caplog):
    folder = Path(os.environ.get("CE_CASES", "nowhere")) / name
    if not folder.is_dir():
        pytest.skip("CE_CASES names no folder of them")
    count, shape = CASES[name]
    points, schema = read_points(folder)
    assert (len(points), schema.shape) == (count, shape)
    if name in ("rgba_hidden", "palette_transparent"):
        corners = points.reshape(-1, *shape)[:, :, 0, 0]
        assert (corners == 1).all()
