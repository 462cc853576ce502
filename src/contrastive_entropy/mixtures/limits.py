"""Limits of the bounds on conditional densities, and what comes near them (E15, E19).

All numbers are nats, float64.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def iid_tightness(concentration: float | Tensor, centers: int) -> float | Tensor:
    """Expected tightness if a condition's centers are independent draws from p(.|y): C B / (1 + (C - 1) B)  (E19).

    Args:
        concentration: B = E_y sum_ij w_i w_j exp(-|x_i - x_j|^2 / 4 v_x), in (0, 1]; 1 / B is the effective number of
            posterior neighbours.
        centers: C >= 1.

    Returns:
        In (0, 1].

    Raises:
        ValueError: centers < 1.

    >>> iid_tightness(0.5, 3)
    0.75
    """
    if centers < 1:
        raise ValueError(f"centers must be at least 1, got {centers}")
    return centers * concentration / (1 + (centers - 1) * concentration)


@dataclass(frozen=True, eq=False)
class ConditionalBound:
    """(E15) on given conditions with standard errors, made by `conditional_bound`.

    Args:
        log_inners: (s,) log <p(.|y_s), q(.|y_s)>.
        log_norms: (s,) log ||q(.|y_s)||^2.
        log_limits: (s,) log ||p(.|y_s)||^2.
        log_weights: (s,) of the nodes of a quadrature, normalised; None for draws, which have standard errors.
        log_peak: c(2 v_x).
    """

    log_inners: Tensor
    log_norms: Tensor
    log_limits: Tensor
    log_weights: Tensor | None
    log_peak: float

    @property
    def value(self) -> float:
        """In nats."""
        return 2 * float(log_mean(self.log_inners, self.log_weights)) - self.log_norm

    @property
    def log_norm(self) -> float:
        """Log E_y ||q(.|y)||^2, in nats."""
        return float(log_mean(self.log_norms, self.log_weights))

    @property
    def limit(self) -> float:
        """In nats."""
        return float(log_mean(self.log_limits, self.log_weights))

    @property
    def gap(self) -> float:
        """Limit - value, in nats, not negative up to rounding."""
        return self.limit - self.value

    @property
    def tightness(self) -> float:
        """exp(-gap), in [0, 1]."""
        return math.nan if math.isnan(self.gap) else min(1.0, math.exp(-self.gap))

    @property
    def concentration(self) -> float:
        """B; 1 / B is the effective number of posterior neighbours."""
        return math.exp(self.limit - self.log_peak)

    @property
    def value_error(self) -> float:
        """Standard error of the value over the draws of y, by the delta method; 0 for a quadrature."""
        return self._standard_error(2 * self._relative(self.log_inners) - self._relative(self.log_norms))

    @property
    def limit_error(self) -> float:
        """Standard error of the limit."""
        return self._standard_error(self._relative(self.log_limits))

    @property
    def gap_error(self) -> float:
        """Standard error of the gap: smaller than its parts', which vary together."""
        terms = self._relative(self.log_limits) - 2 * self._relative(self.log_inners) + self._relative(self.log_norms)
        return self._standard_error(terms)

    def _relative(self, logs: Tensor) -> Tensor:
        return (logs - log_mean(logs, self.log_weights)).exp()

    def _standard_error(self, terms: Tensor) -> float:
        if self.log_weights is not None or len(terms) < 2:
            return 0.0
        return float(terms.std() / len(terms) ** 0.5)


def log_mean(logs: Tensor, log_weights: Tensor | None = None) -> Tensor:
    """Log of the mean of exponentials over a batch."""
    if log_weights is not None:
        return torch.logsumexp(logs + log_weights, -1)
    return torch.logsumexp(logs, -1) - math.log(logs.shape[-1])
