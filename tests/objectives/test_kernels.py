"""What the pages on the kernel and on the variance prove: docs/questions."""

import math

import pytest
import torch

import contrastive_entropy as ce


def euclidean(x, z):
    return torch.cdist(x, z, compute_mode="donot_use_mm_for_euclid_dist")


def nuclear(matrix):
    return torch.linalg.svdvals(matrix).sum()


DISTANCES = {"distance": euclidean, "squared distance": lambda x, z: euclidean(x, z).square()}


@pytest.fixture
def points():
    return torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_a_matrix_of_distances_has_one_positive_eigenvalue(points, distance):
    matrix = distance(points, points)
    values = torch.linalg.eigvalsh(matrix)
    largest = values[-1]
    assert (values > 1e-9 * largest).sum() == 1
    torch.testing.assert_close(nuclear(matrix), 2 * largest)
    mean, root_mean_square = matrix.mean(), matrix.square().mean().sqrt()
    assert mean <= largest / len(points) <= root_mean_square


def test_the_rank_is_bounded_for_squared_distances_alone(points):
    assert torch.linalg.matrix_rank(DISTANCES["squared distance"](points, points)) == points.shape[1] + 2
    assert torch.linalg.matrix_rank(DISTANCES["distance"](points, points)) == len(points)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_the_norm_of_distances_is_their_mean_and_the_fidelity_that_it_should_not_add(points, distance):
    x, z = points, 0.5 * points[:25].flip(1) + 1
    matrix = distance(x, z)
    rows, columns = (matrix.mean(axis) for axis in (1, 0))
    centered = matrix - rows.unsqueeze(1) - columns + matrix.mean()
    root = math.sqrt(len(x) * len(z))
    least = matrix.mean() * root + nuclear(centered)
    most = least + root * (rows.std(correction=0) + columns.std(correction=0))
    assert least <= nuclear(matrix) <= most


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_two_points_beat_the_data_where_the_norm_of_distances_is_minimised(distance):
    axes = torch.eye(8, dtype=torch.float64)
    data, pair = torch.cat([axes, -axes]), torch.stack([axes[0], -axes[0]])

    def value(x, z):
        return (
            2 * (nuclear(distance(x, z)) / math.sqrt(len(x) * len(z))).log() - (nuclear(distance(z, z)) / len(z)).log()
        )

    assert value(data, pair) < value(data, data) - 0.5


def test_the_kernel_of_the_energy_distance_is_positive_definite_and_unbounded(points):
    norms = points.norm(dim=1)
    gram = norms.unsqueeze(1) + norms - euclidean(points, points)
    values = torch.linalg.eigvalsh(gram)
    assert values[0] > 1e-6 * values[-1]


@pytest.mark.parametrize(("shift", "deviation"), [(0.0, 0.7), (0.4, 1.0)])
@pytest.mark.parametrize("variance", [0.1, 1.0, 10.0])
def test_the_fidelity_of_two_gaussians_is_that_of_the_theory(shift, deviation, variance):
    """By singular values of the operator on a grid; the variance is the kernel's."""
    grid = torch.linspace(-9, 9, 1201, dtype=torch.float64)
    p, q = (
        torch.exp(-((grid - mean) ** 2) / 2 / std**2) / std / math.sqrt(2 * math.pi)
        for mean, std in ((0.0, 1.0), (shift, deviation))
    )
    gram = torch.exp(-((grid.unsqueeze(1) - grid) ** 2) / 2 / variance)
    measured = nuclear(p.sqrt().unsqueeze(1) * gram * q.sqrt()) * (grid[1] - grid[0])
    a, b = 1 / 4 + 1 / 2 / variance, 1 / 4 / deviation**2 + 1 / 2 / variance
    overlap = 1 / 2 / variance / math.sqrt(a * b)
    squared = ((1 + overlap) / (1 - overlap)) ** 0.5 / (1 + 2 * (1 + deviation**2) / variance) ** 0.5
    predicted = squared**0.5 * math.exp(-(shift**2) / 2 / (2 + 2 * deviation**2 + variance))
    assert float(measured) == pytest.approx(predicted, rel=1e-6)


@pytest.mark.parametrize("variance", [1.0, 10.0])
def test_a_step_sees_the_shift_of_a_gaussian_as_well_as_the_mean_of_its_batch_does(variance):
    half, shift, batches = 64, 0.2, 150
    generator = torch.Generator().manual_seed(0)
    slopes = []
    for _ in range(batches):
        x, z = torch.randn(2, 2 * half, 1, generator=generator, dtype=torch.float64)
        z = (z + shift).requires_grad_()
        p, q = ce.GaussianMixture(x, variance), ce.GaussianMixture(z, variance)
        ce.debiased_nuclear_norm(p, q, paired=True).backward()
        slopes.append(float(z.grad.sum()))
    slopes = torch.tensor(slopes)
    signal = float(slopes.mean().abs() / slopes.std())
    assert signal == pytest.approx(shift * math.sqrt(half), rel=0.25)
