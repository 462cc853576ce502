"""How good an autoencoder's alternatives are: every figure beside what draws from the data's own posterior reach."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Table as SchemaTable
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.alternatives import Alternatives
from contrastive_entropy.metrics.catalog import ALTERNATIVE_METRICS
from contrastive_entropy.metrics.catalog import figures as figures_of
from contrastive_entropy.metrics.diagnosis import Remedy, diagnose_alternatives
from contrastive_entropy.metrics.evaluation import MODEL, REFERENCE, Evaluation, Headline, Table, missed_part
from contrastive_entropy.metrics.missed import missed_beside
from contrastive_entropy.metrics.neighborhoods import NEIGHBORS, neighbor_distance, require_enough
from contrastive_entropy.metrics.samples import FAR_QUANTILE
from contrastive_entropy.models.autoencoder.network import CODES, EncoderMixtureDecoder
from contrastive_entropy.models.autoencoder.settings import AutoencoderPlan
from contrastive_entropy.models.autoencoder.tracking import PARTS, encoded, figures
from contrastive_entropy.objectives.catalog import CONDITIONAL_OBJECTIVES
from contrastive_entropy.spaces.classifier import Classifier

INPUTS = 200
"""Held-out inputs whose alternatives are looked at."""

ALTERNATIVES = 16
"""Alternatives of each."""

JOINT_POINTS = 2000
"""Most points of the joints whose bounds are evaluated."""

POSTERIOR_POINTS = 10_000
"""Most training points that stand for the posterior, and that the classifier learns from."""

BEST = CONDITIONAL_OBJECTIVES[0].name
"""The objective whose norm keeps the alternatives of one code apart."""

READING = "exp(value - limit) on held-out points; at 1 the decoder answers with the posterior p(x|y) itself."
"""How the headline is read."""

REAL = "real: training points drawn from p(x|y) in the alternatives' place."
"""What the table is compared with."""


def load_autoencoder(run: Run) -> EncoderMixtureDecoder:
    """The trained network of a run.

    Raises:
        InputError: the run holds another kind of model, or training has not finished.
    """
    if run.kind.model is not AutoencoderPlan:
        raise InputError(
            f"{run.folder} holds a run of kind {run.kind.name}, which has no encoder; train an autoencoder"
        )
    network: EncoderMixtureDecoder = run.network()
    return network


def evaluate(
    run: Run,
    dataset: Dataset,
    *,
    seed: int = 1,
    from_density: bool = False,
    feature_weights: Path | None = None,
    features: bool = True,
) -> Evaluation:
    """Bounds on training and held-out points, and the quality of alternatives for held-out inputs.

    Args:
        run: of an autoencoder, finished.
        dataset: what `run.dataset()` returned.
        seed: of noise and draws.
        from_density, feature_weights: are for generators, and refused.
        features: are for generators of images; nothing is compared in any, either way.

    Returns:
        Evaluation, with the tables `bounds` (columns train and held_out: (E15) and errors, as `tracking.figures`) and
        `alternatives` (model, and reference: draws from the posterior p(x|y) on training points). `purity` and `clarity`
        are there if the data have classes: the classifier is a small network trained on the data set itself, named in the
        settings. `mean_preferred` is the share of codes whose `JointMixture.mean_gains` are positive. The arrays are inputs
        (n, d), alternatives (n, a, d) and posterior (n, a, d).

    Raises:
        InputError: training has not finished, too few points, or what is asked is for generators.
    """
    if feature_weights is not None:
        raise InputError(
            f"`feature_weights` is for generators of images, and {run.folder} is an autoencoder; leave it out"
        )
    if from_density:
        raise InputError("`from_density` is for generators; an autoencoder's alternatives are compared as centers")
    network = load_autoencoder(run)
    require_enough(dataset.name, len(dataset.train), len(dataset.held_out))
    bounds = {part: figures(network, points[:JOINT_POINTS], seed=seed) for part, points in _parts(dataset).items()}
    classifier = _classifier(dataset)
    model, real, missed = _sides(network, dataset, classifier, seed)
    found, posterior = (figures_of(ALTERNATIVE_METRICS, side) for side in (model, real))
    what = f"{ALTERNATIVES} alternatives for each of {len(model.inputs)} held-out inputs"
    diagnoses = diagnose_alternatives(
        found, posterior, bounds["train"], centers=network.centers, steps=run.plan.steps, better=_better(run),
        missed=missed,
    )  # fmt: skip
    return Evaluation(
        Headline("tightness", bounds["held_out"]["tightness"], READING),
        (
            Table(
                "bounds", f"bound (E15) of {network.centers} centers on {Path(run.settings.data).name}, nats", bounds
            ),
            Table("alternatives", what, {MODEL: found, REFERENCE: posterior}, ALTERNATIVE_METRICS),
        ),
        tuple(diagnoses),
        _settings(dataset, model, classifier, seed),
        {"inputs": model.inputs, "alternatives": model.draws, "posterior": real.draws},
        (REAL,),
    )


def _parts(dataset: Dataset) -> dict[str, Tensor]:
    return dict(zip(PARTS, (dataset.train.points, dataset.held_out.points), strict=True))


def _classifier(dataset: Dataset) -> Classifier | None:
    """Of the data's classes, if they have any."""
    if dataset.train.labels is None or dataset.held_out.labels is None:
        return None
    return Classifier(dataset.train.points[:POSTERIOR_POINTS], dataset.train.labels[:POSTERIOR_POINTS])


