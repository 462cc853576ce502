"""How people want a folder of images read, and where that would do nothing."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contrastive_entropy.data.pixels import suffixes
from contrastive_entropy.errors import InputError

GRAY, RGB = MODES = ("gray", "rgb")
"""What images may be converted to."""

NOT = "not "
"""Before a subfolder that is left out."""


@dataclass(frozen=True)
class ImageReading:
    """How a folder of images is read; the fields are settings of a fit.

    Args:
        image_size: "64", or "64x48" for width x height, that all are resized to; None leaves them.
        image_mode: of `MODES`, that all are converted to; None leaves them.
        image_range: "LOW,HIGH", the stored values that become 0 and 1; None takes all that the type of file can hold.
        subfolders: names, paths or patterns with commas between, of folders that are read, or with `NOT` before them left
            out; None reads all.
        skip_unreadable: leave out files that cannot be read.

    Raises:
        InputError: a value cannot be used.

    >>> ImageReading(image_size="64x48", image_range="0,4095").limits
    (0.0, 4095.0)
    """

    image_size: str | None = None
    image_mode: str | None = None
    image_range: str | None = None
    subfolders: str | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        _ = self.size, self.limits
        if self.image_mode not in (None, *MODES):
            raise InputError(f"`image_mode` must be {' or '.join(MODES)}, got {self.image_mode!r}")
        if self.subfolders is not None and not all(self.patterns):
            raise InputError(f"`subfolders` must be names of folders with commas between, got {self.subfolders!r}")

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height)."""
        if self.image_size is None:
            return None
        parts = self.image_size.lower().split("x")
        if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            raise InputError(
                f"`image_size` must be a number of pixels, such as 64, or width x height, such as 64x48; got "
                f"{self.image_size!r}"
            )
        return int(parts[0]), int(parts[-1])

    @property
    def limits(self) -> tuple[float, float] | None:
        """The values that become 0 and 1."""
        if self.image_range is None:
            return None
        try:
            low, high = map(float, self.image_range.split(","))
        except ValueError:
            low, high = 0.0, 0.0
        if not -math.inf < low < high < math.inf:
            raise InputError(
                f"`image_range` must be two numbers, the lesser first, such as 0,4095; got {self.image_range!r}"
            )
        return low, high

    @property
    def patterns(self) -> list[str]:
        """Of subfolders, with `NOT` before those that are left out."""
        return [] if self.subfolders is None else [part.strip().strip("/") for part in self.subfolders.split(",")]

    @property
    def asked(self) -> dict[str, str | bool]:
        """What differs from the defaults, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}


AS_THEY_ARE = ImageReading()
"""Images of one size and one number of channels."""


def holds_pictures(path: str | Path) -> bool:
    """Whether a path is that of a folder, or of an image file."""
    return os.path.isdir(path) or Path(path).suffix.lower() in suffixes()


def ignored(name: str, *, known: bool) -> dict[str, str]:
    """The fields of `ImageReading` that would do nothing for a data set, and why.

    Args:
        name: of the data set, or its path.
        known: whether it is no path.
    """
    if known or (os.path.exists(name) and not holds_pictures(name)):
        return {field.name: f"{name} is no folder of images" for field in dataclasses.fields(ImageReading)}
    return {"subfolders": f"{name} is a single file"} if os.path.isfile(name) else {}


def shared_out(images: ImageReading, useless: Sequence[Mapping[str, str]]) -> list[ImageReading]:
    """What each of several data sets can take of a way to read images; subfolders are those of the first.

    Args:
        images: the way.
        useless: for each data set, what `ignored` finds.

    Raises:
        InputError: something would be ignored by all of them.
    """
    for setting in images.asked:
        reasons = [found.get(setting) for found in (useless[:1] if setting == "subfolders" else useless)]
        if all(reasons):
            raise InputError(f"`{setting}` would be ignored: {' and '.join(map(str, reasons))}; leave it out")
    default = dataclasses.asdict(AS_THEY_ARE)
    found = [{*names, "subfolders"} if index else {*names} for index, names in enumerate(useless)]
    return [dataclasses.replace(images, **{name: default[name] for name in names}) for names in found]
