import pytest
import torch

from contrastive_entropy.metrics.neighborhoods import nearest_neighbors
from contrastive_entropy.report.drawing import image_sheet, png_bytes
from contrastive_entropy.report.neighbors import NEAREST, SHOWN, neighbors_figure


def test_each_sample_stands_beside_its_nearest_images_the_nearest_first():
    generator = torch.Generator().manual_seed(0)
    train = torch.rand(40, 12, generator=generator)
    chosen = torch.arange(10, 20)
    samples = train[chosen] + 0.001
    figure = neighbors_figure(samples, train, (1, 3, 4))
    shown = figure.axes[0].images[0].get_array()
    nearest = torch.cdist(samples, train).argsort(1)[:, :NEAREST]
    rows = torch.cat([samples.unsqueeze(1), train[nearest]], 1)[:SHOWN]
    assert torch.equal(nearest[:, 0], chosen)
    assert (shown == image_sheet(rows.flatten(0, 1), (1, 3, 4), columns=NEAREST + 1)).all()
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_few_training_images_are_all_shown():
    figure = neighbors_figure(torch.rand(3, 12), torch.rand(2, 12), (3, 2, 2))
    assert figure.axes[0].images[0].get_array().shape == (3 * 3 - 1, 3 * 3 - 1, 3)


@pytest.mark.parametrize("count", [0, 4])
def test_as_many_neighbours_as_there_are_points(count):
    with pytest.raises(ValueError, match="count must lie from 1 to 3, the number of points"):
        nearest_neighbors(torch.zeros(1, 2), torch.zeros(3, 2), count=count)
