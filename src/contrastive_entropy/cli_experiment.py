"""`contrastive-entropy experiment bound-tracking` and `reconstruction-diversity`."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from contrastive_entropy import cli_options as options
from contrastive_entropy.errors import InputError
from contrastive_entropy.runs import write_atomically

experiment_app = typer.Typer(
    help="Reproduce a figure: runs, JSON, PNG and a paragraph of reading into --out; the same command continues.",
    no_args_is_help=True,
)

ExperimentOut = Annotated[Path, typer.Option(help="Folder of the experiment.")]
Quick = Annotated[bool, typer.Option("--quick", help="A minute's version, to see how it works: no figures to rely on.")]


@experiment_app.command("bound-tracking")
def bound_tracking(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    data: options.Data = "mnist",
    data_root: options.DataRoot = None,
    points: Annotated[int, typer.Option(help="Train on so many of the points.")] = 800,
    features: Annotated[str, typer.Option(help="Dimensions of the code, one sweep for each.")] = "1,2",
    centers: Annotated[str, typer.Option(help="Numbers of centers, one run for each.")] = "1,2,5,10,20,30",
    seeds: Annotated[str, typer.Option(help="One repetition for each.")] = "0,1,2",
    steps: options.Steps = 2000,
    codes: Annotated[str, typer.Option(help="As in `fit autoencoder`.")] = "heads",
    learning_rate: options.LearningRate = 2e-3,
    variance: Annotated[float | None, typer.Option(help="At the end. [default: 5 for mnist, else from data]")] = None,
    feature_variance: Annotated[float, typer.Option(help="Of the noise on the features.")] = 0.0025,
    free: Annotated[bool, typer.Option(help="Also centers without a decoder, for 1-D features.")] = True,
) -> None:
    """Tightness of the conditional bound against the number of centers, with its limit and (E19)."""
    with _experiment(out):
        from contrastive_entropy.experiments import bound_tracking as experiment

        settings: dict[str, Any] = {
            "data": data,
            "data_root": None if data_root is None else str(data_root),
            "points": points,
            "features": _integers("features", features),
            "centers": _integers("centers", centers),
            "seeds": _integers("seeds", seeds, least=0),
            "steps": steps,
            "codes": codes,
            "learning_rate": learning_rate,
            "variance": 5.0 if variance is None and data == "mnist" else variance,
            "feature_variance": feature_variance,
            "free": free,
        }
        config = experiment.BoundTrackingConfig(**settings)
        if quick:
            config = dataclasses.replace(config, **_not_given(context, experiment.QUICK))
        found = experiment.run(config, out)
        _finish(out, "bound-tracking", experiment.table(found), experiment.reading(found["rows"]))


@experiment_app.command("reconstruction-diversity")
def reconstruction_diversity(
    context: typer.Context,
    out: ExperimentOut,
    quick: Quick = False,
    data: options.Data = "digits",
    data_root: options.DataRoot = None,
    points: options.Points = None,
    features: Annotated[int, typer.Option(help="Dimensions of the code.")] = 1,
    centers: Annotated[int, typer.Option(help="Alternatives that the decoder gives for a code.")] = 16,
    codes: Annotated[
        str, typer.Option(help="As in `fit autoencoder`. [default: heads; learned if convolutional]")
    ] = "",
    steps: options.Steps = 3000,
    batch_size: options.BatchSize = 256,
    body: options.Body = "mlp",
    width: options.Width = 256,
    variance: Annotated[float | None, typer.Option(help="At the end. [default: from the data]")] = None,
    feature_variance: Annotated[float, typer.Option(help="Of the noise on the features.")] = 0.0025,
    seed: options.Seed = 0,
) -> None:
    """Many alternatives for one input, beside the plain autoencoder's mean."""
    with _experiment(out):
        from contrastive_entropy.experiments import reconstruction_diversity as experiment

        config = experiment.ReconstructionDiversityConfig(
            data=data,
            data_root=None if data_root is None else str(data_root),
            points=points,
            features=features,
            centers=centers,
            codes=codes or ("learned" if body == "convolutional" else "heads"),
            steps=steps,
            batch_size=batch_size,
            body=body,
            width=width,
            variance=variance,
            feature_variance=feature_variance,
            seed=seed,
        )
        if quick:
            config = dataclasses.replace(config, **_not_given(context, experiment.QUICK))
        found = experiment.run(config, out)
        _finish(out, "reconstruction-diversity", experiment.table(found), experiment.reading(found))


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


def _not_given(context: typer.Context, changes: dict[str, Any]) -> dict[str, Any]:
    given = options.given_options(context, list(changes))
    return {name: value for name, value in changes.items() if name not in given}


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
