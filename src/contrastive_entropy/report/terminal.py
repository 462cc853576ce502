"""Evaluations and figures as tables on a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from contrastive_entropy.metrics.evaluation import Evaluation, Table

HEADINGS = {"reference": "real", "held_out": "held out", "without_x": "without x"}
"""Columns that people know by another name."""

WORDS = ("figure", "goal", "what it says")
"""Columns of words, which stand on the left."""


def show(evaluation: Evaluation, *, settings: Callable[[str], str] = str, console: Console | None = None) -> None:
    """Print tables, headline, notes and diagnoses.

    Args:
        evaluation: of any kind of model.
        settings: turns the names of settings in backticks into what the reader types.
        console: where to; None is standard output.
    """
    console = console or Console()
    for table in evaluation.tables:
        _print(console, table.title, _rich(table))
    console.print(str(evaluation.headline), style="bold", highlight=False, markup=False, soft_wrap=True)
    for note in evaluation.notes:
        console.print(settings(note), highlight=False, markup=False, soft_wrap=True)
    for found in evaluation.diagnoses:
        console.print(Text.assemble(("Diagnosis: ", "bold"), settings(str(found))), soft_wrap=True)
    if not evaluation.diagnoses:
        console.print("No problems found.", highlight=False)


def print_figures(title: str, figures: Mapping[str, Any], meanings: Mapping[str, str]) -> None:
    """A row for every figure that has a meaning."""
    table = new_table("figure", "value", "what it says")
    for name, meaning in meanings.items():
        if name in figures:
            value = figures[name]
            table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.6g}", Text(meaning))
    _print(Console(), title, table)


def new_table(*headings: str) -> RichTable:
    """A table whose numbers are on the right."""
    table = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in WORDS else "right")
    return table


def _rich(table: Table) -> RichTable:
    known = {metric.name: metric for metric in table.metrics}
    columns = [HEADINGS.get(name, name) for name in table.columns]
    shown = new_table("figure", *columns, *(("goal", "what it says") if known else ()))
    for name in table.rows:
        values = [number(column[name]) if name in column else "" for column in table.columns.values()]
        words = (known[name].goal, Text(known[name].says)) if known else ()
        shown.add_row(name, *values, *words)
    return shown


def _print(console: Console, title: str, table: RichTable) -> None:
    """The title may be longer than the table is wide."""
    console.print(title, style="italic", highlight=False, markup=False, soft_wrap=True)
    console.print(table)


def number(value: float) -> str:
    """As many digits as are worth reading."""
    return f"{value:.5f}" if abs(value) < 0.01 else f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
