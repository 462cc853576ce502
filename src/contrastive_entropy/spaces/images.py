"""Features in which images are compared, beside their pixels."""

from pathlib import Path

from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.samples import Featured
from contrastive_entropy.spaces.efficientnet import EfficientNet
from contrastive_entropy.spaces.inception import Inception


def image_spaces(
    image_shape: tuple[int, int, int] | None, *, features: bool, feature_weights: Path | None
) -> tuple[tuple[Featured, ...], tuple[str, ...]]:
    """Spaces to compare in, and what must be said where the one that needs nothing but a package is not among them.

    Args:
        image_shape: (channels, height, width) of images; None: points are no images.
        features: of `EfficientNet` where the points are images of 1 or 3 channels and its package is installed.
        feature_weights: of `Inception`; None: not in those.

    Raises:
        InputError: as `Inception`.
    """
    own: tuple[Featured, ...] = () if feature_weights is None else (Inception(feature_weights, image_shape),)
    if not features or image_shape is None or image_shape[0] not in (1, 3):
        return own, ()
    try:
        return (EfficientNet(image_shape), *own), ()
    except InputError as error:  # an evaluation does not fail for what it can do without
        return own, (str(error),)
