"""GaussianMixture: a frozen value with closed-form inner products and norms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures import univariate
from contrastive_entropy.mixtures.checks import checked_log_weights, checked_variance, not_a_mixture
from contrastive_entropy.numerics.gaussian import log_normalizer
from contrastive_entropy.numerics.pairwise import log_sum_over_components, log_sum_over_own_pairs, log_sum_over_pairs


@dataclass(frozen=True, eq=False, init=False, repr=False)
class GaussianMixture:
    """A mixture of Gaussians, q(x) = sum_j w_j N(x - z_j; v_j).

    Leading dimensions of `centers` are a batch of independent mixtures. All results in nats are float64, whatever the
    centers' precision, because the constants of high-dimensional densities exceed what float32 resolves (E4).

    Args:
        centers: (..., m, d) floating point.
        variance: of the density, in data units squared; a number, or a tensor that broadcasts against the centers:
            (d,) diagonal, (m, 1) per component, (m, d) per component and coordinate, with leading dimensions for
            batches, e.g. (b, 1, 1).
        weights: (..., m), not negative; normalised to sum 1. Default uniform. To train them, give log_weights: the
            gradient at a weight of 0 does not exist here.
        log_weights: (..., m), the same on the log scale (logits); -inf leaves a component out. Give one or neither.

    Raises:
        TypeError: centers are not a floating-point tensor, or variance or weights are no tensor, either.
        ValueError: shapes do not fit, a variance is not positive, weights are negative or all zero, or both kinds are
            given.

    >>> q = GaussianMixture(torch.tensor([[0.0], [2.0]]), variance=1.0)
    >>> q.mean
    tensor([1.])
    """

    centers: Tensor
    variance: Tensor
    log_weights: Tensor

    def __init__(
        self,
        centers: Tensor,
        variance: float | Tensor,
        *,
        weights: Tensor | None = None,
        log_weights: Tensor | None = None,
    ) -> None:
        if not isinstance(centers, Tensor):
            kind = type(centers).__name__
            raise TypeError(
                f"centers must be a floating-point tensor, got {kind}; convert with torch.as_tensor(...).float()"
            )
        if not centers.is_floating_point():
            raise TypeError(f"centers must be a floating-point tensor, got {centers.dtype}; convert with .float()")
        if centers.ndim < 2 or 0 in centers.shape[-2:]:
            raise ValueError(
                f"centers must have shape (..., m, d) with m, d >= 1, got {tuple(centers.shape)}; "
                "a set of m numbers is (m, 1): centers[:, None]"
            )
        object.__setattr__(self, "centers", centers)
        object.__setattr__(self, "variance", checked_variance(variance, centers))
        object.__setattr__(self, "log_weights", checked_log_weights(weights, log_weights, centers))

    @property
    def dimension(self) -> int:
        """d, the number of coordinates."""
        return self.centers.shape[-1]

    @property
    def components(self) -> int:
        """m, the number of components."""
        return self.centers.shape[-2]

    @property
    def device(self) -> torch.device:
        """Where the centers are."""
        return self.centers.device

    @property
    def dtype(self) -> torch.dtype:
        """The centers' precision."""
        return self.centers.dtype

    @property
    def batch_shape(self) -> torch.Size:
        """The leading dimensions."""
        return self.centers.shape[:-2]

    def __repr__(self) -> str:
        batch = f"batch_shape={tuple(self.batch_shape)}, " if self.batch_shape else ""
        variance = (
            f"{self.variance.item():.6g}" if self.variance.numel() == 1 else f"shape {tuple(self.variance.shape)}"
        )
        return f"GaussianMixture({batch}components={self.components}, dimension={self.dimension}, variance={variance})"

    def detach(self) -> "GaussianMixture":
        """The same mixture without gradients."""
        return _rebuilt(self, self.centers.detach(), self.variance.detach(), self.log_weights.detach())

    def to(self, *targets: torch.device | torch.dtype | str | int) -> "GaussianMixture":
        """The same mixture on another device, or with centers of another precision, or both.

        Args:
            targets: a device, a floating dtype, or one of each in any order. Variance and weights move, too, and keep their
                precision: weights are float64 everywhere.

        Raises:
            TypeError: a dtype that is not floating point.

        >>> q = GaussianMixture(torch.zeros(1, 1), variance=1.0)
        >>> q.to("cpu", torch.float64).dtype
        torch.float64
        """
        centers, variance, log_weights = self.centers, self.variance, self.log_weights
        for target in targets:
            if isinstance(target, torch.dtype):
                if not target.is_floating_point:
                    raise TypeError(f"centers must be a floating-point tensor, and {target} is not floating point")
                centers = centers.to(target)
            else:
                centers, variance, log_weights = (part.to(target) for part in (centers, variance, log_weights))
        return _rebuilt(self, centers, variance, log_weights)

    def double(self) -> "GaussianMixture":
        """The same mixture in float64."""
        return _rebuilt(self, self.centers.double(), self.variance.double(), self.log_weights)

    def select(self, start: int, stop: int) -> "GaussianMixture":
        """The mixture of components start <= j < stop, weights renormalised.

        Raises:
            ValueError: there are no such components, or they have no weight.
        """
        if not 0 <= start < stop <= self.components:
            raise ValueError(f"expected 0 <= start < stop <= {self.components} components, got {start} and {stop}")
        variance = self.variance if self.variance.shape[-2] == 1 else self.variance[..., start:stop, :]
        log_weights = torch.log_softmax(self.log_weights[..., start:stop], -1)
        if bool(log_weights.isnan().any()):
            raise ValueError(f"the components {start} to {stop - 1} have no weight")
        return _rebuilt(self, self.centers[..., start:stop, :], variance, log_weights)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log q(x_i).

        Args:
            x: (..., n, d).

        Returns:
            (..., n), in nats, float64. O(n m d).

        Raises:
            TypeError: x is not a tensor.
            ValueError: x has another shape.

        >>> q = GaussianMixture(torch.zeros(1, 1), variance=1 / (2 * math.pi))
        >>> q.log_prob(torch.zeros(1, 1)).abs().item() < 1e-7
        True
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"x must be a tensor, got {type(x).__name__}; convert with torch.as_tensor(...).float()")
        if x.ndim < 2:
            hint = "x[:, None]" if self.dimension == 1 else "x[None]"
            raise ValueError(f"x must have shape (..., n, {self.dimension}), got {tuple(x.shape)}: {hint}")
        if x.shape[-2] == 0:
            return x.new_zeros((*torch.broadcast_shapes(x.shape[:-2], self.batch_shape), 0), dtype=torch.float64)
        bare = torch.zeros_like(self.variance[..., :1, :1])
        rows, constant = log_sum_over_components(x, bare, self.centers, self.variance, self.log_weights)
        return rows.double() + constant.unsqueeze(-1)

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw independent points.

        Args:
            count: n >= 1.
            generator: source of randomness; None takes torch's global one.

        Returns:
            (..., n, d), in the centers' precision; not differentiable in the weights.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        probabilities = self.log_weights.detach().exp().expand(*self.batch_shape, self.components)
        flat = probabilities.reshape(-1, self.components)
        index = torch.multinomial(flat, count, replacement=True, generator=generator)
        index = index.reshape(*self.batch_shape, count, 1).expand(*self.batch_shape, count, self.dimension)
        noise = torch.randn(index.shape, generator=generator, dtype=self.centers.dtype, device=self.centers.device)
        deviation = self.variance.to(self.centers.dtype).sqrt().expand_as(self.centers)
        return self.centers.gather(-2, index) + noise * deviation.gather(-2, index)

    def cdf(self, x: Tensor) -> Tensor:
        """Q(x_i), the probability of values up to x_i, of a mixture of one coordinate.

        Args:
            x: (..., n, 1).

        Returns:
            (..., n) float64, in [0, 1].

        Raises:
            ValueError: more than one coordinate.

        >>> GaussianMixture(torch.tensor([[0.0], [2.0]]), 1.0).cdf(torch.tensor([[1.0]]))
        tensor([0.5000], dtype=torch.float64)
        """
        return univariate.cdf(self._line(x), *self._parts())

    def quantile(self, levels: float | Tensor) -> Tensor:
        """The values up to which the probability is a level, of a mixture of one coordinate.

        Args:
            levels: in (0, 1), a number or (k,).

        Returns:
            (...) or (..., k) float64, without gradients.

        Raises:
            ValueError: more than one coordinate, or a level out of range.

        >>> round(float(GaussianMixture(torch.tensor([[0.0], [2.0]]), 1.0).quantile(0.5)), 6)
        1.0
        """
        wanted = torch.as_tensor(levels, dtype=torch.float64, device=self.device)
        if not bool(((wanted > 0) & (wanted < 1)).all()):
            raise ValueError(f"levels must lie in (0, 1), got {levels}")
        parts = self._parts()
        found = univariate.quantile(wanted.reshape(-1), *parts)
        return found.reshape((*self.batch_shape, *wanted.shape))

    def crps(self, x: Tensor) -> Tensor:
        """The continuous ranked probability score at x_i, E|Y - x_i| - E|Y - Y'| / 2, of a mixture of one coordinate.

        Args:
            x: (..., n, 1).

        Returns:
            (..., n) float64, in the units of x; 0 is a point mass at x_i, and smaller is better.

        Raises:
            ValueError: more than one coordinate.
        """
        return univariate.crps(self._line(x), *self._parts())

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centers, variances and log-weights of one coordinate, (..., m) float64."""
        if self.dimension != 1:
            raise ValueError(f"this is for one coordinate, and there are {self.dimension}: take marginal([index])")
        centers = self.centers.double()
        weights = self.log_weights.expand(centers.shape[:-1])
        return centers.squeeze(-1), self.variance.double().expand_as(centers).squeeze(-1), weights

    def _line(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[-1] != 1:
            hint = "one value for each mixture is x[:, None, None]" if self.batch_shape else "x[:, None]"
            raise ValueError(f"x must have shape (..., n, 1), got {tuple(x.shape)}: {hint}")
        return x.double().squeeze(-1)

    def marginal(self, coordinates: Sequence[int]) -> "GaussianMixture":
        """The law of some coordinates, in their order.

        Args:
            coordinates: indices, from 0.

        Raises:
            IndexError: there is no such coordinate.

        >>> GaussianMixture(torch.tensor([[1.0, 2.0, 3.0]]), 1.0).marginal([2]).mean
        tensor([3.])
        """
        chosen = list(coordinates)
        variance = self.variance if self.variance.shape[-1] == 1 else self.variance[..., chosen]
        return _rebuilt(self, self.centers[..., chosen], variance, self.log_weights)

    def conditional(self, coordinates: Sequence[int], values: Tensor) -> "GaussianMixture":
        """The law of the other coordinates, in their order, given the values of some.

        Args:
            coordinates: indices of the known ones, from 0.
            values: (..., k) of these.

        Returns:
            A mixture whose weights are those of the components at the known values.

        Raises:
            IndexError: there is no such coordinate.
            ValueError: nothing is left, or values have another shape.
        """
        known = [index % self.dimension for index in coordinates]
        others = [index for index in range(self.dimension) if index not in known]
        if not others:
            raise ValueError("all coordinates are given; leave one out")
        if values.shape[-1:] != (len(known),):
            raise ValueError(f"values must have shape (..., {len(known)}), got {tuple(values.shape)}")
        given = self.marginal(coordinates)
        variance = given.variance.double().expand_as(given.centers)
        offsets = (values.unsqueeze(-2) - given.centers).double()
        logs = -0.5 * (offsets.square() / variance + (2 * math.pi * variance).log()).sum(-1)
        rest = self.marginal(others)
        return _rebuilt(rest, rest.centers, rest.variance, torch.log_softmax(self.log_weights + logs, -1))

    @property
    def mean(self) -> Tensor:
        """(..., d), sum_j w_j z_j."""
        return (self.log_weights.exp().to(self.centers.dtype).unsqueeze(-1) * self.centers).sum(-2)

    @property
    def covariance(self) -> Tensor:
        """(..., d, d), the components' spread plus their mean variance."""
        weights = self.log_weights.exp().to(self.centers.dtype).unsqueeze(-1)
        deviation = self.centers - self.mean.unsqueeze(-2)
        between = deviation.mT @ (weights * deviation)
        within = (weights * self.variance.to(self.centers.dtype)).sum(-2)
        return between + torch.diag_embed(within.expand(*self.batch_shape, self.dimension))

    def log_inner(self, other: "GaussianMixture") -> Tensor:
        """Log <p, q> = log of the integral of p(x) q(x)  (E2).

        Returns:
            (...), in nats, float64. Symmetric. O(n m d).

        Raises:
            TypeError: other is not a mixture.
            ValueError: the dimensions differ.

        >>> a = GaussianMixture(torch.zeros(1, 1), variance=0.5 / (2 * math.pi))
        >>> a.log_inner(a).abs().item() < 1e-7
        True
        """
        if not isinstance(other, GaussianMixture):
            raise not_a_mixture("other", other)
        return log_sum_over_pairs(
            self.centers, self.variance, self.log_weights, other.centers, other.variance, other.log_weights
        )

    def log_norm(self, *, self_terms: bool = True) -> Tensor:
        """Log <q, q>, the log of the squared L2 norm  (E3); minus this is Renyi's quadratic entropy.

        Args:
            self_terms: keep the pairs j = l. Without them this estimates the norm of the law that the components
                were drawn from (a U-statistic, weights renormalised), and bounds on this very mixture may be violated.

        Returns:
            (...), in nats, float64.

        Raises:
            ValueError: self_terms=False with a single component that has weight.
        """
        if self_terms:
            return log_sum_over_own_pairs(self.centers, self.variance, self.log_weights, self_terms=True)
        if self.components < 2:
            raise ValueError("self_terms=False needs at least 2 components, got 1")
        pairs = log_sum_over_own_pairs(self.centers, self.variance, self.log_weights, self_terms=False)
        return pairs - _log_weight_off_diagonal(self.log_weights.double())

    def log_trace(self) -> Tensor:
        """Log sum_j w_j ||N(. - z_j; v_j)||^2, the trace of the components' Gram matrix; equals c(2v) for one shared v.

        Returns:
            (...), in nats, float64.
        """
        peaks = log_normalizer(2 * self.variance, self.dimension)
        return torch.logsumexp(self.log_weights.double() + peaks, -1).expand(self.batch_shape)


def _log_weight_off_diagonal(log_weights: Tensor) -> Tensor:
    """Log of sum over i != j of w_i w_j = sum_i w_i (1 - w_i), (...), without cancellation where one weight is nearly 1."""
    top = torch.zeros_like(log_weights, dtype=torch.bool).scatter(-1, log_weights.argmax(-1, keepdim=True), True)
    others = torch.logsumexp(log_weights.masked_fill(top, -math.inf), -1, keepdim=True)
    if bool((others == -math.inf).any()):
        raise ValueError("self_terms=False needs at least 2 components with weight, got 1")
    rest = torch.where(top, others, torch.log1p(-torch.where(top, -1.0, log_weights).exp()))
    return torch.logsumexp(log_weights + rest, -1)


def _rebuilt(mixture: GaussianMixture, centers: Tensor, variance: Tensor, log_weights: Tensor) -> GaussianMixture:
    """A copy with other tensors, which are known to be valid."""
    copy = object.__new__(GaussianMixture)
    object.__setattr__(copy, "centers", centers)
    object.__setattr__(copy, "variance", variance)
    object.__setattr__(copy, "log_weights", log_weights)
    return copy
