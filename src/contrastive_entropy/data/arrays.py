"""Arrays: .npy and .npz files, and what the shape and the type of an array say about its points."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from contrastive_entropy.data.schema import Images
from contrastive_entropy.errors import InputError


def map_points(path: Path) -> np.ndarray | None:
    """A memory map of an .npy file of (n, d) floating-point points; None of any other file.

    Raises:
        InputError: a damaged .npy file.
    """
    if path.suffix.lower() != ".npy" or path.is_dir():
        return None
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:
        if "Python objects" in str(error):
            return None
        raise InputError(f"{path}: not a readable .npy file ({reason(error)})") from error
    return array if array.ndim == 2 and array.dtype in (np.float32, np.float64) and array.size else None


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        InputError: it holds Python objects.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        if version < (3, 0) and header(file)[2].hasobject:
            raise InputError(f"{path}: the array holds Python objects{_first_object(file)}; {_INSTEAD}")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


_INSTEAD = (
    "expected numbers: save them as such, array.astype(float), a list in each row as rows of one length, and columns of "
    "text as a table, .csv or .parquet"
)


def _first_object(file: Any) -> str:
    """What the first object of a pickled array is, for a message; nothing of what the pickle names is loaded or called."""
    try:
        first = _Unpickler(file).load().flat[0]
    except Exception:  # as damaged as it may be, the file is refused
        return ""
    return f", the first of type {type(first).__name__}"


class _Unpickler(pickle.Unpickler):
    """Makes arrays of builtin values, and empty objects in the place of all others."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            made: Any = np.empty(0) if name == "_reconstruct" else np.float64(0)
            return made.__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        return type(name, (_Empty,), {})


class _Empty:
    """An object of which only the name of its type is known."""

    def __new__(cls, *_: Any, **__: Any) -> "_Empty":
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def read_npz(path: Path) -> np.ndarray:
    """The only array of an .npz file, or the one named `samples`.

    Raises:
        InputError: several arrays, none of that name.
    """
    with path.open("rb") as file, np.lib.npyio.NpzFile(file) as archive:
        if "samples" in archive or len(archive.files) == 1:
            try:
                return np.asarray(archive["samples" if "samples" in archive else archive.files[0]])
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                raise InputError(f"{path}: the array holds Python objects; {_INSTEAD}") from error
        raise InputError(
            f"{path}: holds {len(archive.files)} arrays ({', '.join(archive.files[:5])}); "
            "expected a single one, or one named 'samples': save that array alone, e.g. as .npy"
        )


def as_points(array: np.ndarray, path: Path) -> tuple[np.ndarray, Images | None]:
    """Rows of numbers (n, d), and the schema of images if the shape of the array is that of images.

    Args:
        array: (n, d) points; (n, height, width), (n, channels, height, width) or (n, height, width, channels) images of 1
            or 3 channels.
        path: for messages.

    Raises:
        InputError: values that are not numbers, an empty array, another shape, or images outside [0, 1].
    """
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: holds values of type {array.dtype}; expected numbers")
    if 0 in array.shape:
        raise InputError(f"{path}: the array is empty, shape {array.shape}")
    if array.ndim == 2:
        return (array if array.dtype.kind == "f" else array.astype(np.float64)), None
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise InputError(
            f"{path}: wrong shape {array.shape}; expected (n, d) points, or (n, height, width), "
            "(n, channels, height, width) or (n, height, width, channels) images with 1 or 3 channels"
        )
    _, channels, height, width = array.shape
    return as_intensities(array, path).reshape(len(array), -1), Images(channels, height, width)


def as_intensities(images: np.ndarray, path: Path | str) -> np.ndarray:
    """Float32 images in [0, 1]: the range of unsigned integers is brought there, floats must lie there or be NaN.

    Raises:
        InputError: floats outside [0, 1], or integers with a sign.
    """
    if images.dtype in (np.uint8, np.uint16):
        return images / np.float32(np.iinfo(images.dtype).max)
    finite = images[np.isfinite(images)]
    if finite.size and not 0 <= finite.min() <= finite.max() <= 1:
        raise InputError(
            f"{path}: images of type {images.dtype} with values from {finite.min():g} to {finite.max():g}; "
            "expected floats in [0, 1], or uint8 or uint16; if these are not images, reshape them to (n, d)"
        )
    return images.astype(np.float32)


def reason(error: Exception) -> str:
    """The first line of an error, for a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
