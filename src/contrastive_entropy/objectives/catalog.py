"""Every objective once: its name, what it says, its options, and what a fit must know of it.

Command line, settings, experiments and documentation read it here. A new objective is one entry of a tuple.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.numerics.polar import TOLERANCE
from contrastive_entropy.objectives import affinity, conditional, density, discrete, hoelder, peers
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.entry import CONDITIONAL, GIVEN, Objective, Option

_SMOOTHING = "relative to the largest singular value; what lies below it in the spectrum is not asked for"
_JITTER = "a share of the operators' trace; directions with less of it count less"
_TOLERANCE = Option("tolerance", "relative error that the smoothed norm and its gradient may have", TOLERANCE)

DENSITY_OBJECTIVES = (
    Objective(
        "log_likelihood",
        "maximum likelihood, the baseline: identical samples cost nothing, so it collapses",
        "(E5)",
        density.log_likelihood,
    ),
    Objective(
        "inner_product", "a warning: its best model is one point at the densest place", "(E6)", density.inner_product
    ),
    Objective(
        "normalized_inner_product",
        "contrastive entropy: its gap is the Cauchy-Schwarz divergence, and its norm keeps samples apart",
        "(E7)",
        density.normalized_inner_product,
    ),
    Objective(
        "debiased_normalized_inner_product",
        "the same without self terms, for minibatches",
        "(E20)",
        density.debiased_normalized_inner_product,
        debiased=True,
    ),
    Objective("projection", "the inner product at its best signed weights", "(E8)", density.projection),
    Objective("schur_trace", "covers the data's span, does not match its density", "(E9)", density.schur_trace),
    Objective(
        "nuclear_norm",
        "the fidelity of two kernel covariance operators; on minibatches it blurs",
        "(E10)",
        density.nuclear_norm,
        options=(Option("smoothing", _SMOOTHING, 0.0, least=0), _TOLERANCE),
    ),
    Objective(
        "debiased_nuclear_norm",
        "the nuclear norm without the bias of minibatches: diverse samples, the default",
        "(E20)",
        partial(density.debiased_nuclear_norm, paired=True),
        options=(Option("smoothing", _SMOOTHING, 1e-4, least=0), _TOLERANCE),
        draws=2,
        debiased=True,
        looks=True,
    ),
    Objective(
        "affinity",
        "the inner product of the operators' roots; on minibatches it blurs, as the nuclear norm does",
        "(E24)",
        affinity.affinity,
        options=(Option("jitter", _JITTER, 1e-9),),
    ),
    Objective(
        "debiased_affinity",
        "the affinity without the bias of minibatches: with log=0 its optimum is proved",
        "(E24)",
        partial(affinity.debiased_affinity, paired=True),
        options=(
            Option("jitter", _JITTER, affinity.JITTER),
            Option(
                "log",
                "1: logs, whose steps keep one size while the variance falls; 0: plain numbers",
                1,
                least=0,
                most=1,
                whole=True,
            ),
        ),
        equal_halves=True,
        draws=2,
        debiased=True,
        looks=True,
    ),
    Objective("trace", "pairs of points, for autoencoders", "(E11)", density.trace, one_to_one=True),
)
"""Objectives on the law of the data. Their option defaults are those of the functions."""

PEERS = (
    Objective(
        "energy",
        "the energy distance",
        "Szekely and Rizzo 2013",
        peers.energy,
        draws=2,
        sees_variance=False,
    ),
    Objective(
        "mmd",
        "the maximum mean discrepancy of six Gaussian kernels",
        "Gretton et al. 2012",
        peers.mmd,
        options=(Option("scale", "of the kernels' variances, in units of the starting variance", 1.0),),
        draws=2,
        sees_variance=False,
        scaled=True,
    ),
    Objective(
        "sinkhorn",
        "the Sinkhorn divergence of whole batches",
        "Feydy et al. 2019, arXiv 1810.08278",
        partial(peers.sinkhorn, debiased=False),
        options=(Option("blur", "in units of the root of the starting variance", 0.1),),
        draws=2,
        sees_variance=False,
        scaled=True,
    ),
    Objective(
        "sinkhorn_debiased",
        "the minibatch energy distance of transport costs, as OT-GAN's",
        "Salimans et al. 2018, arXiv 1803.05573",
        partial(peers.sinkhorn, debiased=True),
        options=(Option("blur", "in units of the root of the starting variance", 0.1),),
        draws=2,
        debiased=True,
        sees_variance=False,
        scaled=True,
    ),
)
"""What people would use instead. They draw as many data as the debiased nuclear norm, so that all see the same."""

_GAMMA = Option("gamma", "1 is robust, 0 the likelihood", 1.0, least=0, most=1)

CONDITIONAL_OBJECTIVES = (
    Objective(
        "normalized_inner_product",
        "the conditional contrastive entropy: its norm keeps the alternatives of one code apart",
        "(E15)",
        conditional.conditional_normalized_inner_product,
        on=CONDITIONAL,
        limit=lambda joint, index, conditions, variance: joint.log_norm(conditions),
    ),
    Objective(
        "log_likelihood",
        "maximum likelihood; with one center the plain autoencoder",
        "(E16)",
        conditional.conditional_log_likelihood,
        on=CONDITIONAL,
        limit=lambda joint, index, conditions, variance: joint.negative_entropy(index, conditions, variance=variance),
    ),
    Objective(
        "trace",
        "pairs of input and reconstruction: its best alternatives are all equal",
        "(E17)",
        conditional.conditional_trace,
        on=CONDITIONAL,
    ),
    Objective(
        "hoelder",
        "between likelihood and the normalised inner product: at gamma 0.5 alternatives are nearer and still apart",
        "(E21)",
        partial(hoelder.conditional_hoelder, nodes=4),
        on=CONDITIONAL,
        options=(_GAMMA,),
        limited=False,
    ),
)
"""Objectives on the law of the data given a code."""

GIVEN_OBJECTIVES = (
    Objective(
        "log_likelihood",
        "maximum likelihood, as mixture density networks are trained everywhere: the default; outliers bend it",
        "(E16)",
        partial(hoelder.conditional_hoelder, gamma=0.0),
        on=GIVEN,
        limited=False,
    ),
    Objective(
        "annealed",
        "gamma of the Hoelder family falls from 1, robust, to 0, the likelihood, which is efficient",
        "(E21)",
        hoelder.conditional_hoelder,
        on=GIVEN,
        limited=False,
        anneals=True,
    ),
    Objective(
        "hoelder",
        "the family at one gamma; at 1 outliers hardly count",
        "(E21)",
        hoelder.conditional_hoelder,
        on=GIVEN,
        limited=False,
        options=(_GAMMA,),
    ),
    Objective(
        "pointwise_hoelder",
        "the same, each condition normalised by itself",
        "(E22)",
        partial(hoelder.conditional_hoelder, pointwise=True),
        on=GIVEN,
        limited=False,
        options=(_GAMMA,),
    ),
)
"""Objectives on the law of y given what the user gives."""

CELL_OBJECTIVES = (
    Objective(
        "log_likelihood",
        "maximum likelihood of every column given others: the default",
        "(E16)",
        discrete.discrete_hoelder,
        on=GIVEN,
        sees_variance=False,
        limited=False,
    ),
    Objective(
        "pointwise_hoelder",
        "the Hoelder family at one gamma; at 1 it is the normalised inner product with the value that came",
        "(E22)",
        discrete.discrete_hoelder,
        on=GIVEN,
        sees_variance=False,
        limited=False,
        options=(_GAMMA,),
    ),
)
"""Objectives on the law of a table's column, over cells, given others."""

