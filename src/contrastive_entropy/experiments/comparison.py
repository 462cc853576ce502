"""Where contenders meet: one data set, one network, the same batches; runs that are made once, and their figures."""

import dataclasses
import hashlib
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.toys import TOYS, sample_toy
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments.journal import Clock, device_name, finished_run, training_seconds
from contrastive_entropy.experiments.settings import CompareSettings, VarianceSweepSettings
from contrastive_entropy.fitting import trainer
from contrastive_entropy.fitting.machine import Machine, automatic_device
from contrastive_entropy.fitting.run import WEIGHTS, Run
from contrastive_entropy.metrics.distances import energy_distance, sliced_energy_distance
from contrastive_entropy.metrics.moments import frechet_distance, kernel_distance
from contrastive_entropy.metrics.neighborhoods import (
    neighbor_distance,
    neighborhood_scores,
    require_enough,
    smaller_share,
)
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.generator import GENERATOR, GeneratorSettings
from contrastive_entropy.objectives.catalog import GENERATIVE, PEERS, Choice, parse
from contrastive_entropy.spaces.classifier import Classifier
from contrastive_entropy.spaces.space import Space, features, identity, principal
from contrastive_entropy.storage import read_json, write_json

EVALUATED = 10_000
"""Most points per side in the Frechet distance; `NEIGHBORED` in the figures of neighbourhoods."""

NEIGHBORED = 5000

LAW = 50_000
"""Points per side in the energy distance to a toy law of the plane, which can be drawn from: at 5,000 held-out points
chance moves it by .0004 or more, as much as good fits differ by; at 50,000 by less than .0001."""

LAW_SEED = 2**40
"""Of those points; a data set's own have small seeds."""

ON_DEVICE = 1 << 28
"""Numbers that a training set has at most, for distances to it to be computed on an accelerator: a GiB in float32."""

MOST_COORDINATES, COMPONENTS = 512, 256
"""Beyond the first, points without classes are compared along so many principal components."""

ROWS = 20
"""Rows of metrics.csv that a run leaves: measuring takes time that is not the step's."""

CPU = torch.device("cpu")


def contender(name: str) -> Choice:
    """An objective of a generator, or a loss that people would use instead, with its options.

    It is tried on a few points, so that a missing package is found before hours of other runs.

    Raises:
        InputError: there is none, an option that it does not take, or a package is not installed.
    """
    choice = parse(name, (*GENERATIVE, *PEERS), what="contender")
    few = GaussianMixture(torch.arange(8.0).reshape(4, 2), 1.0)
    choice.bound(few.select(0, 4), few, start=1.0)
    return choice


