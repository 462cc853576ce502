"""Toy laws: exact samplers, and the modes of those that have separate ones."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.errors import InputError, suggestion


def sample_toy(name: str, count: int, *, seed: int) -> Tensor:
    """Draw exactly from a toy law.

    Args:
        name: of `TOYS`.
        count: n.
        seed: of the draw.

    Returns:
        (n, d) float32, d = 2 but for modes1200.

    Raises:
        InputError: no such toy.
    """
    if name not in TOYS:
        raise InputError(f"no toy law named {name!r}{suggestion(name, TOYS)}; there are {', '.join(TOYS)}")
    return torch.from_numpy(TOYS[name](count, np.random.default_rng(seed)).astype(np.float32))


def toy_modes(name: str) -> tuple[Tensor, float]:
    """The modes of a toy law for mode coverage, and how far from one a sample is still of high quality.

    Args:
        name: of `MODES`.

    Returns:
        (m, d) centers, and 3 standard deviations; for modes1200, 3 standard deviations of the distance of its points from
        their mode above the mean of that distance: sqrt(700) + 3 / sqrt(2) deviations of a coordinate.

    Raises:
        InputError: a law without separate modes.
    """
    if name not in TOYS:
        raise InputError(
            f"no toy law named {name!r}{suggestion(name, MODES)}; those of separate modes are {', '.join(MODES)}"
        )
    if name not in MODES:
        raise InputError(f"{name} has no separate modes; those that have are {', '.join(MODES)}")
    if name == "ring8":
        angle = np.pi / 4 * np.arange(8)
        centers, radius = np.stack([np.cos(angle), np.sin(angle)], 1), 3 * 0.01
    elif name == "grid25":
        centers, radius = 2.0 * (np.stack(np.divmod(np.arange(25), 5), 1) - 2), 3 * 0.05
    else:
        centers, radius = _frame1200()[0], 0.5 * (700**0.5 + 3 / 2**0.5)
    return torch.from_numpy(centers), radius


def _moons(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = np.pi * rng.random(count)
    lower = rng.random(count) < 0.5
    points = np.where(lower, [1 - np.cos(angle), 0.5 - np.sin(angle)], [np.cos(angle), np.sin(angle)]).T
    return points + 0.05 * rng.standard_normal((count, 2))


def _circles(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = 2 * np.pi * rng.random(count)
    radius = np.where(rng.random(count) < 0.5, 0.5, 1.0)
    return (radius * [np.cos(angle), np.sin(angle)]).T + 0.03 * rng.standard_normal((count, 2))


def _swissroll(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = 1.5 * np.pi * (1 + 2 * rng.random(count))
    return (angle * [np.cos(angle), np.sin(angle)]).T / 10 + 0.03 * rng.standard_normal((count, 2))


def _ring8(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = np.pi / 4 * rng.integers(8, size=count)
    return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.01 * rng.standard_normal((count, 2))


def _grid25(count: int, rng: np.random.Generator) -> np.ndarray:
    return 2.0 * rng.integers(-2, 3, size=(count, 2)) + 0.05 * rng.standard_normal((count, 2))


def _pinwheel(count: int, rng: np.random.Generator) -> np.ndarray:
    along = 1 + 0.3 * rng.standard_normal(count)
    across = 0.1 * rng.standard_normal(count)
    angle = 2 * np.pi / 5 * rng.integers(5, size=count) + 0.25 * np.exp(along)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([along * cos - across * sin, along * sin + across * cos], 1)


def _checkerboard(count: int, rng: np.random.Generator) -> np.ndarray:
    column = rng.integers(4, size=count)
    row = 2 * rng.integers(2, size=count) + column % 2
    return np.stack([column, row], 1) - 2 + rng.random((count, 2))


@functools.cache
def _frame1200() -> tuple[np.ndarray, np.ndarray]:
    """Ten centers in 1,200 dimensions and the 700 coordinates in which their points vary, the same in every draw."""
    rng = np.random.default_rng(1200)
    return rng.standard_normal((10, 1200)), rng.permutation(1200)[:700]


def _modes1200(count: int, rng: np.random.Generator) -> np.ndarray:
    centers, varied = _frame1200()
    points = centers[rng.integers(10, size=count)]
    points[:, varied] += 0.5 * rng.standard_normal((count, 700))
    return points


TOYS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "moons": _moons,
    "circles": _circles,
    "swissroll": _swissroll,
    "ring8": _ring8,
    "grid25": _grid25,
    "pinwheel": _pinwheel,
    "checkerboard": _checkerboard,
    "modes1200": _modes1200,
}
"""Toy laws by name, in the plane but for `modes1200`: ten 700-dimensional Gaussians (std .5) in 1,200 dimensions."""

MODES = ("ring8", "grid25", "modes1200")
"""Toy laws of separate modes (std .01, .05 and .5), the benchmarks of mode coverage."""
