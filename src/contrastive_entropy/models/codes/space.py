"""The codes of an autoencoder as the space that another kind of model learns in."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.load import located
from contrastive_entropy.data.schema import image_shape_of
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import First
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import CODES as SPACE
from contrastive_entropy.models.codes import CODES, CodesSettings
from contrastive_entropy.networks.images import ImageCodes
from contrastive_entropy.variance import neighbor_variance

OWN = {"steps", "batch_size", "learning_rate", "decay_fraction", "width"}
"""Settings of both kinds that mean each kind's own."""


def first(settings: Any, folder: Path) -> First | None:
    """The autoencoder that must be trained before, if the settings want one that is not there yet.

    Args:
        settings: of a kind that has a `space`.
        folder: of its run.
    """
    if settings.space != SPACE:
        return None
    before = folder.absolute().with_name(f"{folder.absolute().name}-codes")
    shared = {field.name for field in dataclasses.fields(CodesSettings)} & {
        field.name for field in dataclasses.fields(settings)
    } - OWN
    asked = CodesSettings(**{name: getattr(settings, name) for name in shared})
    return First(CODES, asked, before, _images, dataclasses.replace(settings, space=str(before)))


def with_codes(settings: Any, dataset: Dataset) -> Dataset:
    """The data with the autoencoder that `settings.space` names, which is loaded when it is asked for.

    Raises:
        InputError: the data are not images; or when it is loaded: no finished run of `fit codes`, of images of another
            shape, or trained on other rows of the same data.
    """
    if settings.space is None:
        return dataset
    if dataset.image_shape is None:
        raise InputError(f"`space` is for images, and {dataset.name} holds points; leave it out")
    if settings.space == SPACE:
        return dataset

    @cache
    def coder() -> ImageCodes:
        run = Run.open(settings.space, [CODES])
        shapes = [" x ".join(map(str, shape)) for shape in (image_shape_of(run.schema), dataset.image_shape) if shape]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"`space`: {settings.space} has codes of images of {shapes[0]}, and {dataset.name} has {shapes[1]} "
                "(channels, height, width): train codes of them, with `fit codes`"
            )
        if run.settings.data == located(settings.data) and run.data_digest != _images(dataset).digest:
            raise InputError(
                f"`space`: {settings.space} has codes of other rows of {dataset.name}: the data have changed, or `seed`, "
                "`points` or `held_out` are others, so that it may know what is held out. Give what it was given, or train "
                "codes again"
            )
        network: ImageCodes = run.network()
        return network

    return dataclasses.replace(dataset, coder=coder)


def compared_variance(network: Any, images: Tensor) -> float:
    """At which variance a model is compared: at its own, or where that is of codes at the one of images (n, d)."""
    return float(network.variance) if network.coder is None else neighbor_variance(images)


def _images(dataset: Dataset) -> Dataset:
    """The images alone, as an autoencoder's run has them."""
    return Dataset(dataset.name, Part(dataset.train.points), Part(dataset.held_out.points), dataset.schema)
