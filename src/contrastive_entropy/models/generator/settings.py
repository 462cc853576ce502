"""What may be asked of a generator, and what is decided for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.plan import ADAPTIVE, ANNEAL_MOST, ANNEAL_PACE, SCHEDULES, Fall, Plan, falling_share
from contrastive_entropy.fitting.settings import (
    MODEL,
    OBJECTIVE,
    RARE,
    TRAINING,
    check,
    check_principal,
    check_space,
    check_variances,
    code_sizes,
    option,
    shared,
    useless_for,
)
from contrastive_entropy.models.generator.groups import centers_of, nearest_center
from contrastive_entropy.models.generator.network import NOISES
from contrastive_entropy.objectives.catalog import DENSITY_OBJECTIVES, GENERATIVE, PEERS, Choice, parse
from contrastive_entropy.objectives.catalog import names as objective_names
from contrastive_entropy.variance import (
    LEAST_POINTS,
    grouped_variance,
    groups_of,
    median_pair_variance,
    neighbor_variance,
)

MOST_CODES = 32
"""Dimensions that the noise has by default, at most."""

RATE, RATE_WIDTH = 3e-3, 256
"""Learning rate by default, up to this `width`; beyond, in inverse proportion (Yang et al., arXiv 2203.03466)."""

COARSE_EVERY, COARSE_BESIDE_FINE, FINE_EVERY = 2, 4, 4
"""Steps from one that looks from farther away to the next by default, the same beside steps that look at finer components,
and steps from one of those to the next."""


BATCH, MADE, GROUPED_BATCH, GROUPS = 256, 512, 640, 10
"""Data and generated points of a step by default, data points with groups, and groups in a space of codes."""

LEAST_OF_GROUP = 8
"""Points of a group in a step."""


@dataclass(frozen=True)
class GeneratorSettings:
    """What may be asked of a generator: noise to points whose law is the data's.

    Every field is documented beside its default, and by `contrastive-entropy fit generator --help`.

    Raises:
        InputError: a field's value cannot be used.

    >>> GeneratorSettings("moons", steps=500).objective
    'debiased_nuclear_norm'
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
        "debiased_nuclear_norm",
        f"One of: {', '.join(objective_names(GENERATIVE))}; or of the peers: {', '.join(objective_names(PEERS))}. Options "
        "follow a colon: NAME:smoothing=1e-3.",
        panel=OBJECTIVE,
    )
    variance_end: float | None = shared("variance_end", None)
    variance_start: float | None = shared("variance_start", None)
    anneal_fraction: float | None = shared(
        "anneal_fraction",
        None,
        chosen=f"{ANNEAL_MOST:g}; of objectives that look from farther away, in all coordinates, at most {ANNEAL_PACE:g} x "
        "log(start / end)",
    )
    schedule: str = option(
        ADAPTIVE,
        f"How the variance falls: {' or '.join(SCHEDULES)}. {ADAPTIVE} waits while more than a tenth of the samples have "
        "no data near them, then catches up, in the first 80% of the steps; it may end above `variance_end`.",
        panel=RARE,
        choices=SCHEDULES,
    )
    coarse_every: int | None = option(
        None,
        "Every so many steps the objective looks from farther away, at a variance between the step's and the start's, so "
        "that separate parts keep their shares. 0: never.",
        panel=RARE,
        least=0,
        chosen="2 for the default objective, 4 beside steps that look at finer components, else 0",
    )
    fine_every: int | None = option(
        None,
        "With `principal_components`, every so many steps the objective sees the finer ones alone, so that they are "
        "learnt, too. 0: never, else 2 or more.",
        panel=RARE,
        least=0,
        chosen="4 for the default objective, else 0",
    )
    steps: int = shared("steps", 2000)
    batch_size: int | None = shared(
        "batch_size",
        None,
        says="Data points per step; of an objective that halves its points, so many for each half of the generated ones.",
        chosen=f"{BATCH}; with groups {GROUPED_BATCH}, of few points as many as there are",
    )
    components: int | None = option(
        None, "Generated points per step.", panel=TRAINING, least=2, chosen=f"{MADE}; with groups twice the batch size"
    )
    learning_rate: float | None = shared(
        "learning_rate", None, chosen=f"{RATE:g}; beyond a width of {RATE_WIDTH} in inverse proportion to it"
    )
    decay_fraction: float = shared("decay_fraction", 0.6)
    average_fraction: float = option(
        0.1,
        "Share of all steps so far over which the weights are averaged; the average is what the fit returns. 0: the last "
        "step's weights.",
        panel=RARE,
        share=True,
    )
    body: str = shared("body", "mlp")
    width: int = shared("width", 256)
    depth: int = shared("depth", 3)
    noise: str = option("gaussian", f"Noise codes: {' or '.join(NOISES)}.", panel=RARE, choices=NOISES)
    noise_dimension: int | None = option(
        None, "Dimensions of the noise.", panel=RARE, least=1, chosen=f"twice the data's, at most {MOST_CODES}"
    )
    groups: int | None = option(
        None,
        "Groups of the training points, by k-means, each of which is compared with samples made for it: cleaner samples of "
        "data in several parts. 0: none.",
        panel=RARE,
        least=0,
        chosen=f"{GROUPS} in a `space` of codes if batches are large enough, else 0",
    )
    principal_components: int = shared("principal_components", 0, panel=MODEL)
    space: str | None = shared("space", None)
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-OBJECTIVE"

    def __post_init__(self) -> None:
        check(self)
        check_variances(self.variance_start, self.variance_end)
        check_principal(self.principal_components, "body", self.body)
        check_space(self)
        if self.choice.objective.one_to_one:
            raise InputError(
                f"{self.choice.objective.name} pairs each center with its own data point, which a network on noise has "
                f"not; take one of {', '.join(objective_names(GENERATIVE))}"
            )
        if self.choice.objective.equal_halves and self.made != 2 * self.batch:
            raise InputError(
                f"{self.choice.objective.name} compares halves of one size: expected components to be twice batch_size, "
                f"{2 * self.batch}, got {self.made}; set the one or the other"
            )
        if self.groups and self.principal_components:
            raise InputError("groups are of all coordinates, or of codes: leave them or principal_components out")
        if self.grouped > min(self.batch, self.made) // LEAST_OF_GROUP:
            raise InputError(
                f"{self.grouped} groups of a step's {min(self.batch, self.made)} points have fewer than {LEAST_OF_GROUP} "
                "each; lower groups, or raise batch_size"
            )
        self._check_looks()

    def _check_looks(self) -> None:
        if self.fine_every and self.principal_components < 2:
            raise InputError(
                "fine_every needs principal_components, two or more, whose finer ones a step sees: leave it out"
            )
        if self.fine_every == 1:
            raise InputError(
                "fine_every must be 0 or at least 2, got 1: in every step, nothing would see the leading component"
            )
        if self.fine_every and self.coarse_every == 1:
            raise InputError(
                "with coarse_every 1 every step sees a larger variance, none the finer components: leave one out"
            )
        if (self.fine_every, self.coarse_every) == (2, 2):
            raise InputError(
                "with coarse_every 2 and fine_every 2 no step sees all components at its own variance: raise one of them"
            )

    @property
    def grouped(self) -> int:
        """Groups of the training points; 0: none."""
        if self.groups is not None or self.space is None:
            return self.groups or 0
        most = min(GROUPS, min(self.batch_size or GROUPED_BATCH, self.components or GROUPED_BATCH) // LEAST_OF_GROUP)
        return most if most > 1 else 0

    @property
    def batch(self) -> int:
        """Data points of a step, or of each half."""
        return self.batch_size or (GROUPED_BATCH if self.grouped else BATCH)

    @property
    def made(self) -> int:
        """Generated points of a step."""
        return self.components or (2 * self.batch if self.grouped else MADE)

    @property
    def choice(self) -> Choice:
        """The objective with its options."""
        return parse(self.objective, (*DENSITY_OBJECTIVES, *PEERS))

    @property
    def folder(self) -> str:
        """The name of a run folder where none is given."""
        return f"{Path(self.data).stem}-{self.objective.replace(':', '-')}"

    @property
    def useless(self) -> dict[str, str]:
        """Settings that would do nothing beside the others, and why."""
        found, objective = useless_for(self.data), self.choice.objective
        if not objective.sees_variance:
            found["coarse_every"] = f"{objective.name} does not see the variance"
        if self.anneal_fraction == 0:
            found["schedule"] = "with `anneal_fraction` 0 nothing falls"
            if not self.coarse_every:
                found["variance_start"] = "with `anneal_fraction` 0 the variance is fixed at its end"
        return found


@dataclass(frozen=True)
class GeneratorPlan:
    """What was decided for a generator.

    Args:
        body, width, depth, noise: as in `GeneratorSettings`.
        noise_dimension: of the codes.
        components: generated points per step.
        facing: the first so many data points of a batch are what the first half of the generated ones faces.
        principal_components: 0 is all coordinates.
        coarse_every, fine_every: 0 is never.
        codes: numbers in a code and width of the autoencoder in whose codes it learns; empty: it learns the points.
        groups: of the training points; components, facing and the plan's rows are multiples of it. 0: none.
    """

    body: str
    width: int
    depth: int
    noise: str
    noise_dimension: int
    components: int
    facing: int
    principal_components: int
    coarse_every: int
    fine_every: int
    codes: tuple[int, ...] = ()
    groups: int = 0


def plan(settings: GeneratorSettings, dataset: Dataset) -> Plan:
    """Decide what was not asked for.

    Raises:
        InputError: the data are constant or mostly duplicates, or span too few components.
    """
    choice = settings.choice
    objective = choice.objective
    components = min(settings.principal_components, len(dataset.train) - 1, dataset.dimension)
    if settings.fine_every and components < 2:
        raise InputError(
            f"fine_every needs two principal components, and the training points, {len(dataset.train)} x "
            f"{dataset.dimension}, span {components}: leave it out"
        )
    whole = max(settings.grouped, 1)
    facing = settings.batch
    if settings.grouped and settings.batch_size is None:  # of few points no more than there are
        facing = min(facing, max(len(dataset.train), whole * LEAST_OF_GROUP))
    facing = facing // whole * whole
    start, end = chosen_variances(settings, dataset)
    fraction = settings.anneal_fraction
    if fraction is None:
        fraction = falling_share(start, end, fast=objective.looks and not components)
    looks = objective.looks
    fine = settings.fine_every
    if fine is None:
        fine = FINE_EVERY if looks and components > 1 else 0
    coarse = settings.coarse_every
    if coarse is None:
        coarse = (COARSE_BESIDE_FINE if fine else COARSE_EVERY) if looks and settings.anneal_fraction != 0 else 0
    return Plan(
        objective=choice.spelling,
        seed=settings.seed,
        steps=settings.steps,
        rows=facing * objective.draws,
        learning_rate=settings.learning_rate or RATE * min(1.0, RATE_WIDTH / settings.width),
        decay_fraction=settings.decay_fraction,
        average_fraction=settings.average_fraction,
        variance=Fall(start, end, fraction, settings.schedule),
        model=GeneratorPlan(
            body=settings.body,
            width=settings.width,
            depth=settings.depth,
            noise=settings.noise,
            noise_dimension=settings.noise_dimension or min(2 * dataset.learnt.points.shape[1], MOST_CODES),
            components=2 * facing if settings.made == 2 * settings.batch else settings.made // whole * whole,
            facing=facing,
            principal_components=components,
            coarse_every=coarse,
            fine_every=fine,
            codes=code_sizes(settings, dataset),
            groups=settings.grouped,
        ),
    )


def _end(settings: GeneratorSettings, data: Tensor, groups: list[Tensor]) -> float:
    """By neighbours; of groups their mean, on the scale of logarithms."""
    if not groups:
        return neighbor_variance(data, points=min(settings.batch, len(data)))
    return grouped_variance(groups, max(settings.batch // settings.grouped, LEAST_POINTS))


def _groups(settings: GeneratorSettings, data: Tensor) -> list[Tensor]:
    """Points of each group that is large enough; none: there are no groups."""
    if not settings.grouped:
        return []
    return groups_of(data, nearest_center(data, centers_of(data, settings.grouped)))


def chosen_variances(settings: GeneratorSettings, dataset: Dataset) -> tuple[float, float]:
    """Start and end: given, or from the data's distances.

    Raises:
        InputError: the data are constant or mostly duplicates.
    """
    data = dataset.learnt.points
    groups = _groups(settings, data)  # also refuses more than there can be
    try:
        end = settings.variance_end or _end(settings, data, groups)
        start = settings.variance_start or max(end, median_pair_variance(data))
    except ValueError as error:
        raise InputError(f"{dataset.name}: {error}; or set `variance_start` and `variance_end`") from error
    return start, min(end, start)
