import pytest
import torch

from contrastive_entropy.data.load import load
from contrastive_entropy.spaces.classifier import Classifier


def test_a_class_that_was_not_there_to_learn_is_not_taken_for_another():
    points = torch.cat([torch.zeros(20, 2), torch.ones(20, 2)])
    classifier = Classifier(points, torch.tensor([1] * 20 + [4] * 20))
    assert classifier.accuracy(points, torch.tensor([1] * 20 + [4] * 20)) == 1
    for unseen in (0, 2, 9):
        assert classifier.accuracy(points, torch.full((40,), unseen)) == 0


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_the_classifier_knows_the_digits(digits):
    classifier = Classifier(digits.train.points, digits.train.labels)
    assert classifier.accuracy(digits.held_out.points, digits.held_out.labels) > 0.93
    found = classifier.purity_and_clarity(digits.held_out.points[:100, None], digits.held_out.labels[:100])
    assert found["purity"] > 0.9
    blurred = digits.held_out.points.mean(0).expand(100, 1, -1)
    assert classifier.purity_and_clarity(blurred, digits.held_out.labels[:100])["purity"] < 0.3
