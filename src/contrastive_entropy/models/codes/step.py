"""The step of an autoencoder of images: codes, noise on them, and the squared error of what they decode to."""

import torch
from torch import Tensor, nn

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.schema import Schema
from contrastive_entropy.fitting.contract import Answer, Batch, Now, Outcome
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.fitting.settings import needs_images
from contrastive_entropy.models.codes.settings import CodesPlan
from contrastive_entropy.networks.images import ImageCodes
from contrastive_entropy.objectives.bound import Bound


def network(plan: Plan, schema: Schema) -> ImageCodes:
    """A network with fresh weights from the seed.

    Raises:
        InputError: the data are not images.
    """
    model: CodesPlan = plan.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return ImageCodes(needs_images("codes", schema), model.code_dimension, model.width)


class CodesStep:
    """The step of a fit.

    Args:
        plan: of the fit, with a `CodesPlan`.
        network: what is fitted.
        dataset: what it learns.
    """

    def __init__(self, plan: Plan, network: ImageCodes, dataset: Dataset) -> None:
        self.plan, self.network = plan, network
        self.model: CodesPlan = plan.model
        self.points = dataset.train.points
        self.scale = float(self.points.var(0, correction=0).sum())

    @property
    def given(self) -> None:
        """Nothing is given."""

    @property
    def averaged(self) -> nn.Module:
        """All of it."""
        return self.network

    def draw(self, now: Now) -> Tensor:
        """Rows of the batch, with replacement."""
        return now.rows(self.plan.rows, len(self.points))

    def answer(self, batch: Batch, now: Now) -> Answer:
        """Images of the batch's codes, with noise on these."""
        codes = self.network.encode(batch.points)
        noise = torch.randn(codes.shape, generator=now.generator).to(codes.device)
        return Answer({"points": batch.points, "images": self.network.decode(codes + self.model.code_noise * noise)})

    def judge(self, answer: Answer, now: Now) -> Outcome:
        """Minus the squared error, over the variance of the data: 0 at best, -1 of the mean image."""
        points, images = answer.parts["points"], answer.parts["images"].float()
        error = (images - points).square().sum(-1).mean().double() / max(self.scale, torch.finfo(torch.float32).tiny)
        return Outcome(Bound(-error, lambda: torch.zeros_like(error)), limited=False)

    def settle(self, now: Now) -> None:
        """There is no variance to keep."""
