"""The command line: `fit`, `sample`, `evaluate`, `report`, `bound`, `variance`, `decompose`, `experiment`, `data list`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from contrastive_entropy.cli import analysis, report, run
from contrastive_entropy.cli.experiment import experiment_app
from contrastive_entropy.cli.fit import fit_app
from contrastive_entropy.cli.options import in_one_line, reading_images
from contrastive_entropy.data.hub import HUB
from contrastive_entropy.data.laws import LAWS, ROWS
from contrastive_entropy.data.load import STACKED, names
from contrastive_entropy.data.toys import TOYS
from contrastive_entropy.models import KINDS
from contrastive_entropy.version import VERSION

app = typer.Typer(
    help="Train generators and autoencoders with Hilbert-space entropy bounds, and say how far they are from the best fit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="The data sets that can be named.", no_args_is_help=True)
app.add_typer(fit_app, name="fit")
app.command("sample")(in_one_line(run.sample))
app.command("evaluate")(in_one_line(run.evaluate))
app.command("report")(in_one_line(report.report))
for _kind in KINDS:
    for _name, _command in _kind.commands().items():
        app.command(_name)(in_one_line(_command))
app.command("evaluate-samples")(in_one_line(reading_images(analysis.evaluate_samples)))
app.command("bound")(in_one_line(reading_images(analysis.bound)))
app.command("variance")(in_one_line(reading_images(analysis.variance)))
app.command("decompose")(in_one_line(reading_images(analysis.decompose)))
app.add_typer(experiment_app, name="experiment")
app.add_typer(data_app, name="data")


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Options of the program itself."""
    if version:
        typer.echo(VERSION)
        raise typer.Exit


@data_app.command("list")
def data_list() -> None:
    """Names that `--data` takes."""
    table = Table("name", "points", "what")
    table.add_row("digits", "1297 + 500 held out, 8 x 8", "real handwritten digits (scikit-learn)")
    for name in TOYS:
        dimensions = "1200-D" if name == "modes1200" else "2-D"
        table.add_row(name, f"10000 + 5000 held out, {dimensions}", "toy law, drawn afresh for each seed")
    for name, law in LAWS.items():
        table.add_row(name, f"{ROWS[0]} + {ROWS[1]} held out, y last", f"for fit conditional: {law.says}")
    for name, entry in HUB.items():
        table.add_row(name, entry.description, f"{entry.identifier} on the hub, {entry.cost}, or a copy in --data-root")
    table.add_row(
        STACKED, "60000 + 10000 held out, 28 x 28 colour", "three digits of mnist, one per colour: 1,000 modes"
    )
    Console().print(table)
    assert set(names()) == {"digits", *TOYS, *LAWS, *HUB, STACKED}
    typer.echo("or hub:owner/name, any data set of images on the hub, or a copy of it in --data-root")
    typer.echo(
        "or a path: .npy, .npz, .csv, .tsv, .txt (also .gz ...), .parquet, .feather, .xlsx with one point per row, or a folder of images"
    )
