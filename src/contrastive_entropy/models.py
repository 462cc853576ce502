"""Models whose forward pass returns a mixture, or a batch of conditional mixtures."""

import math

import torch
from torch import Tensor, nn

from contrastive_entropy.mixtures.mixture import GaussianMixture

NOISES = ("gaussian", "uniform")
"""Kinds of noise codes: standard normal, or uniform on [-sqrt 3, sqrt 3]; both have mean 0 and variance 1."""


CODES = ("one_hot", "learned", "gaussian", "heads")
"""What tells the centers of a condition apart: fixed one-hot codes, learned codes, fresh normal codes for every condition,
or outputs of their own without any code."""


class _DataSpace(nn.Module):
    """Where a network's outputs lie: around the data's mean, with its spread, in all coordinates or a few directions."""

    location: Tensor
    scale: Tensor
    basis: Tensor | None

    def _place(self, location: Tensor, scale: Tensor, basis: Tensor | None) -> None:
        if basis is not None and (basis.ndim != 2 or basis.shape[1] != len(location) or scale.ndim > 0):
            raise ValueError(
                f"basis must have shape (r, {len(location)}) and come with a scale of shape (), got "
                f"{tuple(basis.shape)} and {tuple(scale.shape)}"
            )
        self.register_buffer("location", location)
        self.register_buffer("scale", scale)
        self.register_buffer("basis", basis)

    def project(self, x: Tensor) -> Tensor:
        """Data where the objective is evaluated: (n, d) -> (n, r) coordinates in the basis; without one, the data."""
        if self.basis is None:
            return x
        with torch.autocast(x.device.type, enabled=False):
            return (x - self.location) @ self.basis.T

    def _centers(self, outputs: Tensor, projected: bool) -> Tensor:
        """(..., r) -> (..., d), or (..., r) in the basis where that is asked for and there is one."""
        expected = len(self.location) if self.basis is None else len(self.basis)
        if outputs.shape[-1] != expected:
            raise ValueError(f"the network must write {expected} numbers per center, got {outputs.shape[-1]}")
        if self.basis is not None:
            rank, dimension = self.basis.shape
            outputs = outputs.to(self.basis.dtype) * math.sqrt(dimension / rank)  # as far apart as in all coordinates
            if projected:
                return outputs * self.scale
            with torch.autocast(outputs.device.type, enabled=False):
                outputs = outputs @ self.basis
        return self._placed(outputs)

    def _placed(self, outputs: Tensor) -> Tensor:
        return torch.addcmul(self.location, self.scale, outputs)


class MixtureDensityNetwork(_DataSpace):
    """Noise codes to the centers of a uniform mixture of Gaussians, each center one generated point.

    centers = location + scale * body(noise), so that a fresh network starts at the data's mean and spread.

    Args:
        body: maps (m, noise_dimension) to (m, d), or to (m, r) with a basis.
        noise_dimension: of the codes.
        location: (d,) mean of the data.
        scale: (d,) or () spread of the data.
        variance: of the density, in data units squared; a buffer that training anneals.
        noise: one of `NOISES`.
        basis: (r, d) orthonormal rows, e.g. `principal_directions`: the centers are location + scale * sqrt(d / r) *
            body(noise) @ basis.

    Raises:
        ValueError: unknown noise, noise_dimension < 1, variance not positive, or a basis of another shape.

    >>> network = MixtureDensityNetwork(nn.Linear(2, 3), noise_dimension=2, location=torch.zeros(3),
    ...                                 scale=torch.ones(3), variance=0.1)
    >>> network(network.draw_noise(5, generator=torch.Generator().manual_seed(0)))
    GaussianMixture(components=5, dimension=3, variance=0.1)
    """

    variance: Tensor

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
    ) -> None:
        super().__init__()
        if noise not in NOISES:
            raise ValueError(f"noise must be one of {', '.join(NOISES)}, got {noise!r}")
        if noise_dimension < 1:
            raise ValueError(f"noise_dimension must be at least 1, got {noise_dimension}")
        if not variance > 0:
            raise ValueError(f"variance must be positive, got {variance}")
        self.body = body
        self.noise_dimension = noise_dimension
        self.noise = noise
        self._place(location, scale, basis)
        self.register_buffer("variance", torch.tensor(variance, dtype=torch.float64))

    def forward(self, noise: Tensor, *, projected: bool = False) -> GaussianMixture:
        """(m, noise_dimension) -> a mixture of m components in d dimensions; projected: where `project` brings data."""
        return GaussianMixture(self._centers(self.body(noise), projected), self.variance)

    def _placed(self, outputs: Tensor) -> Tensor:
        return self.location + self.scale * outputs

    def draw_noise(self, count: int, *, generator: torch.Generator) -> Tensor:
        """(count, noise_dimension) codes from a CPU generator, moved to the network's device."""
        shape = (count, self.noise_dimension)
        if self.noise == "gaussian":
            codes = torch.randn(shape, generator=generator)
        else:
            codes = (2 * torch.rand(shape, generator=generator) - 1) * 3**0.5
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
        centers = torch.cat([self(codes).centers for codes in self.draw_noise(count, generator=generator).split(4096)])
        if from_density:
            noise = torch.randn(centers.shape, generator=generator).to(centers)
            return centers + noise * self.variance.to(centers.dtype).sqrt()
        return centers


