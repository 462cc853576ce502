"""`contrastive-entropy sample` and `evaluate`: what a run answers, and how good it is."""

import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from contrastive_entropy.cli import options
from contrastive_entropy.cli.report import page_of, pictures_of
from contrastive_entropy.data.frame_files import WRITABLE, frame_bytes
from contrastive_entropy.data.given import pairs_of
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.data.schema import Images, Table
from contrastive_entropy.data.tables import csv_bytes
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import EVALUATION, REPORT, Run
from contrastive_entropy.fitting.settings import check_number_and_seed, check_seed
from contrastive_entropy.models import open_run
from contrastive_entropy.storage import check_output, write_atomically, write_json, writing

PICTURE_OR_NUMBERS = (".npz", ".png")
SAMPLES = (*PICTURE_OR_NUMBERS, ".csv")


def sample(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help=f"File to write: {' or '.join(SAMPLES)}.")],
    number: Annotated[int, typer.Option("-n", "--number", help="How many points.")] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed, same points.")] = 0,
    given: Annotated[
        str | None,
        typer.Option(
            help="Of `fit conditional` and `fit table`: what all are given, NAME=VALUE with commas between. "
            "\\[default: as the data]"
        ),
    ] = None,
    from_density: options.FromDensity = False,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Generate points: .csv is a table as the data's, .npz holds them as `samples`, .png shows 100 images, or 2,000 points.

    Of `fit table`, the file is a table of the data's columns, types and categories: .csv, .tsv, .parquet, .feather or .xlsx.

    Images keep their shape and are clipped to [0, 1]. Points of --standardize are back in the data's units, but for .png.
    Of `fit conditional`, .csv holds what was given, too, and .npz the classes as `labels`, or the columns as `given`.
    """
    check_number_and_seed(number, seed)
    opened = open_run(run)
    if isinstance(opened.schema, MixedTable):
        check_output(out, overwrite=overwrite, suffixes=WRITABLE)
        _write_table(opened, out, number, seed, from_density, values_of(given))
        return
    check_output(out, overwrite=overwrite, suffixes=SAMPLES)
    suffix = out.suffix.lower()
    if suffix == ".csv" and isinstance(opened.schema, Images):
        raise InputError(f"{run} makes images: --out must end in {' or '.join(PICTURE_OR_NUMBERS)}")
    content, only = _content(opened, suffix, number, seed, from_density, values_of(given))
    with writing(out):
        write_atomically(out, content)
    typer.echo(f"{number} points written to {out}{only}")


def _write_table(run: Run, out: Path, number: int, seed: int, from_density: bool, given: dict[str, str] | None) -> None:
    """Rows of `fit table` as a file."""
    points = run.sample(number, seed=seed, from_density=from_density, given=given)
    assert isinstance(run.schema, MixedTable)
    table = run.schema.frame(points, seed=seed)
    with writing(out):
        write_atomically(out, frame_bytes(table, out, header=run.schema.named))
    typer.echo(f"{number} rows written to {out}")


def values_of(text: str | None) -> dict[str, str] | None:
    """NAME=VALUE with commas between, by name.

    Raises:
        InputError: not of that form, or a name twice.
    """
    if text is None:
        return None
    return pairs_of(text, "given", "VALUE")


def _content(
    run: Run, suffix: str, number: int, seed: int, from_density: bool, values: dict[str, str] | None
) -> tuple[bytes, str]:
    """The file's bytes, and what is to be said of them."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    given = run.conditions(number, generator=generator, values=values)
    points = run.generate(number, generator=generator, from_density=from_density, given=given)
    if suffix == ".png":
        from contrastive_entropy.report.drawing import GRID, SCATTER_POINTS, png_bytes, samples_figure

        shown = GRID**2 if isinstance(run.schema, Images) else SCATTER_POINTS
        only = f", of which it shows {shown}" if number > shown else ""
        return png_bytes(samples_figure(points, run.schema)), only
    points, schema = run.schema.decode(points), run.given_schema
    given = given if given is None or schema is None else schema.decode(given)
    names = list(run.schema.names or ()) if isinstance(run.schema, Table) else []
    if suffix == ".csv":
        if given is not None and schema is not None:
            dtype = torch.promote_types(given.dtype, points.dtype)
            points = torch.cat([given.to(dtype), points.to(dtype)], 1)
            names = [column.name for column in schema.columns] + (names or ["y"] * (len(points[0]) - schema.dimension))
        return csv_bytes(points, tuple(names) or None), ""
    shape = run.schema.shape if isinstance(run.schema, Images) else (-1,)
    arrays = {"samples": points.reshape(number, *shape).numpy()}
    if given is not None and schema is not None:
        classes = bool(schema.columns[0].levels)
        arrays["labels" if classes else "given"] = (given[:, 0].long() if classes else given).numpy()
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue(), ""


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    seed: Annotated[int, typer.Option(help="Of the generated points.")] = 1,
    from_density: options.FromDensity = False,
    feature_weights: options.FeatureWeights = None,
    features: options.Features = True,
) -> None:
    """Compare generated with held-out points: print a table, write evaluation.json, the figures and report.html."""
    check_seed(seed)
    asked = options.asked_of_kind(from_density, feature_weights, features)
    evaluate_run(open_run(run), seed=seed, **asked)


def evaluate_run(run: Run, *, seed: int, **asked: Any) -> None:
    """Print the tables, write evaluation.json, the figures and report.html.

    Raises:
        InputError: training has not finished, the data are gone or the folder cannot be written, or what was asked is not
            for this kind of model.
    """
    from contrastive_entropy.report import terminal

    dataset = run.dataset()
    evaluation = run.kind.evaluate(run, dataset, seed=seed, **asked)
    try:
        write_json(run.folder / EVALUATION, evaluation.as_dict())
        pictures = pictures_of(run, dataset, evaluation)
        for name, png in pictures.items():
            write_atomically(run.folder / name, png)
        write_atomically(run.folder / REPORT, page_of(run, dataset, evaluation, pictures))
    except OSError as error:
        raise InputError(f"cannot use {error.filename or run.folder} ({error.strerror})") from error
    terminal.show(evaluation, settings=options.with_flags)
    for name in (*pictures, EVALUATION, REPORT):
        typer.echo(f"wrote {run.folder / name}")
