"""A generator's step: noise to points, judged beside data at the variance of the moment, sometimes from farther away."""

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Schema
from contrastive_entropy.fitting.contract import Answer, Batch, Now, Outcome
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.settings import needs_images
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.generator.groups import nearest_center
from contrastive_entropy.models.generator.network import Generator
from contrastive_entropy.models.generator.settings import GeneratorPlan
from contrastive_entropy.networks.bodies import MLP, ConvolutionalDecoder
from contrastive_entropy.networks.images import ImageCodes
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.catalog import DENSITY_OBJECTIVES, PEERS, parse
from contrastive_entropy.variance import neighbor_variance

RESOLVED = 1e-6
"""Squared distances below this share of others are float32's rounding."""


def network(plan: Plan, schema: Schema) -> Generator:
    """A network with fresh weights from the seed, centred at 0 with scale 1.

    Raises:
        InputError: a convolutional body for data that are not images.
    """
    model: GeneratorPlan = plan.model
    components = model.principal_components
    dimension = model.codes[0] if model.codes else schema.dimension
    inputs = model.noise_dimension + model.groups
    body: nn.Module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        if model.body == "convolutional":
            body = ConvolutionalDecoder(inputs, needs_images("body", schema), width=model.width, depth=model.depth)
        else:
            body = MLP(inputs, components or dimension, width=model.width, depth=model.depth)
        coder = ImageCodes(needs_images("space", schema), *model.codes) if model.codes else None
    return Generator(
        body,
        noise_dimension=model.noise_dimension,
        location=torch.zeros(dimension),
        scale=torch.ones(()),
        variance=plan.variance.end,
        noise=model.noise,
        basis=torch.zeros(components, dimension) if components else None,
        coder=coder,
        groups=model.groups,
    )


class GeneratorStep:
    """The step of a fit.

    Args:
        plan: of the fit, with a `GeneratorPlan`.
        network: what is fitted.
        dataset: what it learns.
    """

    def __init__(self, plan: Plan, network: Generator, dataset: Dataset) -> None:
        self.plan, self.network = plan, network
        self.model: GeneratorPlan = plan.model
        self.objective = parse(plan.objective, (*DENSITY_OBJECTIVES, *PEERS))
        self.data = dataset.train.points

    @cached_property
    def points(self) -> Tensor:
        """(n, r) training points in the principal components, or codes of them, or the points themselves."""
        return self.network.projected(self.data)

    @property
    def given(self) -> None:
        """Nothing is given."""

    @property
    def averaged(self) -> nn.Module:
        """All weights are the body's."""
        return self.network.body

    @cached_property
    def members(self) -> list[Tensor]:
        """Rows of each group; the network keeps their shares, by which samples are drawn."""
        own = nearest_center(self.points, self.network.group_centers.cpu())
        found = [torch.nonzero(own == group)[:, 0] for group in range(self.model.groups)]
        assert all(map(len, found)), "a group without points"
        self.network.group_shares.copy_(torch.tensor([len(rows) / len(own) for rows in found]))
        return found

    def draw(self, now: Now) -> Tensor:
        """Rows of the batch, with replacement; of groups as many of each."""
        if not self.model.groups:
            return now.rows(self.plan.rows, len(self.data))
        count = self.plan.rows // self.model.groups
        return torch.cat([rows[now.rows(count, len(rows))] for rows in self.members])

    def answer(self, batch: Batch, now: Now) -> Answer:
        """Fresh points, in the principal components if there are any; of groups as many for each."""
        made, groups = self.model.components, None
        if self.model.groups:
            groups = torch.arange(self.model.groups).repeat_interleave(made // self.model.groups)
        noise = self.network.draw_noise(made, generator=now.generator, groups=groups)
        q = self.network(noise, projected=True, variance=now.variance)
        return Answer({"points": batch.points, "centers": q.centers})

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """The objective, at the variance of the moment or, every few steps, from farther away or of finer components."""
        points, centers = (self._grouped(answer.parts[name]) for name in ("points", "centers"))
        p, q = (GaussianMixture(part, now.variance) for part in (points, centers))
        first, ratio = self._look(now)
        facing = p.select(0, self.model.facing // max(self.model.groups, 1))
        if (first, ratio) == (0, 1.0):
            return Outcome(self._bound(p, q), watched=(facing, q))
        x, z = (GaussianMixture(part[..., first:], ratio * now.variance) for part in (points, centers))
        return Outcome(self._bound(x, z), math.sqrt(ratio), shown=lambda: self._bound(p, q), watched=(facing, q))

    def settle(self, now: Now) -> None:
        """Keep the variance of the moment."""
        self.network.variance.fill_(now.variance)

    def _grouped(self, points: Tensor) -> Tensor:
        """(n, d) to (groups, n / groups, d), if there are groups."""
        return points.unflatten(0, (self.model.groups, -1)) if self.model.groups else points

    def _bound(self, p: GaussianMixture, q: GaussianMixture) -> Bound:
        """The mean over the groups, if there are any."""
        bound = self.objective.bound(p, q, start=self.plan.variance.start)
        return bound.mean() if self.model.groups else bound

    def _look(self, now: Now) -> tuple[int, float]:
        """From which component on a step looks, and at how many times the variance of the moment.

        Every `coarse_every` steps at a larger variance, log-uniform up to the start's; every `fine_every` steps at the
        finer components alone, from one of `finer_looks` on. A step's weight is the root of the ratio: gradients of the
        log of an inner product fall with the root of the variance, and Adam sees all of them together.
        """
        coarse, fine = self.model.coarse_every, self.model.fine_every
        if coarse and now.step % coarse == 0:
            return 0, now.farther(self.plan.variance.start)
        if fine and now.step % fine == fine - 1 and self.finer_looks:
            return self.finer_looks[int(torch.randint(len(self.finer_looks), (), generator=now.generator))]
        return 0, 1.0

    @cached_property
    def finer_looks(self) -> list[tuple[int, float]]:
        """The components from which on a step may see the data, and the variance that suits what it sees then.

        Relative to what suits all components, as `neighbor_variance` chooses both; without those that float32 hardly
        resolves, or that most points share.
        """
        data, batch = self.points, self.model.facing
        looks: list[tuple[int, float]] = []
        try:
            whole = neighbor_variance(data, points=batch)
            for first in (2**level for level in range((data.shape[1] // 2).bit_length())):
                ratio = neighbor_variance(data[:, first:], points=batch) / whole
                if ratio < RESOLVED:
                    break
                looks.append((first, ratio))
        except ValueError:  # mostly duplicates
            pass
        return looks
