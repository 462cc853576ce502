"""Images to codes and back: a decoder that upsamples, and an autoencoder whose codes a generator can learn in."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from contrastive_entropy.networks.bodies import ConvolutionalEncoder, channels_last, coarsest_maps

HIDDEN, MOST = 256, 8
"""Width of the layer before the coarsest maps, and channels of any level at most, in widths."""

PART = 2048
"""Images that pass at once where no gradient is asked for."""


class ImageDecoder(nn.Module):
    """Codes to images: maps of about 4 x 4, a residual convolution at every size, and nearest neighbours in between.

    Every level also has a scale and a shift of each channel from the codes, so that detail does not have to pass through
    the coarsest maps. The last doubling rearranges channels (Shi et al. 2016, arXiv:1609.05158): nothing is convolved at
    full size, where most of the time would go.

    Args:
        inputs: k, numbers in a code.
        image_shape: (channels, height, width); sizes that are not 4 x 2^j or 7 x 2^j are made larger and cropped.
        width: channels at full size, if there were any; doubled for every coarser level up to `MOST` times.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> ImageDecoder(8, (1, 28, 28), width=4)(torch.zeros(5, 8)).shape
    torch.Size([5, 784])
    """

    def __init__(self, inputs: int, image_shape: tuple[int, int, int], *, width: int = 16) -> None:
        super().__init__()
        channels, height, columns = image_shape
        if min(inputs, channels, height, columns, width) < 1:
            raise ValueError(f"sizes must be at least 1, got {inputs} inputs, {image_shape} and width {width}")
        doublings, coarsest = coarsest_maps(image_shape)
        self.image_shape, self.shuffle = image_shape, 2 if doublings else 1
        counts = [min(MOST, 2**level) * width for level in reversed(range(min(doublings, 1), doublings + 1))]
        self.coarsest_shape = (counts[0], *coarsest)
        self.stem = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, math.prod(self.coarsest_shape))
        )
        self.narrow = channels_last([nn.Conv2d(a, b, 1) for a, b in itertools.pairwise(counts)])
        self.convolutions = channels_last([nn.Conv2d(count, count, 3, padding=1) for count in counts])
        self.modulations = nn.ModuleList(nn.Linear(inputs, 2 * count) for count in counts)
        self.last = nn.Conv2d(counts[-1], channels * self.shuffle**2, 3, padding=1).to(
            memory_format=torch.channels_last
        )  # type: ignore[call-overload]

    def forward(self, codes: Tensor) -> Tensor:
        """(n, inputs) -> (n, channels * height * width)."""
        maps = self.stem(codes).unflatten(-1, self.coarsest_shape).contiguous(memory_format=torch.channels_last)
        for level, (convolution, modulation) in enumerate(zip(self.convolutions, self.modulations, strict=True)):
            if level:
                maps = nn.functional.interpolate(self.narrow[level - 1](maps), scale_factor=2.0, mode="nearest")
            scale, shift = modulation(codes)[..., None, None].chunk(2, 1)
            maps = maps + convolution(nn.functional.silu(maps)) * (1 + scale) + shift
        pixels = nn.functional.pixel_shuffle(self.last(nn.functional.silu(maps)), self.shuffle)
        _, height, columns = self.image_shape
        return pixels[..., :height, :columns].flatten(1)


class ImageCodes(nn.Module):
    """An autoencoder of images. A generator that learns the law of its codes learns images.

    Codes have mean 0 and deviation 1 over the training images, in every number. While training, noise is added to them, so
    that neighbours in the code space are alike, and points between codes are images, too.

    Args:
        image_shape: (channels, height, width).
        dimension: k, numbers in a code.
        width: channels at full size.

    >>> model = ImageCodes((1, 8, 8), 6, width=4).eval()
    >>> model.decode(model.encode(torch.zeros(5, 64))).shape
    torch.Size([5, 64])
    """

    location: Tensor

    def __init__(self, image_shape: tuple[int, int, int], dimension: int, width: int = 16) -> None:
        super().__init__()
        self.dimension, self.width = dimension, width
        self.encoder = ConvolutionalEncoder(image_shape, dimension, width=width)
        self.decoder = ImageDecoder(dimension, image_shape, width=width)
        self.register_buffer("location", torch.zeros(math.prod(image_shape)))

    def place(self, images: Tensor) -> None:
        """Set the mean image, from training images (n, d)."""
        self.location.copy_(images.mean(0, dtype=torch.float64))

    def encode(self, images: Tensor) -> Tensor:
        """(n, d) in [0, 1] -> (n, k)."""
        return self.encoder(images - self.location)

    def decode(self, codes: Tensor) -> Tensor:
        """(n, k) -> (n, d) in [0, 1]."""
        return Clipped.apply(self.location + self.decoder(codes).to(self.location.dtype))

    @torch.no_grad()
    def codes_of(self, images: Tensor) -> Tensor:
        """`encode` of images (n, d) on the CPU, by parts on the network's device, in evaluation mode."""
        training, device = self.training, self.location.device
        self.eval()
        with torch.autocast(device.type, enabled=False):
            found = torch.cat([self.encode(part.to(device)).cpu() for part in images.split(PART)])
        self.train(training)
        return found

    @torch.no_grad()
    def images_of(self, codes: Tensor) -> Tensor:
        """`decode` of codes (n, k), by parts."""
        return torch.cat([self.decode(part) for part in codes.split(PART)])


class Clipped(torch.autograd.Function):
    """Values in [0, 1], with the gradients that bring a value back: one that is cut off is not lost.

    Pixels that are 0 in the data come out as 0 exactly. Clipped only after training, their noise would be grey.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """(...) to (...)."""
        ctx.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:
        """What comes in, but for what would lead further out."""
        (grad,) = grad_outputs
        (values,) = ctx.saved_tensors
        out = ((values < 0) & (grad > 0)) | ((values > 1) & (grad < 0))
        return grad.masked_fill(out, 0.0)
