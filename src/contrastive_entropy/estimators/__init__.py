"""scikit-learn estimators."""

from contrastive_entropy.estimators.conditional_generator import ConditionalGenerator
from contrastive_entropy.estimators.generator import MixtureGenerator
from contrastive_entropy.estimators.regressor import MixtureDensityRegressor
from contrastive_entropy.estimators.table import TableGenerator

__all__ = ["ConditionalGenerator", "MixtureDensityRegressor", "MixtureGenerator", "TableGenerator"]
