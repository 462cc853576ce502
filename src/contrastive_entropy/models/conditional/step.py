"""A conditional density's step: rows of x and y, the mixtures that answer x, and the objective of y under them."""

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Schema
from contrastive_entropy.fitting.contract import Answer, Batch, Now, Outcome
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.mixtures.full import Mixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.conditional.network import MixtureDensityNetwork, mixture_of, parts_of
from contrastive_entropy.models.conditional.settings import DROPPING, FULL, ConditionalPlan
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.catalog import GIVEN_OBJECTIVES, parse

LEAST_GAMMA = 0.02
"""Below it a gamma that falls is taken for 0: the quadrature would cost more than it changes."""


def network(plan: Plan, schema: Schema) -> MixtureDensityNetwork:
    """A network with fresh weights from the seed."""
    model: ConditionalPlan = plan.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return MixtureDensityNetwork(
            len(model.given),
            schema.dimension,
            components=model.components,
            members=model.members,
            width=model.width,
            depth=model.depth,
            dropout=model.dropout,
            robust=model.robust,
            full=model.covariance == FULL,
        )


class ConditionalStep:
    """The step of a fit.

    Args:
        plan: of the fit, with a `ConditionalPlan`.
        network: what is fitted.
        dataset: what it learns.
    """

    def __init__(self, plan: Plan, network: MixtureDensityNetwork, dataset: Dataset) -> None:
        self.plan, self.network = plan, network
        self.model: ConditionalPlan = plan.model
        self.choice = parse(plan.objective, GIVEN_OBJECTIVES)
        self.points = dataset.train.points
        self.given = dataset.train.given
        self.weights = dataset.train.weights

    @property
    def averaged(self) -> nn.Module:
        """All weights are the body's."""
        return self.network.body

    def draw(self, now: Now) -> Tensor:
        """Rows of every member's batch, one behind the other, with replacement; by weight where rows have weights."""
        return now.rows(self.plan.rows, len(self.points), self.weights)

    def answer(self, batch: Batch, now: Now) -> Answer:
        """The mixture of every row, by the member that it was drawn for."""
        assert batch.given is not None
        rows = batch.given.unflatten(0, (self.model.members, -1))
        dropping = now.step < DROPPING * self.plan.steps
        found = self.network.answers(rows, generator=now.generator if dropping else None)
        parts = {name: part.flatten(0, 1) for name, part in parts_of(found).items()}
        return Answer({"points": batch.points, **parts})

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """The objective, averaged over members; what is shown is the log-likelihood, which compares over the steps."""
        parts = {name: part.unflatten(0, (self.model.members, -1)) for name, part in answer.parts.items()}
        p = GaussianMixture(parts["points"].unsqueeze(-2), 1.0)
        q = mixture_of(parts)
        gamma = self.gamma(now)
        if gamma is None:
            return Outcome(self._bound(p, q, {}), limited=self.choice.objective.limited)
        shown = (lambda: self._bound(p, q, {"gamma": 0.0})) if gamma else None
        return Outcome(
            self._bound(p, q, {"gamma": gamma}),
            shown=shown,
            extra={"gamma": gamma},
            limited=self.choice.objective.limited,
        )

    def gamma(self, now: Now) -> float | None:
        """Of the moment; None: it does not fall."""
        if not self.choice.objective.anneals:
            return None
        falling = self.model.gamma_fraction * self.plan.steps
        gamma = 1 - now.step / falling if now.step < falling else 0.0
        return gamma if gamma >= LEAST_GAMMA else 0.0

    def settle(self, now: Now) -> None:
        """Nothing of the moment is kept."""

    def _bound(self, p: GaussianMixture, q: Mixture, moment: dict[str, float]) -> Bound:
        return self.choice.objective.bound(p, q, **dict(self.choice.options), **moment).mean()
