"""`contrastive-entropy impute`: missing cells of a table, drawn given what is known of their rows."""

from pathlib import Path
from typing import Annotated

import typer

from contrastive_entropy.data.frame_files import WRITABLE, frame_bytes
from contrastive_entropy.data.frames import read_frame
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import check_seed
from contrastive_entropy.models.table.imputing import best_guess, imputations
from contrastive_entropy.storage import check_output, write_atomically, writing


def impute(
    run: Annotated[Path, typer.Argument(help="Run folder of `fit table`.")],
    data: Annotated[Path, typer.Argument(help="A table with the same columns and empty cells.")],
    out: Annotated[Path, typer.Option(help="File to write, a table: .csv, .parquet ...")],
    draws: Annotated[
        int | None,
        typer.Option(
            help="So many completed tables below each other, numbered in a column draw. \\[default: one, of best values]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same values.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Fill the empty cells of a table: with the best value of each, or with draws whose spread is what is not known."""
    from contrastive_entropy.models.table import TABLE

    check_seed(seed)
    check_output(out, overwrite=overwrite, suffixes=WRITABLE)
    opened = Run.open(run, [TABLE])
    network = opened.network()
    read = read_frame(data, header=opened.settings.header)
    table = read.table.rename(columns=str)
    try:
        if draws is None:
            filled = best_guess(network, table)
        else:
            import pandas as pd

            tables = imputations(network, table, draws, seed=seed)
            filled = pd.concat([one.assign(draw=number) for number, one in enumerate(tables)], ignore_index=True)
    except InputError as error:
        raise InputError(f"{data}: {error}") from error
    with writing(out):
        write_atomically(out, frame_bytes(filled, out, header=read.named))
    learnt = [column.name for column in network.schema.mixed if column.learnt]
    typer.echo(f"{int(table[learnt].isna().to_numpy().sum()):,} empty cells filled, written to {out}")