class EncoderMixtureDecoder(_DataSpace):
    """Data to features, noise on the features, and a decoder that answers with a uniform mixture of C Gaussians.

    y = tanh(encoder((x - location) / scale)) lies in a box of fixed size, so that noise of variance v_y is a bottleneck
    which the encoder cannot escape by scaling up; centers z_c = location + scale * decoder(y, code_c), or with a basis what
    `MixtureDensityNetwork` says. With one center and no feature noise this is the plain autoencoder.

    Args:
        encoder: maps (n, d) to (n, k).
        decoder: maps (n, k + code_dimension) to (n, d), or (n, k) to (n, centers * d) if codes are `heads`; with a basis
            r takes the place of d.
        centers: C.
        codes: one of `CODES`.
        code_dimension: of learned and gaussian codes; one-hot codes have `centers` dimensions, heads none.
        location: (d,) mean of the data.
        scale: (d,) or () spread of the data.
        variance: v_q of the density, in data units squared; a buffer that training anneals.
        feature_variance: v_y, where the features' box is [-1, 1]^k; a buffer, too.
        basis: (r, d) orthonormal rows in which the decoder writes, as in `MixtureDensityNetwork`.

    Raises:
        ValueError: unknown codes, a size below 1, a variance that is not positive, or a basis of another shape.

    >>> model = EncoderMixtureDecoder(nn.Linear(3, 1), nn.Linear(1 + 4, 3), centers=4, location=torch.zeros(3),
    ...                               scale=torch.ones(()), variance=0.1, feature_variance=0.01)
    >>> model.mixture(model.encode(torch.zeros(5, 3)))
    GaussianMixture(batch_shape=(5,), components=4, dimension=3, variance=0.1)
    """

    variance: Tensor
    feature_variance: Tensor
    codes: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        centers: int,
        location: Tensor,
        scale: Tensor,
        variance: float,
        feature_variance: float,
        codes: str = "one_hot",
        code_dimension: int = 8,
        basis: Tensor | None = None,
    ) -> None:
        super().__init__()
        if codes not in CODES:
            raise ValueError(f"codes must be one of {', '.join(CODES)}, got {codes!r}")
        for name, size in {"centers": centers, "code_dimension": code_dimension}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        for name, value in {"variance": variance, "feature_variance": feature_variance}.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        self.encoder, self.decoder = encoder, decoder
        self.centers, self.kind = centers, codes
        self.code_dimension = code_dimensions(codes, centers, code_dimension)
        if codes == "learned":
            self.codes = nn.Parameter(torch.randn(centers, code_dimension))
        else:
            self.register_buffer("codes", torch.eye(centers), persistent=False)
        self._place(location, scale, basis)
        self.register_buffer("variance", torch.tensor(variance, dtype=torch.float64))
        self.register_buffer("feature_variance", torch.tensor(feature_variance, dtype=torch.float64))

    def encode(self, x: Tensor) -> Tensor:
        """(n, d) -> (n, k) features in [-1, 1], without noise."""
        scale = self.scale.where(self.scale > 0, 1.0)  # of constant data it is 0
        return torch.tanh(self.encoder((x - self.location) / scale))

    def add_noise(self, features: Tensor, *, generator: torch.Generator) -> Tensor:
        """Features with noise of variance v_y from a CPU generator; the noise may leave the box."""
        noise = torch.randn(features.shape, generator=generator, dtype=features.dtype).to(features.device)
        return features + noise * self.feature_variance.to(features.dtype).sqrt()

    def mixture(
        self, features: Tensor, *, generator: torch.Generator | None = None, projected: bool = False
    ) -> GaussianMixture:
        """q(x|y) for every y.

        Args:
            features: (s, k), noise included.
            generator: a CPU generator of fresh codes, for codes `gaussian`; None takes torch's global one.
            projected: where `project` brings data, instead of in all coordinates.

        Returns:
            A batch (s,) of mixtures of C components.
        """
        if self.kind == "heads":
            outputs = self.decoder(features.to(next(self.decoder.parameters()).dtype))
            return GaussianMixture(self._centers(outputs.unflatten(-1, (self.centers, -1)), projected), self.variance)
        codes = self.codes.expand(len(features), -1, -1)
        if self.kind == "gaussian":
            codes = self._fresh_codes(len(features) * self.centers, generator).unflatten(0, (-1, self.centers))
        return GaussianMixture(self._decoded(features, codes, projected), self.variance)

    def _fresh_codes(self, count: int, generator: torch.Generator | None) -> Tensor:
        return torch.randn((count, self.code_dimension), generator=generator).to(self.location.device)

    def _decoded(self, features: Tensor, codes: Tensor, projected: bool = False) -> Tensor:
        """Centers (s, c, d) of features (s, k) and codes (s, c, .)."""
        count = codes.shape[:2]
        inputs = torch.cat([features.unsqueeze(1).expand(*count, -1), codes], -1)
        inputs = inputs.to(next(self.decoder.parameters()).dtype)
        return self._centers(self.decoder(inputs.flatten(0, 1)).unflatten(0, count), projected)

    def forward(self, x: Tensor, *, generator: torch.Generator) -> GaussianMixture:
        """(n, d) -> q(x|y) at noisy features, a batch (n,) of mixtures."""
        return self.mixture(self.add_noise(self.encode(x), generator=generator), generator=generator)

    def log_prob(self, x: Tensor, features: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Log q(x_s | y_s), (s,) nats, float64, of x (s, d) given features (s, k); generator as in `mixture`."""
        return self.mixture(features, generator=generator).log_prob(x.unsqueeze(1)).squeeze(-1)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
        """Alternatives for every input: each from fresh feature noise, the centers in turns, in random order.

        Args:
            x: (n, d).
            count: alternatives per input.
            generator: a CPU generator.

        Returns:
            (n, count, d).

        Raises:
            ValueError: count < 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        features = torch.cat([self.encode(part) for part in x.split(4096)]).repeat_interleave(count, 0)
        turns = -(-count // self.centers)
        order = torch.rand((len(x), turns, self.centers), generator=generator).argsort(-1).flatten(1)[:, :count]
        return self._decode(features, order.flatten(), generator).unflatten(0, (len(x), count))

    @torch.no_grad()
    def sample(self, count: int, features: Tensor, *, generator: torch.Generator, from_density: bool = False) -> Tensor:
        """New points: y from the density of features, the mixture on encoded data, then one of its centers.

        Args:
            count: n >= 1.
            features: (m, k) encoded data.
            generator: a CPU generator.
            from_density: add noise of the density's variance to the centers.

        Returns:
            (n, d).

        Raises:
            ValueError: count < 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        index = torch.randint(len(features), (count,), generator=generator).to(features.device)
        chosen = torch.randint(self.centers, (count,), generator=generator)
        points = self._decode(features[index], chosen, generator)
        if from_density:
            points += torch.randn(points.shape, generator=generator).to(points) * self.variance.to(points.dtype).sqrt()
        return points

    def _decode(self, features: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """One center at the noisy features of each row, (n, d)."""
        noisy = self.add_noise(features, generator=generator)
        rows = []
        for part, index in zip(noisy.split(256), chosen.to(noisy.device).split(256), strict=True):
            if self.kind == "heads":
                centers = self.mixture(part).centers
                rows.append(centers[torch.arange(len(part), device=part.device), index])
                continue
            fresh = self.kind == "gaussian"
            codes = self._fresh_codes(len(part), generator) if fresh else self.codes[index]
            rows.append(self._decoded(part, codes.unsqueeze(1)).squeeze(1))
        return torch.cat(rows)


def code_dimensions(codes: str, centers: int, code_dimension: int) -> int:
    """Inputs of the decoder beside the features."""
    return {"one_hot": centers, "heads": 0}.get(codes, code_dimension)
