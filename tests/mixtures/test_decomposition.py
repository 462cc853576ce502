import numpy as np
import pytest
import torch

import contrastive_entropy as ce


def points(n, d=2, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixtures(n=30, m=20, weighted=True):
    weights = [points(k, 1, 5 + k)[:, 0].exp() if weighted else None for k in (n, m)]
    v = torch.tensor([0.2, 0.5]).double()
    return ce.GaussianMixture(points(n), v, weights=weights[0]), ce.GaussianMixture(
        points(m, 2, 1), 0.3, weights=weights[1]
    )


def kernel(p, q):
    """The unit kernel, entry by entry."""
    total = (p.variance + q.variance).expand(1, p.dimension)[0].numpy()
    return np.array(
        [[np.exp(-(((x - z) ** 2) / (2 * total)).sum()) for z in q.centers.numpy()] for x in p.centers.numpy()]
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_functions_are_orthonormal_and_add_up_to_the_kernel(weighted):
    p, q = mixtures(weighted=weighted)
    found = ce.decompose(p, q, cut=0)
    a, w = p.log_weights.exp(), q.log_weights.exp()
    identity = torch.eye(found.rank, dtype=torch.float64)
    assert found.rank == 20
    torch.testing.assert_close(found.left_values.T @ (a[:, None] * found.left_values), identity, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.right_values.T @ (w[:, None] * found.right_values), identity, atol=1e-10, rtol=0)
    rebuilt = (found.left_values * found.values) @ found.right_values.T
    np.testing.assert_allclose(rebuilt.numpy(), kernel(p, q), atol=1e-10)


def test_values_sum_to_the_fidelity():
    p, q = mixtures()
    found = ce.decompose(p, q, cut=0)
    q_same = ce.GaussianMixture(q.centers, p.variance, log_weights=q.log_weights)
    same = ce.decompose(p, q_same, cut=0)
    assert same.values.sum().item() == pytest.approx(ce.fidelity(p, q_same).item(), abs=1e-10)
    assert found.values.sum().item() == pytest.approx(found.total.item(), abs=1e-12)
    cut = ce.decompose(p, q, cut=1e-2)
    assert cut.rank < found.rank
    assert (cut.values > 1e-2 * cut.values[0]).all()
    assert cut.total.item() == pytest.approx(found.total.item(), abs=1e-12)
    assert ce.decompose(p, q, rank=3).rank == 3


def test_the_extension_reproduces_the_functions_at_the_sample():
    p, q = mixtures()
    found = ce.decompose(p, q, cut=1e-4)
    torch.testing.assert_close(found.left(p.centers), found.left_values, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.right(q.centers), found.right_values, atol=1e-10, rtol=0)


def test_the_extension_is_the_operator():
    """At any x: 1/s_k sum_j w_j k(x, z_j) g_k(z_j), term by term."""
    p, q = mixtures()
    found = ce.decompose(p, q, rank=4)
    x = points(1, 2, 7)
    single = ce.GaussianMixture(x, p.variance)
    weights = q.log_weights.exp().numpy()
    expected = [
        sum(w * k * g for w, k, g in zip(weights, kernel(single, q)[0], found.right_values[:, r].numpy(), strict=True))
        / found.values[r].item()
        for r in range(4)
    ]
    np.testing.assert_allclose(found.left(x)[0].numpy(), expected, atol=1e-10)


def test_signs_and_order_are_fixed():
    p, q = mixtures()
    found = ce.decompose(p, q)
    peaks = found.left_values.gather(0, (found.left_values * p.log_weights.exp().sqrt()[:, None]).abs().argmax(0)[None])
    assert (peaks > 0).all()
    assert (found.values.diff() <= 0).all()
    again = ce.decompose(p, q)
    assert torch.equal(again.left_values, found.left_values)


def test_a_gaussian_has_hermite_functions():
    """Mercer: for p = q standard normal the values fall geometrically."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(800, 1, generator=generator, dtype=torch.float64)
    p = ce.GaussianMixture(x, 0.5)
    values = ce.decompose(p, p, rank=4).values
    # exp(-(x - z)^2 / 2) under N(0, 1): sqrt(2a / s) (b / s)^k, a = 1/4, b = 1/2, s = a + b + sqrt(a^2 + 2ab)
    scale = 0.25 + 0.5 + (0.0625 + 0.25) ** 0.5
    expected = [(0.5 / scale) ** 0.5 * (0.5 / scale) ** k for k in range(4)]
    assert values.tolist() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, q: ce.decompose(p, q, cut=1.0), r"cut must lie in \[0, 1\), got 1"),
        (lambda p, q: ce.decompose(p, q, rank=0), "rank must be at least 1, got 0"),
        (
            lambda p, q: ce.decompose(ce.GaussianMixture(points(6).reshape(2, 3, 2), 0.1), q),
            r"p has leading dimensions \(2,\)",
        ),
        (lambda p, q: ce.decompose(p, ce.GaussianMixture(points(3), torch.ones(3, 1))), "one variance .* q has 3"),
        (
            lambda p, q: ce.decompose(p, ce.GaussianMixture(points(2), 0.1, weights=torch.tensor([1.0, 0]))),
            "q has components without weight",
        ),
        (
            lambda p, q: ce.decompose(p, ce.GaussianMixture(q.centers + 1e4, 0.1)),
            "no component of p is near any of q at these variances",
        ),
        (lambda p, q: ce.decompose(p, q).left(points(3, 4)), r"points must have shape \(l, 2\), got \(3, 4\)"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        change(*mixtures())
