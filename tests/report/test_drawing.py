import numpy as np
import pytest
import torch

from contrastive_entropy.report.drawing import image_sheet, png_bytes, samples_figure
from contrastive_entropy.report.training import training_figure


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
    pictures = [png_bytes(samples_figure(points, None, points + 1 if with_data else None)) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")


def test_the_training_figure_shows_what_was_recorded(tmp_path):
    (tmp_path / "m.csv").write_text(
        "step,objective,limit,tightness,variance,learning_rate\n10,-2,-1,0.3,4,1\n20,-1.5,-1,0.6,2,1\n"
    )
    objective, tightness, variance = training_figure(tmp_path / "m.csv").axes
    assert objective.lines[0].get_ydata().tolist() == [-2, -1.5]
    assert objective.lines[1].get_ydata().tolist() == [-1, -1]
    assert tightness.lines[0].get_ydata().tolist() == [0.3, 0.6]
    assert variance.lines[0].get_ydata().tolist() == [4, 2]
