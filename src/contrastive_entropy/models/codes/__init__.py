"""Codes: an autoencoder of images, in whose codes generators learn."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.models.codes.evaluation import evaluate
from contrastive_entropy.models.codes.settings import CodesPlan, CodesSettings, plan
from contrastive_entropy.models.codes.step import CodesStep, network
from contrastive_entropy.networks.images import ImageCodes


@torch.no_grad()
def sample(
    network: ImageCodes,
    dataset: Callable[[], Dataset],
    count: int,
    *,
    generator: torch.Generator,
    from_density: bool = False,
) -> Tensor:
    """Reconstructions of training images, drawn at random.

    Raises:
        InputError: from_density.
    """
    if from_density:
        raise InputError("`from_density` is for generators; leave it out")
    images = dataset().train.points
    rows = torch.randint(len(images), (count,), generator=generator)
    return network.images_of(network.codes_of(images[rows]))


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Any]:
    """Pictures by file name; matplotlib is loaded when they are asked for."""
    from contrastive_entropy.models.codes.figures import figures as draw

    return draw(run, dataset, evaluation)


CODES = Kind(
    name="codes",
    says="Train an autoencoder of images, whose codes generators can learn in the place of pixels.",
    settings=CodesSettings,
    model=CodesPlan,
    plan=plan,
    network=network,
    place=lambda network, dataset: network.place(dataset.train.points),
    step=CodesStep,
    sample=sample,
    evaluate=evaluate,
    figures=figures,
    pictures=("reconstructions.png", "training.png"),
    captions={
        "reconstructions.png": "Held-out images and what their codes keep. A generator of these codes cannot do better "
        "than the right-hand side.",
        "training.png": "How the training went. The objective is minus the squared error, over the variance of the images.",
    },
    invents=False,
    convolves=True,
)

__all__ = ["CODES", "CodesSettings"]
