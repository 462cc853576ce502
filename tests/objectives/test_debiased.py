import pytest
import torch
from hypothesis import assume, given

import contrastive_entropy as ce
import references
from samples import generator, mixture
from strategies import as_arrays, problems


@pytest.mark.parametrize(
    ("plain", "debiased"), [(ce.nuclear_norm, ce.debiased_nuclear_norm), (ce.affinity, ce.debiased_affinity)]
)
def test_debiasing_removes_the_pull_towards_collapse(plain, debiased):
    # one law, fresh draws: the plain objective prefers a shrunken copy, the debiased one the law itself
    def mean_value(objective, shrink):
        values = [
            objective(
                mixture(64, 4, 0.1, seed=s), ce.GaussianMixture(shrink * mixture(128, 4, seed=99 + s).centers, 0.1)
            )
            for s in range(10)
        ]
        return torch.stack([bound.value for bound in values]).mean()

    assert mean_value(plain, 0.8) > mean_value(plain, 1.0)
    assert mean_value(debiased, 0.8) < mean_value(debiased, 1.0)


@pytest.mark.parametrize("smoothing", [0.0, 1e-4, 1e-2])
@given(problem=problems())
def test_pairs_equal_the_reference_and_stay_below_their_limit(smoothing, problem):
    p, q = problem.p, problem.q
    assume(p.components > 1)
    bound = ce.debiased_nuclear_norm(p, q, smoothing=smoothing, paired=True)
    value = references.debiased_nuclear_norm(as_arrays(p), as_arrays(q), smoothing, paired=True)
    assert bound.value.item() == pytest.approx(value, abs=1e-6)
    # arccos turns rounding near 1 into its root
    assert bound.limit.item() == pytest.approx(references.paired_limit(as_arrays(p), as_arrays(q), smoothing), abs=1e-4)
    assert bound.gap.item() > -1e-6


def test_pairs_of_the_same_data_are_no_pairs():
    p, q = mixture(6, 3), mixture(8, 3, seed=1)
    twice = ce.GaussianMixture(p.centers.repeat(2, 1), 0.5)
    paired, shared = ce.debiased_nuclear_norm(twice, q, paired=True), ce.debiased_nuclear_norm(p, q)
    assert paired.value.item() == pytest.approx(shared.value.item(), abs=1e-12)
    assert paired.limit.item() == pytest.approx(shared.limit.item(), abs=1e-6)


def test_pairs_have_a_less_noisy_gradient():
    # of a shift and a scale of the model's law, at the optimum, where their mean is 0
    def gradients(paired):
        for seed in range(200):
            shift, scale = torch.zeros(3, requires_grad=True), torch.ones((), requires_grad=True)
            x, z = (torch.randn(2, 32, 3, generator=generator(10 * seed + k), dtype=torch.float64) for k in (0, 1))
            p = ce.GaussianMixture(x.flatten(0, 1) if paired else x[0], 1.0)
            q = ce.GaussianMixture(scale * z.flatten(0, 1) + shift, 1.0)
            ce.debiased_nuclear_norm(p, q, smoothing=1e-2, paired=paired).value.backward()
            yield torch.cat([shift.grad, scale.grad[None]])

    paired, shared = (torch.stack(list(gradients(paired))) for paired in (True, False))
    assert (paired.var(0) < 0.85 * shared.var(0)).all()
    assert (paired.mean(0).abs() < 4 * paired.std(0) / 200**0.5).all()
