"""Mixture density networks, generators and autoencoders trained with Hilbert-space entropy bounds (arXiv 2511.12903)."""

from contrastive_entropy import diagnostics, metrics, modes, variance
from contrastive_entropy.bounds import Bound
from contrastive_entropy.conditional import (
    conditional_log_likelihood,
    conditional_normalized_inner_product,
    conditional_trace,
)
from contrastive_entropy.decomposition import Decomposition, decompose
from contrastive_entropy.errors import InputError, NumericalWarning, TrainingError
from contrastive_entropy.joint import ConditionalBound, JointMixture, conditional_bound, iid_tightness
from contrastive_entropy.marginal import (
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
    trace,
)
from contrastive_entropy.mixture import GaussianMixture
from contrastive_entropy.spectrum import effective_rank
from contrastive_entropy.streaming import (
    effective_points,
    squared_mmd,
    streamed_log_inner,
    streamed_log_norm,
    streamed_singular_values,
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
    "diagnostics",
    "effective_points",
    "effective_rank",
    "fidelity",
    "fidelity_bracket",
    "iid_tightness",
    "inner_product",
    "log_likelihood",
    "metrics",
    "modes",
    "normalized_inner_product",
    "nuclear_norm",
    "projection",
    "schur_trace",
    "squared_mmd",
    "streamed_log_inner",
    "streamed_log_norm",
    "streamed_singular_values",
    "trace",
    "variance",
]
