"""Noise to points: a network whose forward pass returns a mixture."""

import torch
from torch import Tensor, nn

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.networks.decoders import DataSpace
from contrastive_entropy.networks.images import ImageCodes

NOISES = ("gaussian", "uniform")
"""Kinds of noise codes: standard normal, or uniform on [-sqrt 3, sqrt 3]; both have mean 0 and variance 1."""


class Generator(DataSpace):
    """Noise codes to the centers of a uniform mixture of Gaussians, each center one generated point.

    centers = location + scale * body(noise), so that a fresh network starts at the data's mean and spread.

    Args:
        body: maps (m, noise_dimension + groups) to (m, d), or to (m, r) with a basis.
        noise_dimension: of the codes.
        groups: of the training points, each of which is compared with samples made for it; 0: none.
        location: (d,) mean of the data.
        scale: (d,) or () spread of the data.
        variance: of the density, in data units squared; a buffer, the last one of the training.
        noise: one of `NOISES`.
        coder: an autoencoder of images: body maps to (m, k), its codes, and location and scale are of codes.
        basis: (r, d) orthonormal rows, e.g. `principal_directions`: the centers are location + scale * sqrt(d / r) *
            body(noise) @ basis.

    Raises:
        ValueError: unknown noise, noise_dimension < 1, variance not positive, or a basis of another shape.

    >>> network = Generator(nn.Linear(2, 3), noise_dimension=2, location=torch.zeros(3),
    ...                                 scale=torch.ones(3), variance=0.1)
    >>> network(network.draw_noise(5, generator=torch.Generator().manual_seed(0)))
    GaussianMixture(components=5, dimension=3, variance=0.1)
    """

    variance: Tensor
    group_centers: Tensor
    group_shares: Tensor

    def __init__(
        self,
        body: nn.Module,
        *,
        noise_dimension: int,
        location: Tensor,
        scale: Tensor,
        variance: float,
        noise: str = "gaussian",
        basis: Tensor | None = None,
        coder: ImageCodes | None = None,
        groups: int = 0,
    ) -> None:
        super().__init__()
        if noise not in NOISES:
            raise ValueError(f"noise must be one of {', '.join(NOISES)}, got {noise!r}")
        if noise_dimension < 1:
            raise ValueError(f"noise_dimension must be at least 1, got {noise_dimension}")
        if not variance > 0:
            raise ValueError(f"variance must be positive, got {variance}")
        self.body = body
        self.noise_dimension, self.groups = noise_dimension, groups
        self.noise = noise
        self._set_place(location, scale, basis, coder)
        self.register_buffer("group_centers", torch.zeros(groups, len(location)) if groups else None)
        self.register_buffer("group_shares", torch.full((groups,), 1 / groups) if groups else None)
        self.register_buffer("variance", torch.tensor(variance, dtype=torch.float64))

    def forward(self, noise: Tensor, *, projected: bool = False, variance: float | None = None) -> GaussianMixture:
        """Noise to a mixture.

        Args:
            noise: (m, noise_dimension) codes.
            projected: where `project` brings data, instead of in all coordinates.
            variance: of the density; None is the network's own.

        Returns:
            m components in d dimensions, or r.
        """
        known = self.variance.clone() if variance is None else variance  # a mixture keeps its variance
        return GaussianMixture(self._centers(self.body(noise), projected), known)

    def _placed(self, outputs: Tensor) -> Tensor:
        return self.location + self.scale * outputs

    def draw_noise(self, count: int, *, generator: torch.Generator, groups: Tensor | None = None) -> Tensor:
        """Noise from a CPU generator, on the network's device: what `forward` takes.

        Args:
            count: m.
            generator: of the noise.
            groups: (m,) int64, the group that each is made for; None: drawn by their shares of the data.

        Returns:
            (m, noise_dimension) codes; with groups, behind each a one among zeros at the place of its group.
        """
        shape = (count, self.noise_dimension)
        if self.noise == "gaussian":
            codes = torch.randn(shape, generator=generator)
        else:
            codes = (2 * torch.rand(shape, generator=generator) - 1) * 3**0.5
        if self.groups:
            if groups is None:
                groups = torch.multinomial(self.group_shares.cpu(), count, replacement=True, generator=generator)
            codes = torch.cat([codes, nn.functional.one_hot(groups, self.groups)], -1)
        return codes.to(self.location.device)

    @torch.no_grad()
    def sample(self, count: int, *, generator: torch.Generator, from_density: bool = False) -> Tensor:
        """Generate points.

        Args:
            count: n >= 1.
            generator: a CPU generator.
            from_density: add noise of the density's variance. Right after `log_likelihood`, which fits the density
                itself to the data; the other objectives blur the data by the same variance and compare centers.

        Returns:
            (n, d), the centers of n fresh codes, or one draw from each center's Gaussian.

        Raises:
            ValueError: count < 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        noise = self.draw_noise(count, generator=generator)
        centers = torch.cat([self(part, projected=self.coder is not None).centers for part in noise.split(4096)])
        if from_density:
            blur = torch.randn(centers.shape, generator=generator).to(centers)
            centers = centers + blur * self.variance.to(centers.dtype).sqrt()
        return centers if self.coder is None else self.coder.images_of(centers)
