"""The command line: `contrastive-entropy fit mdn`, `sample`, `evaluate`, `bound`, `decompose`, `data list`."""

import dataclasses
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from contrastive_entropy import __version__
from contrastive_entropy.data import TOYS, load, located, names
from contrastive_entropy.errors import InputError, TrainingError
from contrastive_entropy.hub import HUB
from contrastive_entropy.marginal import OBJECTIVES
from contrastive_entropy.models import NOISES
from contrastive_entropy.runs import (
    BODIES,
    EVALUATION,
    SEEDS,
    SMOOTHED,
    FitConfig,
    Run,
    write_atomically,
    write_json,
)

app = typer.Typer(
    help="Train mixture density networks with Hilbert-space entropy bounds, and say how far they are from the best fit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
fit_app = typer.Typer(help="Train a model into a run folder.", no_args_is_help=True)
data_app = typer.Typer(help="The data sets that can be named.", no_args_is_help=True)
app.add_typer(fit_app, name="fit")
app.add_typer(data_app, name="data")

DEFAULTS = FitConfig(data="digits")
SAMPLE_SUFFIXES = (".npz", ".png")

MEANINGS = {
    "tightness": ("high", "F(model, data); 1 = the limit"),
    "debiased_tightness": ("high", "variety counted; 1 = equal laws"),
    "energy_distance": ("low", "between the two laws; 0 = equal"),
    "precision": ("high", "samples that lie on the data"),
    "recall": ("high", "data that the samples reach"),
    "density": ("high", "real neighbourhoods per sample"),
    "coverage": ("high", "data with a sample close by"),
    "effective_rank": ("real", "directions that are filled"),
    "far_share": ("low", "farther off than 99% of data"),
}


BOUND_MEANINGS = {
    "points": "n",
    "dimension": "d",
    "variance": "v, of each point's Gaussian",
    "log_norm": "log <p,p>, nats: the limit of (E7)",
    "renyi_entropy": "minus that, Renyi's quadratic entropy",
    "effective_points": "that stand alone at this v, 1 to n",
    "against_points": "m of the second set",
    "against_log_norm": "log <q,q>",
    "against_effective_points": "1 to m",
    "log_inner": "log <p,q>",
    "cauchy_schwarz_divergence": "the gap of (E7); 0 = equal",
    "mmd": "kernel exp(-|x-y|^2 / 4v); 0 = equal",
    "fidelity": "F, of the nuclear norm; 1 = equal",
    "bures_distance": "sqrt(2 - 2 F)",
    "cross_effective_rank": "directions that the two sets share",
    "seconds": "for the sums, and F",
}


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Options of the program itself."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@fit_app.callback()
def fit_root() -> None:
    """Keeps `fit mdn` a command of its own while it is the only one."""


@fit_app.command("mdn")
def fit_mdn(
    context: typer.Context,
    data: Annotated[
        str, typer.Option(help="Name (see `data list`) or path: .npy, .npz, .csv, .parquet, image folder.")
    ] = DEFAULTS.data,
    objective: Annotated[
        str, typer.Option(help=f"One of: {', '.join(name for name in OBJECTIVES if name != 'trace')}.")
    ] = DEFAULTS.objective,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/DATA-OBJECTIVE]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out, exactly.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = DEFAULTS.steps,
    batch_size: Annotated[int, typer.Option(help="Data points per step.")] = DEFAULTS.batch_size,
    components: Annotated[int, typer.Option(help="Generated points per step.")] = DEFAULTS.components,
    learning_rate: Annotated[
        float, typer.Option(help="Of Adam; falls to 0 once the variance is at its end (at least over the last tenth).")
    ] = DEFAULTS.learning_rate,
    smoothing: Annotated[
        float | None,
        typer.Option(help=f"eps of the smoothed nuclear norm ({', '.join(SMOOTHED)}). [default: the objective's]"),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Relative error that the smoothed nuclear norm and its gradient may have. [default: 1e-3]"),
    ] = None,
    variance_start: Annotated[
        float | None,
        typer.Option(help="Of the density, data units squared. [default: half the median squared distance]"),
    ] = None,
    variance_end: Annotated[float | None, typer.Option(help="[default: from near-neighbour distances]")] = None,
    anneal_fraction: Annotated[
        float, typer.Option(help="Share of the steps in which the variance falls; 0: fixed at its end.")
    ] = DEFAULTS.anneal_fraction,
    body: Annotated[str, typer.Option(help=f"Network: {' or '.join(BODIES)} (images).")] = DEFAULTS.body,
    width: Annotated[
        int, typer.Option(help="Of the hidden layers; channels before the last layer if convolutional.")
    ] = DEFAULTS.width,
    depth: Annotated[int, typer.Option(help="Hidden layers of the MLP.")] = DEFAULTS.depth,
    noise: Annotated[str, typer.Option(help=f"Noise codes: {' or '.join(NOISES)}.")] = DEFAULTS.noise,
    noise_dimension: Annotated[int, typer.Option(help="Of the noise codes.")] = DEFAULTS.noise_dimension,
    held_out: Annotated[float, typer.Option(help="Share of a file's points to hold out.")] = DEFAULTS.held_out,
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same bytes.")] = DEFAULTS.seed,
    accelerator: Annotated[str, typer.Option(help="As Lightning takes it: auto, cpu, gpu, ...")] = "auto",
    devices: Annotated[str, typer.Option(help="As Lightning takes it: 1, 2, auto, 0,1 ...")] = "1",
    precision: Annotated[
        str, typer.Option(help="Of the network; the objective is always evaluated in float32 or better.")
    ] = "32-true",
    log_every: Annotated[int, typer.Option(help="Steps between rows of metrics.csv.")] = 10,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 100,
) -> None:
    """Train a mixture density network: noise to centers whose mixture fits the data."""
    fields = {field.name: context.params[field.name] for field in dataclasses.fields(FitConfig)}
    given = [name for name in fields if _is_given(context, name)]
    machine: dict[str, Any] = {
        "accelerator": accelerator, "devices": devices, "precision": precision,
        "log_every": log_every, "checkpoint_every": checkpoint_every,
    }  # fmt: skip
    given_machine = {name: value for name, value in machine.items() if _is_given(context, name)}
    with _errors_in_one_line():
        if resume and overwrite:
            raise InputError("--resume continues the run and --overwrite replaces it: give one of them")
        config = None if resume else FitConfig(**fields)
        folder = out or Path("runs") / f"{Path(data).stem}-{objective}"
        if config is None:
            _refuse_changes(Run.open(folder).config, {name: fields[name] for name in given} | _located(data, given))
        dataset = load(data, seed=seed, held_out=held_out) if config is not None else None
        from contrastive_entropy import training

        if config is not None and dataset is not None:
            run = training.fit(config, folder, dataset, overwrite=overwrite, progress=True, **machine)
        else:
            run = training.resume(folder, progress=True, **given_machine)
        if not training.is_main_process():
            return
        if not run.finished:
            typer.echo(f"stopped; continue with: {run.resume_command}", err=True)
            raise typer.Exit(130)
        _evaluate(run, seed=1, from_density=False)


