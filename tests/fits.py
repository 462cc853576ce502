"""Fits as tests make them."""

import dataclasses

import torch

import contrastive_entropy as ce
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.loop import Fit
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models import kind_of


def fit(settings, folder, dataset, *, overwrite=False, **machine):
    """A run of settings, on the CPU unless told otherwise."""
    machine = Machine(**{"accelerator": "cpu"} | machine)
    return trainer.fit(kind_of(settings), settings, folder, dataset, machine=machine, overwrite=overwrite)


def resume(folder, **changed):
    """Continue a run."""
    run = ce.open_run(folder)
    return trainer.resume(run, machine=dataclasses.replace(run.machine, **changed))


def started(settings, dataset, network=None):
    """The loop before its first step."""
    kind = kind_of(settings)
    plan = kind.plan(settings, dataset)
    if network is None:
        network = kind.network(plan, dataset.schema)
        kind.place(network, dataset)
    return Fit(plan, kind.step(plan, network, dataset))


def judged(loop, step, variance=None):
    """All data and model points of a generator's step, those that its objective sees, and the outcome."""
    now = loop.begin(step)
    now = now if variance is None else dataclasses.replace(now, variance=variance)
    answer = loop.part.answer(loop.batch(now), now)
    seen, real = [], loop.part._bound
    loop.part._bound = lambda p, q: seen.append((p, q)) or real(p, q)
    outcome = loop.part.judge(answer, now)
    del loop.part._bound
    return tuple(GaussianMixture(answer.parts[name], now.variance) for name in ("points", "centers")), seen[0], outcome


def adapted(loop, step, x, z, variance):
    """The variance after a step at which the objective watched these data and model points."""
    from contrastive_entropy.fitting.contract import Outcome

    loop.variance.fill_(variance)
    loop.now = dataclasses.replace(loop.begin(step), variance=variance)
    mixtures = tuple(GaussianMixture(points, variance) for points in (x, z))
    loop.outcome = Outcome(ce.nuclear_norm(*(m.select(0, 1) for m in mixtures)), watched=mixtures)
    loop.average = None
    loop.finish()
    return float(loop.variance)


def same_weights(first, second):
    """Whether two modules hold the same bits."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
