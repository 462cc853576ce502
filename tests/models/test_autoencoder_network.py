import numpy as np
import pytest
import torch

from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.autoencoder.network import CODES, EncoderMixtureDecoder
from contrastive_entropy.networks.bodies import MLP, ConvolutionalEncoder


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def model(codes="heads", centers=3, features=2, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs = features + (4 if codes == "learned" else 0)
        outputs = 5 * (centers if codes == "heads" else 1)
        return EncoderMixtureDecoder(
            MLP(5, features, width=8, depth=1),
            MLP(inputs, outputs, width=8, depth=1),
            **{
                "centers": centers,
                "codes": codes,
                "code_dimension": 4,
                "location": torch.full((5,), 2.0),
                "scale": torch.tensor(3.0),
                "variance": 0.5,
                "feature_variance": 0.01,
            }
            | changes,
        )


@pytest.mark.parametrize("codes", CODES)
def test_every_kind_of_code_gives_a_batch_of_mixtures(codes):
    network = model(codes)
    x = torch.randn(6, 5, generator=generator())
    q = network(x, generator=generator(1))
    assert isinstance(q, GaussianMixture)
    assert (q.batch_shape, q.components, q.dimension, float(q.variance)) == ((6,), 3, 5, 0.5)
    q.centers.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    again = network(x, generator=generator(1))
    assert torch.equal(again.centers, q.centers)
    assert not torch.equal(network(x, generator=generator(2)).centers, q.centers)
    apart = q.centers.detach().var(1).sum()
    assert apart > 0  # the centers of one condition differ
    torch.testing.assert_close(network.log_prob(x, network.encode(x)).shape, torch.Size([6]))


@pytest.mark.parametrize("codes", CODES)
def test_alternatives_are_centers_of_the_mixture_at_their_features(monkeypatch, codes):
    """Each input's three alternatives are its three centers, once each, although only those asked for are decoded."""
    network = model(codes)
    monkeypatch.setattr(network, "add_noise", lambda features, **_: features)
    x = torch.randn(4, 5, generator=generator())
    centers = network.mixture(network.encode(x)).centers.detach()
    found = network.reconstruct(x, 3, generator=generator())
    for rows, expected in zip(found, centers, strict=True):
        distances = torch.cdist(rows, expected)
        assert float(distances.amin(0).max()) < 1e-5
        assert float(distances.amin(1).max()) < 1e-5


def test_features_stay_in_their_box_and_noise_has_the_variance():
    network = model()
    y = network.encode(1e3 * torch.randn(50, 5, generator=generator()))
    assert float(y.detach().abs().max()) <= 1
    noise = network.add_noise(torch.zeros(20_000, 2), generator=generator())
    assert float(noise.var()) == pytest.approx(0.01, rel=0.05)


def test_location_and_scale_are_applied():
    network = model("heads", centers=2)
    y = torch.zeros(4, 2)
    expected = 2 + 3 * network.decoder(y).unflatten(-1, (2, 5))
    torch.testing.assert_close(network.mixture(y).centers, expected)


def test_alternatives_take_every_center_once_before_any_twice():
    network = model("learned", centers=4, feature_variance=1e-12)
    x = torch.randn(3, 5, generator=generator())
    found = network.reconstruct(x, 8, generator=generator())
    centers = network.mixture(network.encode(x)).centers
    assert found.shape == (3, 8, 5)
    for row in range(3):
        nearest = torch.cdist(found[row], centers[row]).argmin(-1)
        assert sorted(nearest[:4].tolist()) == sorted(nearest[4:].tolist()) == [0, 1, 2, 3]
    assert torch.equal(found, network.reconstruct(x, 8, generator=generator()))
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        network.reconstruct(x, 0, generator=generator())


def test_samples_come_from_features_and_centers():
    network = model("heads", centers=2, feature_variance=1e-12)
    features = network.encode(torch.randn(7, 5, generator=generator()))
    samples = network.sample(500, features, generator=generator())
    centers = network.mixture(features).centers.flatten(0, 1).detach()
    distances = torch.cdist(samples, centers)
    assert float(distances.amin(1).max()) < 1e-2
    assert distances.argmin(1).unique().numel() == 14
    spread = network.sample(5000, features, generator=generator(), from_density=True)
    assert float((spread - network.sample(5000, features, generator=generator())).var()) == pytest.approx(0.5, rel=0.1)
    with pytest.raises(ValueError, match="count must be at least 1"):
        network.sample(0, features, generator=generator())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": "binary"}, "codes must be one of heads, learned, got 'binary'"),
        ({"codes": "learned", "centers": 0}, "centers must be at least 1"),
        ({"variance": 0.0}, "variance must be positive, got 0"),
        ({"feature_variance": -1.0}, "feature_variance must be positive, got -1"),
    ],
)
def test_model_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (1, 5, 9), (1, 1, 1)])
def test_the_convolutional_encoder(shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvolutionalEncoder(shape, 2, width=8).eval()  # in training, a batch is normalised together
    images = torch.randn(4, int(np.prod(shape)), generator=generator(), requires_grad=True)
    features = network(images)
    assert features.shape == (4, 2)
    features[1].sum().backward()
    assert images.grad[1].abs().sum() > 0
    assert images.grad[[0, 2, 3]].abs().sum() == 0
    with pytest.raises(ValueError, match="outputs must be at least 1"):
        ConvolutionalEncoder(shape, 0)
