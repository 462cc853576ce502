"""Image files: a folder of images, or a single file."""

import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

import numpy as np

from contrastive_entropy.data.arrays import as_intensities
from contrastive_entropy.data.pixels import Frames, read_frames, suffixes
from contrastive_entropy.data.reading import AS_THEY_ARE, GRAY, NOT, RGB, ImageReading
from contrastive_entropy.errors import InputError

HIDDEN = (".", "__MACOSX")
"""What names of hidden files and folders start with."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in gray (ITU-R BT.601)."""

DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16))
"""Types whose whole range is known to become [0, 1]."""

ELSEWHERE = "in other subfolders"
"""Why images are left out that were not asked for."""

MOST_NAMED = 5
"""Folders or files that a message names."""

logger = logging.getLogger("contrastive_entropy")


def read_images(path: Path, reading: ImageReading = AS_THEY_ARE) -> np.ndarray:
    """All images of a folder and its subfolders, or of a single file, and a notice of what was read and left out.

    Args:
        path: of a folder or an image. Hidden files and folders such as .ipynb_checkpoints and ._a.png are left out.
        reading: how.

    Returns:
        (n, height, width) or (n, 3, height, width), in the order of the names, a file's frames in their own order; as
        stored, or in [0, 1] if a mode or a range was asked for.

    Raises:
        InputError: no images, a file that cannot be read, or images of different sizes, channels or types.
    """
    files, left_out = _chosen_files(path, reading.patterns) if path.is_dir() else ([path], Counter[str]())
    if not files:
        there = f"; there are {_listed(left_out)}" if left_out else ""
        raise InputError(f"{path}: a folder without images; expected files such as .png, .jpg or .tif{there}")
    stack = _Stack(path, reading)
    for file in files:
        stack.add(file)
    if not stack.images:
        raise InputError(f"{path}: none of its {len(files)} images can be read ({stack.unreadable[0]})")
    images = np.stack(stack.images)
    unasked = stack.unreadable or left_out.total() > left_out[ELSEWHERE]
    logger.log(logging.WARNING if unasked else logging.INFO, stack.says(left_out))
    if reading.limits is None:
        _warn_of_dark(path, stack.greatest)
        images = images if images.dtype in DEPTHS else _intensities(images, path)
    else:
        images = _from_range(images, reading.limits, path)
    return images.transpose(0, 3, 1, 2) if images.ndim == 4 else images


