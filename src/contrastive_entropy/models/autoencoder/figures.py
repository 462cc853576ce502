"""Pictures of a trained autoencoder."""

from pathlib import Path

from matplotlib.figure import Figure

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.fitting.run import BOUNDS, METRICS, Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.models.autoencoder.tracking import read_bounds
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, alternatives_figure, new_figure
from contrastive_entropy.report.training import finish, shade, training_figure


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Figure]:
    """alternatives.png, bounds.png and training.png.

    Args:
        run: finished.
        dataset: of the run.
        evaluation: of the run.

    Returns:
        File name -> figure.
    """
    arrays = evaluation.arrays
    return {
        "alternatives.png": alternatives_figure(
            arrays["inputs"], arrays["alternatives"], dataset.schema, posterior=arrays["posterior"]
        ),
        "bounds.png": bounds_figure(run.folder / BOUNDS),
        "training.png": training_figure(run.folder / METRICS),
    }


def bounds_figure(bounds: Path) -> Figure:
    """Tightness, value and limit of (E15), errors and variance over the steps, on training and on held-out points.

    Args:
        bounds: bounds.csv of a run.
    """
    parts = read_bounds(bounds)
    figure = new_figure(12, 8.4)
    axes = figure.subplots(2, 2).flatten()
    tightness, nats, errors, variance = axes
    for part, color in (("held_out", MODEL_COLOR), ("train", DATA_COLOR)):
        columns = parts[part]
        step, label = columns["step"], part.replace("_", " ")
        tightness.plot(step, columns["tightness"], color=color, label=label)
        tightness.plot(step, columns["iid_tightness"], color=color, linestyle=":", label=f"iid centers (E19), {label}")
        nats.plot(step, columns["value"], color=color, label=f"value, {label}")
        nats.plot(step, columns["limit"], color=color, linestyle="--", label=f"limit, {label}")
        errors.semilogy(step, columns["best_error"], color=color, label=f"best of C, {label}")
        errors.semilogy(step, columns["mean_error"], color=color, linestyle="--", label=f"mean of C, {label}")
    step = parts["train"]["step"]
    for name, style in (("variance", "-"), ("feature_variance", ":")):
        label = "of the density" if name == "variance" else "of the noise on the features"
        variance.semilogy(step, parts["train"][name], color=DATA_COLOR, linestyle=style, label=label)
    tightness.set(xlabel="step", title="tightness, exp(value - limit)", ylim=(0, 1.02))
    nats.set(xlabel="step", ylabel="nats", title="bound (E15) and its limit at that variance")
    errors.set(xlabel="step", title="squared reconstruction error")
    variance.set(xlabel="step", title="variance")
    shade(axes, step, parts["train"]["variance"])
    finish(axes, columns=2)
    return figure
