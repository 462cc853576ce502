"""One suite for every objective of the catalogue: what a record claims is what its function does."""

import functools
import inspect
import math

import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.objectives.catalog import (
    CONDITIONAL_OBJECTIVES,
    DENSITY_OBJECTIVES,
    GENERATIVE,
    GIVEN_OBJECTIVES,
    PEERS,
    Choice,
    names,
    parse,
)
from contrastive_entropy.objectives.entry import CONDITIONAL, DENSITY, GIVEN

TUPLES = {
    "density": DENSITY_OBJECTIVES,
    "peers": PEERS,
    "conditional": CONDITIONAL_OBJECTIVES,
    "given": GIVEN_OBJECTIVES,
}
ALL = [pytest.param(found, id=f"{place}-{found.name}") for place, among in TUPLES.items() for found in among]
every = pytest.mark.parametrize("objective", ALL)

ESTIMATED = names(PEERS)
"""Their limit is an estimate from the batch, which chance lets a value pass."""


def points(*shape, seed, moved=0.0):
    return moved + torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bound(objective, x, z, *, x_variance=0.5, z_variance=0.5, **options):
    choice = Choice(objective, tuple(options.items()))
    return choice.bound(ce.GaussianMixture(x, x_variance), ce.GaussianMixture(z, z_variance), start=1.0)


def problem(objective, *, count=24, dimension=2, moved=0.5, seed=0):
    """Data and model points as the objective takes them."""
    if objective.on in (CONDITIONAL, GIVEN):
        return points(count, 1, dimension, seed=seed), points(count, 3, dimension, seed=seed + 1, moved=moved)
    return points(count, dimension, seed=seed), points(count, dimension, seed=seed + 1, moved=moved)


def test_names_are_unique_among_those_that_one_reads():
    for among in ((*DENSITY_OBJECTIVES, *PEERS), CONDITIONAL_OBJECTIVES, GIVEN_OBJECTIVES):
        assert len(set(names(among))) == len(among)
    assert set(GENERATIVE) < set(DENSITY_OBJECTIVES)
    assert not any(objective.one_to_one for objective in GENERATIVE)


@every
def test_records_say_what_people_need(objective):
    assert objective.name == objective.name.lower().replace("-", "_").strip()
    for text in (objective.says, objective.equation, *(option.says for option in objective.options)):
        assert text.strip() == text != ""
        assert "\n" not in text
        assert not text.endswith(".")
    places = {CONDITIONAL: CONDITIONAL_OBJECTIVES, GIVEN: GIVEN_OBJECTIVES, DENSITY: (*DENSITY_OBJECTIVES, *PEERS)}
    assert objective in places[objective.on]
    assert objective.draws in (1, 2)
    assert objective.debiased or not objective.looks  # others have another optimum from farther away
    assert objective.limit is None or objective.on == CONDITIONAL


@every
def test_option_defaults_are_those_of_the_functions(objective):
    function = objective.bound
    given = function.keywords if isinstance(function, functools.partial) else {}
    takes = inspect.signature(getattr(function, "func", function)).parameters
    assert ("start" in takes) == objective.scaled
    assert not objective.anneals or "gamma" in takes
    for option in objective.options:
        assert option.name not in given
        assert takes[option.name].default == option.default


@pytest.mark.parametrize("place", TUPLES)
def test_spellings_are_read_back(place):
    for objective in TUPLES[place]:
        assert parse(objective.name, TUPLES[place]) == Choice(objective)
        given = tuple(
            (option.name, 0.0 if option.whole else 0.25 * (index + 1)) for index, option in enumerate(objective.options)
        )
        for options in (given, given[::-1], given[:1]):
            choice = Choice(objective, options)
            assert parse(choice.spelling, TUPLES[place]) == choice
        assert Choice(objective).spelling == objective.name


@every
def test_what_an_objective_does_not_take_is_refused(objective):
    takes = [option.name for option in objective.options]
    can = ", ".join(f"{objective.name}:{name}=NUMBER" for name in takes) if takes else "none"
    for part in ("sharpness=1", "sharpness", *takes):  # a name without a value is none
        with pytest.raises(ce.InputError) as refused:
            parse(f"{objective.name}:{part}", [objective])
        text = f"'{objective.name}:{part}': unknown option '{part}' of {objective.name}; it takes {can}"
        assert str(refused.value) == text
    for option in objective.options:
        least = "must be a positive number" if option.least is None else f"must be a number >= {option.least:g}"
        least = least if option.most is None else f"must lie in [{option.least:g}, {option.most:g}]"
        wrong = [
            "-1",
            "inf",
            "nan",
            *(["0"] if option.least is None else []),
            *([] if option.most is None else ["1.5"]),
        ]
        for value in wrong:
            text = f"{objective.name}:{option.name}={value}"
            with pytest.raises(ce.InputError) as refused:
                parse(text, [objective])
            assert str(refused.value) == f"{option.name} of {text!r} {least}, got {value}"
        with pytest.raises(ce.InputError, match=f"{option.name} must be a number, got 'much'"):
            parse(f"{objective.name}:{option.name}=much", [objective])
        with pytest.raises(ce.InputError, match=f"gives {option.name} twice"):
            parse(f"{objective.name}:{option.name}=1:{option.name}=1", [objective])


def test_a_name_that_nothing_has_is_refused_with_what_was_meant():
    with pytest.raises(ce.InputError, match=r"unknown contender 'enery'; did you mean 'energy'\? \(known: energy, mmd"):
        parse("enery", PEERS, what="contender")


