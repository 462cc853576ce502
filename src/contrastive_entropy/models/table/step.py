"""A step of a table's model: some columns of every row are shown, the law of the others is judged."""

from functools import cached_property

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.data.schema import Schema
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Answer, Batch, Now, Outcome
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.models.table.cells import CellTable, cells_of
from contrastive_entropy.models.table.network import ColumnNetwork
from contrastive_entropy.models.table.sampling import ROWS
from contrastive_entropy.models.table.settings import TablePlan
from contrastive_entropy.objectives.catalog import CELL_OBJECTIVES, parse

IN_ORDER = 0.5
"""Share of the rows in which the first columns are shown, as when a row is drawn; in the others any columns are."""


def network(plan: Plan, schema: Schema) -> ColumnNetwork:
    """A network with fresh weights from the seed."""
    model: TablePlan = plan.model
    assert isinstance(schema, MixedTable)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        cells = CellTable(model.cells, model.ordered, model.missing)
        return ColumnNetwork(cells, schema, width=model.width, depth=model.depth)


def place(network: ColumnNetwork, dataset: Dataset) -> None:
    """Set what the training rows give: the cells, and how many rows are in each."""
    assert isinstance(dataset.schema, MixedTable)
    train = dataset.train
    network.cells.place(cells_of(dataset.schema, train.points), train.points[:, network.learnt], train.weights)


class TableStep:
    """The step of a fit.

    Args:
        plan: of the fit, with a `TablePlan`.
        network: what is fitted.
        dataset: what it learns.
    """

    def __init__(self, plan: Plan, network: ColumnNetwork, dataset: Dataset) -> None:
        self.plan, self.network = plan, network
        self.model: TablePlan = plan.model
        self.choice = parse(plan.objective, CELL_OBJECTIVES)
        self.data, self.weights = dataset.train.points, dataset.train.weights

    @cached_property
    def points(self) -> Tensor:
        """(n, 2, c) cells and scores of the training rows; a resumed run loads the cells first."""
        cells, scores = self.network.cells.find(self.data[:, self.network.learnt])
        return torch.stack([cells.float(), scores], 1)

    @property
    def given(self) -> None:
        """Nothing is given."""

    @property
    def averaged(self) -> nn.Module:
        """All weights."""
        return self.network

    def draw(self, now: Now) -> Tensor:
        """Rows of the batch, with replacement; by weight where rows have weights."""
        return now.rows(self.plan.rows, len(self.data), self.weights)

    def answer(self, batch: Batch, now: Now) -> Answer:
        """The law of all columns of every row, of which some are known."""
        cells, scores = batch.points[:, 0].long(), batch.points[:, 1]
        known = self._known(len(cells), now.generator).to(cells.device)
        share = self.model.dropout
        factors = torch.rand(len(cells), self.model.width, generator=now.generator) >= share
        dropped = factors.to(scores) / (1 - share) if share else None
        return Answer({"logits": self.network(cells, scores, known, dropped=dropped), "cells": cells, "known": known})

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """The objective, over the columns that are not known."""
        parts = answer.parts
        laws = self.network.laws(parts["logits"].float())
        bound = self.choice.objective.bound(laws, parts["cells"], ~parts["known"], **dict(self.choice.options))
        return Outcome(bound, limited=self.choice.objective.limited)

    def settle(self, now: Now) -> None:
        """Nothing of the moment is kept."""

    def _known(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, c) booleans: fewer than all columns of each row, every number of them as likely."""
        columns = self.network.columns
        numbers = torch.randint(columns, (count, 1), generator=generator)
        ranks = torch.rand(count, columns, generator=generator).argsort(1).argsort(1)
        ordered = torch.rand(count, 1, generator=generator) < IN_ORDER
        return torch.where(ordered, torch.arange(columns), ranks) < numbers


@torch.no_grad()
def log_likelihood(network: ColumnNetwork, points: Tensor) -> Tensor:
    """Log-probability of rows, (n,) nats: of the cells of all learnt columns, one after the other.

    Args:
        network: of the table.
        points: (n, d) float64 as `MixedTable.numbers`.

    Raises:
        InputError: a value is missing in a column where none was in the data that were learnt.
    """
    for index, column in enumerate(network.schema.mixed):
        if column.learnt and not column.missing and bool(points[:, index].isnan().any()):
            row = int(points[:, index].isnan().nonzero()[0, 0])
            raise InputError(
                f"column {column.name!r} has no value in row {row}, counted from 0, where none was missing in the data "
                "that were learnt: fill it first"
            )
    found = []
    for part in points.split(ROWS):
        cells, scores = network.cells.find(part[:, network.learnt])
        total = torch.zeros(len(part), dtype=torch.float64)
        for index in range(network.columns):
            known = (torch.arange(network.columns) < index).expand(len(part), -1)
            law = network.law(index, cells, scores, known).double().log_softmax(1)
            total += law.gather(1, cells[:, index, None]).squeeze(1)
        found.append(total)
    return torch.cat(found)
