"""Samples made of a class: is the class right, are they varied, how tight is every class, beside the energy score."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import image_shape_of
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.comparison import Judge
from contrastive_entropy.experiments.journal import (
    Clock,
    finished_run,
    kept,
    markdown,
    mean_and_error,
    over_seeds,
    training_seconds,
    write_result,
)
from contrastive_entropy.experiments.settings import ClassConditionalSettings, recorded
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import changed
from contrastive_entropy.metrics.evaluation import REFERENCE
from contrastive_entropy.models.conditional import CONDITIONAL
from contrastive_entropy.objectives.catalog import SAMPLING_OBJECTIVES, parse
from contrastive_entropy.report.drawing import draw_sheet, new_figure, png_bytes
from contrastive_entropy.storage import write_atomically

REAL = "real points"
"""Row of training points in the samples' place."""

SHOWN = ("accuracy", "class_tightness", "worst_class", "class_precision", "class_recall")
"""Columns that compare within classes, in the points' own space."""

JUDGED = ("frechet", "precision", "recall")
"""Columns of all classes together, in a classifier's features."""

PER_CLASS = 10
"""Images of each class that are shown."""


def run(settings: ClassConditionalSettings, folder: Path) -> dict[str, Any]:
    """Fit every contender with every seed, then write class-conditional.json and .png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        `rows`: for every contender the figures of every seed; `real`: those of real points; `space`: of features.

    Raises:
        InputError: no such contender, data without classes, a folder cannot be used, or a signal stopped it.
    """
    contenders = [parse(name, SAMPLING_OBJECTIVES, what="contender").spelling for name in settings.contenders]
    clock = Clock(folder)
    fit = dataclasses.replace(settings.fit, seed=settings.seeds[0])
    fit, dataset = trainer.prepare(CONDITIONAL, fit, folder / "space", progress=True)
    if dataset.classes is None:
        raise InputError(f"{fit.data} has no classes")
    judge = Judge(dataset)
    rows, sheets = [], {}
    real: dict[str, float] = {}
    for name in contenders:
        runs = []
        for seed in settings.seeds:
            place = folder / "runs" / f"{name.replace(':', '-')}-{seed}"
            asked = dataclasses.replace(fit, objective=name, seed=seed)
            useless: dict[str, Any] = {option: None for option in changed(asked) if option in asked.useless}
            asked = dataclasses.replace(asked, **useless)
            made = finished_run(CONDITIONAL, asked, place, dataset, clock, label=place.name)
            known = kept(
                place.with_name(f"{place.name}.figures.json"),
                {"settings": dataclasses.asdict(asked), "data": dataset.digest},
                clock,
                partial(_figures, made, dataset, judge),
            )
            runs.append(known["model"])
            real = real or known["real"]
            if name not in sheets:
                sheets[name] = _sheet(made, len(dataset.classes))
        rows.append({"contender": name, "runs": runs})
    real |= _judged(judge.real())
    found = {"rows": rows, "real": real, "space": judge.space.name}
    write_result(folder / "class-conditional.json", recorded(settings), list(settings.seeds), clock, found)
    shape = image_shape_of(dataset.schema)
    assert shape is not None
    held_out = dataset.held_out
    assert held_out.labels is not None
    chosen = [torch.nonzero(held_out.labels == label)[:PER_CLASS, 0] for label in range(len(dataset.classes))]
    sheets = {REAL: held_out.points[torch.cat(chosen)], **sheets}
    write_atomically(folder / "class-conditional.png", png_bytes(figure(sheets, shape)))
    return {**found, "config": recorded(settings)}


def _figures(run: Run, dataset: Dataset, judge: Judge) -> dict[str, Any]:
    """Of a run, and of real points class by class."""
    evaluation = run.kind.evaluate(run, dataset, features=False)
    judged = judge.figures(dataset.schema.decode(evaluation.arrays["generated"]))
    own = evaluation.table("classes")
    return {
        "model": {**_within(own["model"]), **_judged(judged), "seconds": training_seconds(run)},
        "real": _within(own[REFERENCE]),
    }


def _within(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figures[name] for name in SHOWN if name in figures}


def _judged(figures: Mapping[str, float]) -> dict[str, float]:
    return {f"feature_{name}": figures[name] for name in JUDGED}


@torch.no_grad()
def _sheet(run: Run, classes: int) -> Tensor:
    """Some images of every class, in their order."""
    given = torch.arange(classes).repeat_interleave(PER_CLASS).unsqueeze(1).float()
    points: Tensor = run.network().draw(given, generator=torch.Generator().manual_seed(0))
    return points


def figure(sheets: Mapping[str, Tensor], shape: tuple[int, int, int]) -> Figure:
    """A sheet for real points and every contender, a row for each class.

    Args:
        sheets: by name, images (n, d).
        shape: (channels, height, width).
    """
    shown = new_figure(4.2 * len(sheets), 4.4)
    shown.set_layout_engine("constrained", wspace=0.06)
    for axis, (name, points) in zip(shown.subplots(1, len(sheets), squeeze=False)[0], sheets.items(), strict=True):
        draw_sheet(axis, points, shape, columns=PER_CLASS)
        axis.set(title=name.replace("_", " "))
        axis.set_axis_off()
    return shown


def table(found: Mapping[str, Any]) -> str:
    """The markdown table of a result."""
    names = (*SHOWN, *(f"feature_{name}" for name in JUDGED))
    rows = [
        [
            row["contender"].replace("_", " "),
            *(over_seeds([run[name] for run in row["runs"]], digits=3) for name in names),
            f"{mean_and_error([run['seconds'] for run in row['runs']])[0]:.0f}",
        ]
        for row in found["rows"]
    ]
    rows.append([REAL, *(f"{found['real'][name]:.3f}" for name in names), ""])
    return markdown(["", *(name.replace("_", " ") for name in names), "seconds a fit"], rows)


def reading(found: Mapping[str, Any]) -> str:
    """A sentence for every contender, from the rows alone."""
    parts = []
    for row in found["rows"]:
        means = {name: mean_and_error([run[name] for run in row["runs"]])[0] for name in row["runs"][0]}
        parts.append(
            f"{row['contender']}: a classifier finds the class in {means['accuracy']:.1%} of the samples (real "
            f"{found['real']['accuracy']:.1%}), they reach {means['class_recall']:.1%} of the data of their class (real "
            f"{found['real']['class_recall']:.1%}), and class tightness is {means['class_tightness']:.3f}."
        )
    return " ".join(parts)
