import json

import numpy as np
import pytest
import torch

from commands import call
from contrastive_entropy import InputError
from contrastive_entropy.data import hub
from contrastive_entropy.data.hub import HUB, load_images
from contrastive_entropy.data.load import load


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of a few images, in the hub's layout."""
    import datasets

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    (tmp_path / "mnist").mkdir()
    for part, rows in (("train", slice(0, 20)), ("test", slice(20, 30))):
        columns = {"image": list(pixels[rows]), "label": list(np.arange(30)[rows] % 10)}
        table = datasets.Dataset.from_dict(columns, features=features)
        table.to_parquet(tmp_path / "mnist" / f"{part}-00000-of-00001.parquet")
    return tmp_path, pixels


def test_a_copy_in_the_layout_of_the_hub(copy):
    root, pixels = copy
    data = load("mnist", data_root=root)
    assert data.image_shape == (1, 28, 28)
    assert (len(data.train), len(data.held_out)) == (20, 10)
    torch.testing.assert_close(data.train.points * 255, torch.from_numpy(pixels[:20]).flatten(1).float())
    assert data.train.labels.tolist() == [*range(10)] * 2
    assert data.held_out.labels.tolist() == [*range(10)]


def test_stacked_digits(copy):
    root, pixels = copy
    data = load("stacked_mnist", data_root=root, points=50)
    assert data.image_shape == (3, 28, 28)
    assert (len(data.train), len(data.held_out)) == (50, 10)
    for part, rows in ((data.train, slice(0, 20)), (data.held_out, slice(20, 30))):
        known = {tuple(row) for row in pixels[rows].reshape(-1, 784).tolist()}
        channels = (part.points * 255).round().int().reshape(-1, 3, 784)
        for channel in range(3):
            drawn = {tuple(row) for row in channels[:, channel].tolist()}
            assert drawn <= known  # whole digits of this part
            assert len(drawn) >= 0.5 * len(known)
            assert not torch.equal(channels[:, channel], channels[:, channel - 1])  # independent of each other
    torch.testing.assert_close(load("stacked_mnist", data_root=root, points=50).train.points, data.train.points)


def test_modes_of_stacked_digits(copy):
    root, _ = copy
    out = root / "modes"
    result = call(
        *("experiment", "mode-coverage", "--laws", "stacked_mnist", "--data-root", root, "--out", out),
        *("--steps", 2, "--seeds", 0, "--samples", 300),
    )
    assert result.exit_code == 0, result.output
    found = json.loads((out / "mode-coverage.json").read_text())["rows"][0]
    assert found["modes"] == 1000
    assert "accuracy" in found["classifier"]
    assert found["model"][0]["modes"] < 60 < found["real"][0]["modes"] <= 300  # two steps reach little
    assert found["model"][0]["reverse_kl"] > found["real"][0]["reverse_kl"] > 1.2  # log(1000 / 300) = 1.2
    assert "not judged" in (out / "mode-coverage.md").read_text()


def test_what_is_missing_is_named(copy, tmp_path, monkeypatch):
    root, _ = copy
    with pytest.raises(InputError, match=r"no folder mnist in .*elsewhere; .*datasets/ylecun/mnist"):
        load("mnist", data_root=tmp_path / "elsewhere")
    monkeypatch.setitem(HUB, "mnist", hub.HubDataset("ylecun/mnist", "picture", "label", 18, ""))
    with pytest.raises(InputError, match="no column picture; found image, label"):
        load_images("mnist", root)
    (root / "mnist" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match="expected the parts train and test, found train"):
        load_images("mnist", root)
    (root / "mnist" / "train-00000-of-00001.parquet").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"mnist: cannot load .*mnist \(.*`data_root`"):
        load_images("mnist", root)


def test_without_a_connection_the_options_are_named(monkeypatch):
    def unreachable(source):
        raise ConnectionError(f"Couldn't reach {source!r}")

    monkeypatch.setattr(hub, "_load", unreachable)
    with pytest.raises(InputError, match=r"cannot load ylecun/mnist \(Couldn't reach.*`data_root`.*about 18 MB"):
        load("mnist")


def write_copy(folder, parts, *, shape=(20, 24, 3), label=True):
    """A data set of colour images as the hub lays it out."""
    import datasets

    folder.mkdir(parents=True)
    kinds = {"picture": datasets.Image(), "name": datasets.Value("string")}
    kinds |= {"kind": datasets.ClassLabel(num_classes=3)} if label else {}
    for part, count in parts.items():
        pixels = np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
        columns = {"picture": list(pixels), "name": [str(i) for i in range(count)]}
        columns |= {"kind": [i % 3 for i in range(count)]} if label else {}
        table = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        table.to_parquet(folder / f"{part}-00000-of-00001.parquet")


