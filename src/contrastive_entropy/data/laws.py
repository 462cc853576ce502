"""Laws of y given x whose density is known, so that a fit can be compared with the truth."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastive_entropy.mixtures.mixture import GaussianMixture

SKEW = ((0.6, -0.5, 0.3), (0.3, 0.4, 0.6), (0.1, 1.8, 1.2))
"""Weights, means and deviations of a skewed residual."""


@dataclass(frozen=True)
class Law:
    """A law of y given x.

    Args:
        says: what it is like.
        columns: k of x, uniform on [-1, 1].
        given: (n, k) to the law of y, a batch (n,) of mixtures of one coordinate; None: `pairs` draws x and y together.
    """

    says: str
    columns: int
    given: Callable[[Tensor], GaussianMixture]
    pairs: Callable[[int, torch.Generator], tuple[Tensor, Tensor]] | None = None

    def draw(self, count: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """x (n, k) and y (n, 1), float64."""
        generator = torch.Generator().manual_seed(seed)
        if self.pairs is not None:
            return self.pairs(count, generator)
        x = 2 * torch.rand(count, self.columns, generator=generator, dtype=torch.float64) - 1
        return x, self.given(x).sample(1, generator=generator).squeeze(-2)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of x, and y."""
        return *(("x",) if self.columns == 1 else tuple(f"x{index + 1}" for index in range(self.columns))), "y"

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Log p(y|x) of each row, (n,) nats."""
        return self.given(x).log_prob(y.unsqueeze(-2)).squeeze(-1)


def _mixture(*parts: tuple[Tensor | float, Tensor, Tensor | float]) -> GaussianMixture:
    """Of weights, means (n,) and deviations."""
    means = torch.stack([mean for _, mean, _ in parts], -1)
    weights, deviations = (
        torch.stack([torch.as_tensor(part[index], dtype=torch.float64).expand(len(means)) for part in parts], -1)
        for index in (0, 2)
    )
    return GaussianMixture(means.unsqueeze(-1), deviations.square().unsqueeze(-1), weights=weights)


def _heteroscedastic(x: Tensor) -> GaussianMixture:
    return _mixture((1.0, torch.sin(3 * x[:, 0]), 0.1 * torch.exp(1.2 * x[:, 0])))


def _bimodal(x: Tensor) -> GaussianMixture:
    apart = 1 + 0.5 * x[:, 0]
    return _mixture((0.5 + 0.3 * x[:, 0], apart, 0.2), (0.5 - 0.3 * x[:, 0], -apart, 0.2))


def _skewed(x: Tensor) -> GaussianMixture:
    scale = 0.3 * (1.5 + x[:, 0])
    return _mixture(*((weight, x[:, 0] + mean * scale, deviation * scale) for weight, mean, deviation in SKEW))


def _five(x: Tensor) -> GaussianMixture:
    """Friedman's first function, with noise that grows with the first column."""
    u = (x + 1) / 2
    mean = 10 * torch.sin(math.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2 + 10 * u[:, 3] + 5 * u[:, 4]
    return _mixture((1.0, mean, 0.5 + u[:, 0]))


NODES = 501
"""Of the quadrature that turns y to x around."""


def _inverse_sine_pairs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bishop's: y is uniform on [0, 1], and x = y + .3 sin(2 pi y) + noise."""
    y = torch.rand(count, generator=generator, dtype=torch.float64)
    noise = 0.05 * torch.randn(count, generator=generator, dtype=torch.float64)
    return (y + 0.3 * torch.sin(2 * math.pi * y) + noise).unsqueeze(-1), y.unsqueeze(-1)


def _inverse_sine(x: Tensor) -> GaussianMixture:
    """The law of y given x on a fine grid of narrow components, which no fit can tell from the exact one."""
    grid = (torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES
    curve = grid + 0.3 * torch.sin(2 * math.pi * grid)
    logs = -0.5 * ((x - curve) / 0.05).square()  # (n, nodes)
    return GaussianMixture(
        grid.unsqueeze(-1).expand(len(x), -1, -1),
        torch.tensor((1.0 / NODES) ** 2, dtype=torch.float64),
        log_weights=logs,
    )


ROWS = (1500, 3000)
"""To train on and held out, of a law as a data set."""

LAWS = {
    "heteroscedastic": Law("a sine whose noise grows tenfold", 1, _heteroscedastic),
    "bimodal": Law("two branches that share the mass unequally", 1, _bimodal),
    "skewed": Law("a line with a long tail upwards", 1, _skewed),
    "inverse_sine": Law("Bishop's: up to three answers to one x", 1, _inverse_sine, _inverse_sine_pairs),
    "friedman": Law("Friedman's function of five columns, noise that grows", 5, _five),
}
"""By name."""
