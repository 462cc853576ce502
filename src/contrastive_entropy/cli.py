"""The command line: `contrastive-entropy fit mdn`, `sample`, `evaluate`, `bound`, `variance`, `decompose`, `data list`."""

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from contrastive_entropy import __version__
from contrastive_entropy import cli_options as options
from contrastive_entropy.cli_autoencoder import limit, reconstruct
from contrastive_entropy.cli_experiment import experiment_app
from contrastive_entropy.cli_fit import fit_app
from contrastive_entropy.cli_options import errors_in_one_line
from contrastive_entropy.cli_tables import BOUND_MEANINGS, evaluate_run, print_evaluation, print_figures
from contrastive_entropy.data.files import csv_bytes
from contrastive_entropy.data.hub import HUB
from contrastive_entropy.data.load import STACKED, TOYS, names
from contrastive_entropy.errors import InputError
from contrastive_entropy.runs import Run, write_atomically, write_json
from contrastive_entropy.spaces.inception import WEIGHTS

app = typer.Typer(
    help="Train mixture density networks with Hilbert-space entropy bounds, and say how far they are from the best fit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
FeatureWeights = Annotated[
    Path | None,
    typer.Option(help=f"Also FID, KID, precision and recall of images: torch-fidelity's {WEIGHTS}, never downloaded."),
]
data_app = typer.Typer(help="The data sets that can be named.", no_args_is_help=True)
app.add_typer(fit_app, name="fit")
app.add_typer(experiment_app, name="experiment")
app.add_typer(data_app, name="data")

app.command("reconstruct")(reconstruct)
app.command("limit")(limit)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Options of the program itself."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command("sample")
def sample(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help=f"File to write: {' or '.join(options.SAMPLES)}.")],
    number: Annotated[int, typer.Option("-n", "--number", help="How many points.")] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed, same points.")] = 0,
    from_density: Annotated[
        bool, typer.Option("--from-density", help="Add noise of the density's variance to the centers.")
    ] = False,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Generate points: .csv is a table as the data's, .npz holds them as `samples`, .png shows 100 images, or 2,000 points.

    Images keep their shape and are clipped to [0, 1]. Points of --standardize are back in the data's units, but for .png.
    """
    with errors_in_one_line():
        options.check_number_and_seed(number, seed)
        options.check_output(out, overwrite=overwrite, suffixes=options.SAMPLES)
        import torch

        from contrastive_entropy.evaluation import generate

        opened = Run.open(run)
        suffix, only = out.suffix.lower(), ""
        if suffix == ".csv" and opened.image_shape:
            raise InputError(f"{run} makes images: --out must end in {' or '.join(options.PICTURE_OR_NUMBERS)}")
        points = generate(opened, number, generator=torch.Generator().manual_seed(seed), from_density=from_density)
        if suffix == ".png":
            from contrastive_entropy.report import GRID, SCATTER_POINTS, png_bytes, samples_figure

            content = png_bytes(samples_figure(points, opened.image_shape))
            shown = GRID**2 if opened.image_shape else SCATTER_POINTS
            only = f", of which it shows {shown}" if number > shown else ""
        elif suffix == ".csv":
            content = csv_bytes(opened.schema.decode(points), opened.schema.names)
        else:
            points = opened.schema.decode(points)
            stream = io.BytesIO()
            np.savez(stream, samples=points.reshape(number, *(opened.image_shape or (-1,))).numpy())
            content = stream.getvalue()
        with options.writing(out):
            write_atomically(out, content)
        typer.echo(f"{number} points written to {out}{only}")


@app.command("evaluate")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    seed: Annotated[int, typer.Option(help="Of the generated points.")] = 1,
    from_density: Annotated[
        bool, typer.Option("--from-density", help="Add noise of the density's variance to the centers.")
    ] = False,
    feature_weights: FeatureWeights = None,
) -> None:
    """Compare generated with held-out points: print a table, write evaluation.json and the figures."""
    with errors_in_one_line():
        options.check_seed(seed)
        evaluate_run(Run.open(run), seed=seed, from_density=from_density, feature_weights=feature_weights)


@app.command("evaluate-samples")
def evaluate_samples(
    samples: Annotated[str, typer.Argument(help=f"Samples of any generator. {options.DATA_HELP}")],
    data: Annotated[str, typer.Argument(help=f"What they should look like. {options.DATA_HELP}")],
    variance: options.Variance = None,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    held_out: Annotated[
        float | None, typer.Option(help="Share of a file's points to hold out. \\[default: 0.2]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the samples, of a toy's draw and of a file's split.")] = 0,
    feature_weights: FeatureWeights = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Compare a file of samples, whatever made them, with held-out points: the table that `evaluate` prints of a run.

    Of a file, points are held out here: hold the same ones out of what is trained, or give as DATA a file whose points it has
    not seen; else copies look like good samples. For samples of a run, repeat its --seed and --held-out.
    """
    with errors_in_one_line():
        options.check_output(out, overwrite=overwrite, suffixes=(".json",))
        from contrastive_entropy.evaluation import evaluate_files

        evaluation = evaluate_files(
            samples, data, variance=variance, data_root=data_root, standardize=standardize, held_out=held_out, seed=seed,
            feature_weights=feature_weights,
        )  # fmt: skip
        if out is not None:
            with options.writing(out):
                write_json(out, evaluation.as_dict(fitted=False))
        print_evaluation(evaluation, f"{Path(samples).name} beside {Path(data).name}", fitted=False)
        if out is not None:
            typer.echo(f"wrote {out}")


