"""How good a trained run is, or any samples: every figure beside what a second sample of the real data reaches."""

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.files import HELD_OUT
from contrastive_entropy.data.load import (
    Dataset,
    Form,
    default_variance,
    load,
    load_points,
    names,
    refuse_unlike,
    roots_of,
    unevenness,
)
from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.diagnosis import Diagnosis, diagnose_samples
from contrastive_entropy.metrics.distances import column_distances, energy_distance
from contrastive_entropy.metrics.neighborhoods import neighbor_distance, neighborhood_scores, smaller_share
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.operator import singular_values
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.numerics.nuclear import effective_rank
from contrastive_entropy.objectives.density import fidelity
from contrastive_entropy.runs import Run
from contrastive_entropy.spaces.inception import Inception, inception_figures
from contrastive_entropy.tracking import encoded

logger = logging.getLogger("contrastive_entropy")

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
    """Figures of a run, or of samples, and what they were computed from.

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

    def as_dict(self, *, fitted: bool = True) -> dict[str, Any]:
        """For a JSON file; what to change is said of a fit alone."""
        diagnoses = [dataclasses.asdict(found) for found in self.diagnoses]
        if not fitted:
            diagnoses = [{name: found[name] for name in ("name", "seen")} for found in diagnoses]
        return {
            "settings": self.settings,
            "relative_tightness": self.relative_tightness,
            "model": self.model,
            "reference": self.reference,
            "diagnoses": diagnoses,
        }

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """What the figures say is wrong."""
        return diagnose_samples(self.model, self.reference, column=self.settings.get("column"))


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
    require_enough(dataset)
    inception = None if feature_weights is None else Inception(feature_weights, dataset.image_shape)
    generator = torch.Generator().manual_seed(seed)
    samples = generate(run, sum(_counts(dataset)), generator=generator, from_density=from_density)
    variance = float(run.load_network().variance)  # where an adaptive schedule ended
    found = _judged(samples, dataset, variance, inception)
    return dataclasses.replace(found, settings={"seed": seed, "from_density": from_density, **found.settings})


def evaluate_samples(
    samples: Tensor, dataset: Dataset, *, variance: float, feature_weights: Path | None = None
) -> Evaluation:
    """Compare samples, whatever made them, with the held-out points.

    Args:
        samples: (n, d), in the units of `dataset.train`, standardized if it is; n >= 12. The last ones, up to 1,000, serve
            as a second sample of their law: rows that are sorted must be shuffled before. Best are 11,000, or as many as
            are held out and a thousand more.
        dataset: to compare with.
        variance: of the densities in the spectrum, the tightness and the effective rank, v > 0, in data units squared.
        feature_weights: as in `evaluate`.

    Returns:
        Evaluation; the reference column compares as many training points with the same held-out points.

    Raises:
        InputError: too few points to compare, another number of coordinates, samples that are not finite, or a variance
            that is not positive or at which no points overlap; with feature_weights, as `Inception`.
    """
    require_enough(dataset)
    if samples.ndim != 2 or samples.shape[1] != dataset.dimension:
        raise InputError(
            f"expected samples of {dataset.dimension} coordinates as {dataset.name} has, got shape {tuple(samples.shape)}"
        )
    if len(samples) < 2 * (NEIGHBORS + 1):
        raise InputError(f"{len(samples)} samples are too few to evaluate; at least {2 * (NEIGHBORS + 1)} are needed")
    if not bool(samples.isfinite().all()):
        raise InputError("samples hold NaN or infinite values; leave such rows out")
    if not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    inception = None if feature_weights is None else Inception(feature_weights, dataset.image_shape)
    return _judged(samples, dataset, variance, inception)


def _judged(samples: Tensor, dataset: Dataset, variance: float, inception: Inception | None) -> Evaluation:
    """`evaluate_samples` of samples that can be compared."""
    count, few = _counts(dataset, len(samples))
    generated, again = samples[:count], samples[-few:]
    test, train, train_again = dataset.test[:count], dataset.train[:count], dataset.train[-few:]
    model, spectrum = _figures(generated, again, test, variance)
    reference, reference_spectrum = _figures(train, train_again, test, variance)
    if model["own_tightness"] < 1e-100 <= min(reference["tightness"], reference["own_tightness"]):
        raise InputError(
            f"at the variance, {variance:.4g}, {few} samples do not overlap with as many others, and real points do: are "
            "the samples in the units of the data?"
        )
    if min(reference["tightness"], reference["own_tightness"]) < 1e-100:
        raise InputError(
            f"the variance, {variance:.4g}, is too small to compare {few} points at: even real ones do not overlap; take a "
            "larger one: of a run, train with a higher --variance-end"
        )
    for figures in (model, reference):
        own = figures.pop("own_tightness")
        figures["debiased_tightness"] = figures["tightness"] / (own * reference["tightness"]) ** 0.5
    worst: int | str | None = None
    if dataset.image_shape is None:
        of_columns = column_distances(generated, test)
        column = int(of_columns.argmax())
        worst = dataset.columns[column] if dataset.columns else column
        model["column_distance"] = float(of_columns[column])
        reference["column_distance"] = float(column_distances(train, test).amax())
    distances = neighbor_distance(dataset.test, dataset.train)
    radius = float(distances.quantile(FAR_QUANTILE))
    for figures, nearest in ((model, neighbor_distance(generated, dataset.train)), (reference, distances)):
        # of real points 1 - FAR_QUANTILE and one half by definition
        figures["far_share"] = float((nearest > radius).double().mean())
        figures["memorization"] = smaller_share(nearest, distances)
        figures["copies"] = float((nearest == 0).double().mean())
    settings: dict[str, Any] = {
        "points": count,
        "spectrum_points": few,
        "neighbors": NEIGHBORS,
        "variance": variance,
        "far_radius": radius,
        "column": worst,
    }
    if inception is not None:
        held_out = inception.features(test, "held-out points")
        for figures, points, name in ((model, generated, "samples"), (reference, train, "training points")):
            figures |= inception_figures(inception.features(points, name), held_out, neighbors=NEIGHBORS)
        settings["inception"] = inception.settings
    return Evaluation(model, reference, settings, generated, spectrum, reference_spectrum)


def evaluate_files(
    samples: str,
    data: str,
    *,
    variance: float | None = None,
    data_root: Path | None = None,
    standardize: bool = False,
    held_out: float | None = None,
    seed: int = 0,
    feature_weights: Path | None = None,
) -> Evaluation:
    """`evaluate_samples` of a file, or of a named data set's training points.

    High figures say something only of a generator that was not trained on the held-out points.

    Args:
        samples: as in `data.load_points`, in any order; of a mapped .npy file only the rows that are drawn are looked at.
        data, data_root, standardize: as in `data.load`; samples are in the units of the data before they are standardized.
        variance: of the densities; None is what a fit would anneal down to.
        held_out: share of a file's points that is held out; None is what `data.load` does.
        seed: of the samples that are drawn, of a toy's draw and of a file's split.
        feature_weights: as in `evaluate`.

    Returns:
        Evaluation.

    Raises:
        InputError: as `data.load` and `evaluate_samples`; samples of another kind, shape, range or order of columns;
            held_out of data that come with held-out points.
    """
    if variance is not None and not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    if held_out is not None and data in names():
        raise InputError(f"--held-out would be ignored: {data} comes with held-out points; leave it out")
    root, samples_root = roots_of(data_root, data, samples)
    share = HELD_OUT if held_out is None else held_out
    dataset = load(data, seed=seed, data_root=root, held_out=share, standardize=standardize)
    points, shape = load_points(samples, seed=seed, data_root=samples_root, double=standardize)
    if points.shape[1] != dataset.dimension:
        raise InputError(f"{samples} has {points.shape[1]} coordinates and {data} has {dataset.dimension}")
    # of its own, not the generator that splits a file: rows that belong to the data's would all be the held-out ones
    order = np.random.default_rng([seed, 1]).permutation(len(points))[: sum(_counts(dataset))]
    chosen = torch.as_tensor(points[order])
    bad = order[~chosen.isfinite().all(1).numpy()]
    if len(bad):
        raise InputError(
            f"{samples}: row {min(bad)}, counted from 0, holds NaN or infinite values; remove or fill such rows"
        )
    form = Form(data, dataset.dimension, dataset.image_shape, dataset.columns)
    refuse_unlike(chosen, Form.of(samples, points, shape), form)
    if (uneven := unevenness(dataset)) is not None:
        logger.warning(uneven)
    if dataset.units is not None:
        chosen = dataset.units.of_others(chosen, samples)
    if variance is None:
        variance = default_variance(dataset.train, data)
    found = evaluate_samples(chosen.float(), dataset, variance=variance, feature_weights=feature_weights)
    given = {"samples": samples, "data": data, "seed": seed, "held_out": held_out, "standardize": standardize}
    return dataclasses.replace(found, settings={**given, **found.settings})


def _counts(dataset: Dataset, samples: int | None = None) -> tuple[int, int]:
    """How many points a side are compared, and how many further ones are a second sample of the same law."""
    few = min(len(dataset.test), SPECTRUM_POINTS, len(dataset.train) // 2)
    count = min(len(dataset.test), len(dataset.train), ENERGY_POINTS)
    if samples is None:
        return count, few
    few = min(few, samples // 2)
    return min(count, samples - few), few


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