@app.command("sample")
def sample(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help=f"File to write: {' or '.join(SAMPLE_SUFFIXES)}.")],
    number: Annotated[int, typer.Option("-n", "--number", help="How many points.")] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed, same points.")] = 0,
    from_density: Annotated[
        bool, typer.Option("--from-density", help="Add noise of the density's variance to the centers.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Generate points: .npz holds them as `samples`, .png shows the first hundred images, or 2,000 points.

    Images keep their shape and are clipped to [0, 1].
    """
    with _errors_in_one_line():
        if out.suffix.lower() not in SAMPLE_SUFFIXES:
            raise InputError(f"--out must end in {' or '.join(SAMPLE_SUFFIXES)}, got {out.name}")
        if number < 1 or not 0 <= seed < SEEDS:
            raise InputError(f"-n must be at least 1 and --seed from 0 to 2^32 - 1, got {number} and {seed}")
        if out.exists() and not overwrite:
            raise InputError(f"{out} exists; replace it with --overwrite, or choose another --out")
        import torch

        opened = Run.open(run)
        network = opened.load_network()
        points = network.sample(number, generator=torch.Generator().manual_seed(seed), from_density=from_density)
        if out.suffix.lower() == ".png":
            from contrastive_entropy.report import png_bytes, samples_figure

            content = png_bytes(samples_figure(points, opened.image_shape))
        else:
            points = points.clamp(0, 1) if opened.image_shape else points
            stream = io.BytesIO()
            np.savez(stream, samples=points.reshape(number, *(opened.image_shape or (-1,))).numpy())
            content = stream.getvalue()
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, content)
        except OSError as error:
            raise InputError(f"cannot write {out} ({error.strerror}); choose another --out") from error
        typer.echo(f"{number} points written to {out}")


@app.command("evaluate")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    seed: Annotated[int, typer.Option(help="Of the generated points.")] = 1,
    from_density: Annotated[
        bool, typer.Option("--from-density", help="Add noise of the density's variance to the centers.")
    ] = False,
) -> None:
    """Compare generated with held-out points: print a table, write evaluation.json and the figures."""
    with _errors_in_one_line():
        if not 0 <= seed < SEEDS:
            raise InputError(f"--seed must lie from 0 to 2^32 - 1, got {seed}")
        _evaluate(Run.open(run), seed=seed, from_density=from_density)


@app.command("bound")
def bound(
    data: Annotated[
        str, typer.Argument(help="Name (see `data list`) or path: .npy, .npz, .csv, .parquet, image folder.")
    ],
    against: Annotated[str | None, typer.Option(help="A second data set to compare with: D_CS and MMD.")] = None,
    variance: Annotated[
        float | None, typer.Option(help="Of the density, data units squared. [default: as `fit` ends, of DATA]")
    ] = None,
    fidelity: Annotated[
        bool, typer.Option("--fidelity", help="Also F of the two sets, exact: all of DATA against up to 8,192 points.")
    ] = False,
    batch: Annotated[int, typer.Option(help="Points read at once from either side.")] = 4096,
    data_root: Annotated[Path | None, typer.Option(help="Folder with copies of hub data sets, e.g. DIR/mnist.")] = None,
    seed: Annotated[int, typer.Option(help="Of a toy's draw.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="JSON file for the figures; an interrupted run continues from beside it.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Exact log <p,p> (minus it: Renyi's quadratic entropy) and effective number of points of a whole data set."""
    with _errors_in_one_line():
        if out is not None and out.exists() and not overwrite:
            raise InputError(f"{out} exists; replace it with --overwrite, or choose another --out")
        from contrastive_entropy.entropy import measure

        try:
            figures = measure(
                data,
                against,
                variance=variance,
                fidelity=fidelity,
                batch_size=batch,
                data_root=data_root,
                seed=seed,
                out=out,
            )
        except KeyboardInterrupt:
            how = "the same command continues where it stood" if out else "give --out FILE.json to be able to continue"
            typer.echo(f"stopped; {how}", err=True)
            raise typer.Exit(130) from None
        table = Table(
            title=f"{data}, exact over all pairs", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for heading in ("figure", "value", "what it says"):
            table.add_column(heading, justify="right" if heading == "value" else "left")
        for name, meaning in BOUND_MEANINGS.items():
            if name in figures:
                value = figures[name]
                table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.6g}", meaning)
        Console().print(table)
        if out is not None:
            typer.echo(f"wrote {out}")


@app.command("decompose")
def decompose(
    data: Annotated[
        str, typer.Argument(help="Name (see `data list`) or path: .npy, .npz, .csv, .parquet, image folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for scree.png, functions.png and decomposition.npz.")],
    against: Annotated[str | None, typer.Option(help="The other side of the operator. [default: DATA itself]")] = None,
    variance: Annotated[
        float | None, typer.Option(help="Of the density, data units squared. [default: as `fit` ends, of DATA]")
    ] = None,
    points: Annotated[int, typer.Option(help="Most points of either side, drawn at random.")] = 2000,
    functions: Annotated[int, typer.Option(help="How many functions to show and to write.")] = 12,
    data_root: Annotated[Path | None, typer.Option(help="Folder with copies of hub data sets, e.g. DIR/mnist.")] = None,
    seed: Annotated[int, typer.Option(help="Of a toy's draw and of the points taken.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Singular values and functions of the Gaussian operator of a data set: what the nuclear norm is made of."""
    with _errors_in_one_line():
        from contrastive_entropy.singular import decompose_data

        for path in decompose_data(
            data, out, against=against, variance=variance, points=points, functions=functions, data_root=data_root,
            seed=seed, overwrite=overwrite,
        ):  # fmt: skip
            typer.echo(f"wrote {path}")


@data_app.command("list")
def data_list() -> None:
    """Names that `--data` takes."""
    table = Table("name", "points", "what")
    table.add_row("digits", "1297 + 500 held out, 8 x 8", "real handwritten digits (scikit-learn)")
    for name in TOYS:
        table.add_row(name, "10000 + 5000 held out, 2-D", "toy law, drawn afresh for each seed")
    for name, entry in HUB.items():
        table.add_row(
            name, entry.description, f"{entry.identifier} on the hub, {entry.megabytes} MB, or a copy in --data-root"
        )
    Console().print(table)
    assert set(names()) == {"digits", *TOYS, *HUB}
    typer.echo("or a path: .npy, .npz, .csv, .parquet with one point per row, or a folder of images of one size")


def _evaluate(run: Run, *, seed: int, from_density: bool) -> None:
    from contrastive_entropy.evaluation import evaluate
    from contrastive_entropy.report import write_figures

    dataset = run.dataset()
    evaluation = evaluate(run, dataset, seed=seed, from_density=from_density)
    try:
        write_json(run.folder / EVALUATION, evaluation.as_dict())
        paths = write_figures(run, dataset.test, evaluation)
    except OSError as error:
        raise InputError(f"cannot use {error.filename or run.folder} ({error.strerror})") from error
    title = f"{run.config.objective} on {Path(run.config.data).name}, {evaluation.settings['points']} points a side"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("figure", "model", "real", "goal", "what it says"):
        table.add_column(heading, justify="right" if heading in ("model", "real") else "left")
    for name, (goal, meaning) in MEANINGS.items():
        table.add_row(name, _number(evaluation.model[name]), _number(evaluation.reference[name]), goal, meaning)
    console = Console()
    console.print(table)
    console.print(
        f"Tightness against its ceiling: [bold]{evaluation.relative_tightness:.3f}[/bold] = F(model, data) / F(data', data).\n"
        "At 1 the samples are as close to the held-out points as a second real sample\n"
        "('real' in the table: training points in the samples' place).",
        highlight=False,
    )
    for path in (*paths, run.folder / EVALUATION):
        typer.echo(f"wrote {path}")


def _located(data: str, given: list[str]) -> dict[str, str]:
    return {"data": located(data)} if "data" in given else {}


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _number(value: float) -> str:
    return f"{value:.5f}" if abs(value) < 0.01 else f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def _refuse_changes(config: FitConfig, given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value != getattr(config, name):
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{flag} {value} differs from the run's {getattr(config, name)}: a resumed run keeps its settings. Leave it out, "
                "or start anew with --overwrite instead of --resume"
            )


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """InputError: exit code 2; TrainingError: 1; both without a traceback. Warnings take one line, too."""
    show = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: typer.echo(f"warning: {message}", err=True)
    try:
        yield
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except TrainingError as error:
        typer.echo(f"training stopped: {error}", err=True)
        raise typer.Exit(1) from None
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):
            raise
        typer.echo("error: not enough memory for so many points; ask for fewer", err=True)
        raise typer.Exit(2) from None
    finally:
        warnings.showwarning = show
