"""Where contenders meet: one data set, one network, the same batches; runs that are made once, and their figures."""

import dataclasses
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from contrastive_entropy.config import OBJECTIVES_OWN, FitConfig, Machine, automatic_device, emulation, of_before
from contrastive_entropy.data.load import TOYS, Dataset, sample_toy
from contrastive_entropy.errors import InputError, NotFiniteError
from contrastive_entropy.evaluation import require_enough
from contrastive_entropy.experiments.contenders import Loss
from contrastive_entropy.experiments.record import Clock, StoppedError, device_name, read_json, shared_settings
from contrastive_entropy.experiments.settings import CompareConfig, VarianceSweepConfig
from contrastive_entropy.metrics.distances import energy_distance, sliced_energy_distance
from contrastive_entropy.metrics.moments import frechet_distance, kernel_distance
from contrastive_entropy.metrics.neighborhoods import neighbor_distance, neighborhood_scores, smaller_share
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.numerics.principal import principal_directions
from contrastive_entropy.progress import progress_line
from contrastive_entropy.runs import Run, digest, load_for, write_atomically, write_json
from contrastive_entropy.spaces.classifier import Classifier
from contrastive_entropy.steps import Fit, initial_network

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

MOST_COORDINATES = 512
"""Beyond, points without classes are compared along `COMPONENTS` principal components."""

COMPONENTS = 256


HALVES = {"32-true": None, "bf16-mixed": torch.bfloat16}
"""What the network computes in, by precision."""

POINTS = "the points themselves"
"""Name of the space without features."""

CPU = torch.device("cpu")

logger = logging.getLogger("contrastive_entropy")


class Arena:
    """A data set with its space of figures, and the folder of the runs.

    Args:
        config: of the experiment; every run has its settings, but for what each changes.
        folder: of the experiment; one file of figures and one of weights per run are in `runs/`.
        clock: of the experiment.
        expected: runs that it will ask for, which the progress lines count.

    Raises:
        InputError: data that cannot be used, or an unknown precision.
    """

    def __init__(
        self, config: CompareConfig | VarianceSweepConfig, folder: Path, clock: Clock, *, expected: int
    ) -> None:
        fit = FitConfig(**shared_settings(FitConfig, config), seed=config.seeds[0])
        self.precision = Machine(precision=config.precision).precision
        if self.precision not in HALVES:
            raise InputError(
                f"{self.precision} needs a scaled loss, which the experiments do not have; take {' or '.join(HALVES)}"
            )
        self.device = automatic_device()
        if self.device.type == "cpu" and (slow := emulation(self.precision)):
            logger.warning(slow)
        self.dataset = load_for(fit)
        require_enough(self.dataset)
        base = Run.resolved(fit, self.dataset)
        assert isinstance(base, FitConfig)
        # each loss has defaults of its own
        base = dataclasses.replace(base, **{name: getattr(fit, name) for name in OBJECTIVES_OWN})
        assert base.variance_start is not None
        self.base, self.variance_start = base, base.variance_start
        self.folder, self.clock = folder / "runs", clock
        self.space = Space(self.dataset, self.device)
        self.real = self.space.real()
        self.data_digest = digest(self.dataset)
        self.expected, self.asked = expected, 0
        self.spent: list[float] = []

    def run(self, name: str, loss: Loss, config: FitConfig) -> dict[str, Any]:
        """Milliseconds of a step, where, and figures of the samples; trained if that was not done before.

        Args:
            name: of the run, with the seed.
            loss: what is minimised.
            config: with both variances chosen.

        Raises:
            InputError: the folder holds the run with other settings, or something is not finite.
            StoppedError: Ctrl-C.
        """
        path = self._path(name, config)
        asked = {
            "contender": name,
            "fit": _recorded(config),
            "drawn_points": config.drawn_points,
            "precision": self.precision,
            "data": self.data_digest,
            "space": f"{self.space.name} {self.space.digest}",
        }
        known = _known(path, asked)
        self.asked += 1
        if known is None:
            start = time.monotonic()
            self.clock.worked = True
            label = f"{name}, seed {config.seed}{self._place()}"
            network, seconds = train(loss, config, self.dataset, label, precision=self.precision)
            samples = network.sample(self.space.wanted, generator=torch.Generator().manual_seed(config.seed))
            if not bool(samples.isfinite().all()):
                raise _not_finite(label, config.steps)
            known = {
                **asked,
                "device": device_name(),
                "step_milliseconds": 1e3 * seconds / config.steps,
                "figures": self.space.figures(samples),
            }
            weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path.with_name(f"{path.name}.safetensors"), save_tensors(weights))
            write_json(path.with_name(f"{path.name}.json"), known)
            self.spent.append(time.monotonic() - start)
            self.clock.seconds()
        return {name: known[name] for name in ("device", "step_milliseconds", "figures") if name in known}

    def _place(self) -> str:
        """Which run of how many, and once one was made, the minutes that this one and the rest take at its pace."""
        left = self.expected - self.asked + 1
        minutes = f", {left * statistics.mean(self.spent) / 60:.0f} min for all that are left" if self.spent else ""
        return f" (run {self.asked} of {self.expected}{minutes})"

    def samples(self, name: str, config: FitConfig, count: int) -> tuple[Tensor, float]:
        """(count, d) samples of a run that was made, and the variance that it ended at."""
        path = self._path(name, config)
        network = config.network(self.dataset.dimension, self.dataset.image_shape)
        network.load_state_dict(load_tensors(path.with_name(f"{path.name}.safetensors").read_bytes()))
        return network.sample(count, generator=torch.Generator().manual_seed(0)), float(network.variance)

    def _path(self, name: str, config: FitConfig) -> Path:
        return self.folder / f"{name.replace(':', '-')}-seed{config.seed}"


