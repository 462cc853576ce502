"""`contrastive-entropy fit mdn` and `fit autoencoder`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from contrastive_entropy import cli_options as options
from contrastive_entropy.cli_tables import evaluate_run
from contrastive_entropy.config import SMOOTHED, AutoencoderConfig, FitConfig, spanned
from contrastive_entropy.errors import InputError
from contrastive_entropy.models import CODES, NOISES
from contrastive_entropy.objectives.conditional import CONDITIONAL_OBJECTIVES
from contrastive_entropy.objectives.density import OBJECTIVES
from contrastive_entropy.runs import Run, load_for

fit_app = typer.Typer(help="Train a model into a run folder.", no_args_is_help=True)

MDN = FitConfig(data="digits")
AUTOENCODER = AutoencoderConfig(data="digits")


@fit_app.command("mdn")
def fit_mdn(
    context: typer.Context,
    data: options.Data = MDN.data,
    objective: Annotated[
        str, typer.Option(help=f"One of: {', '.join(name for name in OBJECTIVES if name != 'trace')}.")
    ] = MDN.objective,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    steps: options.Steps = MDN.steps,
    batch_size: options.GeneratorBatch = MDN.batch_size,
    components: options.Components = MDN.components,
    learning_rate: options.GeneratorRate = None,
    decay_fraction: options.DecayFraction = MDN.decay_fraction,
    average_fraction: options.AverageFraction = MDN.average_fraction,
    smoothing: Annotated[
        float | None,
        typer.Option(help=f"eps of the smoothed nuclear norm ({', '.join(SMOOTHED)}). \\[default: the objective's]"),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Relative error that the smoothed nuclear norm and its gradient may have. \\[default: 1e-3]"),
    ] = None,
    variance_start: options.VarianceStart = None,
    variance_end: options.VarianceEnd = None,
    anneal_fraction: options.GeneratorAnnealFraction = None,
    schedule: options.Schedule = MDN.schedule,
    coarse_every: options.CoarseEvery = None,
    fine_every: options.FineEvery = None,
    body: options.Body = MDN.body,
    width: options.Width = MDN.width,
    depth: options.Depth = MDN.depth,
    noise: Annotated[str, typer.Option(help=f"Noise codes: {' or '.join(NOISES)}.")] = MDN.noise,
    noise_dimension: options.NoiseDimension = None,
    principal_components: options.PrincipalComponents = MDN.principal_components,
    points: options.Points = None,
    held_out: options.HeldOut = MDN.held_out,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    seed: options.Seed = MDN.seed,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = "1",
    precision: options.Precision = "32-true",
    log_every: options.LogEvery = 10,
    checkpoint_every: options.CheckpointEvery = 100,
) -> None:
    """Train a mixture density network: noise to centers whose mixture fits the data."""
    with options.errors_in_one_line():
        _fit(context, FitConfig, out or Path("runs") / f"{Path(data).stem}-{objective}")


@fit_app.command("autoencoder")
def fit_autoencoder(
    context: typer.Context,
    data: options.Data = AUTOENCODER.data,
    objective: Annotated[
        str, typer.Option(help=f"One of: {', '.join(CONDITIONAL_OBJECTIVES)}.")
    ] = AUTOENCODER.objective,
    out: Annotated[Path | None, typer.Option(help="Run folder. \\[default: runs/DATA-autoencoder-cCENTERS]")] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    features: Annotated[int, typer.Option(help="Dimensions of the code.")] = AUTOENCODER.features,
    centers: Annotated[
        int, typer.Option(help="Alternatives that the decoder gives for a code; 1: a plain autoencoder.")
    ] = AUTOENCODER.centers,
    codes: Annotated[str, typer.Option(help=f"What tells the centers apart: {', '.join(CODES)}.")] = AUTOENCODER.codes,
    code_dimension: Annotated[int, typer.Option(help="Of learned and gaussian codes.")] = AUTOENCODER.code_dimension,
    feature_variance: Annotated[
        float, typer.Option(help="Of the noise on the features, which lie in [-1, 1]: the bottleneck.")
    ] = AUTOENCODER.feature_variance,
    feature_variance_start: Annotated[
        float | None, typer.Option(help="Where it falls from. \\[default: fixed]")
    ] = None,
    steps: options.Steps = AUTOENCODER.steps,
    batch_size: options.BatchSize = AUTOENCODER.batch_size,
    learning_rate: options.LearningRate = AUTOENCODER.learning_rate,
    decay_fraction: options.DecayBehindAnnealing = None,
    variance_start: options.VarianceStart = None,
    variance_end: options.VarianceEnd = None,
    anneal_fraction: options.AnnealFraction = AUTOENCODER.anneal_fraction,
    body: options.Body = AUTOENCODER.body,
    width: options.Width = AUTOENCODER.width,
    depth: options.Depth = AUTOENCODER.depth,
    decoder: options.Decoder = None,
    decoder_width: options.DecoderWidth = None,
    frequencies: options.Frequencies = AUTOENCODER.frequencies,
    principal_components: options.PrincipalComponents = AUTOENCODER.principal_components,
    points: options.Points = None,
    held_out: options.HeldOut = AUTOENCODER.held_out,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    seed: options.Seed = AUTOENCODER.seed,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = "1",
    precision: options.Precision = "32-true",
    log_every: options.LogEvery = 10,
    checkpoint_every: options.CheckpointEvery = 100,
    track_every: options.TrackEvery = None,
) -> None:
    """Train an encoder whose decoder answers with several alternatives, and track the bound against its limit."""
    with options.errors_in_one_line():
        _fit(context, AutoencoderConfig, out or Path("runs") / f"{Path(data).stem}-autoencoder-c{centers}")


MACHINE = ("accelerator", "devices", "precision", "log_every", "checkpoint_every", "track_every")


def _fit(context: typer.Context, kind: type[FitConfig] | type[AutoencoderConfig], folder: Path) -> None:
    """Fit or resume, then evaluate."""
    names = [field.name for field in dataclasses.fields(kind)]
    machine = [name for name in MACHINE if name in context.params]
    fields = {name: context.params[name] for name in names}
    if fields["data_root"] is not None:
        fields["data_root"] = str(fields["data_root"])
    if context.params["resume"] and context.params["overwrite"]:
        raise InputError("--resume continues the run and --overwrite replaces it: give one of them")
    if context.params["resume"]:
        if context.params["out"] is None and not folder.exists():
            raise InputError(f"--resume needs --out, the folder of the run: there is none at its default, {folder}")
        opened = Run.open(folder)
        if opened.config.kind != kind.kind:
            raise InputError(
                f"{folder} holds a run of kind {opened.config.kind}; continue with: {opened.resume_command}"
            )
        given = options.given_options(context, names)
        if given.get("principal_components", 0) > opened.config.principal_components:  # more than there are were cut
            given["principal_components"] = spanned(given["principal_components"], opened.dataset())
        options.refuse_changes(opened.config, given)
        from contrastive_entropy import training

        run = training.resume(folder, progress=True, **options.given_options(context, machine))
    else:
        config = kind(**fields)
        options.refuse_ignored(config, options.given_options(context, names))
        dataset = load_for(config)
        from contrastive_entropy import training

        chosen = {name: context.params[name] for name in machine}
        run = training.fit(config, folder, dataset, overwrite=context.params["overwrite"], progress=True, **chosen)
    if not training.is_main_process():
        return
    if not run.finished:
        typer.echo(f"stopped; continue with: {run.resume_command}", err=True)
        raise typer.Exit(130)
    evaluate_run(run, seed=1)
