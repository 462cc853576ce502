"""Which folders are read, and ways to read that cannot be used."""

import numpy as np
import pytest

import contrastive_entropy as ce
from contrastive_entropy import ImageReading, InputError
from contrastive_entropy.data.load import load, load_pair
from files import gray, notices, read, save_images

SHAPE = (6, 5)


@pytest.fixture
def parted_folder(tmp_path):
    """12 + 8 images, 12 masks and one file at the top; what a folder's images are filled with tells it apart."""
    for value, (name, count) in enumerate({"train/images": 12, "test/images": 8, "train/masks": 12, ".": 1}.items()):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        save_images(tmp_path / name, np.full((count, *SHAPE), 50 * value + 50, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("subfolders", "expected"),
    [
        (None, {50: 12, 100: 8, 150: 12, 200: 1}),
        ("train/images", {50: 12}),
        ("images", {50: 12, 100: 8}),
        ("train", {50: 12, 150: 12}),
        ("*/images/, .", {50: 12, 100: 8, 200: 1}),
        ("not masks", {50: 12, 100: 8, 200: 1}),
        ("train, not train/m*", {50: 12}),
        ("not .", {50: 12, 100: 8, 150: 12}),
    ],
)
def test_subfolders_are_chosen_or_left_out(parted_folder, subfolders, expected):
    values, counts = np.unique(read(parted_folder, subfolders=subfolders)[:, 0, 0].round(), return_counts=True)
    assert dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True)) == expected


def test_folders_are_named_in_the_notice(parted_folder, caplog):
    text = notices(caplog, lambda: read(parted_folder))
    assert "read 33 images from 4 folders (. 1, test/images 8, train/images 12, train/masks 12)" in text
    text = notices(caplog, lambda: read(parted_folder, subfolders="train/images"))
    assert "read 12 images from 1 folder, left out 21 files (21 in other subfolders)" in text


def test_subfolders_that_are_not_there_are_refused(parted_folder):
    with pytest.raises(InputError, match=r"has no folder 'mask'; there are \., test, test/images, train"):
        read(parted_folder, subfolders="train, not mask")


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"image_size": "64x"}, "`image_size` must be a number of pixels"),
        ({"image_size": "0"}, "`image_size` must be"),
        ({"image_size": "8x8x3"}, "`image_size` must be"),
        ({"image_mode": "grey"}, "image_mode.*grey"),
        ({"image_range": "4095"}, "`image_range` must be two numbers, the lesser first"),
        ({"image_range": "9,0"}, "`image_range` must be two numbers"),
        ({"image_range": "0,inf"}, "`image_range` must be two numbers"),
        ({"subfolders": "a,,b"}, "`subfolders` must be names of folders"),
    ],
)
def test_readings_that_cannot_be_used(reading, message):
    with pytest.raises(InputError, match=message):
        ImageReading(**reading)
    with pytest.raises(InputError, match=message):
        ce.GeneratorSettings("faces", **reading)


@pytest.mark.parametrize("reading", [{"image_size": "8"}, {"skip_unreadable": True}, {"subfolders": "a"}])
def test_readings_of_other_data_are_refused(tmp_path, reading):
    (name,) = reading
    np.save(tmp_path / "x.npy", gray())
    for data in (str(tmp_path / "x.npy"), "moons", "hub:owner/name"):
        with pytest.raises(InputError, match=f"`{name}` would be ignored: {data} is no folder of images; leave it out"):
            load(data, images=ImageReading(**reading))
        assert name in ce.AutoencoderSettings(data, **reading).useless
    assert name not in ce.GeneratorSettings(str(tmp_path), **reading).useless


def test_of_two_data_sets_the_folder_is_read_so(tmp_path):
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    save_images(folder / "a", gray(12, (8, 8)))
    np.save(tmp_path / "x.npy", gray(12, (4, 4)))
    p, q, schema = load_pair(str(folder), str(tmp_path / "x.npy"), images=ImageReading(image_size="4", subfolders="a"))
    assert p.shape == q.shape == (12, 16)
    assert schema.shape == (1, 4, 4)
    with pytest.raises(InputError, match="`subfolders` would be ignored"):
        load_pair(str(tmp_path / "x.npy"), str(folder), images=ImageReading(image_size="4", subfolders="a"))
