"""How good an autoencoder's alternatives are: every figure beside what draws from the data's own posterior reach."""

import dataclasses
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.config import AutoencoderConfig
from contrastive_entropy.data.files import column_names, read_points
from contrastive_entropy.data.load import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.evaluation import FAR_QUANTILE, NEIGHBOR_POINTS, NEIGHBORS, require_enough
from contrastive_entropy.metrics.diagnosis import Diagnosis, diagnose_alternatives
from contrastive_entropy.metrics.neighborhoods import far_share, neighbor_distance, neighborhood_scores
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.mixtures.limits import ConditionalBound, iid_tightness
from contrastive_entropy.models import EncoderMixtureDecoder
from contrastive_entropy.progress import progress_line
from contrastive_entropy.runs import Run
from contrastive_entropy.spaces.classifier import Classifier
from contrastive_entropy.tracking import PARTS, conditions_of, encoded, figures

ROUNDING = 1e-6
"""Nats: where one point alone has a code, its mean is as good as a draw, up to rounding."""

INPUTS = 200
"""Held-out inputs whose alternatives are looked at."""

ALTERNATIVES = 16
"""Alternatives of each."""

JOINT_POINTS = 2000
"""Most points of the joints whose bounds are evaluated."""

POSTERIOR_POINTS = 10_000
"""Most training points that stand for the posterior, and that the classifier learns from."""


@dataclass(frozen=True)
class ReconstructionEvaluation:
    """An autoencoder's figures and what they were computed from.

    Args:
        bounds: by part, train and held_out: (E15) and errors, as `tracking.figures`.
        model: name -> figure of the alternatives; mean_preferred is the share of codes whose `JointMixture.mean_gains` are
            positive, on up to 2,000 training points.
        reference: the same for draws from the posterior p(x|y) on training points.
        settings: seed, counts and the classifier.
        centers: C of the model.
        inputs: (n, d) held-out points.
        alternatives: (n, a, d).
        posterior: (n, a, d) the reference's draws.
    """

    bounds: dict[str, dict[str, float]]
    model: dict[str, float]
    reference: dict[str, float]
    settings: dict[str, Any]
    centers: int
    inputs: Tensor
    alternatives: Tensor
    posterior: Tensor

    def as_dict(self) -> dict[str, Any]:
        """For evaluation.json."""
        return {
            "settings": self.settings,
            "bounds": self.bounds,
            "model": self.model,
            "reference": self.reference,
            "diagnoses": [dataclasses.asdict(found) for found in self.diagnoses],
        }

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """What went wrong, if anything, and what to change."""
        return diagnose_alternatives(self.model, self.reference, self.bounds["train"], centers=self.centers)


def load_autoencoder(run: Run) -> EncoderMixtureDecoder:
    """The trained network of a run.

    Raises:
        InputError: the run holds another kind of model, or training has not finished.
    """
    if not isinstance(run.config, AutoencoderConfig):
        raise InputError(
            f"{run.folder} holds a run of kind {run.config.kind}, which has no encoder; train `fit autoencoder`"
        )
    network = run.load_network()
    assert isinstance(network, EncoderMixtureDecoder)
    return network


