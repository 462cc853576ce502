import dataclasses
import math

import pytest

from contrastive_entropy import InputError
from contrastive_entropy.fitting.settings import (
    Option,
    changed,
    check,
    check_principal,
    check_variances,
    option,
    refuse_changes,
    refuse_useless,
    settings_of,
    shared,
)


@dataclasses.dataclass(frozen=True)
class Asked:
    steps: int = shared("steps", 2000)
    end: float | None = option(None, "Where it ends.", above=0, chosen="from the data")
    share: float = option(0.5, "A share.", share=True)
    kind: str = option("round", "A shape.", choices=("round", "square"))
    unseen: int = 3

    def __post_init__(self):
        check(self)


def test_settings_are_the_fields_that_options_made_and_types_go_without_none():
    found = settings_of(Asked)
    assert [(setting.name, setting.kind, setting.default) for setting in found] == [
        ("steps", int, 2000),
        ("end", float, None),
        ("share", float, 0.5),
        ("kind", str, "round"),
    ]
    assert found[1].option == Option("Where it ends.", above=0, chosen="from the data")


@pytest.mark.parametrize(
    ("known", "value", "message"),
    [
        ({"least": 2}, 1, "x must be at least 2, got 1"),
        ({"least": 2}, math.nan, "x must be at least 2, got nan"),
        ({"below": 10}, 10, "x must be below 10, got 10"),
        ({"below": 2**32}, 2**32, r"x must be below 2\^32"),
        ({"above": 0}, 0.0, "x must be a positive number, got 0.0"),
        ({"above": 0}, math.inf, "x must be a positive number, got inf"),
        ({"above": 0}, math.nan, "x must be a positive number, got nan"),
        ({"above": 1}, 1.0, "x must be a number above 1, got 1.0"),
        ({"share": True}, -0.1, r"x must lie in \[0, 1\], got -0.1"),
        ({"share": True}, 1.1, r"x must lie in \[0, 1\], got 1.1"),
        ({"share": True}, math.nan, r"x must lie in \[0, 1\], got nan"),
        (
            {"choices": ("round", "square")},
            "sqare",
            r"unknown x 'sqare'; did you mean 'square'\? \(known: round, square\)",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(known, value, message):
    with pytest.raises(InputError, match=message):
        Option("What it is.", **known).check("x", value)


@pytest.mark.parametrize(
    ("known", "value"),
    [({"least": 2}, 2), ({"below": 10}, 9), ({"above": 0}, 1e-300), ({"share": True}, 0), ({"share": True}, 1.0)],
)
def test_values_at_the_edge_pass_and_none_always(known, value):
    Option("What it is.", **known).check("x", value)
    Option("What it is.", **known).check("x", None)


def test_settings_that_differ_from_their_defaults():
    assert changed(Asked()) == {}
    assert changed(Asked(steps=5, end=0.1, kind="square", unseen=4)) == {"steps": 5, "end": 0.1, "kind": "square"}


def test_useless_settings_are_refused_only_where_they_were_given():
    useless = {"share": "nothing falls"}
    refuse_useless({"steps": 5}, useless)
    with pytest.raises(InputError, match="`share` would be ignored: nothing falls; leave it out"):
        refuse_useless({"share": 0.5}, useless)


def test_a_resumed_run_keeps_its_settings():
    refuse_changes(Asked(steps=5), {"steps": 5, "kind": "round"})
    with pytest.raises(InputError, match="`steps` 6 differs from the run's 5: a resumed run keeps its settings"):
        refuse_changes(Asked(steps=5), {"steps": 6})
    with pytest.raises(InputError, match=r"`end` 1.0 differs from the run's one, which was chosen"):
        refuse_changes(Asked(), {"end": 1.0})


def test_a_variance_falls_and_principal_components_need_an_mlp():
    check_variances(0.2, 0.2)
    check_variances(None, 0.2)
    with pytest.raises(InputError, match=r"variance_start must not be below variance_end, got 0.1 < 0.2"):
        check_variances(0.1, 0.2)
    check_principal(4, "body", "mlp")
    check_principal(0, "body", "convolutional")
    with pytest.raises(InputError, match="principal_components need body mlp"):
        check_principal(4, "body", "convolutional")
