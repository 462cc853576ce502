import pytest
import torch

from contrastive_entropy.spaces.classifier import Classifier
from contrastive_entropy.spaces.space import POINTS, features, identity, principal


def points(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_the_identity_leaves_points_as_they_are():
    space, x = identity(), points(5, 3)
    assert space.place(x) is x
    assert (space.name, space.digest, space.differentiable) == (POINTS, "", True)


def test_principal_components_keep_the_directions_of_most_variance():
    data = points(200, 4) * torch.tensor([5.0, 0.1, 3.0, 0.1]) + 7
    space = principal(data, 2)
    placed = space.place(data)
    assert placed.shape == (200, 2)
    torch.testing.assert_close(placed.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    values = torch.linalg.eigvalsh(torch.cov(data.T)).flip(0)[:2]
    torch.testing.assert_close(placed.var(0).sort(descending=True).values, values, rtol=1e-3, atol=1e-3)
    assert "2 leading principal components" in space.name


def test_features_are_those_of_the_classifier_and_bear_its_digest():
    x, labels = points(60, 3), torch.arange(60) % 3
    classifier = Classifier(x, labels, hidden=(8, 5), epochs=2)
    space = features(classifier, 0.5)
    assert torch.equal(space.place(x), classifier.features(x))
    assert space.place(x).shape == (60, 5)
    assert space.digest == classifier.digest != features(Classifier(x + 1, labels, hidden=(8, 5), epochs=2), 0.5).digest
    assert space.name.startswith("the 5 last features of MLPClassifier(8, 5), 2 epochs on 60 training points")
    assert space.name.endswith("accuracy 0.500")


@pytest.mark.parametrize("space", [identity(), principal(points(50, 4), 2)], ids=["identity", "principal"])
def test_gradients_pass_where_a_space_says_so(space):
    x = points(6, 4, seed=1).requires_grad_()
    space.place(x).square().sum().backward()
    assert space.differentiable
    assert float(x.grad.norm()) > 0
