import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import contrastive_entropy as ce
import references
from contrastive_entropy.objectives.density import OBJECTIVES
from strategies import Problem, as_arrays, problems

NAMES = sorted(OBJECTIVES)
EXACT_LIMIT = [name for name in NAMES if name != "log_likelihood"]  # that one is a Monte-Carlo estimate
SCALE_FREE = ("debiased_nuclear_norm",)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(n, d, variance=0.5, seed=0, dtype=torch.float64):
    return ce.GaussianMixture(torch.randn(n, d, generator=generator(seed), dtype=dtype), variance)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_values_and_limits_equal_the_references(name, data):
    problem = data.draw(problems(square=name == "trace"))
    p, q = as_arrays(problem.p), as_arrays(problem.q)
    bound = OBJECTIVES[name](problem.p, problem.q)
    assert bound.value.item() == pytest.approx(getattr(references, name)(p, q), abs=1e-6)
    if name in EXACT_LIMIT:
        assert bound.limit.item() == pytest.approx(references.limit(name, p, q), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 1e-1])
@given(problem=problems())
def test_smoothed_values_equal_the_references(smoothing, problem):
    p, q = as_arrays(problem.p), as_arrays(problem.q)
    for name in ("nuclear_norm", "debiased_nuclear_norm"):
        value = OBJECTIVES[name](problem.p, problem.q, smoothing=smoothing).value
        assert value.item() == pytest.approx(getattr(references, name)(p, q, smoothing), abs=1e-9)


@pytest.mark.parametrize("name", EXACT_LIMIT)
@given(data=st.data())
def test_values_stay_on_their_side_of_the_limit(name, data):
    problem = data.draw(problems(square=name == "trace"))
    bound = OBJECTIVES[name](problem.p, problem.q)
    assert bound.gap.item() > -1e-9
    assert 0 <= bound.tightness.item() <= 1
    assert math.isfinite(bound.gap)


@given(problems(shared=True))
def test_log_likelihood_stays_below_its_limit(problem: Problem):
    q = ce.GaussianMixture(problem.z, problem.z_variance, weights=problem.z_weights)
    assert ce.log_likelihood(problem.p, q, draws=200).gap.item() > -0.05


def test_the_limit_of_the_log_likelihood_is_not_the_entropy_of_the_data():
    # two close points: one center between them beats the kernel density on them, at its own centers
    data = ce.GaussianMixture(torch.tensor([[-0.5], [0.5]]).double(), 1.0)
    between = ce.GaussianMixture(torch.tensor([[0.0]]).double(), 1.0)
    bound = ce.log_likelihood(data, between, draws=2000)
    assert bound.value > ce.log_likelihood(data, data).value
    assert bound.gap > 0


@pytest.mark.parametrize("separation", [0.0, 40.0])
def test_the_limit_of_the_log_likelihood_is_exact_for_coinciding_and_for_separated_data(separation):
    data = ce.GaussianMixture(torch.tensor([[0.0], [separation]]).double(), 1.0)
    assert ce.log_likelihood(data, data, draws=2000).gap.item() == pytest.approx(0, abs=1e-6)


@given(problems(shared=True))
def test_ordering_of_the_scalar_costs(problem: Problem):
    p, q = problem.p, problem.q
    scalar, vector = ce.normalized_inner_product(p, q), ce.projection(p, q)
    assert scalar.value.item() <= vector.value.item() + 1e-6
    assert vector.value.item() <= vector.limit.item() + 1e-9
    assert scalar.limit.item() == pytest.approx(vector.limit.item())


@given(problems(square=True))
def test_trace_stays_below_the_nuclear_norm(problem: Problem):
    low, high = ce.trace(problem.p, problem.q), ce.nuclear_norm(problem.p, problem.q)
    assert low.value.item() <= high.value.item() + 1e-9
    assert high.value.item() <= high.limit.item() + 1e-9
    assert low.limit.item() == high.limit.item()


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


@pytest.mark.parametrize("name", ["normalized_inner_product", "projection", "schur_trace", "nuclear_norm", "trace"])
def test_equality_at_the_same_mixture(name):
    p = mixture(6, 3)
    bound = OBJECTIVES[name](p, p)
    assert bound.gap.item() == pytest.approx(0, abs=1e-6)
    assert bound.tightness.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["normalized_inner_product", "projection", "schur_trace", "nuclear_norm", "trace"])
