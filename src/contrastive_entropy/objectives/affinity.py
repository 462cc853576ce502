"""The affinity of two mixtures and its debiased form: the objective whose optimum on minibatches is a theorem (E24)."""

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.roots import OperatorRoot
from contrastive_entropy.objectives.bound import Bound, objective
from contrastive_entropy.objectives.density import halves

JITTER = 1e-3
"""Share of the trace that is added to the covariance operators below their roots."""


@objective
def affinity(p: GaussianMixture, q: GaussianMixture, *, jitter: float = 1e-9) -> Bound:
    """Log tr(sqrt(S_p) sqrt(S_q)) of the two kernel covariance operators  (E24).

    Relative to the limit, which both share, it lies between the nuclear norm and its square: F^2 <= A <= F. Limit:
    (log tr K_pp + log tr K_qq) / 2, reached iff the two sample measures are equal and the jitter tends to 0. Jitter only
    lowers the value.

    Args:
        p, q: data and model.
        jitter: j of S (S + j)^(-1/2), which stands for sqrt(S); a share of its trace.

    Returns:
        Bound. O(n m d + n^3 + m^3).

    Raises:
        ValueError: jitter is not positive.
    """
    scale = 0.5 * (p.log_trace() + q.log_trace())
    value = OperatorRoot(p, jitter).log_affinity(OperatorRoot(q, jitter)) + scale
    return Bound(value, lambda: 0.5 * (p.log_trace() + q.log_trace()), {"log tr sqrt(S_p) sqrt(S_q)": value})


@objective
def debiased_affinity(p: GaussianMixture, q: GaussianMixture, *, jitter: float = JITTER, paired: bool = False) -> Bound:
    """Log A(x, z) + log A(x', z') - log A(z, z'), where z and z' are the two halves of q's components  (E24).

    The normalised inner product (E7) of the operators' roots: A is an inner product, and with independent halves its
    expectations are those of the mean roots, so Cauchy-Schwarz bounds 2 log E A(x, z) - log E A(z, z') by log E A(x, x') at
    every batch size, with equality iff the mean roots are proportional. The limit is known from data alone. On a single
    batch chance moves the value to either side of it.

    Args:
        p: data; paired: its components must be independent draws in any order.
        q: model, with at least 2 components, independent draws in any order.
        jitter: j of S (S + j)^(-1/2), which stands for sqrt(S): directions of a smaller share of the trace count less. The
            theorem holds for every j.
        paired: p's first half faces z alone, its second half z', and x, x' are these halves; else x = x' is all of p, taken
            as given.

    Returns:
        Bound, relative to the traces: a plain number's log. O(n m d + n^3 + m^3).

    Raises:
        ValueError: what has halves has a single component, or jitter is not positive.
    """
    name = debiased_affinity.__name__
    z, other = (OperatorRoot(half, jitter) for half in halves(q, name, "model"))
    if paired:
        x, again = (OperatorRoot(half, jitter) for half in halves(p, name, "data"))
    else:
        x = again = OperatorRoot(p, jitter)
    first, second, between = x.log_affinity(z), again.log_affinity(other), z.log_affinity(other)
    terms = {"log A(x,z)": first, "log A(x',z')": second, "log A(z,z')": between}
    return Bound(first + second - between, lambda: x.log_affinity(again), terms)
