import pytest
import torch

from contrastive_entropy.data.laws import LAWS


@pytest.mark.parametrize("name", LAWS)
def test_densities_integrate_to_one_and_are_those_of_the_draws(name):
    law = LAWS[name]
    x, y = law.draw(4000, seed=0)
    assert x.shape == (4000, law.columns)
    span = float(y.max() - y.min())
    grid = torch.linspace(float(y.min()) - span, float(y.max()) + span, 6001, dtype=torch.float64)
    densities = law.given(x[:5]).log_prob(grid.unsqueeze(-1).expand(5, -1, -1)).exp()
    torch.testing.assert_close(torch.trapezoid(densities, grid), torch.ones(5, dtype=torch.float64), atol=2e-3, rtol=0)
    transforms = law.given(x).cdf(y.unsqueeze(-2)).squeeze(-1)
    levels = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    below = (transforms.unsqueeze(-1) <= levels).double().mean(0)
    torch.testing.assert_close(below, levels, atol=0.03, rtol=0)
    assert law.log_density(x, y).shape == (4000,)
    assert torch.equal(law.draw(5, seed=1)[1], law.draw(5, seed=1)[1])
