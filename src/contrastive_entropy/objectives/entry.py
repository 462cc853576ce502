"""What the catalogue says of an objective, and of a number that it takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.objectives.bound import Bound

DENSITY, CONDITIONAL, GIVEN = "p(x)", "p(x|y)", "p(y|given x)"
"""What an objective is on: the law of the data, that given a code, or that given what the user gives."""


@dataclass(frozen=True)
class Option:
    """A number that an objective takes, written NAME:OPTION=VALUE.

    Args:
        name: of the function's argument.
        says: what it is, in a few words.
        default: what it is where nothing is said.
        least: the smallest value; None: it must be positive.
        most: the largest value, beside a least one; None: there is none.
        whole: takes whole numbers alone.
    """

    name: str
    says: str
    default: float
    least: float | None = None
    most: float | None = None
    whole: bool = False

    def check(self, value: float, spelling: str) -> None:
        """Raise InputError for a value that cannot be used."""
        if self.least is None and not 0 < value < math.inf:
            raise InputError(f"{self.name} of {spelling!r} must be a positive number, got {value:g}")
        if self.least is not None and self.most is not None and not self.least <= value <= self.most:
            raise InputError(f"{self.name} of {spelling!r} must lie in [{self.least:g}, {self.most:g}], got {value:g}")
        if self.least is not None and not self.least <= value < math.inf:
            raise InputError(f"{self.name} of {spelling!r} must be a number >= {self.least:g}, got {value:g}")
        if self.whole and value != int(value):
            raise InputError(f"{self.name} of {spelling!r} must be a whole number, got {value:g}")


@dataclass(frozen=True)
class Objective:
    """What a fit may maximise.

    Args:
        name: as people write it.
        says: one line for those who choose.
        equation: its label in docs/theory.md, or its source.
        bound: two mixtures, and its options by name, to a Bound.
        on: `DENSITY`, `CONDITIONAL` or `GIVEN`.
        options: the numbers that it takes.
        draws: data points of a step, in batches: 2 where each half of the model's points faces data of its own.
        one_to_one: pairs center i of the model with data point i, which a network on noise cannot.
        debiased: has the optimum of the whole law on minibatches, too.
        looks: so much so that some steps may look from farther away, or at a part of the coordinates, and that the variance
            may fall fast. Measured for one objective; the others keep to one look.
        equal_halves: needs halves of one size: twice as many points of the model as the batch has.
        sees_variance: depends on the mixtures' variance.
        scaled: also takes `start`, the variance at which the fit starts, as its unit of length squared.
        anneals: also takes `gamma`, which falls from 1 to 0 while a fit goes on.
        limited: whether its limit on a batch tells how far a fit is from done.
        limit: of a batch, (joint of the data and their codes, indices, conditions, variance) -> nats, where the bound's own
            limit is that of single draws.
    """

    name: str
    says: str
    equation: str
    bound: Callable[..., Bound]
    on: str = DENSITY
    options: tuple[Option, ...] = ()
    draws: int = 1
    one_to_one: bool = False
    debiased: bool = False
    looks: bool = False
    equal_halves: bool = False
    sees_variance: bool = True
    scaled: bool = False
    anneals: bool = False
    limited: bool = True
    limit: Callable[[JointMixture, Tensor, Tensor, float], Tensor] | None = None
