import math

import numpy as np
import pytest
import torch

from contrastive_entropy.objectives.discrete import discrete_hoelder

GAMMAS = [0.0, 0.3, 1.0]


def problem(seed=0, rows=7, sizes=(3, 2, 5)):
    """Logits, cells and which columns are asked for, at least one in each row."""
    generator = torch.Generator().manual_seed(seed)
    laws = [torch.randn(rows, size, generator=generator, dtype=torch.float64) for size in sizes]
    cells = torch.stack([torch.randint(size, (rows,), generator=generator) for size in sizes], 1)
    asked = torch.rand(rows, len(sizes), generator=generator) < 0.5
    asked[torch.arange(rows), torch.randint(len(sizes), (rows,), generator=generator)] = True
    return laws, cells, asked


def by_hand(laws, cells, asked, gamma):
    """The value as its docstring says it, with loops over columns and rows."""
    rows, columns = cells.shape
    total = 0.0
    for column in range(columns):
        weights, scores = [], []
        for row in range(rows):
            if not asked[row, column]:
                continue
            logits = laws[column][row].tolist()
            q = [math.exp(one) / sum(math.exp(other) for other in logits) for one in logits]
            y = q[int(cells[row, column])]
            norm = sum(one ** (1 + gamma) for one in q) ** (1 / (1 + gamma))
            weights.append(columns / int(asked[row].sum()))
            scores.append(math.log(y) if gamma == 0 else (y / norm) ** gamma)
        if not weights:
            continue
        mean = sum(w * s for w, s in zip(weights, scores, strict=True)) / sum(weights)
        share = sum(weights) / rows
        total += share * (mean if gamma == 0 else (1 + gamma) / gamma * math.log(mean))
    return total


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("seed", range(4))
def test_the_value_is_that_of_plain_loops(gamma, seed):
    laws, cells, asked = problem(seed)
    asked[:, 1] &= seed != 3  # a column that no row asks for
    asked[:, 0] |= ~asked.any(1)
    bound = discrete_hoelder(laws, cells, asked, gamma=gamma)
    assert float(bound.value) == pytest.approx(by_hand(laws, cells, asked, gamma), abs=1e-12)
    assert bound.value.dtype == torch.float64
    assert float(bound.limit) == 0


def test_small_gamma_comes_to_the_log_likelihood():
    laws, cells, asked = problem()
    limit = float(discrete_hoelder(laws, cells, asked, gamma=0).value)
    apart = [abs(float(discrete_hoelder(laws, cells, asked, gamma=gamma).value) - limit) for gamma in (1e-3, 1e-5)]
    assert apart[0] < 2e-2
    assert apart[1] < 2e-4


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_gradient_is_that_of_the_value(gamma):
    laws, cells, asked = problem(1)
    inputs = [law.requires_grad_() for law in laws]
    assert torch.autograd.gradcheck(lambda *laws: discrete_hoelder(laws, cells, asked, gamma=gamma).value, inputs)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_column_that_no_row_asks_for_has_no_gradient(gamma):
    laws, cells, asked = problem(2)
    asked[:] = torch.tensor([True, False, True])
    inputs = [law.requires_grad_() for law in laws]
    grads = torch.autograd.grad(discrete_hoelder(inputs, cells, asked, gamma=gamma).value, inputs)
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[1] == 0).all()
    assert (grads[0] != 0).any()


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_order_of_rows_does_not_matter_nor_does_a_shift_of_logits(gamma):
    laws, cells, asked = problem(3)
    value = discrete_hoelder(laws, cells, asked, gamma=gamma).value
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))
    other = discrete_hoelder([law[order] + 5 for law in laws], cells[order], asked[order], gamma=gamma).value
    torch.testing.assert_close(other, value, rtol=1e-12, atol=1e-12)
    swapped = discrete_hoelder(laws[::-1], cells.flip(1), asked.flip(1), gamma=gamma).value
    torch.testing.assert_close(swapped, value, rtol=1e-12, atol=1e-12)


def test_the_spherical_score_of_one_column():
    q = torch.tensor([[0.6, 0.8], [0.28, 0.96]], dtype=torch.float64)
    laws = [(q / q.sum(1, keepdim=True)).log()]  # rows of q have length 1, so y / norm is an entry
    value = discrete_hoelder(laws, torch.tensor([[0], [1]]), torch.ones(2, 1, dtype=torch.bool), gamma=1).value
    assert float(value) == pytest.approx(2 * math.log((0.6 + 0.96) / 2))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_law_that_is_sure_and_right_reaches_the_limit(gamma):
    laws, cells, asked = problem(4)
    sure = [60.0 * torch.nn.functional.one_hot(cell, law.shape[1]) for cell, law in zip(cells.T, laws, strict=True)]
    assert abs(float(discrete_hoelder(sure, cells, asked, gamma=gamma).value)) < 1e-12
    assert float(discrete_hoelder(laws, cells, asked, gamma=gamma).value) < 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_the_best_law_is_that_of_the_data(gamma):
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    cells = torch.repeat_interleave(torch.arange(4), torch.tensor([100, 60, 30, 10]))[:, None]
    asked = torch.ones(200, 1, dtype=torch.bool)

    def value(q):
        return float(discrete_hoelder([q.log().expand(200, -1)], cells, asked, gamma=gamma).value)

    best = value(p)
    rng = np.random.default_rng(0)
    for concentration in (1, 30, 1000):
        for other in rng.dirichlet(concentration * p.numpy() + 0.01, 60):
            assert value(torch.from_numpy(other + 1e-12)) <= best + 1e-12
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        loss = -discrete_hoelder([logits.expand(200, -1)], cells, asked, gamma=gamma).value
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(logits.detach().softmax(0), p, atol=1e-4, rtol=0)


def test_a_row_in_which_few_columns_are_asked_for_counts_as_much_as_others():
    law = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    one, both = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    cells = torch.zeros(1, 2, dtype=torch.int64)
    assert discrete_hoelder([law, law], cells, one).value == discrete_hoelder([law, law], cells, both).value


def test_what_does_not_fit_is_refused():
    laws, cells, asked = problem()
    for gamma in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\], got "):
            discrete_hoelder(laws, cells, asked, gamma=gamma)
    for wrong in ((cells[:, :2], asked), (cells, asked[1:]), (cells[:, :2], asked[:, :2])):
        with pytest.raises(ValueError, match=r"cells and asked must have shape \(n, 3\), got \(7, "):
            discrete_hoelder(laws, *wrong)