SAMPLING_OBJECTIVES = (
    dataclasses.replace(
        next(objective for objective in DENSITY_OBJECTIVES if objective.looks),
        says="samples instead of a mixture: one norm for every class, or for x and y together where x are numbers",
        on=GIVEN,
    ),
    Objective(
        "energy_score",
        "samples: the energy score of two draws for each x, as engression",
        "Shen and Meinshausen 2023, arXiv 2307.00835",
        peers.energy_score,
        on=GIVEN,
        draws=2,
        sees_variance=False,
        limited=False,
    ),
)
"""Objectives on samples of y given what the user gives."""

GENERATIVE = tuple(objective for objective in DENSITY_OBJECTIVES if not objective.one_to_one)
"""Those that can train a network on noise."""


@dataclass(frozen=True)
class Choice:
    """An objective with its options, spelled NAME or NAME:OPTION=VALUE, more options behind further colons.

    Args:
        objective: of this module's tuples.
        options: names and values of those that were given.
    """

    objective: Objective
    options: tuple[tuple[str, float], ...] = ()

    @property
    def spelling(self) -> str:
        """How people write it."""
        return ":".join([self.objective.name, *(f"{name}={value:g}" for name, value in self.options)])

    def value(self, option: str, default: float) -> float:
        """Of an option: given, or its own default, or this one where the objective does not take it."""
        own = {known.name: known.default for known in self.objective.options}
        return dict(self.options).get(option, own.get(option, default))

    def bound(self, p: GaussianMixture, q: GaussianMixture, *, start: float) -> Bound:
        """The objective of data p and model q.

        Args:
            p, q: data and model.
            start: the variance at which the fit starts, which only `scaled` objectives look at.
        """
        given = dict(self.options)
        if self.objective.scaled:
            given["start"] = start
        return self.objective.bound(p, q, **given)


def parse(text: str, among: Sequence[Objective], *, what: str = "objective") -> Choice:
    """Read NAME or NAME:OPTION=VALUE.

    Args:
        text: what was written.
        among: the objectives to choose from.
        what: how the message calls them.

    Raises:
        InputError: no such objective or option, or a value that it cannot take.

    >>> parse("nuclear_norm:smoothing=0.01", DENSITY_OBJECTIVES).options
    (('smoothing', 0.01),)
    """
    name, *given = text.split(":")
    known = {objective.name: objective for objective in among}
    if name not in known:
        raise InputError(f"unknown {what} {name!r}{suggestion(name, known)} (known: {', '.join(known)})")
    objective = known[name]
    takes = {option.name: option for option in objective.options}
    options: dict[str, float] = {}
    for part in given:
        option, equals, value = part.partition("=")
        if option not in takes or not equals:
            can = f"it takes {', '.join(f'{name}:{known}=NUMBER' for known in takes)}" if takes else "it takes none"
            raise InputError(f"{text!r}: unknown option {part!r} of {name}; {can}")
        if option in options:
            raise InputError(f"{text!r} gives {option} twice")
        try:
            options[option] = float(value)
        except ValueError:
            raise InputError(f"{text!r}: {option} must be a number, got {value!r}") from None
        takes[option].check(options[option], text)
    return Choice(objective, tuple(options.items()))


def names(among: Sequence[Objective]) -> list[str]:
    """Of objectives."""
    return [objective.name for objective in among]
