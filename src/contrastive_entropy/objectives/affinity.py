"""The affinity of two mixtures, and its debiased forms, whose expectations have a proved optimum on minibatches (E24)."""

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.roots import OperatorRoot
from contrastive_entropy.objectives.bound import Bound, objective
from contrastive_entropy.objectives.density import halves

JITTER = 1e-3
"""Share of the trace that is added to the covariance operators below their roots."""


@objective
def affinity(p: GaussianMixture, q: GaussianMixture, *, jitter: float = 1e-9) -> Bound:
    """Log tr(sqrt(S_p) sqrt(S_q)) of the two kernel covariance operators  (E24).

    Relative to the limit, which both share, it lies between the nuclear norm and its square, up to the jitter, which only
    lowers it: F^2 <= A <= F. Limit: (log tr K_pp + log tr K_qq) / 2, approached iff the operators are equal and the jitter
    tends to 0.

    Args:
        p, q: data and model.
        jitter: j of S (S + j)^(-1/2), which stands for sqrt(S); a share of its trace.

    Returns:
        Bound. O((n + m)^2 d + n^3 + m^3).

    Raises:
        ValueError: jitter is not positive.
    """
    scale = 0.5 * (p.log_trace() + q.log_trace())
    value = OperatorRoot(p, jitter).log_affinity(OperatorRoot(q, jitter)) + scale
    return Bound(value, lambda: scale, {"log tr sqrt(S_p) sqrt(S_q)": value})


@objective
def debiased_affinity(
    p: GaussianMixture, q: GaussianMixture, *, jitter: float = JITTER, log: float = 1, paired: bool = False
) -> Bound:
    """Log A(x, z) + log A(x', z') - log A(z, z'), where z and z' are the two halves of q's components  (E24).

    The normalised inner product (E7) of the operators' roots. Let all four be independent and of one size. Then the
    expectations of A are inner products of the mean roots of data and model, and 2 E A(x, z) - E A(z, z') <= E A(x, x') at
    every batch size, with equality iff the mean roots are equal: with log=0 that is what a mean over batches maximises.
    With logs steps keep one size while the variance falls; the theorem is about logs of expectations, and the expectation
    of the log is near that where the batch is not small. The limit is of data alone; on a single batch chance moves the
    value to either side of it.

    Args:
        p: data; paired: its components must be independent draws in any order.
        q: model, with at least 2 components, independent draws in any order; for the theorem as many as p, an even number.
        jitter: j of S (S + j)^(-1/2), which stands for sqrt(S): directions of a smaller share of the trace count less. The
            theorem holds for every j.
        log: 1, or 0: A(x, z) + A(x', z') - A(z, z'), plain numbers.
        paired: p's first half faces z alone, its second half z', and x, x' are these halves; else x = x' is all of p, taken
            as given: then the optimum is near the law of the data, not at it.

    Returns:
        Bound, relative to the traces. O((n + m)^2 d + n^3 + m^3).

    Raises:
        ValueError: what has halves has a single component, jitter is not positive, or log is neither 0 nor 1.
    """
    if log not in (0, 1):
        raise ValueError(f"log must be 0 or 1, got {log}")
    name = debiased_affinity.__name__
    z, other = (OperatorRoot(half, jitter) for half in halves(q, name, "model"))
    if paired:
        x, again = (OperatorRoot(half, jitter) for half in halves(p, name, "data"))
    else:
        x = again = OperatorRoot(p, jitter)
    first, second, between = x.log_affinity(z), again.log_affinity(other), z.log_affinity(other)
    terms = {"log A(x,z)": first, "log A(x',z')": second, "log A(z,z')": between}
    if log:
        return Bound(first + second - between, lambda: x.log_affinity(again), terms)
    return Bound(first.exp() + second.exp() - between.exp(), lambda: x.log_affinity(again).exp(), terms)
