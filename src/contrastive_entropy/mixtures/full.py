"""Mixtures of Gaussians with full covariances, and their closed forms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures.checks import checked_log_weights, not_a_mixture
from contrastive_entropy.mixtures.mixture import GaussianMixture


@dataclass(frozen=True, eq=False, init=False, repr=False)
class FullCovarianceMixture:
    """q(x) = sum_j w_j N(x - z_j; S_j) with covariances S_j = L_j L_j^T.

    Components may lean: their coordinates may go together. `GaussianMixture` is faster, and is what the objectives on
    samples take. Leading dimensions are a batch; results in nats are float64.

    Args:
        centers: (..., m, d) floating point.
        cholesky: (..., m, d, d) lower triangular, with a positive diagonal.
        log_weights: (..., m) logits; None is uniform.

    Raises:
        TypeError: centers or cholesky are no floating-point tensor.
        ValueError: shapes do not fit, or a diagonal is not positive.

    >>> leaning = torch.tensor([[[1.0, 0.0], [0.8, 0.6]]])
    >>> FullCovarianceMixture(torch.zeros(1, 2), leaning).covariance
    tensor([[1.0000, 0.8000],
            [0.8000, 1.0000]])
    """

    centers: Tensor
    cholesky: Tensor
    log_weights: Tensor

    def __init__(self, centers: Tensor, cholesky: Tensor, *, log_weights: Tensor | None = None) -> None:
        for name, value in (("centers", centers), ("cholesky", cholesky)):
            if not isinstance(value, Tensor) or not value.is_floating_point():
                raise TypeError(f"{name} must be a floating-point tensor, got {getattr(value, 'dtype', type(value))}")
        if centers.ndim < 2 or cholesky.shape != (*centers.shape, centers.shape[-1]):
            raise ValueError(
                f"cholesky must have shape (..., m, d, d) for centers (..., m, d), got {tuple(cholesky.shape)} and "
                f"{tuple(centers.shape)}"
            )
        if not bool((cholesky.diagonal(dim1=-2, dim2=-1) > 0).all()):
            raise ValueError("the diagonal of cholesky must be positive")
        if bool((cholesky.triu(1) != 0).any()):
            raise ValueError(
                "cholesky must be lower triangular; of covariances it is torch.linalg.cholesky(covariances)"
            )
        object.__setattr__(self, "centers", centers)
        object.__setattr__(self, "cholesky", cholesky)
        object.__setattr__(self, "log_weights", checked_log_weights(None, log_weights, centers))

    @classmethod
    def of(cls, mixture: GaussianMixture) -> "FullCovarianceMixture":
        """The same law as a mixture with diagonal covariances."""
        deviation = mixture.variance.to(mixture.centers.dtype).sqrt().expand_as(mixture.centers)
        return cls(mixture.centers, torch.diag_embed(deviation), log_weights=mixture.log_weights)

    @property
    def dimension(self) -> int:
        """d, the number of coordinates."""
        return self.centers.shape[-1]

    @property
    def components(self) -> int:
        """m, the number of components."""
        return self.centers.shape[-2]

    @property
    def batch_shape(self) -> torch.Size:
        """The leading dimensions."""
        return self.centers.shape[:-2]

    def __repr__(self) -> str:
        batch = f"batch_shape={tuple(self.batch_shape)}, " if self.batch_shape else ""
        return f"FullCovarianceMixture({batch}components={self.components}, dimension={self.dimension})"

    def detach(self) -> "FullCovarianceMixture":
        """The same mixture without gradients."""
        return FullCovarianceMixture(
            self.centers.detach(), self.cholesky.detach(), log_weights=self.log_weights.detach()
        )

    def double(self) -> "FullCovarianceMixture":
        """The same mixture in float64."""
        return FullCovarianceMixture(self.centers.double(), self.cholesky.double(), log_weights=self.log_weights)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log q(x_i).

        Args:
            x: (..., n, d).

        Returns:
            (..., n), in nats, float64. O(n m d^2).
        """
        offsets = x.double().unsqueeze(-2) - self.centers.double().unsqueeze(-3)  # (..., n, m, d)
        logs = _log_normal(offsets, self.cholesky.double().unsqueeze(-4))
        return torch.logsumexp(logs + self.log_weights.unsqueeze(-2), -1)

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw independent points, (..., n, d); not differentiable in the weights.

        Args:
            count: n >= 1.
            generator: source of randomness; None takes torch's global one.

        Raises:
            ValueError: count < 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        shares = self.log_weights.detach().exp().expand(self.centers.shape[:-1])
        index = torch.multinomial(shares.reshape(-1, self.components), count, replacement=True, generator=generator)
        index = index.reshape(*self.batch_shape, count, 1)
        noise = torch.randn((*index.shape[:-1], self.dimension), generator=generator, dtype=self.centers.dtype)
        centers = self.centers.gather(-2, index.expand(*index.shape[:-1], self.dimension))
        wide = index.unsqueeze(-1).expand(*index.shape[:-1], self.dimension, self.dimension)
        factors = self.cholesky.gather(-3, wide)
        return centers + (factors @ noise.to(centers.device).unsqueeze(-1)).squeeze(-1)

    @property
    def mean(self) -> Tensor:
        """(..., d), sum_j w_j z_j."""
        return (self.log_weights.exp().to(self.centers.dtype).unsqueeze(-1) * self.centers).sum(-2)

    @property
    def covariances(self) -> Tensor:
        """(..., m, d, d) of the components."""
        return self.cholesky @ self.cholesky.mT

    @property
    def covariance(self) -> Tensor:
        """(..., d, d), the components' spread plus their mean covariance."""
        weights = self.log_weights.exp().to(self.centers.dtype).unsqueeze(-1)
        deviation = self.centers - self.mean.unsqueeze(-2)
        return deviation.mT @ (weights * deviation) + (weights.unsqueeze(-1) * self.covariances).sum(-3)

    def marginal(self, coordinates: Sequence[int]) -> "GaussianMixture | FullCovarianceMixture":
        """The law of some coordinates, in their order; of a single one a `GaussianMixture`, which has quantiles.

        Args:
            coordinates: indices, from 0.

        Raises:
            IndexError: there is no such coordinate.
        """
        chosen = self._indices(coordinates)
        rows = self.cholesky.double()[..., chosen, :]
        centers, own, dtype = self.centers[..., chosen], rows @ rows.mT, self.centers.dtype
        if len(chosen) == 1:
            return GaussianMixture(centers, own.squeeze(-1).to(dtype), log_weights=self.log_weights)
        return FullCovarianceMixture(centers, torch.linalg.cholesky(own).to(dtype), log_weights=self.log_weights)

    def conditional(self, coordinates: Sequence[int], values: Tensor) -> "GaussianMixture | FullCovarianceMixture":
        """The law of the other coordinates, in their order, given the values of some.

        Args:
            coordinates: indices of the known ones, from 0.
            values: (..., k) of these.

        Returns:
            A mixture whose weights are those of the components at the known values; of a single coordinate a
            `GaussianMixture`.

        Raises:
            IndexError: there is no such coordinate.
            ValueError: nothing is left, or values have another shape.
        """
        known = self._indices(coordinates)
        others = [index for index in range(self.dimension) if index not in known]
        if not others:
            raise ValueError("all coordinates are given; leave one out")
        if values.shape[-1:] != (len(known),):
            raise ValueError(f"values must have shape (..., {len(known)}), got {tuple(values.shape)}")
        whole = self.double().covariances
        own, cross, rest = (
            whole[..., rows, :][..., columns] for rows, columns in ((known, known), (others, known), (others, others))
        )
        factor = torch.linalg.cholesky(own)
        offsets = values.double().unsqueeze(-2) - self.centers.double()[..., known]
        gain = torch.cholesky_solve(cross.mT, factor).mT  # (..., m, others, known)
        centers = self.centers.double()[..., others] + (gain @ offsets.unsqueeze(-1)).squeeze(-1)
        logs = self.log_weights + _log_normal(offsets, factor)
        left = (rest - gain @ cross.mT).expand(*centers.shape[:-1], len(others), len(others))
        dtype = self.centers.dtype
        if len(others) == 1:
            return GaussianMixture(centers.to(dtype), left.squeeze(-1).to(dtype), log_weights=logs)
        return FullCovarianceMixture(centers.to(dtype), torch.linalg.cholesky(left).to(dtype), log_weights=logs)

    def _indices(self, coordinates: Sequence[int]) -> list[int]:
        """From 0, each once."""
        for index in coordinates:
            if not -self.dimension <= index < self.dimension:
                raise IndexError(f"no coordinate {index}: there are {self.dimension}")
        found = [index % self.dimension for index in coordinates]
        if len(set(found)) < len(found):
            raise ValueError(f"each coordinate counts once, got {list(coordinates)}")
        return found

    def log_inner(self, other: "GaussianMixture | FullCovarianceMixture") -> Tensor:
        """Log <p, q> = log of the integral of p(x) q(x) = log sum_ij w_i u_j N(z_i - y_j; S_i + T_j).

        Args:
            other: of either kind, with as many coordinates.

        Returns:
            (...), in nats, float64. O(n m d^3).

        Raises:
            TypeError: other is not a mixture.
            ValueError: the dimensions differ.
        """
        if isinstance(other, GaussianMixture):
            other = FullCovarianceMixture.of(other)
        if not isinstance(other, FullCovarianceMixture):
            raise not_a_mixture("other", other)
        if self.dimension != other.dimension:
            raise ValueError(f"dimensions differ: {self.dimension} and {other.dimension} coordinates")
        offsets = self.centers.double().unsqueeze(-2) - other.centers.double().unsqueeze(-3)
        total = self.double().covariances.unsqueeze(-3) + other.double().covariances.unsqueeze(-4)
        logs = _log_normal(offsets, torch.linalg.cholesky(total))
        weights = self.log_weights.unsqueeze(-1) + other.log_weights.unsqueeze(-2)
        return torch.logsumexp((logs + weights).flatten(-2), -1)

    def log_norm(self) -> Tensor:
        """Log <q, q>, the log of the squared L2 norm; minus this is Renyi's quadratic entropy. (...), nats, float64."""
        return self.log_inner(self)


Mixture = GaussianMixture | FullCovarianceMixture


def _log_normal(offsets: Tensor, factor: Tensor) -> Tensor:
    """Log N(u; L L^T) of (..., d) offsets and (..., d, d) factors."""
    size = torch.broadcast_shapes(offsets.shape[:-1], factor.shape[:-2])
    solved = torch.linalg.solve_triangular(
        factor.expand(*size, *factor.shape[-2:]), offsets.expand(*size, offsets.shape[-1]).unsqueeze(-1), upper=False
    ).squeeze(-1)
    log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * solved.square().sum(-1) - log_determinant - 0.5 * offsets.shape[-1] * math.log(2 * math.pi)