def evaluate_reconstruction(run: Run, dataset: Dataset, *, seed: int = 1) -> ReconstructionEvaluation:
    """Bounds on training and held-out points, and the quality of alternatives for held-out inputs.

    Args:
        run: of an autoencoder, finished.
        dataset: what `run.dataset()` returned.
        seed: of noise and draws.

    Returns:
        ReconstructionEvaluation. `purity` and `clarity` are there if the data have classes: the classifier is a small
        network trained on the data set itself, named in the settings.

    Raises:
        InputError: training has not finished, or too few points.
    """
    network = load_autoencoder(run)
    require_enough(dataset)
    parts = dict(zip(PARTS, (dataset.train, dataset.test), strict=True))
    bounds = {part: figures(network, points[:JOINT_POINTS], seed=seed) for part, points in parts.items()}
    generator = torch.Generator().manual_seed(seed)
    inputs = dataset.test[:INPUTS]
    alternatives = network.reconstruct(inputs, ALTERNATIVES, generator=generator)
    posterior = posterior_draws(network, dataset.train[:POSTERIOR_POINTS], inputs, ALTERNATIVES, generator=generator)
    distances = neighbor_distance(dataset.test, dataset.train)
    radius = float(distances.quantile(FAR_QUANTILE))
    model, reference = (_figures(draws, inputs, dataset, radius) for draws in (alternatives, posterior))
    settings: dict[str, Any] = {
        "seed": seed,
        "inputs": len(inputs),
        "alternatives": ALTERNATIVES,
        "joint_points": {part: min(len(points), JOINT_POINTS) for part, points in parts.items()},
        "posterior_points": min(len(dataset.train), POSTERIOR_POINTS),
        "neighbors": NEIGHBORS,
        "far_radius": radius,
    }
    joint = encoded(network, dataset.train[:JOINT_POINTS])
    noisy = joint.draw(len(inputs), generator=generator)[1]
    gains = joint.mean_gains(noisy, network.centers)
    model["mean_preferred"] = float((gains > ROUNDING).double().mean())
    if dataset.train_labels is not None and dataset.test_labels is not None:
        classifier = Classifier(dataset.train[:POSTERIOR_POINTS], dataset.train_labels[:POSTERIOR_POINTS])
        settings["classifier"] = classifier.name
        settings["classifier_accuracy"] = classifier.accuracy(dataset.test, dataset.test_labels)
        labels = dataset.test_labels[: len(inputs)]
        model |= classifier.purity_and_clarity(alternatives, labels)
        reference |= classifier.purity_and_clarity(posterior, labels)
    return ReconstructionEvaluation(
        bounds, model, reference, settings, network.centers, inputs, alternatives, posterior
    )


@torch.no_grad()
def posterior_draws(
    network: EncoderMixtureDecoder, data: Tensor, inputs: Tensor, count: int, *, generator: torch.Generator
) -> Tensor:
    """Data drawn from p(.|y) at the noisy features of each input: what perfect alternatives would look like.

    Args:
        network: encodes.
        data: (m, d).
        inputs: (n, d).
        count: draws per input, each with its own feature noise.
        generator: a CPU generator.

    Returns:
        (n, count, d), rows of data.
    """
    joint = encoded(network, data)
    features = network.encode(inputs.to(network.location.device)).repeat_interleave(count, 0)
    noisy = network.add_noise(features, generator=generator)
    chosen = [
        torch.multinomial(joint.posterior(part).exp().cpu(), 1, generator=generator).squeeze(-1)
        for part in noisy.split(256)
    ]
    return data[torch.cat(chosen)].unflatten(0, (len(inputs), count))


def diversity(alternatives: Tensor, data: Tensor) -> float:
    """Root mean squared distance between alternatives of one input, relative to that between any two data points.

    Args:
        alternatives: (n, a, d), a >= 2.
        data: (m, d).
    """
    own = alternatives.double().var(1).sum(-1).mean()  # half the mean squared distance of two
    return float((own / data.double().var(0).sum()).sqrt())


def _figures(draws: Tensor, inputs: Tensor, dataset: Dataset, radius: float) -> dict[str, float]:
    squares = (draws - inputs.unsqueeze(1)).square().sum(-1).double()
    flat = draws.flatten(0, 1)
    found = {
        "best_error": float(squares.amin(-1).mean()),
        "mean_error": float(squares.mean()),
        "diversity": diversity(draws, dataset.test),
        "precision": neighborhood_scores(dataset.test[:NEIGHBOR_POINTS], flat, neighbors=NEIGHBORS).precision,
        "far_share": far_share(flat, dataset.train, radius=radius),
    }
    if dataset.image_shape is not None:
        detail = sharpness(flat, dataset.test, dataset.image_shape)
        if math.isfinite(detail):  # not so where held-out images are flat
            found["sharpness"] = detail
    return found


