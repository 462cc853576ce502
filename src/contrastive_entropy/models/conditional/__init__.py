"""Conditional densities: the law of y given an x that the user gives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.models.conditional.evaluation import evaluate
from contrastive_entropy.models.conditional.network import MixtureDensityNetwork
from contrastive_entropy.models.conditional.settings import ConditionalPlan, ConditionalSettings, load, plan
from contrastive_entropy.models.conditional.step import ConditionalStep, network, place


@torch.no_grad()
def sample(
    network: MixtureDensityNetwork,
    dataset: Callable[[], Dataset],
    count: int,
    *,
    generator: torch.Generator,
    from_density: bool = False,
) -> Tensor:
    """A draw of y each for training rows of x that are drawn at random.

    Raises:
        InputError: from_density, which is for generators: laws are drawn from as they are.
    """
    if from_density:
        raise InputError("`from_density` is for generators; a predicted law is drawn from as it is: leave it out")
    given = dataset().train.given
    assert given is not None
    rows = given[torch.randint(len(given), (count,), generator=generator)]
    return network(rows).sample(1, generator=generator).squeeze(-2)


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Any]:
    """Pictures by file name; matplotlib is loaded when they are asked for."""
    from contrastive_entropy.models.conditional.figures import figures as draw

    return draw(run, dataset, evaluation)


def commands() -> dict[str, Callable[..., None]]:
    """What only a conditional density answers; typer is loaded when they are asked for."""
    from contrastive_entropy.models.conditional.commands import predict

    return {"predict": predict}


CONDITIONAL = Kind(
    name="conditional",
    says="Train a mixture density network: the law of some columns of a table given the others.",
    settings=ConditionalSettings,
    model=ConditionalPlan,
    load=load,
    plan=plan,
    network=network,
    place=place,
    step=ConditionalStep,
    sample=sample,
    evaluate=evaluate,
    figures=figures,
    pictures=("predictions.png", "calibration.png", "training.png"),
    commands=commands,
)

__all__ = ["CONDITIONAL", "ConditionalSettings"]
