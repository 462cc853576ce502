"""Settings of the experiments, apart from what runs them: the command line shows their defaults without loading more.

Each holds the settings of its fits, so that a setting of a model is written down once. SETS names those of them that the
experiment sets itself: nobody is asked for them.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from contrastive_entropy.fitting.machine import PRECISIONS
from contrastive_entropy.fitting.settings import DATA, MACHINE, OBJECTIVE, RARE, TRAINING, option
from contrastive_entropy.models.autoencoder.settings import AutoencoderSettings
from contrastive_entropy.models.conditional.settings import ConditionalSettings
from contrastive_entropy.models.generator.settings import GeneratorSettings
from contrastive_entropy.models.table.settings import TableSettings


def _precision() -> Any:
    return option("32-true", f"Of the networks: {', '.join(PRECISIONS)}.", panel=MACHINE, choices=PRECISIONS)


def _seeds(default: tuple[int, ...]) -> Any:
    return option(default, "One repetition for each.", panel=TRAINING)


@dataclass(frozen=True)
class BoundTrackingSettings:
    """How tight the conditional bound gets with the number of centers.

    Args:
        fit: of every run, but for features, centers and seed.
    """

    SETS: ClassVar[tuple[str, ...]] = ("features", "centers", "seed")

    fit: AutoencoderSettings = field(
        default_factory=lambda: AutoencoderSettings("mnist", points=800, learning_rate=2e-3)
    )
    features: tuple[int, ...] = option((1, 2), "Dimensions of the code, one sweep for each.", panel=OBJECTIVE)
    centers: tuple[int, ...] = option((1, 2, 5, 10, 20, 30), "Numbers of centers, one run for each.", panel=OBJECTIVE)
    seeds: tuple[int, ...] = _seeds((0, 1, 2))
    free: bool = option(True, "Also optimise centers that no decoder ties together, for 1-D features.", panel=OBJECTIVE)


BOUND_TRACKING_QUICK: dict[str, Any] = {"centers": (1, 5), "seeds": (0,), "features": (1,), "steps": 200, "points": 400}
"""Changes that `--quick` makes, and so below."""


@dataclass(frozen=True)
class ReconstructionDiversitySettings:
    """Many alternatives for one input, beside the plain autoencoder's mean.

    Args:
        fit: of the mixture decoder; the plain autoencoder has one center and maximum likelihood.
    """

    SETS: ClassVar[tuple[str, ...]] = ()

    fit: AutoencoderSettings = field(
        default_factory=lambda: AutoencoderSettings("digits", features=1, centers=16, steps=3000)
    )
    precision: str = _precision()
    track_every: int | None = option(
        None, "Steps between rows of bounds.csv.", panel=RARE, least=1, chosen="20 rows in all"
    )


RECONSTRUCTION_DIVERSITY_QUICK: dict[str, Any] = {"steps": 200, "centers": 4}


OF_SAMPLES = ("variance_end", "variance_start", "anneal_fraction", "coarse_every", "body", "noise_dimension")
"""Settings of conditional samplers, which predicted mixtures do without."""


@dataclass(frozen=True)
class PredictedLawsSettings:
    """Predicted laws of tables beside what people would use instead.

    Args:
        fit: of ours, but for what names the table, members, components and the seed.
    """

    SETS: ClassVar[tuple[str, ...]] = (
        *("data", "target", "given", "data_root", "points", "held_out"),
        *("objective", "gamma_fraction", "components", "members", "seed"),
        *OF_SAMPLES,
    )

    fit: ConditionalSettings = field(default_factory=ConditionalSettings)
    tables: tuple[str, ...] = option(
        ("heteroscedastic", "bimodal", "skewed", "inverse_sine", "friedman"),
        "Laws of known form (see `data list`), or paths to tables whose last column is the target.",
        panel=DATA,
    )
    contenders: tuple[str, ...] = option(
        ("mixture", "ensemble", "annealed", "gaussian", "least_squares", "boosted_trees", "ngboost"),
        "Of ours and of others; ngboost needs the package of that name.",
        panel=OBJECTIVE,
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2, 3, 4))


PREDICTED_LAWS_QUICK: dict[str, Any] = {
    "seeds": (0,),
    "steps": 200,
    "tables": ("heteroscedastic",),
    "contenders": ("mixture", "least_squares"),
}


@dataclass(frozen=True)
class OutliersSettings:
    """Fits to tables of which some targets were replaced by outliers.

    Args:
        fit: of every run, but for what names the table, the objective and the seed.
    """

    SETS: ClassVar[tuple[str, ...]] = (
        *("data", "target", "given", "data_root", "points", "held_out"),
        *("objective", "gamma_fraction", "seed"),
        *OF_SAMPLES,
    )

    fit: ConditionalSettings = field(default_factory=ConditionalSettings)
    tables: tuple[str, ...] = option(
        ("heteroscedastic", "friedman"),
        "Laws of known form (see `data list`), or paths to tables whose last column is the target.",
        panel=DATA,
    )
    percents: tuple[int, ...] = option(
        (5, 10, 20, 40), "Of the training targets that are replaced, beside none.", panel=DATA
    )
    ways: tuple[str, ...] = option(
        ("spread", "cluster"),
        "How: spread over ten times the range, or in a cluster eight deviations above the mean.",
        panel=DATA,
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2))


OUTLIERS_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 200, "tables": ("heteroscedastic",), "percents": (20,)}


@dataclass(frozen=True)
class TablesSettings:
    """Samples of mixed tables beside what people use today.

    Args:
        fit: of ours, but for what names the table and its columns, and the seed.
    """

    SETS: ClassVar[tuple[str, ...]] = ("data", "data_root", "column", "target", "seed")

    fit: TableSettings = field(default_factory=TableSettings)
    data: tuple[str, ...] = option(
        ("friedman",), "Paths to tables, or laws of known form (see `data list`), with commas between them.", panel=DATA
    )
    targets: tuple[str, ...] = option(
        (), "The column of each table that trees predict; none: the last one that is no date.", panel=DATA
    )
    contenders: tuple[str, ...] = option(
        ("table", "gaussian-copula", "ctgan", "tvae"),
        "Ours is table; of others: independent (each column by itself), gaussian-copula, ctgan, tvae, arf (adversarial "
        "random forests), tabular-argn, each at its own defaults.",
        panel=OBJECTIVE,
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2))


TABLES_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 60, "points": 500, "contenders": ("table", "independent")}


@dataclass(frozen=True)
class ClassConditionalSettings:
    """Samples made of a class, by our objective and by what people would use instead.

    Args:
        fit: of every run, but for the objective and the seed.
    """

    SETS: ClassVar[tuple[str, ...]] = (
        *("target", "given", "objective", "gamma_fraction", "seed"),
        *("components", "members", "dropout", "covariance"),
    )

    fit: ConditionalSettings = field(default_factory=lambda: ConditionalSettings("digits"))
    contenders: tuple[str, ...] = option(
        ("debiased_nuclear_norm", "energy_score"), "Objectives of samples.", panel=OBJECTIVE
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2))


CLASS_CONDITIONAL_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 60}


@dataclass(frozen=True)
class ModeCoverageSettings:
    """Modes reached, share of samples on one, and evenness. The fits' settings are each law's own."""

    SETS: ClassVar[tuple[str, ...]] = ()

    laws: tuple[str, ...] = option(
        ("ring8", "grid25", "modes1200"),
        "Laws of separate modes: ring8, grid25, modes1200, stacked_mnist.",
        panel=OBJECTIVE,
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    objective: str = option("debiased_nuclear_norm", "As in `fit generator`.", panel=OBJECTIVE)
    steps: int | None = option(None, "Optimiser steps.", least=1, chosen="each law's own")
    samples: int | None = option(None, "That are looked at.", least=1, chosen="as published")
    data_root: str | None = option(None, "Folder with copies of hub data sets, for stacked_mnist.", panel=RARE)
    precision: str = _precision()


MODE_COVERAGE_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 300}


@dataclass(frozen=True)
class CompareSettings:
    """Objectives beside the losses that people would use instead.

    Args:
        fit: of every run, but for objective and seed.
    """

    SETS: ClassVar[tuple[str, ...]] = ("objective", "seed")

    fit: GeneratorSettings = field(default_factory=lambda: GeneratorSettings("digits"))
    contenders: tuple[str, ...] = option(
        (
            "debiased_nuclear_norm",
            "nuclear_norm:smoothing=0.01",
            "debiased_normalized_inner_product",
            "normalized_inner_product",
            "log_likelihood",
            "sinkhorn_debiased",
            "sinkhorn",
            "energy",
            "mmd",
        ),
        "Objectives of `fit generator`, with commas between them; options follow a colon: mmd:scale=0.3.",
        panel=OBJECTIVE,
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2))
    precision: str = _precision()


COMPARE_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 100, "contenders": ("debiased_nuclear_norm", "energy")}


@dataclass(frozen=True)
class VarianceSweepSettings:
    """Diversity and meaning over the variance.

    Args:
        fit: of every run, but for objective, seed and the variances.
    """

    SETS: ClassVar[tuple[str, ...]] = ("objective", "seed", "variance_start", "variance_end", "space")

    fit: GeneratorSettings = field(default_factory=lambda: GeneratorSettings("moons"))
    objectives: tuple[str, ...] = option(
        (
            "debiased_nuclear_norm",
            "nuclear_norm:smoothing=0.01",
            "normalized_inner_product",
            "log_likelihood",
        ),
        "Objectives of `fit generator`, with commas between them.",
        panel=OBJECTIVE,
    )
    factors: tuple[float, ...] = option(
        (0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
        "Variances at the end, relative to the one chosen from the data.",
        panel=OBJECTIVE,
    )
    seeds: tuple[int, ...] = _seeds((0, 1, 2))
    precision: str = _precision()


VARIANCE_SWEEP_QUICK: dict[str, Any] = {
    "seeds": (0,),
    "steps": 200,
    "factors": (0.01, 1.0, 100.0),
    "objectives": ("debiased_nuclear_norm", "normalized_inner_product"),
}


def recorded(settings: Any) -> dict[str, Any]:
    """What a result says was asked: the fit's settings and the experiment's own, by name."""
    own = dataclasses.asdict(settings)
    fit = own.pop("fit", {})
    return {name: value for name, value in fit.items() if name not in settings.SETS} | own
