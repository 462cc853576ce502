"""`contrastive-entropy evaluate-samples`, `bound`, `variance` and `decompose`: of whole data sets, without a run."""

from pathlib import Path
from typing import Annotated

import typer

from contrastive_entropy.cli import options
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.settings import check_seed
from contrastive_entropy.report import terminal
from contrastive_entropy.storage import check_output, write_atomically, write_json, writing


def evaluate_samples(
    samples: Annotated[str, typer.Argument(help=f"Samples of any generator. {options.DATA_HELP}")],
    data: Annotated[str, typer.Argument(help=f"What they should look like. {options.DATA_HELP}")],
    training: Annotated[
        str | None,
        typer.Option(help="What the samples were made from; all of DATA is then held out, and copies are looked for."),
    ] = None,
    variance: options.Variance = None,
    data_root: options.DataRoot = None,
    header: options.Header = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: options.Standardize = False,
    held_out: Annotated[
        float | None, typer.Option(help="Share of a file's points to hold out. \\[default: 0.2]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the samples, of a toy's draw and of a file's split.")] = 0,
    feature_weights: options.FeatureWeights = None,
    features: options.Features = True,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Compare a file of samples, whatever made them, with held-out points: the table that `evaluate` prints of a run.

    Give what the samples were made from as --training, and as DATA points that it has not seen: only then copies are told
    from good samples. Without it, a part of DATA is held out here. Tables may hold text, dates and missing values.
    """
    check_output(out, overwrite=overwrite, suffixes=(".json",))
    from contrastive_entropy.analysis.samples import evaluate_files

    evaluation = evaluate_files(
        samples, data, training=training, variance=variance, data_root=data_root, header=header, reading=reading,
        standardize=standardize, held_out=held_out, seed=seed, feature_weights=feature_weights, features=features,
    )  # fmt: skip
    if out is not None:
        with writing(out):
            write_json(out, evaluation.as_dict())
    terminal.show(evaluation, settings=options.with_flags)
    if out is not None:
        typer.echo(f"wrote {out}")


def bound(
    data: Annotated[str, typer.Argument(help=options.DATA_HELP)],
    against: Annotated[str | None, typer.Option(help="A second data set to compare with: D_CS and MMD.")] = None,
    variance: options.Variance = None,
    fidelity: Annotated[
        bool, typer.Option("--fidelity", help="Also F of the two sets, exact: all of DATA against up to 8,192 points.")
    ] = False,
    batch: Annotated[int, typer.Option(help="Points read at once from either side.")] = 4096,
    data_root: options.DataRoot = None,
    header: options.Header = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: options.Standardize = False,
    seed: Annotated[int, typer.Option(help="Of a toy's draw.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for the figures; an interrupted run continues its sums from beside it."),
    ] = None,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Exact log <p,p> (minus it: Renyi's quadratic entropy) and effective number of points of a whole data set."""
    check_output(out, overwrite=overwrite)
    from contrastive_entropy.analysis.entropy import MEANINGS, measure

    try:
        figures = measure(
            data,
            against,
            variance=variance,
            fidelity=fidelity,
            batch_size=batch,
            data_root=data_root,
            header=header,
            reading=reading,
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
    terminal.print_figures(f"{data}, exact over all pairs", figures, MEANINGS)
    if out is not None:
        typer.echo(f"wrote {out}")


def variance(
    data: Annotated[str, typer.Argument(help=options.DATA_HELP)],
    batch: Annotated[
        int,
        typer.Option(
            help="Points of a batch of the objective: the more, the smaller the variance, except for separate modes of few points."
        ),
    ] = 256,
    data_root: options.DataRoot = None,
    header: options.Header = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: options.Standardize = False,
    seed: Annotated[int, typer.Option(help="Of the batches, and of a toy's draw.")] = 0,
    out: Annotated[Path | None, typer.Option(help="PNG file for the curves.")] = None,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Variances that the data suggest, by three methods; `fit generator` ends near the first one's, `fit autoencoder` below it."""
    check_seed(seed)
    check_output(out, overwrite=overwrite, suffixes=(".png",))
    from contrastive_entropy.data.load import load
    from contrastive_entropy.data.scales import unevenness
    from contrastive_entropy.variance import METHODS, median_pair_variance, select

    dataset = load(data, seed=seed, data_root=data_root, standardize=standardize, header=header, images=reading)
    points = dataset.train.points
    if (uneven := unevenness(dataset)) is not None:
        typer.echo(f"warning: {options.with_flags(uneven)}", err=True)
    try:
        choices = [select(points, method=method, points=batch, seed=seed) for method in METHODS]
    except ValueError as error:
        raise InputError(f"{data}: {error}") from error
    for choice in choices:
        typer.echo(f"{choice.method:>15}  {choice.reading}")
    scale = median_pair_variance(points)
    typer.echo(
        f"`fit generator{' --standardize' if standardize else ''}` takes the first: it starts near --variance-start {scale:.4g} and ends near --variance-end {choices[0].variance:.4g}"
    )
    if out is not None:
        from contrastive_entropy.report.drawing import png_bytes
        from contrastive_entropy.report.spectra import variance_figure

        with writing(out):
            write_atomically(out, png_bytes(variance_figure(choices)))
        typer.echo(f"wrote {out}")


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
    header: options.Header = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: options.Standardize = False,
    seed: Annotated[int, typer.Option(help="Of a toy's draw and of the points taken.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Singular values and functions of the Gaussian operator of a data set: what the nuclear norm is made of."""
    from contrastive_entropy.analysis.functions import decompose_data

    chosen, paths = decompose_data(
        data, out, against=against, variance=variance, points=points, functions=functions, data_root=data_root,
        header=header, reading=reading, standardize=standardize, seed=seed, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(f"variance {chosen:.4g} of the density{', chosen from the data' if variance is None else ''}")
    for path in paths:
        typer.echo(f"wrote {path}")
