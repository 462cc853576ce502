"""One step of a fit: its batch, variance and objective, as a Lightning module."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from contrastive_entropy.config import ADAPTIVE, ANNEAL_MOST, PAIRED, AutoencoderConfig, Config, FitConfig
from contrastive_entropy.data.load import Dataset
from contrastive_entropy.errors import NotFiniteError, TrainingError
from contrastive_entropy.metrics.diagnosis import share_alone
from contrastive_entropy.mixtures.joint import JointMixture
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models import EncoderMixtureDecoder, MixtureDensityNetwork
from contrastive_entropy.numerics.principal import principal_directions
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.conditional import (
    conditional_log_likelihood,
    conditional_normalized_inner_product,
    conditional_trace,
)
from contrastive_entropy.objectives.density import OBJECTIVES
from contrastive_entropy.variance.choice import neighbor_variance
from contrastive_entropy.variance.schedule import geometric_schedule

Network = MixtureDensityNetwork | EncoderMixtureDecoder

ADAPT_ALONE, ADAPT_PACE, ADAPT_LOOKED = 0.1, 2.0, 128
"""Of the adaptive schedule: the share of model points without data near enough from which on it waits, its pace in units of
the geometric one's when it catches up, and how many model points it looks at."""

RESOLVED = 1e-6
"""Squared distances below this share of others are float32's rounding."""


