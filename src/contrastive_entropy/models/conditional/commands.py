"""`contrastive-entropy predict`: what a conditional density says of new rows."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.models.conditional.predicting import predictions_of, rows_of
from contrastive_entropy.storage import check_output, write_atomically, writing


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder of `fit conditional`.")],
    given: Annotated[
        Path, typer.Option(help="Rows to predict: a table (.csv, .parquet ...) with the columns of x by name.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv, a row for every row of --given.")],
    quantiles: Annotated[str, typer.Option(help="Levels, with commas between.")] = "0.05,0.25,0.5,0.75,0.95",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Predict the law of the target for new rows: mean, deviation and quantiles of each target column."""
    from contrastive_entropy.models.conditional import CONDITIONAL

    check_output(out, overwrite=overwrite, suffixes=(".csv",))
    opened = Run.open(run, [CONDITIONAL])
    if opened.plan.model.levels:
        raise InputError(f"{run} makes images of a class, and predicts no columns: draw them with `sample`")
    try:
        levels = [float(part) for part in quantiles.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(0 < level < 1 for level in levels):
        raise InputError(f"`quantiles` must be numbers between 0 and 1 with commas between, got {quantiles!r}")
    table = predictions_of(opened, rows_of(opened, given), torch.tensor(levels, dtype=torch.float64))
    with writing(out):
        write_atomically(out, table.to_csv(index=False).encode())
    typer.echo(f"{len(table)} predictions written to {out}")
