"""What may be asked of an autoencoder of images whose codes generators learn, and what is decided for it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.plan import OWN, Plan
from contrastive_entropy.fitting.settings import MODEL, check, option, shared, useless_for

OBJECTIVE = "squared_error"
"""Of a pixel; up to constants minus the log-likelihood of one Gaussian."""

FEWEST, MOST = 4, 128
"""Numbers in a code by default, at least and at most."""


@dataclass(frozen=True)
class CodesSettings:
    """What may be asked of an autoencoder of images, whose codes a generator can learn.

    Every field is documented beside its default, and by `contrastive-entropy fit codes --help`.

    Raises:
        InputError: a field's value cannot be used.

    >>> CodesSettings("digits", steps=500).code_noise
    0.1
    """

    data: str = shared(
        "data", "digits", says="Images: a name (see `data list`), hub:owner/name, or a path to a folder."
    )
    data_root: str | None = shared("data_root", None)
    points: int | None = shared("points", None)
    image_size: str | None = shared("image_size", None)
    image_mode: str | None = shared("image_mode", None)
    image_range: str | None = shared("image_range", None)
    subfolders: str | None = shared("subfolders", None)
    skip_unreadable: bool = shared("skip_unreadable", False)
    held_out: float = shared("held_out", HELD_OUT)
    code_dimension: int | None = option(
        None,
        "Numbers in a code.",
        panel=MODEL,
        least=1,
        chosen=f"the root of the numbers in an image, at least {FEWEST} and at most {MOST}",
    )
    code_noise: float = option(
        0.1, "Deviation of the noise on codes while training, beside that of the codes, 1.", panel=MODEL, least=0
    )
    width: int = shared("width", 16, says="Channels at full size; doubled for every coarser level, up to 8 times.")
    steps: int = shared("steps", 3000)
    batch_size: int = shared("batch_size", 128)
    learning_rate: float = shared("learning_rate", 2e-3)
    decay_fraction: float = shared("decay_fraction", 0.6)
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-codes"

    def __post_init__(self) -> None:
        check(self)

    @property
    def folder(self) -> str:
        """The name of a run folder where none is given."""
        return f"{Path(self.data).stem}-codes"

    @property
    def useless(self) -> dict[str, str]:
        """Settings that would do nothing beside the others, and why."""
        return useless_for(self.data)


@dataclass(frozen=True)
class CodesPlan:
    """What was decided for an autoencoder of images.

    Args:
        code_dimension, code_noise, width: as in `CodesSettings`.
    """

    code_dimension: int
    code_noise: float
    width: int


def plan(settings: CodesSettings, dataset: Dataset) -> Plan:
    """Decide what was not asked for.

    Raises:
        InputError: the data are not images.
    """
    if dataset.image_shape is None:
        raise InputError(f"codes are of images, and {dataset.name} holds points; leave `space` out, or give images")
    return Plan(
        objective=OBJECTIVE,
        seed=settings.seed,
        steps=settings.steps,
        rows=settings.batch_size,
        learning_rate=settings.learning_rate,
        decay_fraction=settings.decay_fraction,
        average_fraction=0.0,
        variance=OWN,
        model=CodesPlan(
            code_dimension=settings.code_dimension or min(MOST, max(FEWEST, round(math.sqrt(dataset.dimension)))),
            code_noise=settings.code_noise,
            width=settings.width,
        ),
    )
