"""`contrastive-entropy experiment NAME`."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from contrastive_entropy import cli_options as options
from contrastive_entropy.data.load import STACKED
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.settings import (
    BOUND_TRACKING_QUICK,
    COMPARE_QUICK,
    MODE_COVERAGE_QUICK,
    RECONSTRUCTION_DIVERSITY_QUICK,
    VARIANCE_SWEEP_QUICK,
    BoundTrackingConfig,
    CompareConfig,
    ModeCoverageConfig,
    ReconstructionDiversityConfig,
    VarianceSweepConfig,
)
from contrastive_entropy.runs import write_atomically

experiment_app = typer.Typer(
    help="Reproduce a figure: runs, JSON, PNG and a paragraph of reading into --out; the same command continues.",
    no_args_is_help=True,
)

ExperimentOut = Annotated[Path, typer.Option(help="Folder of the experiment.")]
Quick = Annotated[bool, typer.Option("--quick", help="A minute's version, to see how it works: no figures to rely on.")]
Seeds = Annotated[str, typer.Option(help="One repetition for each.")]
Codes = Annotated[str, typer.Option(help="As in `fit autoencoder`.")]
FeatureVariance = Annotated[float, typer.Option(help="Of the noise on the features.")]


def _listed(values: tuple[Any, ...]) -> str:
    return ",".join(map(str, values))


Settings = TypeVar(
    "Settings",
    BoundTrackingConfig,
    CompareConfig,
    ModeCoverageConfig,
    ReconstructionDiversityConfig,
    VarianceSweepConfig,
)

BOUND_TRACKING = BoundTrackingConfig()
COMPARE = CompareConfig()
SWEEP = VarianceSweepConfig()
MODE_COVERAGE = ModeCoverageConfig()
DIVERSITY = ReconstructionDiversityConfig()


@experiment_app.command("bound-tracking")
def bound_tracking(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    data: options.Data = BOUND_TRACKING.data,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    points: Annotated[int, typer.Option(help="Train on so many of the points.")] = BOUND_TRACKING.points,
    features: Annotated[str, typer.Option(help="Dimensions of the code, one sweep for each.")] = _listed(
        BOUND_TRACKING.features
    ),
    centers: Annotated[str, typer.Option(help="Numbers of centers, one run for each.")] = _listed(
        BOUND_TRACKING.centers
    ),
    seeds: Seeds = _listed(BOUND_TRACKING.seeds),
    steps: options.Steps = BOUND_TRACKING.steps,
    codes: Codes = BOUND_TRACKING.codes,
    frequencies: options.Frequencies = BOUND_TRACKING.frequencies,
    learning_rate: options.LearningRate = BOUND_TRACKING.learning_rate,
    variance: Annotated[float | None, typer.Option(help="At the end. \\[default: 5 for mnist, else from data]")] = None,
    feature_variance: FeatureVariance = BOUND_TRACKING.feature_variance,
    free: Annotated[bool, typer.Option(help="Also centers without a decoder, for 1-D features.")] = BOUND_TRACKING.free,
) -> None:
    """Tightness of the conditional bound against the number of centers, with its limit and (E19)."""
    with _experiment(out):
        from contrastive_entropy.experiments import bound_tracking as experiment

        config = _config(context, BoundTrackingConfig, BOUND_TRACKING_QUICK)
        if variance is None:
            config = dataclasses.replace(config, variance=BOUND_TRACKING.variance if data == "mnist" else None)
        found = experiment.run(config, out)
        _finish(out, "bound-tracking", experiment.table(found), experiment.reading(found["rows"]))


@experiment_app.command("reconstruction-diversity")
def reconstruction_diversity(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    data: options.Data = DIVERSITY.data,
    data_root: options.DataRoot = None,
    points: options.Points = None,
    features: Annotated[int, typer.Option(help="Dimensions of the code.")] = DIVERSITY.features,
    centers: Annotated[int, typer.Option(help="Alternatives that the decoder gives for a code.")] = DIVERSITY.centers,
    codes: Annotated[
        str | None, typer.Option(help="As in `fit autoencoder`. \\[default: heads; learned if convolutional]")
    ] = None,
    steps: options.Steps = DIVERSITY.steps,
    batch_size: options.BatchSize = DIVERSITY.batch_size,
    body: options.Body = DIVERSITY.body,
    width: options.Width = DIVERSITY.width,
    depth: options.Depth = DIVERSITY.depth,
    decoder: options.Decoder = None,
    decoder_width: options.DecoderWidth = None,
    frequencies: options.Frequencies = DIVERSITY.frequencies,
    principal_components: options.PrincipalComponents = DIVERSITY.principal_components,
    learning_rate: options.LearningRate = DIVERSITY.learning_rate,
    variance: Annotated[float | None, typer.Option(help="At the end. \\[default: from the data]")] = None,
    feature_variance: FeatureVariance = DIVERSITY.feature_variance,
    seed: options.Seed = DIVERSITY.seed,
    precision: options.Precision = DIVERSITY.precision,
    track_every: options.TrackEvery = None,
) -> None:
    """Many alternatives for one input, beside the plain autoencoder's mean."""
    with _experiment(out):
        from contrastive_entropy.experiments import reconstruction_diversity as experiment

        config = _config(context, ReconstructionDiversityConfig, RECONSTRUCTION_DIVERSITY_QUICK)
        if codes is None:
            config = dataclasses.replace(config, codes="learned" if body == "convolutional" else DIVERSITY.codes)
        found = experiment.run(config, out)
        _finish(out, "reconstruction-diversity", experiment.table(found), experiment.reading(found))


