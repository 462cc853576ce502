"""Image data sets in the layout of the Hugging Face hub: a local copy, or a download that announces itself."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.errors import InputError


@dataclass(frozen=True)
class HubDataset:
    """Where a data set is and what its columns are called.

    Args:
        identifier: on the hub.
        image: column of the images.
        label: column of the classes.
        megabytes: to download.
        description: one line.
    """

    identifier: str
    image: str
    label: str
    megabytes: int
    description: str


HUB: dict[str, HubDataset] = {
    "mnist": HubDataset("ylecun/mnist", "image", "label", 18, "60000 + 10000 held out, 28 x 28"),
}
"""Data sets by name."""


def load_images(name: str, root: Path | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The training and the test part of a data set of `HUB`.

    Args:
        name: of `HUB`.
        root: folder that holds a copy in a folder of that name; None takes the hub, or its cache.

    Returns:
        Training images (n, channels, height, width) uint8 and classes (n,) int64; test images and classes.

    Raises:
        InputError: no copy there, the hub cannot be reached, or the content is not as expected.
    """
    entry = HUB[name]
    source = entry.identifier if root is None else str(root / name)
    if root is not None and not (root / name).is_dir():
        raise InputError(
            f"no folder {name} in {root}; it should hold a copy of https://huggingface.co/datasets/{entry.identifier}"
        )
    try:
        parts = _load(source)
    except Exception as error:  # the library raises nearly any type, from its own to those of its transports
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"{name}: cannot load {source} ({reason}); give a folder that holds a copy with --data-root, or connect to the "
            f"internet: about {entry.megabytes} MB come from huggingface.co and are kept in its cache"
        ) from error
    missing = {"train", "test"} - set(parts)
    if missing:
        raise InputError(f"{source}: expected the parts train and test, found {', '.join(parts) or 'none'}")
    return *_as_tensors(parts["train"], entry, source), *_as_tensors(parts["test"], entry, source)


def _load(source: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return datasets.load_dataset(source)


def _as_tensors(part: Any, entry: HubDataset, source: str) -> tuple[Tensor, Tensor]:
    missing = {entry.image, entry.label} - set(part.column_names)
    if missing:
        raise InputError(f"{source}: no column {', '.join(sorted(missing))}; found {', '.join(part.column_names)}")
    images = np.stack([np.asarray(image) for image in part[entry.image]])
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(images)), torch.tensor(part[entry.label][:])
