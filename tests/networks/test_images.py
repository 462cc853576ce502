"""Images to codes and back."""

import math

import pytest
import torch

from contrastive_entropy.networks.images import Clipped, ImageCodes, ImageDecoder
from samples import generator

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 5, 9), (1, 1, 1), (3, 2, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_code_becomes_an_image_on_its_own_and_every_weight_learns(shape):
    decoder = ImageDecoder(5, shape, width=2)
    codes = torch.randn(4, 5, generator=generator())
    images = decoder(codes)
    assert images.shape == (4, math.prod(shape))
    images.square().sum().backward()
    assert all(weight.grad is not None for weight in decoder.parameters())
    torch.testing.assert_close(decoder(codes[2:3])[0], images[2], atol=1e-5, rtol=1e-5)


def test_channels_grow_towards_the_coarsest_maps_up_to_eight_widths():
    decoder = ImageDecoder(5, (3, 128, 128), width=2)
    assert [layer.out_channels for layer in decoder.convolutions] == [16, 16, 16, 8, 4]
    assert decoder.coarsest_shape == (16, 4, 4)
    assert decoder.last.out_channels == 3 * 4  # the last doubling rearranges channels


def test_pixels_lie_where_the_convolution_put_them():
    """Channels of the last maps become the pixels of a 2 x 2 square, row by row."""
    decoder = ImageDecoder(1, (1, 8, 8), width=2)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.zero_()
        decoder.last.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        image = decoder(torch.zeros(1, 1)).reshape(8, 8)
    assert image[:2, :2].tolist() == [[1, 2], [3, 4]]
    assert torch.equal(image, image[:2, :2].repeat(4, 4))


def test_every_level_sees_the_code():
    """With a stem that says nothing the image still depends on the code, by the scales and shifts of each level."""
    decoder = ImageDecoder(3, (1, 28, 28), width=2)
    with torch.no_grad():
        for weight in decoder.stem.parameters():
            weight.zero_()
        for chosen in range(len(decoder.modulations)):
            saved = [modulation.weight.clone() for modulation in decoder.modulations]
            for level, modulation in enumerate(decoder.modulations):
                modulation.weight.mul_(float(level == chosen))
            first, second = decoder(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
            assert not torch.allclose(first, second)
            for modulation, weight in zip(decoder.modulations, saved, strict=True):
                modulation.weight.copy_(weight)


@pytest.mark.parametrize("sizes", [(0, (1, 8, 8), 4), (3, (1, 0, 8), 4), (3, (1, 8, 8), 0)])
def test_sizes_are_positive(sizes):
    inputs, shape, width = sizes
    with pytest.raises(ValueError, match="sizes must be at least 1"):
        ImageDecoder(inputs, shape, width=width)


def test_codes_have_mean_0_and_deviation_1_over_a_batch():
    torch.manual_seed(0)
    model = ImageCodes((1, 8, 8), 3, 4)
    codes = model.encode(
        10 * torch.rand(500, 64, generator=generator())
    )  # far above what the normalisation adds to variances
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.std(0), torch.ones(3), atol=5e-3, rtol=0)


def test_a_fresh_autoencoder_answers_near_the_mean_image_and_in_range():
    images = torch.rand(300, 64, generator=generator()).square()
    model = ImageCodes((1, 8, 8), 3, 4).eval()
    model.place(images)
    made = model.images_of(model.codes_of(images))
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    mean = images.mean(0)
    assert float((made.mean(0) - mean).abs().mean()) < 0.2
    with torch.no_grad():
        model.decoder.last.weight.zero_()
        model.decoder.last.bias.zero_()
        torch.testing.assert_close(model.decode(torch.zeros(1, 3))[0], mean)


def test_codes_of_many_images_are_those_of_evaluation_and_leave_the_mode_alone():
    model = ImageCodes((1, 8, 8), 3, 4)
    images = torch.rand(30, 64, generator=generator())
    codes = model.codes_of(images)
    assert model.training
    torch.testing.assert_close(codes, model.eval().encode(images).detach(), atol=1e-5, rtol=1e-5)
    assert model.codes_of(images[:7]).shape == (7, 3)
    assert not model.training


def test_a_clipped_value_can_come_back():
    values = torch.tensor([-0.5, 0.5, 1.5, -0.5, 1.5], requires_grad=True)
    made = Clipped.apply(values)
    assert made.tolist() == [0, 0.5, 1, 0, 1]
    made.backward(torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0]))
    assert values.grad.tolist() == [0, 1, 0, -1, 1]


def test_a_level_is_scaled_by_one_more_than_the_code_says_and_shifted():
    decoder = ImageDecoder(2, (1, 8, 8), width=1)
    codes = torch.randn(3, 2, generator=generator())
    (convolution,), (modulation,) = decoder.convolutions, decoder.modulations
    with torch.no_grad():
        maps = decoder.stem(codes).unflatten(-1, decoder.coarsest_shape)
        scale, shift = modulation(codes)[..., None, None].chunk(2, 1)
        level = maps + convolution(torch.nn.functional.silu(maps)) * (1 + scale) + shift
        last = decoder.last(torch.nn.functional.silu(level))
        expected = torch.stack([last[:, k::4] for k in range(4)], -1).squeeze(1)  # the four pixels of each square
        image = decoder(codes).reshape(3, 8, 8)
    for k, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        torch.testing.assert_close(image[:, row::2, column::2], expected[..., k], atol=1e-5, rtol=1e-5)