class Comparison:
    """A data set with the judge of its samples, and the folder of the runs.

    Args:
        settings: of the experiment; every run has its fit's settings, but for what each changes.
        folder: of the experiment; its runs, and their figures beside them, are in `runs/`.
        clock: of the experiment.
        expected: runs that it will ask for, which the progress lines count.

    Raises:
        InputError: data that cannot be used, or an unknown precision.
    """

    def __init__(
        self, settings: CompareSettings | VarianceSweepSettings, folder: Path, clock: Clock, *, expected: int
    ) -> None:
        fit = dataclasses.replace(settings.fit, seed=settings.seeds[0])
        self.machine = Machine(precision=settings.precision, log_every=max(1, fit.steps // ROWS))
        fit, self.dataset = trainer.prepare(GENERATOR, fit, folder / "space", progress=True)
        require_enough(self.dataset.name, len(self.dataset.train), len(self.dataset.held_out))
        self.plan = GENERATOR.plan(fit, self.dataset)
        fall = self.plan.variance
        self.base = dataclasses.replace(fit, variance_start=fall.start, variance_end=fall.end)
        self.folder, self.clock = folder / "runs", clock
        self.judge = Judge(self.dataset, automatic_device())
        self.real = self.judge.real()
        self.expected, self.asked = expected, 0
        self.spent: list[float] = []

    def settings(self, choice: Choice, **changes: Any) -> GeneratorSettings:
        """Of a contender's run. Where the variance is not seen, no step looks at another one, nor at finer components."""
        if not choice.objective.sees_variance:
            changes |= {"coarse_every": None, "fine_every": None}
        return dataclasses.replace(self.base, objective=choice.spelling, **changes)

    def run(self, name: str, settings: GeneratorSettings) -> dict[str, Any]:
        """Milliseconds of a step, where, and figures of the samples; trained if that was not done before.

        Args:
            name: of the run, without the seed.
            settings: of the run.

        Raises:
            InputError: the folder holds the run with other settings, or samples are not finite.
            TrainingError: something is not finite while training.
            StoppedError: Ctrl-C.
        """
        self.asked += 1
        folder, start = self._path(name, settings), time.monotonic()
        trained = (folder / WEIGHTS).is_file()
        label = f"{name}, seed {settings.seed}{self._place()}"
        run = finished_run(GENERATOR, settings, folder, self.dataset, self.clock, machine=self.machine, label=label)
        file = folder.with_name(f"{folder.name}.figures.json")  # names hold points, which `with_suffix` would cut at
        space = self.judge.space
        asked = {
            "data": self.dataset.digest,
            "space": f"{space.name} {space.digest}",
            "weights": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16],
        }
        known = read_json(file)
        if known is None or any(known.get(key) != value for key, value in asked.items()):
            self.clock.worked = True
            samples = run.generate(self.judge.wanted, generator=torch.Generator().manual_seed(settings.seed))
            if not bool(samples.isfinite().all()):
                raise InputError(f"{name}, seed {settings.seed}: samples are not finite; leave it out")
            if self.dataset.image_shape is not None:
                samples = samples.clamp(0, 1)  # as they are written and shown
            known = {
                **asked,
                "device": device_name(),
                "step_milliseconds": 1e3 * training_seconds(run) / settings.steps,
                "figures": self.judge.figures(samples),
            }
            write_json(file, known)
            self.clock.seconds()
        if not trained:
            self.spent.append(time.monotonic() - start)
        return {key: known[key] for key in ("device", "step_milliseconds", "figures")}

    def samples(self, name: str, settings: GeneratorSettings, count: int) -> tuple[Tensor, float]:
        """(count, d) samples of a run that was made, and the variance that it ended at."""
        run = Run.open(self._path(name, settings), [GENERATOR])
        network = run.network()
        return network.sample(count, generator=torch.Generator().manual_seed(0)), float(network.variance)

    def _place(self) -> str:
        """Which run of how many, and once one was made, the minutes that this one and the rest take at its pace."""
        left = self.expected - self.asked + 1
        minutes = f", {left * statistics.mean(self.spent) / 60:.0f} min for all that are left" if self.spent else ""
        return f" (run {self.asked} of {self.expected}{minutes})"

    def _path(self, name: str, settings: GeneratorSettings) -> Path:
        return self.folder / f"{name.replace(':', '-').replace('=', '-')}-seed{settings.seed}"


class Judge:
    """Figures of samples: in a classifier's features if the data have classes, else of the points themselves, or in more
    than 512 coordinates of their 256 leading principal components.

    Args:
        dataset: whose held-out points are the reference.
        device: where distances are computed, if the training points are not too many.
    """

    def __init__(self, dataset: Dataset, device: torch.device = CPU) -> None:
        train, held_out = dataset.train.points, dataset.held_out.points
        self.dataset, self.device = dataset, device if train.numel() <= ON_DEVICE else CPU
        self.classifier: Classifier | None = None
        self.space = self._space()
        self.test = self.space.place(held_out[:EVALUATED]).to(self.device)
        self.law: Tensor | None = None
        if dataset.name in TOYS and dataset.dimension == 2:
            law = sample_toy(dataset.name, LAW, seed=LAW_SEED)
            self.law = dataset.schema.encode(law).to(self.device)
        self.wanted = EVALUATED if self.law is None else len(self.law)
        """Samples that the figures take."""
        self.few, self.train = held_out[:NEIGHBORED].to(self.device), train.to(self.device)
        self.held_out_distance = neighbor_distance(self.few, self.train)

    def _space(self) -> Space:
        train, held_out = self.dataset.train, self.dataset.held_out
        if train.labels is not None and held_out.labels is not None:
            self.classifier = Classifier(train.points, train.labels, hidden=(256, 64), epochs=10)
            return features(self.classifier, self.classifier.accuracy(held_out.points, held_out.labels))
        return principal(train.points, COMPONENTS) if self.dataset.dimension > MOST_COORDINATES else identity()

    def figures(self, points: Tensor, *, nearest: Tensor | None = None) -> dict[str, float]:
        """Figures of samples against the held-out points; energy distance and memorisation are of the points themselves,
        and of a toy law in the plane the energy distance is to `LAW` points of the law.

        Args:
            points: (n, d).
            nearest: distances to the nearest training point for the memorisation; None is those of the points.
        """
        every, points = points, points[: min(EVALUATED, len(self.dataset.held_out))]
        placed, few = self.space.place(points).to(self.device), points[:NEIGHBORED].to(self.device)
        scores = neighborhood_scores(self.test[:NEIGHBORED], placed[:NEIGHBORED])
        if nearest is None:
            nearest = neighbor_distance(few, self.train)
        found = {
            "frechet": frechet_distance(placed, self.test),
            "kernel": kernel_distance(placed, self.test),
            "energy": energy_distance(few, self.few)
            if self.law is None
            else sliced_energy_distance(every.to(self.device), self.law, projections=64),
            **dataclasses.asdict(scores),
            "memorization": smaller_share(nearest, self.held_out_distance),
        }
        if self.classifier is not None:
            classes = len(self.classifier.classes)
            shares = torch.bincount(self.classifier.positions(points), minlength=classes) / len(points)
            found |= {"smallest_class": float(shares.min()), "largest_class": float(shares.max())}
        return found

    def real(self) -> dict[str, float]:
        """What training points reach in the samples' place; their memorisation is that of held-out points, one half."""
        return self.figures(self.dataset.train.points, nearest=self.held_out_distance)