def _sides(
    network: EncoderMixtureDecoder, dataset: Dataset, classifier: Classifier | None, seed: int
) -> tuple[Alternatives, Alternatives, str | None]:
    """Alternatives of the model, draws from the posterior in their place, and words on what the model misses."""
    train, held_out = _parts(dataset).values()
    generator = torch.Generator().manual_seed(seed)
    inputs = held_out[:INPUTS]
    draws = network.reconstruct(inputs, ALTERNATIVES, generator=generator)
    posterior = posterior_draws(network, train[:POSTERIOR_POINTS], inputs, ALTERNATIVES, generator=generator)
    joint = encoded(network, train[:JOINT_POINTS])
    gains = joint.mean_gains(joint.draw(len(inputs), generator=generator)[1], network.centers)
    known: dict[str, Any] = {
        "inputs": inputs,
        "train": train,
        "held_out": held_out,
        "radius": float(neighbor_distance(held_out, train).quantile(FAR_QUANTILE)),
        "image_shape": dataset.image_shape,
    }
    if classifier is not None and dataset.held_out.labels is not None:
        known["classified"] = partial(classifier.purity_and_clarity, labels=dataset.held_out.labels[: len(inputs)])
    lost = missed_beside(held_out, draws.flatten(0, 1), posterior.flatten(0, 1))
    words = missed_part(lost, dataset.schema.names if isinstance(dataset.schema, SchemaTable) else None)
    model = Alternatives(draws, **known, mean_gains=gains, missed=lost.share)
    return model, Alternatives(posterior, **known, missed=lost.real), words


def _settings(dataset: Dataset, model: Alternatives, classifier: Classifier | None, seed: int) -> dict[str, Any]:
    """What the figures were computed from."""
    found: dict[str, Any] = {
        "seed": seed,
        "inputs": len(model.inputs),
        "alternatives": ALTERNATIVES,
        "joint_points": {part: min(len(points), JOINT_POINTS) for part, points in _parts(dataset).items()},
        "posterior_points": min(len(dataset.train), POSTERIOR_POINTS),
        "neighbors": NEIGHBORS,
        "far_radius": model.radius,
    }
    if classifier is not None and dataset.held_out.labels is not None:
        found["classifier"] = classifier.name
        found["classifier_accuracy"] = classifier.accuracy(dataset.held_out.points, dataset.held_out.labels)
    return found


def _better(run: Run) -> list[Remedy]:
    """What keeps centers apart, if the fit does without it."""
    found = []
    if run.plan.objective != BEST:
        found.append(Remedy("another objective", "objective", BEST))
    if run.plan.model.codes != CODES[0]:
        found.append(Remedy("another kind of codes", "codes", CODES[0]))
    return found


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
