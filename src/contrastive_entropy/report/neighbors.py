"""Images beside the training images that are nearest to them: whether a model copies can be seen there."""

from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy.metrics.neighborhoods import nearest_neighbors
from contrastive_entropy.report.drawing import draw_alternatives, new_figure

SHOWN, NEAREST = 8, 5
"""Samples that are shown, and nearest training images of each."""

NEIGHBORS_SAY = (
    "Samples, and the training images nearest to them. Left of the line are samples; then come the nearest training "
    "images, pixel by pixel, the nearest first. A sample that equals its nearest image is a copy."
)
"""What the picture shows."""


def neighbors_figure(samples: Tensor, train: Tensor, image_shape: tuple[int, int, int]) -> Figure:
    """Each row a sample, a line, and the training images nearest to it.

    Args:
        samples: (n, d).
        train: (m, d).
        image_shape: (channels, height, width).
    """
    shown = samples[:SHOWN].clamp(0, 1)
    nearest = nearest_neighbors(shown, train, count=min(NEAREST, len(train)))
    cell = 0.7
    figure = new_figure(cell * (nearest.shape[1] + 1) + 0.3, cell * image_shape[1] / image_shape[2] * len(shown) + 0.5)
    axis = figure.subplots()
    axis.set_title("sample | nearest training images")
    draw_alternatives(axis, shown, train[nearest], image_shape)
    return figure
