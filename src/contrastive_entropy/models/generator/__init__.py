"""Generators: noise to points whose law is the data's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import load_for
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.models.codes.space import first, with_codes
from contrastive_entropy.models.generator.evaluation import evaluate
from contrastive_entropy.models.generator.groups import centers_of
from contrastive_entropy.models.generator.network import Generator
from contrastive_entropy.models.generator.settings import GeneratorPlan, GeneratorSettings, plan
from contrastive_entropy.models.generator.step import GeneratorStep, network


def load(settings: GeneratorSettings) -> Dataset:
    """The data, with the autoencoder in whose codes they are learnt where settings name one."""
    return with_codes(settings, load_for(settings))


def place(network: Generator, dataset: Dataset) -> None:
    """Set what the training points give."""
    points = dataset.learnt.points
    network.place(points, None if dataset.coder is None else dataset.coder())
    if network.groups:
        network.group_centers.copy_(centers_of(points, network.groups))


def sample(
    network: Generator,
    dataset: Callable[[], Dataset],
    count: int,
    *,
    generator: torch.Generator,
    from_density: bool = False,
) -> Tensor:
    """Points of fresh noise; the data play no part."""
    return network.sample(count, generator=generator, from_density=from_density)


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Any]:
    """Pictures by file name; matplotlib is loaded when they are asked for."""
    from contrastive_entropy.models.generator.figures import figures as draw

    return draw(run, dataset, evaluation)


GENERATOR = Kind(
    name="generator",
    says="Train a generator: noise to points whose law is the data's.",
    settings=GeneratorSettings,
    model=GeneratorPlan,
    plan=plan,
    network=network,
    load=load,
    first=first,
    place=place,
    step=GeneratorStep,
    sample=sample,
    evaluate=evaluate,
    figures=figures,
    pictures=("samples.png", "columns.png", "training.png", "spectrum.png"),
    captions={
        "samples.png": "Samples beside held-out data. Images are shown as they are, rows of more than two columns along "
        "the principal components of the held-out data.",
        "columns.png": "Every column, held out and generated. Values far outside the data are counted at the edge.",
        "training.png": "How the training went. Tightness on the batches, the variance of the density, and the objective "
        "beside its limit; in the shaded steps the variance falls, and ever finer detail counts.",
        "spectrum.png": "Singular values, of samples and of training data with held-out data. A curve of samples that "
        "falls earlier shows less variety.",
    },
)

__all__ = ["GENERATOR", "GeneratorSettings"]