def test_any_data_set_of_the_hub_by_its_identifier(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write_copy(tmp_path / "owner" / "shapes", {"train": 30, "test": 12})
    data = load("hub:owner/shapes", data_root=tmp_path)
    assert data.image_shape == (3, 20, 24)
    assert (len(data.train), len(data.held_out)) == (30, 12)
    assert not caplog.records
    assert len(load("hub:owner/shapes", data_root=tmp_path, held_out=0.3).held_out) == 12
    load("hub:owner/shapes", data_root=tmp_path, held_out=0.3)
    assert caplog.text.count("hub:owner/shapes comes with held-out images, its part test: they are taken") == 1
    assert sorted(data.train.labels.tolist()) == [0] * 10 + [1] * 10 + [2] * 10
    some = load("hub:owner/shapes", data_root=tmp_path, points=11, seed=3)
    assert len(some.train) == 11
    rows = [int((data.train.points == row).all(1).nonzero()[0, 0]) for row in some.train.points]
    assert data.train.labels[rows].tolist() == some.train.labels.tolist()
    write_copy(tmp_path / "single", {"train": 30}, label=False)
    split = load("hub:someone/single", data_root=tmp_path, held_out=0.3)
    assert (len(split.train), len(split.held_out), split.train.labels) == (21, 9, None)


def test_images_stored_class_by_class_come_mixed(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "owner" / "sorted"
    folder.mkdir(parents=True)
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=4)})
    for part, count in (("train", 40), ("test", 20)):
        labels = [4 * row // count for row in range(count)]
        pictures = [np.full((2, 2), 60 * kind, np.uint8) for kind in labels]
        table = datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=kinds)
        table.to_parquet(folder / f"{part}-00000-of-00001.parquet")
    data = load("hub:owner/sorted", data_root=tmp_path)
    for points, labels in ((data.train.points, data.train.labels), (data.held_out.points, data.held_out.labels)):
        torch.testing.assert_close((points[:, 0] * 255 / 60).round().long(), labels)  # each image keeps its class
        assert labels[: len(labels) // 2].unique().tolist() == [0, 1, 2, 3]
        assert labels.bincount().tolist() == [len(labels) // 4] * 4
    torch.testing.assert_close(load("hub:owner/sorted", data_root=tmp_path).train.points, data.train.points)


@pytest.mark.parametrize("labels", [[-1] * 20, [2] * 20])
def test_withheld_or_single_classes_are_none(labels, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "owner" / "few").mkdir(parents=True)
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=3)})
    for part, found in (("train", [0, 1, 2, 1] * 5), ("test", labels)):
        columns = {"image": [np.zeros((2, 2), np.uint8)] * 20, "label": found}
        table = datasets.Dataset.from_dict(columns, features=kinds)
        table.to_parquet(tmp_path / "owner" / "few" / f"{part}-00000-of-00001.parquet")
    data = load("hub:owner/few", data_root=tmp_path)
    assert data.train.labels.bincount().tolist() == [5, 10, 5]
    assert data.held_out.labels is None