class Fit(L.LightningModule):
    """One step: draw data and noise, evaluate the objective at the scheduled variance, follow its gradient.

    All randomness of step t comes from (seed, t, rank) alone, so a resumed run repeats an uninterrupted one.

    Args:
        config: as `resolve` returns it.
        network: what is fitted.
        data: (n, d) training points, kept on the CPU.
    """

    def __init__(self, config: Config, network: Network, data: Tensor) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.points = data
        self.bound: Bound | None = None
        self.weight, self.elsewhere = 1.0, False
        self.mixtures: tuple[GaussianMixture, GaussianMixture] | None = None
        self.tracked: dict[str, float] = {}
        self.average: AveragedModel | None = None
        if isinstance(config, FitConfig) and config.average_fraction > 0:
            self.average = AveragedModel(self._body(), multi_avg_fn=partial(_average, config.average_fraction))
            self.average.requires_grad_(requires_grad=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, in one kernel where there is one: four times faster on decoders with many outputs."""
        fused = self.device.type in ("cpu", "cuda")
        assert self.config.learning_rate is not None  # chosen by FitConfig.resolve
        return torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate, fused=fused)

    def on_train_start(self) -> None:
        """Bring an optimiser's loaded state to its weights' order in memory: fused kernels take that for granted."""
        for optimizer in self.trainer.optimizers:
            for weights, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == weights.shape:
                        state[name] = torch.empty_like(weights, dtype=value.dtype).copy_(value)

    def scheduled_variance(self, step: int) -> float:
        """The density's variance at a step."""
        if self._adaptive and step > 0:
            return float(self.network.variance)
        return self._scheduled(step)

    @property
    def _adaptive(self) -> bool:
        return isinstance(self.config, FitConfig) and self.config.schedule == ADAPTIVE

    def adapt(self, step: int, p: GaussianMixture, q: GaussianMixture) -> None:
        """Behind a step of the adaptive schedule: the next variance. Where no step waits, the geometric schedule's.

        Args:
            step: that was made.
            p, q: its data and model points.
        """
        c = self.config
        if not self._adaptive or self.annealed(step):
            return
        if share_alone(self.faced(p), GaussianMixture(q.centers[:ADAPT_LOOKED], q.variance)) > ADAPT_ALONE:
            return
        target = self._scheduled(step + 1)
        falling = step < self._falls * c.steps
        now, then = (self._scheduled(at) for at in ((step, step + 1) if falling else (0, 1)))
        caught_up = float(self.network.variance) * (then / now) ** ADAPT_PACE
        # a new tensor: the step's mixtures keep theirs; on several devices the first one's is sent to all before a step
        self.network.variance = torch.full_like(self.network.variance, max(target, caught_up))

    def average_weights(self) -> None:
        """Behind a step, count its weights in."""
        if self.average is not None:
            self.average.update_parameters(self._body())

    def trained(self) -> Network:
        """Behind the last step: the network, with the average of its weights if the config asks for it."""
        if self.average is not None and self.average.n_averaged > 0:
            self._body().load_state_dict(self.average.module.state_dict())
        return self.network

    def _body(self) -> torch.nn.Module:
        assert isinstance(self.network, MixtureDensityNetwork)  # only its weights are averaged
        return self.network.body

    def _scheduled(self, step: int) -> float:
        c = self.config
        assert c.variance_start is not None  # both are chosen by FitConfig.resolve
        assert c.variance_end is not None
        return geometric_schedule(step, steps=c.steps, start=c.variance_start, end=c.variance_end, fraction=self._falls)

    def annealed(self, step: int) -> bool:
        """Whether the variance falls no more; an adaptive one that had to wait may, longer than the others."""
        waits = self._adaptive and self._falls > 0
        return step >= (max(self._falls, ANNEAL_MOST) if waits else self._falls) * self.config.steps

    @property
    def _falls(self) -> float:
        """Share of the steps in which the variance falls if nothing waits."""
        c = self.config
        if isinstance(c, AutoencoderConfig):
            return c.anneal_fraction
        assert c.falling_share is not None  # both variances are chosen by FitConfig.resolve
        return c.falling_share

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Also let an adaptive variance fall, and average the weights, before anything is recorded or saved."""
        step = self.global_step
        super().optimizer_step(*args, **kwargs)
        self.average_weights()
        if self.mixtures is not None:
            self.adapt(step, *self.mixtures)

    def scheduled_rate(self, step: int) -> float:
        """The learning rate at a step: constant, then linear to 0."""
        c = self.config
        assert c.learning_rate is not None
        # the last tenth where the variance anneals to the end
        share = max(1 - self._falls, 0.1) if c.decay_fraction is None else c.decay_fraction
        return c.learning_rate * (min(1.0, (c.steps - step) / (c.steps * share)) if share > 0 else 1.0)

    def drawn(self, step: int, rank: int = 0) -> tuple[Tensor, torch.Generator]:
        """The batch of a step, as (s,) indices of training points, and the generator of its noise; sets the variance."""
        generator = step_generator(self.config.seed, step, rank)
        index = torch.randint(len(self.points), (self.config.drawn_points,), generator=generator)
        self.network.variance.fill_(self.scheduled_variance(step))
        return index, generator

    @cached_property
    def projected(self) -> Tensor:
        """(n, r) training points in the principal components, on the CPU, once for all steps; without any, the points."""
        if self.network.basis is None:
            return self.points
        with torch.no_grad():
            return torch.cat([self.network.project(part.to(self.device)).cpu() for part in self.points.split(4096)])

    def data_and_model(self, index: Tensor, generator: torch.Generator) -> tuple[GaussianMixture, GaussianMixture]:
        """A generator's batch, of the indices that `drawn` gave, and fresh points, as mixtures of the network's variance.

        Both in the principal components, if the config asks for them.
        """
        assert isinstance(self.config, FitConfig)
        assert isinstance(self.network, MixtureDensityNetwork)
        q = self.network(self.network.draw_noise(self.config.components, generator=generator), projected=True)
        return GaussianMixture(self.projected[index].to(self.device), q.variance), q

    def faced(self, p: GaussianMixture) -> GaussianMixture:
        """The data points of a batch that a model point faces: all but what is there for the other half of the model's."""
        return p.select(0, self.config.batch_size)

    def seen(
        self, step: int, p: GaussianMixture, q: GaussianMixture, generator: torch.Generator
    ) -> tuple[GaussianMixture, GaussianMixture, float]:
        """What a step's objective sees of its data and model points, and its weight.

        Every `coarse_every` steps a larger variance, log-uniform up to the start's; every `fine_every` steps the finer
        components alone, from one of `fine` on. The weight is the root of the ratio of the variances: gradients of the log
        of an inner product fall with the root of the variance, and Adam sees all of them together.
        """
        assert isinstance(self.config, FitConfig)
        coarse, fine, first, ratio = self.config.coarse_period, self.config.fine_period, 0, 1.0
        if coarse and step % coarse == 0:
            start = self.config.variance_start
            assert start is not None
            ratio = max(start / float(q.variance), 1.0) ** float(torch.rand((), generator=generator))
        elif fine and step % fine == fine - 1 and self.fine:
            first, ratio = self.fine[int(torch.randint(len(self.fine), (), generator=generator))]
        if (first, ratio) == (0, 1.0):
            return p, q, 1.0
        variance = ratio * float(q.variance)
        x, z = p.centers[:, first:], q.centers[:, first:]
        return GaussianMixture(x, variance), GaussianMixture(z, variance), math.sqrt(ratio)

    @cached_property
    def fine(self) -> list[tuple[int, float]]:
        """The components from which on a fine step may see the data, and the variance that suits what it sees then.

        Relative to what suits all components, as `neighbor_variance` chooses both; without those that float32 hardly
        resolves, or that most points share.
        """
        data, points = self.projected, self.config.batch_size
        ratios: list[tuple[int, float]] = []
        try:
            whole = neighbor_variance(data, points=points)
            for first in (2**level for level in range((data.shape[1] // 2).bit_length())):
                ratio = neighbor_variance(data[:, first:], points=points) / whole
                if ratio < RESOLVED:
                    break
                ratios.append((first, ratio))
        except ValueError:  # mostly duplicates
            pass
        return ratios

    def model_and_objective(
        self, index: Tensor, generator: torch.Generator, step: int
    ) -> tuple[GaussianMixture, Callable[[], Bound]]:
        """What the network answers to what `drawn` gave, and the objective of it, to be evaluated without autocast.

        Both in the principal components, if the config asks for them; sets an autoencoder's feature variance.
        """
        config, network = self.config, self.network
        if isinstance(config, FitConfig):
            self.mixtures = p, q = self.data_and_model(index, generator)
            *mixtures, self.weight = self.seen(step, p, q, generator)
            self.elsewhere = mixtures[0] is not p
            return q, partial(marginal_bound, config, *mixtures)
        assert isinstance(network, EncoderMixtureDecoder)
        network.feature_variance.fill_(scheduled_feature_variance(config, step))
        x = self.points[index].to(self.device)
        features = network.encode(x)
        conditions = network.add_noise(features, generator=generator)
        q = network.mixture(conditions, generator=generator, projected=True)
        joint = (features.detach().float(), conditions.detach().float(), float(network.feature_variance))
        seen = x if network.basis is None else self.projected[index].to(self.device)
        return q, partial(conditional_step_bound, config, seen, q, *joint)

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """Minus the objective's value on a fresh batch, with the weight of the step."""
        step = self.global_step
        index, generator = self.drawn(step, self.global_rank)
        for group in self.optimizers(use_pl_optimizer=False).param_groups:  # type: ignore[union-attr]
            group["lr"] = self.scheduled_rate(step)
        q, objective = self.model_and_objective(index, generator, step)
        with torch.autocast(self.device.type, enabled=False):
            try:
                self.bound = objective()
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # not finite, or not positive definite
                raise self._not_finite(step, {}, q.centers) from error
            except NotFiniteError as error:
                raise self._not_finite(step, error.terms, q.centers) from error
            if not math.isfinite(self.bound.value.detach()):
                raise self._not_finite(step, self.bound.terms, q.centers)
            return -self.weight * self.bound.value

    def measured_bound(self) -> Bound:
        """The last step's, of all components and at the variance that the fit has reached."""
        if self.elsewhere:
            assert isinstance(self.config, FitConfig)
            assert self.mixtures is not None
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                return marginal_bound(self.config, *self.mixtures)
        assert self.bound is not None
        return self.bound

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop on a gradient that is not finite; with 16-bit loss scaling that is the scaler's own business."""
        if self.trainer.precision == "16-mixed":
            return
        gradients = {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}
        if math.isfinite(torch.nn.utils.get_total_norm(gradients.values())):  # a GPU waits once, not for each
            return
        for name, gradient in gradients.items():
            if math.isfinite(torch.nn.utils.get_total_norm([gradient])):
                continue
            raise TrainingError(
                f"step {self.global_step}: the gradient of {name} is not finite, or too large for float32, although the "
                f"objective is finite ({self.config.objective}, variance {float(self.network.variance):.4g}); "
                "train again with --overwrite and a lower --learning-rate or a higher --variance-end or --smoothing"
            )

    def _not_finite(self, step: int, terms: Mapping[str, Tensor], centers: Tensor) -> TrainingError:
        bad = [name for name, term in terms.items() if not bool(term.isfinite().all())]
        if not bool(centers.isfinite().all()):
            cause = "the network's outputs are not finite: train again with --overwrite and a lower --learning-rate"
        else:
            cause = (
                "no model point is near any data at this variance: train again with --overwrite and a higher "
                "--variance-end or more --steps"
            )
        return TrainingError(
            f"step {step}: {', '.join(bad) or 'the objective'} of {self.config.objective} is not finite at variance "
            f"{float(self.network.variance):.4g}; {cause}"
        )


def _average(fraction: float, averages: list[Tensor], weights: list[Tensor], steps: Tensor) -> None:
    """Move averages to the weights, as far as makes them reach back over a fraction of the steps so far."""
    share = min(1.0, 1 / (fraction * (float(steps) + 1)))
    for average, weight in zip(averages, weights, strict=True):
        average.lerp_(weight, share)


def marginal_bound(config: FitConfig, p: GaussianMixture, q: GaussianMixture) -> Bound:
    """The objective of a mixture density network on one batch of data p."""
    chosen = {"smoothing": config.smoothing, "tolerance": config.tolerance}
    options: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if config.objective in PAIRED:
        options["paired"] = True
    return OBJECTIVES[config.objective](p, q, **options)


def conditional_step_bound(
    config: AutoencoderConfig, x: Tensor, q: GaussianMixture, features: Tensor, conditions: Tensor, noise: float
) -> Bound:
    """The objective of an autoencoder on one batch, with the batch's own joint mixture for a limit.

    Args:
        config: names the objective.
        x: (s, d).
        q: batch (s,) of mixtures.
        features: (s, k) without noise.
        conditions: (s, k) with noise.
        noise: v_y.
    """
    p = GaussianMixture(x.unsqueeze(1), q.variance)
    variance = float(q.variance)

    def joint() -> JointMixture:
        return JointMixture(x, features, variance, noise)

    if config.objective == "normalized_inner_product":
        return conditional_normalized_inner_product(p, q, limit=lambda: joint().log_norm(conditions))
    if config.objective == "trace":
        return conditional_trace(p, q)
    index = torch.arange(len(x), device=x.device)
    limit = lambda: joint().negative_entropy(index, conditions, variance=variance)  # noqa: E731
    return conditional_log_likelihood(p, q, limit=limit)


def scheduled_feature_variance(config: AutoencoderConfig, step: int) -> float:
    """The features' noise at a step, on the schedule of the density's variance."""
    start = config.feature_variance_start or config.feature_variance
    return geometric_schedule(
        step, steps=config.steps, start=start, end=config.feature_variance, fraction=config.anneal_fraction
    )


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """The CPU generator of one step."""
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


def initial_network(config: Config, dataset: Dataset) -> Network:
    """The network before its first step: weights from the seed, location, scale and basis from the training points.

    Args:
        config: with all variances chosen.
        dataset: gives the shape, too.
    """
    network, data = config.network(dataset.dimension, dataset.image_shape), dataset.train
    network.location.copy_(data.mean(0, dtype=torch.float64))
    network.scale.copy_((data.double() - data.double().mean(0)).square().mean().sqrt())
    if network.basis is not None:
        network.basis.copy_(principal_directions(data, len(network.basis)))
    return network


def measured(module: Fit, step: int) -> dict[str, float]:
    """What the last step measured: objective, limit, tightness, schedules and the objective's terms."""
    bound, network = module.measured_bound(), module.network
    noise = {"feature_variance": float(network.feature_variance)} if isinstance(network, EncoderMixtureDecoder) else {}
    return {
        "objective": float(bound.value.detach()),
        "limit": float(bound.limit.detach()),
        "tightness": float(bound.attained.detach()),
        "variance": float(network.variance if module.mixtures is None else module.mixtures[1].variance),
        **noise,
        "learning_rate": module.scheduled_rate(step - 1),
        **{name: float(term.detach()) for name, term in bound.terms.items()},
    }
