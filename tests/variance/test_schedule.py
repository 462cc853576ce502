import itertools

import numpy as np
import pytest

from contrastive_entropy.variance.schedule import geometric_schedule


def test_the_schedule_falls_geometrically_and_stays():
    values = [geometric_schedule(step, steps=100, start=16.0, end=1.0) for step in range(101)]
    assert values[0] == 16
    assert values[40] == pytest.approx(4)
    assert values[80:] == [1.0] * 21
    assert all(a > b for a, b in itertools.pairwise(values[:81]))
    ratios = np.array(values[1:80]) / np.array(values[:79])
    np.testing.assert_allclose(ratios, ratios[0])


def test_the_schedule_at_its_extremes():
    assert geometric_schedule(0, steps=10, start=5.0, end=1.0, fraction=0) == 1
    assert geometric_schedule(9, steps=10, start=5.0, end=1.0, fraction=1) > 1
    assert geometric_schedule(10, steps=10, start=5.0, end=1.0, fraction=1) == 1
    assert geometric_schedule(3, steps=10, start=2.0, end=2.0) == 2


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(("start", "end"), [(9.0, 1.0), (1.0, 4.0), (3.0, 3.0)])
def test_the_schedule_for_any_fraction_and_direction(fraction, start, end):
    last = int(200 * fraction)
    values = [geometric_schedule(step, steps=200, start=start, end=end, fraction=fraction) for step in range(201)]
    assert values[0] == start
    assert values[last // 2] == pytest.approx((start * end) ** 0.5, rel=0.02)
    assert values[last:] == [end] * (201 - last)
    assert np.all(np.diff(values) * (end - start) >= 0)


def test_the_schedule_with_fraction_0_is_constant():
    assert {geometric_schedule(step, steps=10, start=5.0, end=1.0, fraction=0) for step in range(11)} == {1.0}
