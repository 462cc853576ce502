"""scikit-learn estimators."""

from contrastive_entropy.estimators.generator import MixtureGenerator

__all__ = ["MixtureGenerator"]