def read_inputs(run: Run, source: Path | None, index: list[int] | None) -> Tensor:
    """Points to reconstruct: from a file, or held-out points of the run's data.

    Args:
        run: says what an input looks like.
        source: what `files.read_points` reads, or None.
        index: of held-out points, if source is None; None is the first ten.

    Returns:
        (n, d).

    Raises:
        InputError: a file that cannot be used or has another number of coordinates, or no such point.
    """
    if source is not None:
        points, shape = read_points(source, double=run.units is not None)
        if shape != run.image_shape or points.shape[1] != run.dimension:
            expected = run.image_shape or (run.dimension,)
            raise InputError(f"{source}: expected inputs of shape {expected}, got {shape or tuple(points.shape[1:])}")
        points = _in_order(points, source, run.columns)
        return points if run.units is None else run.units.standardized(points)
    test = run.dataset().test
    if index is None:
        return test[:10]
    outside = [i for i in index if not 0 <= i < len(test)]
    if outside:
        raise InputError(f"--index must lie from 0 to {len(test) - 1}, got {outside[0]}")
    return test[index]


def _in_order(points: Tensor, source: Path, expected: tuple[str, ...] | None) -> Tensor:
    """Columns as the run knows them, by their names where both have names."""
    found = column_names(source)
    if expected is None or found is None or found == expected:
        return points
    if sorted(found) != sorted(expected):
        missing = [name for name in expected if name not in found]
        raise InputError(f"{source}: columns differ from the run's; missing: {', '.join(missing[:5])}")
    return points[:, [found.index(name) for name in expected]]


def whole_limit(
    run: Run, *, part: str = "train", conditions: int | None = None, value: bool = True, seed: int = 0
) -> dict[str, Any]:
    """The limit of (E15) on all points of a part of a run's data, with a progress line, and the decoder's value.

    Args:
        run: of an autoencoder, finished.
        part: train or held_out.
        conditions: draws of y; None is the quadrature for one feature, else one draw per point.
        value: also the value at the same conditions.
        seed: of the draws.

    Returns:
        Figures by name.

    Raises:
        InputError: no such part, or the run cannot be used.
    """
    if part not in PARTS:
        raise InputError(f"--part must be one of {', '.join(PARTS)}, got {part!r}")
    if conditions is not None and conditions < 1:
        raise InputError(f"--conditions must be at least 1, got {conditions}")
    network = load_autoencoder(run)
    dataset = run.dataset()
    joint = encoded(network, dataset.train if part == "train" else dataset.test)
    generator = torch.Generator().manual_seed(seed)
    y, log_weights = conditions_of(joint, conditions, generator=generator)
    start = time.monotonic()
    with progress_line("limit", len(y), "conditions", per=1) as show:
        log_limits = joint.log_norms(y, progress=show)
    limit_seconds = time.monotonic() - start
    figures: dict[str, Any] = {"points": len(joint.points), "conditions": len(y)}
    if value:
        mixture = partial(network.mixture, generator=generator)
        with progress_line("value", len(y), "conditions", per=1) as show:
            log_inners, log_norms = joint.log_inners_and_norms(y, mixture, progress=show)
    else:
        log_inners = log_norms = torch.zeros_like(log_limits)
    bound = ConditionalBound(log_inners, log_norms, log_limits, log_weights, joint.log_peak)
    figures |= {"limit": bound.limit, "limit_error": bound.limit_error, "neighbors": 1 / bound.concentration}
    if value:
        figures |= {
            "value": bound.value,
            "gap": bound.gap,
            "gap_error": bound.gap_error,
            "tightness": bound.tightness,
            "iid_tightness": float(iid_tightness(bound.concentration, network.centers)),
        }
    variances = {"variance": joint.variance, "feature_variance": joint.feature_variance, "centers": network.centers}
    return figures | variances | {"limit_seconds": limit_seconds, "seconds": time.monotonic() - start}
