import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contrastive_entropy as ce
import references
from contrastive_entropy.mixtures.joint import JointMixture, conditional_bound
from contrastive_entropy.mixtures.limits import iid_tightness
from contrastive_entropy.objectives import conditional
from contrastive_entropy.objectives.conditional import (
    conditional_log_likelihood,
    conditional_normalized_inner_product,
    conditional_trace,
)
from samples import batch, generator, joint

OBJECTIVES = (conditional_normalized_inner_product, conditional_log_likelihood, conditional_trace)


@pytest.mark.parametrize(("v_x", "v_q"), [(0.5, 0.5), (0.2, 0.7)])
@pytest.mark.parametrize("components", [1, 4])
def test_the_value_is_the_formula(v_x, v_q, components):
    x, z = batch(components=components)
    bound = conditional_normalized_inner_product(ce.GaussianMixture(x[:, None], v_x), ce.GaussianMixture(z, v_q))
    expected = references.conditional_value(x.numpy(), z.numpy(), v_x, v_q)
    assert float(bound.value) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_fused_and_the_general_way_agree(objective, weighted, monkeypatch):
    x, z = batch(count=6, components=4, dimension=9)
    x[1], z[2, 1] = x[0], z[2, 0]
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64) if weighted else None

    def value_and_gradient():
        centers = z.clone().requires_grad_()
        p, q = ce.GaussianMixture(x[:, None], 0.4), ce.GaussianMixture(centers, 0.3, weights=weights)
        value = objective(p, q).value
        return value.detach(), *torch.autograd.grad(value, centers)

    fused = value_and_gradient()
    monkeypatch.setattr(conditional, "GRAM_NUMBERS", 0)
    for a, b in zip(fused, value_and_gradient(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradcheck(objective):
    x, z = batch()
    z[0, 1] = z[0, 0]
    z[3, 0] = x[3]
    p = ce.GaussianMixture(x[:, None], 0.4)
    assert torch.autograd.gradcheck(lambda z: objective(p, ce.GaussianMixture(z, 0.3)).value, z.requires_grad_())


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(seed=st.integers(0, 2**20), scale=st.floats(0.1, 10))
def test_laws(objective, seed, scale):
    x, z = batch(count=4, components=3, dimension=3, seed=seed)
    order = torch.randperm(4, generator=generator(seed))
    own = torch.randperm(3, generator=generator(seed + 1))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator(seed), dtype=torch.float64)).Q

    def value(x, z, variance=0.3):
        return float(objective(ce.GaussianMixture(x[:, None], variance), ce.GaussianMixture(z, variance)).value)

    base = value(x, z)
    for other in (value(x[order], z[order]), value(x, z[:, own]), value(x + 3, z + 3), value(x @ turn, z @ turn)):
        assert other == pytest.approx(base, abs=1e-8)
    unit = -3 * math.log(scale)  # a density's own
    assert value(scale * x, scale * z, 0.3 * scale**2) == pytest.approx(base + unit, abs=1e-8)


@given(seed=st.integers(0, 2**20), features=st.integers(1, 3), components=st.integers(1, 4))
def test_no_decoder_passes_the_limit(seed, features, components):
    law = joint(features=features, seed=seed)
    _, y = law.draw(20, generator=generator(seed))
    centers = law.points[torch.randint(12, (20, components), generator=generator(seed))]

    def model(conditions):
        index = [int((y == condition).all(-1).nonzero()[0, 0]) for condition in conditions]
        return ce.GaussianMixture(centers[index] + 0.1, 0.3)

    bound = conditional_bound(law, model, y)
    assert bound.gap >= -1e-12
    assert 0 <= bound.tightness <= 1


@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_model_that_draws_afresh_does_not_pass_the_limit(count):
    law = joint(count=5, variance=0.01)
    for seed in range(30):
        draw = generator(seed)
        _, y = law.draw(count, generator=draw)

        def model(conditions, draw=draw):
            return ce.GaussianMixture(law.points[torch.randint(5, (len(conditions), 2), generator=draw)], 0.01)

        assert conditional_bound(law, model, y).gap >= -1e-12


