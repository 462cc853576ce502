import torch

from contrastive_entropy.data import Dataset, Images, Part, load
from contrastive_entropy.data.dataset import split


def test_rows_of_a_part_keep_what_belongs_to_them():
    points = torch.arange(12.0).reshape(6, 2)
    part = Part(points, given=10 * points[:, :1], labels=torch.arange(6))
    few = part.rows(torch.tensor([4, 1]))
    assert (len(few), few.points[:, 0].tolist(), few.given[:, 0].tolist()) == (2, [8, 2], [80, 20])
    assert few.labels.tolist() == [4, 1]
    assert Part(points).rows(torch.tensor([0])).labels is None


def test_a_data_set_of_tensors():
    data = Dataset.of("pixels", torch.zeros(20, 6), torch.ones(5, 6), Images(1, 2, 3))
    assert (data.dimension, data.image_shape, len(data.held_out)) == (6, (1, 2, 3), 5)
    assert Dataset.of("rows", torch.zeros(20, 6), torch.ones(5, 6)).image_shape is None


def test_the_digest_follows_both_parts():
    train, held_out = torch.zeros(20, 2), torch.ones(5, 2)
    digest = Dataset.of("x", train, held_out).digest
    assert digest == Dataset.of("y", train.clone(), held_out).digest
    assert digest != Dataset.of("x", train, 2 * held_out).digest
    assert digest != Dataset.of("x", train + 1, held_out).digest
    assert load("digits").digest == "9c5cd6b50e5694111793b5c838389dab05ec4a2a11d30caad9ec6c83c8ba0ca2"


def test_a_split_takes_every_row_once():
    train, held_out = split("x", 100, held_out=0.5, most=20, seed=3)
    assert (len(train), len(held_out)) == (80, 20)
    assert sorted(torch.cat([train, held_out]).tolist()) == list(range(100))
