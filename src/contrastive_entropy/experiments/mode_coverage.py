"""How many separate modes a generator reaches, how many samples lie on one, and how evenly: the published protocol."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.builtin import stacks
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import STACKED, load
from contrastive_entropy.data.toys import MODES, sample_toy, toy_modes
from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.experiments.journal import (
    Clock,
    finished_run,
    markdown,
    mean_and_error,
    over_seeds,
    training_seconds,
    write_result,
)
from contrastive_entropy.experiments.settings import ModeCoverageSettings, recorded
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.settings import load_for, refuse_useless
from contrastive_entropy.metrics.modes import ModeScores, class_mode_scores, mode_scores
from contrastive_entropy.models.generator import GENERATOR, GeneratorSettings
from contrastive_entropy.report.drawing import (
    DATA_COLOR,
    MODEL_COLOR,
    draw_points,
    draw_sheet,
    png_bytes,
    principal_axes,
)
from contrastive_entropy.spaces.classifier import Classifier
from contrastive_entropy.storage import write_atomically

LAWS: dict[str, dict[str, Any]] = {
    "ring8": {
        "steps": 4000,
        "learning_rate": 2e-3,
        "decay_fraction": 0.8,
        "noise": "uniform",
        "noise_dimension": 1,
        "width": 128,
        "depth": 4,
    },
    "grid25": {
        "steps": 5000,
        "noise": "uniform",
        "noise_dimension": 2,
        "width": 128,
        "depth": 5,
    },
    "modes1200": {
        "steps": 1000,
        "decay_fraction": 0.2,
        "noise": "uniform",
        "noise_dimension": 2,
        "width": 128,
        "depth": 4,
    },
    STACKED: {
        "steps": 3000,
        "learning_rate": 1e-3,
        "decay_fraction": 0.2,
        "width": 512,
        "schedule": "geometric",
        "coarse_every": 0,
    },
}
"""What each law's runs set. The noise has as many dimensions as the modes' arrangement, so that each mode borders on its
neighbours alone; a deep, narrow network crosses from one to the next in little of the noise. Of the first two, the learning
rate falls while the variance does, because borders between modes stay where they are, with the last steps' noise, once no
sample lies on them. The variance is chosen from the data; stacked MNIST has the schedule that its published result had."""

PUBLISHED = {
    "ring8": ("PacGAN4", "7.8", "95.9%", ".07"),
    "grid25": ("PacGAN4", "24.8", "93.6%", ".04"),
    "modes1200": ("VEEGAN", "5.5", "28%", ""),
    STACKED: ("PacGAN2", "1000", "", ".06"),
}
"""Modes, high quality and reverse KL as reported (arXiv 1712.04086, 1705.07761); of the 1,200 dimensions' law their texts
give too little to repeat it exactly."""


def run(settings: ModeCoverageSettings, folder: Path) -> dict[str, Any]:
    """Train what is missing, then write mode-coverage.json and mode-coverage.png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        The rows: one per law, with the scores of every seed.

    Raises:
        InputError: a law without modes, a folder that cannot be used, or a signal stopped it.
    """
    if STACKED not in settings.laws and settings.data_root is not None:
        refuse_useless({"data_root": settings.data_root}, {"data_root": f"only {STACKED} reads a copy"})
    clock, machine = Clock(folder), Machine(precision=settings.precision)
    judges = {law: judge(law, settings) for law in settings.laws}
    rows: list[dict[str, Any]] = []
    pictures: list[tuple[Dataset, Tensor, Tensor]] = []
    asked = {law: settings_of(law, settings) for law in settings.laws}
    for law, judged in judges.items():
        scores: dict[str, list[dict[str, float]]] = {"model": [], "real": []}
        seconds = []
        for seed in settings.seeds:
            root = settings.data_root if law == STACKED else None
            fit = GeneratorSettings(law, seed=seed, data_root=root, **asked[law])
            dataset = load_for(fit)
            trained = finished_run(
                GENERATOR, fit, folder / "runs" / f"{law}-seed{seed}", dataset, clock, machine=machine
            )
            seconds.append(training_seconds(trained))
            samples = trained.generate(judged.samples, generator=torch.Generator().manual_seed(seed))
            real = judged.real(2 * seed + 1)  # for the toys, as the held-out part
            for name, points in (("model", samples), ("real", real)):
                scores[name].append(dataclasses.asdict(judged.scores(points)))
            if seed == settings.seeds[0]:
                pictures.append((dataset, real, samples))
        rows.append({"law": law, **judged.description, "seconds": seconds, **scores})
        found = {"settings": asked, "rows": rows}
        write_result(folder / "mode-coverage.json", recorded(settings), list(settings.seeds), clock, found)
    write_atomically(folder / "mode-coverage.png", png_bytes(figure(pictures)))
    return {"rows": rows}


def settings_of(law: str, settings: ModeCoverageSettings) -> dict[str, Any]:
    """What a law's runs set."""
    found = {"objective": settings.objective, **LAWS[law]}
    return found if settings.steps is None else found | {"steps": settings.steps}


@dataclass(frozen=True)
class Judge:
    """How samples of a law are scored.

    Args:
        samples: how many.
        description: number of modes, and the radius or the classifier that tells what lies on one.
        scores: of (n, d) samples.
        real: draws as many real points, by a seed.
    """

    samples: int
    description: dict[str, Any]
    scores: Callable[[Tensor], ModeScores]
    real: Callable[[int], Tensor]


