import itertools
import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contrastive_entropy as ce
import references as ref
from contrastive_entropy.numerics import engines
from contrastive_entropy.numerics.pairwise import log_sum_over_components, log_sum_over_own_pairs, log_sum_over_pairs

ENGINES = ["automatic", "fused", "products", "differences"]


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    if request.param == "fused" and engines.fused_kernel() is None:
        pytest.skip("this build of torch lacks the CPU attention kernel")
    monkeypatch.setattr(engines, "automatic", getattr(engines, request.param))
    return request.param


@pytest.fixture(params=[7, 64, 1 << 20])
def tile(request, monkeypatch):
    """Tiles that are ragged at both edges, and one that holds everything."""
    monkeypatch.setattr(engines, "TILE", request.param)
    return request.param


def points(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def log_weights(n, seed=9):
    return torch.log_softmax(points(n, 1, seed)[:, 0], 0)


def shared(v):
    return torch.full((1, 1), v, dtype=torch.float64)


def close(value, expected, dtype):
    """1e-10 in float64, 1e-5 in float32, relative to the larger of 1 and the value."""
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-5}[dtype]
    expected = torch.as_tensor(expected, dtype=torch.float64)
    scale = max(1.0, float(expected.abs().max()))
    return bool(((value.double() - expected).abs() <= tolerance * scale).all())


def everything(x, vx, a, z, vz, b):
    """The three sums."""
    rows, constant = log_sum_over_components(x, vx, z, vz, b)
    return (
        rows.double() + constant,
        log_sum_over_pairs(x, vx, a, z, vz, b),
        log_sum_over_own_pairs(z, vz, b, self_terms=True),
    )


