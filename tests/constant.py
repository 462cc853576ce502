"""A kind of model that is as small as can be: every sample is the same point."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from contrastive_entropy.data.dataset import HELD_OUT
from contrastive_entropy.fitting.contract import Answer, Kind, Outcome
from contrastive_entropy.fitting.plan import Fall, Plan
from contrastive_entropy.fitting.run import METRICS
from contrastive_entropy.fitting.settings import check, option, shared
from contrastive_entropy.metrics.evaluation import MODEL, Evaluation, Headline, Table
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.networks.decoders import DataSpace
from contrastive_entropy.objectives.catalog import DENSITY_OBJECTIVES, parse
from contrastive_entropy.variance import median_pair_variance


@dataclass(frozen=True)
class ConstantSettings:
    """What may be asked of a constant.

    >>> ConstantSettings("moons").folder
    'moons-constant'
    """

    data: str = shared("data", "digits")
    data_root: str | None = shared("data_root", None)
    points: int | None = shared("points", None)
    standardize: bool = shared("standardize", False)
    header: bool | None = shared("header", None)
    held_out: float = shared("held_out", HELD_OUT)
    objective: str = option("log_likelihood", "What the point maximises.")
    steps: int = shared("steps", 100)
    seed: int = shared("seed", 0)

    FOLDER: ClassVar[str] = "DATA-constant"

    def __post_init__(self):
        check(self)

    @property
    def folder(self):
        return f"{Path(self.data).stem}-constant"

    @property
    def useless(self):
        return {"held_out": f"{self.data} comes with held-out points"} if self.data in ("moons", "digits") else {}


@dataclass(frozen=True)
class ConstantPlan:
    """Nothing had to be decided."""


class Constant(DataSpace):
    """One point that may move."""

    def __init__(self, dimension, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.point = nn.Parameter(torch.randn(1, dimension, generator=generator))
        self._set_place(torch.zeros(dimension), torch.ones(()), None)

    def forward(self):
        return self._centers(self.point, projected=False)


class ConstantStep:
    """Moves the point to where the data are dense."""

    def __init__(self, plan, network, dataset):
        self.plan, self.network, self.points, self.given = plan, network, dataset.train.points, None

    @property
    def averaged(self):
        return self.network

    def draw(self, now):
        return torch.randint(len(self.points), (64,), generator=now.generator)

    def answer(self, batch, now):
        return Answer({"points": batch.points, "point": self.network()})

    def judge(self, answer, now):
        p, q = (GaussianMixture(answer.parts[name], now.variance) for name in ("points", "point"))
        return Outcome(parse(self.plan.objective, DENSITY_OBJECTIVES).bound(p, q, start=now.variance))

    def settle(self, now):
        pass


def plan(settings, dataset):
    variance = median_pair_variance(dataset.train.points)
    return Plan(
        objective=settings.objective,
        seed=settings.seed,
        steps=settings.steps,
        rows=64,
        learning_rate=0.05,
        decay_fraction=0.5,
        average_fraction=0.0,
        variance=Fall(variance, variance, 0.0),
        model=ConstantPlan(),
    )


@torch.no_grad()
def sample(network, dataset, count, *, generator, from_density=False):
    return network().expand(count, -1).clone()


def evaluate(run, dataset, *, seed, features=True):
    distance = float((dataset.held_out.points - run.sample(1, seed=seed)).square().sum(-1).mean())
    return Evaluation(
        Headline("distance", distance, "mean squared distance to held-out points."),
        (Table("distance", "how far it is", {MODEL: {"distance": distance}}),),
        (),
        {"seed": seed},
    )


def figures(run, dataset, evaluation):
    from contrastive_entropy.report.training import training_figure

    return {"training.png": training_figure(run.folder / METRICS)}


CONSTANT = Kind(
    name="constant",
    says="Train a constant: one point that stands for all.",
    settings=ConstantSettings,
    model=ConstantPlan,
    plan=plan,
    network=lambda plan, schema: Constant(schema.dimension, plan.seed),
    place=lambda network, dataset: network.place(dataset.train.points),
    step=ConstantStep,
    sample=sample,
    evaluate=evaluate,
    figures=figures,
    pictures=("training.png",),
)
