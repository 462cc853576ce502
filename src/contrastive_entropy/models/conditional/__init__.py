"""Conditional laws: that of y given an x that the user gives, as a mixture or by samples."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.given import some_given
from contrastive_entropy.data.schema import Column, Schema, Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Kind, Step
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.models.codes.space import first
from contrastive_entropy.models.conditional import sampling, step
from contrastive_entropy.models.conditional.evaluation import evaluate
from contrastive_entropy.models.conditional.sampler import ConditionalSampler
from contrastive_entropy.models.conditional.settings import ConditionalPlan, ConditionalSettings, load, plan


def network(plan: Plan, schema: Schema) -> nn.Module:
    """A network with fresh weights from the seed: of samples, or of mixtures."""
    return (sampling if plan.model.samples else step).network(plan, schema)


def place(network: Any, dataset: Dataset) -> None:
    """Set what the training rows give."""
    assert dataset.train.given is not None
    if dataset.coder is None:
        network.place_given(dataset.train.given, dataset.train.points)
    else:
        network.place(dataset.learnt.points, dataset.coder())


def step_of(plan: Plan, network: Any, dataset: Dataset) -> Step:
    """The step of a fit."""
    return (sampling.SamplerStep if plan.model.samples else step.ConditionalStep)(plan, network, dataset)


@torch.no_grad()
def sample(
    network: Any,
    dataset: Callable[[], Dataset],
    count: int,
    *,
    generator: torch.Generator,
    from_density: bool = False,
    given: Tensor | None = None,
) -> Tensor:
    """A draw of y for each of some x.

    Args:
        network: of this kind.
        dataset: loads the data, where x is drawn from their training rows.
        count: of the draws.
        generator: of the draws.
        from_density: is for generators.
        given: (count, k); None: of training rows, drawn at random.

    Raises:
        InputError: from_density.
    """
    if from_density:
        raise InputError("`from_density` is for generators; a predicted law is drawn from as it is: leave it out")
    if given is None:
        given = some_given(dataset(), count, generator=generator)
    if isinstance(network, ConditionalSampler):
        return network.draw(given, generator=generator)
    return network(given).sample(1, generator=generator).squeeze(-2)


def given_schema(plan: Plan) -> Table:
    """The columns of x, or the classes."""
    model: ConditionalPlan = plan.model
    kind = "category" if model.levels else "number"
    offsets = model.offsets or (0.0,) * len(model.given)
    columns = (
        Column(name, kind, mean=mean, levels=model.levels) for name, mean in zip(model.given, offsets, strict=True)
    )
    return Table(tuple(columns), named=True)


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
    says="Train the law of some columns of a table given the others, or of images given their class.",
    settings=ConditionalSettings,
    model=ConditionalPlan,
    load=load,
    first=first,
    plan=plan,
    network=network,
    place=place,
    step=step_of,
    sample=sample,
    given=given_schema,
    evaluate=evaluate,
    figures=figures,
    pictures=("predictions.png", "calibration.png", "classes.png", "training.png"),
    captions={
        "predictions.png": "What is predicted, and what came, in held-out rows. Half of the values should lie in the "
        "central 50% intervals, and nine of ten in the central 90% intervals.",
        "calibration.png": "Whether predicted laws are right on the whole. Flat, and on the line, where they are; a hill "
        "in the middle says too wide, hills at both ends too sure.",
        "classes.png": "A row for each class: held-out images on the left, generated ones on the right.",
        "training.png": "How the training went. The objective on the batches, also smoothed; in shaded steps what "
        "is annealed falls.",
    },
    commands=commands,
)

__all__ = ["CONDITIONAL", "ConditionalSettings"]
