"""Choosing and annealing the variance. All variances are of a density: two of them add up in a kernel's exponent."""

from contrastive_entropy.variance.choice import (
    METHODS,
    VarianceChoice,
    median_pair_variance,
    neighbor_variance,
    select,
    separating_variance,
)
from contrastive_entropy.variance.groups import LEAST_POINTS, grouped_variance, groups_of
from contrastive_entropy.variance.schedule import geometric_schedule

__all__ = [
    "LEAST_POINTS",
    "METHODS",
    "VarianceChoice",
    "geometric_schedule",
    "grouped_variance",
    "groups_of",
    "median_pair_variance",
    "neighbor_variance",
    "select",
    "separating_variance",
]
