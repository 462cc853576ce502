import pytest
import torch

from contrastive_entropy.numerics.grams import contracted, gram
from contrastive_entropy.numerics.roots import inverse_root_factor, squared_norm_between
from samples import generator


def matrix(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def root(g):
    """(G + 0.1)^(-1/2), and functions of it, of a symmetric matrix."""
    factor = inverse_root_factor((g + g.mT) / 2, 0.1)
    return factor @ factor.mT


@pytest.mark.parametrize("batch", [(), (3,)])
def test_the_factor_is_that_of_the_inverse_root(batch):
    a = matrix(*batch, 5, 4)
    g = a @ a.mT  # of rank 4
    found = root(g)
    eye = torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(found @ found @ (g + 0.1 * eye), eye.expand_as(g))
    assert torch.autograd.gradcheck(root, ((g + 0.05 * eye).requires_grad_(),))


def test_gradients_with_equal_eigenvalues():
    g = torch.eye(4, dtype=torch.float64)
    g[3, 3] = 0.01
    assert torch.autograd.gradcheck(root, (g.requires_grad_(),))


def test_the_squared_norm_and_its_gradients():
    parts = [matrix(2, *shape, seed=k).requires_grad_() for k, shape in enumerate(((4, 4), (4, 3), (3, 3)))]
    left, cross, right = parts
    torch.testing.assert_close(squared_norm_between(*parts), (left.mT @ cross @ right).square().sum((-2, -1)))
    assert torch.autograd.gradcheck(squared_norm_between, parts)


@pytest.mark.parametrize("differences", [True, False])
def test_gram_matrices_and_their_gradients(differences):
    x, z, a, b = matrix(2, 4, 3), matrix(2, 5, 3, seed=1), matrix(2, 4, seed=2), matrix(2, 5, seed=3)

    def whole(*parts):
        found, shift = gram(*parts, differences=differences, dtype=torch.float64)
        return found * shift.exp()[:, None, None]

    expected = (a.unsqueeze(-1) + b.unsqueeze(-2) - torch.cdist(x, z).square() / 2).exp()
    torch.testing.assert_close(whole(x, z, a, b), expected)
    assert torch.autograd.gradcheck(whole, [part.requires_grad_() for part in (x, z, a, b)])


def test_only_what_is_wanted_is_contracted():
    x, z, weights = matrix(1, 4, 3), matrix(1, 5, 3, seed=1), matrix(1, 4, 5, seed=2)
    both = contracted(weights, x, z)
    for wanted in ((True, False), (False, True)):
        found = contracted(weights, x, z, wanted=wanted)
        for side, (part, full) in enumerate(zip(found, both, strict=True)):
            assert (part is None) == (not wanted[side % 2])
            if part is not None:
                torch.testing.assert_close(part, full)
