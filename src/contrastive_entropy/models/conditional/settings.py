"""What may be asked of a conditional density or sampler, and what is decided for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.data.given import CLASS, IMAGE, parted
from contrastive_entropy.data.load import holds_images
from contrastive_entropy.data.schema import Images, Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.plan import ADAPTIVE, OWN, Fall, Plan, falling_share
from contrastive_entropy.fitting.settings import (
    DATA,
    MODEL,
    OBJECTIVE,
    RARE,
    check,
    check_space,
    check_variances,
    code_sizes,
    load_for,
    option,
    shared,
    useless_for,
)
from contrastive_entropy.models.codes.space import with_codes
from contrastive_entropy.objectives.catalog import GIVEN_OBJECTIVES, SAMPLING_OBJECTIVES, Choice, parse
from contrastive_entropy.objectives.catalog import names as objective_names
from contrastive_entropy.variance import LEAST_POINTS, grouped_variance, groups_of, median_pair_variance

STEPS, EPOCHS, MOST_STEPS = 2000, 60, 10_000
"""Steps by default: at least, so many times through the rows, at most."""

DROPOUT, FEW = 0.1, 1000
"""Dropout by default, up to so many rows."""

DROPPING = 0.9
"""Share of the steps in which units are left out. In the last ones the deviations settle without that noise."""

CLIP = 1.0
"""Norm of a member's gradient, at most: a few rows far from their law would move everything."""

MIXTURE_BATCH, MIXTURE_RATE, MIXTURE_WIDTH, MIXTURE_DEPTH = 128, 1e-2, 64, 2
"""Batch, learning rate and hidden layers of a mixture density network by default."""

SAMPLER_BATCH, SAMPLER_RATE, SAMPLER_WIDTH, SAMPLER_DEPTH = 640, 3e-3, 256, 3
"""The same of a sampler; the batch is for each half of the samples, over all classes of a step."""

CODED_BATCH = 1280
"""That batch in a space of codes, whose few numbers make it cheap."""

MOST_CODES, MOST_CLASSES, COARSE_EVERY = 32, 10, 2
"""Dimensions of a sampler's noise and classes of a step, at most, and steps from one that looks from farther away to the
next."""

DIAGONAL, FULL = COVARIANCES = ("diagonal", "full")
"""Of a mixture's components: coordinates of y are independent in each, or may go together."""

GIVEN_WEIGHT = 2.0
"""Scale of x beside y in the joint law that a sampler is compared in, both in deviations: 1 to 4 serve alike."""


