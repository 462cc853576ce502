"""`contrastive-entropy report`: one page that says how good a run is, and shows it."""

import dataclasses
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contrastive_entropy.cli import options
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Images, Schema
from contrastive_entropy.fitting.run import CONFIG, REPORT, WEIGHTS, Run
from contrastive_entropy.fitting.settings import changed, check_seed, settings_of
from contrastive_entropy.metrics.evaluation import Evaluation, Listing
from contrastive_entropy.models import open_run
from contrastive_entropy.storage import check_output, read_json, write_atomically, writing
from contrastive_entropy.version import VERSION

if TYPE_CHECKING:
    from contrastive_entropy.report.html import Facts, Picture

NEIGHBORS = "neighbors.png"
"""A kind whose pictures have this name shows nearest training images itself."""

NAMED = 30
"""Columns whose names are listed, at most."""


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help=f"File to write, .html. \\[default: {REPORT} in the run folder, replaced]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the generated points.")] = 1,
    from_density: options.FromDensity = False,
    feature_weights: options.FeatureWeights = None,
    features: options.Features = True,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Write one page of HTML: what was found, all figures beside real data, all pictures, and how to repeat the run.

    It needs no other file, no network and no script, and can be sent and printed. `fit` and `evaluate` write it, too.
    """
    check_seed(seed)
    check_output(out, overwrite=overwrite, suffixes=(".html",))
    opened = open_run(run)
    asked = options.asked_of_kind(from_density, feature_weights, features)
    dataset = opened.dataset()
    evaluation = opened.kind.evaluate(opened, dataset, seed=seed, **asked)
    pictures = pictures_of(opened, dataset, evaluation)
    target = opened.folder / REPORT if out is None else out
    with writing(target):
        write_atomically(target, page_of(opened, dataset, evaluation, pictures))
    typer.echo(f"wrote {target}")


def pictures_of(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, bytes]:
    """The pictures of a run as PNG files, by file name."""
    from contrastive_entropy.report.drawing import png_bytes

    return {name: png_bytes(figure) for name, figure in run.kind.figures(run, dataset, evaluation).items()}


def page_of(run: Run, dataset: Dataset, evaluation: Evaluation, pictures: Mapping[str, bytes]) -> bytes:
    """The page of a run.

    Args:
        run: finished.
        dataset: of the run.
        evaluation: of the run.
        pictures: PNG files by name.
    """
    from contrastive_entropy.report.html import Picture, page

    captions = run.kind.captions
    shown = [Picture(png, captions.get(name, _plain(name))) for name, png in pictures.items()]
    if NEIGHBORS not in pictures and dataset.image_shape is not None and run.kind.invents:
        shown.insert(1, _neighbors(run, dataset, dataset.image_shape))
    sections = () if run.kind.sections is None else run.kind.sections(run, dataset, evaluation)
    title = f"{run.kind.name.capitalize()} fitted to {Path(run.settings.data).name}"
    facts = _facts(run, dataset, evaluation)
    return page(evaluation, shown, title=title, facts=facts, sections=sections, settings=options.with_flags)


def _plain(name: str) -> str:
    """What stands for a caption that a kind does not give."""
    return f"{Path(name).stem.replace('_', ' ').capitalize()}."


def _neighbors(run: Run, dataset: Dataset, shape: tuple[int, int, int]) -> "Picture":
    """Some samples beside the training images nearest to them."""
    import torch

    from contrastive_entropy.report.drawing import png_bytes
    from contrastive_entropy.report.html import Picture
    from contrastive_entropy.report.neighbors import NEIGHBORS_SAY, SHOWN, neighbors_figure

    generator = torch.Generator().manual_seed(0)
    samples = run.kind.sample(run.network(), lambda: dataset, SHOWN, generator=generator)
    return Picture(png_bytes(neighbors_figure(samples, dataset.train.points, shape)), NEIGHBORS_SAY)


def _facts(run: Run, dataset: Dataset, evaluation: Evaluation) -> "Facts":
    """What the run is, and the commands that repeat it."""
    from contrastive_entropy.report.html import Facts

    plan = run.plan
    values = {
        "kind": f"{run.kind.name}: {run.kind.says[:1].lower()}{run.kind.says[1:]}",
        "data": run.settings.data,
        "what is learnt": _shape(dataset.schema),
        "rows": f"{len(dataset.train):,} to train on, {len(dataset.held_out):,} held out",
        "given": "" if run.given_schema is None else ", ".join(column.name for column in run.given_schema.columns),
        "objective": plan.objective,
        "steps": f"{plan.steps:,}, of {plan.rows:,} rows each",
        "seed": str(plan.seed),
        "trained": _time(run),
        "version": _version(run),
    }
    folder = shlex.quote(str(run.folder))
    listings = [
        Listing("All settings", ("setting", "value"), _settings(run)),
        Listing("What was decided", ("what", "value"), _decided(dataclasses.asdict(plan))),
        Listing("What the figures were computed from", ("what", "value"), _decided(evaluation.settings)),
    ]
    return Facts(
        {name: value for name, value in values.items() if value},
        (fit_command(run), f"contrastive-entropy evaluate {folder}"),
        listings,
    )


def _shape(schema: Schema) -> str:
    """What the points are."""
    if isinstance(schema, Images):
        colours = {1: "gray", 3: "in colour"}.get(schema.channels, f"of {schema.channels} channels")
        return f"images of {schema.height} x {schema.width} pixels, {colours}"
    if schema.names and schema.dimension <= NAMED:
        count = ", ".join(schema.names)
    else:
        count = "1 column" if schema.dimension == 1 else f"{schema.dimension} columns"
    return f"{count}, standardized" if schema.standardized else count


def fit_command(run: Run) -> str:
    """The command that trains this run again."""
    parts = ["contrastive-entropy", "fit", run.kind.name]
    for name, value in {"data": run.settings.data, **changed(run.settings), **changed(run.machine)}.items():
        flag = options.flag(name)
        if isinstance(value, bool):
            parts.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            parts += [flag, str(value)]
    return shlex.join([*parts, "--out", str(run.folder)])


def _settings(run: Run) -> list[tuple[str, str]]:
    """All settings as they were asked, each with what it is."""
    given = changed(run.settings)
    rows = []
    for setting in settings_of(type(run.settings)):
        value = getattr(run.settings, setting.name)
        text = setting.option.chosen or "none" if value is None else str(value)
        says = options.with_flags(" ".join(setting.option.says.split()))
        rows.append((f"{setting.name}\n{says}", text if setting.name in given else f"{text} (default)"))
    return rows


def _decided(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Values by name, those of parts after the part's name."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += _decided(value, f"{label}: ")
        else:
            rows.append((label, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return rows


def _time(run: Run) -> str:
    """When the training ended, and how long after its start, by the dates of the files."""
    began, ended = ((run.folder / name).stat().st_mtime for name in (CONFIG, WEIGHTS))
    when = f"{datetime.fromtimestamp(ended, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{when}, {ended - began:,.0f} s after it was begun" if ended > began else when


def _version(run: Run) -> str:
    """Of the program that trained, and that wrote the page."""
    trained = (read_json(run.folder / CONFIG) or {}).get("version", VERSION)
    return VERSION if trained == VERSION else f"{trained} trained it, {VERSION} wrote this page"
