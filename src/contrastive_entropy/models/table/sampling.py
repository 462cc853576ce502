"""Rows of a table's model: column by column, given those that are known."""

import torch
from torch import Tensor

from contrastive_entropy.data.columns import NOT_GIVEN
from contrastive_entropy.models.table.network import ColumnNetwork

ROWS = 4096
"""Rows that are drawn at once."""


@torch.no_grad()
def draw(network: ColumnNetwork, given: Tensor, *, generator: torch.Generator, complete: bool = False) -> Tensor:
    """Rows in which what is not given is drawn, column by column, each given all before it and all that is given.

    Args:
        network: of the table.
        given: (n, d) float64 as `MixedTable.numbers`; `NOT_GIVEN` where a value is to be drawn, NaN where it is missing.
        generator: a CPU generator.
        complete: never draw a missing value.

    Returns:
        (n, d) float64: what was given as it is, what was drawn in the data's bounds and decimals; NaN is a missing value.
        Keys are 0.
    """
    return torch.cat([_draw(network, part, generator, complete) for part in given.split(ROWS)])


def _draw(network: ColumnNetwork, given: Tensor, generator: torch.Generator, complete: bool) -> Tensor:
    device = network.embedding.device
    table = network.cells
    rows = given[:, network.learnt]
    known = rows != NOT_GIVEN  # NaN is known to be missing
    cells, scores = table.find(torch.where(known, rows, 0.0))
    values = rows.clone()
    for index in range(network.columns):
        drawn = ~known[:, index]
        if not bool(drawn.any()):
            continue
        logits = network.law(index, *(part[drawn].to(device) for part in (cells, scores, known)))
        if complete and table.missing[index]:
            logits = logits[:, :-1]
        cell = torch.multinomial(logits.float().softmax(1).cpu(), 1, generator=generator).squeeze(1)
        value, score = table.values(index, cell, generator=generator)
        cells[drawn, index], scores[drawn, index], values[drawn, index] = cell, score, value
        known[:, index] = True
    found = network.schema.whole(values)
    return torch.where(given == NOT_GIVEN, network.schema.tidy(found), found)
