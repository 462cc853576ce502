"""Objectives between two mixtures p (the data) and q (the model), each a Bound to maximise (E5-E12, E20).

Every function takes two `GaussianMixture`s of one dimension, with broadcastable batches, and returns a `Bound` whose
value never exceeds its limit. All numbers are nats.
"""

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.operator import log_nuclear_norm, weighted_gram
from contrastive_entropy.mixtures.requirements import require_finite, require_mixtures
from contrastive_entropy.numerics.gaussian import log_kernel
from contrastive_entropy.numerics.pairwise import log_sum_over_components
from contrastive_entropy.numerics.polar import TOLERANCE
from contrastive_entropy.objectives.bound import Bound, objective

JITTER = 1e-8
"""Relative diagonal jitter of the Cholesky factorisations in (E8) and (E9)."""


@objective
def log_likelihood(p: GaussianMixture, q: GaussianMixture, *, draws: int = 4) -> Bound:
    """Mean log-likelihood of p's centers under q, the maximum-likelihood baseline: sum_i a_i log q(x_i)  (E5).

    It has no term in ||q||, and identical centers cost nothing. The limit is E_r log r + d/2, where r is the data
    smoothed with q's variance: log q(x) + |x|^2 / 2 v_q is convex, so noise of variance v_q raises its mean, and Gibbs'
    inequality does the rest (docs/theory.md). It is exact for well-separated and for coinciding data. p's variance
    plays no part.

    Args:
        p: data; its variance is not used.
        q: model.
        draws: antithetic pairs of noise per data point that estimate the limit's expectation, from a fixed seed.

    Returns:
        Bound, whose limit is a Monte-Carlo estimate; it does not depend on q's centers. O(n m d), the limit O(draws n^2 d).

    Raises:
        ValueError: draws < 1, or p and q differ in dimension.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    value = (p.log_weights.exp() * q.log_prob(p.centers)).sum(-1)
    return Bound(value, lambda: _log_likelihood_limit(p.detach().double(), q.detach(), draws), {"E log q": value})


def _log_likelihood_limit(p: GaussianMixture, q: GaussianMixture, draws: int) -> Tensor:
    smoothing = q.variance.amin(-2, keepdim=True)
    batch = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    smoothed = GaussianMixture(
        p.centers.expand(*batch, -1, -1), smoothing, log_weights=p.log_weights.expand(*batch, -1)
    )
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros((), dtype=torch.float64, device=p.centers.device)
    for _ in range(draws):
        unit = torch.randn(p.centers.shape, generator=generator, dtype=torch.float64).to(p.centers.device)
        # E|unit|^2 / 2 = d / 2, and adding it draw by draw cancels the noise's own part of the log-density.
        half_square = unit.square().sum(-1) / 2
        noise = unit * smoothing.double().sqrt()
        for shifted in (p.centers + noise, p.centers - noise):
            total = total + (p.log_weights.exp() * (smoothed.log_prob(shifted) + half_square)).sum(-1)
    return total / (2 * draws)


@objective
def inner_product(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """Log <p, q>  (E6): the cautionary baseline. Its maximiser is one point at the mode, the trivial constant model.

    Limit: (log <p, p> + log-peak of a single component's norm) / 2, by Cauchy-Schwarz and ||q|| <= max ||component||;
    equal only if p and q are one and the same Gaussian. O(n m d).
    """
    value = p.log_inner(q)

    def limit() -> Tensor:
        peak = GaussianMixture(q.centers[..., :1, :], q.variance.amin(-2, keepdim=True)).log_trace()
        return 0.5 * (p.log_norm() + peak).detach()

    return Bound(value, limit, {"log <p,q>": value})


@objective
def normalized_inner_product(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """Contrastive entropy: 2 log <p, q> - log <q, q>  (E7).

    Limit: log <p, p>, minus Renyi's quadratic entropy; equal iff p = q. The gap is the Cauchy-Schwarz divergence.
    The norm of q repels its centers from each other, which is what keeps samples diverse. O((n + m) m d).

    >>> p = GaussianMixture(torch.tensor([[0.0], [1.0]]), variance=0.1)
    >>> normalized_inner_product(p, p).gap.item()
    0.0
    """
    cross, norm = p.log_inner(q), q.log_norm()
    return Bound(2 * cross - norm, p.log_norm, {"log <p,q>": cross, "log <q,q>": norm})


@objective
def debiased_normalized_inner_product(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """2 log <p, q> - log <q, q> without self terms  (E20): for minibatches of independently drawn centers.

    Same population optimum as (E7), without the push apart that a finite batch's self terms add. The limit,
    log <p, p> + log <q, q> - log <q, q>_without, is what Cauchy-Schwarz leaves on this very batch; unlike (E7)'s it
    depends on q, and tends to log <p, p> with the batch size. O((n + m) m d).

    Raises:
        ValueError: q has a single component.
    """
    cross, norm = p.log_inner(q), q.log_norm(self_terms=False)
    return Bound(
        2 * cross - norm,
        lambda: p.log_norm() + (q.log_norm() - norm).detach(),
        {"log <p,q>": cross, "log <q,q> without self terms": norm},
    )


@objective
def projection(p: GaussianMixture, q: GaussianMixture, *, jitter: float = JITTER) -> Bound:
    """Log k^T K^-1 k, with k_j = <p, N_j> and K the Gram matrix of the model's Gaussians  (E8).

    It is (E7) maximised over signed weights, so (E7) <= (E8) <= limit; q's own weights play no part. Limit: log <p, p>,
    reached when the data density lies in the span of the model's Gaussians.

    Args:
        p: data.
        q: model.
        jitter: relative diagonal added to K before its Cholesky factorisation in float64; only ever lowers the value.

    Returns:
        Bound; terms["jitter"] is what was used. O(n m d + m^3).
    """
    cholesky, peaks = _component_cholesky(q, jitter)
    rows, constant = log_sum_over_components(
        q.centers.double(), q.variance, p.centers.double(), p.variance, p.log_weights
    )
    inner = rows - peaks  # (..., m)
    shift = inner.detach().amax(-1, keepdim=True)
    solved = torch.linalg.solve_triangular(cholesky, (inner - shift).exp().unsqueeze(-1), upper=False)
    value = 2 * (constant + shift.squeeze(-1)) + solved.square().sum((-2, -1)).log()
    return Bound(value, p.log_norm, {"log k'K^-1k": value, "jitter": torch.tensor(jitter)})


@objective
def schur_trace(p: GaussianMixture, q: GaussianMixture, *, jitter: float = JITTER) -> Bound:
    """Log sum_i a_i k_i^T K^-1 k_i, the trace of the Schur complement's subtrahend  (E9).

    Limit: the log of the data's mean squared component norm, c(2 v_p). The difference is the Nystrom trace error with the
    model's centers as landmarks: this rewards covering the data's span, not matching its density; q's weights play
    no part.

    Args:
        p, q, jitter: as in `projection`.

    Returns:
        Bound; terms["jitter"] is what was used. O(n m d + n m^2 + m^3).
    """
    cholesky, peaks = _component_cholesky(q, jitter)
    exponent, constant = log_kernel(p.centers.double(), p.variance, q.centers.double(), q.variance)
    exponent = exponent - peaks.unsqueeze(-2) + 0.5 * p.log_weights.unsqueeze(-1)  # (..., n, m)
    shift = exponent.detach().amax((-2, -1), keepdim=True)
    solved = torch.linalg.solve_triangular(cholesky, (exponent - shift).exp().mT, upper=False)
    value = 2 * (constant + shift[..., 0, 0]) + solved.square().sum((-2, -1)).log()
    return Bound(value, p.log_trace, {"log tr(K_pq K_qq^-1 K_qp)": value, "jitter": torch.tensor(jitter)})


def _component_cholesky(q: GaussianMixture, jitter: float) -> tuple[Tensor, Tensor]:
    """Cholesky factor, (..., m, m), of the components' Gram matrix scaled to unit diagonal, and the log-scale, (..., m)."""
    if not 0 < jitter < 1:
        raise ValueError(f"jitter must lie in (0, 1), got {jitter}")
    exponent, constant = log_kernel(q.centers.double(), q.variance, q.centers.double(), q.variance)
    log_scale = 0.5 * exponent.diagonal(dim1=-2, dim2=-1)
    gram = (exponent - log_scale.unsqueeze(-1) - log_scale.unsqueeze(-2)).exp()
    eye = torch.eye(q.components, dtype=gram.dtype, device=gram.device)
    return torch.linalg.cholesky(gram + jitter * eye), log_scale + 0.5 * constant.unsqueeze(-1)


@objective
def nuclear_norm(
    p: GaussianMixture, q: GaussianMixture, *, smoothing: float = 0.0, tolerance: float = TOLERANCE
) -> Bound:
    """Log of the (smoothed) nuclear norm of the weighted cross-Gram matrix, log ||D_a^1/2 K D_w^1/2||_*  (E10, E12).

    Limit: (log tr K_pp + log tr K_qq) / 2, reached iff the two sample measures are equal. With smoothing = 0 the
    share attained is the fidelity of the two kernel covariance operators; smoothing only lowers it. Two finite sample sets
    of the same law have a fidelity well below 1: `tightness` is their fidelity over that ceiling, and
    `debiased_nuclear_norm` trains with it.

    Args:
        p, q: data and model.
        smoothing: eps of (E12); 1e-2 serves 2-D data, 1e-3 images; 0 is exact, and in float32 far slower.
        tolerance: relative error that value and gradient of the smoothed norm may have in float32.

    Returns:
        Bound. O(n m d + n m min(n, m)).

    Raises:
        ValueError: smoothing is negative, or tolerance not positive.
    """
    value = log_nuclear_norm(p, q, smoothing=smoothing, tolerance=tolerance)
    return Bound(value, lambda: _log_trace_mean(p, q), {"log ||K||_*": value})


@objective
def debiased_nuclear_norm(
    p: GaussianMixture,
    q: GaussianMixture,
    *,
    smoothing: float = 1e-4,
    tolerance: float = TOLERANCE,
    paired: bool = False,
) -> Bound:
    """Log F(x, z) + log F(x', z') - log F(z, z'), where z and z' are the two halves of q's components  (E20).

    The objective for minibatches: it subtracts the model's own finite-sample ceiling, as the Sinkhorn divergence does
    for transport, so its optimum is the law of the data and not a blurred or collapsed version. q's components must
    be independent draws in any order. x and x' are both all of p or, paired, its halves: norms of the same size then see
    twice the data. Limit: because A = arccos F is a metric (the Bures angle), log[(1 + cos(A(z, z') - A(x, x'))) / 2] -
    log F(z, z'); it depends on the batch and tends to 0 with its size.

    Args:
        p: data; paired: its components must be independent draws in any order, too.
        q: model, with at least 2 components.
        smoothing: eps of (E12); what is below it in the spectrum, the rare and fine, is not asked for.
        tolerance: as in `nuclear_norm`.
        paired: p's first half faces z alone, its second half z'.

    Returns:
        Bound. O(n m d + n m min(n, m)).

    Raises:
        ValueError: what has halves has a single component, or smoothing is negative.
    """
    pairs = [halves(q, debiased_nuclear_norm.__name__, "model")]
    pairs.insert(0, halves(p, debiased_nuclear_norm.__name__, "data") if paired else (p, p))
    parts = [half for pair in pairs for half in pair]
    traces = [part.log_trace() for part in parts]

    def log_fidelity(i: int, j: int) -> Tensor:
        norm = log_nuclear_norm(parts[i], parts[j], smoothing=smoothing, tolerance=tolerance)
        return norm - 0.5 * (traces[i] + traces[j])

    first, second, between = log_fidelity(0, 2), log_fidelity(1, 3), log_fidelity(2, 3)

    def exact(i: int, j: int) -> Tensor:
        return _log_fidelity(parts[i].detach(), parts[j].detach(), 0.0, tolerance).exp().clamp(max=1)

    def limit() -> Tensor:
        cosine = (exact(2, 3).acos() - exact(0, 1).acos()).cos() if paired else exact(2, 3)
        return torch.log((1 + cosine) / 2) - between.detach()

    terms = {"log F(x,z)": first, "log F(x',z')": second, "log F(z,z')": between}
    return Bound(first + second - between, limit, terms)


def halves(mixture: GaussianMixture, function: str, name: str) -> tuple[GaussianMixture, GaussianMixture]:
    """The first and the second half of the components, of which a function needs two."""
    if mixture.components < 2:
        raise ValueError(f"{function} needs at least 2 {name} components to form two halves, got 1")
    half = mixture.components // 2
    return mixture.select(0, half), mixture.select(half, mixture.components)


@objective
def trace(p: GaussianMixture, q: GaussianMixture) -> Bound:
    """Log sum_i sqrt(a_i w_i) N(x_i - z_i; v_p + v_q), center i of q paired with center i of p  (E11).

    Never above the nuclear norm, whose limit it shares; the autoencoder's objective. At large variance its negative is
    the mean squared error over 2 (v_p + v_q), up to constants. O(n d).

    Raises:
        ValueError: the mixtures do not have the same number of components.
    """
    if p.components != q.components:
        raise ValueError(f"trace pairs components one to one, got {p.components} and {q.components}")

    def alone(mixture: GaussianMixture) -> tuple[Tensor, Tensor]:
        return mixture.centers.unsqueeze(-2), mixture.variance.unsqueeze(-2)  # every component a batch entry of one

    exponent, constant = log_kernel(*alone(p), *alone(q))
    pairs = exponent[..., 0, 0].double() + constant
    value = torch.logsumexp(pairs + 0.5 * (p.log_weights + q.log_weights), -1)
    return Bound(value, lambda: _log_trace_mean(p, q), {"log trace": value})


def cauchy_schwarz_divergence(p: GaussianMixture, q: GaussianMixture) -> Tensor:
    """Log <p,p> + log <q,q> - 2 log <p,q> >= 0, the gap of (E7); 0 iff p = q. Rounding below 0 is clipped. (...), nats."""
    gap = normalized_inner_product(p, q).gap
    if not bool(gap.detach().isfinite().all()):
        require_finite({}, p=p, q=q)
    return gap.clamp_min(0)


def fidelity(p: GaussianMixture, q: GaussianMixture) -> Tensor:
    """Root fidelity ||S_p^1/2 S_q^1/2||_1 of the two kernel covariance operators, in [0, 1]; 1 iff equal  (E10). (...)."""
    return nuclear_norm(p, q).attained


def tightness(p: GaussianMixture, q: GaussianMixture) -> Tensor:
    """sqrt(F(x, z) F(x', z') / (F(x, x') F(z, z'))), with x, x' the halves of p and z, z' those of q, debiased  (E20).

    The fidelity F of two finite samples of one law stays below 1. This is the fidelity of p and q over the geometric mean
    of the ceilings that their own halves show: about 1 where both are samples of the same law, and chance moves it beyond
    1, too; smaller the farther apart the laws are, at the scale that the variance sets. Where a ceiling is near 0, because
    the points of a sample are all far from each other, it means nothing: choose a larger variance.

    Args:
        p: samples of one law, at least 2, in any order.
        q: samples of the other law, as many as p for equal ceilings.

    Returns:
        (...), float64, not negative. Symmetric in p and q. O(n m d + n m min(n, m)).

    Raises:
        TypeError: p or q is not a mixture.
        ValueError: p or q has a single component, or centers that are not finite.

    >>> x = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    >>> round(tightness(GaussianMixture(x, 0.1), GaussianMixture(x, 0.1)).item(), 2)
    1.0
    """
    require_mixtures(p=p, q=q)
    require_finite({}, p=p, q=q)
    x, again, z, other = (*halves(p, "tightness", "data"), *halves(q, "tightness", "model"))
    pairs = ((x, z), (again, other), (x, again), (z, other))
    first, second, *own = (_log_fidelity(*pair, 0.0, TOLERANCE) for pair in pairs)
    return (0.5 * (first + second - sum(own))).exp()


@torch.no_grad()
def fidelity_bracket(p: GaussianMixture, q: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Bounds of the fidelity F without a decomposition: the roots of sub- and super-fidelity.

    sqrt(c + sqrt(2 (c^2 - d))) <= F <= sqrt(c + sqrt((1 - a)(1 - b))), where G is the cross-Gram matrix whose nuclear norm
    is F, a = |G_pp|_F^2, b = |G_qq|_F^2, c = |G|_F^2 and d = |G^T G|_F^2. The lower one is equal for ranks up to 2.
    Source: Miszczak et al., "Sub- and super-fidelity as bounds for quantum fidelity", arXiv 0805.2037.

    Args:
        p: n components.
        q: m components.

    Returns:
        Lower and upper bound, (...) each, float64, in [0, 1]. Matrix products only: O(n m min(n, m) + (n^2 + m^2) d).
    """
    require_mixtures(p=p, q=q)
    require_finite({}, p=p, q=q)
    p, q = p.double(), q.double()

    def unit_gram(x: GaussianMixture, y: GaussianMixture) -> Tensor:
        gram, log_scale = weighted_gram(x, y)
        return gram * (log_scale - _log_trace_mean(x, y)).exp()[..., None, None]

    cross = unit_gram(p, q)
    cross = cross if cross.shape[-2] >= cross.shape[-1] else cross.mT
    a, b, c, d = (
        matrix.square().sum((-2, -1)) for matrix in (unit_gram(p, p), unit_gram(q, q), cross, cross.mT @ cross)
    )
    lower = (c + (2 * (c.square() - d)).clamp_min(0).sqrt()).sqrt()
    upper = (c + ((1 - a) * (1 - b)).clamp_min(0).sqrt()).sqrt()
    return lower.clamp_max(1), upper.clamp_max(1)


def bures_distance(p: GaussianMixture, q: GaussianMixture) -> Tensor:
    """sqrt(2 - 2 F), the kernel Bures distance, in [0, sqrt 2]; 0 iff equal  (E10). (...).

    Not differentiable at 0; train with `nuclear_norm`.
    """
    return (2 - 2 * fidelity(p, q)).clamp_min(0).sqrt()


def _log_trace_mean(p: GaussianMixture, q: GaussianMixture) -> Tensor:
    return 0.5 * (p.log_trace() + q.log_trace())


def _log_fidelity(p: GaussianMixture, q: GaussianMixture, smoothing: float, tolerance: float) -> Tensor:
    return log_nuclear_norm(p, q, smoothing=smoothing, tolerance=tolerance) - _log_trace_mean(p, q)
