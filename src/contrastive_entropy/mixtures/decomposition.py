"""Singular functions of the Gaussian operator between two mixtures, and their Nystrom extension (E13, E14)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.requirements import require_finite, require_mixtures
from contrastive_entropy.numerics.gaussian import log_kernel


@dataclass(frozen=True, eq=False)
class Decomposition:
    """k(x, z) = sum_k s_k f_k(x) g_k(z), with f_k orthonormal under p's centers and g_k under q's  (E13).

    The operator is (T g)(x) = E_{z ~ q} k(x, z) g(z), with the unit kernel k(x, z) = exp(-|x - z|^2 / 2 (v_p + v_q)). Its
    singular values sum to the fidelity F where v_p = v_q, and to F times ((v_p + v_q)^2 / 4 v_p v_q)^(d/4) else, because
    the fidelity's kernel is normalised (E10). Signs are fixed: each left function is positive at the center
    where its modulus times the root of the weight is largest.

    Args:
        p: n components.
        q: m components.
        values: (r,) singular values s_k, descending.
        left_values: (n, r), f_k(x_i).
        right_values: (m, r), g_k(z_j).
        total: the sum of all singular values; `values` sum to less where the cut left some out.
    """

    p: GaussianMixture
    q: GaussianMixture
    values: Tensor
    left_values: Tensor
    right_values: Tensor
    total: Tensor

    @property
    def rank(self) -> int:
        """r, the number of functions that were kept."""
        return len(self.values)

    def left(self, points: Tensor) -> Tensor:
        """f_k at any points: 1 / s_k sum_j w_j k(x, z_j) g_k(z_j)  (E14).

        Args:
            points: (l, d).

        Returns:
            (l, r), float64; at p's centers the same as left_values. O(l m (d + r)).
        """
        return _extended(points, self.p, self.q, self.right_values) / self.values

    def right(self, points: Tensor) -> Tensor:
        """g_k at any points: 1 / s_k sum_i a_i k(x_i, z) f_k(x_i)  (E14). As `left`, with the roles swapped."""
        return _extended(points, self.q, self.p, self.left_values) / self.values


@torch.no_grad()
def decompose(p: GaussianMixture, q: GaussianMixture, *, cut: float = 1e-6, rank: int | None = None) -> Decomposition:
    """Singular value decomposition of the Gaussian operator between two mixtures.

    Args:
        p: n components with a shared variance, without leading dimensions, every weight positive.
        q: m components, likewise.
        cut: functions whose singular value is at most this share of the largest are left out: the extension divides by it.
        rank: keep at most so many.

    Returns:
        Decomposition, float64. O(n m (d + min(n, m))).

    Raises:
        TypeError: p or q is not a mixture.
        ValueError: centers that are not finite; batches, variances or weights that do not fit; cut or rank out of range; or
            mixtures so far apart that their operator is 0.

    >>> x = torch.tensor([[0.0], [9.0]])
    >>> decompose(GaussianMixture(x, 0.1), GaussianMixture(x, 0.1)).values
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    require_mixtures(p=p, q=q)
    require_finite({}, p=p, q=q)
    if not 0 <= cut < 1:
        raise ValueError(f"cut must lie in [0, 1), got {cut}")
    if rank is not None and rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    for name, mixture in (("p", p), ("q", q)):
        if mixture.batch_shape:
            raise ValueError(
                f"decompose takes one pair of mixtures; {name} has leading dimensions {tuple(mixture.batch_shape)}"
            )
        if mixture.variance.shape[-2] != 1:
            raise ValueError(
                f"decompose needs one variance for all components; {name} has {mixture.variance.shape[-2]}"
            )
        if bool((mixture.log_weights == -torch.inf).any()):
            raise ValueError(f"every weight must be positive; {name} has components without weight: leave them out")
    scale_p, scale_q = ((0.5 * mixture.log_weights.double()).exp() for mixture in (p, q))
    gram = scale_p.unsqueeze(-1) * _kernel(p.centers, p, q) * scale_q
    u, s, vh = torch.linalg.svd(gram, full_matrices=False)
    if not float(s[0]) > 0:
        raise ValueError("no component of p is near any of q at these variances: their operator is 0; give larger ones")
    kept = int((s > cut * s[0]).sum())
    kept = kept if rank is None else min(rank, kept)
    u, v = u[:, :kept], vh[:kept].mT
    signs = u.gather(0, u.abs().argmax(0, keepdim=True)).sign()
    return Decomposition(p, q, s[:kept], signs * u / scale_p.unsqueeze(-1), signs * v / scale_q.unsqueeze(-1), s.sum())


def _extended(points: Tensor, near: GaussianMixture, far: GaussianMixture, values: Tensor) -> Tensor:
    """sum_j w_j k(x, z_j) h_k(z_j), over far's components."""
    if points.ndim != 2 or points.shape[1] != near.dimension:
        raise ValueError(f"points must have shape (l, {near.dimension}), got {tuple(points.shape)}")
    return _kernel(points, near, far) @ (far.log_weights.double().exp().unsqueeze(-1) * values)


def _kernel(points: Tensor, near: GaussianMixture, far: GaussianMixture) -> Tensor:
    """Unit kernel, (l, m), float64."""
    return log_kernel(points.double(), near.variance, far.centers.double(), far.variance)[0].exp()
