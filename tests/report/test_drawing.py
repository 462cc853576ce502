import numpy as np
import pytest
import torch

from contrastive_entropy.data.schema import Images, Table
from contrastive_entropy.report.drawing import alternatives_figure, image_sheet, png_bytes, samples_figure


@pytest.mark.parametrize(("channels", "shape"), [(1, (2 * 5 - 1, 3 * 6 - 1)), (3, (2 * 5 - 1, 3 * 6 - 1, 3))])
def test_the_sheet_holds_the_images_in_order(channels, shape):
    images = torch.rand(5, channels, 4, 5, generator=torch.Generator().manual_seed(0)) * 2 - 0.5
    sheet = image_sheet(images.flatten(1), (channels, 4, 5), columns=3)
    assert sheet.shape == shape
    fourth = sheet[5:9, 0:5]
    expected = images[3].clamp(0, 1).numpy()
    np.testing.assert_array_equal(fourth, expected[0] if channels == 1 else expected.transpose(1, 2, 0))


@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("with_data", [True, False])
def test_points_of_any_dimension_are_drawn_the_same_each_time(dimension, with_data):
    points = torch.randn(50, dimension, generator=torch.Generator().manual_seed(0))
    pictures = [
        png_bytes(samples_figure(points, Table.of(dimension), points + 1 if with_data else None)) for _ in range(2)
    ]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("schema", [Images(1, 3, 4), Table.of(12)])
@pytest.mark.parametrize("posterior", [True, False])
def test_alternatives_are_drawn_beside_their_inputs(schema, posterior):
    points = torch.rand(20, 5, 12, generator=torch.Generator().manual_seed(0))
    figure = alternatives_figure(points[:, 0], points[:, 1:], schema, posterior=points[:, 1:] if posterior else None)
    titles = ["input | alternatives", "input | data from p(x|y)"]
    assert [axis.get_title() for axis in figure.axes] == titles[: 1 + posterior]
    assert png_bytes(figure).startswith(b"\x89PNG")
