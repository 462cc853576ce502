"""An encoder, noise on its features, and a decoder that answers with a mixture."""

import torch
from torch import Tensor, nn

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.networks.decoders import DataSpace

CODES = ("heads", "learned")
"""What tells the centers of a condition apart: outputs of their own, or learned codes beside the features."""


class EncoderMixtureDecoder(DataSpace):
    """Data to features, noise on the features, and a decoder that answers with a uniform mixture of C Gaussians.

    y = tanh(encoder((x - location) / scale)) lies in a box of fixed size, so that noise of variance v_y is a bottleneck
    which the encoder cannot escape by scaling up; centers z_c = location + scale * decoder(y, code_c), or with a basis what
    `Generator` says. With one center and no feature noise this is the plain autoencoder.

    Args:
        encoder: maps (n, d) to (n, k).
        decoder: maps (n, k + code_dimension) to (n, d), or (n, k) to (n, centers * d) if codes are `heads`; with a basis
            r takes the place of d.
        centers: C.
        codes: one of `CODES`.
        code_dimension: of learned codes; heads have none.
        location: (d,) mean of the data.
        scale: (d,) or () spread of the data.
        variance: v_q of the density, in data units squared; a buffer, the last one of the training.
        feature_variance: v_y, where the features' box is [-1, 1]^k; a buffer, too.
        basis: (r, d) orthonormal rows in which the decoder writes, as in `Generator`.

    Raises:
        ValueError: unknown codes, a size below 1, a variance that is not positive, or a basis of another shape.

    >>> model = EncoderMixtureDecoder(nn.Linear(3, 1), nn.Linear(1 + 4, 3), centers=4, location=torch.zeros(3),
    ...                               scale=torch.ones(()), variance=0.1, feature_variance=0.01,
    ...                               codes="learned", code_dimension=4)
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
        codes: str = "heads",
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
        if codes == "learned":
            self.codes = nn.Parameter(torch.randn(centers, code_dimension))
        self._set_place(location, scale, basis)
        self.register_buffer("variance", torch.tensor(variance, dtype=torch.float64))
        self.register_buffer("feature_variance", torch.tensor(feature_variance, dtype=torch.float64))

    def encode(self, x: Tensor) -> Tensor:
        """(n, d) -> (n, k) features in [-1, 1], without noise."""
        scale = self.scale.where(self.scale > 0, 1.0)  # of constant data it is 0
        return torch.tanh(self.encoder((x - self.location) / scale))

    def add_noise(
        self, features: Tensor, *, generator: torch.Generator, feature_variance: float | None = None
    ) -> Tensor:
        """Features with noise of variance v_y, the network's own if None, from a CPU generator; it may leave the box."""
        noise = torch.randn(features.shape, generator=generator, dtype=features.dtype).to(features.device)
        known = (
            self.feature_variance if feature_variance is None else torch.tensor(feature_variance, dtype=torch.float64)
        )
        return features + noise * known.to(features).sqrt()

    def mixture(self, features: Tensor, *, projected: bool = False, variance: float | None = None) -> GaussianMixture:
        """q(x|y) for every y.

        Args:
            features: (s, k), noise included.
            projected: where `project` brings data, instead of in all coordinates.
            variance: of the density; None is the network's own.

        Returns:
            A batch (s,) of mixtures of C components.
        """
        known = self.variance.clone() if variance is None else variance  # a mixture keeps its variance
        if self.kind == "heads":
            outputs = self.decoder(features.to(next(self.decoder.parameters()).dtype))
            return GaussianMixture(self._centers(outputs.unflatten(-1, (self.centers, -1)), projected), known)
        codes = self.codes.expand(len(features), -1, -1)
        return GaussianMixture(self._decoded(features, codes, projected), known)

    def _decoded(self, features: Tensor, codes: Tensor, projected: bool = False) -> Tensor:
        """Centers (s, c, d) of features (s, k) and codes (s, c, .)."""
        count = codes.shape[:2]
        inputs = torch.cat([features.unsqueeze(1).expand(*count, -1), codes], -1)
        inputs = inputs.to(next(self.decoder.parameters()).dtype)
        return self._centers(self.decoder(inputs.flatten(0, 1)).unflatten(0, count), projected)

    def forward(self, x: Tensor, *, generator: torch.Generator) -> GaussianMixture:
        """(n, d) -> q(x|y) at noisy features, a batch (n,) of mixtures."""
        return self.mixture(self.add_noise(self.encode(x), generator=generator))

    def log_prob(self, x: Tensor, features: Tensor) -> Tensor:
        """Log q(x_s | y_s), (s,) nats, float64, of x (s, d) given features (s, k)."""
        return self.mixture(features).log_prob(x.unsqueeze(1)).squeeze(-1)

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
            rows.append(self._decoded(part, self.codes[index].unsqueeze(1)).squeeze(1))
        return torch.cat(rows)
