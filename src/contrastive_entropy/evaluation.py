"""How good a trained run is: every figure beside what a second sample of the real data reaches."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data import Dataset
from contrastive_entropy.diagnostics import Diagnosis, diagnose_samples
from contrastive_entropy.errors import InputError
from contrastive_entropy.inception import Inception, inception_figures
from contrastive_entropy.marginal import fidelity
from contrastive_entropy.metrics import energy_distance, neighbor_distance, neighborhood_scores, smaller_share
from contrastive_entropy.mixture import GaussianMixture
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.runs import Run
from contrastive_entropy.spectrum import effective_rank, singular_values
from contrastive_entropy.tracking import encoded

SPECTRUM_POINTS = 1000
"""Most points per side in the spectrum, the tightness and the effective rank: their values depend on the number."""

NEIGHBOR_POINTS = 5000
"""Most points per side in precision, recall, density and coverage."""

ENERGY_POINTS = 10_000
"""Most points per side in the energy distance and in the figures in Inception features."""

NEIGHBORS = 5

FAR_QUANTILE = 0.99
"""A sample is far if its nearest training point is farther away than this share of held-out points have theirs."""


@dataclass(frozen=True)
class Evaluation:
    """A run's figures and what they were computed from.

    Args:
        model: name -> figure of the generated points against the held-out points.
        reference: the same for as many training points.
        settings: seed, numbers of points and variance; with Inception features also which those are.
        generated: (n, d) the points that were evaluated.
        spectrum, reference_spectrum: (k,) singular values of the cross-Gram matrix of generated (training) and held-out
            points, scaled so that they sum to the tightness.
    """

    model: dict[str, float]
    reference: dict[str, float]
    settings: dict[str, Any]
    generated: Tensor
    spectrum: Tensor
    reference_spectrum: Tensor

    @property
    def relative_tightness(self) -> float:
        """F(model, data) / F(data', data): 1 is as tight as a second sample of the real data.

        A model that shows less variety than the data can exceed 1, because a typical point is nearer to data than a
        real one is. `debiased_tightness`, F(model, data) / sqrt(F(model, model') F(data', data)), takes that credit
        back (E20): it is 1 for equal laws, and a collapsed model has F(model, model') = 1.
        """
        return self.model["tightness"] / self.reference["tightness"]

    def as_dict(self) -> dict[str, Any]:
        """For evaluation.json."""
        return {
            "settings": self.settings,
            "relative_tightness": self.relative_tightness,
            "model": self.model,
            "reference": self.reference,
            "diagnoses": [dataclasses.asdict(found) for found in self.diagnoses],
        }

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """What the figures say is wrong."""
        return diagnose_samples(self.model, self.reference)


def require_enough(dataset: Dataset) -> None:
    """Raise InputError if there are too few points to evaluate on."""
    if min(len(dataset.test), len(dataset.train)) <= NEIGHBORS:
        raise InputError(
            f"{dataset.name}: {len(dataset.train)} points to train on and {len(dataset.test)} held out are too few to "
            f"evaluate; at least {NEIGHBORS + 1} of either are needed: more points, or another --held-out"
        )


def generate(run: Run, count: int, *, generator: torch.Generator, from_density: bool = False) -> Tensor:
    """New points from a trained run: centers of fresh noise, or an autoencoder's centers at fresh features.

    Args:
        run: finished.
        count: n >= 1.
        generator: a CPU generator.
        from_density: add noise of the density's variance.

    Returns:
        (n, d).

    Raises:
        InputError: training has not finished, or an autoencoder's data are gone.
    """
    network = run.load_network()
    if isinstance(network, MixtureDensityNetwork):
        return network.sample(count, generator=generator, from_density=from_density)
    features = encoded(network, run.dataset().train).features
    return network.sample(count, features, generator=generator, from_density=from_density)


def evaluate(
    run: Run, dataset: Dataset, *, seed: int = 1, from_density: bool = False, feature_weights: Path | None = None
) -> Evaluation:
    """Generate as many points as are held out (10,000 at most) and compare them with the held-out points.

    Args:
        run: finished.
        dataset: what `run.dataset()` returned.
        seed: of the generated points.
        from_density: add noise of the density's variance to the generated centers.
        feature_weights: of `inception.Inception`: adds the `inception_figures` of the same points; None adds nothing.

    Returns:
        Evaluation; the reference column compares as many training points with the same held-out points.

    Raises:
        InputError: training has not finished, or too few points to compare; with feature_weights, as `Inception`.
    """
    count = min(len(dataset.test), len(dataset.train), ENERGY_POINTS)
    few = min(count, SPECTRUM_POINTS, len(dataset.train) // 2)
    require_enough(dataset)
    inception = None if feature_weights is None else Inception(feature_weights, dataset.image_shape)
    generator = torch.Generator().manual_seed(seed)
    generated, again = generate(run, count + few, generator=generator, from_density=from_density).split([count, few])
    variance = float(run.load_network().variance)  # where an adaptive schedule ended
    test, train, train_again = dataset.test[:count], dataset.train[:count], dataset.train[-few:]
    model, spectrum = _figures(generated, again, test, variance)
    reference, reference_spectrum = _figures(train, train_again, test, variance)
    if min(reference["tightness"], model["own_tightness"], reference["own_tightness"]) < 1e-100:
        raise InputError(
            f"the run's variance, {variance:.4g}, is too small to compare {few} points at: even real ones do not overlap; "
            "train with a higher --variance-end"
        )
    for figures in (model, reference):
        own = figures.pop("own_tightness")
        figures["debiased_tightness"] = figures["tightness"] / (own * reference["tightness"]) ** 0.5
    distances = neighbor_distance(dataset.test, dataset.train)
    radius = float(distances.quantile(FAR_QUANTILE))
    for figures, nearest in ((model, neighbor_distance(generated, dataset.train)), (reference, distances)):
        # of real points 1 - FAR_QUANTILE and one half by definition
        figures["far_share"] = float((nearest > radius).double().mean())
        figures["memorization"] = smaller_share(nearest, distances)
    settings: dict[str, Any] = {
        "seed": seed,
        "from_density": from_density,
        "points": count,
        "spectrum_points": few,
        "neighbors": NEIGHBORS,
        "variance": variance,
        "far_radius": radius,
    }
    if inception is not None:
        held_out = inception.features(test, "held-out points")
        for figures, points, name in ((model, generated, "samples"), (reference, train, "training points")):
            figures |= inception_figures(inception.features(points, name), held_out, neighbors=NEIGHBORS)
        settings["inception"] = inception.settings
    return Evaluation(model, reference, settings, generated, spectrum, reference_spectrum)


def _figures(points: Tensor, again: Tensor, test: Tensor, variance: float) -> tuple[dict[str, float], Tensor]:
    """Figures of points against test, where again is a further sample of the points' law; and the spectrum."""
    scores = neighborhood_scores(test[:NEIGHBOR_POINTS], points[:NEIGHBOR_POINTS], neighbors=NEIGHBORS)
    p, q, r = (GaussianMixture(s[: len(again)].double(), variance) for s in (test, points, again))
    spectrum = singular_values(p, q)
    tightness = float(spectrum.sum())
    figures = {
        "tightness": tightness,
        "own_tightness": float(fidelity(q, r)),
        "debiased_tightness": 0.0,  # filled in when both sides are known
        "energy_distance": energy_distance(points, test),
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
        "effective_rank": float(effective_rank(singular_values(q, q))),
    }
    return figures, spectrum
