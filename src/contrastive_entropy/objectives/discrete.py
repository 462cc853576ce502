"""The Hoelder family on laws over finitely many cells: what columns of a table are given the others  (E16)  (E22).

A row has a law for each of its columns; those that are asked for are scored.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastive_entropy.objectives.bound import Bound


def discrete_hoelder(laws: Sequence[Tensor], cells: Tensor, asked: Tensor, *, gamma: float = 0.0) -> Bound:
    """Sum over columns of ((1 + g) / g) log E (q(y|x) / ||q(.|x)||_(1+g))^g, g = gamma  (E22); g = 0: E log q(y|x)  (E16).

    The mean runs over the rows in which a column is asked for, and a column counts as much as it is asked for; a row
    in which few are weighs as much as one in which many are, so that over random sets of columns the likelihood is
    that of whole rows: the mean over all orders in which columns may follow each other. At g = 1 the share is the
    normalised inner product of q with the value that came: a value that nearly never comes then counts for little,
    where log q counts it for much.

    Args:
        laws: logits (n, k) of each of c columns.
        cells: (n, c) int64, what came.
        asked: (n, c) booleans, at least one in each row.
        gamma: in [0, 1].

    Returns:
        Bound, nats a row. Limit 0: a law that is sure and right; no law reaches it where the data are not certain.

    Raises:
        ValueError: gamma out of range, or shapes that do not fit.

    >>> import torch
    >>> laws = [torch.tensor([[0.0, 0.0], [0.0, 0.0]])]
    >>> discrete_hoelder(laws, torch.tensor([[0], [1]]), torch.tensor([[True], [True]])).value
    tensor(-0.6931, dtype=torch.float64)
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}")
    if cells.shape != asked.shape or cells.shape[1:] != (len(laws),):
        raise ValueError(
            f"cells and asked must have shape (n, {len(laws)}), got {tuple(cells.shape)} and {tuple(asked.shape)}"
        )
    weights = asked.double() / asked.sum(1, keepdim=True).clamp_min(1) * len(laws)
    values = []
    for law, cell, weight in zip(laws, cells.T, weights.T, strict=True):
        log_q = law.double().log_softmax(1)
        chosen = log_q.gather(1, cell[:, None]).squeeze(1)
        if gamma == 0:
            values.append((weight * chosen).mean())
            continue
        norms = torch.logsumexp((1 + gamma) * log_q, 1) / (1 + gamma)
        # a column that no row asks for counts nothing, and its gradient is 0
        log_weight = torch.where(weight.sum() > 0, weight, 1.0).log()
        scored = torch.logsumexp(gamma * (chosen - norms) + log_weight, 0) - torch.logsumexp(log_weight, 0)
        values.append((1 + gamma) / gamma * weight.mean() * scored)
    value = torch.stack(values).sum()
    return Bound(value, lambda: torch.zeros_like(value))