def test_strictly_below_elsewhere(name):
    assert OBJECTIVES[name](mixture(6, 3), mixture(6, 3, seed=1)).gap > 0.01


def test_projection_is_the_best_of_all_signed_weights():
    p, q = mixture(5, 2), mixture(4, 2, seed=1)
    gram, inner = (references.gram(as_arrays(a), as_arrays(b)) for a, b in ((q, q), (p, q)))
    k = inner.mean(0)
    best = np.linalg.solve(gram, k)

    def scalar_cost(weights):
        return math.log((weights @ k) ** 2 / (weights @ gram @ weights))

    value = ce.projection(p, q).value.item()
    assert value == pytest.approx(scalar_cost(best), abs=1e-6)
    rng = np.random.default_rng(0)
    assert all(scalar_cost(best + 0.1 * rng.standard_normal(4)) < value for _ in range(50))


def test_schur_trace_is_the_nystrom_trace_error():
    p, q = mixture(6, 2), mixture(3, 2, seed=1)
    pp, qq, pq = (references.gram(as_arrays(a), as_arrays(b)) for a, b in ((p, p), (q, q), (p, q)))
    error = np.trace(pp - pq @ np.linalg.solve(qq, pq.T)) / 6
    bound = ce.schur_trace(p, q)
    assert bound.limit.exp().item() - bound.value.exp().item() == pytest.approx(error, abs=1e-7)


def test_at_large_variance_the_bures_distance_is_the_wasserstein_distance_of_two_moments():
    p, q = mixture(40, 2, 1e6), ce.GaussianMixture(1 + 0.5 * mixture(30, 2, seed=1).centers, 1e6)
    means = [m.centers.mean(0).numpy() for m in (p, q)]
    covariances = [np.cov(m.centers.numpy().T, bias=True) for m in (p, q)]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    wasserstein = ((means[0] - means[1]) ** 2).sum() + sum(np.trace(c) for c in covariances)
    wasserstein -= 2 * np.sqrt(eigenvalues.real).sum()
    assert 2e6 * ce.bures_distance(p, q).item() ** 2 == pytest.approx(wasserstein, rel=1e-3)


def test_at_large_variance_the_trace_is_the_mean_squared_error():
    p, q = mixture(5, 3, 1e6), mixture(5, 3, 1e6, seed=1)
    error = (p.centers - q.centers).square().sum(-1).mean() / 4e6
    assert ce.trace(p, q).gap.item() == pytest.approx(error.item(), rel=1e-4)


def test_at_small_variance_the_nuclear_norm_counts_exact_matches():
    p = mixture(4, 2, 1e-6)
    q = ce.GaussianMixture(torch.cat([p.centers[[2, 0]], p.centers[:2] + 9]), 1e-6)
    assert ce.fidelity(p, q).item() == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_single_components_and_coinciding_centers(name):
    same = ce.GaussianMixture(torch.ones(4, 2).double(), 0.3)
    options = {"smoothing": 0.0} if name == "debiased_nuclear_norm" else {}
    bound = OBJECTIVES[name](same, same, **options)
    assert bound.gap.item() == pytest.approx(0, abs=1e-6)
    if not name.startswith("debiased"):
        one = ce.GaussianMixture(torch.ones(1, 2).double(), 0.3)
        assert OBJECTIVES[name](one, one).gap.item() == pytest.approx(0, abs=1e-6)


def test_the_inner_product_alone_prefers_one_point_at_the_mode():
    p = mixture(200, 1, 0.1)
    mode = ce.GaussianMixture(p.centers[p.log_prob(p.centers).argmax()][None], 0.1)
    assert ce.inner_product(p, mode).value > ce.inner_product(p, p).value
    assert ce.normalized_inner_product(p, mode).value < ce.normalized_inner_product(p, p).value


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_invariances(name, data):
    problem = data.draw(problems(square=name == "trace", shared=True))
    x, z, d = problem.x, problem.z, problem.x.shape[1]
    rotation = torch.linalg.qr(torch.randn(d, d, generator=generator(), dtype=torch.float64)).Q
    s = 2.5
    moved = [
        ce.GaussianMixture(s * (c @ rotation) + 3, s**2 * v, weights=w)
        for c, v, w in ((x, problem.x_variance, problem.x_weights), (z, problem.z_variance, problem.z_weights))
    ]
    before, after = OBJECTIVES[name](problem.p, problem.q), OBJECTIVES[name](*moved)
    shift = 0.0 if name in SCALE_FREE else -d * math.log(s)
    assert after.value.item() == pytest.approx(before.value.item() + shift, abs=1e-6)
    if name in EXACT_LIMIT:
        assert after.gap.item() == pytest.approx(before.gap.item(), abs=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("trace", "debiased_nuclear_norm")])
