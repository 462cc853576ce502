"""What was decided for a fit. No field is None: nobody has to ask later."""

import math
import typing
from dataclasses import dataclass
from typing import Any

from contrastive_entropy.variance.schedule import geometric_schedule

GEOMETRIC, ADAPTIVE = SCHEDULES = ("geometric", "adaptive")
"""How the variance falls: at one pace, or waiting while samples have no data near them."""

ANNEAL_PACE, ANNEAL_MOST = 0.125, 0.8
"""The share of the steps in which a fast variance falls by a factor e, and the most in which any falls, with waiting."""

ADAPT_PACE = 2.0
"""Of an adaptive schedule that catches up, in units of the geometric one's pace."""


@dataclass(frozen=True)
class Fall:
    """How the variance of the density falls.

    Args:
        start, end: in data units squared.
        fraction: of the steps in which it falls, if nothing waits.
        schedule: of `SCHEDULES`.
    """

    start: float
    end: float
    fraction: float
    schedule: str = GEOMETRIC

    @property
    def used(self) -> bool:
        """Whether the density has one variance, that of the moment."""
        return self.schedule != OWN.schedule

    @property
    def waits(self) -> bool:
        """Whether it may wait."""
        return self.schedule == ADAPTIVE

    def scheduled(self, step: int, steps: int) -> float:
        """The variance at a step where nothing waits."""
        return geometric_schedule(step, steps=steps, start=self.start, end=self.end, fraction=self.fraction)

    def over(self, step: int, steps: int) -> bool:
        """Whether it falls no more; an adaptive one that had to wait may, longer than the others."""
        longest = max(self.fraction, ANNEAL_MOST) if self.waits and self.fraction > 0 else self.fraction
        return step >= longest * steps

    def after(self, step: int, steps: int, variance: float) -> float:
        """The next variance of one that waits, after a step at this variance that did not wait."""
        falling = step < self.fraction * steps
        now, then = (self.scheduled(at, steps) for at in ((step, step + 1) if falling else (0, 1)))
        return max(self.scheduled(step + 1, steps), variance * (then / now) ** ADAPT_PACE)


OWN = Fall(1.0, 1.0, 0.0, "own")
"""Of models whose mixtures have variances of their own."""


@dataclass(frozen=True)
class Plan:
    """What the loop needs.

    Args:
        objective: with its options, as people spell it.
        seed: of weights, batches and noise.
        steps: optimiser steps.
        rows: data points that a step draws.
        learning_rate: of Adam.
        decay_fraction: share of the steps, at the end, in which the rate falls linearly to 0.
        average_fraction: share of all steps so far over which weights are averaged; 0: the last step's.
        variance: how it falls, or `OWN`.
        model: what the kind alone reads.
        clip: the norm beyond which a gradient is shortened to it; 0: none is.
    """

    objective: str
    seed: int
    steps: int
    rows: int
    learning_rate: float
    decay_fraction: float
    average_fraction: float
    variance: Fall
    model: Any
    clip: float = 0.0

    def rate(self, step: int) -> float:
        """The learning rate at a step: constant, then linear to 0."""
        share = self.decay_fraction
        left = (self.steps - step) / (self.steps * share) if share > 0 else 1.0
        return self.learning_rate * min(1.0, left)


def falling_share(start: float, end: float, *, fast: bool) -> float:
    """The share of the steps in which a variance falls by default."""
    return min(ANNEAL_MOST, ANNEAL_PACE * math.log(start / end)) if fast else ANNEAL_MOST


def plan_from(value: dict[str, Any], model: type) -> Plan:
    """The plan that `dataclasses.asdict` made this of, as config.json keeps it.

    Args:
        value: of JSON.
        model: the type of the plan's `model`.

    Raises:
        KeyError, TypeError: it is none.
    """
    return Plan(**{**value, "variance": Fall(**value["variance"]), "model": _read(model, value["model"])})


def _read(kind: type, value: dict[str, Any]) -> Any:
    """A dataclass of JSON, whose parts may be `Fall`s and tuples."""
    hints = typing.get_type_hints(kind)
    found = {name: Fall(**part) if hints[name] is Fall else part for name, part in value.items()}
    return kind(**{name: tuple(part) if isinstance(part, list) else part for name, part in found.items()})
