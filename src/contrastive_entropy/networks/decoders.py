"""What the decoders share: where their outputs lie among the data, and the directions that they write in."""

import math
from typing import Self

import torch
from torch import Tensor, nn

from contrastive_entropy.networks.images import ImageCodes
from contrastive_entropy.numerics.principal import principal_directions


class DataSpace(nn.Module):
    """Where a network's outputs lie: around the data's mean, with its spread, in all coordinates or a few directions.

    With a coder the network writes codes of images: mean and spread are those of the codes, and images what they decode to.
    """

    location: Tensor
    scale: Tensor
    basis: Tensor | None
    coder: ImageCodes | None

    def _set_place(
        self, location: Tensor, scale: Tensor, basis: Tensor | None, coder: ImageCodes | None = None
    ) -> None:
        if basis is not None and (basis.ndim != 2 or basis.shape[1] != len(location) or scale.ndim > 0):
            raise ValueError(
                f"basis must have shape (r, {len(location)}) and come with a scale of shape (), got "
                f"{tuple(basis.shape)} and {tuple(scale.shape)}"
            )
        self.register_buffer("location", location)
        self.register_buffer("scale", scale)
        self.register_buffer("basis", basis)
        self.coder = coder
        if coder is not None:
            coder.eval().requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> Self:
        """As of any module; a coder is trained already."""
        super().train(mode)
        if self.coder is not None:
            self.coder.eval()
        return self

    def project(self, x: Tensor) -> Tensor:
        """Data where the objective is evaluated: (n, d) -> (n, r) in the basis, or (n, k) codes; else the data."""
        if self.coder is not None:
            return self.coder.encode(x)
        if self.basis is None:
            return x
        with torch.autocast(x.device.type, enabled=False):
            return (x - self.location) @ self.basis.T

    def _centers(self, outputs: Tensor, projected: bool) -> Tensor:
        """(..., r) -> (..., d), or (..., r) in the basis, or of the codes, where that is asked for and there are such."""
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
        placed = self._placed(outputs)
        return placed if self.coder is None or projected else self.coder.decode(placed)

    def _placed(self, outputs: Tensor) -> Tensor:
        return torch.addcmul(self.location, self.scale, outputs)

    def place(self, points: Tensor, coder: ImageCodes | None = None) -> None:
        """Set location, scale and basis from training points (n, d); with a coder, that and its codes (n, k) of points."""
        if coder is not None:
            assert self.coder is not None
            self.coder.load_state_dict(coder.state_dict())
        self.location.copy_(points.mean(0, dtype=torch.float64))
        self.scale.copy_((points.double() - points.double().mean(0)).square().mean().sqrt())
        if self.basis is not None:
            self.basis.copy_(principal_directions(points, len(self.basis)))

    @torch.no_grad()
    def projected(self, points: Tensor) -> Tensor:
        """`project` of points (n, d) on the CPU, by parts on the network's device."""
        if self.coder is not None:
            return self.coder.codes_of(points)
        if self.basis is None:
            return points
        return torch.cat([self.project(part.to(self.location.device)).cpu() for part in points.split(4096)])

    @torch.no_grad()
    def reachable(self, points: Tensor) -> Tensor | None:
        """Points (n, d) as the network can make them at best: from their codes or components; None: just as they are."""
        if self.coder is not None:
            return self.coder.images_of(self.coder.codes_of(points))
        if self.basis is None:
            return None
        return self.projected(points) @ self.basis + self.location
