"""What may be asked of an autoencoder, and what is decided for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.plan import ANNEAL_MOST, Fall, Plan
from contrastive_entropy.fitting.settings import (
    BODIES,
    MODEL,
    OBJECTIVE,
    RARE,
    check,
    check_principal,
    check_variances,
    option,
    shared,
    useless_for,
)
from contrastive_entropy.models.autoencoder.network import CODES
from contrastive_entropy.objectives.catalog import CONDITIONAL_OBJECTIVES, Choice, parse
from contrastive_entropy.objectives.catalog import names as objective_names
from contrastive_entropy.variance import median_pair_variance, neighbor_variance, separating_variance

MOST_FREQUENCIES = 16
"""The fastest wave then has a period of 2^-14, below any noise worth having."""

NEIGHBORS, FINER = 8, 0.5
"""Of the default variance: the neighbour that the kernel reaches, and how much finer it is than a generator's, since every
center sees one point."""

LAST_STEPS = 0.1
"""Share of the steps, at least, in which the learning rate falls by default."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """What may be asked of an encoder whose decoder answers with several alternatives.

    Every field is documented beside its default, and by `contrastive-entropy fit autoencoder --help`.

    Raises:
        InputError: a field's value cannot be used.

    >>> AutoencoderSettings("digits", centers=4).codes
    'heads'
    """

    data: str = shared("data", "digits")
    data_root: str | None = shared("data_root", None)
    points: int | None = shared("points", None)
    standardize: bool = shared("standardize", False)
    image_size: str | None = shared("image_size", None)
    image_mode: str | None = shared("image_mode", None)
    image_range: str | None = shared("image_range", None)
    subfolders: str | None = shared("subfolders", None)
    skip_unreadable: bool = shared("skip_unreadable", False)
    header: bool | None = shared("header", None)
    held_out: float = shared("held_out", HELD_OUT)
    objective: str = option(
        "normalized_inner_product", f"One of: {', '.join(objective_names(CONDITIONAL_OBJECTIVES))}.", panel=OBJECTIVE
    )
    features: int = option(2, "Dimensions of the code.", panel=MODEL, least=1)
    centers: int = option(
        10, "Alternatives that the decoder gives for a code; 1: a plain autoencoder.", panel=MODEL, least=1
    )
    codes: str = option(
        "heads",
        f"What tells the centers apart: {' or '.join(CODES)}: outputs of their own, or learned codes.",
        panel=RARE,
        choices=CODES,
    )
    code_dimension: int = option(8, "Of learned codes.", panel=RARE, least=1)
    feature_variance: float = option(
        0.0025, "Of the noise on the features, which lie in [-1, 1]: the bottleneck.", panel=OBJECTIVE, above=0
    )
    feature_variance_start: float | None = option(
        None, "Where the noise on the features falls from.", panel=RARE, above=0, chosen="fixed"
    )
    variance_end: float | None = shared("variance_end", None)
    variance_start: float | None = shared("variance_start", None)
    anneal_fraction: float = shared("anneal_fraction", ANNEAL_MOST)
    steps: int = shared("steps", 2000)
    batch_size: int = shared("batch_size", 256)
    learning_rate: float = shared("learning_rate", 1e-3)
    decay_fraction: float | None = shared("decay_fraction", None, chosen="the steps after annealing, a tenth at least")
    body: str = shared("body", "mlp")
    width: int = shared("width", 256)
    depth: int = shared("depth", 3)
    decoder: str | None = option(None, "Body of the decoder.", panel=RARE, choices=BODIES, chosen="as the encoder's")
    decoder_width: int | None = option(
        None, "Of the decoder; needed if its body is another.", panel=RARE, least=1, chosen="as the encoder's"
    )
    frequencies: int = option(
        0,
        "Waves of the code that the decoder sees, the fastest of period 2^(2 - N); 0: the code alone.",
        panel=RARE,
        least=0,
    )
    principal_components: int = shared("principal_components", 0)
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-autoencoder-cCENTERS"

    def __post_init__(self) -> None:
        check(self)
        check_variances(self.variance_start, self.variance_end)
        parse(self.objective, CONDITIONAL_OBJECTIVES)
        if self.frequencies > MOST_FREQUENCIES:
            raise InputError(f"frequencies must be at most {MOST_FREQUENCIES}, got {self.frequencies}")
        if self.decoder is not None and self.decoder != self.body and self.decoder_width is None:
            raise InputError(
                f"a {self.decoder} decoder beside a {self.body} encoder needs a decoder_width of its own: hidden units "
                "of an mlp (256), channels at full size if convolutional (16)"
            )
        check_principal(self.principal_components, "decoder" if self.decoder else "body", self.decoder or self.body)
        if self.feature_variance_start is not None and self.feature_variance_start < self.feature_variance:
            raise InputError(
                "feature_variance_start must not be below feature_variance, got "
                f"{self.feature_variance_start} < {self.feature_variance}"
            )

    @property
    def choice(self) -> Choice:
        """The objective with its options."""
        return parse(self.objective, CONDITIONAL_OBJECTIVES)

    @property
    def folder(self) -> str:
        """The name of a run folder where none is given."""
        return f"{Path(self.data).stem}-autoencoder-c{self.centers}"

    @property
    def useless(self) -> dict[str, str]:
        """Settings that would do nothing beside the others, and why."""
        found = useless_for(self.data)
        if self.anneal_fraction == 0:
            found["variance_start"] = "with `anneal_fraction` 0 the variance is fixed at its end"
            found["feature_variance_start"] = "with `anneal_fraction` 0 nothing falls"
        if self.codes == "heads":
            found["code_dimension"] = "codes heads have no dimension of their own"
        return found


@dataclass(frozen=True)
class AutoencoderPlan:
    """What was decided for an autoencoder.

    Args:
        features, centers, codes, code_dimension, frequencies: as in `AutoencoderSettings`.
        feature_noise: how the variance of the noise on the features falls.
        body, width, depth: of the encoder.
        decoder, decoder_width: of the decoder.
        principal_components: 0 is all coordinates.
    """

    features: int
    centers: int
    codes: str
    code_dimension: int
    feature_noise: Fall
    body: str
    width: int
    depth: int
    decoder: str
    decoder_width: int
    frequencies: int
    principal_components: int


def plan(settings: AutoencoderSettings, dataset: Dataset) -> Plan:
    """Decide what was not asked for.

    Raises:
        InputError: the data are constant or mostly duplicates.
    """
    start, end = chosen_variances(settings, dataset)
    fraction, decay = settings.anneal_fraction, settings.decay_fraction
    noise = settings.feature_variance
    return Plan(
        objective=settings.choice.spelling,
        seed=settings.seed,
        steps=settings.steps,
        rows=settings.batch_size,
        learning_rate=settings.learning_rate,
        decay_fraction=max(1 - fraction, LAST_STEPS) if decay is None else decay,
        average_fraction=0.0,
        variance=Fall(start, end, fraction),
        model=AutoencoderPlan(
            features=settings.features,
            centers=settings.centers,
            codes=settings.codes,
            code_dimension=settings.code_dimension,
            feature_noise=Fall(settings.feature_variance_start or noise, noise, fraction),
            body=settings.body,
            width=settings.width,
            depth=settings.depth,
            decoder=settings.decoder or settings.body,
            decoder_width=settings.decoder_width or settings.width,
            frequencies=settings.frequencies,
            principal_components=min(settings.principal_components, len(dataset.train) - 1, dataset.dimension),
        ),
    )


def chosen_variances(settings: AutoencoderSettings, dataset: Dataset) -> tuple[float, float]:
    """Start and end: given, or from the data's distances, fine enough for alternatives to be apart.

    Raises:
        InputError: the data are constant or mostly duplicates.
    """
    data = dataset.train.points
    batch = min(settings.batch_size, len(data))
    try:
        end = settings.variance_end or FINER * neighbor_variance(
            data, points=batch, neighbors=min(NEIGHBORS, batch - 1)
        )
        start = settings.variance_start or max(end, median_pair_variance(data))
    except ValueError as error:
        raise InputError(f"{dataset.name}: {error}; or set `variance_start` and `variance_end`") from error
    end = min(end, start)
    if settings.variance_end is None and settings.centers > 1:
        end = separating_variance(
            data,
            most=end,
            centers=settings.centers,
            features=settings.features,
            feature_variance=settings.feature_variance,
        )
    return start, end
