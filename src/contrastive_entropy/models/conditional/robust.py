"""Rows whose y is not of the law that the others have, found by fits that hardly see them."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.outliers import outliers
from contrastive_entropy.models.conditional.settings import ConditionalSettings

LEAST = 10
"""Rows that must be left."""

LOOKS = 2
"""Ensembles that look for outliers, one after the other."""

LOOKING: dict[str, Any] = {
    "objective": "hoelder:gamma=1",
    "members": 5,
    "components": 2,
    "steps": 1000,
    "dropout": 0.1,
}
"""What is changed for these: with more components, or more steps, they learn the outliers, too."""


@dataclass(frozen=True)
class Found:
    """What was found.

    Args:
        share: of the outliers, in [0, .6].
        outliers: (n,) bool, the training rows that are.
    """

    share: float
    outliers: Tensor

    def without(self, dataset: Dataset) -> Dataset:
        """The same data without these training rows."""
        rows = torch.nonzero(~self.outliers).squeeze(-1)
        return dataclasses.replace(dataset, train=dataset.train.rows(rows))


@torch.no_grad()
def find_outliers(
    settings: ConditionalSettings, dataset: Dataset, trained: Callable[[ConditionalSettings, Dataset, int], Any]
) -> Found:
    """Fit an ensemble by (E18), and a second one to the rows that it explains, which looks at all rows again.

    Args:
        settings: of the fit to come.
        dataset: with outliers among its training rows.
        trained: settings, data and the number of the look to a trained network.

    Raises:
        InputError: too few rows would be left.
    """
    looking, train = dataclasses.replace(settings, **LOOKING), dataset.train
    assert train.given is not None
    found = Found(0.0, torch.zeros(len(train), dtype=torch.bool))
    for look in range(LOOKS):
        with torch.enable_grad():
            network = trained(looking, found.without(dataset), look)
        found = Found(*outliers(network(train.given), train.points))
        if not bool(found.outliers.any()):
            break
        if int((~found.outliers).sum()) < LEAST:
            raise InputError(
                f"{int(found.outliers.sum())} of {len(train)} rows look like outliers, which leaves too few: leave robust "
                "out"
            )
    return found