def expected(x, vx, a, z, vz, b):
    arrays = [t.double().numpy() for t in (x, vx, a, z, vz, b)]
    rows = ref.log_sum_over_components(*arrays[:2], *arrays[3:])
    return (
        torch.from_numpy(rows),
        ref.log_sum(rows + arrays[2]),
        ref.log_sum(ref.log_sum_over_components(*arrays[3:5], *arrays[3:]) + arrays[5]),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("d", [1, 2, 20])
@pytest.mark.parametrize("variance", [1e-6, 1e-3, 1.0, 1e6])
@pytest.mark.filterwarnings("ignore:distances are so large:contrastive_entropy.NumericalWarning")
def test_engines_equal_the_reference(engine, d, variance, dtype):
    x, z = points(5, d, 0, dtype), points(7, d, 1, dtype)
    z[-1], z[-2] = z[0], x[0]
    b = log_weights(7)
    b[2] = -math.inf
    a = log_weights(5)
    a[1] = -math.inf
    arguments = (x, shared(variance), a, z, shared(variance / 2), b)
    for value, right in zip(everything(*arguments), expected(*arguments), strict=True):
        assert close(value, right, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("variance", [1e-6, 1.0, 1e6])
@pytest.mark.filterwarnings("ignore:distances are so large:contrastive_entropy.NumericalWarning")
def test_a_translation_by_a_thousand_changes_nothing(engine, variance, dtype):
    x, z = (points(6, 3, seed, dtype) + 1000 for seed in (0, 1))
    arguments = (x, shared(variance), log_weights(6), z, shared(variance), log_weights(6))
    for value, right in zip(everything(*arguments), expected(*arguments), strict=True):
        assert close(value, right, dtype)


@given(n=st.integers(1, 5), m=st.integers(1, 5), d=st.integers(1, 4), seed=st.integers(0, 99))
def test_tiles_of_any_shape_hold_every_pair_once(n, m, d, seed):
    x, z, b = points(n, d, seed), points(m, d, seed + 1), log_weights(m, seed)
    right = torch.logsumexp(b - torch.cdist(x, z).square() / 2, -1)
    mean = torch.softmax(b - torch.cdist(x, z).square() / 2, -1) @ z
    for size, name in itertools.product((1, 3, 8, 1000), ("products", "differences")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engines, "TILE", size)
            rows, average = getattr(engines, name)(x[None], z[None], b[None], with_mean=True)
        torch.testing.assert_close(rows[0], right)
        torch.testing.assert_close(average[0], mean)


def test_results_do_not_depend_on_the_tile(monkeypatch):
    x, z, b = points(300, 40, 0, torch.float32), points(200, 40, 1, torch.float32), log_weights(200)
    results = []
    for size in (64, 1000, 1 << 20):
        monkeypatch.setattr(engines, "TILE", size)
        results.append(engines.products(x[None], z[None], b[None].float(), with_mean=False)[0])
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-6, atol=0)


SIDES = list(itertools.product([False, True], repeat=5))


@pytest.mark.parametrize("wanted", [s for s in SIDES if any(s)])
def test_gradients_on_any_side(engine, wanted):
    """gradcheck of all three sums in x, z, their weights and the variance, with duplicates and n != m."""
    leaves = [
        points(3, 2),
        torch.cat([points(2, 2, 1), points(3, 2)]),
        log_weights(3),
        log_weights(5),
        points(1, 1).exp(),
    ]
    for leaf, flag in zip(leaves, wanted, strict=True):
        leaf.requires_grad_(flag)

    def sums(x, z, a, b, v):
        return everything(x, v, a, z, 2 * v, b)

    assert torch.autograd.gradcheck(sums, leaves)


def test_gradients_without_self_terms_and_over_tiles(tile):
    x, b = points(6, 2).requires_grad_(), log_weights(6).requires_grad_()
    v = shared(0.4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, v, b: log_sum_over_own_pairs(x, v, b, self_terms=False), (x, v, b))


@pytest.mark.parametrize("shape", [(5, 1), (5, 2), (1, 2)])
@pytest.mark.parametrize("self_terms", [True, False])
def test_separate_variances_over_tiles(tile, shape, self_terms):
    x, z, b = points(4, 2).requires_grad_(), points(5, 2, 1).requires_grad_(), log_weights(5).requires_grad_()
    v = (0.2 + points(*shape, 3).square()).requires_grad_()
    arguments = (x, shared(0.3), log_weights(4), z, v, b)
    for value, right in zip(everything(*arguments), expected(*(t.detach() for t in arguments)), strict=True):
        torch.testing.assert_close(value.detach(), torch.as_tensor(right, dtype=torch.float64), rtol=1e-10, atol=1e-10)

    def sums(x, z, v, b):
        return *everything(x, shared(0.3), log_weights(4), z, v, b), log_sum_over_own_pairs(
            z, v, b, self_terms=self_terms
        )

    assert torch.autograd.gradcheck(sums, (x, z, v, b))


def test_rows_with_gradients_of_both_signs(engine):
    x, z, b = points(6, 3), points(4, 3, 1), log_weights(4)
    signs = torch.tensor([1.0, -2.0, 0.0, 3.0, -1.0, 0.5]).double()
    z.requires_grad_()
    rows, _ = log_sum_over_components(x, shared(0.5), z, shared(0.5), b)
    (found,) = torch.autograd.grad((signs * rows).sum(), z)
    dense = torch.logsumexp(b - (x[:, None] - z).square().sum(-1) / 2, -1)
    torch.testing.assert_close(found, torch.autograd.grad((signs * dense).sum(), z)[0])


def test_a_batch_entry_that_a_loss_leaves_out_has_no_gradient(engine):
    x, z, b = points(6, 3), points(8, 3, 1).reshape(2, 4, 3), log_weights(4)
    z.requires_grad_()
    rows, _ = log_sum_over_components(x, shared(0.5), z, shared(0.5), b)
    (alone,) = torch.autograd.grad(log_sum_over_components(x, shared(0.5), z[0], shared(0.5), b)[0].sum(), z)
    for loss, second in ((rows[0].sum(), 0.0), (rows[0].sum() - rows[1].sum(), -1.0), (rows[0] @ rows[1] * 0, 0.0)):
        (found,) = torch.autograd.grad(loss, z, retain_graph=True)
        assert bool(found.isfinite().all())
        if second:
            found = found[0]
            torch.testing.assert_close(found, alone[0])
        elif loss:
            torch.testing.assert_close(found, alone)
        else:
            assert not found.any()


def test_one_point_on_either_side(engine):
    for n, m in ((1, 1), (1, 4), (4, 1)):
        arguments = (points(n, 3), shared(0.5), log_weights(n), points(m, 3, 1), shared(0.2), log_weights(m))
        for value, right in zip(everything(*arguments), expected(*arguments), strict=True):
            assert close(value, right, torch.float64)


def test_memory_that_is_not_contiguous(engine):
    wide, tall = points(6, 14), points(5, 8, 1)
    x, z = wide[:, ::2], tall.T[:, ::1][:7].T  # strided columns; a transposed block
    arguments = (x, shared(0.5), log_weights(6), z, shared(0.2), log_weights(10)[::2])
    whole = tuple(t.contiguous() for t in arguments)
    for value, right in zip(everything(*arguments), everything(*whole), strict=True):
        torch.testing.assert_close(value, right, rtol=1e-14, atol=0)


def test_batches_broadcast(engine):
    x, z = points(24, 2).reshape(2, 1, 4, 3, 2)[:, :, 0], points(30, 2, 1).reshape(3, 5, 2, 2)[:, :, 0]
    a, b, v = log_weights(3), points(15, 1, 5).reshape(3, 5), 0.2 + points(2, 1, 6).square().reshape(2, 1, 1, 1)
    rows, _constant = log_sum_over_components(x, v, z, shared(0.1), b)
    total = log_sum_over_pairs(x, v, a, z, shared(0.1), b)
    assert rows.shape == (2, 3, 3)
    assert total.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        single = log_sum_over_pairs(x[i, 0], v[i, 0], a, z[j], shared(0.1), b[j])
        torch.testing.assert_close(total[i, j], single)
        alone, _ = log_sum_over_components(x[i, 0], v[i, 0], z[j], shared(0.1), b[j])
        torch.testing.assert_close(rows[i, j], alone)


def test_without_the_private_kernel(monkeypatch):
    """A torch that lacks the operator falls back."""
    x, z = points(40, 2), points(30, 2, 1)
    arguments = (x, shared(0.5), log_weights(40), z, shared(0.2), log_weights(30))
    fused = everything(*arguments)
    monkeypatch.setattr(engines, "fused_kernel", lambda: None)
    for value, right in zip(everything(*arguments), fused, strict=True):
        torch.testing.assert_close(value, right)


def test_a_private_kernel_that_changed_is_not_used():
    def other_arguments(q, k, v):
        return q, k

    def other_meaning(q, k, v, dropout, causal, *, attn_mask, scale):
        return q, torch.zeros(1, 1, 2)

    assert not engines._works(other_arguments)
    assert not engines._works(other_meaning)
    assert engines.fused_kernel() is not None  # of the torch that the tests are pinned to


@pytest.mark.parametrize("shape", [(1, 1), (1, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_shared_diagonal_scales_the_coordinates(engine, shape, dtype):
    v = 0.2 + points(*shape, 3).square()
    arguments = (points(6, 3, 0, dtype), v, log_weights(6), points(5, 3, 1, dtype), 2 * v, log_weights(5))
    for value, right in zip(everything(*arguments), expected(*arguments), strict=True):
        assert close(value, right, dtype)


def test_precision_is_raised_where_it_must_be():
    calls = []

    def spy(name):
        real = getattr(engines, name)

        def engine(queries, *rest, **keywords):
            calls.append((name, queries.dtype))
            return real(queries, *rest, **keywords)

        return engine

    x = points(50, 3, dtype=torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("automatic", "differences"):
            patch.setattr(engines, name, spy(name))
        for variance in (10.0, 0.01, 1e-13):
            ce.GaussianMixture(x, variance).log_norm()
        ce.GaussianMixture(x.double(), 1e-6).log_norm()
    assert calls == [
        ("automatic", torch.float32),
        ("automatic", torch.float64),
        ("differences", torch.float64),
        ("differences", torch.float64),
    ]


def test_raised_precision_is_announced_where_it_costs():
    far = 100 * points(5, 20, dtype=torch.float32)
    with pytest.warns(ce.NumericalWarning, match=r"float32 would err by \de[+-]\d+ nats .* computing in float64"):
        ce.GaussianMixture(far, 0.01).log_norm()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ce.GaussianMixture(far, 100.0).log_norm()
        ce.GaussianMixture(far[:, :3], 0.01).log_norm()


def test_low_precision_modes_do_not_touch_the_sums():
    x = points(60, 64, dtype=torch.float32)
    q = ce.GaussianMixture(x, 20.0)
    plain = q.log_norm(), q.log_prob(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = q.log_norm(), q.log_prob(x)
    assert plain[0].equal(inside[0])
    assert plain[1].equal(inside[1])
    half = ce.GaussianMixture(x.bfloat16(), 20.0).log_norm()
    assert half.item() == pytest.approx(ce.GaussianMixture(x.bfloat16().float(), 20.0).log_norm().item())


def test_memory_is_linear():
    """60,000 x 60,000 pairs would take 14 GB; the process may grow by 64 MiB."""
    import resource

    x = points(2_000, 2, dtype=torch.float32).requires_grad_()
    ce.GaussianMixture(x, 0.5).log_norm().backward()  # load what is loaded once
    large = points(20_000, 2, dtype=torch.float32).requires_grad_()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ce.GaussianMixture(large, 0.5).log_norm().backward()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
