import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contrastive_entropy as ce
from samples import generator, mixture
from strategies import Problem, problems


@given(problems())
def test_cauchy_schwarz_divergence(problem: Problem):
    p, q = problem.p, problem.q
    forward = ce.cauchy_schwarz_divergence(p, q).item()
    assert forward >= 0
    assert ce.cauchy_schwarz_divergence(q, p).item() == pytest.approx(forward, abs=1e-9)
    assert ce.cauchy_schwarz_divergence(p, p).item() == 0


def test_cauchy_schwarz_divergence_and_fidelity_by_quadrature():
    grid = torch.linspace(-20, 20, 40_001, dtype=torch.float64)[:, None]
    p, q = mixture(3, 1), mixture(4, 1, seed=1)
    fp, fq = p.log_prob(grid).exp().numpy(), q.log_prob(grid).exp().numpy()
    cosine = (fp @ fq) / math.sqrt((fp @ fp) * (fq @ fq))
    assert ce.cauchy_schwarz_divergence(p, q).item() == pytest.approx(-2 * math.log(cosine), abs=1e-8)
    # the fidelity as a trace norm of the two covariance operators, discretised: || S_p^1/2 S_q^1/2 ||_1
    bumps = [
        ce.GaussianMixture(c[None, None], 0.5).log_prob(grid).exp().numpy() * 0.001**0.5
        for c in (*p.centers.flatten(), *q.centers.flatten())
    ]
    peak = math.sqrt(math.exp(p.log_trace()))
    a, b = np.stack(bumps[:3], 1) / peak / math.sqrt(3), np.stack(bumps[3:], 1) / peak / math.sqrt(4)
    trace_norm = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    assert ce.fidelity(p, q).item() == pytest.approx(trace_norm, abs=1e-8)


@given(problems(shared=True))
def test_fidelity_lies_between_sub_and_super_fidelity(problem: Problem):
    x, z, v = problem.x, problem.z, problem.x_variance
    p, q = ce.GaussianMixture(x, v), ce.GaussianMixture(z, v)
    pp, qq, pq = (torch.exp(-torch.cdist(a, b).square() / (4 * v)).numpy() for a, b in ((x, x), (z, z), (x, z)))
    n, m = pq.shape
    a, b, c = (pp**2).sum() / n**2, (qq**2).sum() / m**2, (pq**2).sum() / (n * m)
    d = ((pq.T @ pq) ** 2).sum() / (n * m) ** 2
    fidelity = ce.fidelity(p, q).item()
    assert fidelity >= math.sqrt(c + math.sqrt(max(2 * (c**2 - d), 0))) - 1e-7
    assert fidelity <= math.sqrt(c + math.sqrt(max((1 - a) * (1 - b), 0))) + 1e-7
    assert ce.bures_distance(p, q).item() == pytest.approx(math.sqrt(max(2 - 2 * fidelity, 0)), abs=1e-6)
    assert ce.fidelity(q, p).item() == pytest.approx(fidelity, abs=1e-9)


def test_at_large_variance_the_bures_distance_is_the_wasserstein_distance_of_two_moments():
    p, q = mixture(40, 2, 1e6), ce.GaussianMixture(1 + 0.5 * mixture(30, 2, seed=1).centers, 1e6)
    means = [m.centers.mean(0).numpy() for m in (p, q)]
    covariances = [np.cov(m.centers.numpy().T, bias=True) for m in (p, q)]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    wasserstein = ((means[0] - means[1]) ** 2).sum() + sum(np.trace(c) for c in covariances)
    wasserstein -= 2 * np.sqrt(eigenvalues.real).sum()
    assert 2e6 * ce.bures_distance(p, q).item() ** 2 == pytest.approx(wasserstein, rel=1e-3)


@given(problems())
def test_the_bracket_holds_the_fidelity(problem: Problem):
    lower, upper = ce.fidelity_bracket(problem.p, problem.q)
    value = ce.fidelity(problem.p, problem.q).item()
    assert lower.item() - 1e-7 <= value <= upper.item() + 1e-7


@pytest.mark.parametrize("separation", [0.1, 1.0, 3.0])
def test_the_bracket_is_equal_where_it_can_be(separation):
    """Lower: rank 2. Upper: one pure state, whose own Gram matrix has norm 1."""
    p = ce.GaussianMixture(torch.tensor([[0.0], [1.0]]).double(), 0.1)
    q = ce.GaussianMixture(torch.tensor([[separation], [2.0], [2.5]]).double(), 0.1)
    assert ce.fidelity_bracket(p, q)[0].item() == pytest.approx(ce.fidelity(p, q).item(), abs=1e-7)
    single = ce.GaussianMixture(torch.tensor([[separation]]).double(), 0.1)
    assert ce.fidelity_bracket(p, single)[1].item() == pytest.approx(ce.fidelity(p, single).item(), abs=1e-7)


