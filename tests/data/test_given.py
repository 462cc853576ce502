import dataclasses

import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.given import conditions_of, parted
from contrastive_entropy.data.load import load
from contrastive_entropy.data.schema import Column, Table


@pytest.fixture
def table():
    train, held_out = (torch.arange(4.0 * count).reshape(count, 4) for count in (12, 10))
    return Dataset.of("t.csv", train, held_out, Table.of(4, ("a", "b", "c", "3")))


@pytest.mark.parametrize(
    ("target", "given", "targets", "conditions"),
    [
        (None, None, [3], [0, 1, 2]),
        ("b", None, [1], [0, 2, 3]),
        ("c, a", None, [2, 0], [1, 3]),
        ("0", "2,1", [0], [2, 1]),
        ("3", None, [3], [0, 1, 2]),  # a name, before it is a number
        (None, "a", [3], [0]),
    ],
)
def test_columns_are_parted_in_the_order_that_was_asked_for(table, target, given, targets, conditions):
    found = parted(table, target=target, given=given)
    names = [column.name for column in table.schema.columns]
    for part, whole in ((found.train, table.train), (found.held_out, table.held_out)):
        assert torch.equal(part.points, whole.points[:, targets])
        assert torch.equal(part.given, whole.points[:, conditions])
    assert found.schema.names == tuple(names[index] for index in targets)
    assert found.given_schema.names == tuple(names[index] for index in conditions)


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        ("d", None, r"`target`: t.csv has no column 'd'.*; the columns are a, b, c, 3"),
        ("4", None, "no column '4'"),
        ("a,a", None, "`target` names 'a' twice"),
        ("a", "b,a", "'a' is in `target` and in `given`"),
        ("a,b,c,3", None, "nothing to predict from"),
        ("a", "", "`given`: t.csv has no column ''"),
    ],
)
def test_what_cannot_be_parted_is_refused(table, target, given, message):
    with pytest.raises(InputError, match=message):
        parted(table, target=target, given=given)


def test_tables_without_names_count_from_0():
    moons = load("moons")
    assert parted(moons, target="0").schema.names is None
    with pytest.raises(InputError, match="no column 'x'; they count from 0 to 1"):
        parted(moons, target="x")


@pytest.fixture
def digits():
    return load("digits")


@pytest.mark.parametrize(("target", "given"), [(None, None), ("image", None), ("image", "class")])
def test_images_are_given_their_class(digits, target, given):
    found = parted(digits, target=target, given=given)
    for part, whole in ((found.train, digits.train), (found.held_out, digits.held_out)):
        assert torch.equal(part.points, whole.points)
        assert torch.equal(part.given[:, 0].long(), whole.labels)
    assert found.given_schema.names == ("class",)
    assert found.given_schema.columns[0].levels == tuple("0123456789")


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        ("class", None, "a classifier tells the class of an image"),
        ("pixels", None, "`target` of images is image, got 'pixels'"),
        (None, "image", "`given` of images is class, got 'image'"),
    ],
)
def test_what_images_are_not_given_is_refused(digits, target, given, message):
    with pytest.raises(InputError, match=message):
        parted(digits, target=target, given=given)


def test_images_without_classes_are_refused(digits):
    with pytest.raises(InputError, match="digits holds images without classes"):
        parted(dataclasses.replace(digits, classes=None))


NUMBERS = Table((Column("a"), Column("b")), named=True)
CLASSES = Table((Column("class", "category", levels=("cat", "dog")),), named=True)


@pytest.mark.parametrize(
    ("values", "schema", "expected"),
    [
        ({"b": 2, "a": "1.5"}, NUMBERS, [[1.5, 2.0]]),
        ({"class": "dog"}, CLASSES, [[1.0]]),
    ],
)
def test_conditions_are_read_by_name(values, schema, expected):
    assert conditions_of(values, schema).tolist() == expected


@pytest.mark.parametrize(
    ("values", "schema", "message"),
    [
        ({"a": 1}, NUMBERS, "`given` lacks b"),
        ({"a": 1, "b": 2, "c": 3}, NUMBERS, "no column 'c'.*known: a, b"),
        ({"a": 1, "b": "two"}, NUMBERS, "b must be a number, got 'two'"),
        ({"a": 1, "b": "nan"}, NUMBERS, "b must be a finite number that float32 holds, got 'nan'"),
        ({"class": "dgo"}, CLASSES, "class has no value 'dgo'; did you mean 'dog'.*known: cat, dog"),
    ],
)
def test_conditions_that_cannot_be_read_are_refused(values, schema, message):
    with pytest.raises(InputError, match=message):
        conditions_of(values, schema)


def test_other_conditions_are_other_data(table):
    first, second = (parted(table, target="a", given=given).digest for given in ("b", "c"))
    assert first != second
