"""A sampler's step: rows of x, samples of y given them, and the objective of both."""

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Schema, Table
from contrastive_entropy.fitting.contract import Answer, Batch, Now, Outcome
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.settings import needs_images
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.conditional.sampler import ConditionalSampler
from contrastive_entropy.models.conditional.settings import GIVEN_WEIGHT, ConditionalPlan
from contrastive_entropy.networks.bodies import MLP, ConvolutionalDecoder
from contrastive_entropy.networks.images import ImageCodes
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.catalog import SAMPLING_OBJECTIVES, parse


def network(plan: Plan, schema: Schema) -> ConditionalSampler:
    """A network with fresh weights from the seed.

    Raises:
        InputError: a convolutional body for data that are not images.
    """
    model: ConditionalPlan = plan.model
    levels = len(model.levels)
    inputs = model.noise_dimension + (levels or len(model.given))
    outputs = model.codes[0] if model.codes else schema.dimension
    body: nn.Module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        if model.body == "convolutional":
            body = ConvolutionalDecoder(inputs, needs_images("body", schema), width=model.width, depth=model.depth)
        else:
            body = MLP(inputs, outputs, width=model.width, depth=model.depth)
        coder = ImageCodes(needs_images("space", schema), *model.codes) if model.codes else None
    return ConditionalSampler(
        body,
        noise_dimension=model.noise_dimension,
        inputs=len(model.given),
        outputs=outputs,
        levels=levels,
        columns=isinstance(schema, Table),
        variance=plan.variance.end,
        coder=coder,
    )


class SamplerStep:
    """The step of a fit.

    Classes have a norm each, of as many data and model points: a batch of mixtures. Where x are numbers, (x, y) of the
    data face (x, sample) of the model at the same x. The energy score compares two samples with y at every x.

    Args:
        plan: of the fit, with a `ConditionalPlan`.
        network: what is fitted.
        dataset: what it learns.
    """

    def __init__(self, plan: Plan, network: ConditionalSampler, dataset: Dataset) -> None:
        self.plan, self.network, self.data = plan, network, dataset.train
        self.model: ConditionalPlan = plan.model
        self.choice = parse(plan.objective, SAMPLING_OBJECTIVES)
        assert dataset.train.given is not None
        self.given = dataset.train.given

    @cached_property
    def points(self) -> Tensor:
        """(n, d) in the units of y, or codes."""
        return self.network.projected(self.data.points)

    @property
    def averaged(self) -> nn.Module:
        """All weights are the body's."""
        return self.network.body

    @property
    def by_class(self) -> bool:
        """Whether every class has a norm of its own."""
        return bool(self.model.levels) and self.choice.objective.sees_variance

    @cached_property
    def members(self) -> list[Tensor]:
        """Rows of every class that has any."""
        labels = self.given[:, 0]
        return [torch.nonzero(labels == label)[:, 0] for label in labels.unique()]

    def draw(self, now: Now) -> Tensor:
        """Rows of the batch, with replacement; by class as many of each, of some classes where there are many."""
        if not self.by_class:
            return now.rows(self.plan.rows, len(self.data))
        some = torch.randperm(len(self.members), generator=now.generator)[: self.model.classes].tolist()
        count = self.plan.rows // self.model.classes
        return torch.cat([_some_of(self.members[label], count, now.generator) for label in some])

    def answer(self, batch: Batch, now: Now) -> Answer:
        """A sample of y for every row; for the energy score two."""
        assert batch.given is not None
        draws = 1 if self.choice.objective.sees_variance else 2
        given = batch.given.repeat_interleave(draws, 0)
        noise = self.network.draw_noise(len(given), generator=now.generator)
        made = self.network.samples(given, noise, projected=True)
        samples, points = (self.network.unscaled(part) for part in (made, batch.points))
        parts = {"points": points, "samples": samples.unflatten(0, (-1, draws))}
        if not self.model.levels:
            parts["given"] = self.network.encoded(batch.given)
        return Answer(parts)

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """The objective at the variance of the moment or, every few steps, from farther away."""
        points, samples = answer.parts["points"], answer.parts["samples"]
        if not self.choice.objective.sees_variance:
            bound = self._bound(points.unsqueeze(-2), samples, now.variance)
            return Outcome(bound, limited=self.choice.objective.limited)
        samples = samples.squeeze(-2)
        if self.by_class:
            points, samples = (part.unflatten(0, (self.model.classes, -1)) for part in (points, samples))
        else:
            given = GIVEN_WEIGHT * answer.parts["given"]
            points, samples = (torch.cat([given, part], -1) for part in (points, samples))
        p, q = GaussianMixture(points, now.variance), GaussianMixture(samples, now.variance)
        watched = p.select(0, p.components // 2), q
        every = self.model.coarse_every
        if not every or now.step % every:
            return Outcome(self._bound(points, samples, now.variance), watched=watched)
        ratio = now.farther(self.plan.variance.start)
        return Outcome(
            self._bound(points, samples, ratio * now.variance),
            math.sqrt(ratio),
            shown=lambda: self._bound(points, samples, now.variance),
            watched=watched,
        )

    def settle(self, now: Now) -> None:
        """Keep the variance of the moment."""
        if self.plan.variance.used:
            self.network.variance.fill_(now.variance)

    def _bound(self, points: Tensor, samples: Tensor, variance: float) -> Bound:
        """The mean over classes, if they have a bound each."""
        p, q = GaussianMixture(points, variance), GaussianMixture(samples, variance)
        return self.choice.objective.bound(p, q, **dict(self.choice.options)).mean()


def _some_of(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randint(len(rows), (count,), generator=generator)]
