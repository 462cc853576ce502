"""What people would use to predict the law of y given x: each fits rows and answers with laws."""

import importlib.util
from collections.abc import Callable

import numpy as np
import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.mixture import GaussianMixture

FOLDS = 5
"""Of the residuals from which a constant deviation is told."""


def _rows(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y to train on, and held-out x; float64."""
    train, held_out = dataset.train, dataset.held_out
    assert train.given is not None
    assert held_out.given is not None
    x, test = (np.asarray(part.double()) for part in (train.given, held_out.given))
    return x, np.asarray(train.points[:, 0].double()), test


def _normal(mean: np.ndarray, deviation: np.ndarray | float) -> GaussianMixture:
    """Batch (n,) of one Gaussian each."""
    center = torch.as_tensor(mean, dtype=torch.float64)
    variance = torch.as_tensor(np.broadcast_to(np.square(deviation), mean.shape).copy(), dtype=torch.float64)
    return GaussianMixture(center.reshape(-1, 1, 1), variance.reshape(-1, 1, 1))


def least_squares(dataset: Dataset, seed: int) -> GaussianMixture:
    """A straight line and a constant deviation."""
    from sklearn.linear_model import LinearRegression

    x, y, test = _rows(dataset)
    model = LinearRegression().fit(x, y)
    free = max(1, len(y) - x.shape[1] - 1)
    return _normal(model.predict(test), np.sqrt(np.square(y - model.predict(x)).sum() / free))


def boosted_trees(dataset: Dataset, seed: int) -> GaussianMixture:
    """scikit-learn's gradient boosting for the mean; the deviation is that of residuals of rows left out in turn."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    x, y, test = _rows(dataset)
    model = HistGradientBoostingRegressor(random_state=seed)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    residuals = y - cross_val_predict(model, x, y, cv=folds)
    return _normal(model.fit(x, y).predict(test), np.sqrt(np.square(residuals).mean()))


def ngboost(dataset: Dataset, seed: int) -> GaussianMixture:
    """NGBoost (Duan et al. 2020, arXiv 1910.03225): boosted mean and deviation of a Gaussian, as its package has it.

    Raises:
        InputError: the package is not installed.
    """
    if importlib.util.find_spec("ngboost") is None:
        raise InputError(
            "the contender ngboost needs the package: pip install ngboost, or leave it out of `contenders`"
        )
    from ngboost import NGBRegressor

    x, y, test = _rows(dataset)
    found = NGBRegressor(verbose=False, random_state=seed).fit(x, y).pred_dist(test)
    return _normal(found.loc, found.scale)


Regressor = Callable[[Dataset, int], GaussianMixture]
"""(data, seed) to the laws of the held-out rows."""

REGRESSORS: dict[str, Regressor] = {function.__name__: function for function in (least_squares, boosted_trees, ngboost)}
"""By name."""
