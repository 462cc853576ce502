"""Bounds tracked against their limits: the rows of bounds.csv, on training and on held-out points."""

import csv
import math
from pathlib import Path

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.joint import JointMixture, conditional_bound
from contrastive_entropy.mixtures.limits import ConditionalBound, iid_tightness
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.autoencoder.network import EncoderMixtureDecoder

TRACKED_POINTS = 1000
"""Most points of a joint whose bound is tracked while training; value and limit are of the same joint."""

QUADRATURE_NODES = 20_000
"""Most nodes of a quadrature that is taken unasked; with less noise on the features, draws take its place."""

PARTS = ("train", "held_out")


def track(model: EncoderMixtureDecoder, dataset: Dataset, seed: int) -> dict[str, dict[str, float]]:
    """Value and limit of (E15), reconstruction errors and posterior neighbours of a model, at fixed noise.

    With one feature the expectation over p(y) is a quadrature; otherwise as many draws as points, the same at every step.

    Args:
        model: at the variances of the moment; it is looked at as it would be in evaluation, and left as it was.
        dataset: its first 1,000 training and held-out points are looked at.
        seed: of the draws.

    Returns:
        `figures` by part, `train` and `held_out`.
    """
    training = model.training
    try:
        model.eval()
        parts = zip(PARTS, (dataset.train.points, dataset.held_out.points), strict=True)
        return {part: figures(model, points[:TRACKED_POINTS], seed=seed) for part, points in parts}
    finally:
        model.train(training)


def read_bounds(path: Path) -> dict[str, dict[str, list[float]]]:
    """The columns of bounds.csv by part and name.

    Raises:
        InputError: the file has no rows.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise InputError(f"{path} is empty; remove its folder and train again")
    names = [name for name in rows[0] if name != "part"]
    return {part: {name: [float(row[name]) for row in rows if row["part"] == part] for name in names} for part in PARTS}


@torch.no_grad()
def encoded(model: EncoderMixtureDecoder, points: Tensor) -> JointMixture:
    """The joint mixture of these points and their features, at the model's variances.

    Args:
        model: encodes.
        points: (n, d), on any device; the result is on the model's.
    """
    points = points.to(model.location.device)
    features = torch.cat([model.encode(part) for part in points.split(4096)])
    return JointMixture(points, features, float(model.variance), float(model.feature_variance))


def conditions_of(
    joint: JointMixture, count: int | None, *, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Conditions y, and their log-weights if they are the nodes of a quadrature.

    Args:
        joint: data and features.
        count: of draws; None is the quadrature for one feature (up to 20,000 nodes), and one draw per point otherwise.
        generator: a CPU generator.
    """
    if count is None and joint.features.shape[1] == 1 and joint.quadrature_size <= QUADRATURE_NODES:
        return joint.quadrature()
    return joint.draw(count or len(joint.points), generator=generator)[1], None


@torch.no_grad()
def figures(model: EncoderMixtureDecoder, points: Tensor, *, seed: int) -> dict[str, float]:
    """One row: bound, standard errors, neighbours and squared errors.

    Args:
        model: at the variances of the moment.
        points: (n, d).
        seed: of noise and draws.

    Returns:
        value, limit, gap in nats with standard errors; tightness; neighbors, 1 / B; iid_tightness, (E19);
        effective_centers, how many of the C are apart at this variance, from 1, all equal, to C; best_error and mean_error,
        the squared distance from a point to the nearest of its C centers and their mean.
    """
    generator = torch.Generator().manual_seed(seed)
    joint = encoded(model, points)
    conditions, log_weights = conditions_of(joint, None, generator=generator)
    bound = conditional_bound(joint, model.mixture, conditions, log_weights=log_weights)
    best, mean = reconstruction_errors(model, joint, generator=generator)
    return {
        "value": bound.value,
        "limit": bound.limit,
        "gap": bound.gap,
        "tightness": bound.tightness,
        "value_error": bound.value_error,
        "limit_error": bound.limit_error,
        "gap_error": bound.gap_error,
        "neighbors": 1 / bound.concentration,
        "iid_tightness": float(iid_tightness(bound.concentration, model.centers)),
        "effective_centers": _effective_centers(model, bound),
        "best_error": best,
        "mean_error": mean,
    }


def _effective_centers(model: EncoderMixtureDecoder, bound: ConditionalBound) -> float:
    """c(2 v_q) - log E ||q||^2, as a number of centers."""
    peak = GaussianMixture(model.location.unsqueeze(0), float(model.variance)).log_trace()
    return math.exp(float(peak) - bound.log_norm)


@torch.no_grad()
def reconstruction_errors(
    model: EncoderMixtureDecoder, joint: JointMixture, *, generator: torch.Generator
) -> tuple[float, float]:
    """Mean squared distance from a point to the nearest of the C centers at its noisy features, and to all of them."""
    best, mean = 0.0, 0.0
    for index in torch.arange(len(joint.points)).split(256):
        centers = model.mixture(joint.near(index, generator=generator)).centers
        squares = (centers - joint.points[index].unsqueeze(1)).square().sum(-1).double()
        best += float(squares.amin(-1).sum())
        mean += float(squares.mean(-1).sum())
    return best / len(joint.points), mean / len(joint.points)
