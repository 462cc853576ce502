"""The pixels of one image file, as a viewer shows them: upright, on white where they are transparent, every frame."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contrastive_entropy.data.arrays import reason
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

NO_PIXELS = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF")
"""What Pillow knows by name but does not decode by itself."""

ONE_PICTURE = ("MPO", "PSD")
"""Formats whose further frames belong to the first one: previews and depth of a camera's JPEG, layers of a drawing."""

SUBFILE_TYPE, REDUCED_OR_MASK = 254, 1 | 4
"""The tag of a TIFF page, and its bits for a smaller copy of another page and for a page that says what is transparent."""

WHITE = (255, 255, 255, 255)
"""What transparent images are laid on."""


@dataclass(frozen=True)
class Frames:
    """What one file holds.

    Args:
        pixels: uint8 or uint16 gray (height, width), uint8 RGB (height, width, 3), or gray of another type, one for each
            frame.
        turned: whether the file says that it must be turned to stand upright.
        transparent: whether parts of it are transparent.
    """

    pixels: list[np.ndarray]
    turned: bool
    transparent: bool


@cache
def suffixes() -> frozenset[str]:
    """Endings of files whose pixels Pillow, as it is installed, can read; in lower case, with the dot."""
    from PIL import Image

    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in Image.OPEN and name not in NO_PIXELS)


def read_frames(file: Path) -> Frames:
    """All frames of an image file.

    Raises:
        InputError: it cannot be read.
    """
    from PIL import ExifTags, Image

    try:
        with Image.open(file) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
            pixels: list[np.ndarray] = []
            transparent = False
            for frame in _indices(image):
                image.seek(frame)
                if int(getattr(image, "tag_v2", {}).get(SUBFILE_TYPE, 0)) & REDUCED_OR_MASK and pixels:
                    continue
                pixels.append(pixels_of(image))
                transparent |= shows_through(image)
            return Frames(_alike(pixels), turned, transparent)
    except Exception as error:  # damaged files make the decoders raise nearly any type
        raise InputError(
            f"{file}: not a readable image ({reason(error)}); mend or remove it, or leave such files out with "
            "`skip_unreadable`"
        ) from error


def _indices(image: "Image.Image") -> range:
    """Frames that are images of their own."""
    if image.format in ONE_PICTURE:
        return range(image.tell(), image.tell() + 1)
    return range(int(bool(image.info.get("default_image"))), getattr(image, "n_frames", 1))


def _alike(frames: list[np.ndarray]) -> list[np.ndarray]:
    """A file's frames, all gray or all in colour: the decoders may give the first frame of a GIF another mode."""
    if len({frame.ndim for frame in frames}) < 2:
        return frames
    if all(frame.ndim == 2 or bool((frame == frame[..., :1]).all()) for frame in frames):
        return [frame if frame.ndim == 2 else frame[..., 0] for frame in frames]
    return [frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, 2) for frame in frames]


def has_alpha(image: "Image.Image") -> bool:
    """Whether an image has an alpha channel, or a colour that stands for transparent."""
    return image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info


def shows_through(image: "Image.Image") -> bool:
    """Whether a part of an image is transparent, more or less."""
    if not has_alpha(image) or image.mode.startswith("I"):
        return has_alpha(image)
    return int(np.asarray(_straight(image))[..., 3].min()) < 255


def pixels_of(image: "Image.Image") -> np.ndarray:
    """An image as a viewer shows it, upright and on white where it is transparent.

    Returns:
        uint8 or uint16 gray (height, width), uint8 RGB (height, width, 3), or float gray.
    """
    from PIL import ImageOps

    image.load()  # some formats know only then which way is up
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return _deep_gray(image)
    gray = image.mode in ("1", "L", "LA", "La")
    if has_alpha(image):
        image = _on_white(image)
    if image.mode in ("L", "RGB", "F") and gray == (image.mode == "L"):
        return np.asarray(image)
    return np.asarray(image.convert("L" if gray else "RGB"))


def _deep_gray(image: "Image.Image") -> np.ndarray:
    """Gray of more than 8 bits; a level that stands for transparent is white."""
    pixels = np.asarray(image)
    if 0 <= pixels.min() <= pixels.max() <= 65535:
        hidden = pixels == image.info.get("transparency", -1)
        pixels = np.where(hidden, 65535, pixels).astype(np.uint16)
    return pixels


def _on_white(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), _straight(image)).convert("RGB")


def _straight(image: "Image.Image") -> "Image.Image":
    """RGBA whose colours are not multiplied by their alpha."""
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    return (image.convert(straight) if straight else image).convert("RGBA")
