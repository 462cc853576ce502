"""Where points are compared: the points themselves, their principal components, or features of a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from contrastive_entropy.numerics.principal import principal_directions
from contrastive_entropy.spaces.classifier import Classifier

POINTS = "the points themselves"
"""Name of the space without features."""


@dataclass(frozen=True, eq=False)
class Space:
    """A map of points to where they are compared.

    Args:
        name: figures mean something only beside it.
        digest: of what was learnt: figures of different digests do not compare. Empty: nothing was.
        place: (n, d) points to (n, k).
        differentiable: whether gradients pass through `place`.
    """

    name: str
    digest: str
    place: Callable[[Tensor], Tensor]
    differentiable: bool


def identity() -> Space:
    """The points themselves."""
    return Space(POINTS, "", lambda points: points, differentiable=True)


def principal(data: Tensor, count: int) -> Space:
    """The leading principal components of data (n, d), from their mean."""
    axes, mean = principal_directions(data, count).T, data.mean(0)
    name = f"the {count} leading principal components of the training points"
    return Space(name, "", lambda points: (points - mean) @ axes, differentiable=True)


def features(classifier: Classifier, accuracy: float) -> Space:
    """The last hidden layer of a classifier, whose accuracy on held-out points its name tells."""
    count = classifier.model.coefs_[-2].shape[1]
    name = f"the {count} last features of {classifier.name}, accuracy {accuracy:.3f}"
    return Space(name, classifier.digest, classifier.features, differentiable=False)