def test_identifiers_and_contents_that_cannot_be_used(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for name in ("hub:mnist", "hub:", "hub:a/b/c", "hub:/x"):
        with pytest.raises(
            InputError, match=r"expected hub:owner/name as on https://huggingface.co/datasets, got 'hub:"
        ):
            load(name)
    with pytest.raises(
        InputError, match=r"no folder owner/none or none in .*copy of https://huggingface.co/datasets/owner/none"
    ):
        load("hub:owner/none", data_root=tmp_path)
    (tmp_path / "text").mkdir()
    datasets.Dataset.from_dict({"word": ["a"] * 20}).to_parquet(tmp_path / "text" / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match="no column of images; found word"):
        load("hub:owner/text", data_root=tmp_path)
    write_copy(tmp_path / "a" / "sizes", {"train": 5})
    write_copy(tmp_path / "b" / "sizes", {"test": 5}, shape=(10, 10, 3))
    (tmp_path / "b" / "sizes" / "test-00000-of-00001.parquet").rename(
        tmp_path / "a" / "sizes" / "test-00000-of-00001.parquet"
    )
    with pytest.raises(InputError, match=r"training images are \(3, 20, 24\) and held-out ones \(3, 10, 10\)"):
        load("hub:a/sizes", data_root=tmp_path)


def test_faces_are_cut_to_their_middle_and_resized(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setitem(HUB, "celeba", hub.HubDataset("flwrlabs/celeba", "picture", "", 1390, "", crop=16, size=8))
    write_copy(tmp_path / "celeba", {"train": 12, "test": 12})
    data = load("celeba", data_root=tmp_path)
    assert data.image_shape == (3, 8, 8)
    assert data.train.labels is None
    from datasets import load_dataset

    picture = np.asarray(load_dataset(str(tmp_path / "celeba"))["train"][0]["picture"], dtype=np.float64) / 255
    middle = picture[2:18, 4:20]
    blocks = middle.reshape(8, 2, 8, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(data.train.points[0].reshape(3, 8, 8).numpy() - blocks).mean() < 0.1  # a tent filter, not a box
    assert np.corrcoef(data.train.points[0].numpy(), blocks.ravel())[0, 1] > 0.9


def test_a_download_is_announced_with_its_size(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def unreachable(source):
        raise ConnectionError("no network")

    monkeypatch.setattr(hub, "_load", unreachable)
    with (
        caplog.at_level("INFO", logger="contrastive_entropy"),
        pytest.raises(InputError, match=r"celeba.*about 1,390 MB"),
    ):
        load("celeba")
    assert "downloading flwrlabs/celeba from huggingface.co, about 1,390 MB" in caplog.text
    caplog.clear()
    (tmp_path / "cache" / "flwrlabs___celeba").mkdir(parents=True)
    with caplog.at_level("INFO", logger="contrastive_entropy"), pytest.raises(InputError):
        load("celeba")
    assert not caplog.text


def test_points_take_a_part_of_any_data_set():
    whole, part = load("digits"), load("digits", points=100, seed=1)
    assert len(part.train) == len(part.train.labels) == 100
    assert torch.equal(part.held_out.points, whole.held_out.points)
    rows = [int((whole.train.points == row).all(1).nonzero()[0, 0]) for row in part.train.points]
    assert whole.train.labels[rows].tolist() == part.train.labels.tolist()
    assert rows != list(range(100))
    with pytest.raises(InputError, match="`points` must be at least 10, got 9"):
        load("digits", points=9)


def test_sixteen_bits_keep_their_range(tmp_path, monkeypatch):
    import datasets
    from PIL import Image

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    ramp = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    (tmp_path / "deep").mkdir()
    columns = {"image": [Image.fromarray(ramp)] * 12}
    table = datasets.Dataset.from_dict(columns, features=datasets.Features({"image": datasets.Image()}))
    table.to_parquet(tmp_path / "deep" / "train-00000-of-00001.parquet")
    data = load("hub:owner/deep", data_root=tmp_path)
    np.testing.assert_allclose(data.train.points[0].numpy(), ramp.ravel() / 65535, rtol=1e-6)


def test_points_are_taken_after_the_split_of_a_single_part(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write_copy(tmp_path / "single", {"train": 50})
    data = load("hub:someone/single", data_root=tmp_path, held_out=0.4, points=12)
    assert (len(data.train), len(data.held_out)) == (12, 20)
    rows = {row.numpy().tobytes() for row in torch.cat([data.train.points, data.held_out.points])}
    assert len(rows) == 32  # nothing is in both


def test_rows_without_image_or_class_are_named(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    pixels = [np.zeros((4, 4), np.uint8)] * 12
    kinds = datasets.Features({"image": datasets.Image(), "kind": datasets.ClassLabel(num_classes=3)})
    cases = {
        "missing": (
            {"image": [*pixels[:7], None, *pixels[8:]], "kind": [0] * 12},
            "row 7 of column image holds no image",
        ),
        "damaged": (
            {"image": [*pixels[:5], {"bytes": b"junk", "path": None}, *pixels[6:]], "kind": [0] * 12},
            "row 5 of column image holds an image that cannot be read",
        ),
        "unknown": ({"image": pixels, "kind": [0, 1, None] * 4}, "column kind has no class in row 2"),
    }
    for name, (columns, message) in cases.items():
        (tmp_path / name).mkdir()
        for part in ("train", "test"):
            table = datasets.Dataset.from_dict(columns, features=kinds)
            table.to_parquet(tmp_path / name / f"{part}-00000-of-00001.parquet")
        with pytest.raises(InputError, match=message):
            load(f"hub:owner/{name}", data_root=tmp_path)
