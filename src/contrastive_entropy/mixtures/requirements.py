"""What objectives ask of their arguments: mixtures, with finite centers."""

from collections.abc import Mapping

from torch import Tensor

from contrastive_entropy.errors import NotFiniteError
from contrastive_entropy.mixtures.checks import not_a_mixture
from contrastive_entropy.mixtures.full import FullCovarianceMixture
from contrastive_entropy.mixtures.mixture import GaussianMixture


def require_mixtures(*, full: bool = False, **given: object) -> None:
    """Raise TypeError for anything but mixtures, by the names of the arguments, and say how points become one.

    Args:
        full: whether full covariances are taken, too.
        given: by name.
    """
    for name, value in given.items():
        if not isinstance(value, GaussianMixture) and not (full and isinstance(value, FullCovarianceMixture)):
            raise not_a_mixture(name, value)


def require_finite(terms: Mapping[str, Tensor], **mixtures: GaussianMixture | FullCovarianceMixture) -> None:
    """Raise NotFiniteError for a mixture with centers that are NaN or infinite, by the names of the arguments.

    Args:
        terms: what was computed from the mixtures, for the error.
        mixtures: any number of them.
    """
    for name, mixture in mixtures.items():
        if not bool(mixture.centers.isfinite().all()):
            bad = (~mixture.centers.isfinite()).any(-1)
            raise NotFiniteError(
                f"{name} has NaN or infinite centers, {int(bad.sum())} of {bad.numel()}: find their cause or drop them",
                terms,
            )