@dataclass(frozen=True)
class ConditionalSettings:
    """What may be asked of a conditional density or sampler: the law of some columns given the others, or of images given
    their class.

    Every field is documented beside its default, and by `contrastive-entropy fit conditional --help`.

    Raises:
        InputError: a field's value cannot be used.

    >>> ConditionalSettings("houses.csv", target="price").choice.spelling
    'log_likelihood'
    >>> ConditionalSettings("digits").choice.spelling
    'debiased_nuclear_norm'
    """

    data: str = option(
        "inverse_sine",
        "A table: a path to .csv, .tsv, .xlsx, .parquet ..., .npy or .npz, or a name (see `data list`). Or images with "
        "classes: a name, or hub:owner/name.",
        panel=DATA,
    )
    target: str | None = option(
        None,
        f"Columns to predict, by name or by number from 0, with commas between; {IMAGE} of images.",
        panel=DATA,
        chosen="the last one",
    )
    given: str | None = option(
        None, f"Columns to predict from, likewise; {CLASS} of images.", panel=DATA, chosen="all others"
    )
    data_root: str | None = shared("data_root", None)
    points: int | None = shared("points", None)
    header: bool | None = shared("header", None)
    held_out: float = shared("held_out", HELD_OUT)
    objective: str | None = option(
        None,
        f"One of: {', '.join(objective_names(GIVEN_OBJECTIVES))}, which predict mixtures; or "
        f"{', '.join(objective_names(SAMPLING_OBJECTIVES))}, which generate samples. Options follow a colon: "
        "hoelder:gamma=0.5.",
        panel=OBJECTIVE,
        chosen=f"{GIVEN_OBJECTIVES[0].name}; of images {SAMPLING_OBJECTIVES[0].name}",
    )
    gamma_fraction: float = option(
        0.3,
        "Share of the steps in which gamma of the objective annealed falls from 1, robust, to 0, the likelihood.",
        panel=RARE,
        share=True,
    )
    variance_end: float | None = shared("variance_end", None)
    variance_start: float | None = shared("variance_start", None)
    anneal_fraction: float | None = shared("anneal_fraction", None, chosen="0.125 x log(start / end), at most 0.8")
    coarse_every: int = option(
        COARSE_EVERY,
        "Every so many steps the objective of samples looks from farther away. 0: never.",
        panel=RARE,
        least=0,
    )
    components: int = option(5, "Of the mixture that answers an x.", panel=MODEL, least=1)
    covariance: str = option(
        "diagonal",
        f"Of each component, where there are several targets: {' or '.join(COVARIANCES)}.",
        panel=MODEL,
        choices=COVARIANCES,
    )
    members: int = option(
        1,
        "Networks side by side, whose mixtures together are the answer. 5 tell more, and take longer.",
        panel=MODEL,
        least=1,
    )
    steps: int | None = shared(
        "steps", None, chosen=f"{STEPS:,}, of many rows {EPOCHS} times through them, at most {MOST_STEPS:,}"
    )
    batch_size: int | None = shared(
        "batch_size",
        None,
        says="Rows per step, of each member; of samples, rows of all classes for each half of them.",
        chosen=f"{MIXTURE_BATCH}; of samples {SAMPLER_BATCH}, in a `space` of codes {CODED_BATCH}",
    )
    learning_rate: float | None = shared("learning_rate", None, chosen=f"{MIXTURE_RATE:g}; of samples {SAMPLER_RATE:g}")
    decay_fraction: float = shared("decay_fraction", 0.6)
    average_fraction: float = option(
        0.1,
        "Share of all steps so far over which the weights are averaged. 0: the last step's.",
        panel=RARE,
        share=True,
    )
    dropout: float | None = option(
        None,
        f"Share of hidden units left out in each step, but for the last {1 - DROPPING:.0%} of them.",
        panel=RARE,
        least=0,
        below=1,
        chosen=f"{DROPOUT:g} up to {FEW:,} rows, beyond in inverse proportion to them",
    )
    body: str = shared("body", "mlp", says="Network of samples: mlp, or convolutional for images.")
    noise_dimension: int | None = option(
        None,
        "Dimensions of the noise that samples are made of.",
        panel=RARE,
        least=1,
        chosen=f"twice the target's, at most {MOST_CODES}",
    )
    width: int | None = shared("width", None, chosen=f"{MIXTURE_WIDTH}; of samples {SAMPLER_WIDTH}")
    depth: int | None = shared("depth", None, chosen=f"{MIXTURE_DEPTH}; of samples {SAMPLER_DEPTH}")
    space: str | None = shared("space", None)
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-conditional"

    def __post_init__(self) -> None:
        check(self)
        check_variances(self.variance_start, self.variance_end)
        check_space(self)
        images, choice = holds_images(self.data), self.choice
        if images and not self.samples:
            raise InputError(
                f"{choice.objective.name} predicts mixtures, of the columns of a table; for images take one of "
                f"{', '.join(objective_names(SAMPLING_OBJECTIVES))}"
            )

    @property
    def choice(self) -> Choice:
        """The objective with its options."""
        default = SAMPLING_OBJECTIVES if holds_images(self.data) else GIVEN_OBJECTIVES
        return parse(self.objective or default[0].name, (*GIVEN_OBJECTIVES, *SAMPLING_OBJECTIVES))

    @property
    def samples(self) -> bool:
        """Whether samples are generated; else mixtures are predicted."""
        return self.choice.objective in SAMPLING_OBJECTIVES

    @property
    def folder(self) -> str:
        """The name of a run folder where none is given."""
        return f"{Path(self.data).stem}-conditional"

    @property
    def useless(self) -> dict[str, str]:
        """Settings that would do nothing beside the others, and why."""
        found, objective = useless_for(self.data), self.choice.objective
        if not objective.anneals:
            found["gamma_fraction"] = f"gamma of {objective.name} does not fall"
        of_samples = ("variance_end", "variance_start", "anneal_fraction", "coarse_every")
        if self.samples:
            for name in ("components", "members", "dropout", "covariance"):
                found[name] = f"it is of predicted mixtures, and {objective.name} generates samples"
            if not objective.sees_variance:
                found |= dict.fromkeys(of_samples, f"{objective.name} does not see the variance")
        else:
            for name in (*of_samples, "body", "noise_dimension", "space"):
                found[name] = f"it is of generated samples, and {objective.name} predicts mixtures"
        if self.samples and self.anneal_fraction == 0 and not self.coarse_every:
            found["variance_start"] = "with `anneal_fraction` 0 the variance is fixed at its end"
        return found


