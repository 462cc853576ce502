"""Slow, plain float64 numpy: every formula as it is written, loops and all, for small dimensions and friendly variances.

A mixture is (centers (m, d), variances (m, d), weights (m,)).
"""

import numpy as np

Mixture = tuple[np.ndarray, np.ndarray, np.ndarray]


def normal(difference: np.ndarray, variance: np.ndarray) -> float:
    """N(u; v), diagonal."""
    return float(np.prod(np.exp(-(difference**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)))


def gram(p: Mixture, q: Mixture) -> np.ndarray:
    """Implements (E1): K_ij = <N_i, N_j>."""
    return np.array(
        [[normal(x - z, v + u) for z, u in zip(q[0], q[1], strict=True)] for x, v in zip(p[0], p[1], strict=True)]
    )


def log_sum(terms: np.ndarray) -> float:
    """LSE of all terms, on the log scale throughout."""
    peak = terms.max()
    return float(peak + np.log(np.exp(terms - peak).sum()))


def log_sum_over_components(
    x: np.ndarray, x_variance: np.ndarray, z: np.ndarray, z_variance: np.ndarray, log_weights: np.ndarray
) -> np.ndarray:
    """LSE_j[log w_j + log N(x_i - z_j; v_i + v_j)], on the log scale, for variances that broadcast against the points."""
    x_variance, z_variance = np.broadcast_to(x_variance, x.shape), np.broadcast_to(z_variance, z.shape)
    rows = []
    for point, v in zip(x, x_variance, strict=True):
        total = v + z_variance
        logs = -0.5 * ((point - z) ** 2 / total + np.log(2 * np.pi * total)).sum(1)
        rows.append(log_sum(log_weights + logs))
    return np.array(rows)


def density(q: Mixture, x: np.ndarray) -> float:
    """q(x)."""
    return sum(w * normal(x - z, v) for z, v, w in zip(*q, strict=True))


def log_inner(p: Mixture, q: Mixture) -> float:
    """Implements (E2)."""
    return float(np.log(p[2] @ gram(p, q) @ q[2]))


def log_norm_without_self(q: Mixture) -> float:
    """Implements the U-statistic of (E3)."""
    k, total, weight = gram(q, q), 0.0, 0.0
    for i in range(len(k)):
        for j in range(len(k)):
            if i != j:
                total += q[2][i] * q[2][j] * k[i, j]
                weight += q[2][i] * q[2][j]
    return float(np.log(total / weight))


def log_likelihood(p: Mixture, q: Mixture) -> float:
    """Implements (E5)."""
    return sum(a * np.log(density(q, x)) for x, _, a in zip(*p, strict=True))


def inner_product(p: Mixture, q: Mixture) -> float:
    """Implements (E6)."""
    return log_inner(p, q)


def normalized_inner_product(p: Mixture, q: Mixture) -> float:
    """Implements (E7)."""
    return 2 * log_inner(p, q) - log_inner(q, q)


def debiased_normalized_inner_product(p: Mixture, q: Mixture) -> float:
    """Implements (E20) for (E7)."""
    return 2 * log_inner(p, q) - log_norm_without_self(q)


def unit_gram_with_jitter(q: Mixture, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """The components' Gram matrix scaled to unit diagonal, plus jitter, and the scale."""
    k = gram(q, q)
    scale = np.sqrt(np.diag(k))
    return k / np.outer(scale, scale) + jitter * np.eye(len(k)), scale


def projection(p: Mixture, q: Mixture, jitter: float = 1e-8) -> float:
    """Implements (E8)."""
    k, scale = unit_gram_with_jitter(q, jitter)
    inner = p[2] @ gram(p, q) / scale
    return float(np.log(inner @ np.linalg.solve(k, inner)))


def schur_trace(p: Mixture, q: Mixture, jitter: float = 1e-8) -> float:
    """Implements (E9)."""
    k, scale = unit_gram_with_jitter(q, jitter)
    cross = gram(p, q) / scale
    return float(np.log(sum(a * row @ np.linalg.solve(k, row) for a, row in zip(p[2], cross, strict=True))))


def weighted_gram(p: Mixture, q: Mixture) -> np.ndarray:
    """D_a^1/2 K D_w^1/2."""
    return np.sqrt(p[2])[:, None] * gram(p, q) * np.sqrt(q[2])


def smoothed_sum(matrix: np.ndarray, smoothing: float) -> float:
    """Implements (E12)."""
    s = np.linalg.svd(matrix, compute_uv=False)
    e = smoothing * s[0]
    return float((np.sqrt(s**2 + e**2) - e).sum())


def nuclear_norm(p: Mixture, q: Mixture, smoothing: float = 0.0) -> float:
    """Implements (E10), (E12)."""
    return float(np.log(smoothed_sum(weighted_gram(p, q), smoothing)))


def log_trace(q: Mixture) -> float:
    """log tr K_qq, weighted."""
    return float(np.log(q[2] @ np.diag(gram(q, q))))


def log_fidelity(p: Mixture, q: Mixture, smoothing: float) -> float:
    """log F of (E10), smoothed."""
    return nuclear_norm(p, q, smoothing) - 0.5 * (log_trace(p) + log_trace(q))


def halves(q: Mixture) -> list[Mixture]:
    """The first and the second half of the components, weights renormalised."""
    half = len(q[0]) // 2
    return [(q[0][s], q[1][s], q[2][s] / q[2][s].sum()) for s in (slice(half), slice(half, None))]


def debiased_nuclear_norm(p: Mixture, q: Mixture, smoothing: float = 1e-4, *, paired: bool = False) -> float:
    """Implements (E20)."""
    (x, w), (z, y) = halves(p) if paired else (p, p), halves(q)
    return log_fidelity(x, z, smoothing) + log_fidelity(w, y, smoothing) - log_fidelity(z, y, smoothing)


def paired_limit(p: Mixture, q: Mixture, smoothing: float = 1e-4) -> float:
    """The limit of (E20) with pairs, as docs/theory.md derives it."""
    of_data, of_model = (np.arccos(min(1.0, np.exp(log_fidelity(*halves(side), 0.0)))) for side in (p, q))
    return float(np.log((1 + np.cos(of_model - of_data)) / 2) - log_fidelity(*halves(q), smoothing))


def operator_roots(mixtures: list[Mixture], jitter: float) -> list[np.ndarray]:
    """S (S + j)^(-1/2) of each, scaled to trace 1, as matrices in one basis of the span of all Gaussians."""
    whole = tuple(np.concatenate(parts) for parts in zip(*mixtures, strict=True))
    values, vectors = np.linalg.eigh(gram(whole, whole))
    features = vectors * np.sqrt(values.clip(0))  # a row for each Gaussian
    roots, first = [], 0
    for mixture in mixtures:
        own = features[first : first + len(mixture[0])]
        first += len(own)
        s, u = np.linalg.eigh(np.einsum("i,ia,ib->ab", mixture[2], own, own) / np.exp(log_trace(mixture)))
        roots.append((u * (s.clip(0) / np.sqrt(s.clip(0) + jitter))) @ u.T)
    return roots


def log_affinities(mixtures: list[Mixture], jitter: float) -> np.ndarray:
    """Logs of the inner products of all pairs of roots, (E24)."""
    roots = operator_roots(mixtures, jitter)
    return np.log([[np.sum(a * b) for b in roots] for a in roots])


def affinity(p: Mixture, q: Mixture, jitter: float = 1e-9) -> float:
    """Implements (E24)."""
    return float(log_affinities([p, q], jitter)[0, 1] + 0.5 * (log_trace(p) + log_trace(q)))


def debiased_affinity(p: Mixture, q: Mixture, jitter: float = 1e-3, *, paired: bool = False) -> float:
    """Implements (E24)."""
    logs = log_affinities([*(halves(p) if paired else (p, p)), *halves(q)], jitter)
    return float(logs[0, 2] + logs[1, 3] - logs[2, 3])


def trace(p: Mixture, q: Mixture) -> float:
    """Implements (E11)."""
    return float(np.log(np.trace(weighted_gram(p, q))))


def limit(name: str, p: Mixture, q: Mixture) -> float:
    """The limits of section 2; for (E6) and the debiased forms as docs/theory.md derives them."""
    if name == "inner_product":
        # the largest <q,q> is that of one component of the smallest variance
        peak = normal(np.zeros(p[0].shape[1]), 2 * q[1].min(0))
        return 0.5 * (log_inner(p, p) + np.log(peak))
    if name in ("normalized_inner_product", "projection"):
        return log_inner(p, p)
    if name == "debiased_normalized_inner_product":
        return log_inner(p, p) + log_inner(q, q) - log_norm_without_self(q)
    if name == "schur_trace":
        return log_trace(p)
    if name == "debiased_nuclear_norm":
        z, y = halves(q)
        return float(np.log((1 + np.exp(log_fidelity(z, y, 0.0))) / 2) - log_fidelity(z, y, 1e-4))
    if name == "debiased_affinity":
        return float(log_affinities([p], 1e-3)[0, 0])
    return 0.5 * (log_trace(p) + log_trace(q))


def conditional_value(x: np.ndarray, centers: np.ndarray, v_x: float, v_q: float) -> float:
    """Implements the value of (E15) for single draws x (s, d) and centers (s, c, d)."""
    cross, norm = 0.0, 0.0
    count, components, d = centers.shape
    for s in range(count):
        for z in centers[s]:
            cross += normal(x[s] - z, np.full(d, v_x + v_q)) / (count * components)
            for other in centers[s]:
                norm += normal(z - other, np.full(d, 2 * v_q)) / (count * components**2)
    return float(2 * np.log(cross) - np.log(norm))


def posterior(features: np.ndarray, y: np.ndarray, v_y: float) -> np.ndarray:
    """w_i(y) of (E15)'s limit, for one y."""
    weights = np.array([normal(y - feature, np.full(len(y), v_y)) for feature in features])
    return weights / weights.sum()


def conditional_norm(x: np.ndarray, features: np.ndarray, y: np.ndarray, v_x: float, v_y: float) -> float:
    """Implements ||p(.|y)||^2 = w' G w of (E15), for one y, with the constant."""
    weights = posterior(features, y, v_y)
    gram = np.array([[normal(a - b, np.full(x.shape[1], 2 * v_x)) for b in x] for a in x])
    return float(weights @ gram @ weights)


def conditional_inner(
    x: np.ndarray, features: np.ndarray, y: np.ndarray, centers: np.ndarray, v_x: float, v_y: float, v_q: float
) -> float:
    """Implements <p(.|y), q(.|y)> for one y and centers (c, d)."""
    weights = posterior(features, y, v_y)
    d = x.shape[1]
    pairs = [[normal(a - z, np.full(d, v_x + v_q)) for z in centers] for a in x]
    return float(weights @ np.mean(pairs, 1))
