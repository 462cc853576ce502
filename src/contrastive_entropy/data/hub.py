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

from contrastive_entropy.data.arrays import as_intensities
from contrastive_entropy.data.dataset import HELD_OUT, MOST_HELD_OUT, Part, split
from contrastive_entropy.data.pixels import pixels_of
from contrastive_entropy.data.schema import Images
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
    most_held_out: int = MOST_HELD_OUT,
    seed: int = 0,
) -> tuple[Part, Part, Images, tuple[str, ...] | None]:
    """The training and the test part of a data set.

    Args:
        name: of `HUB`, or hub:owner/name.
        root: folder that holds a copy in a folder mnist, or owner/name or name; None takes the hub or its cache.
        points: how many training images are taken, drawn at random; None is all.
        held_out: share that is held out of a data set that has only one part.
        most_held_out: as `points`, for the test part.
        seed: of the draws.

    Returns:
        Both parts, their schema, and the names of the classes; None: there are no labels.

    Raises:
        InputError: no copy there, the hub cannot be reached, or the content is not as expected.
    """
    wanted = entry(name)
    source = wanted.identifier if root is None else str(_copy(name, wanted, root))
    parts = _parts(name, wanted, source, local=root is not None)
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
    trained, schema, classes = _as_images(train, wanted, source, points, seed, shuffled=shuffled)
    kept, other, _ = _as_images(test, wanted, source, most_held_out, seed, shuffled=shuffled)
    if other != schema:
        raise InputError(f"{name}: training images are {schema.shape} and held-out ones {other.shape}")
    known = trained.labels is not None and kept.labels is not None
    return trained, kept, schema, classes if known else None


def _parts(name: str, wanted: HubDataset, source: str, *, local: bool) -> Any:
    """The parts by name, with one named train."""
    if not local and not _cached(wanted.identifier):
        logger.info(
            "downloading %s from huggingface.co, %s; it is kept in its cache (`data_root` reads a copy instead)",
            wanted.identifier,
            wanted.cost,
        )
    try:
        parts = _load(source)
    except Exception as error:  # the library raises nearly any type, from its own to those of its transports
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{name}: cannot load {source} ({reason}); give a folder that holds a copy as `data_root`, or connect to the "
            f"internet: {wanted.cost} to download from huggingface.co, kept in its cache"
        ) from error
    if "train" not in parts:
        raise InputError(f"{source}: expected the parts train and test, found {', '.join(parts) or 'none'}")
    return parts


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


def _as_images(
    part: Any, wanted: HubDataset, source: str, most: int | None, seed: int, *, shuffled: bool
) -> tuple[Part, Images, tuple[str, ...] | None]:
    """So many images in the part's order, or shuffled: folders of images are stored by classes, the first images would then
    be unlike the rest, and figures take the first.
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
    pixels = _pixels(part, image, order, wanted, source)
    _, channels, height, width = pixels.shape
    points = torch.from_numpy(np.ascontiguousarray(as_intensities(pixels, source))).flatten(1)
    labels = None if label is None else _labels(part[label][:], label, order, source)
    classes = None if label is None else tuple(part.features[label].names)
    return Part(points, labels=labels), Images(channels, height, width), classes


def _pixels(part: Any, column: str, order: np.ndarray, wanted: HubDataset, source: str) -> np.ndarray:
    """(n, channels, height, width); the order says which rows of the source these are."""
    images: list[np.ndarray] = []
    rows = iter(part.select_columns([column]))
    for row in range(len(part)):
        try:
            images.append(_cut(next(rows)[column], wanted))
        except (OSError, SyntaxError, ValueError, AttributeError) as error:  # PIL's, and a missing picture
            found = "no image" if isinstance(error, AttributeError) else f"an image that cannot be read ({error})"
            raise InputError(f"{source}: row {order[row]} of column {column} holds {found}; mend the copy") from error
    shapes = {pixels.shape for pixels in images}
    if len(shapes) > 1:
        raise InputError(
            f"{source}: images of different sizes or channels, e.g. {', '.join(map(str, sorted(shapes)[:3]))}; make a "
            "copy with one size and give its folder"
        )
    pixels = np.stack(images)
    return pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)


def _labels(found: list[int | None], column: str, order: np.ndarray, source: str) -> Tensor | None:
    """(n,) classes; None if they are withheld or all the same."""
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        row = min(row for row, value in zip(order, found, strict=True) if value is None)
        raise InputError(f"{source}: column {column} has no class in row {row}; mend the copy")
    return torch.tensor(known) if min(known) >= 0 and len(set(known)) > 1 else None  # -1: withheld


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
