"""Many alternatives for one input from a code that cannot tell inputs apart, beside the plain autoencoder's mean."""

import dataclasses
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.config import AutoencoderConfig
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.record import Clock, finished_run, markdown, shared_settings, write_result
from contrastive_entropy.experiments.settings import ReconstructionDiversityConfig
from contrastive_entropy.reconstruction import evaluate_reconstruction
from contrastive_entropy.report import draw_alternatives, png_bytes
from contrastive_entropy.runs import load_for, write_atomically

COLUMNS = 16
ROWS = 10


def run(config: ReconstructionDiversityConfig, folder: Path) -> dict[str, Any]:
    """Train both models if they are not there, then write reconstruction-diversity.json and .png.

    Args:
        config: settings.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        The figures of both models and of draws from the posterior.

    Raises:
        InputError: data that are not images, a folder that cannot be used, or a signal stopped it.
    """
    clock = Clock(folder)
    mixture = AutoencoderConfig(**shared_settings(AutoencoderConfig, config), variance_end=config.variance)
    dataset = load_for(mixture)
    mixture = mixture.resolve(dataset)
    plain = dataclasses.replace(mixture, centers=1, objective="log_likelihood", codes="one_hot")
    if dataset.image_shape is None:
        raise InputError(f"{config.data} holds points; this experiment shows images: digits, mnist, celeba, ...")
    found: dict[str, dict[str, Any]] = {}
    sheets = []
    for name, settings in (("mixture decoder", mixture), ("plain autoencoder", plain)):
        evaluation = evaluate_reconstruction(
            finished_run(
                settings,
                folder / "runs" / name.replace(" ", "-"),
                dataset,
                clock,
                precision=config.precision,
                track_every=config.track_every,
            ),
            dataset,
        )
        found[name] = {"bounds": evaluation.bounds, **evaluation.model}
        sheets.append((name, evaluation.inputs, evaluation.alternatives))
        if settings is mixture:
            found["draws from the posterior"] = evaluation.reference
            sheets.append(("data drawn from p(x|y)", evaluation.inputs, evaluation.posterior))
    rows = {"settings": evaluation.settings, "models": found}
    write_result(folder / "reconstruction-diversity.json", dataclasses.asdict(config), [config.seed], clock, rows)
    write_atomically(folder / "reconstruction-diversity.png", png_bytes(figure(sheets, dataset.image_shape)))
    return rows


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
