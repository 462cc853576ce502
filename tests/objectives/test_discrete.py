"""The Hoelder family on laws over cells, against sums in a double loop."""

import math

import numpy as np
import pytest
import torch

from contrastive_entropy.objectives.discrete import discrete_hoelder

LAWS = [torch.randn(6, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (2, 5, 3)]
CELLS = torch.tensor([[0, 4, 1], [1, 0, 2], [1, 1, 0], [0, 2, 2], [1, 3, 1], [0, 0, 0]])
ASKED = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 0], [1, 0, 1]]).bool()


def by_hand(laws, cells, asked, gamma):
    total = 0.0
    for column, law in enumerate(laws):
        scored, weights = 0.0, 0.0
        for row in range(len(cells)):
            if not asked[row, column]:
                continue
            q = np.exp(law[row].numpy())
            q /= q.sum()
            weight = len(laws) / int(asked[row].sum())
            value = q[cells[row, column]]
            if gamma == 0:
                scored += weight * math.log(value) / len(cells)
            else:
                norm = (q ** (1 + gamma)).sum() ** (1 / (1 + gamma))
                scored += weight * (value / norm) ** gamma
                weights += weight
        total += scored if gamma == 0 else (1 + gamma) / gamma * math.log(scored / weights)
    return total


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_it_is_the_sum_by_hand(gamma):
    bound = discrete_hoelder(LAWS, CELLS, ASKED, gamma=gamma)
    assert bound.value.item() == pytest.approx(by_hand(LAWS, CELLS, ASKED, gamma), rel=1e-12)
    assert bound.value < bound.limit == 0


def test_gamma_1_of_one_column_is_the_normalised_inner_product():
    law = torch.tensor([[math.log(0.6), math.log(0.3), math.log(0.1)]], dtype=torch.float64)
    value = discrete_hoelder([law], torch.tensor([[1]]), torch.tensor([[True]]), gamma=1.0).value
    assert value.item() == pytest.approx(2 * math.log(0.3 / math.sqrt(0.36 + 0.09 + 0.01)))


def test_a_small_gamma_is_near_the_likelihood_where_all_is_asked():
    every = torch.ones_like(ASKED)
    near, likelihood = (discrete_hoelder(LAWS, CELLS, every, gamma=gamma).value for gamma in (1e-6, 0.0))
    assert near.item() == pytest.approx(likelihood.item(), abs=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.0])
def test_the_best_law_is_the_one_that_the_values_came_from(gamma):
    counts = torch.tensor([6, 3, 1])
    cells = torch.arange(3).repeat_interleave(counts)[:, None]
    asked = torch.ones_like(cells, dtype=torch.bool)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def loss():
        optimizer.zero_grad()
        bound = discrete_hoelder([logits.expand(10, 3)], cells, asked, gamma=gamma)
        bound.backward()
        return -bound.value

    optimizer.step(loss)
    assert logits.softmax(0).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_gradients_and_the_order_of_rows(gamma):
    laws = [law.clone().requires_grad_() for law in LAWS]
    assert torch.autograd.gradcheck(lambda *own: discrete_hoelder(own, CELLS, ASKED, gamma=gamma).value, laws)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    shuffled = discrete_hoelder([law[order] for law in LAWS], CELLS[order], ASKED[order], gamma=gamma).value
    assert torch.allclose(shuffled, discrete_hoelder(LAWS, CELLS, ASKED, gamma=gamma).value)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\], got 1\.5"):
        discrete_hoelder(LAWS, CELLS, ASKED, gamma=1.5)
    with pytest.raises(ValueError, match=r"must have shape \(n, 3\), got \(6, 2\) and \(6, 3\)"):
        discrete_hoelder(LAWS, CELLS[:, :2], ASKED)
