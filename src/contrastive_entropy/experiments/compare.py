"""Every objective side by side, and its peers: the same network, steps, batches and learning rates for all."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.arena import Arena
from contrastive_entropy.experiments.contenders import PEERS, Contender
from contrastive_entropy.experiments.record import (
    Clock,
    markdown,
    mean_and_error,
    over_seeds,
    write_result,
)
from contrastive_entropy.experiments.settings import CompareConfig
from contrastive_entropy.report import DATA_COLOR, MODEL_COLOR, draw_points, draw_sheet, png_bytes, principal_axes
from contrastive_entropy.runs import write_atomically

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


def run(config: CompareConfig, folder: Path) -> dict[str, Any]:
    """Train and evaluate what is missing, then write compare.json and compare.png.

    Args:
        config: settings.
        folder: of the experiment; one file of figures and one of weights per contender and seed are in `runs/`.

    Returns:
        The settings, and rows: one per contender with the figures of every seed, and what real points reach.

    Raises:
        InputError: an unknown contender, data or a folder that cannot be used, or a signal stopped it.
    """
    if all(name.partition(":")[0] in PEERS for name in config.contenders):
        for setting in ("coarse_every", "fine_every"):
            if getattr(config, setting) is not None:
                flag = "--" + setting.replace("_", "-")
                raise InputError(f"{flag} would be ignored: none of --contenders sees the variance; leave it out")
    clock = Clock(folder)
    arena = Arena(config, folder, clock, expected=len(config.contenders) * len(config.seeds))
    base, dataset, space = arena.base, arena.dataset, arena.space
    contenders = [Contender.named(name, arena.variance_start) for name in config.contenders]
    losses = [contender.loss() for contender in contenders]
    rows: list[dict[str, Any]] = []
    samples: list[tuple[str, Tensor]] = [("held out", dataset.held_out.points)]
    settings = dataclasses.asdict(config)
    shared = dataclasses.asdict(dataclasses.replace(base, data=config.data, data_root=None))
    found = {"fit": shared, "space": space.name, "space_digest": space.digest, "real": arena.real, "rows": rows}
    for contender, loss in zip(contenders, losses, strict=True):
        fits = [dataclasses.replace(contender.settings(base), seed=seed) for seed in config.seeds]
        rows.append({"contender": contender.name, "runs": [arena.run(contender.name, loss, fit) for fit in fits]})
        samples.append((contender.name, arena.samples(contender.name, fits[0], 2000)[0]))
        write_result(folder / "compare.json", settings, list(config.seeds), clock, found)
        write_atomically(folder / "compare.png", png_bytes(figure(samples, dataset)))
    return {"config": settings, **found}


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
