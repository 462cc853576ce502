"""Image data sets in the layout of the Hugging Face hub: a local copy, or a download that announces itself."""

import logging
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.files import HELD_OUT, as_intensities, pixels_of, split
from contrastive_entropy.errors import InputError

PREFIX = "hub:"
"""Before the identifier of any other data set on the hub, `hub:owner/name`."""

logger = logging.getLogger("contrastive_entropy")


@dataclass(frozen=True)
class HubDataset:
    """Where a data set is and what its columns are called.

    Args:
        identifier: on the hub.
        image: column of the images; None is the first column of images.
        label: column of the classes; None is the first column of class labels, if there is one; "" is none.
        megabytes: to download; None if not known.
        description: one line.
        crop: side of the square that is cut from the middle; 0 is all of it.
        size: side to which that is resized; 0 leaves it.
    """

    identifier: str
    image: str | None
    label: str | None
    megabytes: int | None
    description: str
    crop: int = 0
    size: int = 0

    @property
    def cost(self) -> str:
        """How much is to be downloaded."""
        return "a size that is not known here" if self.megabytes is None else f"about {self.megabytes:,} MB"


HUB: dict[str, HubDataset] = {
    "mnist": HubDataset("ylecun/mnist", "image", "label", 18, "60000 + 10000 held out, 28 x 28"),
    "fashion_mnist": HubDataset(
        "zalando-datasets/fashion_mnist", "image", "label", 36, "60000 + 10000 held out, 28 x 28"
    ),
    "cifar10": HubDataset("uoft-cs/cifar10", "img", "label", 144, "50000 + 10000 held out, 32 x 32 colour"),
    "celeba": HubDataset(
        "flwrlabs/celeba", "image", "", 1390, "162770 + 10000 held out, 64 x 64 colour", crop=148, size=64
    ),
}
"""Data sets by name. CelebA is for non-commercial research; its faces are cut to the middle 148 x 148 and resized."""


@dataclass(frozen=True)
class Images:
    """One part of a data set.

    Args:
        pixels: (n, channels, height, width) float32 in [0, 1].
        labels: (n,) int64 classes, or None.
    """

    pixels: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.pixels)


def entry(name: str) -> HubDataset:
    """A data set of `HUB`, or any other as `hub:owner/name`.

    Raises:
        InputError: the identifier has not the form owner/name.
    """
    if name in HUB:
        return HUB[name]
    identifier = name.removeprefix(PREFIX)
    owner, slash, rest = identifier.partition("/")
    if not (owner and slash and rest) or "/" in rest:
        raise InputError(f"expected {PREFIX}owner/name as on https://huggingface.co/datasets, got {name!r}")
    return HubDataset(identifier, None, None, None, "")


def load_images(
    name: str,
    root: Path | None,
    *,
    points: int | None = None,
    held_out: float = HELD_OUT,
    most_held_out: int = 10_000,
    seed: int = 0,
) -> tuple[Images, Images]:
    """The training and the test part of a data set.

    Args:
        name: of `HUB`, or hub:owner/name.
        root: folder that holds a copy in a folder mnist, or owner/name or name; None takes the hub or its cache.
        points: how many training images are taken, drawn at random; None is all.
        held_out: share that is held out of a data set that has but one part.
        most_held_out: as `points`, for the test part.
        seed: of the draws.

    Returns:
        Both parts.

    Raises:
        InputError: no copy there, the hub cannot be reached, or the content is not as expected.
    """
    wanted = entry(name)
    source = wanted.identifier if root is None else str(_copy(name, wanted, root))
    if root is None and not _cached(wanted.identifier):
        logger.info(
            "downloading %s from huggingface.co, %s; it is kept in its cache (--data-root DIR reads a copy instead)",
            wanted.identifier,
            wanted.cost,
        )
    try:
        parts = _load(source)
    except Exception as error:  # the library raises nearly any type, from its own to those of its transports
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{name}: cannot load {source} ({reason}); give a folder that holds a copy with --data-root, or connect to the "
            f"internet: {wanted.cost} to download from huggingface.co, kept in its cache"
        ) from error
    if "train" not in parts:
        raise InputError(f"{source}: expected the parts train and test, found {', '.join(parts) or 'none'}")
    held_out_name = next((part for part in ("test", "validation", "valid") if part in parts), None)
    if held_out_name is None and name in HUB:
        raise InputError(f"{source}: expected the parts train and test, found {', '.join(parts)}")
    train = parts["train"]
    if held_out_name is None:
        rows = split(name, len(train), held_out=held_out, most=most_held_out, seed=seed)
        train, test = (train.select(index.sort().values.numpy()) for index in rows)
    else:
        if held_out != HELD_OUT:
            _say_once(
                f"{name} comes with held-out images, its part {held_out_name}: they are taken, and a held-out share of "
                f"{held_out:g} is not"
            )
        test = parts[held_out_name]
    shuffled = name not in HUB
    return (
        _as_images(train, wanted, source, points, seed, shuffled=shuffled),
        _as_images(test, wanted, source, most_held_out, seed, shuffled=shuffled),
    )


