"""What docs/library.md says of torch.compile, torch.func, autocast and second derivatives."""

import re
from pathlib import Path

import pytest
import torch

import contrastive_entropy as ce
from samples import OBJECTIVES, generator

NAMES = sorted(OBJECTIVES)
PLAIN = ("schur_trace", "trace")
"""Objectives of torch's own operations alone."""

NORMS = ("nuclear_norm", "debiased_nuclear_norm", "affinity", "debiased_affinity")
SUMS = tuple(name for name in NAMES if name not in (*PLAIN, *NORMS))
PAGE = Path(__file__).parents[2] / "docs" / "library.md"


def points(seed, count=8, dimension=2, dtype=torch.float64):
    return torch.randn(count, dimension, generator=generator(seed), dtype=dtype)


DATA = {dtype: points(0, dtype=dtype) for dtype in (torch.float32, torch.float64)}


def value(name, z, variance=0.5, dtype=torch.float64):
    x = ce.GaussianMixture(DATA[dtype], variance)
    return OBJECTIVES[name](x, ce.GaussianMixture(z, variance)).value


def test_the_page_has_a_row_for_every_objective():
    rows = dict(re.findall(r"^\| (`.*?`) \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    named = [name for names in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted(named) == NAMES


def test_the_loop_on_the_page_runs():
    torch.manual_seed(0)
    names = {}
    exec(
        re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1].replace("print(", "(lambda found: None)("),
        names,
    )
    p = ce.GaussianMixture(names["x"], 0.1)
    assert ce.tightness(p, names["q"]) > ce.tightness(p, ce.GaussianMixture(torch.randn(256, 2) + 2, 0.1)) + 0.2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dimension", [2, 100])
def test_autocast_changes_nothing(name, dimension):
    z = points(1, 40, dimension, torch.float32).requires_grad_()
    p = ce.GaussianMixture(points(0, 40, dimension, torch.float32), 0.5 * dimension)
    values = []
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = OBJECTIVES[name](p, ce.GaussianMixture(z, 0.5 * dimension)).value
        values.append((found, *torch.autograd.grad(found, z)))
    for with_autocast, without in zip(*values, strict=True):
        torch.testing.assert_close(with_autocast, without, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_under_autocast_gives_points_of_half_precision(name):
    network = torch.nn.Linear(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        z = network(points(1, dtype=torch.float32))
        found = value(name, z, dtype=torch.float32)
    assert z.dtype == torch.bfloat16
    assert found.item() == pytest.approx(value(name, z.float(), dtype=torch.float32).item(), abs=1e-5)
    found.backward()
    assert bool(network.weight.grad.isfinite().all())


def second(name, z, variance):
    (gradient,) = torch.autograd.grad(value(name, z, variance), z, create_graph=True)
    return torch.autograd.grad(gradient.square().sum(), z)[0]


@pytest.mark.parametrize("name", PLAIN)
def test_second_derivatives(name):
    z = points(1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda z: value(name, z), z)


@pytest.mark.parametrize("name", SUMS)
def test_second_derivatives_with_a_variance_for_each_component(name):
    z = points(1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda z: value(name, z, torch.full((8, 1), 0.5).double()), z)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PLAIN])
def test_a_second_derivative_that_there_is_not_is_refused(name):
    """Without the refusal a gradient penalty would count nothing, and nobody would notice."""
    z = points(1).requires_grad_()
    with pytest.raises(RuntimeError, match=r"cannot be differentiated again.*first derivatives only"):
        second(name, z, 0.5)
    loss = z.square().sum() + torch.autograd.grad(value(name, z), z, create_graph=True)[0].square().sum()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        loss.backward()


@pytest.mark.parametrize("name", NORMS)
def test_the_norm_has_no_second_derivative_with_a_variance_for_each_component_either(name):
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        second(name, points(1).requires_grad_(), torch.full((8, 1), 0.5).double())


CONDITIONAL = [ce.conditional_log_likelihood, ce.conditional_normalized_inner_product, ce.conditional_trace]


@pytest.mark.parametrize("function", CONDITIONAL)
def test_second_derivatives_of_conditional_objectives(function):
    """Two are of torch's own operations where each condition has one draw; the norm of (E15) has none."""
    x, z = points(0)[:, None], points(1, 24).reshape(8, 3, 2).requires_grad_()

    def loss(z):
        return -function(ce.GaussianMixture(x, 0.5), ce.GaussianMixture(z, 0.5))

    if function is not ce.conditional_normalized_inner_product:
        assert torch.autograd.gradgradcheck(loss, z)
        return
    (gradient,) = torch.autograd.grad(loss(z), z, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(gradient.square().sum(), z)


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_of_the_gradient_that_is_not_used_changes_nothing(name):
    z = points(1).requires_grad_()
    (with_graph,) = torch.autograd.grad(value(name, z), z, create_graph=True)
    torch.testing.assert_close(with_graph.detach(), torch.autograd.grad(value(name, z), z)[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", PLAIN)
def test_transforms_of_torch_func(name):
    z = torch.stack([points(1), points(2)])
    mapped = torch.func.vmap(lambda z: value(name, z))(z)
    torch.testing.assert_close(mapped, torch.stack([value(name, part) for part in z]))
    leaf = z[0].clone().requires_grad_()
    torch.testing.assert_close(
        torch.func.grad(lambda z: value(name, z))(z[0]), torch.autograd.grad(value(name, leaf), leaf)[0]
    )


@pytest.mark.parametrize("transform", [torch.func.vmap, torch.func.grad])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in PLAIN])
def test_other_objectives_say_what_to_do_in_place_of_torch_func(name, transform):
    z = points(1) if transform is torch.func.grad else torch.stack([points(1), points(2)])
    with pytest.raises(RuntimeError, match=r"does not work under torch\.func.*centers of shape \(b, m, d\)"):
        transform(lambda z: value(name, z))(z)


def compiled_equals_plain(name, dtype, backend, **tolerance):
    network, z = torch.nn.Linear(2, 2).to(dtype), points(1, dtype=dtype)
    results = []
    for function in (value, torch.compile(value, backend=backend)):
        found = function(name, network(z), dtype=dtype)
        results.append((found.detach(), *torch.autograd.grad(found, list(network.parameters()))))
    torch._dynamo.reset()
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, **tolerance)


@pytest.mark.filterwarnings("ignore")  # of dynamo
@pytest.mark.parametrize("name", ["normalized_inner_product", "nuclear_norm", "trace"])
def test_compiled_losses_are_the_same(name):
    """Traced alone, which needs no compiler of C++."""
    compiled_equals_plain(name, torch.float64, "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_the_compiler_are_the_same(name):
    compiled_equals_plain(name, torch.float32, "inductor", rtol=1e-4, atol=1e-5)
