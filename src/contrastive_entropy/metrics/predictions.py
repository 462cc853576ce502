"""Predicted laws of y beside what came: likelihood, CRPS, calibration, and how near they are to the best there is."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.mixtures.full import Mixture
from contrastive_entropy.numerics.gaussian import squared_distances

NEIGHBORS, WIDTH = 20, 0.05
"""Of `Predictions.best_gap`: rows with near x whose probability transforms are paired, and the kernel between these."""

LEVELS = torch.arange(1, 20, dtype=torch.float64) / 20
"""At which calibration is looked at."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """One column of the table.

    Args:
        laws: batch (n,) of mixtures, what was predicted for each row; or one mixture for all of them.
        y: (n, d) what came.
        given: (n, k) what it was predicted from, on comparable scales; None: nothing, and tightness is not asked for.
    """

    laws: Mixture
    y: Tensor
    given: Tensor | None = None

    @property
    def has(self) -> frozenset[str]:
        """What figures may need."""
        return frozenset({"single"} if self.y.shape[1] == 1 and self.given is not None else set())

    @cached_property
    def log_density(self) -> Tensor:
        """(n,) log q(y|x), nats, in the units of y."""
        return self._rows(self.laws.log_prob(self._points(self.y)))

    def _points(self, values: Tensor) -> Tensor:
        """(n, d) as the laws take them: one for each, or all for the one law."""
        return values.unsqueeze(-2) if self.laws.batch_shape else values

    def _rows(self, found: Tensor) -> Tensor:
        return found.squeeze(-1) if self.laws.batch_shape else found

    def _columns(self) -> list[tuple[Any, Tensor]]:
        """The law and the values of each column of y."""
        return [(self.laws.marginal([column]), self._points(self.y[:, [column]])) for column in range(self.y.shape[1])]

    @cached_property
    def crps(self) -> Tensor:
        """(n, d), in the units of y."""
        return torch.stack([self._rows(law.crps(value)) for law, value in self._columns()], -1)

    @cached_property
    def transforms(self) -> Tensor:
        """(n, d) probability integral transforms Q(y|x), uniform where the laws are right."""
        return torch.stack([self._rows(law.cdf(value)) for law, value in self._columns()], -1)

    @property
    def squared_errors(self) -> Tensor:
        """(n, d) of the predicted means."""
        return (self.laws.mean - self.y).double().square()

    def coverage(self, share: float) -> float:
        """How many values lie in the central intervals that should hold such a share."""
        return float(((self.transforms - 0.5).abs() <= share / 2).double().mean())

    @property
    def calibration_error(self) -> float:
        """Mean distance from the share of values below a predicted quantile to its level, over 19 levels."""
        below = (self.transforms.unsqueeze(-1) <= LEVELS.to(self.transforms.device)).double().mean(0)
        return float((below - LEVELS.to(below.device)).abs().mean())

    @cached_property
    def best_gap(self) -> tuple[float, float]:
        """Limit - value of (E18) on rows that were not trained on, and its standard error, in nats.

        The limit is estimated from the rows themselves. Where u = Q(y|x), p(y|x) = q(y|x) c(u|x), and the limit
        log E ||p(.|x)||^2 = log E q(y|x) c(u|x). The density c at u_i is that of a kernel of width .05, reflected at 0
        and 1, on the u_j of the 20 rows whose x are nearest. The estimate errs low in many columns of x, where near rows
        are not near, so that the gap is at least this.

        Raises:
            ValueError: fewer than 3 rows.
        """
        assert self.given is not None
        count = len(self.y)
        if count < 3:
            raise ValueError(f"at least 3 rows are needed, got {count}")
        with torch.no_grad():
            log_q, u = self.log_density, self.transforms[:, 0]
            near = _nearest(self.given, min(NEIGHBORS, count - 1))
            density = _reflected(u.unsqueeze(-1), u[near]).mean(-1)
            terms = log_q, self.laws.log_norm(), log_q + density.log()
            cross, norm, limit = (torch.logsumexp(term, 0) - math.log(count) for term in terms)
            value = 2 * cross - norm
            # by the delta method: a row's influence on the difference of the logs
            influence = (terms[2] - limit).exp() - 2 * (log_q - cross).exp() + (terms[1] - norm).exp()
        return float(limit - value), float(influence.std() / math.sqrt(count))


def _nearest(given: Tensor, count: int) -> Tensor:
    """(n, count) rows nearest to each, without itself."""
    found = []
    for start in range(0, len(given), 1024):
        squares = squared_distances(given[start : start + 1024].double(), given.double())
        squares[torch.arange(len(squares)), torch.arange(start, start + len(squares))] = math.inf
        found.append(squares.topk(count, largest=False).indices)
    return torch.cat(found)


def _reflected(u: Tensor, others: Tensor) -> Tensor:
    """A Gaussian kernel on [0, 1] that loses nothing at its ends."""
    parts = (u - others, u + others, 2 - u - others)
    return sum(torch.exp(-0.5 * (part / WIDTH).square()) for part in parts) / (WIDTH * math.sqrt(2 * math.pi))  # type: ignore[return-value]