@every
def test_bounds_are_finite_float64_scalars_with_a_gradient(objective):
    x, z = (part.float() for part in problem(objective))
    z.requires_grad_()
    found = bound(objective, x, z)
    assert found.value.shape == found.limit.shape == ()
    assert found.value.isfinite()
    assert found.limit.isfinite()
    assert not found.limit.requires_grad or torch.autograd.grad(found.limit, z, allow_unused=True)[0] is None
    assert found.terms
    assert all(term.isfinite().all() for term in found.terms.values())
    found.backward()
    assert z.grad.isfinite().all()
    assert z.grad.norm() > 0
    if objective not in PEERS:
        assert found.value.dtype == found.limit.dtype == torch.float64


@every
def test_a_step_along_the_gradient_raises_the_value(objective):
    x, z = problem(objective, moved=1.0)
    z.requires_grad_()
    before = bound(objective, x, z)
    before.backward()
    with torch.no_grad():
        after = bound(objective, x, z - 1e-4 * z.grad / z.grad.norm())
    assert after.value > before.value


@every
def test_no_value_passes_a_limit_that_holds_on_the_batch(objective):
    if objective.name in ESTIMATED:
        pytest.skip("the limit is an estimate")
    if objective.name == "debiased_affinity":
        pytest.skip("the limit holds in expectation: test_affinity.py")
    for seed, moved in ((0, 0.0), (2, 0.5), (4, 5.0)):
        x, z = problem(objective, seed=seed, moved=moved)
        for model in (z, x.expand_as(z).clone()):  # also at the data themselves
            found = bound(objective, x, model)
            assert found.gap >= -1e-6
            assert 0 <= found.attained <= 1


@every
def test_the_order_of_points_matters_as_the_record_says(objective):
    x, z = problem(objective)
    whole, half = torch.randperm(z.shape[-2], generator=torch.Generator().manual_seed(1)), z.shape[-2] // 2
    within = torch.cat([torch.arange(half).flip(0), torch.arange(half, z.shape[-2]).flip(0)])
    value = bound(objective, x, z).value
    same = functools.partial(math.isclose, value, rel_tol=1e-5, abs_tol=1e-6)
    assert same(bound(objective, x, z[..., within, :]).value) == (not objective.one_to_one)
    if objective.draws == 1:
        assert same(bound(objective, x, z[..., whole, :]).value) == (not objective.one_to_one)
    if objective.on in (CONDITIONAL, GIVEN):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(2))
        assert same(bound(objective, x[order], z[order]).value)
        assert not same(bound(objective, x[order], z).value)


@every
def test_an_objective_sees_the_variance_if_its_record_says_so(objective):
    x, z = problem(objective)
    first, second = (float(bound(objective, x, z, x_variance=v, z_variance=v).value) for v in (0.5, 0.7))
    assert (first != second) == objective.sees_variance


@every
def test_only_scaled_objectives_look_at_the_start(objective):
    x, z = (ce.GaussianMixture(part, 0.5) for part in problem(objective))
    first, second = (float(Choice(objective).bound(x, z, start=start).value) for start in (1.0, 2.0))
    assert (first != second) == objective.scaled


@every
def test_every_option_changes_something(objective):
    x, z = problem(objective, count=40)
    value = float(bound(objective, x, z).value)
    for option in objective.options:
        if option.name == "tolerance":  # on so small a problem the result is exact
            continue
        other = 0 if option.whole else 0.3 if option.default != 0.3 else 0.5
        assert float(bound(objective, x, z, **{option.name: other}).value) != value


@pytest.mark.parametrize("objective", CONDITIONAL_OBJECTIVES, ids=names(CONDITIONAL_OBJECTIVES))
def test_limits_of_single_draws_belong_to_the_law_they_came_from(objective):
    """Where the bound's own limit is that of single draws, the record's is tighter, and decoders stay below it."""
    law = ce.JointMixture(points(300, 2, seed=0), torch.tanh(points(300, 1, seed=1)), 0.3, 0.05)
    index, generator = torch.arange(0, 300, 2), torch.Generator().manual_seed(2)
    conditions = law.features[index] + 0.05**0.5 * torch.randn(150, 1, generator=generator, dtype=torch.float64)
    x = law.points[index, None]
    own = bound(objective, x, x, x_variance=0.3, z_variance=0.3)
    if objective.limit is None:
        assert own.gap == pytest.approx(0, abs=1e-9)
        return
    limit = objective.limit(law, index, conditions, 0.3)
    assert limit < own.limit
    nearest = torch.cdist(conditions, law.features).topk(20, largest=False).indices
    blind = points(150, 20, 2, seed=3)
    informed = bound(objective, x, law.points[nearest], x_variance=0.3, z_variance=0.3).value
    assert bound(objective, x, blind, x_variance=0.3, z_variance=0.3).value < informed < limit + 0.1


def test_whole_numbers_and_halves_of_one_size_are_asked_for():
    with pytest.raises(InputError, match=r"log of 'debiased_affinity:log=0\.5' must be a whole number, got 0\.5"):
        parse("debiased_affinity:log=0.5", DENSITY_OBJECTIVES)
    with pytest.raises(InputError, match="expected components to be twice batch_size, 512, got 256"):
        ce.GeneratorSettings("moons", objective="debiased_affinity", components=256)
