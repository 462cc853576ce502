"""Problems that hypothesis draws."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import contrastive_entropy as ce


@dataclass(frozen=True)
class Problem:
    """Two mixtures, with what they were made of."""

    x: Tensor
    z: Tensor
    x_variance: Tensor
    z_variance: Tensor
    x_weights: Tensor
    z_weights: Tensor

    @property
    def p(self) -> ce.GaussianMixture:
        return ce.GaussianMixture(self.x, self.x_variance, weights=self.x_weights)

    @property
    def q(self) -> ce.GaussianMixture:
        return ce.GaussianMixture(self.z, self.z_variance, weights=self.z_weights)


def as_arrays(mixture: ce.GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What references.py takes."""
    variances = mixture.variance.expand_as(mixture.centers)
    return mixture.centers.numpy(), variances.numpy(), mixture.log_weights.exp().numpy()


@st.composite
def problems(draw: st.DrawFn, *, square: bool = False, shared: bool = False) -> Problem:
    """n and m from 2 to 6 (equal if square), d up to 9, some duplicates; shared: one isotropic variance."""
    n = draw(st.integers(2, 6))
    m = n if square else draw(st.integers(2, 6))
    d = draw(st.sampled_from([1, 2, 3, 9]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def points(count: int) -> Tensor:
        values = torch.randn(count, d, generator=generator, dtype=torch.float64)
        if draw(st.booleans()):
            values[-1] = values[0]
        return values

    def variance(count: int) -> Tensor:
        kind = "shared" if shared else draw(st.sampled_from(["shared", "diagonal", "components", "full"]))
        shape = {"shared": (1, 1), "diagonal": (1, d), "components": (count, 1), "full": (count, d)}[kind]
        return 0.2 + 2 * torch.rand(shape, generator=generator, dtype=torch.float64)

    def weights(count: int) -> Tensor:
        if draw(st.booleans()):
            return torch.full((count,), 1 / count, dtype=torch.float64)
        return 0.1 + torch.rand(count, generator=generator, dtype=torch.float64)

    return Problem(points(n), points(m), variance(n), variance(m), weights(n), weights(m))
