"""What people may set, written once: command line, checks, config.json and documentation read it here."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.frames import ignored_header
from contrastive_entropy.data.load import ignored_reading, load, names
from contrastive_entropy.data.reading import MODES, NOT, ImageReading
from contrastive_entropy.data.schema import Schema, image_shape_of
from contrastive_entropy.errors import InputError, suggestion

DATA, MODEL, OBJECTIVE, TRAINING, MACHINE, RARE = "Data", "Model", "Objective", "Training", "Machine", "Rarely needed"
"""Panels of `--help`, in this order."""

SEEDS = 2**32
"""Seeds lie below this."""

BODIES = ("mlp", "convolutional")
"""Kinds of networks."""


@dataclass(frozen=True)
class Option:
    """What is known of a setting beside its name, type and default.

    Args:
        says: one or two sentences for people.
        panel: of `--help`.
        least, below: value >= least, value < below.
        above: value > above, and finite.
        share: value in [0, 1].
        choices: the values that it may have.
        chosen: what it is where nothing is said, if None is the default.
    """

    says: str
    panel: str = TRAINING
    least: float | None = None
    below: float | None = None
    above: float | None = None
    share: bool = False
    choices: Sequence[str] = ()
    chosen: str | None = None

    def check(self, name: str, value: Any) -> None:
        """Raise InputError for a value that cannot be used."""
        if value is None:
            return
        if self.choices and value not in self.choices:
            known = ", ".join(self.choices)
            raise InputError(f"unknown {name} {value!r}{suggestion(str(value), self.choices)} (known: {known})")
        if self.share and not 0 <= value <= 1:
            raise InputError(f"{name} must lie in [0, 1], got {value}")
        if self.above is not None and not self.above < value < math.inf:
            what = "a positive number" if self.above == 0 else f"a number above {self.above:g}"
            raise InputError(f"{name} must be {what}, got {value}")
        if self.least is not None and not value >= self.least:
            raise InputError(f"{name} must be at least {self.least:g}, got {value}")
        if self.below is not None and not value < self.below:
            raise InputError(f"{name} must be below {_number(self.below)}, got {value}")


def _number(value: float) -> str:
    return "2^32" if value == SEEDS else f"{value:g}"


def option(default: Any, says: str, **known: Any) -> Any:
    """A dataclass field with its `Option`; the keywords are the Option's."""
    return dataclasses.field(default=default, metadata={"option": Option(says, **known)})


