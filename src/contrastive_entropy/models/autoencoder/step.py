"""An autoencoder's step: data to features, noise on them, and the decoder's mixtures judged beside the data."""

from functools import cached_property, partial

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Schema
from contrastive_entropy.fitting.contract import Answer, Batch, Now, Outcome
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.settings import needs_images
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.autoencoder.network import EncoderMixtureDecoder
from contrastive_entropy.models.autoencoder.settings import AutoencoderPlan
from contrastive_entropy.networks.bodies import MLP, ConvolutionalDecoder, ConvolutionalEncoder, FourierFeatures
from contrastive_entropy.objectives.catalog import CONDITIONAL_OBJECTIVES, parse


def network(plan: Plan, schema: Schema) -> EncoderMixtureDecoder:
    """An encoder and a decoder with fresh weights from the seed, centred at 0 with scale 1.

    Raises:
        InputError: a convolutional body for data that are not images.
    """
    model: AutoencoderPlan = plan.model
    dimension, components = schema.dimension, model.principal_components
    inputs = model.features * (1 + 2 * model.frequencies) + (model.code_dimension if model.codes == "learned" else 0)
    images = model.centers if model.codes == "heads" else 1
    encoder: nn.Module
    decoder: nn.Module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        if model.body == "convolutional":
            encoder = ConvolutionalEncoder(needs_images("body", schema), model.features, width=model.width)
        else:
            encoder = MLP(dimension, model.features, width=model.width, depth=model.depth)
        if model.decoder == "convolutional":
            shape = needs_images("decoder", schema)
            decoder = ConvolutionalDecoder(inputs, shape, width=model.decoder_width, depth=model.depth, images=images)
        else:
            outputs = images * (components or dimension)
            decoder = MLP(inputs, outputs, width=model.decoder_width, depth=model.depth)
        if model.frequencies:
            decoder = nn.Sequential(FourierFeatures(model.features, model.frequencies), decoder)
        return EncoderMixtureDecoder(
            encoder,
            decoder,
            centers=model.centers,
            codes=model.codes,
            code_dimension=model.code_dimension,
            location=torch.zeros(dimension),
            scale=torch.ones(()),
            variance=plan.variance.end,
            feature_variance=model.feature_noise.end,
            basis=torch.zeros(components, dimension) if components else None,
        )


class AutoencoderStep:
    """The step of a fit.

    Args:
        plan: of the fit, with an `AutoencoderPlan`.
        network: what is fitted.
        dataset: what it learns.
    """

    def __init__(self, plan: Plan, network: EncoderMixtureDecoder, dataset: Dataset) -> None:
        self.plan, self.network = plan, network
        self.model: AutoencoderPlan = plan.model
        self.choice = parse(plan.objective, CONDITIONAL_OBJECTIVES)
        self.objective = self.choice.objective
        self.data = dataset.train.points

    @cached_property
    def points(self) -> Tensor:
        """(n, r) training points in the principal components; without any, the points themselves."""
        return self.network.projected(self.data)

    @property
    def given(self) -> None:
        """Nothing is given."""

    @property
    def averaged(self) -> nn.Module:
        """All of it."""
        return self.network

    def draw(self, now: Now) -> Tensor:
        """Rows of the batch, with replacement."""
        return now.rows(self.plan.rows, len(self.data))

    def answer(self, batch: Batch, now: Now) -> Answer:
        """Features without and with noise, and the decoder's centers at these."""
        features = self.network.encode(self.data[batch.rows].to(batch.points.device))
        conditions = self.network.add_noise(
            features, generator=now.generator, feature_variance=self._feature_variance(now)
        )
        q = self.network.mixture(conditions, projected=True, variance=now.variance)
        return Answer(
            {
                "points": batch.points,
                "centers": q.centers,
                "features": features.detach().float(),
                "conditions": conditions.detach().float(),
            }
        )

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """The objective, with the batch's own joint density for a limit."""
        x, centers, features, conditions = (
            answer.parts[name] for name in ("points", "centers", "features", "conditions")
        )
        noise = self._feature_variance(now)
        p, q = GaussianMixture(x.unsqueeze(1), now.variance), GaussianMixture(centers, now.variance)

        def limit() -> Tensor:
            assert self.objective.limit is not None
            index = torch.arange(len(x), device=x.device)
            return self.objective.limit(JointMixture(x, features, now.variance, noise), index, conditions, now.variance)

        options = {option.name: self.choice.value(option.name, option.default) for option in self.objective.options}
        bound = partial(self.objective.bound, **options)
        bound = bound if self.objective.limit is None else partial(bound, limit=limit)
        return Outcome(bound(p, q), extra={"feature_variance": noise}, limited=self.objective.limited)

    def settle(self, now: Now) -> None:
        """Keep the variances of the moment."""
        self.network.variance.fill_(now.variance)
        self.network.feature_variance.fill_(self._feature_variance(now))

    def _feature_variance(self, now: Now) -> float:
        return self.model.feature_noise.scheduled(now.step, self.plan.steps)
