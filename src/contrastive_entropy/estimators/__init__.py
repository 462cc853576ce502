"""scikit-learn estimators."""

from contrastive_entropy.estimators.generator import MixtureGenerator
from contrastive_entropy.estimators.regressor import MixtureDensityRegressor

__all__ = ["MixtureDensityRegressor", "MixtureGenerator"]
