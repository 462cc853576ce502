import pytest

from contrastive_entropy.metrics.diagnosis import diagnose_predictions


@pytest.mark.parametrize(
    ("coverage", "members", "names", "says"),
    [
        (0.77, 1, ["overconfident"], "take an ensemble: `members` 5, raise `dropout`, or train on more data"),
        (0.77, 5, ["overconfident"], "raise `dropout` or train on more data"),
        (0.9, 1, [], ""),
        (0.85, 1, [], ""),
        (0.99, 1, ["vague"], "train longer: `steps` 4000 or lower `dropout`"),
    ],
)
def test_laws_that_are_too_sure_or_too_wide_are_named(coverage, members, names, says):
    found = diagnose_predictions({"coverage_90": coverage}, steps=2000, members=members)
    assert [one.name for one in found] == names
    if found:
        assert f"{coverage:.0%} of the values lie in the central 90% intervals" in str(found[0])
        assert str(found[0]).endswith(says)