class _Stack:
    """Images of one shape and type, and what became of their files."""

    def __init__(self, path: Path, reading: ImageReading) -> None:
        self.path, self.reading = path, reading
        self.images: list[np.ndarray] = []
        self.first = path
        self.folders: Counter[Path] = Counter()
        self.counts: Counter[str] = Counter()
        self.greatest: dict[np.dtype, int] = {}
        self.unreadable: list[InputError] = []

    def add(self, file: Path) -> None:
        """The frames of a file."""
        try:
            found = read_frames(file)
        except InputError as error:
            if not self.reading.skip_unreadable:
                raise
            self.unreadable.append(error)
            return
        if not self.images:
            self.first = file
        self.folders[file.parent] += len(found.pixels)
        self._count(found)
        for pixels in found.pixels:
            self._add(pixels, file)

    def _count(self, found: Frames) -> None:
        self.counts["frames"] += len(found.pixels) if len(found.pixels) > 1 else 0
        self.counts["of files"] += len(found.pixels) > 1
        self.counts["turned"] += found.turned
        self.counts["transparent"] += found.transparent

    def _add(self, pixels: np.ndarray, file: Path) -> None:
        size, (height, width) = self.reading.size, pixels.shape[:2]
        if pixels.dtype in DEPTHS:
            self.greatest[pixels.dtype] = max(self.greatest.get(pixels.dtype, 0), int(pixels.max()))
        if self.reading.image_mode is not None:
            pixels = _converted(pixels, self.reading, file)
        if size is not None and size != (width, height):
            self.counts["resized"] += 1
            self.counts["stretched"] += abs(size[0] * height - size[1] * width) > max(size[0], size[1])
            pixels = _resized(pixels, size)
        if self.images:
            self._refuse_unlike(pixels, file)
        self.images.append(pixels)

    def _refuse_unlike(self, pixels: np.ndarray, file: Path) -> None:
        first, name = self.images[0], self.first.name
        if pixels.shape[:2] != first.shape[:2]:
            raise InputError(
                f"{file}: its size {_size(pixels)}, width x height, differs from {_size(first)} of {name}; `image_size` "
                f"{_size(first)}, or any other size, resizes all to one"
            )
        if pixels.ndim != first.ndim:
            raise InputError(
                f"{file}: {_colour(pixels)} unlike {_colour(first)} of {name}; `image_mode` {GRAY} or {RGB} converts all"
            )
        if pixels.dtype != first.dtype:
            raise InputError(
                f"{file}: {pixels.dtype} unlike {first.dtype} of {name}; `image_mode` {GRAY} or {RGB}, without "
                "`image_range`, brings each type to [0, 1] by itself; or store all alike"
            )

    def says(self, left_out: Counter[str]) -> str:
        """One line of what was read and what was left out."""
        counts, size = self.counts, self.reading.size
        text = f"{self.path}: read {_number(len(self.images), 'image')}"
        if self.path.is_dir():
            text += f" from {_number(len(self.folders), 'folder')}"
        if len(self.folders) > 1:
            named = {folder.relative_to(self.path).as_posix(): count for folder, count in self.folders.items()}
            text += f" ({_listed(named)})"
        if missing := left_out.total() + len(self.unreadable):
            ordered = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
            reasons = [f"{count} {name}" for name, count in ordered[:MOST_NAMED]]
            if self.unreadable:
                names = [str(error).partition(": ")[0] for error in self.unreadable[:MOST_NAMED]]
                more = ", ..." if len(self.unreadable) > MOST_NAMED else ""
                reasons.append(f"{len(self.unreadable)} that cannot be read: {', '.join(names)}{more}")
            text += f", left out {_number(missing, 'file')} ({'; '.join(reasons)})"
        if counts["frames"]:
            text += f"; {counts['frames']} are frames or pages of {_number(counts['of files'], 'file')}"
        if counts["turned"]:
            text += f"; {_number(counts['turned'], 'file')} turned upright"
        if counts["transparent"]:
            text += f"; {_number(counts['transparent'], 'file')} with transparency laid on white"
        if size is not None and counts["resized"]:
            text += f"; {counts['resized']} resized to {size[0]} x {size[1]}"
            text += f", the proportions of {counts['stretched']} changed" if counts["stretched"] else ""
        return text


