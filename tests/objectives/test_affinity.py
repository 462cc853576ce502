import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import contrastive_entropy as ce
import references
from samples import generator, mixture
from strategies import as_arrays, problems


@pytest.mark.parametrize("jitter", [1e-6, 1e-3, 1e-1])
@given(problem=problems())
def test_values_equal_the_references_at_any_jitter(jitter, problem):
    p, q = as_arrays(problem.p), as_arrays(problem.q)
    bound = ce.affinity(problem.p, problem.q, jitter=jitter)
    assume(bound.attained > 1e-8)  # below it the reference's basis rounds
    value = bound.value
    assert value.item() == pytest.approx(references.affinity(p, q, jitter), abs=1e-6)
    for paired in (True, False):
        bound = ce.debiased_affinity(problem.p, problem.q, jitter=jitter, paired=paired)
        expected = references.debiased_affinity(p, q, jitter, paired=paired)
        assert bound.value.item() == pytest.approx(expected, abs=1e-6)


@given(problems())
def test_the_limit_of_pairs_is_the_affinity_of_the_datas_halves(problem):
    assume(problem.p.components > 1)
    bound = ce.debiased_affinity(problem.p, problem.q, paired=True)
    logs = references.log_affinities(references.halves(as_arrays(problem.p)), 1e-3)
    assert bound.limit.item() == pytest.approx(logs[0, 1], abs=1e-6)


@given(problems())
def test_the_affinity_lies_between_the_fidelity_and_its_square(problem):
    share = ce.affinity(problem.p, problem.q).attained.item()
    fidelity = ce.fidelity(problem.p, problem.q).item()
    assert fidelity**2 - 1e-5 <= share <= fidelity + 1e-6


@given(problems(), st.floats(-8, 0), st.floats(0.1, 3))
def test_jitter_lowers_the_affinity(problem, exponent, more):
    low, high = 10**exponent, 10 ** (exponent + more)
    one, other = (ce.affinity(problem.p, problem.q, jitter=jitter).value.item() for jitter in (low, high))
    assert other <= one + 1e-9


def test_one_point_sees_one_point_by_the_squared_kernel():
    x, z, v, jitter = torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[1.0, 0.5]]).double(), 0.4, 1e-2
    share = ce.affinity(ce.GaussianMixture(x, v), ce.GaussianMixture(z, v), jitter=jitter).attained.item()
    assert share == pytest.approx(math.exp(-1.25 / (2 * v)) / (1 + jitter))


def test_many_points_of_two_places_show_the_hellinger_affinity():
    # far apart places make the operators diagonal: shares a and b of the points there
    places = torch.tensor([[0.0], [50.0]]).double()
    p, q = (
        ce.GaussianMixture(places, 0.1, weights=torch.tensor(w, dtype=torch.float64)) for w in ([0.2, 0.8], [0.5, 0.5])
    )
    assert ce.affinity(p, q).attained.item() == pytest.approx(math.sqrt(0.1) + math.sqrt(0.4), abs=1e-6)


LAWS = [0.2, 0.3, 0.5], [0.5, 0.25, 0.25]
PLACES = torch.tensor([[0.0, 0.0], [1.0, 0.2], [-0.4, 0.8]]).double()


def batches(n, law):
    """Every batch of n draws from three places, with its probability."""
    for which in itertools.product(range(3), repeat=n):
        yield ce.GaussianMixture(PLACES[list(which)], 0.3), math.prod(law[i] for i in which)