@dataclass(frozen=True)
class ConditionalPlan:
    """What was decided for a conditional density or sampler.

    Args:
        given: names of the columns of x; their numbers as text where they have none.
        offsets: of these columns, taken off them in float64, where float32 would blur one; else empty.
        levels: names of the classes, where x is one; else empty.
        samples: whether samples are generated; else mixtures are predicted.
        width, depth: as in `ConditionalSettings`.
        components, members, dropout, gamma_fraction, covariance: likewise, of mixtures; 0 of samples, but for members.
        robust: whether the objective hardly sees outliers; then the scale of the targets does not, either.
        body, noise_dimension, coarse_every: of samples, as in `ConditionalSettings`; of mixtures an mlp, 0 and 0.
        classes: of a step; 0 where x is none.
        codes: numbers in a code and width of the autoencoder in whose codes it learns; empty: it learns the points.
    """

    given: tuple[str, ...]
    levels: tuple[str, ...]
    samples: bool
    width: int
    depth: int
    components: int = 0
    members: int = 1
    dropout: float = 0.0
    gamma_fraction: float = 0.0
    robust: bool = False
    covariance: str = DIAGONAL
    body: str = "mlp"
    noise_dimension: int = 0
    coarse_every: int = 0
    classes: int = 0
    offsets: tuple[float, ...] = ()
    codes: tuple[int, ...] = ()


def load(settings: ConditionalSettings) -> Dataset:
    """The data set that settings name, parted into targets and conditions.

    Raises:
        InputError: as `data.load` and `data.given.parted`.
    """
    return with_codes(settings, parted(load_for(settings), target=settings.target, given=settings.given))


def plan(settings: ConditionalSettings, dataset: Dataset) -> Plan:
    """Decide what was not asked for.

    Raises:
        InputError: the data have no conditions, or are images and a mixture is asked for.
    """
    schema = dataset.given_schema
    if not isinstance(schema, Table):
        raise InputError(f"{dataset.name} has no columns that are given: load it as `fit conditional` does")
    if isinstance(dataset.schema, Images) and not settings.samples:
        raise InputError(
            f"{settings.choice.objective.name} predicts mixtures, of the columns of a table, and {dataset.name} holds "
            f"images: take one of {', '.join(objective_names(SAMPLING_OBJECTIVES))}"
        )
    return (_sampler_plan if settings.samples else _mixture_plan)(settings, dataset, schema)


