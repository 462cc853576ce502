import pytest
import torch

import contrastive_entropy as ce


def test_the_limit_is_computed_once_and_only_when_asked():
    calls = []

    def limit():
        calls.append(1)
        return torch.tensor(2.0)

    bound = ce.Bound(torch.tensor(1.0), limit)
    assert not calls
    assert bound.gap.item() == 1
    assert bound.tightness.item() == pytest.approx(0.36787945)
    assert bound.limit.item() == 2
    assert len(calls) == 1


def test_tightness_never_exceeds_one():
    assert ce.Bound(torch.tensor(1e-7), lambda: torch.tensor(0.0)).tightness.item() == 1
