"""Some columns of a row to the law of the others: one network for all sets of columns."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.models.table.cells import CellTable

EMBEDDING = 16
"""Numbers that stand for a cell."""

RIDGE = 0.1
"""Curvature of the ridge at the start."""


class ColumnNetwork(nn.Module):
    """The known columns of a row to a law over the cells of each column.

    A law is a softmax of logits: those of the column's shares, a linear layer on the hidden features and, for numbers, a
    ridge -c (score - s)^2 / 2 over the normal scores of the cells, whose place s may be linear in the known scores, so
    that numbers which nearly follow from each other do so. Where nothing is known, the law is that of the column's shares,
    exactly.

    Args:
        cells: of the table.
        schema: its columns.
        width: of the hidden features.
        depth: residual blocks.

    Raises:
        ValueError: a size is not positive.
    """

    column_of: Tensor
    on_ridge: Tensor
    starts: Tensor

    def __init__(self, cells: CellTable, schema: MixedTable, *, width: int, depth: int) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        self.cells, self.schema = cells, schema
        self.learnt = schema.learnt
        columns, total = len(cells.counts), sum(cells.counts)
        self.embedding = nn.Parameter(0.3 * torch.randn(total + columns, EMBEDDING))
        self.first = nn.Linear(columns * (EMBEDDING + 2), width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, total)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.ridge = nn.Linear(width, 2 * columns)
        self.line = nn.Linear(2 * columns, columns)
        column_of = torch.arange(columns).repeat_interleave(torch.tensor(cells.counts))
        real = torch.tensor(cells.ordered)[column_of]
        for start, count, missing in zip(cells.starts, cells.counts, cells.missing, strict=True):
            if missing:
                real[start + count - 1] = False
        self.register_buffer("column_of", column_of, persistent=False)
        self.register_buffer("on_ridge", real.nonzero().flatten(), persistent=False)
        self.register_buffer("starts", torch.tensor(cells.starts), persistent=False)

    @property
    def columns(self) -> int:
        """Columns that are learnt."""
        return len(self.cells.counts)

    def forward(self, cells: Tensor, scores: Tensor, known: Tensor, *, dropped: Tensor | None = None) -> Tensor:
        """Logits of all cells of all columns.

        Args:
            cells: (n, c) int64; what stands at unknown columns plays no part.
            scores: (n, c) normal scores.
            known: (n, c) booleans.
            dropped: (n, width) factors of the hidden features, of dropout.

        Returns:
            (n, total) logits, `split` into columns by `laws`.
        """
        hidden, plain = self._features(cells, scores, known, dropped)
        logits = self.last(hidden)
        of = self.column_of[self.on_ridge]
        place, curvature = self._ridge(hidden, plain)
        ridge = curvature[:, of] * (self.cells.scores[self.on_ridge].mean(1) - place[:, of]).square()
        return self.cells.log_shares + known.any(1, keepdim=True) * logits.index_add(
            1, self.on_ridge, ridge.to(logits.dtype)
        )

    def law(self, index: int, cells: Tensor, scores: Tensor, known: Tensor) -> Tensor:
        """Logits (n, cells of the column) of one column alone, as `forward` has them at less cost."""
        hidden, plain = self._features(cells, scores, known, None)
        start, count = self.cells.starts[index], self.cells.counts[index]
        own = slice(start, start + count)
        logits = functional.linear(hidden, self.last.weight[own], self.last.bias[own])
        told = known.any(1, keepdim=True)
        if not self.cells.ordered[index]:
            return self.cells.log_shares[own] + told * logits
        place, curvature = (part[:, index, None] for part in self._ridge(hidden, plain))
        real = count - self.cells.missing[index]
        ridge = curvature * (self.cells.scores[own][:real].mean(1) - place).square()
        return self.cells.log_shares[own] + told * torch.cat([logits[:, :real] + ridge, logits[:, real:]], 1)

    def _ridge(self, hidden: Tensor, plain: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c) place and factor of the squared distance from it."""
        place, curvature = self.ridge(hidden).chunk(2, 1)
        return place + self.line(plain), -0.5 * RIDGE * curvature.exp()

    def _features(self, cells: Tensor, scores: Tensor, known: Tensor, dropped: Tensor | None) -> tuple[Tensor, Tensor]:
        """(n, width) hidden features, and (n, 2 c) scores of what is known beside what is known."""
        columns = self.columns
        unknown = len(self.column_of) + torch.arange(columns, device=cells.device)
        rows = functional.embedding(torch.where(known, cells + self.starts, unknown), self.embedding).flatten(1)
        plain = torch.cat([torch.where(known, scores, 0.0), known.to(scores.dtype)], 1)
        hidden = self.first(torch.cat([rows, plain], 1))
        if dropped is not None:
            hidden = hidden * dropped
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden), plain

    def laws(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Logits (n, total) of `forward` by column, (n, cells of the column) each."""
        return logits.split(self.cells.counts, 1)


class Block(nn.Module):
    """Features plus a hidden layer of their normalised values; begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(n, width) to (n, width)."""
        hidden: Tensor = self.second(functional.silu(self.first(self.norm(features))))
        return features + hidden