def _known(path: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The figures of a finished run.

    Raises:
        InputError: they are of other settings.
    """
    file = path.with_name(f"{path.name}.json")
    known = read_json(file)
    if known is None or not path.with_name(f"{path.name}.safetensors").is_file():
        return None
    known.setdefault("drawn_points", known.get("fit", {}).get("batch_size"))  # before there were pairs
    if {name: _with_defaults(name, known.get(name)) for name in asked} != asked:
        raise InputError(f"{file} holds a run with other settings; choose another --out")
    return known


def _recorded(config: FitConfig) -> dict[str, Any]:
    """What a run's file says of its settings; `data`, beside them, says what was read."""
    return {**dataclasses.asdict(config.decided()), "data_root": None}


def _with_defaults(name: str, value: Any) -> Any:
    """What an older version wrote, with the settings that it did not know, and wherever the data lay."""
    if name != "fit":
        return value
    return {**dataclasses.asdict(FitConfig("")), "fine_every": 0, **of_before(value or {}), "data_root": None}


def train(
    loss: Loss, config: FitConfig, dataset: Dataset, label: str, *, precision: str = Machine.precision
) -> tuple[MixtureDensityNetwork, float]:
    """The steps of `steps.Fit`, batches and schedules included, with any loss, on `automatic_device`: no more than these.

    Args:
        loss: of `contenders`.
        config: with both variances chosen.
        dataset: what is fitted.
        label: of the progress line.
        precision: of the network, as in `Machine`; the loss is evaluated in float32.

    Returns:
        The trained network, and the seconds of all its steps.

    Raises:
        InputError: the loss is not finite.
        StoppedError: Ctrl-C.
    """
    network = initial_network(config, dataset)
    assert isinstance(network, MixtureDensityNetwork)
    fit = Fit(config, network, dataset.train).to(automatic_device())
    optimizer = fit.configure_optimizers()
    half = HALVES[precision]
    start = time.monotonic()
    try:
        with progress_line(label, config.steps, "steps", per=1) as show:
            for step in range(config.steps):
                optimizer.param_groups[0]["lr"] = fit.scheduled_rate(step)
                index, generator = fit.drawn(step)
                with torch.autocast(fit.device.type, half, enabled=half is not None):
                    p, q = fit.data_and_model(index, generator)
                try:
                    *seen, weight = fit.seen(step, p, q, generator)
                    value = weight * loss(*seen)
                except (NotFiniteError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
                    raise _not_finite(label, step) from error
                if not bool(value.isfinite()):
                    raise _not_finite(label, step)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                fit.adapt(step, p, q)
                fit.average_weights()
                show(step + 1)
    except KeyboardInterrupt:
        raise StoppedError("stopped; the same command continues the experiment at the run that was stopped") from None
    seconds = time.monotonic() - start
    fit.trained()
    return network.cpu(), seconds


def _not_finite(label: str, step: int) -> InputError:
    return InputError(
        f"{label}: the loss or the samples are not finite at step {step}; leave it out, change its parameter, or lower "
        "--learning-rate"
    )


class Space:
    """Where samples are compared: the classifier's features if the data have classes, else the points themselves, or in
    more than 512 coordinates their 256 leading principal components.

    Args:
        dataset: whose held-out points are the reference.
        device: where distances are computed, if the training points are not too many.
    """

    def __init__(self, dataset: Dataset, device: torch.device = CPU) -> None:
        self.dataset, self.device = dataset, device if dataset.train.numel() <= ON_DEVICE else CPU
        self.classifier: Classifier | None = None
        self.axes: Tensor | None = None
        self.name, self.digest = POINTS, ""
        if dataset.train_labels is not None and dataset.test_labels is not None:
            self.classifier = Classifier(dataset.train, dataset.train_labels, hidden=(256, 64), epochs=10)
            accuracy = self.classifier.accuracy(dataset.test, dataset.test_labels)
            self.name = f"the 64 last features of {self.classifier.name}, accuracy {accuracy:.3f}"
            self.digest = self.classifier.digest
        elif dataset.dimension > MOST_COORDINATES:
            self.name = f"the {COMPONENTS} leading principal components of the training points"
            self.mean = dataset.train.mean(0)
            self.axes = principal_directions(dataset.train, COMPONENTS).T
        self.test = self._placed(dataset.test[:EVALUATED]).to(self.device)
        self.law: Tensor | None = None
        if dataset.name in TOYS and dataset.dimension == 2:
            law = sample_toy(dataset.name, LAW, seed=LAW_SEED)
            self.law = (law if dataset.units is None else dataset.units.standardized(law)).to(self.device)
        self.wanted = EVALUATED if self.law is None else len(self.law)
        """Samples that the figures take."""
        self.few, self.train = dataset.test[:NEIGHBORED].to(self.device), dataset.train.to(self.device)
        self.held_out_distance = neighbor_distance(self.few, self.train)

    def _placed(self, points: Tensor) -> Tensor:
        if self.classifier is not None:
            return self.classifier.features(points)
        return points if self.axes is None else (points - self.mean) @ self.axes

    def figures(self, points: Tensor, *, nearest: Tensor | None = None) -> dict[str, float]:
        """Figures of samples against the held-out points; energy distance and memorisation are of the points themselves,
        and of a toy law in the plane the energy distance is to `LAW` points of the law.

        Args:
            points: (n, d).
            nearest: distances to the nearest training point for the memorisation; None is those of the points.
        """
        every, points = points, points[: min(EVALUATED, len(self.dataset.test))]
        placed, few = self._placed(points).to(self.device), points[:NEIGHBORED].to(self.device)
        scores = neighborhood_scores(self.test[:NEIGHBORED], placed[:NEIGHBORED])
        if nearest is None:
            nearest = neighbor_distance(few, self.train)
        figures = {
            "frechet": frechet_distance(placed, self.test),
            "kernel": kernel_distance(placed, self.test),
            "energy": energy_distance(few, self.few)
            if self.law is None
            else sliced_energy_distance(every.to(self.device), self.law, projections=64),
            **dataclasses.asdict(scores),
            "memorization": smaller_share(nearest, self.held_out_distance),
        }
        if self.classifier is not None:
            shares = torch.bincount(self.classifier.positions(points), minlength=len(self.classifier.classes)) / len(
                points
            )
            figures |= {"smallest_class": float(shares.min()), "largest_class": float(shares.max())}
        return figures

    def real(self) -> dict[str, float]:
        """What training points reach in the samples' place; their memorisation is that of held-out points, one half."""
        return self.figures(self.dataset.train, nearest=self.held_out_distance)