def test_order_of_components_does_not_matter(name):
    p, q = mixture(5, 2), mixture(4, 2, seed=1)
    reversed_q = ce.GaussianMixture(q.centers.flip(0), q.variance)
    reversed_p = ce.GaussianMixture(p.centers.flip(0), p.variance)
    value = OBJECTIVES[name](p, q).value.item()
    assert OBJECTIVES[name](reversed_p, reversed_q).value.item() == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_batches_equal_a_loop(name, device):
    x = torch.randn(3, 4, 2, generator=generator(), dtype=torch.float64).to(device)
    z = torch.randn(3, 4, 2, generator=generator(1), dtype=torch.float64).to(device)
    whole = OBJECTIVES[name](ce.GaussianMixture(x, 0.5), ce.GaussianMixture(z, 0.5))
    assert whole.value.shape == whole.limit.shape == (3,)
    for i in range(3):
        single = OBJECTIVES[name](ce.GaussianMixture(x[i], 0.5), ce.GaussianMixture(z[i], 0.5))
        assert whole.value[i].item() == pytest.approx(single.value.item(), abs=1e-9)
        if name in EXACT_LIMIT:
            assert whole.limit[i].item() == pytest.approx(single.limit.item(), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    n = 4 if name == "trace" else 3
    x = mixture(n, 2).centers.requires_grad_()
    z = mixture(4, 2, seed=1).centers.requires_grad_()
    v = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4, generator=generator(3), dtype=torch.float64, requires_grad=True)
    options = {"smoothing": 0.0} if name == "debiased_nuclear_norm" else {}  # with e > 0, e is held constant

    def value(x, z, v, w):
        return OBJECTIVES[name](ce.GaussianMixture(x, v), ce.GaussianMixture(z, v, log_weights=w), **options).value

    assert torch.autograd.gradcheck(value, (x, z, v, w))


@pytest.mark.parametrize("name", ["log_likelihood", "inner_product", "normalized_inner_product", "projection"])
def test_gradients_with_duplicates(name):
    z = torch.cat([torch.zeros(2, 2), torch.ones(2, 2)]).double().requires_grad_()
    p = mixture(3, 2)
    options = {"jitter": 1e-3} if name == "projection" else {}
    assert torch.autograd.gradcheck(lambda z: OBJECTIVES[name](p, ce.GaussianMixture(z, 0.5), **options).value, (z,))


@pytest.mark.parametrize("name", NAMES)
def test_limits_carry_no_gradient_to_the_model_that_is_not_theirs(name):
    z = mixture(4, 2, seed=1).centers.requires_grad_()
    p = mixture(4, 2)
    limit = OBJECTIVES[name](p, ce.GaussianMixture(z, 0.5)).limit
    assert not limit.requires_grad or torch.autograd.grad(limit, z, allow_unused=True)[0] is None


def test_the_smoothed_norm_is_lower_and_tends_to_the_exact_one():
    p, q = mixture(20, 2), mixture(30, 2, seed=1)
    values = [ce.nuclear_norm(p, q, smoothing=eps).value.item() for eps in (0.1, 0.01, 1e-3, 1e-6, 0.0)]
    assert values == sorted(values)
    assert values[-2] == pytest.approx(values[-1], abs=1e-4)


def test_debiasing_removes_the_pull_towards_collapse():
    # one law, fresh draws: the plain objective prefers a shrunken copy, the debiased one the law itself
    def mean_value(objective, shrink):
        values = [
            objective(
                mixture(64, 4, 0.1, seed=s), ce.GaussianMixture(shrink * mixture(128, 4, seed=99 + s).centers, 0.1)
            )
            for s in range(10)
        ]
        return torch.stack([bound.value for bound in values]).mean()

    assert mean_value(ce.nuclear_norm, 0.8) > mean_value(ce.nuclear_norm, 1.0)
    assert mean_value(ce.debiased_nuclear_norm, 0.8) < mean_value(ce.debiased_nuclear_norm, 1.0)


