"""A scikit-learn estimator that generates what belongs to a class, or to other columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from contrastive_entropy.data.arrays import as_points
from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.given import CLASS
from contrastive_entropy.data.schema import Column, Images, Schema, Table, image_shape_of
from contrastive_entropy.errors import InputError
from contrastive_entropy.estimators.fitting import asked, fitted, seed_of
from contrastive_entropy.fitting.settings import changed, refuse_useless
from contrastive_entropy.metrics.classes import ByClass
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.conditional import CONDITIONAL, ConditionalSettings
from contrastive_entropy.models.conditional.settings import GIVEN_WEIGHT
from contrastive_entropy.objectives.density import tightness
from contrastive_entropy.variance import neighbor_variance

LEAST = 20
"""Rows that are needed."""

SCORED = 2000
"""Rows that `score` compares at most where X are numbers."""


class ConditionalGenerator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Generates y given X: images or rows of a class, or columns given other columns.

    Args:
        objective: debiased_nuclear_norm or energy_score, with options as in `ConditionalSettings`, and so are all up to
            noise_dimension.
        steps: optimiser steps; None is 2,000 or more, by the number of rows.
        batch_size: rows per step, for each half of the samples.
        learning_rate: of Adam.
        body: mlp, or convolutional for images.
        width, depth: of the network's hidden layers; None is 256 and 3.
        variance_end: where the density's variance falls to; None is chosen from y.
        noise_dimension: of the noise; None is twice the columns of y, at most 32.
        settings: further fields of `ConditionalSettings` by name, e.g. {"coarse_every": 0}.
        accelerator: as Lightning's Trainer takes it.
        verbose: show progress on standard error.
        random_state: int, RandomState or None, of weights, batches and samples; the same int gives the same bits.

    Attributes:
        classes_: of X, sorted, if X are classes; else None.
        n_features_in_: columns of X; 1 of classes.
        schema_: of y.
        history_: steps, objective, limit, tightness ... of every tenth step, an array each.
        network_: the trained network.

    >>> kinds = np.repeat(["low", "high"], 100)
    >>> y = np.random.default_rng(0).normal(size=(200, 2)) + 9 * (kinds == "high")[:, None]
    >>> model = ConditionalGenerator(steps=20, random_state=0).fit(kinds, y)
    >>> model.sample(["high", "low", "low"]).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        objective: str = "debiased_nuclear_norm",
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        body: str = "mlp",
        width: int | None = None,
        depth: int | None = None,
        variance_end: float | None = None,
        noise_dimension: int | None = None,
        settings: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.objective = objective
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.body = body
        self.width = width
        self.depth = depth
        self.variance_end = variance_end
        self.noise_dimension = noise_dimension
        self.settings = settings
        self.accelerator = accelerator
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803  # scikit-learn's name
        """Train.

        Args:
            X: (n,) classes, numbers or text; or (n, k) real numbers, each row what y is given. n >= 20.
            y: (n, d) rows, or images (n, height, width), (n, channels, height, width) or (n, height, width, channels):
                floats in [0, 1], or unsigned integers, whose range becomes that.

        Raises:
            ValueError: X, y or a parameter cannot be used.
            TrainingError: a loss or a gradient is not finite.
            KeyboardInterrupt: Ctrl-C, at the end of the step.
        """
        chosen = ConditionalSettings(
            "X", seed=seed_of(self.random_state), **asked(CONDITIONAL, self.get_params(), self.settings)
        )
        if not chosen.samples:
            raise InputError(f"{self.objective} predicts mixtures: take MixtureDensityRegressor for it")
        refuse_useless(changed(chosen), chosen.useless)
        check_consistent_length(X, y)
        values = np.asarray(X)
        self.classes_ = _classes(values) if values.ndim == 1 else None
        self.n_features_in_ = 1 if values.ndim == 1 else check_array(X, dtype=np.float64).shape[1]
        points, images = self._targets(y)
        self.schema_: Schema = images or Table.of(points.shape[1]).shifting(points)
        self._shape: tuple[int, ...] = np.asarray(y).shape[1:]
        self._given_schema = Table.of(self.n_features_in_)
        if self.classes_ is None:
            self._given_schema = self._given_schema.shifting(check_array(X, dtype=np.float64))
        given = self._given(X)
        if len(points) < LEAST:
            raise ValueError(f"{len(points)} rows are too few; at least {LEAST} are needed")
        schema = Table.of(given.shape[1])
        if self.classes_ is not None:
            schema = Table((Column(CLASS, "category", levels=tuple(map(str, self.classes_))),), named=True)
        train = Part(self.schema_.encode(points), given)
        # none is held out: what is not trained on is the caller's
        dataset = Dataset("X", train, train, self.schema_, schema)
        self.network_, self.history_ = fitted(
            CONDITIONAL, chosen, dataset, accelerator=self.accelerator, verbose=self.verbose
        )
        return self

    def sample(
        self,
        X: Any,  # noqa: N803
        n_samples: int | None = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Generate y for each row of X.

        Args:
            X: as in `fit`, of classes that were there.
            n_samples: m for each row; None is one.
            random_state: of the noise; None is the estimator's.

        Returns:
            (n, ...), or (n, m, ...), each as a row of y was; images as floats in [0, 1].

        Raises:
            ValueError: X or n_samples cannot be used.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        if n_samples is not None and not (isinstance(n_samples, int | np.integer) and n_samples >= 1):
            raise ValueError(f"n_samples must be a whole number, at least 1, got {n_samples}")
        given = self._given(X)
        seed = seed_of(self.random_state if random_state is None else random_state)
        rows = given.repeat_interleave(n_samples or 1, 0)
        made = self.schema_.decode(self.network_.draw(rows, generator=torch.Generator().manual_seed(seed)))
        if isinstance(self.schema_, Images):
            made = made.unflatten(-1, self.schema_.shape)
            if self._shape[-1] == self.schema_.channels and self._shape != self.schema_.shape:
                made = made.movedim(-3, -1)
        lead = (len(given),) if n_samples is None else (len(given), n_samples)
        return np.asarray(made).reshape(*lead, *self._shape)

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """How near the generated law of y is to the true one, debiased: 1 is as near as a second real sample  (E20).

        Of classes the mean over those with at least 12 rows; of numbers that of X and y together.

        Args:
            X, y: as in `fit`.

        Raises:
            ValueError: X or y cannot be used, or every class has fewer than 12 rows.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        check_consistent_length(X, y)
        given, (points, images) = self._given(X), self._targets(y)
        if (
            image_shape_of(images or Table.of(1)) != image_shape_of(self.schema_)
            or points.shape[1] != self.schema_.dimension
        ):
            raise ValueError(f"y must have rows of shape {self._shape}, got {np.asarray(y).shape[1:]}")
        points = self.schema_.encode(points)
        made = self.network_.draw(given, generator=torch.Generator().manual_seed(1))
        if self.classes_ is not None:
            labels = given[:, 0].long()
            pair = [self.network_.unscaled(part) for part in (made, points)]
            known = ByClass(pair[0], labels, 1.0, pair[1], labels, float(self.network_.variance)).tightness
            if not known:
                raise ValueError("every class has fewer than 12 rows, too few to compare")
            return sum(known.values()) / len(known)
        rows = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:SCORED]
        place = GIVEN_WEIGHT * self.network_.encoded(given[rows]).double()
        pair = [torch.cat([place, self.network_.unscaled(part[rows]).double()], 1) for part in (points, made)]
        variance = neighbor_variance(pair[0])
        return float(tightness(*(GaussianMixture(part, variance) for part in pair)))

    def _given(self, X: Any) -> torch.Tensor:  # noqa: N803
        """(n, k) as the network takes it; classes by number."""
        values = np.asarray(X)
        if self.classes_ is None:
            rows = check_array(X, dtype=np.float64)
            if rows.shape[1] != self.n_features_in_:
                raise ValueError(f"X has {rows.shape[1]} columns, and {self.n_features_in_} were there to fit")
            return self._given_schema.encode(torch.as_tensor(np.array(rows)))
        if values.ndim != 1:
            raise ValueError(f"X must be classes, (n,), as they were there to fit; got shape {values.shape}")
        values = values.astype(str) if values.dtype == object else values
        unknown = [value for value in np.unique(values).tolist() if value not in self.classes_]
        if unknown:
            known = ", ".join(map(str, self.classes_[:20]))
            raise ValueError(f"X holds classes that were not there to fit: {unknown[:5]}; known are {known}")
        return torch.as_tensor(np.searchsorted(self.classes_, values)).unsqueeze(1).float()

    @staticmethod
    def _targets(y: Any) -> tuple[torch.Tensor, Images | None]:
        """(n, d) finite, in the units of y, and the schema of images if that is what they are."""
        values = np.asarray(y)
        if values.ndim == 1:
            raise ValueError("y must have a row for each sample, (n, d), or images; of a single column reshape(-1, 1)")
        points, images = as_points(values, Path("y"))
        check_array(points)
        return torch.from_numpy(points.astype(np.float32 if images else np.float64)), images


def _classes(values: np.ndarray) -> np.ndarray:
    """The classes among (n,) values, sorted.

    Raises:
        ValueError: values are missing, or look like numbers that are measured.
    """
    if pd.isna(values).any():
        raise ValueError("X holds missing classes: remove these rows, or give them a class of their own")
    found = np.unique(values.astype(str) if values.dtype == object else values)
    if values.dtype.kind == "f" and (found != found.round()).any() and len(found) > len(values) / 2:
        raise ValueError(
            f"X are {len(found)} different numbers in {len(values)} rows, hardly classes; of one column of numbers take "
            "reshape(-1, 1)"
        )
    return found