SHARED: dict[str, Option] = {
    "data": Option(
        "What to learn: a name (see `data list`), hub:owner/name, or a path to .npy, .npz, a table (.csv, .tsv, .xlsx, "
        ".parquet ...) or a folder of images.",
        DATA,
    ),
    "data_root": Option("Folder with copies of hub data sets, e.g. DIR/mnist.", DATA),
    "points": Option("Train on so many of the points.", DATA, least=10, chosen="all"),
    "standardize": Option(
        "Bring every column of a table to mean 0 and deviation 1. Variances, figures and pictures are of these columns; "
        "files of samples are in the data's own units.",
        DATA,
    ),
    "header": Option(
        "Of a table as text or Excel: whether the first line names the columns; else it is a row as all others.",
        RARE,
        chosen="told from the lines",
    ),
    "image_size": Option(
        "Of a folder of images: resize all to so many pixels, 64 or 64x48 (width x height). Nothing is cut off; other "
        "proportions are stretched.",
        RARE,
        chosen="as they are, of one size",
    ),
    "image_mode": Option(
        f"Of a folder of images: convert all to {' or '.join(MODES)}.",
        RARE,
        choices=MODES,
        chosen="as they are, all alike",
    ),
    "image_range": Option(
        "Of a folder of images: stored values that become 0 and 1, such as 0,4095 of 12 bits.",
        RARE,
        chosen="all that the type of file can hold",
    ),
    "subfolders": Option(
        f"Of a folder of images: the folders in it to read, with commas between: names, paths or patterns such as train/*. "
        f"'{NOT}masks' leaves one out.",
        RARE,
        chosen="all",
    ),
    "skip_unreadable": Option("Of a folder of images: leave out files that cannot be read, and name them.", RARE),
    "held_out": Option("Share of a file's points to hold out.", RARE),
    "seed": Option("Same seed, same machine: same bytes.", TRAINING, least=0, below=SEEDS),
    "steps": Option("Optimiser steps.", TRAINING, least=1),
    "batch_size": Option("Data points per step.", TRAINING, least=2),
    "learning_rate": Option("Of Adam.", TRAINING, above=0),
    "decay_fraction": Option(
        "Share of the steps, at the end, in which the learning rate falls linearly to 0.", RARE, share=True
    ),
    "variance_start": Option(
        "Of the density, in data units squared, standardized ones if so: where it falls from.",
        RARE,
        above=0,
        chosen="half the median squared distance",
    ),
    "variance_end": Option(
        "Where the variance of the density falls to: the finest detail that is asked for.",
        OBJECTIVE,
        above=0,
        chosen="from near-neighbour distances",
    ),
    "anneal_fraction": Option("Share of the steps in which the variance falls; 0: fixed at its end.", RARE, share=True),
    "body": Option("Network: mlp, or convolutional for images.", MODEL, choices=BODIES),
    "width": Option("Of the hidden layers; channels at full size if convolutional.", MODEL, least=1),
    "depth": Option("Hidden layers of the MLP, also of the one before the convolutions.", RARE, least=1),
    "space": Option(
        "Learn images in the codes of an autoencoder. `codes`: train one first, in a folder named like the run's, with "
        "-codes behind it. Or the folder of a run of `fit codes`.",
        MODEL,
        chosen="their pixels",
    ),
    "principal_components": Option(
        "Directions of the data that an MLP writes in, and in which training evaluates the objective: far faster on "
        "large images. More than the training points span are cut to that. 0: all coordinates.",
        MODEL,
        least=0,
    ),
}
"""Settings that several kinds of model have."""


def shared(name: str, default: Any, **changed: Any) -> Any:
    """The field of a setting of `SHARED`, with a default of the kind's own; the keywords change its Option."""
    return dataclasses.field(default=default, metadata={"option": dataclasses.replace(SHARED[name], **changed)})


@dataclass(frozen=True)
class Setting:
    """A field of a settings class with all that is known of it.

    Args:
        name: of the field.
        kind: its type without None.
        default: None may mean that it is chosen.
        option: the rest.
    """

    name: str
    kind: Any
    default: Any
    option: Option


def settings_of(kind: type) -> list[Setting]:
    """The fields of a settings class that people may set, in order."""
    hints = typing.get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        if "option" not in field.metadata:
            continue
        hint = hints[field.name]
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
        found.append(Setting(field.name, hint, field.default, field.metadata["option"]))
    return found


def reading_settings() -> list[Setting]:
    """How images are read, for commands without a kind of model."""
    fields = dataclasses.fields(ImageReading)
    return [
        Setting(field.name, bool if field.default is False else str, field.default, SHARED[field.name])
        for field in fields
    ]


def load_for(settings: Any) -> Dataset:
    """The data set that settings name.

    Raises:
        InputError: as `data.load`.
    """
    return load(
        settings.data,
        seed=settings.seed,
        held_out=settings.held_out,
        data_root=settings.data_root,
        points=settings.points,
        standardize=getattr(settings, "standardize", False),
        header=getattr(settings, "header", None),
        images=reading_of(settings),
    )


def reading_of(settings: Any) -> ImageReading:
    """How settings, of any kind, want a folder of images read.

    Raises:
        InputError: a value cannot be used.
    """
    fields = [field.name for field in dataclasses.fields(ImageReading)]
    return ImageReading(**{name: getattr(settings, name) for name in fields if hasattr(settings, name)})


def useless_for(data: str) -> dict[str, str]:
    """Settings that would do nothing for a data set, and why."""
    held_out = {"held_out": f"{data} comes with held-out points"} if data in names() else {}
    header = ignored_header(data)
    return held_out | ({} if header is None else {"header": header}) | ignored_reading(data)


