"""Generators, autoencoders and densities trained with Hilbert-space entropy bounds (arXiv 2511.12903)."""

import importlib
from typing import TYPE_CHECKING, Any

from contrastive_entropy import metrics, variance
from contrastive_entropy.errors import InputError, NumericalWarning, TrainingError
from contrastive_entropy.mixtures.decomposition import Decomposition, decompose
from contrastive_entropy.mixtures.full import FullCovarianceMixture
from contrastive_entropy.mixtures.joint import JointMixture, conditional_bound
from contrastive_entropy.mixtures.limits import ConditionalBound, iid_tightness
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.shape import differentiable_sample, entropy_bounds, modes
from contrastive_entropy.mixtures.streaming import (
    effective_points,
    squared_mmd,
    streamed_log_inner,
    streamed_log_norm,
    streamed_singular_values,
)
from contrastive_entropy.numerics.nuclear import effective_rank
from contrastive_entropy.objectives.affinity import affinity, debiased_affinity
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
from contrastive_entropy.version import VERSION

if TYPE_CHECKING:
    from contrastive_entropy.data.load import load as load
    from contrastive_entropy.data.reading import ImageReading as ImageReading
    from contrastive_entropy.estimators import MixtureDensityRegressor as MixtureDensityRegressor
    from contrastive_entropy.estimators import MixtureGenerator as MixtureGenerator
    from contrastive_entropy.estimators import TableGenerator as TableGenerator
    from contrastive_entropy.fitting.machine import Machine as Machine
    from contrastive_entropy.models import fit as fit
    from contrastive_entropy.models import open_run as open_run
    from contrastive_entropy.models.autoencoder import AutoencoderSettings as AutoencoderSettings
    from contrastive_entropy.models.codes import CodesSettings as CodesSettings
    from contrastive_entropy.models.conditional import ConditionalSettings as ConditionalSettings
    from contrastive_entropy.models.generator import GeneratorSettings as GeneratorSettings
    from contrastive_entropy.models.table import TableSettings as TableSettings

__version__ = VERSION

LAZY = {
    "AutoencoderSettings": "contrastive_entropy.models.autoencoder",
    "CodesSettings": "contrastive_entropy.models.codes",
    "ConditionalSettings": "contrastive_entropy.models.conditional",
    "ConditionalGenerator": "contrastive_entropy.estimators",
    "GeneratorSettings": "contrastive_entropy.models.generator",
    "ImageReading": "contrastive_entropy.data.reading",
    "Machine": "contrastive_entropy.fitting.machine",
    "MixtureDensityRegressor": "contrastive_entropy.estimators",
    "MixtureGenerator": "contrastive_entropy.estimators",
    "TableGenerator": "contrastive_entropy.estimators",
    "TableSettings": "contrastive_entropy.models.table",
    "fit": "contrastive_entropy.models",
    "load": "contrastive_entropy.data.load",
    "open_run": "contrastive_entropy.models",
}
"""Names that load Lightning, pandas or scikit-learn, when they are first asked for."""

__all__ = [
    "AutoencoderSettings",
    "Bound",
    "CodesSettings",
    "ConditionalBound",
    "ConditionalGenerator",
    "ConditionalSettings",
    "Decomposition",
    "FullCovarianceMixture",
    "GaussianMixture",
    "GeneratorSettings",
    "ImageReading",
    "InputError",
    "JointMixture",
    "Machine",
    "MixtureDensityRegressor",
    "MixtureGenerator",
    "NumericalWarning",
    "TableGenerator",
    "TableSettings",
    "TrainingError",
    "__version__",
    "affinity",
    "bures_distance",
    "cauchy_schwarz_divergence",
    "conditional_bound",
    "conditional_log_likelihood",
    "conditional_normalized_inner_product",
    "conditional_trace",
    "debiased_affinity",
    "debiased_normalized_inner_product",
    "debiased_nuclear_norm",
    "decompose",
    "differentiable_sample",
    "effective_points",
    "effective_rank",
    "entropy_bounds",
    "fidelity",
    "fidelity_bracket",
    "fit",
    "iid_tightness",
    "inner_product",
    "load",
    "log_likelihood",
    "metrics",
    "modes",
    "normalized_inner_product",
    "nuclear_norm",
    "open_run",
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


def __getattr__(name: str) -> Any:
    if name in LAZY:
        return getattr(importlib.import_module(LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
