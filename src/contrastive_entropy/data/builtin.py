"""Data sets that need no file: scikit-learn's digits, and digits stacked into colours."""

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.schema import Images


def stacks(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw three images (n, d) independently and join them, `count` times: (count, 3 d)."""
    return images[torch.randint(len(images), (count, 3), generator=generator)].flatten(1)


def embedded_digits() -> Dataset:
    """Scikit-learn's 1,797 digits of 8 x 8 pixels, always split the same way."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    whole = Part(torch.from_numpy(digits.data / 16).float(), labels=torch.from_numpy(digits.target).long())
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))
    parts = whole.rows(order[:1297]), whole.rows(order[1297:])
    return Dataset("digits", *parts, Images(1, 8, 8), classes=tuple(map(str, range(10))))


def stacked_digits(digits: Dataset, name: str, seed: int, points: int | None) -> Dataset:
    """Three digits of MNIST drawn independently, one per colour: a thousand modes (arXiv 1611.02163)."""
    counts = points or len(digits.train), len(digits.held_out)
    train, test = (
        stacks(part.points, count, torch.Generator().manual_seed(2 * seed + index))
        for index, (part, count) in enumerate(zip((digits.train, digits.held_out), counts, strict=True))
    )
    assert digits.image_shape is not None
    return Dataset.of(name, train, test, Images(3, *digits.image_shape[1:]))
