"""Scores of pictures alone: how sharp they are."""

import math

import torch
from torch import Tensor


def sharpness(images: Tensor, reference: Tensor, image_shape: tuple[int, int, int]) -> float:
    """Mean squared Laplacian of images over that of reference images: 1 is as sharp, near 0 a blur, above 1 noise.

    A focus measure (Pertuz et al., "Analysis of focus measure operators", Pattern Recognition 2013). Noise and superposed
    contours raise it as detail does: look at the pictures, too.

    Args:
        images: (n, d) flattened, channels first.
        reference: (m, d).
        image_shape: (channels, height, width) with c h w = d.

    Returns:
        A ratio, at least 0; infinite if the reference is flat.

    Raises:
        ValueError: an empty set, or a shape that does not fit.

    >>> checkered = torch.tensor([[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]])
    >>> sharpness(checkered / 2, checkered, (1, 3, 3))
    0.25
    """
    own, flat = _laplacian_energy(images, image_shape), _laplacian_energy(reference, image_shape)
    return own / flat if flat > 0 else math.inf


def _laplacian_energy(images: Tensor, image_shape: tuple[int, int, int]) -> float:
    if images.ndim != 2 or len(images) == 0 or images.shape[1] != math.prod(image_shape):
        raise ValueError(f"expected images of shape (n, {math.prod(image_shape)}), got {tuple(images.shape)}")
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], device=images.device)[None, None]
    total = 0.0
    for part in images.split(1024):
        planes = part.float().reshape(-1, 1, *image_shape[1:])
        padded = torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="replicate")
        total += float(torch.nn.functional.conv2d(padded, kernel).double().square().sum())
    return total / images.numel()