def test_at_large_variance_the_bures_distance_is_the_wasserstein_distance_of_gaussians():
    """v (2 - 2 F) tends to |m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    z = torch.randn(80, 3, generator=generator, dtype=torch.float64) * torch.tensor([2.0, 0.5, 1.0]) + 0.7

    def root(s):
        values, vectors = torch.linalg.eigh(s)
        return (vectors * values.clamp_min(0).sqrt()) @ vectors.T

    s, t = (torch.cov(points.T, correction=0) for points in (x, z))
    between = (x.mean(0) - z.mean(0)).square().sum()
    expected = between + s.trace() + t.trace() - 2 * root(root(s) @ t @ root(s)).trace()
    variance = 1e4  # of the density; 2e4 in the kernel
    squared = ce.bures_distance(ce.GaussianMixture(x, variance), ce.GaussianMixture(z, variance)).square()
    assert (2 * variance * squared).item() == pytest.approx(expected.item(), rel=1e-3)


def halves(n, shift=0.0, seed=0, scale=1.0):
    points = scale * torch.randn(2 * n, 2, generator=generator(seed), dtype=torch.float64)
    points[:, 0] += shift
    return points


def test_tightness_equals_its_formula():
    x, z = halves(20), halves(30, 0.5, seed=1)
    parts = [ce.GaussianMixture(part, 0.3) for part in (x[:20], x[20:], z[:30], z[30:])]
    f = [[float(ce.fidelity(a, b)) for b in parts] for a in parts]
    expected = (f[0][2] * f[1][3] / (f[0][1] * f[2][3])) ** 0.5
    assert float(ce.tightness(ce.GaussianMixture(x, 0.3), ce.GaussianMixture(z, 0.3))) == pytest.approx(expected)


def test_tightness_is_one_on_average_where_fidelity_is_not():
    pairs = [[ce.GaussianMixture(halves(40, seed=2 * seed + side), 0.05) for side in (0, 1)] for seed in range(40)]
    found = torch.stack([ce.tightness(p, q) for p, q in pairs])
    assert abs(float(found.mean()) - 1) < 3 * float(found.std()) / 40**0.5 + 1e-3
    assert float(found.max()) > 1
    assert float(torch.stack([ce.fidelity(p, q) for p, q in pairs]).mean()) < 0.9


def test_tightness_falls_with_the_distance_of_the_laws():
    p = ce.GaussianMixture(halves(100), 0.1)
    values = [float(ce.tightness(p, ce.GaussianMixture(halves(100, shift, seed=1), 0.1))) for shift in (0, 0.5, 1, 2)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.7 < 0.95 < values[0]


@given(seed=st.integers(0, 2**20), scale=st.floats(0.1, 10))
def test_laws_of_tightness(seed, scale):
    x, z = halves(6, seed=seed), halves(8, 0.5, seed=seed + 1)

    def value(x, z, variance=0.4):
        return float(ce.tightness(ce.GaussianMixture(x, variance), ce.GaussianMixture(z, variance)))

    right = value(x, z)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=generator(seed), dtype=torch.float64))[0]
    assert value(z, x) == pytest.approx(right)
    assert value(scale * x @ turn + 3, scale * z @ turn + 3, 0.4 * scale**2) == pytest.approx(right)
    order = torch.cat([torch.randperm(6, generator=generator(seed)), 6 + torch.randperm(6, generator=generator(seed))])
    assert value(x[order], z) == pytest.approx(right)


def test_tightness_takes_batches_and_far_points():
    x = torch.stack([halves(6), halves(6, seed=1)])
    z = halves(6, 0.3, seed=2)
    q = ce.GaussianMixture(z, 0.2)
    found = ce.tightness(ce.GaussianMixture(x, 0.2), q)
    assert found.shape == (2,)
    for i in (0, 1):
        assert float(found[i]) == pytest.approx(float(ce.tightness(ce.GaussianMixture(x[i], 0.2), q)))
    far = ce.tightness(ce.GaussianMixture(x[0], 0.2), ce.GaussianMixture(z + 1e3, 0.2))
    assert float(far) == 0


def test_tightness_needs_two_halves():
    one, two = ce.GaussianMixture(torch.zeros(1, 1), 1.0), ce.GaussianMixture(torch.zeros(2, 1), 1.0)
    with pytest.raises(ValueError, match="tightness needs at least 2 data components to form two halves, got 1"):
        ce.tightness(one, two)
    with pytest.raises(ValueError, match="tightness needs at least 2 model components"):
        ce.tightness(two, one)
