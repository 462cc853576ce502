import pytest
import torch

from contrastive_entropy.numerics.principal import EXACT, principal_directions


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(9, 30), (200, 7)])
def test_principal_directions_are_those_of_the_singular_value_decomposition(shape):
    data = torch.randn(shape, generator=generator()) * torch.arange(1, shape[1] + 1) + 100
    expected = torch.linalg.svd(data.double() - data.double().mean(0))[2][:4]
    found = principal_directions(data, 4)
    assert found.dtype == data.dtype
    assert (found.double() @ expected.T).abs().diagonal().tolist() == pytest.approx([1] * 4, abs=1e-6)


def test_principal_directions_beyond_the_rank_complete_an_orthonormal_set():
    line = torch.arange(20.0)[:, None] * torch.ones(50)
    for data in (line, torch.cat([line, line])[:, :10]):
        found = principal_directions(data, 9)
        torch.testing.assert_close(found @ found.T, torch.eye(9), atol=1e-6, rtol=0)
        assert float(found[0].abs().std()) < 1e-6


@pytest.mark.parametrize("count", [0, 5, 9])
def test_no_more_principal_directions_than_the_data_span(count):
    with pytest.raises(ValueError, match=f"count must lie from 1 to 4 for 5 points of 8 coordinates, got {count}"):
        principal_directions(torch.randn(5, 8), count)


def test_many_points_go_by_subspace_iteration_and_lose_little_variance():
    n, d, count = EXACT + 200, EXACT + 100, 40
    data = torch.randn((n, d), generator=generator()) * torch.arange(1, d + 1) ** -0.5
    state = torch.get_rng_state()
    found = principal_directions(data, count)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(principal_directions(data, count), found)
    torch.testing.assert_close(found @ found.T, torch.eye(count), atol=1e-5, rtol=0)
    centered = data - data.mean(0)
    best = torch.linalg.svdvals(centered)[:count].square()
    kept = (centered @ found.T).square().sum(0)
    assert float(kept.sum() / best.sum()) > 0.99
    assert kept.tolist() == sorted(kept.tolist(), reverse=True)


def test_signs_are_fixed():
    data = torch.randn((50, 6), generator=generator())
    found = principal_directions(data, 6)
    torch.testing.assert_close(principal_directions(data + 100, 6), found, atol=1e-4, rtol=0)
    # mirrored data, mirrored directions, but for signs
    for sign in torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(1, 3):
        mirrored = principal_directions(data * sign, 6) * sign
        torch.testing.assert_close(mirrored.abs(), found.abs(), atol=1e-4, rtol=0)
        assert (principal_directions(data * sign, 6).gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()
    assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()
