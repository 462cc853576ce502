"""Mixture density networks, generators and autoencoders trained with Hilbert-space entropy bounds (arXiv 2511.12903)."""

from contrastive_entropy import metrics, variance
from contrastive_entropy.errors import InputError, NumericalWarning, TrainingError
from contrastive_entropy.mixtures.decomposition import Decomposition, decompose
from contrastive_entropy.mixtures.joint import JointMixture, conditional_bound
from contrastive_entropy.mixtures.limits import ConditionalBound, iid_tightness
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.streaming import (
    effective_points,
    squared_mmd,
    streamed_log_inner,
    streamed_log_norm,
    streamed_singular_values,
)
from contrastive_entropy.numerics.nuclear import effective_rank
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.conditional import (
    conditional_log_likelihood,
    conditional_normalized_inner_product,
    conditional_trace,
)
from contrastive_entropy.objectives.density import (
    bures_distance,
    cauchy_schwarz_divergence,
    debiased_normalized_inner_product,
    debiased_nuclear_norm,
    fidelity,
    fidelity_bracket,
    inner_product,
    log_likelihood,
    normalized_inner_product,
    nuclear_norm,
    projection,
    schur_trace,
    tightness,
    trace,
)

__version__ = "0.1.0"

__all__ = [
    "Bound",
    "ConditionalBound",
    "Decomposition",
    "GaussianMixture",
    "InputError",
    "JointMixture",
    "NumericalWarning",
    "TrainingError",
    "bures_distance",
    "cauchy_schwarz_divergence",
    "conditional_bound",
    "conditional_log_likelihood",
    "conditional_normalized_inner_product",
    "conditional_trace",
    "debiased_normalized_inner_product",
    "debiased_nuclear_norm",
    "decompose",
    "effective_points",
    "effective_rank",
    "fidelity",
    "fidelity_bracket",
    "iid_tightness",
    "inner_product",
    "log_likelihood",
    "metrics",
    "normalized_inner_product",
    "nuclear_norm",
    "projection",
    "schur_trace",
    "squared_mmd",
    "streamed_log_inner",
    "streamed_log_norm",
    "streamed_singular_values",
    "tightness",
    "trace",
    "variance",
]
