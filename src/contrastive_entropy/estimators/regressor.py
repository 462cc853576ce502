"""A scikit-learn regressor that answers with a distribution: a mixture density network."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.schema import Table, schema_from
from contrastive_entropy.errors import InputError
from contrastive_entropy.estimators.fitting import asked, bare, fitted, parted_off, seed_of
from contrastive_entropy.fitting.plan import plan_from
from contrastive_entropy.fitting.settings import changed, refuse_useless
from contrastive_entropy.metrics.catalog import PREDICTION_METRICS, figures
from contrastive_entropy.metrics.predictions import Predictions
from contrastive_entropy.mixtures.full import Mixture
from contrastive_entropy.models.conditional import CONDITIONAL, ConditionalSettings
from contrastive_entropy.models.conditional.network import mixture_of, parts_of
from contrastive_entropy.models.conditional.robust import find_outliers
from contrastive_entropy.models.conditional.settings import plan
from contrastive_entropy.storage import json_bytes, write_atomically

LEAST = 10
"""Rows that are needed."""

ROUNDING = 1e-9
"""Of a count, that may add nothing to it."""

LIKELIHOOD = "log_likelihood"
"""The objective by default."""

ROWS = 4096
"""That are predicted at once."""

MODEL, WEIGHTS = "regressor.json", "weights.safetensors"
"""Files of a saved regressor."""


class MixtureDensityRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts the whole law of y given x, as a mixture of Gaussians: intervals, quantiles and several answers at once.

    Args:
        components: of the mixture of each member.
        members: networks whose mixtures together are the answer, an ensemble: better, and slower.
        objective: of `ConditionalSettings`, and so are all from steps to dropout.
        robust: look for outliers in y first, by a fit that hardly sees them, and leave them out. It takes several times
            as long.
        calibrate: keep a fifth of the rows out of the fit, and fit intervals to them that hold the share that they should
            (Chernozhukov et al., "Distributional conformal prediction", arXiv 1909.07889).
        steps: optimiser steps; None is chosen by the number of rows.
        batch_size: rows per step, of each member.
        learning_rate: of Adam.
        width, depth: of the hidden layers.
        dropout: share of hidden units that a step leaves out; None is chosen by the number of rows.
        settings: further fields of `ConditionalSettings` by name.
        accelerator: as Lightning's Trainer takes it.
        verbose: show progress on standard error.
        random_state: int, RandomState or None; the same int gives the same bits.

    Attributes:
        network_: the trained `MixtureDensityNetwork`, on standardized columns.
        outliers_, outlier_share_: with robust, which rows were left out, (n,) bool, and the share that was found before.
        calibration_: with calibrate, (m, d) distances of Q(y|x) from one half, ascending, of the rows that were kept out.
        history_: steps, log-likelihood of the batch ... of every tenth step, an array each.
        given_schema_, schema_: the columns of X and of y, with what standardizes them.
        n_features_in_, feature_names_in_, n_outputs_: as in scikit-learn.

    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = MixtureDensityRegressor(steps=50, random_state=0).fit(X, X[:, 0])
    >>> model.predict_interval(X[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        components: int = 5,
        members: int = 1,
        objective: str = LIKELIHOOD,
        robust: bool = False,
        calibrate: bool = False,
        steps: int | None = None,
        batch_size: int = 128,
        learning_rate: float = 1e-2,
        width: int = 64,
        depth: int = 2,
        dropout: float | None = None,
        settings: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.components = components
        self.members = members
        self.objective = objective
        self.robust = robust
        self.calibrate = calibrate
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.settings = settings
        self.accelerator = accelerator
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Train.

        Args:
            X: (n, k), n >= 10 real numbers.
            y: (n,) or (n, d).
            sample_weight: (n,), not negative: how often a row is drawn, relative to the others. None: all the same.

        Raises:
            ValueError: X, y, a weight or a parameter cannot be used.
            TrainingError: a loss or a gradient is not finite.
            KeyboardInterrupt: Ctrl-C, at the end of the step.
        """
        checked = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=LEAST
        )
        given, values = (torch.as_tensor(np.array(part, dtype=np.float64, order="C")) for part in checked)
        weights = None
        if sample_weight is not None:
            weights = torch.as_tensor(_check_sample_weight(sample_weight, checked[0], ensure_non_negative=True))
        self._single = values.ndim == 1
        values = values.reshape(len(values), -1)
        self.n_outputs_ = values.shape[1]
        names = getattr(self, "feature_names_in_", None)
        columns = None if names is None else tuple(map(str, names))
        self.given_schema_ = Table.of(given.shape[1], columns).standardizing(given)
        self.schema_ = Table.of(values.shape[1]).standardizing(values)
        train = Part(self.schema_.encode(values), self.given_schema_.encode(given), weights=weights)
        chosen = ConditionalSettings(
            "X", seed=seed_of(self.random_state), **asked(CONDITIONAL, self.get_params(), self.settings)
        )
        refuse_useless(changed(chosen), chosen.useless)
        if chosen.samples:
            raise InputError(f"{self.objective} generates samples: take ConditionalGenerator for it")
        # none is held out: what is not trained on is the caller's
        dataset = Dataset("X", train, train, bare(self.schema_), bare(self.given_schema_))
        if self.robust:
            found = find_outliers(chosen, dataset, lambda looking, data, _: self._fitted(looking, data)[0])
            self.outlier_share_, self.outliers_ = found.share, np.asarray(found.outliers)
            dataset = found.without(dataset)
        if self.calibrate:
            dataset, kept = parted_off(dataset)
        self._plan = plan(chosen, dataset)
        self.network_, self.history_ = self._fitted(chosen, dataset)
        if self.calibrate:
            assert kept.given is not None
            law = Predictions(self._laws(kept.given), self.schema_.decode(kept.points).double())
            self.calibration_ = np.sort(np.abs(np.asarray(law.transforms) - 0.5), 0)
        return self

    def _fitted(self, chosen: ConditionalSettings, dataset: Dataset) -> tuple[Any, dict[str, np.ndarray]]:
        return fitted(CONDITIONAL, chosen, dataset, accelerator=self.accelerator, verbose=self.verbose)

    def pred_dist(self, X: Any) -> Mixture:  # noqa: N803
        """The predicted law of each row.

        Args:
            X: (n, k).

        Returns:
            Batch (n,) of mixtures over d coordinates, float64, in the units of y: log_prob, sample, and of one coordinate
            cdf, quantile, crps. With full covariances `mixtures.full.FullCovarianceMixture`, whose `marginal` has these.

        Raises:
            ValueError: X cannot be used.
            NotFittedError: before `fit`.
        """
        return self._laws(self._encoded(X))

    def _encoded(self, X: Any) -> torch.Tensor:  # noqa: N803
        """(n, k), standardized as the network takes it."""
        check_is_fitted(self, "network_")
        return self.given_schema_.encode(
            torch.as_tensor(np.array(validate_data(self, X, reset=False, dtype=np.float64)))
        )

    def _laws(self, given: torch.Tensor) -> Mixture:
        """What the network answers, in the units of y."""
        with torch.no_grad():
            parts = [self.network_(rows) for rows in given.split(ROWS)]
        taken = [parts_of(part) for part in parts]
        found = {name: torch.cat([part[name] for part in taken]).double() for name in taken[0]}
        mean, deviation = torch.tensor(
            [(c.mean, c.deviation or 1e-3 * max(abs(c.mean), 1e-3)) for c in self.schema_.columns], dtype=torch.float64
        ).T
        found["centers"] = mean + found["centers"] * deviation
        if "cholesky" in found:
            found["cholesky"] = deviation.unsqueeze(-1) * found["cholesky"]
        else:
            found["variance"] = found["variance"] * deviation.square()
        return mixture_of(found)

    def predict(self, X: Any, *, quantiles: Sequence[float] | None = None) -> np.ndarray:  # noqa: N803
        """The predicted mean, or quantiles.

        Args:
            X: (n, k).
            quantiles: levels in (0, 1); None is the mean.

        Returns:
            Mean (n,) or (n, d) as y was; quantiles (n, q) or (n, d, q).

        Raises:
            ValueError: X or a level cannot be used.
            NotFittedError: before `fit`.
        """
        laws: Any = self.pred_dist(X)
        if quantiles is None:
            return self._shaped(laws.mean)
        levels = torch.as_tensor(list(quantiles), dtype=torch.float64)
        found = torch.stack([laws.marginal([column]).quantile(levels) for column in range(self.n_outputs_)], 1)
        return self._shaped(found)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:  # noqa: N803
        """Central intervals that should hold such a share of the values.

        Args:
            X: (n, k).
            coverage: in (0, 1); with calibrate, so many values of new rows like those of the fit lie inside.

        Returns:
            (n, 2) or (n, d, 2): lower and upper ends.

        Raises:
            ValueError: X or coverage cannot be used, or too few rows were kept out for this coverage.
            NotFittedError: before `fit`.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must lie in (0, 1), got {coverage}")
        if not self.calibrate:
            return self.predict(X, quantiles=[0.5 - coverage / 2, 0.5 + coverage / 2])
        laws: Any = self.pred_dist(X)
        check_is_fitted(self, "calibration_")
        known, needed = self.calibration_, math.ceil(coverage / (1 - coverage) - ROUNDING)
        if len(known) < needed:
            raise ValueError(
                f"intervals that hold {coverage:g} need at least {needed} rows to calibrate, and {len(known)} were kept "
                "out: fit more rows, or leave calibrate out"
            )
        place = min(math.ceil((len(known) + 1) * coverage - ROUNDING), len(known)) - 1
        levels = torch.as_tensor(known[place]).clamp(max=0.5 - 1e-9)
        found = [
            laws.marginal([column]).quantile(torch.stack([0.5 - level, 0.5 + level]))
            for column, level in enumerate(levels)
        ]
        return self._shaped(torch.stack(found, 1))

    def sample(
        self,
        X: Any,  # noqa: N803
        n_samples: int = 1,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draws of y for each row.

        Args:
            X: (n, k).
            n_samples: m for each.
            random_state: None is the estimator's.

        Returns:
            (n, m) or (n, m, d).

        Raises:
            ValueError: X or n_samples cannot be used.
            NotFittedError: before `fit`.
        """
        seed = seed_of(self.random_state if random_state is None else random_state)
        drawn = self.pred_dist(X).sample(n_samples, generator=torch.Generator().manual_seed(seed))
        return np.asarray(drawn.squeeze(-1) if self._single else drawn)

    def score_samples(self, X: Any, y: Any) -> np.ndarray:  # noqa: N803
        """Log q(y|x) of each row, nats, in the units of y.

        Args:
            X: (n, k).
            y: (n,) or (n, d).

        Raises:
            ValueError: X or y cannot be used.
            NotFittedError: before `fit`.
        """
        return np.asarray(self._predictions(X, y).log_density)

    def evaluate(self, X: Any, y: Any) -> dict[str, float]:  # noqa: N803
        """Figures of `metrics.catalog.PREDICTION_METRICS` on rows that were not trained on.

        Args:
            X: (n, k).
            y: (n,) or (n, d).

        Returns:
            Name -> figure: nll, crps, rmse ...; of one output also tightness, the share that is told of what x can tell.

        Raises:
            ValueError: X or y cannot be used.
            NotFittedError: before `fit`.
        """
        return figures(PREDICTION_METRICS, self._predictions(X, y))

    def save(self, folder: str | Path) -> None:
        """Write the fitted regressor into a folder: JSON and safetensors, which `load` reads without running code.

        Raises:
            NotFittedError: before `fit`.
            InputError: it cannot be written.
        """
        check_is_fitted(self, "network_")
        parameters = {name: v.item() if isinstance(v, np.generic) else v for name, v in self.get_params().items()}
        if not isinstance(parameters["random_state"], int):
            parameters["random_state"] = None
        names = getattr(self, "feature_names_in_", None)
        description = {
            "parameters": parameters,
            "plan": dataclasses.asdict(self._plan),
            "schema": dataclasses.asdict(self.schema_),
            "given_schema": dataclasses.asdict(self.given_schema_),
            "single": self._single,
            "calibration": self.calibration_.tolist() if self.calibrate else None,
            "features": None if names is None else [str(name) for name in names],
        }
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / WEIGHTS, save_tensors(dict(self.network_.state_dict())))
            write_atomically(folder / MODEL, json_bytes(description))
        except OSError as error:
            raise InputError(f"cannot write to {folder} ({error.strerror}); choose another folder") from error

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The regressor that `save` wrote.

        Raises:
            InputError: none is there, or it is damaged.
        """
        folder = Path(folder)
        if not (folder / MODEL).is_file():
            raise InputError(f"no regressor in {folder}: {MODEL} does not exist; give a folder that `save` wrote")
        try:
            known = json.loads((folder / MODEL).read_text(encoding="utf-8"))
            found = cls(**known["parameters"])
            for name in ("schema", "given_schema"):
                setattr(found, f"{name}_", schema_from(known[name]))
            found._single = bool(known["single"])
            if known["calibration"] is not None:
                found.calibration_ = np.array(known["calibration"])
            found.n_outputs_, found.n_features_in_ = found.schema_.dimension, found.given_schema_.dimension
            if known["features"] is not None:
                found.feature_names_in_ = np.array(known["features"], dtype=object)
            found._plan = plan_from(known["plan"], CONDITIONAL.model)
            network = CONDITIONAL.network(found._plan, found.schema_)
            network.load_state_dict(load_tensors((folder / WEIGHTS).read_bytes()))
        except (ValueError, KeyError, TypeError, OSError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"the regressor in {folder} is damaged ({reason}); save it again") from error
        found.network_ = network.eval()
        return found

    def _predictions(self, X: Any, y: Any) -> Predictions:  # noqa: N803
        given = self._encoded(X)
        laws = self._laws(given)
        values = torch.as_tensor(np.asarray(y, dtype=np.float64)).reshape(len(np.asarray(y)), -1)
        if values.shape != (len(laws.centers), self.n_outputs_):
            raise ValueError(f"y must have shape ({len(laws.centers)}, {self.n_outputs_}), got {tuple(values.shape)}")
        if not bool(values.isfinite().all()):
            raise ValueError("y holds NaN or infinite values: remove these rows")
        return Predictions(laws, values, given)

    def _shaped(self, found: torch.Tensor) -> np.ndarray:
        """(n, d, ...) as y was given."""
        return np.asarray(found[:, 0] if self._single else found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
