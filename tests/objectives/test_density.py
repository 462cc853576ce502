import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contrastive_entropy as ce
import references
from samples import OBJECTIVES, generator, mixture
from strategies import Problem, as_arrays, problems

NAMES = sorted(OBJECTIVES)

EXACT_LIMIT = [name for name in NAMES if name != "log_likelihood"]  # that one is a Monte-Carlo estimate

ON_EVERY_BATCH = [name for name in EXACT_LIMIT if name != "debiased_affinity"]  # whose limit holds in expectation

SCALE_FREE = ("debiased_nuclear_norm", "debiased_affinity")


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


@pytest.mark.parametrize("name", ON_EVERY_BATCH)
@given(data=st.data())
def test_values_stay_on_their_side_of_the_limit(name, data):
    problem = data.draw(problems(square=name == "trace"))
    bound = OBJECTIVES[name](problem.p, problem.q)
    assert bound.gap.item() > -1e-9
    assert 0 <= bound.attained.item() <= 1
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


WITH_EQUALITY = ["normalized_inner_product", "projection", "schur_trace", "nuclear_norm", "affinity", "trace"]


@pytest.mark.parametrize("name", WITH_EQUALITY)
def test_equality_at_the_same_mixture(name):
    p = mixture(6, 3)
    bound = OBJECTIVES[name](p, p)
    assert bound.gap.item() == pytest.approx(0, abs=1e-6)
    assert bound.attained.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", WITH_EQUALITY)
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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("trace", *SCALE_FREE)])
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


def test_the_limit_of_the_log_likelihood_takes_batches():
    centers = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)).double()
    p, v = ce.GaussianMixture(centers[0] + 0.1, 0.3), torch.tensor([0.2, 0.5, 1.0]).double().reshape(3, 1, 1)
    bound = ce.log_likelihood(p, ce.GaussianMixture(centers, v))
    assert bound.limit.shape == bound.value.shape == (3,)
    for i in range(3):
        alone = ce.log_likelihood(p, ce.GaussianMixture(centers[i], v[i]), draws=2000)
        assert bound.limit[i].item() == pytest.approx(alone.limit.item(), abs=0.3)
