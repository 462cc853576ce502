"""Tables as people have them: rows of text, dates, numbers and missing values, drawn column by column."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation, Section
from contrastive_entropy.models.table.evaluation import evaluate
from contrastive_entropy.models.table.network import ColumnNetwork
from contrastive_entropy.models.table.sampling import draw
from contrastive_entropy.models.table.settings import TablePlan, TableSettings, load, plan
from contrastive_entropy.models.table.step import TableStep, network, place


def sample(
    network: ColumnNetwork,
    dataset: Callable[[], Dataset],
    count: int,
    *,
    generator: torch.Generator,
    from_density: bool = False,
    given: Tensor | None = None,
) -> Tensor:
    """Rows as numbers, (count, d); the data play no part.

    Args:
        network: of this kind.
        dataset: not called.
        count: of the rows.
        generator: of the draws.
        from_density: is for generators of points.
        given: (count, d), `NOT_GIVEN` where a value is to be drawn; None: everywhere.

    Raises:
        InputError: from_density.
    """
    if from_density:
        raise InputError(
            "`from_density` is for generators of points; rows of a table are drawn as they are: leave it out"
        )
    if given is None:
        given = torch.full((count, network.schema.dimension), NOT_GIVEN, dtype=torch.float64)
    return draw(network, given, generator=generator)


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Any]:
    """Pictures by file name; matplotlib is loaded when they are asked for."""
    from contrastive_entropy.models.table.figures import figures as draw_figures

    return draw_figures(run, dataset, evaluation)


def sections(run: Run, dataset: Dataset, evaluation: Evaluation) -> Sequence[Section]:
    """What a report shows beyond figures and pictures."""
    from contrastive_entropy.models.table.sections import sections as parts

    return parts(run, dataset, evaluation)


def commands() -> dict[str, Callable[..., None]]:
    """What only a model of a table answers; typer is loaded when they are asked for."""
    from contrastive_entropy.models.table.commands import impute

    return {"impute": impute}


TABLE = Kind(
    name="table",
    says="Train a model of a table: text, dates, numbers and missing values; samples are tables of the same columns.",
    settings=TableSettings,
    model=TablePlan,
    load=load,
    plan=plan,
    network=network,
    place=place,
    step=TableStep,
    sample=sample,
    evaluate=evaluate,
    figures=figures,
    pictures=("columns.png", "pairs.png", "training.png"),
    captions={
        "columns.png": "Every column, of held-out and of generated rows. Missing: the shares of both.",
        "pairs.png": "How well the dependence of every two columns is met; 1 is exactly. On the right real rows in the "
        "samples' place.",
        "training.png": "The objective over the steps, nats a row; it is maximised.",
    },
    sections=sections,
    commands=commands,
)

__all__ = ["TABLE", "TableSettings"]
