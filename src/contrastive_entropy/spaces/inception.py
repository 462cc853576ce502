"""Figures in the features of the Inception network that FID is known by, with the user's copy of its weights."""

import hashlib
import importlib
import importlib.util
import io
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.samples import ENERGY_POINTS
from contrastive_entropy.spaces.parts import by_parts

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""Name under which torch-fidelity publishes the weights."""

WEIGHTS_DIGEST = "6726825d"
"""How the SHA-256 of that file begins, as its name says; figures with any other are no FID."""

BATCH = 32
"""Images that pass the network at once."""


class Inception:
    """torch-fidelity's `FeatureExtractorInceptionV3`, on the CPU; nothing is downloaded.

    It resizes images to 299 x 299 as TensorFlow 1 does, like the FID of Heusel et al. (arXiv 1706.08500).

    Args:
        weights: file that torch-fidelity publishes as `WEIGHTS`. Read without executing what a pickle may hold.
        image_shape: (channels, height, width) of the images, 1 or 3 channels; None, points that are no images, is refused.

    Raises:
        InputError: no such images, torch-fidelity is not installed, or the file is missing or holds no such weights.
    """

    name, most = "inception", ENERGY_POINTS

    def __init__(self, weights: Path, image_shape: tuple[int, int, int] | None) -> None:
        if image_shape is None or image_shape[0] not in (1, 3):
            found = "points" if image_shape is None else f"{image_shape[0]} channels"
            raise InputError(
                f"`feature_weights`: Inception features are of images with 1 or 3 channels, and the data are {found}; "
                "leave it out"
            )
        self.image_shape = image_shape
        try:
            extractor = import_alone("feature_extractor_inceptionv3").FeatureExtractorInceptionV3
            self.version = str(import_alone("version").__version__)
        except ImportError as error:
            raise InputError(
                f"`feature_weights` needs torch-fidelity ({error}): pip install '.[features]' in this project's folder"
            ) from error
        try:
            content = weights.read_bytes()
        except OSError as error:
            raise _not_the_weights(weights, f"no readable file ({error.strerror})") from error
        self.digest = hashlib.sha256(content).hexdigest()
        safe = io.BytesIO()  # the extractor unpickles anything, and so gets what is left of the file: tensors
        torch.save(_tensors(content, weights), safe)
        safe.seek(0)
        try:
            with torch.random.fork_rng(devices=[]):  # the weights are first drawn at random
                self.network = extractor("inception", ["2048"], feature_extractor_weights_path=safe)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise _not_the_weights(weights, f"those of another network ({reason})") from error

    @property
    def settings(self) -> dict[str, Any]:
        """Which features these are, for evaluation.json: figures of different ones do not compare."""
        return {
            "extractor": "torch-fidelity FeatureExtractorInceptionV3, 2048",
            "torch_fidelity": self.version,
            "weights_sha256": self.digest,
            "published_weights": self.digest.startswith(WEIGHTS_DIGEST),
        }

    @property
    def note(self) -> str | None:
        """What must be said of other weights than the published ones."""
        if self.settings["published_weights"]:
            return None
        return f"The weights are not {WEIGHTS}: figures in their features are no FID and no KID."

    def features(self, points: Tensor, name: str) -> Tensor:
        """The last pool's features, with a progress line.

        Args:
            points: (n, d) images, flattened channels first, values in [0, 1].
            name: of the points, for the progress line.

        Returns:
            (n, 2048) float32.

        Raises:
            InputError: features that are not finite, which only damaged weights give.
        """
        features = by_parts(
            f"Inception features of {name}",
            points,
            BATCH,
            lambda part: self.network(as_bytes(part, self.image_shape))[0],
        )
        if not torch.isfinite(features).all():
            raise InputError(f"`feature_weights`: NaN or infinite features; the weights are damaged, give {WEIGHTS}")
        return features


def as_bytes(points: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """Images of 24 bits: clamped, rounded, grey repeated.

    Args:
        points: (n, d) flattened channels first, values in [0, 1].
        image_shape: (channels, height, width) with 1 or 3 channels and c h w = d.

    Returns:
        (n, 3, height, width) uint8.

    >>> as_bytes(torch.tensor([[-1.0, 0.5]]), (1, 1, 2)).tolist()
    [[[[0, 128]], [[0, 128]], [[0, 128]]]]
    """
    images = points.reshape(-1, *image_shape).clamp(0, 1).mul(255).round().to(torch.uint8)
    return images.expand(-1, 3, -1, -1)


def import_alone(module: str) -> ModuleType:
    """A module of torch-fidelity without the package's own __init__.

    That one imports torchvision, which the network does not need, and which does not load beside a torch of another build.

    Args:
        module: its name inside the package.

    Raises:
        ImportError: torch-fidelity is not installed, or has no such module.
    """
    package = "torch_fidelity"
    if sys.modules.get(package) is not None:
        return importlib.import_module(f"{package}.{module}")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"no module named {package!r}", name=package)
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(f"{package}.{module}")
    finally:
        del sys.modules[package]


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """What torch.save wrote of a state dict; code in it is refused, not executed."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of foreign pickles, which are refused
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # nearly any type; torch's message may advise weights_only=False
        found = (
            f"a file that is damaged or holds more than tensors ({type(error).__name__}; no code in it was executed)"
        )
        raise _not_the_weights(path, found) from error
    named = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not named:
        raise _not_the_weights(path, f"a {type(state).__name__} that is not one of tensors by name")
    return state


def _not_the_weights(path: Path, found: str) -> InputError:
    return InputError(
        f"{path}: expected the weights that torch-fidelity publishes as {WEIGHTS}, got {found}; give that file"
    )
