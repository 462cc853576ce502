import numpy as np
import pytest
import torch

from contrastive_entropy import InputError, hub
from contrastive_entropy.data import load
from contrastive_entropy.hub import HUB, load_images


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
    assert (len(data.train), len(data.test)) == (20, 10)
    torch.testing.assert_close(data.train * 255, torch.from_numpy(pixels[:20]).flatten(1).float())
    assert data.train_labels.tolist() == [*range(10)] * 2
    assert data.test_labels.tolist() == [*range(10)]


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
    with pytest.raises(InputError, match=r"mnist: cannot load .*mnist \(.*--data-root"):
        load_images("mnist", root)


def test_without_a_connection_the_options_are_named(monkeypatch):
    def unreachable(source):
        raise ConnectionError(f"Couldn't reach {source!r}")

    monkeypatch.setattr(hub, "_load", unreachable)
    with pytest.raises(InputError, match=r"cannot load ylecun/mnist \(Couldn't reach.*--data-root.*about 18 MB"):
        load("mnist")
