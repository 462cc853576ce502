"""What the decoders share: where their outputs lie among the data, and the directions that they write in."""

import math

import torch
from torch import Tensor, nn

from contrastive_entropy.numerics.principal import principal_directions


class DataSpace(nn.Module):
    """Where a network's outputs lie: around the data's mean, with its spread, in all coordinates or a few directions."""

    location: Tensor
    scale: Tensor
    basis: Tensor | None

    def _set_place(self, location: Tensor, scale: Tensor, basis: Tensor | None) -> None:
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

    def place(self, points: Tensor) -> None:
        """Set location, scale and basis from training points (n, d)."""
        self.location.copy_(points.mean(0, dtype=torch.float64))
        self.scale.copy_((points.double() - points.double().mean(0)).square().mean().sqrt())
        if self.basis is not None:
            self.basis.copy_(principal_directions(points, len(self.basis)))

    @torch.no_grad()
    def projected(self, points: Tensor) -> Tensor:
        """`project` of points (n, d) on the CPU, by parts on the network's device; without a basis the points."""
        if self.basis is None:
            return points
        return torch.cat([self.project(part.to(self.location.device)).cpu() for part in points.split(4096)])
