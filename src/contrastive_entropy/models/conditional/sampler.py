"""Given x and noise to samples of y: class-conditional generators, and samplers of columns given others."""

import math

import torch
from torch import Tensor, nn

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.networks.decoders import DataSpace
from contrastive_entropy.networks.images import Clipped, ImageCodes

DRAWS = 100
"""Samples that stand for a law where one is asked for."""

PART = 4096
"""Points that are made at once."""


class ConditionalSampler(DataSpace):
    """(x, noise) to samples of y, each location + scale * body(noise, x), so that a fresh network starts among the data.

    Args:
        body: maps (m, noise_dimension + k) to (m, d), for k columns of x, or `levels` classes.
        noise_dimension: of the standard normal noise.
        inputs: columns of x; one if it is a class.
        outputs: d, of y.
        levels: classes, which x holds by number; 0: x are numbers.
        variance: of the density at which samples are compared, the last one of the training.
        coder: an autoencoder of images, whose codes body writes; d is their size.
        columns: whether y are columns of a table, each with a scale of its own; else pixels, which share one and lie in
            [0, 1].

    Raises:
        ValueError: a size is not positive, or a class beside other columns.

    >>> network = ConditionalSampler(nn.Linear(4 + 3, 2), noise_dimension=4, inputs=1, outputs=2, levels=3)
    >>> network.draw(torch.tensor([[0.0], [2.0]]), generator=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 2])
    """

    given_location: Tensor
    given_scale: Tensor
    variance: Tensor

    def __init__(
        self,
        body: nn.Module,
        *,
        noise_dimension: int,
        inputs: int,
        outputs: int,
        levels: int = 0,
        columns: bool = False,
        variance: float = 1.0,
        coder: ImageCodes | None = None,
    ) -> None:
        super().__init__()
        if min(noise_dimension, inputs, outputs) < 1 or (levels and inputs > 1):
            raise ValueError(
                "noise_dimension, inputs and outputs must be at least 1, and inputs 1 where x is a class; got "
                f"{noise_dimension}, {inputs}, {outputs} and {levels} levels"
            )
        self.body, self.noise_dimension, self.levels = body, noise_dimension, levels
        self._set_place(torch.zeros(outputs), torch.ones(outputs) if columns else torch.ones(()), None, coder)
        self.register_buffer("given_location", torch.zeros(inputs))
        self.register_buffer("given_scale", torch.ones(inputs))
        self.register_buffer("variance", torch.tensor(variance, dtype=torch.float64))

    def place_given(self, given: Tensor, points: Tensor) -> None:
        """Set locations and scales from training rows (n, k) and (n, d)."""
        self.place(points)
        if self.scale.ndim:
            self.scale.copy_(_deviations(points))
        if not self.levels:
            self.given_location.copy_(given.mean(0, dtype=torch.float64))
            self.given_scale.copy_(_deviations(given))

    def encoded(self, given: Tensor) -> Tensor:
        """x as the network sees it: (n, k) -> (n, k) standardized, or (n, levels) with a one at the class."""
        if self.levels:
            return nn.functional.one_hot(given[:, 0].long(), self.levels).to(self.location.dtype)
        return (given - self.given_location) / self.given_scale

    def unscaled(self, points: Tensor) -> Tensor:
        """Points (..., d) where the objective compares them: columns in deviations, pixels as they are."""
        return (points - self.location) / self.scale if self.scale.ndim else points

    def draw_noise(self, count: int, *, generator: torch.Generator) -> Tensor:
        """(count, noise_dimension) from a CPU generator, moved to the network's device."""
        return torch.randn(count, self.noise_dimension, generator=generator).to(self.location.device)

    def samples(self, given: Tensor, noise: Tensor, *, projected: bool = False) -> Tensor:
        """One sample each: (n, k) and (n, noise_dimension) -> (n, d); pixels in [0, 1], or their codes if projected."""
        points = self._centers(self.body(torch.cat([noise, self.encoded(given)], -1)), projected)
        return points if self.scale.ndim or self.coder is not None else Clipped.apply(points)

    @torch.no_grad()
    def draw(self, given: Tensor, *, generator: torch.Generator) -> Tensor:
        """A sample of y for every row of x, (n, k) -> (n, d), with fresh noise from a CPU generator."""
        noise = self.draw_noise(len(given), generator=generator)
        return torch.cat([self.samples(*part) for part in zip(given.split(PART), noise.split(PART), strict=True)])

    @torch.no_grad()
    def forward(self, given: Tensor, *, draws: int = DRAWS, seed: int = 0) -> GaussianMixture:
        """The law of y given x, as draws smoothed by Silverman's rule.

        Args:
            given: (n, k).
            draws: for each row.
            seed: of the draws.

        Returns:
            Batch (n,) of mixtures of `draws` components.
        """
        generator = torch.Generator().manual_seed(seed)
        points = self.draw(given.repeat_interleave(draws, 0), generator=generator).unflatten(0, (len(given), draws))
        dimension = points.shape[-1]
        width = (4 / (dimension + 2) / draws) ** (1 / (dimension + 4))
        least = torch.finfo(points.dtype).eps * (self.scale + points.abs().amax(-2, keepdim=True))
        return GaussianMixture(points, (width * points.std(-2, keepdim=True)).maximum(least).square())


def _deviations(values: Tensor) -> Tensor:
    """Of columns (n, d); one that is constant has 1."""
    deviation = values.double().std(0, correction=0)
    return torch.where(deviation > math.sqrt(torch.finfo(torch.float32).tiny), deviation, 1.0)
