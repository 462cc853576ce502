"""A scikit-learn estimator: fit an array, draw more points like it."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.schema import Table
from contrastive_entropy.estimators.fitting import asked, fitted, seed_of
from contrastive_entropy.estimators.forms import ARRAY, as_pandas, form_of, in_form, number_types, of_types
from contrastive_entropy.metrics.neighborhoods import NEIGHBORS
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.generator import GENERATOR, GeneratorSettings
from contrastive_entropy.objectives.density import fidelity, tightness
from contrastive_entropy.variance import neighbor_variance

LEAST = 2 * NEIGHBORS
"""Samples that are needed."""

SCORED = 1000
"""Points of each half that `score` compares, at most."""


class MixtureGenerator(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A generator trained on an array, as `contrastive-entropy fit generator` does it on a file.

    Args:
        objective: with its options, as in `GeneratorSettings`, and so are all up to standardize.
        steps: optimiser steps.
        batch_size: data points per step, for each half of the generated points.
        components: generated points per step.
        learning_rate: of Adam; None is chosen by the width.
        variance_start, variance_end: between which the density's variance falls, in units of X squared, after
            standardizing; None is chosen from X.
        width, depth: of the network's hidden layers.
        noise_dimension: of the noise; None is twice the columns, at most 32.
        principal_components: directions of X that the network writes in; 0 is all columns.
        standardize: bring every column to mean 0 and deviation 1 first; samples are in the units of X.
        settings: further fields of `GeneratorSettings` by name, e.g. {"schedule": "geometric"}.
        accelerator: as Lightning's Trainer takes it.
        verbose: show progress on standard error.
        random_state: int, RandomState or None, of weights, batches and samples; the same int gives the same bits.

    Attributes:
        variance_: of the density, at the end.
        history_: steps, objective, limit, tightness ... of every tenth step, an array each.
        network_: the trained `Generator`, on standardized columns if they were asked for.
        schema_: the columns of X, with what standardizes them or is taken off them.
        n_features_in_, feature_names_in_: as in scikit-learn.

    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> MixtureGenerator(steps=20, random_state=0).fit(X).sample(3).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        objective: str = "debiased_nuclear_norm",
        steps: int = 2000,
        batch_size: int = 256,
        components: int = 512,
        learning_rate: float | None = None,
        variance_start: float | None = None,
        variance_end: float | None = None,
        width: int = 256,
        depth: int = 3,
        noise_dimension: int | None = None,
        principal_components: int = 0,
        standardize: bool = False,
        settings: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.objective = objective
        self.steps = steps
        self.batch_size = batch_size
        self.components = components
        self.learning_rate = learning_rate
        self.variance_start = variance_start
        self.variance_end = variance_end
        self.width = width
        self.depth = depth
        self.noise_dimension = noise_dimension
        self.principal_components = principal_components
        self.standardize = standardize
        self.settings = settings
        self.accelerator = accelerator
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: None = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Train.

        Args:
            X: (n, d), n >= 10 real numbers: an array, or a DataFrame of pandas or polars.
            y: not used.

        Raises:
            ValueError: X or a parameter cannot be used.
            TrainingError: a loss or a gradient is not finite.
            KeyboardInterrupt: Ctrl-C, at the end of the step.
        """
        self._form = form_of(X)
        self._types = {} if self._form == ARRAY else number_types(as_pandas(X))
        points = torch.as_tensor(self._checked(X, reset=True))
        schema = Table.of(points.shape[1])
        schema = schema.standardizing(points) if self.standardize else schema.shifting(points)
        train = Part(schema.encode(points, "X"))
        settings = GeneratorSettings(
            "X", seed=seed_of(self.random_state), **asked(GENERATOR, self.get_params(), self.settings)
        )
        # none is held out: what is not trained on is the caller's
        dataset = Dataset("X", train, train, schema)
        network, history = fitted(GENERATOR, settings, dataset, accelerator=self.accelerator, verbose=self.verbose)
        self.network_, self.history_, self.schema_ = network, history, schema
        self.variance_ = float(network.variance)
        return self

    def sample(
        self, n_samples: int = 1, *, random_state: int | np.random.RandomState | None = None, from_density: bool = False
    ) -> Any:
        """Generate points.

        Args:
            n_samples: n >= 1.
            random_state: of the noise; None is the estimator's.
            from_density: add noise of the density's variance; right for `log_likelihood` alone.

        Returns:
            (n, d) float64, in the units of X; of a DataFrame one of the same columns and types.

        Raises:
            ValueError: n_samples < 1.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        drawn = check_random_state(self.random_state if random_state is None else random_state).randint(2**31)
        generator = torch.Generator().manual_seed(int(drawn))
        points = self.network_.sample(n_samples, generator=generator, from_density=from_density).double()
        values = np.asarray(self.schema_.decode(points))
        return values if self._form == ARRAY else in_form(of_types(values, self._types), self._form)

    def score(self, X: Any, y: None = None) -> float:  # noqa: N803
        """How near the generated law is to that of X, by the objective's own measure, debiased  (E20).

        sqrt(F(x, z) F(x', z') / (F(x, x') F(z, z'))), F the fidelity at the variance that `variance.neighbor_variance`
        chooses from X, whatever that of the fit, with halves x, x' of at most 2,000 points of X, drawn at random, and as
        many generated z, z'. Where the laws are equal it is 1 but for chance, which moves it beyond 1, too; on an X that
        was not trained on it says how far the fit is from done. Scores of the same X compare fits of any parameters but
        `standardize`, which changes what a distance is.

        Args:
            X: (n, d), n >= 10.
            y: not used.

        Raises:
            ValueError: X cannot be used, is constant or mostly duplicates, or varies where a standardized fit's did not.
            NotFittedError: before `fit`.
        """
        check_is_fitted(self, "network_")
        points = torch.as_tensor(self._checked(X, reset=False))
        placed = points.double()
        if self.schema_.standardized or self.schema_.shifted:
            placed = self.schema_.encode(points, "X").double()
        variance = neighbor_variance(placed)
        chosen = torch.randperm(len(placed), generator=torch.Generator().manual_seed(0))[: 2 * SCORED]
        half = len(chosen) // 2
        drawn = self.network_.sample(2 * half, generator=torch.Generator().manual_seed(1)).double()
        p, q = (GaussianMixture(part, variance) for part in (placed[chosen[: 2 * half]], drawn))
        own = float(fidelity(p.select(0, half), p.select(half, 2 * half)))
        own *= float(fidelity(q.select(0, half), q.select(half, 2 * half)))
        if own < 1e-200:
            raise ValueError(
                f"at the variance {variance:.4g} that X suggests the generated points are all far from each other: is X in "
                "the units of what was fitted?"
            )
        return float(tightness(p, q))

    def _checked(self, X: Any, *, reset: bool) -> np.ndarray:  # noqa: N803
        """(n, d) float64, writable and finite."""
        X = as_pandas(X)
        checked = validate_data(self, X, reset=reset, dtype=np.float64, order="C", copy=True, ensure_min_samples=LEAST)
        return np.asarray(checked)
