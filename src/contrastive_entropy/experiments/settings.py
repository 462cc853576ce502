"""Settings of the experiments, apart from what runs them: the command line shows their defaults without loading more."""

from dataclasses import dataclass
from typing import Any

from contrastive_entropy.config import ADAPTIVE, Machine


@dataclass(frozen=True)
class BoundTrackingConfig:
    """Settings.

    Args:
        data, data_root, standardize, points: as in `AutoencoderConfig`.
        features: dimensions of the code, one sweep for each.
        centers: C, one run for each.
        seeds: one repetition for each.
        steps: of every run.
        codes, frequencies: as in `AutoencoderConfig`.
        learning_rate, variance, feature_variance: as in `AutoencoderConfig`; the density's variance falls to `variance`.
        free: also optimise centers that no decoder ties together, for the first seed of one-dimensional features.
    """

    data: str = "mnist"
    data_root: str | None = None
    standardize: bool = False
    points: int = 800
    features: tuple[int, ...] = (1, 2)
    centers: tuple[int, ...] = (1, 2, 5, 10, 20, 30)
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 2000
    codes: str = "heads"
    frequencies: int = 0
    learning_rate: float = 2e-3
    variance: float | None = 5.0
    feature_variance: float = 0.0025
    free: bool = True


BOUND_TRACKING_QUICK: dict[str, Any] = {"centers": (1, 5), "seeds": (0,), "features": (1,), "steps": 200, "points": 400}
"""Changes that `--quick` makes."""


@dataclass(frozen=True)
class ReconstructionDiversityConfig:
    """Settings.

    Args:
        data, data_root, points, features, centers, codes, steps, body, width, depth, decoder, decoder_width, frequencies,
            principal_components, learning_rate, variance, feature_variance, seed: as in `AutoencoderConfig`; variance is
            the density's at the end.
        batch_size: of both models.
        precision, track_every: as in `Machine`.
    """

    data: str = "digits"
    data_root: str | None = None
    points: int | None = None
    features: int = 1
    centers: int = 16
    codes: str = "heads"
    steps: int = 3000
    batch_size: int = 256
    body: str = "mlp"
    width: int = 256
    depth: int = 3
    decoder: str | None = None
    decoder_width: int | None = None
    frequencies: int = 0
    principal_components: int = 0
    learning_rate: float = 1e-3
    variance: float | None = None
    feature_variance: float = 0.0025
    seed: int = 0
    precision: str = Machine.precision
    track_every: int | None = None


RECONSTRUCTION_DIVERSITY_QUICK: dict[str, Any] = {"steps": 200, "centers": 4}
"""Changes that `--quick` makes."""


@dataclass(frozen=True)
class ModeCoverageConfig:
    """Settings.

    Args:
        laws: of `data.MODES`, or stacked_mnist.
        seeds: one repetition for each.
        objective: as in `FitConfig`.
        steps: of every run; None is each law's own, below.
        samples: that are looked at; None is as published, 2,500, or 26,000 for stacked_mnist.
        data_root: as in `FitConfig`, for stacked_mnist.
        precision: of the networks, as in `Machine`.
    """

    laws: tuple[str, ...] = ("ring8", "grid25", "modes1200")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    objective: str = "debiased_nuclear_norm"
    steps: int | None = None
    samples: int | None = None
    data_root: str | None = None
    precision: str = Machine.precision


MODE_COVERAGE_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 300}
"""Changes that `--quick` makes."""


@dataclass(frozen=True)
class CompareConfig:
    """Settings.

    Args:
        contenders: NAME or NAME:PARAMETER of `contenders.NAMES`.
        seeds: one repetition for each.
        data, data_root, standardize, points, steps, batch_size, components, learning_rate, decay_fraction,
            average_fraction, variance_start, variance_end, body, width, noise_dimension, principal_components: as in
            `FitConfig`, for all contenders alike; peers draw as many data points as debiased_nuclear_norm.
        coarse_every, fine_every: as in `FitConfig`, for our objectives.
        precision: of the network, as in `Machine`.
    """

    contenders: tuple[str, ...] = (
        "debiased_nuclear_norm",
        "nuclear_norm:1e-2",
        "debiased_normalized_inner_product",
        "normalized_inner_product",
        "log_likelihood",
        "sinkhorn_debiased",
        "sinkhorn",
        "energy",
        "mmd",
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    data: str = "digits"
    data_root: str | None = None
    standardize: bool = False
    points: int | None = None
    steps: int = 2000
    batch_size: int = 256
    components: int = 512
    learning_rate: float | None = None
    decay_fraction: float = 0.6
    coarse_every: int | None = None
    fine_every: int | None = None
    average_fraction: float = 0.1
    variance_start: float | None = None
    variance_end: float | None = None
    body: str = "mlp"
    width: int = 256
    noise_dimension: int | None = None
    principal_components: int = 0
    precision: str = Machine.precision


COMPARE_QUICK: dict[str, Any] = {"seeds": (0,), "steps": 100, "contenders": ("debiased_nuclear_norm", "energy")}
"""Changes that `--quick` makes."""


@dataclass(frozen=True)
class VarianceSweepConfig:
    """Settings.

    Args:
        objectives: our contenders of `compare`, NAME or NAME:PARAMETER.
        factors: variances at the end of annealing, relative to the one chosen from the data.
        seeds: one repetition for each.
        data, data_root, standardize, points, steps, batch_size, components, learning_rate, decay_fraction, coarse_every,
            fine_every, body, width, noise_dimension, principal_components: as in `FitConfig`.
        schedule: as in `FitConfig`; the adaptive one ends small variances higher where samples cannot follow.
        precision: of the network, as in `Machine`.
    """

    objectives: tuple[str, ...] = (
        "debiased_nuclear_norm",
        "nuclear_norm:1e-2",
        "normalized_inner_product",
        "log_likelihood",
    )
    factors: tuple[float, ...] = (0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    data: str = "moons"
    data_root: str | None = None
    standardize: bool = False
    points: int | None = None
    steps: int = 2000
    batch_size: int = 256
    components: int = 512
    learning_rate: float | None = None
    decay_fraction: float = 0.6
    coarse_every: int | None = None
    fine_every: int | None = None
    body: str = "mlp"
    width: int = 256
    noise_dimension: int | None = None
    principal_components: int = 0
    schedule: str = ADAPTIVE
    precision: str = Machine.precision


VARIANCE_SWEEP_QUICK: dict[str, Any] = {
    "seeds": (0,),
    "steps": 200,
    "factors": (0.01, 1.0, 100.0),
    "objectives": ("debiased_nuclear_norm", "normalized_inner_product"),
}
"""Changes that `--quick` makes."""