@pytest.mark.parametrize("smoothing", [0.0, 1e-4, 1e-2])
@given(problem=problems())
def test_pairs_equal_the_reference_and_stay_below_their_limit(smoothing, problem):
    p, q = problem.p, problem.q
    assume(p.components > 1)
    bound = ce.debiased_nuclear_norm(p, q, smoothing=smoothing, paired=True)
    value = references.debiased_nuclear_norm(as_arrays(p), as_arrays(q), smoothing, paired=True)
    assert bound.value.item() == pytest.approx(value, abs=1e-6)
    # arccos turns rounding near 1 into its root
    assert bound.limit.item() == pytest.approx(references.paired_limit(as_arrays(p), as_arrays(q), smoothing), abs=1e-4)
    assert bound.gap.item() > -1e-6


def test_pairs_of_the_same_data_are_no_pairs():
    p, q = mixture(6, 3), mixture(8, 3, seed=1)
    twice = ce.GaussianMixture(p.centers.repeat(2, 1), 0.5)
    paired, shared = ce.debiased_nuclear_norm(twice, q, paired=True), ce.debiased_nuclear_norm(p, q)
    assert paired.value.item() == pytest.approx(shared.value.item(), abs=1e-12)
    assert paired.limit.item() == pytest.approx(shared.limit.item(), abs=1e-6)


def test_pairs_have_a_less_noisy_gradient():
    # of a shift and a scale of the model's law, at the optimum, where their mean is 0
    def gradients(paired):
        for seed in range(200):
            shift, scale = torch.zeros(3, requires_grad=True), torch.ones((), requires_grad=True)
            x, z = (torch.randn(2, 32, 3, generator=generator(10 * seed + k), dtype=torch.float64) for k in (0, 1))
            p = ce.GaussianMixture(x.flatten(0, 1) if paired else x[0], 1.0)
            q = ce.GaussianMixture(scale * z.flatten(0, 1) + shift, 1.0)
            ce.debiased_nuclear_norm(p, q, smoothing=1e-2, paired=paired).value.backward()
            yield torch.cat([shift.grad, scale.grad[None]])

    paired, shared = (torch.stack(list(gradients(paired))) for paired in (True, False))
    assert (paired.var(0) < 0.85 * shared.var(0)).all()
    assert (paired.mean(0).abs() < 4 * paired.std(0) / 200**0.5).all()


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


def test_refusals():
    p, one = mixture(3, 2), mixture(1, 2)
    with pytest.raises(ValueError, match="pairs components one to one, got 3 and 1"):
        ce.trace(p, one)
    with pytest.raises(ValueError, match="at least 2 model components"):
        ce.debiased_nuclear_norm(p, one)
    with pytest.raises(ValueError, match="at least 2 data components"):
        ce.debiased_nuclear_norm(one, p, paired=True)
    with pytest.raises(ValueError, match="at least 2 components"):
        ce.debiased_normalized_inner_product(p, one)
    with pytest.raises(ValueError, match="smoothing must be a finite number >= 0, got -1"):
        ce.nuclear_norm(p, p, smoothing=-1)
    with pytest.raises(ValueError, match=r"jitter must lie in \(0, 1\), got 0"):
        ce.projection(p, p, jitter=0)
    for name in NAMES:
        with pytest.raises(ValueError, match=r"dimensions differ: . coordinates"):
            OBJECTIVES[name](p, mixture(3, 3))


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
    assert bound.tightness.item() > 0.99


def test_the_limit_of_the_log_likelihood_takes_batches():
    centers = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)).double()
    p, v = ce.GaussianMixture(centers[0] + 0.1, 0.3), torch.tensor([0.2, 0.5, 1.0]).double().reshape(3, 1, 1)
    bound = ce.log_likelihood(p, ce.GaussianMixture(centers, v))
    assert bound.limit.shape == bound.value.shape == (3,)
    for i in range(3):
        alone = ce.log_likelihood(p, ce.GaussianMixture(centers[i], v[i]), draws=2000)
        assert bound.limit[i].item() == pytest.approx(alone.limit.item(), abs=0.3)


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
