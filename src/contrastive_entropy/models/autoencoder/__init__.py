"""Autoencoders: an encoder whose decoder answers one code with several alternatives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.models.autoencoder.evaluation import evaluate
from contrastive_entropy.models.autoencoder.network import EncoderMixtureDecoder
from contrastive_entropy.models.autoencoder.settings import AutoencoderPlan, AutoencoderSettings, plan
from contrastive_entropy.models.autoencoder.step import AutoencoderStep, network
from contrastive_entropy.models.autoencoder.tracking import encoded, track


def sample(
    network: EncoderMixtureDecoder,
    dataset: Callable[[], Dataset],
    count: int,
    *,
    generator: torch.Generator,
    from_density: bool = False,
) -> Tensor:
    """One alternative each for fresh codes near those of the training points."""
    features = encoded(network, dataset().train.points).features
    return network.sample(count, features, generator=generator, from_density=from_density)


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Any]:
    """Pictures by file name; matplotlib is loaded when they are asked for."""
    from contrastive_entropy.models.autoencoder.figures import figures as draw

    return draw(run, dataset, evaluation)


def commands() -> dict[str, Callable[..., None]]:
    """What only an autoencoder answers; typer is loaded when they are asked for."""
    from contrastive_entropy.models.autoencoder.commands import limit, reconstruct

    return {"reconstruct": reconstruct, "limit": limit}


AUTOENCODER = Kind(
    name="autoencoder",
    says="Train an encoder whose decoder answers with several alternatives, and track the bound against its limit.",
    settings=AutoencoderSettings,
    model=AutoencoderPlan,
    plan=plan,
    network=network,
    place=lambda network, dataset: network.place(dataset.train.points),
    step=AutoencoderStep,
    sample=sample,
    evaluate=evaluate,
    figures=figures,
    pictures=("alternatives.png", "bounds.png", "training.png"),
    captions={
        "alternatives.png": "Held-out inputs and their alternatives. Beside them, for comparison, training data drawn from "
        "the posterior p(x|y) in the alternatives' place.",
        "bounds.png": "The bound and the reconstruction errors while training, on training and on held-out points. At a "
        "tightness of 1 the decoder would answer with the posterior itself.",
        "training.png": "How the training went. Tightness on the batches, the variance of the density, and the objective "
        "beside its limit; in the shaded steps the variance falls, and ever finer detail counts.",
    },
    track=track,
    commands=commands,
)

__all__ = ["AUTOENCODER", "AutoencoderSettings"]
