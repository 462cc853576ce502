import math

import numpy as np
import pytest

from contrastive_entropy import InputError
from contrastive_entropy.report.training import smoothed, training_figure

HEADER = "step,objective,limit,attained,tightness,variance,learning_rate\n"


def figure(tmp_path, *rows):
    (tmp_path / "m.csv").write_text(HEADER + "".join(f"{row},1\n" for row in rows))
    return training_figure(tmp_path / "m.csv").axes


def test_the_training_figure_shows_what_was_recorded(tmp_path):
    tightness, variance, objective = figure(
        tmp_path, "10,-2,-1,0.1,0.3,4", "20,-1.5,-1,0.2,0.6,2", "30,-1.4,-1,0.2,0.7,2"
    )
    assert tightness.lines[0].get_ydata().tolist() == [0.3, 0.6, 0.7]
    assert objective.lines[0].get_ydata().tolist() == [-2, -1.5, -1.4]
    assert objective.lines[1].get_ydata().tolist() == [-1, -1, -1]
    assert variance.lines[0].get_ydata().tolist() == [4, 2, 2]
    for axis in (tightness, variance, objective):
        (falling,) = axis.patches
        assert (falling.get_x(), falling.get_width()) == (0, 20)  # until it is where it ends
        assert axis.get_legend().get_texts()[-1].get_text() == "the variance falls: finer detail counts"


def test_a_variance_that_stays_is_not_shaded(tmp_path):
    for axis in figure(tmp_path, "10,-2,-1,0.1,0.3,2", "20,-1.5,-1,0.2,nan,2"):
        assert not axis.patches


def test_tightness_that_chance_moves_beyond_1_stays_in_the_picture(tmp_path):
    tightness, _, _ = figure(tmp_path, "10,-2,-1,0.1,0.3,4", "20,-1.5,-1,0.2,1.2,2")
    assert 1.2 < tightness.get_ylim()[1] <= 1.5


def test_noise_is_averaged_over_neighbours_and_gaps_are_left_out():
    values = np.array([math.nan, *([0.0, 1.0] * 100)])
    found = smoothed(values)
    assert np.isfinite(found).all()
    assert np.abs(found[20:-20] - 0.5).max() < 0.06
    assert np.isnan(smoothed(np.array([math.nan, math.nan]))).all()


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"m\.csv is empty; remove its folder and train again"):
        figure(tmp_path)
