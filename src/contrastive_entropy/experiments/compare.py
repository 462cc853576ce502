"""Every objective side by side, and its peers: the same network, steps, batches and learning rates for all."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.experiments.comparison import Comparison, contender
from contrastive_entropy.experiments.journal import Clock, markdown, mean_and_error, over_seeds, write_result
from contrastive_entropy.experiments.settings import CompareSettings, recorded
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.settings import refuse_useless
from contrastive_entropy.report.drawing import (
    DATA_COLOR,
    MODEL_COLOR,
    draw_points,
    draw_sheet,
    png_bytes,
    principal_axes,
)
from contrastive_entropy.storage import write_atomically

SHEET = 8
"""Images per row of a sheet."""

MEANINGS = {
    "frechet": "low",
    "kernel": "low",
    "energy": "low",
    "precision": "high",
    "recall": "high",
    "density": "high",
    "coverage": "high",
    "memorization": ".5",
    "smallest_class": "even",
    "largest_class": "even",
}
"""Columns of the table, and where they should go."""


def run(settings: CompareSettings, folder: Path) -> dict[str, Any]:
    """Train and evaluate what is missing, then write compare.json and compare.png.

    Args:
        settings: of the experiment.
        folder: of the experiment; the runs of all contenders and seeds are in `runs/`.

    Returns:
        The settings, and rows: one per contender with the figures of every seed, and what real points reach.

    Raises:
        InputError: an unknown contender, data or a folder that cannot be used, or a signal stopped it.
    """
    contenders = [contender(name) for name in settings.contenders]
    if not any(choice.objective.sees_variance for choice in contenders):
        looks = {name: getattr(settings.fit, name) for name in ("coarse_every", "fine_every")}
        given = {name: value for name, value in looks.items() if value is not None}
        refuse_useless(given, dict.fromkeys(given, "none of the contenders sees the variance"))
    clock = Clock(folder)
    runs = len(contenders) * len(settings.seeds)
    comparison = Comparison(settings, folder, clock, expected=runs)
    dataset, space = comparison.dataset, comparison.judge.space
    rows: list[dict[str, Any]] = []
    samples: list[tuple[str, Tensor]] = [("held out", dataset.held_out.points)]
    asked = recorded(settings)
    shared = {**dataclasses.asdict(settings.fit), **_decided(comparison.plan), "data_root": None}
    found = {"fit": shared, "space": space.name, "space_digest": space.digest, "real": comparison.real, "rows": rows}
    for name, choice in zip(settings.contenders, contenders, strict=True):
        fits = [comparison.settings(choice, seed=seed) for seed in settings.seeds]
        rows.append({"contender": name, "runs": [comparison.run(name, fit) for fit in fits]})
        samples.append((name, comparison.samples(name, fits[0], 2000)[0]))
        write_result(folder / "compare.json", asked, list(settings.seeds), clock, found)
        write_atomically(folder / "compare.png", png_bytes(figure(samples, dataset)))
    return {"config": asked, **found}


def _decided(plan: Plan) -> dict[str, Any]:
    """What all runs share that was not asked for."""
    return {
        "variance_start": plan.variance.start,
        "variance_end": plan.variance.end,
        "learning_rate": plan.learning_rate,
        "noise_dimension": plan.model.noise_dimension,
        "principal_components": plan.model.principal_components,
    }


def figure(samples: list[tuple[str, Tensor]], dataset: Dataset) -> Figure:
    """A sheet of images, or a scatter, per contender, beside held-out points."""
    columns = min(5, len(samples))
    rows = -(-len(samples) // columns)
    result = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(result)
    axes = result.subplots(rows, columns, squeeze=False).flatten()
    basis = None if dataset.image_shape else principal_axes(dataset.held_out.points)
    for axis in axes[len(samples) :]:
        axis.set_axis_off()
    for axis, (name, points) in zip(axes, samples, strict=False):
        axis.set_title(name, fontsize=9)
        axis.set(xticks=[], yticks=[])
        if dataset.image_shape is not None:
            draw_sheet(axis, points[: SHEET**2], dataset.image_shape, columns=SHEET)
        else:
            assert basis is not None
            color = DATA_COLOR if name == "held out" else MODEL_COLOR
            draw_points(axis, points[:2000], basis, color)
            if axis is not axes[0]:
                axis.set(xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())
    return result


def table(*results: dict[str, Any]) -> str:
    """The markdown table of results, the lowest Frechet distance first.

    Of several, a row names the settings that they do not share, and the real points are the first's.
    """
    real = results[0]["real"]
    names = [name for name in MEANINGS if name in real]
    goals = [f"{name.replace('_', ' ')} ({MEANINGS[name]})" for name in names]
    rows = []

    def shown(values: list[float]) -> str:
        return over_seeds(values, digits=3 if abs(mean_and_error(values)[0]) < 10 else 1)

    def frechet(row: dict[str, Any]) -> float:
        return mean_and_error([run["figures"]["frechet"] for run in row["runs"]])[0]

    labelled = [(row, _differences(found, results)) for found in results for row in found["rows"]]
    for row, label in sorted(labelled, key=lambda pair: frechet(pair[0])):
        cells = [shown([run["figures"][name] for run in row["runs"]]) for name in names]
        milliseconds = mean_and_error([run["step_milliseconds"] for run in row["runs"]])[0]
        rows.append([row["contender"] + label, *cells, f"{milliseconds:.1f}"])
    rows.append(["real points", *(f"{real[name]:.3f}" for name in names), ""])
    return markdown(["", *goals, "ms a step"], rows)


def _differences(found: dict[str, Any], results: tuple[dict[str, Any], ...]) -> str:
    """Settings in which results differ, as this one's fits have them, with a comma before each."""

    def used(result: dict[str, Any], name: str) -> Any:
        asked = result["config"].get(name)
        return result["fit"].get(name) if asked is None else asked

    def same(a: Any, b: Any) -> bool:
        """But for what another machine's rounding makes of a value that was chosen from the data."""
        return bool(a == b) or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b))

    labels = []
    for name in (name for name in found["config"] if name not in ("contenders", "seeds", "data_root")):
        own, known = used(found, name), [result for result in results if name in result["config"]]
        if own is not None and not all(same(own, used(result, name)) for result in known):
            labels.append(f", {name.replace('_', ' ')} {own}")
    return "".join(labels)


def reading(found: dict[str, Any]) -> str:
    """A paragraph on what was found, from the rows alone."""
    means = {
        row["contender"]: mean_and_error([run["figures"]["frechet"] for run in row["runs"]]) for row in found["rows"]
    }
    seeds = len(found["rows"][0]["runs"])

    def shown(name: str) -> str:
        mean, error = means[name]
        return f"{mean:.3g} +- {error:.2g}" if seeds > 1 else f"{mean:.3g} (one seed)"

    order = sorted(means, key=lambda name: means[name][0])
    recalls = {
        row["contender"]: mean_and_error([run["figures"]["recall"] for run in row["runs"]])[0] for row in found["rows"]
    }
    parts = [
        f"The lowest Frechet distance, {shown(order[0])}, is {order[0]}'s",
        f", before {order[1]}'s {shown(order[1])}" if len(order) > 1 else "",
        f"; real points have {found['real']['frechet']:.3g}, in {found['space']}. ",
        f"The highest recall is {max(recalls, key=lambda name: recalls[name])}'s, {max(recalls.values()):.3f}.",
    ]
    return "".join(parts)
