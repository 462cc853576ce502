"""What figures of images make of known faults, in pixels and in EfficientNet-Lite0 features: results/faults.json.

python benchmarks/faults.py --data-root DIR    # about ten minutes on two cores

Training images with a fault beside as many held-out ones. DIR holds copies of celeba, cifar10 and mnist; that of cifar10
was JPEG-compressed for the recorded figures.
"""

import argparse
import sys
import time
from pathlib import Path

import record
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.metrics import energy_distance, frechet_distance, neighborhood_scores
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.spaces.efficientnet import EfficientNet

DATA = {"celeba": "CelebA", "cifar10": "CIFAR-10 (JPEG copy)", "mnist": "MNIST"}
COUNT = 1000
COLUMNS = (
    "energy_distance", "precision", "recall", "coverage", "sharpness",
    "features_frechet", "features_precision", "features_recall", "features_coverage", "perceptual_distance",
)  # fmt: skip


def blurred(points: Tensor, shape: tuple[int, int, int], deviation: float) -> Tensor:
    radius = round(4 * deviation)
    weights = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * deviation**2))
    weights = (weights / weights.sum())[None, None]
    images = pad(points.reshape(-1, 1, *shape[1:]), (radius,) * 4, mode="replicate")
    return conv2d(conv2d(images, weights[:, :, None]), weights[..., None]).reshape(len(points), -1)


def faults(dataset: Dataset, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    part = dataset.train
    points = part.points[:COUNT]
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    found = {
        "none": points,
        "blur of 1 pixel": blurred(points, shape, 1.0),
        "blur of 2 pixels": blurred(points, shape, 2.0),
        "noise of .02": points + 0.02 * noise,
        "noise of .1": points + 0.1 * noise,
        "brighter by .1": points + 0.1,
    }
    if part.labels is not None:
        found["half the classes"] = part.points[part.labels > 4][:COUNT]
    return {name: images.clamp(0, 1) for name, images in found.items()}


def measure(name: str, data_root: Path | None) -> dict[str, dict[str, float]]:
    dataset = load(name, data_root=data_root)
    shape = dataset.image_shape
    assert shape is not None
    space, held_out = EfficientNet(shape), dataset.held_out.points[:COUNT]
    seen, found = space.features(held_out, "held-out images"), {}
    images = faults(dataset, shape)
    for fault, points in images.items():
        own = space.features(points, fault)
        pixels, features = neighborhood_scores(held_out, points), neighborhood_scores(seen, own)
        found[fault] = {
            "energy_distance": energy_distance(points, held_out),
            "precision": pixels.precision,
            "recall": pixels.recall,
            "coverage": pixels.coverage,
            "sharpness": sharpness(points, held_out, shape),
            "features_frechet": frechet_distance(own, seen),
            "features_precision": features.precision,
            "features_recall": features.recall,
            "features_coverage": features.coverage,
        }
        if fault not in ("none", "half the classes"):  # which are no pairs
            pairs = space.perceptual_distance(images["none"][:200], points[:200])
            found[fault]["perceptual_distance"] = float(pairs.mean())
    return found


def table(result: dict) -> str:
    """The markdown table that docs/comparison.md shows."""
    lines = [f"| images | fault | {' | '.join(COLUMNS).replace('_', ' ')} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, found in result["images"].items():
        for fault, figures in found.items():
            cells = [f"{value:.3g}" if (value := figures.get(column)) is not None else "" for column in COLUMNS]
            lines.append(f"| {DATA[name]} | {fault} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    options = record.parsed(parser, table)
    start, found = time.monotonic(), {}
    for name in DATA:
        found[name] = measure(name, options.data_root)
        print(f"{time.monotonic() - start:.0f} s", name, file=sys.stderr)
    wall = round(time.monotonic() - start, 1)
    result = {**record.origin([0]), "wall_seconds": wall, "count": COUNT, "images": found}
    record.write("faults", result)
    print(table(result))


if __name__ == "__main__":
    main()
