import math

import pytest
import torch

import contrastive_entropy as ce


def test_the_limit_is_computed_once_and_only_when_asked():
    calls = []

    def limit():
        calls.append(1)
        return torch.tensor(2.0)

    bound = ce.Bound(torch.tensor(1.0), limit)
    assert not calls
    assert bound.gap.item() == 1
    assert bound.attained.item() == pytest.approx(0.36787945)
    assert bound.limit.item() == 2
    assert len(calls) == 1


def test_what_is_attained_never_exceeds_one():
    assert ce.Bound(torch.tensor(1e-7), lambda: torch.tensor(0.0)).attained.item() == 1


def model(points):
    return ce.GaussianMixture(points, 0.3)


def test_minus_a_bound_is_its_loss_and_backward_raises_the_value():
    p, centers = model(torch.zeros(4, 2)), torch.randn(5, 2, requires_grad=True)
    bound = ce.normalized_inner_product(p, model(centers))
    assert isinstance(-bound, torch.Tensor)
    torch.testing.assert_close(-bound, -bound.value)
    (by_loss,) = torch.autograd.grad(-bound, centers)
    ce.normalized_inner_product(p, model(centers)).backward()
    torch.testing.assert_close(centers.grad, by_loss)
    uphill = centers.detach() - 1e-3 * centers.grad
    assert ce.normalized_inner_product(p, model(uphill)).value > bound.value


def test_backward_of_a_batch_says_what_to_do():
    bound = ce.normalized_inner_product(model(torch.zeros(4, 2)), model(torch.randn(3, 5, 2, requires_grad=True)))
    with pytest.raises(RuntimeError, match=r"needs one value, got \(3,\) of them: \(-bound\)\.mean\(\)\.backward\(\)"):
        bound.backward()
    (-bound).mean().backward()


ON_TWO = [
    ce.log_likelihood,
    ce.inner_product,
    ce.normalized_inner_product,
    ce.debiased_normalized_inner_product,
    ce.projection,
    ce.schur_trace,
    ce.nuclear_norm,
    ce.debiased_nuclear_norm,
    ce.trace,
    ce.cauchy_schwarz_divergence,
    ce.fidelity,
    ce.tightness,
    ce.fidelity_bracket,
    ce.bures_distance,
    ce.decompose,
    ce.conditional_log_likelihood,
    ce.conditional_normalized_inner_product,
    ce.conditional_trace,
]
BATCHES = (ce.conditional_log_likelihood, ce.conditional_normalized_inner_product, ce.conditional_trace)


@pytest.mark.parametrize("function", ON_TWO)
def test_points_in_place_of_a_mixture_are_refused_and_told_how_to_become_one(function):
    points = torch.zeros(4, 2)
    with pytest.raises(
        TypeError, match=r"p must be a GaussianMixture, got Tensor of shape \(4, 2\).*ce\.GaussianMixture"
    ):
        function(points, model(points))
    with pytest.raises(TypeError, match=r"q must be a GaussianMixture, got ndarray of shape \(4, 2\); of points x"):
        function(model(points), points.numpy())
    with pytest.raises(TypeError, match="q must be a GaussianMixture, got list; of points x"):
        function(model(points), [[0.0]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", ON_TWO)
def test_centers_that_are_not_finite_are_named(function, dtype):
    shape = (4, 3, 2) if function in BATCHES else (6, 2)
    good, broken = (torch.randn(*shape, generator=torch.Generator().manual_seed(k), dtype=dtype) for k in (0, 1))
    broken[..., 1, 0] = math.nan
    count = 4 if function in BATCHES else 1
    with pytest.raises(ValueError, match=f"q has NaN or infinite centers, {count} of {len(good.flatten(0, -2))}:"):
        function(model(good), model(broken))
    with pytest.raises(ValueError, match=f"p has NaN or infinite centers, {count} of {len(good.flatten(0, -2))}:"):
        function(model(broken), model(good))


@pytest.mark.parametrize("function", ON_TWO)
def test_a_center_at_infinity_is_named_or_is_a_component_that_is_near_nothing(function):
    shape = (4, 3, 2) if function in BATCHES else (6, 2)
    good, broken = (torch.randn(*shape, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    broken[..., 1, 0] = math.inf
    for p, q in ((good, broken), (broken, good)):
        try:
            found = function(model(p), model(q))
        except ValueError as error:
            assert "has NaN or infinite centers" in str(error)  # noqa: PT017
        else:
            assert bool((found.value if isinstance(found, ce.Bound) else found).isfinite())


def test_the_error_keeps_the_terms_that_were_computed():
    with pytest.raises(ValueError, match="q has NaN or infinite centers") as caught:
        ce.normalized_inner_product(model(torch.zeros(3, 2)), model(torch.full((3, 2), math.nan)))
    assert list(caught.value.terms) == ["log <p,q>", "log <q,q>"]


def test_a_value_that_is_not_finite_for_another_reason_is_returned():
    """Points so far apart that their distance overflows have no overlap at all."""
    p, q = model(torch.zeros(2, 20, dtype=torch.float64)), model(torch.full((2, 20), 1e200, dtype=torch.float64))
    assert not math.isfinite(ce.inner_product(p, q).value)


def test_the_mean_of_a_batch_is_that_of_value_limit_and_terms():
    value = torch.tensor([1.0, 3.0], requires_grad=True)
    bound = ce.Bound(2 * value, lambda: torch.tensor([8.0, 10.0]), {"part": value}).mean()
    assert float(bound.value.detach()) == 4
    assert float(bound.limit) == 9
    assert float(bound.terms["part"].detach()) == 2
    bound.backward()
    assert value.grad.tolist() == [-1, -1]
