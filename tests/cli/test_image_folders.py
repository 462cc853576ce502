"""Folders of images through the commands: what is said, kept in a run and read again."""

import json

import numpy as np
import pytest
from PIL import Image

from commands import SMALL, call, refused
from contrastive_entropy import open_run

READING = ["--image-size", "6x4", "--image-mode", "gray", "--subfolders", "not masks", "--skip-unreadable"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 pictures of two sizes, gray and in colour, beside masks, a text and a broken file."""
    path = tmp_path_factory.mktemp("folder")
    draw = np.random.default_rng(0)
    for name in ("pictures", "masks"):
        (path / name).mkdir()
    for i in range(60):
        shape = [(8, 12), (16, 24, 3)][i % 2]
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(path / "pictures" / f"{i:02}.png")
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(path / "masks" / "a.png")
    (path / "pictures" / "labels.txt").write_text("1")
    (path / "pictures" / "99.png").write_bytes(b"")
    return path


@pytest.mark.parametrize("kind", ["generator", "autoencoder"])
def test_a_run_reads_its_folder_as_it_was_asked(folder, tmp_path, kind):
    small = SMALL if kind == "generator" else [word.replace("--components", "--centers") for word in SMALL]
    out = tmp_path / "run"
    result = call("fit", kind, "--data", folder, *READING, "--out", out, *small)
    assert result.exit_code == 0, result.output
    said = f"{folder}: read 60 images from 1 folder, left out 3 files (1 .txt; 1 in other subfolders; 1 that cannot be read"
    assert result.stderr.count(said) == 1  # though it is read to train and to evaluate
    assert "; 60 resized to 6 x 4" in result.stderr
    kept = json.loads((out / "config.json").read_text())
    names = ("image_size", "image_mode", "image_range", "subfolders", "skip_unreadable")
    assert [kept["settings"][name] for name in names] == ["6x4", "gray", None, "not masks", True]
    assert kept["schema"] == {"channels": 1, "height": 4, "width": 6}
    assert call("evaluate", out).exit_code == 0
    assert len(open_run(out).dataset().train) == 48
    changed = call("fit", kind, "--resume", "--out", out, "--image-size", "8")
    refused(changed, "--image-size 8 differs from the run's 6x4")
    if kind == "autoencoder":  # takes a picture as it came
        picture = folder / "pictures" / "03.png"
        result = call("reconstruct", out, "--input", picture, "-n", 2, "--out", tmp_path / "answers.npz")
        assert result.exit_code == 0, result.output


def test_samples_are_compared_with_a_folder_read_so(folder, tmp_path):
    np.save(tmp_path / "samples.npy", np.random.default_rng(1).random((60, 4, 6), dtype=np.float32))
    command = ["evaluate-samples", tmp_path / "samples.npy", folder]
    result = call(*command, *READING, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out.json").read_text())["settings"]["image_size"] == "6x4"
    refused(call(*command, "--skip-unreadable"), "--image-size 12x8, or any other size, resizes all to one")
    refused(call(*command, *READING[:-3], "--subfolders", "mask"), "--subfolders: ", "has no folder 'mask'")


@pytest.mark.parametrize("command", [["variance"], ["bound"], ["fit", "generator", "--out", "run", "--data"]])
def test_other_data_are_not_read_so(command):
    refused(call(*command, "moons", "--image-size", "8"), "--image-size would be ignored: moons is no folder of images")


def test_other_commands_read_folders_so(folder, tmp_path):
    assert call("variance", folder, *READING).exit_code == 0
    result = call("bound", folder, *READING, "--out", tmp_path / "bound.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "bound.json").read_text())
    assert (found["points"], found["dimension"], found["image_mode"]) == (60, 24, "gray")
    assert call("decompose", folder, *READING, "--out", tmp_path / "out").exit_code == 0
