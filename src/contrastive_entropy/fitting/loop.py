"""The steps of a fit as a Lightning module: the same for every kind of model."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from contrastive_entropy.errors import NotFiniteError, TrainingError
from contrastive_entropy.fitting.contract import Batch, Now, Outcome, Step
from contrastive_entropy.fitting.plan import Plan
from contrastive_entropy.metrics.monitors import share_alone
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.density import tightness

ADAPT_ALONE, ADAPT_LOOKED = 0.1, 128
"""Of a schedule that waits: the share of model points without data near enough from which on it does, and how many it looks
at."""

OTHER_WAYS = ", a higher `variance_end` or more smoothing of the `objective`"


class Fit(L.LightningModule):
    """Draws a batch, lets the network answer, judges the answer at the variance of the moment, and follows the gradient.

    All randomness of step t comes from (seed, t, process) alone, so a resumed run repeats an uninterrupted one.

    Args:
        plan: of the fit.
        step: of the kind.
    """

    variance: Tensor

    def __init__(self, plan: Plan, step: Step) -> None:
        super().__init__()
        self.plan, self.part, self.network = plan, step, step.network
        self.register_buffer("variance", torch.tensor(plan.variance.scheduled(0, plan.steps), dtype=torch.float64))
        self.now: Now | None = None
        self.outcome: Outcome | None = None
        self.tracked: dict[str, float] = {}
        self.average: AveragedModel | None = None
        if plan.average_fraction > 0:
            self.average = AveragedModel(step.averaged, multi_avg_fn=partial(_average, plan.average_fraction))
            self.average.requires_grad_(requires_grad=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, in one kernel where there is one: four times faster on decoders with many outputs."""
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(self.network.parameters(), lr=self.plan.learning_rate, fused=fused)

    def on_train_start(self) -> None:
        """Bring an optimiser's loaded state to its weights' order in memory: fused kernels take that for granted."""
        for optimizer in self.trainer.optimizers:
            for weights, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == weights.shape:
                        state[name] = torch.empty_like(weights, dtype=value.dtype).copy_(value)

    def begin(self, step: int, rank: int = 0) -> Now:
        """The moment of a step."""
        fall = self.plan.variance
        if not fall.waits:
            self.variance.fill_(fall.scheduled(step, self.plan.steps))
        return Now(step, float(self.variance), step_generator(self.plan.seed, step, rank))

    def batch(self, now: Now) -> Batch:
        """The data of a step, drawn by the step."""
        rows = self.part.draw(now)
        given = self.part.given
        return Batch(
            rows, self.part.points[rows].to(self.device), None if given is None else given[rows].to(self.device)
        )

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """Minus the objective's value on a fresh batch, with the weight of the step."""
        for group in self.optimizers(use_pl_optimizer=False).param_groups:  # type: ignore[union-attr]
            group["lr"] = self.plan.rate(self.global_step)
        now = self.now = self.begin(self.global_step, self.global_rank)
        answer = self.part.answer(self.batch(now), now)
        with torch.autocast(self.device.type, enabled=False):
            try:
                self.outcome = self.part.judge(answer, now)
            except (torch.linalg.LinAlgError, NotFiniteError) as error:  # type: ignore[attr-defined]
                raise self._not_finite(now, getattr(error, "terms", {}), answer.parts) from error
            bound = self.outcome.bound
            if not math.isfinite(bound.value.detach()):
                raise self._not_finite(now, bound.terms, answer.parts)
            return -self.outcome.weight * bound.value

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Also average the weights and let a variance that waits fall, before anything is recorded or saved."""
        super().optimizer_step(*args, **kwargs)
        self.finish()

    def finish(self) -> None:
        """After a step, add its weights to the average and move the variance."""
        if self.average is not None:
            self.average.update_parameters(self.part.averaged)
        assert self.now is not None
        assert self.outcome is not None
        fall, step = self.plan.variance, self.now.step
        watched = self.outcome.watched
        if not fall.waits or fall.over(step, self.plan.steps) or watched is None:
            return
        p, q = watched
        if share_alone(p, q.select(0, min(ADAPT_LOOKED, q.components))) <= ADAPT_ALONE:
            self.variance.fill_(fall.after(step, self.plan.steps, float(self.variance)))

    def trained(self) -> Any:
        """After the last step: the network, with the average of its weights if the plan asks for it."""
        if self.average is not None and self.average.n_averaged > 0:
            self.part.averaged.load_state_dict(self.average.module.state_dict())
        self.settle()
        return self.network

    def settle(self) -> None:
        """Write the variances of the moment into the network, before it is looked at or saved."""
        now = self.now or self.begin(self.plan.steps - 1)  # none where a run resumes at its end
        self.part.settle(replace(now, variance=float(self.variance)))

    def shown_bound(self) -> Bound:
        """The last step's, as progress and metrics show it."""
        assert self.outcome is not None
        if self.outcome.shown is None:
            return self.outcome.bound
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return self.outcome.shown()

    def measured(self) -> dict[str, float]:
        """What the last step measured: objective, limit, tightness of the batch, schedules and the objective's terms."""
        assert self.now is not None
        assert self.outcome is not None
        bound = self.shown_bound()
        row = {"objective": float(bound.value.detach())}
        if self.outcome.limited:
            attained = float(bound.attained.detach())
            row |= {"limit": float(bound.limit.detach()), "attained": attained}
            row["tightness"] = attained if self.outcome.watched is None else _tightness(*self.outcome.watched)
        if self.plan.variance.used:
            row["variance"] = self.now.variance
        return {
            **row,
            **self.outcome.extra,
            "learning_rate": self.plan.rate(self.now.step),
            **{name: float(term.detach()) for name, term in bound.terms.items()},
        }

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
                f"objective is finite ({self.plan.objective}{self._at(', variance')}); train again with `overwrite` and a "
                f"lower `learning_rate`{OTHER_WAYS if self.plan.variance.used else ''}"
            )

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """As the plan says; Lightning's own value is not used."""
        if self.plan.clip:
            self.clip_gradients(optimizer, gradient_clip_val=self.plan.clip, gradient_clip_algorithm="norm")

    def _not_finite(self, now: Now, terms: Mapping[str, Tensor], parts: Mapping[str, Tensor]) -> TrainingError:
        bad = [name for name, term in terms.items() if not bool(term.isfinite().all())]
        if not all(bool(part.isfinite().all()) for part in parts.values()):
            cause = "the network's outputs are not finite: train again with `overwrite` and a lower `learning_rate`"
        else:
            cause = (
                "no model point is near any data at this variance: train again with `overwrite` and a higher "
                "`variance_end` or more `steps`"
            )
        return TrainingError(
            f"step {now.step}: {', '.join(bad) or 'the objective'} of {self.plan.objective} is not "
            f"finite{self._at(' at variance')}; {cause}"
        )

    def _at(self, words: str) -> str:
        return f"{words} {float(self.variance):.4g}" if self.plan.variance.used else ""


@torch.no_grad()
def _tightness(p: GaussianMixture, q: GaussianMixture) -> float:
    """Of as many data as model points; of a batch of mixtures, for each class one, their mean."""
    count = min(p.components, q.components)
    return float(tightness(p.select(0, count), q.select(0, count)).mean())


def _average(fraction: float, averages: list[Tensor], weights: list[Tensor], steps: Tensor) -> None:
    """Move averages to the weights, as far as makes them reach back over a fraction of the steps so far."""
    share = min(1.0, 1 / (fraction * (float(steps) + 1)))
    for average, weight in zip(averages, weights, strict=True):
        average.lerp_(weight, share)


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """The CPU generator of one step on one process."""
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)
