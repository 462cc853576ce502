"""Points to reconstruct, from a file or from a run's held-out points."""

import dataclasses
from pathlib import Path

from torch import Tensor

from contrastive_entropy.data.points import read_points
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading, holds_pictures
from contrastive_entropy.data.schema import image_shape_of
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import reading_of


def read_inputs(run: Run, source: Path | None, index: list[int] | None) -> Tensor:
    """Points to reconstruct: from a file, or held-out points of the run's data.

    Args:
        run: says what an input looks like.
        source: a file of points, or images, which are read as the run's data were; or None.
        index: of held-out points, if source is None; None is the first ten.

    Returns:
        (n, d).

    Raises:
        InputError: a file that cannot be used or has another number of coordinates, or no such point.
    """
    if source is not None:
        reading = dataclasses.replace(reading_of(run.settings), subfolders=None)
        return _read(source, run, reading if holds_pictures(source) else AS_THEY_ARE)
    held_out = run.dataset().held_out.points
    if index is None:
        return held_out[:10]
    outside = [i for i in index if not 0 <= i < len(held_out)]
    if outside:
        raise InputError(f"`index` must lie from 0 to {len(held_out) - 1}, got {outside[0]}")
    return held_out[index]


def _read(source: Path, run: Run, reading: ImageReading) -> Tensor:
    schema = run.schema
    double = schema.standardized or schema.shifted
    points, found = read_points(source, double=double, header=run.settings.header, images=reading)
    shape, expected = (image_shape_of(known) or (known.dimension,) for known in (found, schema))
    if shape != expected:
        raise InputError(f"{source}: expected inputs of shape {expected}, got {shape}")
    return schema.encode(_in_order(points, source, found.names, schema.names))


def _in_order(points: Tensor, source: Path, found: tuple[str, ...] | None, expected: tuple[str, ...] | None) -> Tensor:
    """Columns in the order of the run's data, if both have names."""
    if expected is None or found is None or found == expected:
        return points
    if sorted(found) != sorted(expected):
        missing = [name for name in expected if name not in found]
        raise InputError(f"{source}: columns differ from the run's; missing: {', '.join(missing[:5])}")
    return points[:, [found.index(name) for name in expected]]