def _converted(pixels: np.ndarray, reading: ImageReading, file: Path) -> np.ndarray:
    """Gray (height, width) or RGB (height, width, 3); in [0, 1] unless a range is given for the stored values."""
    if reading.limits is None:
        pixels = _intensities(pixels, file)
    if reading.image_mode == GRAY and pixels.ndim == 3:
        gray = pixels @ LUMA
        return (np.rint(gray) if pixels.dtype.kind in "iu" else gray).astype(pixels.dtype)
    return np.repeat(pixels[..., None], 3, 2) if reading.image_mode == RGB and pixels.ndim == 2 else pixels


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Without cutting: each new pixel is a mean of those that it covers, weighted by a triangle."""
    from PIL import Image

    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    parts = [
        np.asarray(Image.fromarray(part.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        for part in np.moveaxis(channels, 2, 0)
    ]
    resized = np.stack(parts, 2)
    resized = (np.rint(resized) if pixels.dtype.kind in "iu" else resized).astype(pixels.dtype)
    return resized[..., 0] if pixels.ndim == 2 else resized


def _intensities(images: np.ndarray, path: Path) -> np.ndarray:
    """Float32 in [0, 1]: the range of the type of file is brought there, and other types must lie there."""
    finite = images[np.isfinite(images)]
    if images.dtype not in DEPTHS and finite.size and not 0 <= finite.min() <= finite.max() <= 1:
        low, high = finite.min(), finite.max()
        raise InputError(
            f"{path}: {images.dtype} values from {low:g} to {high:g}, and values from 0 to 1 are expected of this type; "
            f"set `image_range` to what is black and white, such as {math.floor(low)},{math.ceil(high)}"
        )
    return as_intensities(images, path) if images.dtype in DEPTHS else images.astype(np.float32)


def _from_range(images: np.ndarray, limits: tuple[float, float], path: Path) -> np.ndarray:
    """Float32 in [0, 1]."""
    low, high = limits
    finite = images[np.isfinite(images)]
    if finite.size and not low <= finite.min() <= finite.max() <= high:
        raise InputError(
            f"{path}: values from {finite.min():g} to {finite.max():g} are outside of `image_range` {low:g},{high:g}; "
            "widen it"
        )
    return ((images.astype(np.float64) - low) / (high - low)).astype(np.float32)


def _warn_of_dark(path: Path, found: dict[np.dtype, int]) -> None:
    """Say so if no value of the files reaches half of what they could hold, as 12-bit data in 16-bit files."""
    for kind, greatest in found.items():
        most = int(np.iinfo(kind).max)
        if 0 < greatest <= most // 2:
            top = 2 ** greatest.bit_length() - 1
            logger.warning(
                f"{path}: the {8 * kind.itemsize}-bit files hold values up to {greatest}, and could hold {most}, which "
                f"counts as white: the images are dark, at most {greatest / most:.2g} of 1; if {top} is white, set "
                f"`image_range` 0,{top}",
            )


def _chosen_files(path: Path, patterns: Sequence[str]) -> tuple[list[Path], Counter[str]]:
    """The images of chosen folders in the order of their names, and how many other files there are, by kind."""
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    unused, there = set(patterns), []
    for below, names in _folders(path):
        parts = Path(below).relative_to(path).parts
        matching = {pattern for pattern in patterns if _matches(parts, pattern.removeprefix(NOT).strip(" /"))}
        unused -= matching
        there.append("/".join(parts) or ".")
        refused = any(pattern.startswith(NOT) for pattern in matching)
        wanted = [pattern for pattern in patterns if not pattern.startswith(NOT)]
        chosen = not refused and (not wanted or not matching.isdisjoint(wanted))
        for name in names:
            suffix = Path(name).suffix.lower()
            if suffix not in suffixes():
                left_out[suffix or "without a suffix"] += 1
            elif chosen:
                files.append(Path(below, name))
            else:
                left_out[ELSEWHERE] += 1
    if unused:
        raise InputError(
            f"`subfolders`: {path} has no folder {min(unused).removeprefix(NOT)!r}; there are "
            f"{', '.join(there[: 4 * MOST_NAMED])}{', ...' if len(there) > 4 * MOST_NAMED else ''}"
        )
    return sorted(files), left_out


def _matches(parts: tuple[str, ...], pattern: str) -> bool:
    """Whether a folder, or one that it lies in, is meant: a name at any depth, or a path from the top."""
    if pattern == ".":
        return not parts
    wanted = pattern.split("/")
    if len(wanted) == 1:
        return any(fnmatchcase(part, pattern) for part in parts)
    return len(parts) >= len(wanted) and all(map(fnmatchcase, parts, wanted))


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


def _refuse_folder(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot look into this folder ({error.strerror})") from error


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _colour(pixels: np.ndarray) -> str:
    return "in colour" if pixels.ndim == 3 else "gray"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(counts: dict[str, int] | Counter[str]) -> str:
    """Names with their counts, the first ones."""
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:MOST_NAMED]]
    return ", ".join(shown) + (", ..." if len(counts) > MOST_NAMED else "")
