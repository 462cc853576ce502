import math

import mpmath
import pytest
import torch

import contrastive_entropy as ce
from samples import OBJECTIVES, generator, mixture

NAMES = sorted(OBJECTIVES)


@pytest.mark.parametrize("name", NAMES)
def test_gaps_are_finite_and_exact_at_12288_dimensions(name):
    """Against mpmath on the log scale, constants included; c(2v) is about 41,000 nats."""
    d, v = 12_288, 1e-4
    base = torch.rand(1, d, generator=generator())
    spread = (2 * v / d) ** 0.5
    p = ce.GaussianMixture(base + spread * torch.randn(3, d, generator=generator(1)), v)
    q = ce.GaussianMixture(base + spread * torch.randn(3, d, generator=generator(2)), v)
    bound = OBJECTIVES[name](p, q)
    assert torch.isfinite(bound.value)
    assert torch.isfinite(bound.limit)
    if name not in ("normalized_inner_product", "inner_product", "trace"):
        exact = OBJECTIVES[name](p.double(), q.double())
        assert bound.gap.item() == pytest.approx(exact.gap.item(), abs=1e-4)
        return
    mpmath.mp.dps = 40

    def log_kernel(x, z):
        squares = mpmath.mpf(float((x.double() - z.double()).square().sum()))
        return -squares / (4 * mpmath.mpf(v)) - mpmath.mpf(d) / 2 * mpmath.log(4 * mpmath.pi * mpmath.mpf(v))

    def log_inner(a, b):
        return mpmath.log(sum(mpmath.exp(log_kernel(x, z)) for x in a for z in b) / (len(a) * len(b)))

    x, z = p.centers, q.centers
    peak = -mpmath.mpf(d) / 2 * mpmath.log(4 * mpmath.pi * mpmath.mpf(v))
    value, limit = {
        "inner_product": lambda: (log_inner(x, z), (log_inner(x, x) + peak) / 2),
        "normalized_inner_product": lambda: (2 * log_inner(x, z) - log_inner(z, z), log_inner(x, x)),
        "trace": lambda: (mpmath.log(sum(mpmath.exp(log_kernel(a, b)) for a, b in zip(x, z, strict=True)) / 3), peak),
    }[name]()
    assert abs(value) > 40_000
    assert bound.value.item() == pytest.approx(float(value), rel=1e-8)
    assert bound.gap.item() == pytest.approx(float(limit - value), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_far_apart_points_underflow_nothing(name):
    p = mixture(4, 10, 1e-4)
    q = ce.GaussianMixture(p.centers + 5, 1e-4)
    bound = OBJECTIVES[name](p, q)
    assert math.isfinite(bound.value)
    assert bound.gap > 1e4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:distances are so large:contrastive_entropy.NumericalWarning")
@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6])
def test_float32_equals_float64_at_784_dimensions(name, ratio):
    """Stated tolerance: 1e-3 nats plus one part in a million of the value."""
    x, z = (mixture(16, 784, seed=s, dtype=torch.float32).centers for s in (0, 1))
    z = x + 0.02 * z  # near enough that kernels do not all vanish
    variance = float(x.square().sum(-1).max() / ratio)
    p, q = ce.GaussianMixture(x, variance), ce.GaussianMixture(z, variance)
    single, double = OBJECTIVES[name](p, q), OBJECTIVES[name](p.double(), q.double())
    assert single.value.item() == pytest.approx(double.value.item(), abs=1e-3, rel=1e-6)
    assert single.gap.item() == pytest.approx(double.gap.item(), abs=1e-3, rel=1e-6)


def test_bfloat16_input_is_computed_in_float32():
    p, q = mixture(4, 3).centers.bfloat16(), mixture(4, 3, seed=1).centers.bfloat16()
    half = ce.nuclear_norm(ce.GaussianMixture(p, 0.5), ce.GaussianMixture(q, 0.5)).value
    full = ce.nuclear_norm(ce.GaussianMixture(p.float(), 0.5), ce.GaussianMixture(q.float(), 0.5)).value
    assert half.item() == pytest.approx(full.item(), abs=1e-6)


@pytest.mark.filterwarnings("ignore:distances are so large:contrastive_entropy.NumericalWarning")
@pytest.mark.parametrize("name", ["projection", "schur_trace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("d", "distance", "spread"), [(9, 200**0.5, 0.1), (2, 200**0.5, 0.1), (9, 3e3, 1e-3), (2, 0.5, 0.1)]
)
def test_far_clusters_stay_on_their_side_of_the_limit(name, dtype, d, distance, spread):
    """K^-1 amplifies what the cross-Gram matrix loses."""
    generator = torch.Generator().manual_seed(0)

    def clusters(n):
        points = spread * torch.randn(n, d, generator=generator, dtype=torch.float64)
        points[:, 0] += distance * (2.0 * (torch.arange(n) % 2) - 1)
        return points.to(dtype)

    bound = OBJECTIVES[name](ce.GaussianMixture(clusters(256), 0.5), ce.GaussianMixture(clusters(256), 0.5))
    assert bound.gap.item() > -1e-7
    assert bound.attained.item() > 0.99


@pytest.mark.parametrize("scale", [1e20, 1e-25])
def test_scales_beyond_the_square_of_float32(scale):
    x, z = (torch.randn(20, 2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    gaps = [
        ce.normalized_inner_product(
            ce.GaussianMixture(s * x, 0.1 * s * s), ce.GaussianMixture(s * z, 0.1 * s * s)
        ).gap.item()
        for s in (1.0, scale)
    ]
    assert gaps[1] == pytest.approx(gaps[0], rel=1e-4)