def judge(law: str, settings: ModeCoverageSettings) -> Judge:
    """The published protocol of a law.

    Raises:
        InputError: a law without modes, or MNIST cannot be loaded.
    """
    if law != STACKED:
        if law not in MODES:
            known = (*MODES, STACKED)
            raise InputError(
                f"{law} has no separate modes{suggestion(law, known)}; those that have are {', '.join(known)}"
            )
        modes, radius = toy_modes(law)
        toy = {"modes": len(modes), "radius": radius}
        count = settings.samples or 2500
        return Judge(
            count,
            toy,
            lambda points: mode_scores(points, modes, radius=radius),
            lambda seed: sample_toy(law, count, seed=seed),
        )
    digits = load("mnist", data_root=settings.data_root)
    assert digits.train.labels is not None
    assert digits.held_out.labels is not None
    classifier = Classifier(digits.train.points, digits.train.labels, epochs=10)
    kinds = len(classifier.classes)

    def scores(points: Tensor) -> ModeScores:
        hundreds, tens, ones = classifier.positions(points.reshape(-1, digits.dimension)).reshape(-1, 3).T
        return class_mode_scores((hundreds * kinds + tens) * kinds + ones, modes=kinds**3)

    accuracy = classifier.accuracy(digits.held_out.points, digits.held_out.labels)
    description = {
        "modes": kinds**3,
        "classifier": f"{classifier.name}, accuracy {accuracy:.3f}",
        "classifier_digest": classifier.digest,
    }
    count = settings.samples or 26_000

    def real(seed: int) -> Tensor:
        """Of held-out digits, which the classifier has not seen."""
        return stacks(digits.held_out.points, count, torch.Generator().manual_seed(seed))

    return Judge(count, description, scores, real)


def figure(pictures: list[tuple[Dataset, Tensor, Tensor]]) -> Figure:
    """Held-out points and samples of the first seed; in many dimensions along their two principal axes."""
    result = Figure(figsize=(4 * len(pictures), 8), layout="constrained")
    FigureCanvasAgg(result)
    grid = result.subplots(2, len(pictures), squeeze=False)
    for column, (dataset, real, samples) in enumerate(pictures):
        basis = None if dataset.image_shape else principal_axes(real)
        for axis, points, color, title in (
            (grid[0, column], real, DATA_COLOR, f"{dataset.name}: real"),
            (grid[1, column], samples, MODEL_COLOR, "generated"),
        ):
            if basis is None:
                assert dataset.image_shape is not None
                draw_sheet(axis, points[:64], dataset.image_shape, columns=8)
                axis.set(title=title, xticks=[], yticks=[])
                continue
            draw_points(axis, points, basis, color)
            axis.set(
                title=title, xticks=[], yticks=[], xlim=grid[0, column].get_xlim(), ylim=grid[0, column].get_ylim()
            )
    return result


def table(found: dict[str, Any]) -> str:
    """The markdown table of a result."""
    headings = (
        "law",
        "modes",
        "high quality",
        "reverse KL",
        "spread within modes",
        "seconds a run",
        "real points",
        "reported",
    )
    rows = []
    for row in found["rows"]:

        def shown(name: str, scale: float = 1.0, digits: int = 1, own: dict[str, Any] = row) -> str:
            return over_seeds([scale * score[name] for score in own["model"]], digits=digits)

        real = [mean_and_error([score[name] for score in row["real"]])[0] for name in ("high_quality", "reverse_kl")]
        name, *reported = PUBLISHED[row["law"]]
        rows.append(
            [
                row["law"],
                f"{shown('modes')} of {row['modes']}",
                f"{shown('high_quality', 100)}%" if row["law"] in MODES else "not judged",
                shown("reverse_kl", digits=4),
                spread(row),
                f"{max(row['seconds']):.0f} at most",
                f"{real[0]:.1%}, {real[1]:.4f}" if row["law"] in MODES else f"{real[1]:.4f}",
                f"{name}: {', '.join(filter(None, reported))}",
            ]
        )
    return markdown(headings, rows)


def spread(row: dict[str, Any]) -> str:
    """Root mean square distance of samples from their mode, over that of real points."""
    own, real = ([score["distance"] for score in row[name] if score["distance"]] for name in ("model", "real"))
    if row["law"] not in MODES:
        return "not measured"
    return f"{mean_and_error(own)[0] / mean_and_error(real)[0]:.2f} of real" if own and real else "no sample on a mode"


def reading(found: dict[str, Any]) -> str:
    """A paragraph on what was found, from the rows alone."""
    rows, lines = found["rows"], []
    for row in rows:
        all_modes = sum(score["modes"] == row["modes"] for score in row["model"])
        good = [score["high_quality"] for score in row["model"]]
        uneven = [score["reverse_kl"] for score in row["model"]]
        lines.append(
            f"{row['law']}: {all_modes} of {len(row['model'])} runs reach all {row['modes']} modes; "
            + (
                f"{min(good):.1%} to {max(good):.1%} of the samples are of high quality; "
                if row["law"] in MODES
                else ""
            )
            + f"the reverse KL is {min(uneven):.4f} to {max(uneven):.4f}."
        )
    return "\n".join(lines)
