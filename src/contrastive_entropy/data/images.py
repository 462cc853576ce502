"""Image files: a folder of images of one size, or a single image."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from contrastive_entropy.data.arrays import reason
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
HIDDEN = (".", "__MACOSX")
"""What names of hidden files and folders start with."""


def read_images(path: Path) -> np.ndarray:
    """All images of a folder and its subfolders, or a single one.

    Args:
        path: of a folder or an image. Hidden files and folders such as .ipynb_checkpoints and ._a.png are left out.

    Returns:
        (n, height, width) or (n, 3, height, width), in the order of the names.

    Raises:
        InputError: no images, a file that cannot be read, or images of different sizes, channels or types.
    """
    files = _image_files(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: a folder without images; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    images: list[np.ndarray] = []
    for file in files:
        pixels = _read_image(file)
        if images and pixels.shape != images[0].shape:
            raise InputError(
                f"{file}: its shape {pixels.shape} differs from {images[0].shape} of {files[0].name}; "
                "resize the images to one size and one number of channels"
            )
        if images and pixels.dtype != images[0].dtype:
            raise InputError(f"{file}: {pixels.dtype} unlike {images[0].dtype} of {files[0].name}; store all alike")
        images.append(pixels)
    stack = np.stack(images)
    return stack.transpose(0, 3, 1, 2) if stack.ndim == 4 else stack


def _image_files(folder: Path) -> list[Path]:
    found = (Path(below, name) for below, names in _folders(folder) for name in names)
    return sorted(path for path in found if path.name.lower().endswith(IMAGE_SUFFIXES))


def _folders(path: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and all below it with their files, each folder once, without what is hidden."""
    seen = set()
    for folder, below, names in os.walk(path, onerror=_refuse_folder, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith(HIDDEN))
        yield folder, [name for name in names if not name.startswith(HIDDEN)]


def _read_image(file: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return pixels_of(image)
    except Exception as error:  # damaged files make the decoders raise nearly any type
        raise InputError(f"{file}: not a readable image ({reason(error)})") from error


def pixels_of(image: "Image.Image") -> np.ndarray:
    """uint8 or uint16 gray (height, width), uint8 RGB (height, width, 3), or float gray."""
    if image.mode in ("L", "RGB", "F"):
        return np.asarray(image)
    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        return pixels.astype(np.uint16) if 0 <= pixels.min() <= pixels.max() <= 65535 else pixels
    return np.asarray(image.convert("L" if image.mode in ("1", "LA", "La") else "RGB"))


def _refuse_folder(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot look into this folder ({error.strerror})") from error