def mean_affinity(n, one, other, jitter):
    """E A of independent batches, by all of them."""
    return sum(
        a * b * ce.affinity(x, z, jitter=jitter).attained.item()
        for (x, a), (z, b) in itertools.product(batches(n, one), batches(n, other))
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_theorem_on_all_batches_of_a_small_world(n):
    jitter = 1e-3
    data, model = LAWS
    own, cross, model_own = (mean_affinity(n, a, b, jitter) for a, b in ((data, data), (data, model), (model, model)))
    roots = [
        sum(weight * root for weight, root in zip(weights, references.operator_roots(both, jitter), strict=True))
        for both, weights in world(n)
    ]
    distance = float(np.sum((roots[0] - roots[1]) ** 2))
    assert own + model_own - 2 * cross == pytest.approx(distance, abs=1e-9)
    if n < 3:
        plain = expected(n, (PLACES, data), (PLACES, model), jitter=jitter, log=0)
        assert plain == pytest.approx(2 * cross - model_own, abs=1e-9)
    assert distance > 1e-3
    assert 2 * math.log(cross) - math.log(model_own) < math.log(own)


def world(n):
    """The batches of each law as arrays in one order, so that their roots have one basis, and their probabilities."""
    for law in LAWS:
        found = list(batches(n, law))
        yield [as_arrays(mixture) for mixture, _ in found], [weight for _, weight in found]


def expected(n, data, model, **options):
    """The mean value over all four batches of n draws, of laws that are places and their probabilities."""
    sides = [(places, torch.tensor(law, dtype=torch.float64)) for places, law in (data, data, model, model)]
    rows = torch.cartesian_prod(*(torch.arange(len(law)) for _, law in sides for _ in range(n))).reshape(-1, 4, n)
    weights = torch.stack([law[rows[:, k]].prod(-1) for k, (_, law) in enumerate(sides)]).prod(0)
    x, again, z, other = (places[rows[:, k]] for k, (places, _) in enumerate(sides))
    p, q = (ce.GaussianMixture(torch.cat(pair, 1), 0.3) for pair in ((x, again), (z, other)))
    return (weights * ce.debiased_affinity(p, q, paired=True, **options).value).sum().item()


def test_at_batch_size_1_the_log_does_not_see_the_spread_and_the_plain_form_does():
    places, law = torch.tensor([[-1.0], [1.0]]).double(), [0.5, 0.5]
    logs, plain = (
        [expected(1, (places, law), (scale * places, law), log=log) for scale in (0.0, 0.5, 1.0, 1.5)] for log in (1, 0)
    )
    assert logs == pytest.approx([logs[0]] * 4)
    assert max(plain) == plain[2]


def shares(n, count, jitter, change):
    """A(x,z), A(x',z'), A(z,z') and A(x,x') of so many batches, (4, count); the model's law is normal, changed."""
    x, z = (torch.randn(count, 2 * n, 2, generator=generator(k), dtype=torch.float64) for k in (n, n + 1))
    bound = ce.debiased_affinity(
        ce.GaussianMixture(x, 0.3), ce.GaussianMixture(change(z), 0.3), jitter=jitter, paired=True
    )
    return torch.stack([*bound.terms.values(), bound.limit]).exp()


CHANGES = {
    "shrunk": lambda z: 0.8 * z,
    "shifted": lambda z: z + 0.3,
    "stretched": lambda z: z * torch.tensor([1.3, 1.0]),
    "a heavy tail": lambda z: z * (1 + 0.3 * z.norm(dim=-1, keepdim=True)),
    "less of one side": lambda z: torch.where(z[..., :1] > 1, -z, z),
}


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_the_plain_form_is_stationary_at_equal_laws(n):
    """Its mean gradient along a scale of the model's law is 0, by chance alone."""
    count = 4000 if n < 64 else 400
    x, z = (torch.randn(count, 2 * n, 2, generator=generator(k), dtype=torch.float64) for k in (n, n + 1))
    scale = torch.ones(count, 1, 1, dtype=torch.float64, requires_grad=True)
    value = ce.debiased_affinity(
        ce.GaussianMixture(x, 0.3), ce.GaussianMixture(scale * z, 0.3), log=0, paired=True
    ).value
    (gradient,) = torch.autograd.grad(value.sum(), scale)
    assert abs(gradient.mean()) < 4 * gradient.std() / count**0.5
    assert gradient.abs().mean() > 0


@pytest.mark.parametrize("n", [1, 2, 8, 64])
@pytest.mark.parametrize("change", CHANGES)
def test_the_expected_gap_of_unequal_laws_is_positive(n, change):
    first, second, between, limit = shares(n, 2000 if n < 64 else 200, 1e-3, CHANGES[change])
    gap = limit + between - first - second
    chance = gap.std() / len(gap) ** 0.5
    assert (
        gap.mean() > (4 if n >= 8 else -4) * chance
    )  # small batches of so few draws do not show how far it is above 0


def near_singular(dtype=torch.float64):
    """Points of which many coincide or nearly do: Gram matrices with eigenvalues of 0 and 1e-8."""
    z = torch.cat([torch.zeros(3, 2), torch.full((2, 2), 1e-4), torch.eye(2), torch.eye(2)]).double()
    return mixture(6, 2), z.to(dtype)


@pytest.mark.parametrize("variance", [0.5, 50.0])
@pytest.mark.parametrize("paired", [True, False])
def test_gradients_with_duplicates_and_near_singular_grams(paired, variance):
    p, z = near_singular()

    def value(x, z, log_weights):
        data = ce.GaussianMixture(x, variance)
        return ce.debiased_affinity(
            data, ce.GaussianMixture(z, variance, log_weights=log_weights), jitter=1e-2, paired=paired
        ).value

    weights = torch.randn(len(z), generator=generator(3), dtype=torch.float64, requires_grad=True)
    inputs = (p.centers.clone().requires_grad_(), z.requires_grad_(), weights)
    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize("variance", [0.02, 0.5, 20.0])
@pytest.mark.parametrize("jitter", [1e-6, 1e-5, 1e-4, 1e-2])
def test_float32_keeps_value_and_gradient(jitter, variance, device):
    x, z = (torch.randn(128, 8, generator=generator(k), dtype=torch.float64) for k in (0, 1))
    found = []
    for dtype in (torch.float64, torch.float32):
        model = (0.9 * z).to(device, dtype).requires_grad_()
        bound = ce.debiased_affinity(
            ce.GaussianMixture(x.to(device, dtype), variance),
            ce.GaussianMixture(model, variance),
            jitter=jitter,
            paired=True,
        )
        (gradient,) = torch.autograd.grad(bound.value, model)
        found.append((bound.value.item(), gradient.double()))
    (exact, reference), (value, gradient) = found
    assert value == pytest.approx(exact, abs=1e-4)
    tolerance = 3e-3 if jitter == 1e-5 else 1e-3  # float32 rounds eigenvalues by 1e-8 to 1e-7; below 1e-5 it is float64
    assert (gradient - reference).norm() < tolerance * reference.norm()


def test_a_jitter_that_float32_cannot_hold_is_computed_in_float64():
    x = torch.randn(64, 2, generator=generator())
    one, other = (
        ce.affinity(ce.GaussianMixture(part, 2.0), ce.GaussianMixture(0.9 * part, 2.0)).value.item()
        for part in (x, x.double())
    )
    assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_through_float32(dtype):
    p, q = mixture(8, 2), mixture(8, 2, seed=1)
    half = [ce.GaussianMixture(m.centers.to(dtype), 0.5) for m in (p, q)]
    assert ce.debiased_affinity(*half).value.item() == pytest.approx(ce.debiased_affinity(p, q).value.item(), abs=0.05)


def test_one_data_set_faces_a_batch_of_models():
    p, z = mixture(6, 2), torch.randn(3, 4, 2, generator=generator(1), dtype=torch.float64).requires_grad_()
    x = p.centers.clone().requires_grad_()
    value = ce.debiased_affinity(ce.GaussianMixture(x, 0.5), ce.GaussianMixture(z, 0.5), paired=True).value
    assert value.shape == (3,)
    whole = torch.autograd.grad(value.sum(), (x, z))
    for i in range(3):
        single = ce.debiased_affinity(ce.GaussianMixture(x, 0.5), ce.GaussianMixture(z[i], 0.5), paired=True).value
        assert single.item() == pytest.approx(value[i].item(), abs=1e-12)
        torch.testing.assert_close(torch.autograd.grad(single, z, retain_graph=True)[0][i], whole[1][i])
    torch.testing.assert_close(
        whole[0],
        sum(
            torch.autograd.grad(
                ce.debiased_affinity(ce.GaussianMixture(x, 0.5), ce.GaussianMixture(z[i], 0.5), paired=True).value, x
            )[0]
            for i in range(3)
        ),
    )


def test_refusals():
    p, q = mixture(4, 2), mixture(4, 2, seed=1)
    with pytest.raises(ValueError, match="log must be 0 or 1"):
        ce.debiased_affinity(p, q, log=0.5)
    for jitter in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="jitter must be a positive number"):
            ce.debiased_affinity(p, q, jitter=jitter)
    with pytest.raises(ValueError, match="at least 2 model components"):
        ce.debiased_affinity(p, mixture(1, 2))
    with pytest.raises(ValueError, match="dimensions differ"):
        ce.affinity(p, mixture(4, 3))


def test_gradients_cannot_be_differentiated_again():
    x = mixture(4, 2).centers.requires_grad_()
    value = ce.debiased_affinity(mixture(4, 2, seed=1), ce.GaussianMixture(x, 0.5)).value
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        gradient.sum().backward()