def changed(settings: Any) -> dict[str, Any]:
    """Settings that differ from their defaults, by name."""
    values = {
        setting.name: (getattr(settings, setting.name), setting.default) for setting in settings_of(type(settings))
    }
    return {name: value for name, (value, default) in values.items() if value != default}


def check(settings: Any) -> None:
    """Each setting by itself, by its Option, and how images are read.

    Raises:
        InputError: a value cannot be used.
    """
    for setting in settings_of(type(settings)):
        setting.option.check(setting.name, getattr(settings, setting.name))
    reading_of(settings)


def check_variances(start: float | None, end: float | None) -> None:
    """Raise InputError for a variance that would rise."""
    if start is not None and end is not None and start < end:
        raise InputError(
            f"variance_start must not be below variance_end, got {start} < {end}; "
            "`anneal_fraction` 0 keeps the variance fixed at `variance_end`"
        )


def check_principal(count: int, part: str, body: str) -> None:
    """Raise InputError for principal components of a network that writes pixels."""
    if count and body != "mlp":
        raise InputError(f"principal_components need {part} mlp: a {body} network writes pixels; leave them out")


CODES = "codes"
"""The space of an autoencoder that is trained first."""


def check_space(settings: Any) -> None:
    """Raise InputError for a space of codes beside what is of pixels."""
    if settings.space is None:
        return
    if settings.body != "mlp":
        raise InputError(f"in a space of codes the body must be mlp, got {settings.body}; leave it out")
    if getattr(settings, "principal_components", 0):
        raise InputError(
            "principal_components are of pixels, and `space` has codes in their place; leave one of them out"
        )


def code_sizes(settings: Any, dataset: Dataset) -> tuple[int, ...]:
    """Numbers in a code and width of the autoencoder in whose codes a model learns, for its plan; empty: there is none.

    Raises:
        InputError: settings name a space of codes, and the data come without.
    """
    if dataset.coder is None:
        if settings.space is None:
            return ()
        raise InputError(
            f"`space` {settings.space} is not there: give the folder of a run of `fit codes`, and load the data with the "
            "kind's own `load`"
        )
    coder = dataset.coder()
    return coder.dimension, coder.width


def check_seed(seed: int) -> None:
    """Raise InputError for a seed out of range."""
    if not 0 <= seed < SEEDS:
        raise InputError(f"`seed` must lie from 0 to 2^32 - 1, got {seed}")


def check_number_and_seed(number: int, seed: int) -> None:
    """Raise InputError for a number below 1 or a seed out of range."""
    check_seed(seed)
    if number < 1:
        raise InputError(f"`number` must be at least 1, got {number}")


def needs_images(part: str, schema: Schema) -> tuple[int, int, int]:
    """(channels, height, width) for a convolutional part of a network.

    Raises:
        InputError: the data are no images.
    """
    shape = image_shape_of(schema)
    if shape is None:
        raise InputError(f"{part} convolutional needs images, and the data are points; use {part} mlp")
    return shape


def refuse_useless(given: Mapping[str, Any], useless: Mapping[str, str]) -> None:
    """Settings that were given and would do nothing.

    Args:
        given: by name.
        useless: names of those that would do nothing, with the reason.

    Raises:
        InputError: there is one.
    """
    for name, reason in useless.items():
        if name in given:
            raise InputError(f"`{name}` would be ignored: {reason}; leave it out")


def refuse_changes(settings: Any, given: Mapping[str, Any]) -> None:
    """A resumed run keeps its settings.

    Raises:
        InputError: one of the given values differs.
    """
    for name, value in given.items():
        known = getattr(settings, name)
        if value != known:
            own = "one, which was chosen" if known is None else known
            raise InputError(
                f"`{name}` {value} differs from the run's {own}: a resumed run keeps its settings. Leave it out, or "
                "start anew with `overwrite` instead of `resume`"
            )