def test_a_center_near_a_point_of_no_weight_is_seen():
    points, features = torch.tensor([[0.0], [10.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    law = JointMixture(points, features, 0.001, 0.0025)
    y = torch.zeros(1, 1, dtype=torch.float64)
    q = ce.GaussianMixture(points[1].reshape(1, 1, 1), 0.001)
    inner, _ = law.log_inners_and_norms(y, lambda _: q)
    torch.testing.assert_close(inner, law.conditional(y).log_inner(q))
    assert float(inner) > -250


@pytest.mark.parametrize("shape", [(6, 1, 1), (3,), (6, 2, 1)])
def test_a_model_whose_variance_is_no_number_is_refused(shape):
    law = joint()
    _, y = law.draw(6, generator=generator())
    with pytest.raises(ValueError, match=r"must share one variance, a number; got one of shape \("):
        conditional_bound(law, lambda y: ce.GaussianMixture(torch.zeros(len(y), 2, 3).double(), torch.ones(shape)), y)


@pytest.mark.parametrize("features", [1, 2])
def test_the_posterior_mixture_attains_the_limit(features):
    law = joint(features=features)
    nodes, log_weights = law.quadrature() if features == 1 else (law.draw(30, generator=generator())[1], None)
    bound = conditional_bound(law, law.conditional, nodes, log_weights=log_weights)
    assert bound.gap == pytest.approx(0, abs=1e-12)
    assert bound.gap_error < 1e-12


def test_equal_centers_cost_up_to_log_c():
    x = 100.0 * torch.arange(4, dtype=torch.float64)[:, None, None].expand(4, 1, 2)
    p = ce.GaussianMixture(x, 0.1)
    spread = x + 30 * torch.arange(5, dtype=torch.float64)[:, None]
    together = conditional_normalized_inner_product(p, ce.GaussianMixture(x.expand(4, 5, 2), 0.1)).value
    apart = conditional_normalized_inner_product(p, ce.GaussianMixture(spread, 0.1)).value
    # one of five centers hits either way: apart, the cross term loses a factor 5 squared and the norm a factor 5
    assert float(together - apart) == pytest.approx(2 * math.log(5) - math.log(5), abs=1e-9)


def test_equal_centers_at_the_mean_lose_the_factor_c_against_posterior_draws():
    """C equal centers against C draws that are far apart: the norms differ by the factor C, the cross terms do not."""
    count = 6
    x = 50.0 * torch.eye(count, dtype=torch.float64)
    law = JointMixture(x, torch.zeros(count, 1, dtype=torch.float64), 0.1, 1.0)
    y = torch.zeros(2, 1, dtype=torch.float64)
    one = conditional_bound(law, lambda c: ce.GaussianMixture(x[:1].expand(len(c), count, count), 0.1), y)
    all_of_them = conditional_bound(law, lambda c: ce.GaussianMixture(x.expand(len(c), count, count), 0.1), y)
    assert all_of_them.tightness == pytest.approx(1)
    assert one.tightness == pytest.approx(1 / count)


def test_gaps_have_no_constant_of_the_dimension():
    dimension = 12_288
    x = torch.rand(10, dimension, generator=generator())
    y = torch.linspace(-1, 1, 10)[:, None]
    law = JointMixture(x, y, 1e-3, 0.01)
    bound = conditional_bound(law, law.conditional, law.draw(10, generator=generator())[1].double())
    assert abs(bound.value) > 10_000
    assert bound.gap == pytest.approx(0, abs=1e-9)
    assert 0.1 < bound.concentration < 1


def test_log_likelihood_of_one_center_is_the_squared_error():
    x, z = batch(components=1)
    value = conditional_log_likelihood(ce.GaussianMixture(x[:, None], 9.0), ce.GaussianMixture(z, 0.3)).value
    error = (x - z[:, 0]).square().sum(-1).mean()
    assert float(value) == pytest.approx(float(-error / 0.6) - math.log(2 * math.pi * 0.3))


def test_log_likelihood_does_not_see_equal_centers_and_stays_below_its_limit():
    law = joint(count=40)
    index, y = law.draw(400, generator=generator())
    p = ce.GaussianMixture(law.points[index][:, None], 0.3)
    limit = law.negative_entropy(index, y, variance=0.3, draws=8)
    one = ce.GaussianMixture(law.points[index][:, None] * 0.9, 0.3)
    three = ce.GaussianMixture(one.centers.expand(-1, 3, -1), 0.3)
    values = [float(conditional_log_likelihood(p, q).value) for q in (one, three)]
    assert values[0] == pytest.approx(values[1])
    posterior = law.conditional(y)
    assert float(conditional_log_likelihood(p, posterior).value) < float(limit)
    assert float(conditional_log_likelihood(p, one).limit) == pytest.approx(-math.log(2 * math.pi * 0.3))
    far = JointMixture(100 * law.points, law.features, 0.3, 1e-6)  # separated: the limit is attained
    index, y = far.draw(40, generator=generator())
    p = ce.GaussianMixture(far.points[index][:, None], 0.3)
    attained = conditional_log_likelihood(p, far.conditional(y)).value
    assert float(far.negative_entropy(index, y, variance=0.3, draws=8)) == pytest.approx(float(attained), abs=0.05)


def test_trace_is_that_of_the_marginal_objectives():
    x, z = batch(count=7, components=1)
    value = conditional_trace(ce.GaussianMixture(x[:, None], 0.4), ce.GaussianMixture(z, 0.4)).value
    marginal = ce.trace(ce.GaussianMixture(x, 0.4), ce.GaussianMixture(z[:, 0], 0.4))
    assert float(value) == pytest.approx(float(marginal.value))


@pytest.mark.parametrize("variance", [1e-4, 1.0, 100.0])
def test_float32_is_as_good_as_float64(variance):
    x, z = batch(count=8, components=5, dimension=784, dtype=torch.float32)
    z = x[:, None] + 0.3 * z
    pairs = [
        (ce.GaussianMixture(a[:, None], variance), ce.GaussianMixture(b, variance))
        for a, b in ((x, z), (x.double(), z.double()))
    ]
    values = [float(conditional_normalized_inner_product(p, q).value) for p, q in pairs]
    assert values[0] == pytest.approx(values[1], abs=1e-3, rel=1e-6)


def test_a_decoder_that_is_not_finite_is_named():
    x, z = batch()
    z[0, 0, 0] = math.nan
    with pytest.raises(ValueError, match=r"q has NaN or infinite centers, 1 of 15") as caught:
        conditional_normalized_inner_product(ce.GaussianMixture(x[:, None], 1.0), ce.GaussianMixture(z, 1.0))
    assert all(math.isnan(float(term)) for term in caught.value.terms.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: iid_tightness(0.5, 0), "centers must be at least 1, got 0"),
        (lambda: JointMixture(torch.zeros(3, 2), torch.zeros(2, 1), 1.0, 1.0), "3 points and 2 features"),
        (
            lambda: JointMixture(torch.zeros(3, 2), torch.zeros(3), 1.0, 1.0),
            r"features must be floating point of shape",
        ),
        (lambda: JointMixture(torch.zeros(3, 2), torch.zeros(3, 1), 0.0, 1.0), "variance must be a positive number"),
        (
            lambda: JointMixture(torch.zeros(3, 2), torch.zeros(3, 1), 1.0, math.nan),
            "feature_variance must be a positive",
        ),
        (lambda: joint(features=2).quadrature(), "one-dimensional features, got 2 dimensions"),
        (lambda: joint().log_norms(torch.zeros(3, 2)), r"conditions must have shape \(s, 1\) as the features"),
        (
            lambda: conditional_trace(
                ce.GaussianMixture(torch.zeros(2, 1), 1.0), ce.GaussianMixture(torch.zeros(2, 1), 1.0)
            ),
            r"batches over the same conditions.*got batch shapes \(\) and \(\)",
        ),
        (
            lambda: conditional_trace(
                ce.GaussianMixture(torch.zeros(2, 1, 1), 1.0), ce.GaussianMixture(torch.zeros(2, 1, 2), 1.0)
            ),
            "p has 1 coordinates and q has 2",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("objective", [conditional_log_likelihood, conditional_trace])
def test_many_centers_need_no_matrix_of_their_pairs(monkeypatch, objective):
    """(E16) and (E17) look at each center once; the general engine is only for what float64 cannot resolve."""
    generator = torch.Generator().manual_seed(0)
    p = ce.GaussianMixture(torch.randn(3, 1, 2, generator=generator), 0.5)
    centers = torch.randn(3, 6, 2, generator=generator)
    expected = objective(p, ce.GaussianMixture(centers.double(), 0.5)).value

    def forbidden(*arguments, **options):
        raise AssertionError("the matrix of pairs was formed")

    monkeypatch.setattr(conditional, "GRAM_NUMBERS", 0)
    monkeypatch.setattr(conditional._OffsetGram, "apply", forbidden)
    monkeypatch.setattr(ce.GaussianMixture, "log_inner", forbidden)
    monkeypatch.setattr(ce.GaussianMixture, "log_prob", forbidden)
    torch.testing.assert_close(objective(p, ce.GaussianMixture(centers, 0.5)).value, expected, rtol=1e-6, atol=1e-6)
