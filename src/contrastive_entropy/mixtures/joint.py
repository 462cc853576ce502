"""The joint density of data and noisy features, its conditionals, and the bounds on them (E15-E19).

All numbers are nats, float64.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures.limits import ConditionalBound, iid_tightness, log_mean
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.gaussian import log_kernel, log_normalizer
from contrastive_entropy.numerics.pairwise import log_sum_over_components

NEGLIGIBLE = -50.0
"""Log of a posterior weight that cannot be seen in double precision: 60,000 of them add up to 1e-17."""

CONDITIONS = 256
"""Conditions whose posterior weights are held at once."""

ROWS = 2048
"""Rows of a tile of the data's Gram matrix."""

COLUMNS = 8192
"""Data in a tile of kernels between centers and data."""

TILE = 1 << 23
"""Kernels between centers and data held at once: 64 MiB in float64."""

NODES_PER_DEVIATION = 8
"""Nodes of the quadrature over a one-dimensional feature, per standard deviation of its noise."""


@dataclass(frozen=True, eq=False)
class JointMixture:
    """The joint density of data and their features, p(x, y) = 1/n sum_i N(x - x_i; v_x) N(y - y_i; v_y).

    Args:
        points: (n, d) floating point, the x_i.
        features: (n, k) floating point, the y_i.
        variance: v_x, in data units squared.
        feature_variance: v_y, in the features' units squared.

    Raises:
        ValueError: shapes do not fit or a variance is not positive.

    >>> joint = JointMixture(torch.tensor([[0.0], [9.0]]), torch.zeros(2, 1), variance=0.1, feature_variance=1.0)
    >>> joint.concentration(torch.zeros(1, 1)).item()
    0.5
    """

    points: Tensor
    features: Tensor
    variance: float
    feature_variance: float

    def __post_init__(self) -> None:
        for name in ("points", "features"):
            tensor = getattr(self, name)
            if tensor.ndim != 2 or 0 in tensor.shape or not tensor.is_floating_point():
                raise ValueError(
                    f"{name} must be floating point of shape (n, .), got {tensor.dtype} {tuple(tensor.shape)}"
                )
        if len(self.points) != len(self.features):
            raise ValueError(f"{len(self.points)} points and {len(self.features)} features; expected as many of both")
        for name in ("variance", "feature_variance"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a positive number, got {getattr(self, name)}")

    @property
    def feature_density(self) -> GaussianMixture:
        """p(y)."""
        return GaussianMixture(self.features, self.feature_variance)

    def draw(self, count: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw conditions: (count,) indices i_s in turns, each point as often as the others, and y_s of (count, k)."""
        order = torch.randperm(len(self.points), generator=generator)
        index = order.repeat(-(-count // len(order)))[:count].to(self.features.device)
        return index, self.near(index, generator=generator)

    def near(self, index: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The features of these points with fresh noise of variance v_y, (s, k)."""
        chosen = self.features[index]
        noise = torch.randn(chosen.shape, generator=generator, dtype=chosen.dtype)
        return chosen + noise.to(chosen.device) * self.feature_variance**0.5

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Nodes over a one-dimensional feature, with which expectations over p(y) are exact to double precision.

        Returns:
            (g, 1) conditions and their (g,) log-weights, float64: the trapezoidal rule with 8 nodes per standard
            deviation, which converges geometrically on Gaussian mixtures.

        Raises:
            ValueError: the features have more than one dimension.
        """
        if self.features.shape[1] != 1:
            raise ValueError(f"quadrature is for one-dimensional features, got {self.features.shape[1]} dimensions")
        low, high, count = self._quadrature_range()
        nodes = torch.linspace(low, high, count, dtype=torch.float64, device=self.features.device)[:, None]
        density = GaussianMixture(self.features.double(), self.feature_variance).log_prob(nodes)
        return nodes, torch.log_softmax(density, 0)

    @property
    def quadrature_size(self) -> int:
        """Nodes that `quadrature` takes: 8 per standard deviation of the noise, over 9 on either side of the features."""
        return self._quadrature_range()[2]

    def _quadrature_range(self) -> tuple[float, float, int]:
        deviation = self.feature_variance**0.5
        low, high = (float(edge) for edge in self.features.double().aminmax())
        low, high = low - 9 * deviation, high + 9 * deviation
        return low, high, math.ceil((high - low) / deviation * NODES_PER_DEVIATION) + 1

    def conditional(self, conditions: Tensor) -> GaussianMixture:
        """p(.|y_s) for every condition, a batch (s,) of mixtures of all n components.

        Args:
            conditions: (s, k).

        Returns:
            Weights are softmax_i(-|y_s - y_i|^2 / 2 v_y), the points are shared: O(s n) memory.
        """
        weights = self.posterior(conditions)
        centers = self.points.expand(len(conditions), *self.points.shape)
        return GaussianMixture(centers, self.variance, log_weights=weights)

    @torch.no_grad()
    def log_norms(self, conditions: Tensor, *, progress: Callable[[int], None] | None = None) -> Tensor:
        """Log ||p(.|y_s)||^2 = c(2 v_x) + log w^T G w with G_ij = exp(-|x_i - x_j|^2 / 4 v_x), per condition  (E15).

        Args:
            conditions: (s, k).
            progress: called with the number of conditions that are done, in any order.

        Returns:
            (s,), in double precision. Conditions are taken in groups that lie close together, and a group looks only
            at points whose weight is above e^-50, a_g of them: O(sum_g a_g^2 (d + s_g)) time, O(256 n) memory.
        """
        logs = conditions.new_empty(len(conditions), dtype=torch.float64)
        done = 0
        shared = _scalar(self.variance).to(self.points.device)
        for group in _close_together(conditions, CONDITIONS):
            posterior = self.posterior(conditions[group])
            active = (posterior > NEGLIGIBLE).any(0).nonzero().squeeze(-1)
            weights = posterior[:, active].exp()
            total = weights.new_zeros(len(group))
            for start in range(0, len(active), ROWS):
                rows = slice(start, start + ROWS)
                x = self.points[active[rows]].double()
                for other in range(start, len(active), ROWS):
                    columns = slice(other, other + ROWS)
                    z = x if other == start else self.points[active[columns]].double()
                    kernel = log_kernel(x, shared, z, shared)[0].clamp_min_(-300.0).exp_()
                    half = ((weights[:, rows] @ kernel) * weights[:, columns]).sum(-1)
                    total += half if start == other else 2 * half
            logs[group] = total.log().where(posterior.isnan().logical_not().all(-1), math.nan)
            done += len(group)
            if progress is not None:
                progress(done)
        return logs + self.log_peak

    @torch.no_grad()
    def log_inners_and_norms(
        self,
        conditions: Tensor,
        model: Callable[[Tensor], GaussianMixture],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Log <p(.|y_s), q(.|y_s)> with the whole posterior, not a draw from it, and log ||q(.|y_s)||^2 of the same q.

        Both from one call of the model: one that draws codes afresh would otherwise be compared with another's norm, and
        could pass the limit.

        Args:
            conditions: (s, k).
            model: conditions to a batch of mixtures of c components each, with one variance; called on 256 at a time.
            progress: called with the number of conditions that are done.

        Returns:
            (s,) and (s,), in nats, in double precision given the centers. O(s n c d) time.

        Raises:
            ValueError: the mixtures' variance is not one number.
        """
        shared = _scalar(self.variance).to(self.points.device)
        inners, norms = [], []
        done = 0
        for group in conditions.split(CONDITIONS):
            q = model(group)
            if q.variance.numel() != 1:
                raise ValueError(
                    f"the model's mixtures must share one variance, a number; got one of shape {tuple(q.variance.shape)}"
                )
            norms.append(q.double().log_norm())
            posterior = self.posterior(group)
            variance, log_weights = q.variance.double().reshape(1, 1), q.log_weights.expand(len(group), -1)
            few = max(1, TILE // (q.components * min(len(self.points), COLUMNS)))
            for part in torch.arange(len(group), device=group.device).split(few):
                centers = q.centers[part].double().flatten(0, 1)
                log_sum = posterior.new_full((len(part),), -math.inf)
                constant = log_sum.new_zeros(())
                for x, log_posterior in zip(
                    self.points.split(COLUMNS), posterior[part].split(COLUMNS, -1), strict=True
                ):
                    exponent, constant = log_kernel(centers, variance, x.double(), shared)
                    pairs = exponent.unflatten(0, (len(part), -1)).add_(log_weights[part].unsqueeze(-1))
                    pairs += log_posterior.unsqueeze(1)
                    log_sum = torch.logaddexp(log_sum, torch.logsumexp(pairs.flatten(1), -1))
                inners.append(log_sum + constant)
                done += len(part)
                if progress is not None:
                    progress(done)
        return torch.cat(inners), torch.cat(norms)

    def log_norm(self, conditions: Tensor, *, log_weights: Tensor | None = None) -> Tensor:
        """Log E_y ||p(.|y)||^2, the limit of (E15), over these conditions: a scalar in nats."""
        return log_mean(self.log_norms(conditions), log_weights)

    def concentration(self, conditions: Tensor, *, log_weights: Tensor | None = None) -> Tensor:
        """B = E_y w^T G w, in (0, 1]; 1 / B is the effective number of posterior neighbours  (E19)."""
        return (self.log_norm(conditions, log_weights=log_weights) - self.log_peak).exp()

    @torch.no_grad()
    def mean_gains(self, conditions: Tensor, centers: int) -> Tensor:
        """How much better in (E15) all centers are at the posterior's mean than at draws from it (E19), per condition.

        Where it is positive, one blur beats C independent draws at this variance. For n equally likely points, all D apart,
        it is about 2 log n - log C - D^2 / 4 v_x as long as C << n.

        Args:
            conditions: (s, k).
            centers: C >= 1.

        Returns:
            (s,) nats, float64, in the time and memory of `log_norms` and `log_inners_and_norms`.

        Raises:
            ValueError: centers < 1.
        """

        def at_the_mean(conditions: Tensor) -> GaussianMixture:
            means = self.posterior(conditions).exp() @ self.points.double()
            return GaussianMixture(means.unsqueeze(1), self.variance)

        inners, norms = self.log_inners_and_norms(conditions, at_the_mean)
        limits = self.log_norms(conditions)
        tightness = torch.as_tensor(iid_tightness((limits - self.log_peak).exp(), centers))
        return 2 * inners - norms - limits - tightness.log()

    @torch.no_grad()
    def negative_entropy(self, index: Tensor, conditions: Tensor, *, variance: float, draws: int = 2) -> Tensor:
        """The limit of (E16): E log r(x|y) + d/2, r(.|y) the posterior mixture with the model's variance.

        As in `log_likelihood`: log q(x|y) + |x|^2 / 2 v_q is convex in x, so noise of variance v_q raises its mean, and
        Gibbs' inequality does the rest.

        Args:
            index: (s,) points whose noisy features the conditions are.
            conditions: (s, k).
            variance: v_q of the model.
            draws: antithetic pairs of noise per point, from a fixed seed.

        Returns:
            A Monte-Carlo estimate, scalar, in nats. O(draws s n (d + k)).

        Raises:
            ValueError: variance not positive, or draws < 1.
        """
        if not variance > 0 or draws < 1:
            raise ValueError(f"variance must be positive and draws at least 1, got {variance} and {draws}")
        scale = variance**-0.5, self.feature_variance**-0.5
        keys = torch.cat([self.points.double() * scale[0], self.features.double() * scale[1]], -1)
        y = conditions.double() * scale[1]
        ones = _scalar(1.0).to(y.device)
        uniform = torch.full((len(keys),), -math.log(len(keys)), dtype=torch.float64, device=y.device)
        marginal, _ = log_sum_over_components(y, 0 * ones, self.features.double() * scale[1], ones, uniform)
        generator = torch.Generator().manual_seed(0)
        total = y.new_zeros(())
        for _ in range(draws):
            unit = torch.randn((len(y), self.points.shape[1]), generator=generator, dtype=torch.float64).to(y.device)
            half_square = unit.square().sum(-1) / 2  # E is d / 2; draw by draw it cancels the noise's own density
            for sign in (1, -1):
                x = self.points[index].double() * scale[0] + sign * unit
                joint, _ = log_sum_over_components(torch.cat([x, y], -1), 0 * ones, keys, ones, uniform)
                total = total + (joint - marginal + half_square).mean()
        constant = log_normalizer(_scalar(variance), self.points.shape[1]).squeeze()
        return total / (2 * draws) + constant

    @property
    def log_peak(self) -> float:
        """c(2 v_x), the log squared norm of one component."""
        return float(log_normalizer(_scalar(2 * self.variance), self.points.shape[1]))

    def posterior(self, conditions: Tensor) -> Tensor:
        """Log w_i(y_s), the posterior log-weights of the points: (s, n), float64, for conditions (s, k)."""
        if conditions.ndim != 2 or conditions.shape[1] != self.features.shape[1]:
            raise ValueError(
                f"conditions must have shape (s, {self.features.shape[1]}) as the features, got {tuple(conditions.shape)}"
            )
        noise = _scalar(self.feature_variance).to(conditions.device)
        exponent, _ = log_kernel(conditions.double(), 0 * noise, self.features.double(), noise)
        return torch.log_softmax(exponent, -1)


@torch.no_grad()
def conditional_bound(
    joint: JointMixture,
    model: Callable[[Tensor], GaussianMixture],
    conditions: Tensor,
    *,
    log_weights: Tensor | None = None,
) -> ConditionalBound:
    """Value and limit of (E15) on given conditions, with whole posteriors: value <= limit without Monte-Carlo error.

    Args:
        joint: data and features.
        model: conditions (s, k) to a batch (s,) of mixtures with one variance.
        conditions: (s, k), draws from p(y), or nodes of `JointMixture.quadrature`.
        log_weights: (s,) of the nodes; None for draws.

    Returns:
        ConditionalBound. The model is called on 256 conditions at a time.

    Raises:
        ValueError: the conditions' shape does not fit the features'.
    """
    inners, norms = joint.log_inners_and_norms(conditions, model)
    return ConditionalBound(inners, norms, joint.log_norms(conditions), log_weights, joint.log_peak)


def _close_together(conditions: Tensor, size: int) -> Iterator[Tensor]:
    """Indices in groups of at most `size`: halves along the widest coordinate, as in a k-d tree."""
    pending = [torch.arange(len(conditions), device=conditions.device)]
    while pending:
        index = pending.pop()
        if len(index) <= size:
            yield index
            continue
        part = conditions[index]
        widest = int((part.amax(0) - part.amin(0)).argmax())
        order = part[:, widest].argsort()
        half = -(-len(order) // (2 * size)) * size  # full groups on the one side
        pending += [index[order[half:]], index[order[:half]]]


def _scalar(variance: float) -> Tensor:
    """A variance as `log_normalizer` and `log_kernel` take it, (1, 1) float64."""
    return torch.full((1, 1), variance, dtype=torch.float64)
