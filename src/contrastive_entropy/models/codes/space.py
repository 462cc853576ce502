"""The codes of an autoencoder as the space that another kind of model learns in."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import First
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import CODES as SPACE
from contrastive_entropy.models.codes import CODES, CodesSettings
from contrastive_entropy.networks.images import ImageCodes


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
    return First(CODES, asked, before, dataclasses.replace(settings, space=str(before)))


OWN = {"steps", "batch_size", "learning_rate", "decay_fraction", "width", "seed"}
"""Settings of both kinds that mean each kind's own."""


def with_codes(settings: Any, dataset: Dataset) -> Dataset:
    """The data with the autoencoder that `settings.space` names, which is loaded when it is asked for.

    Raises:
        InputError: when it is loaded: no finished run of `fit codes`, or of images of another shape.
    """
    if settings.space in (None, SPACE):
        return dataset

    @cache
    def coder() -> ImageCodes:
        run = Run.open(settings.space, [CODES])
        if run.schema.dimension != dataset.dimension:
            raise InputError(
                f"`space`: {settings.space} has codes of images of {run.schema.dimension} numbers, and {dataset.name} has "
                f"{dataset.dimension}: train codes of it, with `fit codes`"
            )
        network: ImageCodes = run.network()
        return network

    return dataclasses.replace(dataset, coder=coder)
