"""Pictures of images and what their codes keep of them."""

from matplotlib.figure import Figure

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.fitting.run import METRICS, Run
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.report.drawing import draw_sheet, new_figure
from contrastive_entropy.report.training import objective_axis

ROWS, COLUMNS = 8, 8
"""Of the sheet, of images and as many reconstructions."""


def figures(run: Run, dataset: Dataset, evaluation: Evaluation) -> dict[str, Figure]:
    """reconstructions.png and training.png.

    Args:
        run: finished.
        dataset: whose held-out images are shown.
        evaluation: of the run.

    Returns:
        File name -> figure.
    """
    shape = dataset.image_shape
    assert shape is not None
    figure = new_figure(9, 4.8)
    for axis, name, title in zip(
        figure.subplots(1, 2),
        ("inputs", "reconstructions"),
        ("held-out images", "reconstructed from codes"),
        strict=True,
    ):
        draw_sheet(axis, evaluation.arrays[name][: ROWS * COLUMNS], shape, columns=COLUMNS)
        axis.set_title(title)
        axis.set_axis_off()
    training, axis, _ = objective_axis(run.folder / METRICS)
    axis.set(ylabel="minus the share lost", title="squared error over the images' variance", ylim=(None, 0))
    return {"reconstructions.png": figure, "training.png": training}
