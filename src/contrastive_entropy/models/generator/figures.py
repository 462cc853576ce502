"""Pictures of a trained generator."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Table
from contrastive_entropy.fitting.run import METRICS, Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.report.drawing import DATA_COLOR, MODEL_COLOR, bare, new_figure, samples_figure
from contrastive_entropy.report.training import training_figure

SHOWN_COLUMNS = 16
"""Columns of a table that are shown at most."""


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Figure]:
    """samples.png, training.png and spectrum.png; of tables of 3 to 16 columns also columns.png.

    Args:
        run: finished.
        dataset: whose held-out points are shown beside the samples.
        evaluation: of the run.

    Returns:
        File name -> figure.
    """
    generated, held_out, schema = evaluation.arrays["generated"], dataset.held_out.points, dataset.schema
    found = {"samples.png": samples_figure(generated, schema, held_out)}
    if isinstance(schema, Table) and 2 < schema.dimension <= SHOWN_COLUMNS:
        found["columns.png"] = columns_figure(generated, held_out, schema)
    found["training.png"] = training_figure(run.folder / METRICS)
    found["spectrum.png"] = spectrum_figure(evaluation)
    return found


def columns_figure(samples: Tensor, data: Tensor, table: Table) -> Figure:
    """A histogram of every column, of held-out and of generated points, in the data's units.

    Args:
        samples: (m, d).
        data: (n, d).
        table: the columns.
    """
    real, model = (table.decode(points).double() for points in (data, samples))
    count = table.dimension
    rows = math.ceil(count / 4)
    figure = new_figure(3.2 * min(count, 4), 2.6 * rows)
    axes = figure.subplots(rows, min(count, 4), squeeze=False).flatten()
    for axis in axes[count:]:
        axis.set_axis_off()
    for index, (axis, values, drawn) in enumerate(zip(axes, real.T, model.T, strict=False)):
        low, high = (float(edge) for edge in values.aminmax())
        shown = drawn.clamp(2 * low - high, 2 * high - low)  # what lies farther is counted at the edge
        low, high = (float(edge) for edge in torch.cat([values, shown]).aminmax())
        for points, color, label in ((values, DATA_COLOR, "data (held out)"), (shown, MODEL_COLOR, "generated")):
            span = (low, high if high > low else low + 1)
            axis.hist(points.numpy(), bins=40, range=span, color=color, histtype="step", density=True, label=label)
        axis.set(title=table.names[index][:24] if table.names else f"column {index}", yticks=[])
        axis.locator_params(axis="x", nbins=4)
        axis.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def spectrum_figure(evaluation: Evaluation) -> Figure:
    """Singular values of the Gaussian operator, model and held-out data against training and held-out data.

    Args:
        evaluation: of a run.
    """
    figure = new_figure(6, 4)
    axis = figure.subplots()
    pairs = (
        ("training data", "reference_spectrum", evaluation.reference["fidelity"], DATA_COLOR),
        ("generated", "spectrum", evaluation.model["fidelity"], MODEL_COLOR),
    )
    for label, name, total, color in pairs:
        spectrum = evaluation.arrays[name]
        rank = np.arange(1, len(spectrum) + 1)
        axis.loglog(rank, spectrum.clamp_min(1e-12), color=color, label=f"{label} with held-out data, sum {total:.3f}")
    axis.set(xlabel="index", ylabel="singular value", title="spectrum: the sum is the fidelity F", ylim=(1e-7, 1))
    axis.legend()
    bare(axis)
    return figure