@app.command("bound")
def bound(
    data: Annotated[str, typer.Argument(help=options.DATA_HELP)],
    against: Annotated[str | None, typer.Option(help="A second data set to compare with: D_CS and MMD.")] = None,
    variance: options.Variance = None,
    fidelity: Annotated[
        bool, typer.Option("--fidelity", help="Also F of the two sets, exact: all of DATA against up to 8,192 points.")
    ] = False,
    batch: Annotated[int, typer.Option(help="Points read at once from either side.")] = 4096,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    seed: Annotated[int, typer.Option(help="Of a toy's draw.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for the figures; an interrupted run continues its sums from beside it."),
    ] = None,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Exact log <p,p> (minus it: Renyi's quadratic entropy) and effective number of points of a whole data set."""
    with errors_in_one_line():
        options.check_output(out, overwrite=overwrite)
        from contrastive_entropy.entropy import measure

        try:
            figures = measure(
                data,
                against,
                variance=variance,
                fidelity=fidelity,
                batch_size=batch,
                data_root=data_root,
                standardize=standardize,
                seed=seed,
                out=out,
            )
        except KeyboardInterrupt:
            how = (
                "the same command continues the sums where they stood"
                if out
                else "give --out FILE.json to be able to continue"
            )
            typer.echo(f"stopped; {how}", err=True)
            raise typer.Exit(130) from None
        print_figures(f"{data}, exact over all pairs", figures, BOUND_MEANINGS)
        if out is not None:
            typer.echo(f"wrote {out}")


@app.command("variance")
def variance(
    data: Annotated[str, typer.Argument(help=options.DATA_HELP)],
    batch: Annotated[
        int,
        typer.Option(
            help="Points of a batch of the objective: the more, the smaller the variance, except for separate modes of few points."
        ),
    ] = 256,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    seed: Annotated[int, typer.Option(help="Of the batches, and of a toy's draw.")] = 0,
    out: Annotated[Path | None, typer.Option(help="PNG file for the curves.")] = None,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Variances that the data suggest, by three methods; `fit mdn` ends near the first one's, `fit autoencoder` below it."""
    with errors_in_one_line():
        options.check_seed(seed)
        options.check_output(out, overwrite=overwrite, suffixes=(".png",))
        from contrastive_entropy.data.load import load, unevenness
        from contrastive_entropy.variance.choice import METHODS, median_pair_variance, select

        dataset = load(data, seed=seed, data_root=data_root, standardize=standardize)
        points = dataset.train.points
        if (uneven := unevenness(dataset)) is not None:
            typer.echo(f"warning: {uneven}", err=True)
        try:
            choices = [select(points, method=method, points=batch, seed=seed) for method in METHODS]
        except ValueError as error:
            raise InputError(f"{data}: {error}") from error
        for choice in choices:
            typer.echo(f"{choice.method:>15}  {choice.reading}")
        scale = median_pair_variance(points)
        typer.echo(
            f"`fit mdn{' --standardize' if standardize else ''}` takes the first: it starts near --variance-start {scale:.4g} and ends near --variance-end {choices[0].variance:.4g}"
        )
        if out is not None:
            from contrastive_entropy.report import png_bytes, variance_figure

            with options.writing(out):
                write_atomically(out, png_bytes(variance_figure(choices)))
            typer.echo(f"wrote {out}")


@app.command("decompose")
def decompose(
    data: Annotated[str, typer.Argument(help=options.DATA_HELP)],
    out: Annotated[Path, typer.Option(help="Folder for scree.png, functions.png and decomposition.npz.")],
    against: Annotated[
        str | None, typer.Option(help="The other side of the operator. \\[default: DATA itself]")
    ] = None,
    variance: options.Variance = None,
    points: Annotated[int, typer.Option(help="Most points of either side, drawn at random.")] = 2000,
    functions: Annotated[int, typer.Option(help="How many functions to show and to write.")] = 12,
    data_root: options.DataRoot = None,
    standardize: options.Standardize = False,
    seed: Annotated[int, typer.Option(help="Of a toy's draw and of the points taken.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Singular values and functions of the Gaussian operator of a data set: what the nuclear norm is made of."""
    with errors_in_one_line():
        from contrastive_entropy.singular import decompose_data

        chosen, paths = decompose_data(
            data, out, against=against, variance=variance, points=points, functions=functions, data_root=data_root,
            standardize=standardize, seed=seed, overwrite=overwrite,
        )  # fmt: skip
        typer.echo(f"variance {chosen:.4g} of the density{', chosen from the data' if variance is None else ''}")
        for path in paths:
            typer.echo(f"wrote {path}")


@data_app.command("list")
def data_list() -> None:
    """Names that `--data` takes."""
    table = Table("name", "points", "what")
    table.add_row("digits", "1297 + 500 held out, 8 x 8", "real handwritten digits (scikit-learn)")
    for name in TOYS:
        dimensions = "1200-D" if name == "modes1200" else "2-D"
        table.add_row(name, f"10000 + 5000 held out, {dimensions}", "toy law, drawn afresh for each seed")
    for name, entry in HUB.items():
        table.add_row(name, entry.description, f"{entry.identifier} on the hub, {entry.cost}, or a copy in --data-root")
    table.add_row(
        STACKED, "60000 + 10000 held out, 28 x 28 colour", "three digits of mnist, one per colour: 1,000 modes"
    )
    Console().print(table)
    assert set(names()) == {"digits", *TOYS, *HUB, STACKED}
    typer.echo("or hub:owner/name, any data set of images on the hub, or a copy of it in --data-root")
    typer.echo("or a path: .npy, .npz, .csv, .parquet with one point per row, or a folder of images of one size")
