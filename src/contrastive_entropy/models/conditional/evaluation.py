"""How good predicted laws are, every figure beside that of the law of y without x; `classes` judges samples of a class."""

from pathlib import Path

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Table as Columns
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.catalog import PREDICTION_METRICS, figures
from contrastive_entropy.metrics.diagnosis import diagnose_predictions
from contrastive_entropy.metrics.evaluation import MODEL, Evaluation, Headline, Table
from contrastive_entropy.metrics.predictions import Predictions
from contrastive_entropy.mixtures.full import FullCovarianceMixture, Mixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.conditional.classes import evaluate_classes
from contrastive_entropy.models.conditional.network import MixtureDensityNetwork, spacing_of
from contrastive_entropy.models.conditional.sampler import DRAWS, ConditionalSampler

WITHOUT = "without_x"
"""Column of the table: the training targets themselves as the law of every row."""

WITHOUT_POINTS = 500
"""Training targets that stand for it, at most."""

READING = "of what x can tell about y, the share that is told, at most; 1 is all."
"""How the headline is read."""

CRPS = "mean distance of predicted law and value, in the units of the targets."
"""The same where y has several columns."""

REFERENCE = "without x: the training targets as one law for all rows. What x tells is the difference."


@torch.no_grad()
def evaluate(
    run: Run,
    dataset: Dataset,
    *,
    seed: int = 1,
    from_density: bool = False,
    feature_weights: Path | None = None,
    features: bool = True,
) -> Evaluation:
    """Predict the held-out rows, or compare samples class by class where x is a class.

    Args:
        run: of a conditional density, finished.
        dataset: what `run.dataset()` returned.
        seed: of the targets that stand for the law without x.
        from_density: is for generators, and refused.
        feature_weights, features: for images, as `evaluate_classes`.

    Returns:
        Of classes, see `evaluate_classes`. Else an Evaluation with the table `predictions`, columns model and without_x.
        The arrays are given (n, k), y (n, d), centers, variance and log_weights of the predicted mixtures, and transforms
        (n, d).

    Raises:
        InputError: training has not finished, or what is asked is for generators.
    """
    if from_density:
        raise InputError(f"`from_density` is for generators, and {run.folder} holds a conditional; leave it out")
    if run.plan.model.levels:
        return evaluate_classes(run, dataset, seed=seed, feature_weights=feature_weights, features=features)
    if feature_weights is not None:
        raise InputError(f"`feature_weights` is for images, and {run.folder} predicts columns; leave it out")
    return _evaluate_predictions(run, dataset, seed)


def _evaluate_predictions(run: Run, dataset: Dataset, seed: int) -> Evaluation:
    network: MixtureDensityNetwork | ConditionalSampler = run.network()
    given, y = dataset.held_out.given, dataset.held_out.points
    assert given is not None
    laws = network(given)
    comparable = (given - network.given_location) / network.given_scale
    model = Predictions(laws, y, comparable)
    plain = Predictions(_without(dataset, seed), y)
    columns = {name: figures(PREDICTION_METRICS, side) for name, side in ((MODEL, model), (WITHOUT, plain))}
    found = columns[MODEL]
    headline = (
        Headline("tightness", found["tightness"], READING)
        if "tightness" in found
        else Headline("crps", found["crps"], CRPS)
    )
    title = f"{_named(dataset)} of {Path(run.settings.data).name}, {len(y)} held-out rows"
    return Evaluation(
        headline,
        (Table("predictions", title, columns, PREDICTION_METRICS),),
        tuple(diagnose_predictions(found, steps=run.plan.steps, members=_members(run))),
        {"seed": seed, "rows": len(y), "spacing": [spacing_of(column) for column in dataset.train.points.T]},
        {
            "given": given,
            "y": y,
            "centers": laws.centers,
            "variance": _variances(laws),
            "log_weights": laws.log_weights,
            "transforms": model.transforms,
        },
        tuple(_notes(found, samples=run.plan.model.samples)),
    )


def _variances(laws: Mixture) -> Tensor:
    """(n, m, d) of every coordinate by itself."""
    if isinstance(laws, FullCovarianceMixture):
        return laws.cholesky.square().sum(-1)
    return laws.variance


def _members(run: Run) -> int | None:
    return None if run.plan.model.samples else int(run.plan.model.members)


def _named(dataset: Dataset) -> str:
    """What is predicted, and from how much."""
    schema, given = dataset.schema, dataset.given_schema
    assert isinstance(schema, Columns)
    assert given is not None
    names = [column.name if schema.named else f"column {column.name}" for column in schema.columns]
    return f"{', '.join(names)} given {given.dimension} {'column' if given.dimension == 1 else 'columns'}"


def _without(dataset: Dataset, seed: int) -> GaussianMixture:
    """Some training targets with Silverman's bandwidths."""
    y = dataset.train.points.double()
    chosen = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[:WITHOUT_POINTS]
    count, dimension = len(chosen), y.shape[1]
    deviation = y.std(0, correction=0).clamp_min(torch.finfo(torch.float32).tiny ** 0.5)
    width = deviation * (4 / (dimension + 2) / count) ** (1 / (dimension + 4))
    return GaussianMixture(y[chosen], width.square())


def _notes(found: dict[str, float], *, samples: bool) -> list[str]:
    notes = [REFERENCE]
    if samples:
        notes.append(f"The law of a row is {DRAWS} samples, smoothed.")
    if "tightness" in found:
        notes.append(
            f"tightness: the limit is estimated and errs low, so {found['tightness_gap']:.3f} +- "
            f"{found['tightness_gap_error']:.3f} nats are left at least."
        )
    return notes