@experiment_app.command("mode-coverage")
def mode_coverage(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    laws: Annotated[
        str, typer.Option(help="Laws of separate modes: ring8, grid25, modes1200, stacked_mnist.")
    ] = _listed(MODE_COVERAGE.laws),
    seeds: Seeds = _listed(MODE_COVERAGE.seeds),
    objective: Annotated[str, typer.Option(help="As in `fit mdn`.")] = MODE_COVERAGE.objective,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps. \\[default: each law's own]")] = None,
    samples: Annotated[int | None, typer.Option(help="That are looked at. \\[default: as published]")] = None,
    data_root: options.DataRoot = None,
    precision: options.Precision = MODE_COVERAGE.precision,
) -> None:
    """Modes reached, share of samples on one, and evenness, beside the published figures."""
    with _experiment(out):
        from contrastive_entropy.experiments import mode_coverage as experiment

        if data_root is not None and STACKED not in laws:
            raise InputError(f"--data-root would be ignored: only {STACKED} reads a copy; leave it out")
        if samples is not None:
            options.check_number_and_seed(samples, 0)
        found = experiment.run(_config(context, ModeCoverageConfig, MODE_COVERAGE_QUICK), out)
        _finish(out, "mode-coverage", experiment.table(found), experiment.reading(found["rows"]))


@experiment_app.command("compare")
def compare(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    contenders: Annotated[
        str,
        typer.Option(
            help="Objectives of `fit mdn`, energy, mmd, sinkhorn, sinkhorn_debiased; NAME:NUMBER sets smoothing, blur or scale."
        ),
    ] = _listed(COMPARE.contenders),
    seeds: Seeds = _listed(COMPARE.seeds),
    data: options.Data = COMPARE.data,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    points: options.Points = None,
    steps: options.Steps = COMPARE.steps,
    batch_size: options.GeneratorBatch = COMPARE.batch_size,
    components: options.Components = COMPARE.components,
    learning_rate: options.GeneratorRate = None,
    decay_fraction: options.DecayFraction = COMPARE.decay_fraction,
    coarse_every: options.CoarseEvery = None,
    fine_every: options.FineEvery = None,
    average_fraction: options.AverageFraction = COMPARE.average_fraction,
    variance_start: options.VarianceStart = None,
    variance_end: options.VarianceEnd = None,
    body: options.Body = COMPARE.body,
    width: options.Width = COMPARE.width,
    noise_dimension: options.NoiseDimension = None,
    principal_components: options.PrincipalComponents = COMPARE.principal_components,
    precision: options.Precision = COMPARE.precision,
) -> None:
    """Every objective beside the losses that people would use instead: same network, steps, data and batches."""
    with _experiment(out):
        from contrastive_entropy.experiments import compare as experiment

        found = experiment.run(_config(context, CompareConfig, COMPARE_QUICK), out)
        _finish(out, "compare", experiment.table(found), experiment.reading(found))


@experiment_app.command("variance-sweep")
def variance_sweep(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    objectives: Annotated[str, typer.Option(help="Contenders of `experiment compare`.")] = _listed(SWEEP.objectives),
    factors: Annotated[str, typer.Option(help="Variances, relative to the one chosen from the data.")] = _listed(
        SWEEP.factors
    ),
    seeds: Seeds = _listed(SWEEP.seeds),
    data: options.Data = SWEEP.data,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    points: options.Points = None,
    steps: options.Steps = SWEEP.steps,
    batch_size: options.GeneratorBatch = SWEEP.batch_size,
    components: options.Components = SWEEP.components,
    learning_rate: options.GeneratorRate = None,
    decay_fraction: options.DecayFraction = SWEEP.decay_fraction,
    coarse_every: options.CoarseEvery = None,
    fine_every: options.FineEvery = None,
    body: options.Body = SWEEP.body,
    width: options.Width = SWEEP.width,
    noise_dimension: options.NoiseDimension = None,
    principal_components: options.PrincipalComponents = SWEEP.principal_components,
    schedule: options.Schedule = SWEEP.schedule,
    precision: options.Precision = SWEEP.precision,
) -> None:
    """Diversity and meaning over the variance, and where the variance chosen from the data falls."""
    with _experiment(out):
        from contrastive_entropy.experiments import variance_sweep as experiment

        found = experiment.run(_config(context, VarianceSweepConfig, VARIANCE_SWEEP_QUICK), out)
        _finish(out, "variance-sweep", experiment.table(found), experiment.reading(found))


@contextmanager
def _experiment(out: Path) -> Iterator[None]:
    with options.errors_in_one_line():
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot use {error.filename or out} ({error.strerror}); choose another --out") from error


def _finish(out: Path, name: str, table: str, reading: str) -> None:
    write_atomically(out / f"{name}.md", f"{table}\n\n{reading}\n".encode())
    typer.echo(reading)
    for suffix in ("json", "png", "md"):
        typer.echo(f"wrote {out / f'{name}.{suffix}'}")


def _config(context: typer.Context, kind: type[Settings], quick: dict[str, Any]) -> Settings:
    """The settings that the options ask for; with --quick, what was not typed is made small."""
    values = {field.name: context.params[field.name] for field in dataclasses.fields(kind)}
    for name, default in vars(kind()).items():
        if isinstance(default, tuple):
            least = 0 if name == "seeds" else 1
            words = tuple(part.strip() for part in values[name].split(","))
            if isinstance(default[0], int):
                values[name] = _integers(name, values[name], least=least)
            else:
                values[name] = words if isinstance(default[0], str) else _factors(name, words)
            twice = {value for value in values[name] if values[name].count(value) > 1}
            if twice:
                raise InputError(f"--{name} names {min(twice)} twice; each counts once")
        elif isinstance(values[name], Path):
            values[name] = str(values[name])
    if context.params["quick"]:
        given = options.given_options(context, list(quick))
        values |= {name: value for name, value in quick.items() if name not in given}
    return kind(**values)


def _factors(name: str, words: tuple[str, ...]) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        raise InputError(f"--{name} must be numbers with commas between them, got {','.join(words)!r}") from None
    if not all(0 < value < math.inf for value in values):
        raise InputError(f"--{name} must be positive numbers, got {','.join(words)!r}")
    return values


def _integers(name: str, text: str, *, least: int = 1) -> tuple[int, ...]:
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--{name} must be whole numbers with commas between them, such as 1,2,5; got {text!r}"
        ) from None
    if min(values) < least:
        raise InputError(f"--{name} must be at least {least}, got {min(values)}")
    return values
