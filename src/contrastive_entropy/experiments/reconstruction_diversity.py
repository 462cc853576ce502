"""Many alternatives for one input from a code that cannot tell inputs apart, beside the plain autoencoder's mean."""

import dataclasses
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.journal import Clock, finished_run, markdown, write_result
from contrastive_entropy.experiments.settings import ReconstructionDiversitySettings, recorded
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.settings import load_for
from contrastive_entropy.models.autoencoder import AUTOENCODER, AutoencoderSettings
from contrastive_entropy.models.autoencoder.network import CODES
from contrastive_entropy.objectives.catalog import CONDITIONAL_OBJECTIVES
from contrastive_entropy.report.drawing import draw_alternatives, png_bytes
from contrastive_entropy.storage import write_atomically

COLUMNS = 16
ROWS = 10


def run(settings: ReconstructionDiversitySettings, folder: Path) -> dict[str, Any]:
    """Train both models if they are not there, then write reconstruction-diversity.json and .png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        The figures of both models and of draws from the posterior.

    Raises:
        InputError: data that are not images, a folder that cannot be used, or a signal stopped it.
    """
    clock, fit = Clock(folder), settings.fit
    dataset = load_for(fit)
    if dataset.image_shape is None:
        raise InputError(f"{fit.data} holds points; this experiment shows images: digits, mnist, celeba, ...")
    machine = Machine(precision=settings.precision, track_every=settings.track_every)
    found: dict[str, dict[str, Any]] = {}
    sheets = []
    for name, asked in (("mixture decoder", fit), ("plain autoencoder", _plain(fit, dataset))):
        run = finished_run(
            AUTOENCODER, asked, folder / "runs" / name.replace(" ", "-"), dataset, clock, machine=machine
        )
        evaluation = run.kind.evaluate(run, dataset)
        arrays = evaluation.arrays
        found[name] = {"bounds": dict(evaluation.table("bounds").columns), **evaluation.model}
        sheets.append((name, arrays["inputs"], arrays["alternatives"]))
        if asked is fit:
            found["draws from the posterior"] = dict(evaluation.reference)
            sheets.append(("data drawn from p(x|y)", arrays["inputs"], arrays["posterior"]))
    rows = {"settings": dict(evaluation.settings), "models": found}
    write_result(folder / "reconstruction-diversity.json", recorded(settings), [fit.seed], clock, rows)
    write_atomically(folder / "reconstruction-diversity.png", png_bytes(figure(sheets, dataset.image_shape)))
    return rows


def _plain(fit: AutoencoderSettings, dataset: Dataset) -> AutoencoderSettings:
    """The plain autoencoder, one center by maximum likelihood, at the variances of the mixture decoder."""
    fall = AUTOENCODER.plan(fit, dataset).variance
    likelihood = next(objective.name for objective in CONDITIONAL_OBJECTIVES if objective.equation == "(E16)")
    return dataclasses.replace(
        fit, centers=1, objective=likelihood, codes=CODES[0], variance_start=fall.start, variance_end=fall.end
    )


def figure(sheets: list[tuple[str, Tensor, Tensor]], image_shape: tuple[int, int, int]) -> Figure:
    """One sheet per model: rows of an input and its alternatives."""
    _, height, width = image_shape
    row = 6 / (COLUMNS + 1) * (height + 1) / (width + 1)
    result = Figure(figsize=(6 * len(sheets), row * ROWS + 0.4), layout="constrained")
    FigureCanvasAgg(result)
    for axis, (name, inputs, alternatives) in zip(result.subplots(1, len(sheets)), sheets, strict=True):
        draw_alternatives(axis, inputs[:ROWS], alternatives[:ROWS, :COLUMNS], image_shape)
        axis.set_title(f"input | {name}")
    return result


def table(found: dict[str, Any]) -> str:
    """The markdown table of a result."""
    columns = ("diversity", "sharpness", "clarity", "purity", "best_error", "mean_error", "precision", "far_share")
    kept = [name for name in columns if name in found["models"]["mixture decoder"]]
    rows = []
    for model, figures in found["models"].items():
        cells = [f"{figures[name]:.3g}" if "error" in name else f"{figures[name]:.3f}" for name in kept]
        bounds = figures.get("bounds")
        tightness = f"{bounds['held_out']['tightness']:.3f}" if bounds else "1"
        rows.append([model, *cells, tightness])
    return markdown(["", *(name.replace("_", " ") for name in kept), "held-out tightness"], rows)


def reading(found: dict[str, Any]) -> str:
    """A paragraph on what was found, from the figures alone."""
    models = found["models"]
    mixture, plain, real = (models[n] for n in ("mixture decoder", "plain autoencoder", "draws from the posterior"))
    parts = [
        f"Alternatives for one input differ by {mixture['diversity']:.2f} of the distance between any two data points; the "
        f"plain autoencoder's by {plain['diversity']:.2f}, draws from the posterior by {real['diversity']:.2f}.",
        f"The nearest of {found['settings']['alternatives']} has squared error {mixture['best_error']:.3g} against "
        f"{plain['best_error']:.3g}.",
    ]
    if "sharpness" in mixture:
        parts.append(
            f"Their squared Laplacian is {mixture['sharpness']:.2f} of real images', the plain autoencoder's "
            f"{plain['sharpness']:.2f}."
        )
    if "clarity" in mixture:
        parts.append(
            f"The classifier's confidence is {mixture['clarity']:.2f} against {plain['clarity']:.2f} (data "
            f"{real['clarity']:.2f}); {mixture['purity']:.0%} against {plain['purity']:.0%} have the input's class "
            f"(data {real['purity']:.0%})."
        )
    return " ".join(parts)
