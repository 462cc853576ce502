import numpy as np
import torch
from scipy import stats

from contrastive_entropy.numerics.robust import robust_moments


def test_moments_are_those_of_scipy_and_far_values_do_not_move_them():
    points = torch.randn(201, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    center, deviation = robust_moments(points)
    np.testing.assert_allclose(center, np.median(points, 0))
    np.testing.assert_allclose(deviation, 1.4826 * stats.median_abs_deviation(points.numpy()))
    far = points.clone()
    far[points > 1] = 1e12
    moved, wide = robust_moments(far)
    assert torch.equal(moved, center)
    assert bool((wide < 2 * deviation).all())