@cache
def _say_once(notice: str) -> None:
    """A fit reads its data twice, to train and to evaluate."""
    logger.warning(notice)


def _copy(name: str, wanted: HubDataset, root: Path) -> Path:
    folders = [root / name] if name in HUB else [root / wanted.identifier, root / wanted.identifier.split("/")[1]]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(
        f"no folder {' or '.join(str(folder.relative_to(root)) for folder in folders)} in {root}; it should hold a copy of "
        f"https://huggingface.co/datasets/{wanted.identifier}"
    )


def _cached(identifier: str) -> bool:
    import datasets

    return (Path(datasets.config.HF_DATASETS_CACHE) / identifier.replace("/", "___")).is_dir()


def _load(source: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return datasets.load_dataset(source)


def _as_images(part: Any, wanted: HubDataset, source: str, most: int | None, seed: int, *, shuffled: bool) -> Images:
    """So many images in the part's order, or shuffled: by classes, as folders of images are stored, the first would not be
    like the rest, and figures take the first.
    """
    columns = {name: type(kind).__name__ for name, kind in part.features.items()}
    image = _column(wanted.image, columns, "Image", source)
    label = _column(wanted.label, columns, "ClassLabel", source)
    if image is None:
        raise InputError(f"{source}: no column of images; found {', '.join(columns)}")
    order = np.random.default_rng(seed).permutation(len(part))[:most]
    if not shuffled:
        order = np.sort(order)
    part = part.select(order)
    images: list[np.ndarray] = []
    rows = iter(part.select_columns([image]))
    for row in range(len(part)):
        try:
            images.append(_cut(next(rows)[image], wanted))
        except (OSError, SyntaxError, ValueError, AttributeError) as error:  # PIL's, and a missing picture
            reason = "no image" if isinstance(error, AttributeError) else f"an image that cannot be read ({error})"
            raise InputError(f"{source}: row {order[row]} of column {image} holds {reason}; mend the copy") from error
    shapes = {pixels.shape for pixels in images}
    if len(shapes) > 1:
        raise InputError(
            f"{source}: images of different sizes or channels, e.g. {', '.join(map(str, sorted(shapes)[:3]))}; make a "
            "copy with one size and give its folder"
        )
    pixels = np.stack(images)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    labels = None
    if label is not None:
        found = part[label][:]
        if any(value is None for value in found):
            row = min(row for row, value in zip(order, found, strict=True) if value is None)
            raise InputError(f"{source}: column {label} has no class in row {row}; mend the copy")
        if min(found) >= 0 and len(set(found)) > 1:  # -1: withheld
            labels = torch.tensor(found)
    return Images(torch.from_numpy(np.ascontiguousarray(as_intensities(pixels, source))), labels)


def _column(name: str | None, columns: dict[str, str], kind: str, source: str) -> str | None:
    if name == "":
        return None
    if name is None:
        return next((column for column, found in columns.items() if found == kind), None)
    if name not in columns:
        raise InputError(f"{source}: no column {name}; found {', '.join(columns)}")
    return name


def _cut(picture: Any, wanted: HubDataset) -> np.ndarray:
    if wanted.crop:
        left, top = (picture.width - wanted.crop) // 2, (picture.height - wanted.crop) // 2
        picture = picture.crop((left, top, left + wanted.crop, top + wanted.crop))
    if wanted.size:
        from PIL import Image

        picture = picture.resize((wanted.size, wanted.size), Image.Resampling.BILINEAR)
    return pixels_of(picture)