def _mixture_plan(settings: ConditionalSettings, dataset: Dataset, schema: Table) -> Plan:
    rows, dropout = len(dataset.train), settings.dropout
    batch = settings.batch_size or MIXTURE_BATCH
    if dropout is None:
        dropout = DROPOUT * min(1.0, FEW / rows)
    return Plan(
        objective=settings.choice.spelling,
        seed=settings.seed,
        steps=settings.steps or _steps(rows, batch),
        rows=batch * settings.members,
        learning_rate=settings.learning_rate or MIXTURE_RATE,
        decay_fraction=settings.decay_fraction,
        average_fraction=settings.average_fraction,
        variance=OWN,
        clip=CLIP / settings.members**0.5,  # the objective is the members' mean
        model=ConditionalPlan(
            given=tuple(column.name for column in schema.columns),
            offsets=tuple(column.mean for column in schema.columns) if schema.shifted else (),
            levels=(),
            samples=False,
            width=settings.width or MIXTURE_WIDTH,
            depth=settings.depth or MIXTURE_DEPTH,
            components=settings.components,
            members=settings.members,
            dropout=dropout,
            gamma_fraction=settings.gamma_fraction,
            robust=settings.choice.value("gamma", 0.0) > 0,
            covariance=settings.covariance if dataset.dimension > 1 else DIAGONAL,
        ),
    )


def _sampler_plan(settings: ConditionalSettings, dataset: Dataset, schema: Table) -> Plan:
    objective, given = settings.choice.objective, dataset.train.given
    assert given is not None
    batch = settings.batch_size or (CODED_BATCH if settings.space else SAMPLER_BATCH)
    levels = schema.columns[0].levels
    groups = min(len(given.unique()), MOST_CLASSES, batch) if levels else 1
    try:
        start, end = _variances(settings, dataset, max(batch // groups, LEAST_POINTS))
    except InputError:
        if objective.sees_variance:
            raise
        start = end = 1.0  # reports alone would use it
    fraction = settings.anneal_fraction
    fraction = falling_share(start, end, fast=objective.looks) if fraction is None else fraction
    seen = objective.sees_variance
    classes = groups if levels and seen else 0
    return Plan(
        objective=settings.choice.spelling,
        seed=settings.seed,
        steps=settings.steps or _steps(len(given), objective.draws * batch),
        rows=objective.draws * (batch // classes * classes if classes else batch),
        learning_rate=settings.learning_rate or SAMPLER_RATE,
        decay_fraction=settings.decay_fraction,
        average_fraction=settings.average_fraction,
        variance=Fall(start, end, fraction, ADAPTIVE) if seen else Fall(end, end, 0.0, OWN.schedule),
        model=ConditionalPlan(
            given=tuple(column.name for column in schema.columns),
            offsets=tuple(column.mean for column in schema.columns) if schema.shifted else (),
            levels=levels,
            samples=True,
            width=settings.width or SAMPLER_WIDTH,
            depth=settings.depth or SAMPLER_DEPTH,
            body=settings.body,
            noise_dimension=settings.noise_dimension or min(2 * dataset.learnt.points.shape[1], MOST_CODES),
            coarse_every=settings.coarse_every if seen else 0,
            classes=classes,
            codes=code_sizes(settings, dataset),
        ),
    )


def _steps(rows: int, batch: int) -> int:
    return min(max(STEPS, EPOCHS * rows // batch), MOST_STEPS)


def _variances(settings: ConditionalSettings, dataset: Dataset, points: int) -> tuple[float, float]:
    """Start and end: given, or from the data's distances; of classes the mean of every class's own, of the logarithms.

    Raises:
        InputError: the data are constant or mostly duplicates.
    """
    whole, given, schema = dataset.learnt.points, dataset.learnt.given, dataset.given_schema
    assert given is not None
    assert isinstance(schema, Table)
    if isinstance(dataset.schema, Table):
        whole = _standardized(whole)  # as the objective sees columns
    if schema.columns[0].levels:
        groups = groups_of(whole, given[:, 0])
    else:
        weight = torch.tensor([GIVEN_WEIGHT] * given.shape[1] + [1.0] * whole.shape[1])
        whole = weight * torch.cat([_standardized(given), whole], 1)
        groups = [whole]
    try:
        end = settings.variance_end or grouped_variance(groups, points)
        start = settings.variance_start or max(end, median_pair_variance(whole))
    except ValueError as error:
        raise InputError(f"{dataset.name}: {error}; or set `variance_start` and `variance_end`") from error
    return start, min(end, start)


def _standardized(values: Tensor) -> Tensor:
    deviation = values.std(0, correction=0)
    return (values - values.mean(0)) / torch.where(deviation > 0, deviation, 1.0)
