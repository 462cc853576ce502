"""How good a trained generator is: every figure beside what a second sample of the real data reaches."""

import dataclasses
from pathlib import Path

import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Table
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation, evaluate_comparison
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.metrics.samples import Comparison, Counts
from contrastive_entropy.models.codes.space import compared_variance
from contrastive_entropy.objectives.catalog import DENSITY_OBJECTIVES
from contrastive_entropy.spaces.images import image_spaces

BEST = next(objective.name for objective in DENSITY_OBJECTIVES if objective.looks)
"""The objective that covers the data best."""


def evaluate(
    run: Run,
    dataset: Dataset,
    *,
    seed: int = 1,
    from_density: bool = False,
    feature_weights: Path | None = None,
    features: bool = True,
) -> Evaluation:
    """Generate as many points as are held out (10,000 at most) and compare them with the held-out points.

    Args:
        run: of a generator, finished.
        dataset: what `run.dataset()` returned.
        seed: of the generated points.
        from_density: add noise of the density's variance to the generated centers.
        feature_weights: of `inception.Inception`: also compares in Inception features; None adds nothing.
        features: also compares images in features of `efficientnet.EfficientNet`, where its package is installed.

    Returns:
        Evaluation with the table `samples`; its reference column compares as many training points with the same held-out
        points. The arrays are generated (n, d), spectrum (k,) and reference_spectrum (k,): singular values of the
        cross-Gram matrix of generated (training) and held-out points, scaled so that they sum to the fidelity.

    Raises:
        InputError: training has not finished, or too few points to compare; with feature_weights, as `Inception`.
    """
    train, held_out = dataset.train.points, dataset.held_out.points
    require_enough(dataset.name, len(train), len(held_out))
    spaces, said = image_spaces(dataset.image_shape, features=features, feature_weights=feature_weights)
    network = run.network()
    generator = torch.Generator().manual_seed(seed)
    count = Counts.of(len(train), len(held_out)).total
    samples = network.sample(count, generator=generator, from_density=from_density)
    variance, ended = compared_variance(network, train), float(network.variance)  # where a schedule that waits ended
    known = run.plan.objective.split(":")[0]
    found = evaluate_comparison(
        Comparison(
            samples, train, held_out, variance, dataset.image_shape, spaces, reachable=network.reachable(train[:count])
        ),
        f"{run.plan.objective} on {Path(run.settings.data).name}",
        settings={"seed": seed, "from_density": from_density},
        names=dataset.schema.names if isinstance(dataset.schema, Table) else None,
        steps=run.plan.steps,
        better=None if known == BEST else BEST,
        notes=said,
    )
    asked = run.settings.variance_end
    if asked is None or ended <= 1.01 * asked:
        return found
    note = (
        f"The variance ended at {ended:.4g}, above the {asked:.4g} asked for: further down, too many samples would have "
        "had no data near them. Tightness compares at one variance only."
    )
    return dataclasses.replace(found, notes=(*found.notes, note))
