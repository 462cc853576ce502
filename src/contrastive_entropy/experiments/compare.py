"""Every objective side by side, and its peers: the same network, steps, batches and learning rates for all."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from contrastive_entropy.classifier import Classifier
from contrastive_entropy.config import FitConfig
from contrastive_entropy.data import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.evaluation import require_enough
from contrastive_entropy.experiments.contenders import Contender
from contrastive_entropy.experiments.record import (
    Clock,
    StoppedError,
    cpu_name,
    mean_and_error,
    read_json,
    write_result,
)
from contrastive_entropy.experiments.settings import CompareConfig
from contrastive_entropy.metrics import (
    energy_distance,
    frechet_distance,
    kernel_distance,
    neighbor_distance,
    neighborhood_scores,
    smaller_share,
)
from contrastive_entropy.mixture import GaussianMixture
from contrastive_entropy.models import MixtureDensityNetwork
from contrastive_entropy.progress import progress_line
from contrastive_entropy.report import DATA_COLOR, MODEL_COLOR, image_sheet, png_bytes, principal_axes
from contrastive_entropy.runs import Run, digest, load_for, write_atomically, write_json
from contrastive_entropy.training import Fit, initial_network, step_generator

EVALUATED = 10_000
"""Most points per side in the Frechet distance; `NEIGHBORED` in the figures of neighbourhoods."""

NEIGHBORED = 5000

MOST_COORDINATES = 512
"""Beyond, points without classes are compared along `COMPONENTS` principal components."""

COMPONENTS = 256

SHEET = 8
"""Images per row of a sheet."""

MEANINGS = {
    "frechet": "low",
    "kernel": "low",
    "energy": "low",
    "precision": "high",
    "recall": "high",
    "density": "high",
    "coverage": "high",
    "memorization": ".5",
    "smallest_class": "even",
    "largest_class": "even",
}
"""Columns of the table, and where they should go."""


def run(config: CompareConfig, folder: Path) -> dict[str, Any]:
    """Train and evaluate what is missing, then write compare.json and compare.png.

    Args:
        config: settings.
        folder: of the experiment; one file of figures and one of weights per contender and seed are in `runs/`.

    Returns:
        The rows: one per contender with the figures of every seed, and what real points reach.

    Raises:
        InputError: an unknown contender, data or a folder that cannot be used, or a signal stopped it.
    """
    clock = Clock(folder)
    base = _fit_config(config, config.seeds[0])
    dataset = load_for(base)
    require_enough(dataset)
    resolved_base = Run.resolved(base, dataset)
    assert isinstance(resolved_base, FitConfig)
    base = resolved_base
    assert base.variance_start is not None
    contenders = [Contender.named(name, base.variance_start) for name in config.contenders]
    losses = [contender.loss() for contender in contenders]
    space = Space(dataset)
    real = space.real()
    rows: list[dict[str, Any]] = []
    samples: list[tuple[str, Tensor]] = [("held out", dataset.test)]
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for contender, loss in zip(contenders, losses, strict=True):
        results = []
        for seed in config.seeds:
            resolved = dataclasses.replace(base, seed=seed)
            path = folder / "runs" / f"{contender.name.replace(':', '-')}-seed{seed}"
            asked = {
                "contender": contender.name,
                "fit": dataclasses.asdict(resolved),
                "data": digest(dataset),
                "space": f"{space.name} {space.digest}",
            }
            known = _known(path, asked)
            if known is None:
                clock.worked = True
                label = f"{contender.name}, seed {seed}"
                network, seconds = train(loss, resolved, dataset, label)
                generated = network.sample(EVALUATED, generator=torch.Generator().manual_seed(seed))
                figures = space.figures(generated)
                if not bool(generated.isfinite().all()):
                    raise _not_finite(label, resolved.steps)
                known = {**asked, "step_milliseconds": 1e3 * seconds / resolved.steps, "figures": figures}
                weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
                write_atomically(path.with_name(f"{path.name}.safetensors"), save_tensors(weights))
                write_json(path.with_name(f"{path.name}.json"), known)
                clock.seconds()
            results.append({name: known[name] for name in ("step_milliseconds", "figures")})
            if seed == config.seeds[0]:
                trained = initial_network(resolved, dataset)
                trained.load_state_dict(load_tensors(path.with_name(f"{path.name}.safetensors").read_bytes()))
                assert isinstance(trained, MixtureDensityNetwork)
                samples.append((contender.name, trained.sample(2000, generator=torch.Generator().manual_seed(0))))
        rows.append({"contender": contender.name, "runs": results})
        found = {"space": space.name, "space_digest": space.digest, "real": real, "rows": rows}
        fit = dataclasses.asdict(dataclasses.replace(base, data=config.data, data_root=None))
        write_result(
            folder / "compare.json",
            dataclasses.asdict(config),
            list(config.seeds),
            clock,
            {"fit": fit, **found},
            device=cpu_name(),
        )
        write_atomically(folder / "compare.png", png_bytes(figure(samples, dataset)))
    return found


def _fit_config(config: CompareConfig, seed: int) -> FitConfig:
    names = {field.name for field in dataclasses.fields(FitConfig)}
    shared = {name: value for name, value in dataclasses.asdict(config).items() if name in names}
    return FitConfig(**shared, seed=seed)


def _known(path: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The figures of a finished run.

    Raises:
        InputError: they are of other settings.
    """
    file = path.with_name(f"{path.name}.json")
    known = read_json(file)
    if known is None or not path.with_name(f"{path.name}.safetensors").is_file():
        return None
    if {name: known.get(name) for name in asked} != asked:
        raise InputError(f"{file} holds a run with other settings; choose another --out")
    return known


def train(loss: Any, config: FitConfig, dataset: Dataset, label: str) -> tuple[MixtureDensityNetwork, float]:
    """The steps of `training.Fit`, batches and schedules included, with any loss and without what surrounds them.

    Args:
        loss: of `contenders`.
        config: with both variances chosen.
        dataset: what is fitted.
        label: of the progress line.

    Returns:
        The trained network, and the seconds of all its steps.

    Raises:
        InputError: the loss is not finite.
        StoppedError: Ctrl-C.
    """
    network = initial_network(config, dataset)
    assert isinstance(network, MixtureDensityNetwork)
    schedule = Fit(config, network, dataset.train)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
    start = time.monotonic()
    try:
        with progress_line(label, config.steps, "steps", per=1) as show:
            for step in range(config.steps):
                generator = step_generator(config.seed, step, 0)
                index = torch.randint(len(dataset.train), (config.batch_size,), generator=generator)
                network.variance.fill_(schedule.scheduled_variance(step))
                optimizer.param_groups[0]["lr"] = schedule.scheduled_rate(step)
                q = network(network.draw_noise(config.components, generator=generator))
                try:
                    value = loss(GaussianMixture(dataset.train[index], network.variance), q)
                except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                    raise _not_finite(label, step) from error
                if not bool(value.isfinite()):
                    raise _not_finite(label, step)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                show(step + 1)
    except KeyboardInterrupt:
        raise StoppedError("stopped; the same command continues the experiment at the run that was stopped") from None
    return network, time.monotonic() - start


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
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.classifier: Classifier | None = None
        self.axes: Tensor | None = None
        self.name, self.digest = "the points themselves", ""
        if dataset.train_labels is not None and dataset.test_labels is not None:
            self.classifier = Classifier(dataset.train, dataset.train_labels, hidden=(256, 64), epochs=10)
            accuracy = self.classifier.accuracy(dataset.test, dataset.test_labels)
            self.name = f"the 64 last features of {self.classifier.name}, accuracy {accuracy:.3f}"
            self.digest = self.classifier.digest
        elif dataset.dimension > MOST_COORDINATES:
            self.name = f"the {COMPONENTS} leading principal components of the training points"
            self.mean = dataset.train.mean(0)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.axes = torch.pca_lowrank(dataset.train - self.mean, COMPONENTS, center=False)[2]
        self.test = self._placed(dataset.test[:EVALUATED])
        few = dataset.test[:NEIGHBORED]
        self.held_out_distance = neighbor_distance(few, dataset.train)

    def _placed(self, points: Tensor) -> Tensor:
        if self.classifier is not None:
            return self.classifier.features(points)
        return points if self.axes is None else (points - self.mean) @ self.axes

    def figures(self, points: Tensor) -> dict[str, float]:
        """Figures of samples against the held-out points; energy distance and memorisation are of the points themselves."""
        points = points[: min(EVALUATED, len(self.dataset.test), len(points))]
        placed, few = self._placed(points), slice(NEIGHBORED)
        scores = neighborhood_scores(self.test[few], placed[few])
        figures = {
            "frechet": frechet_distance(placed, self.test),
            "kernel": kernel_distance(placed, self.test),
            "energy": energy_distance(points[few], self.dataset.test[few]),
            **dataclasses.asdict(scores),
            "memorization": smaller_share(neighbor_distance(points[few], self.dataset.train), self.held_out_distance),
        }
        if self.classifier is not None:
            shares = torch.bincount(self.classifier.positions(points), minlength=len(self.classifier.classes)) / len(
                points
            )
            figures |= {"smallest_class": float(shares.min()), "largest_class": float(shares.max())}
        return figures

    def real(self) -> dict[str, float]:
        """What training points reach in the samples' place; their memorisation is that of held-out points, one half."""
        own = smaller_share(self.held_out_distance, self.held_out_distance)
        return self.figures(self.dataset.train) | {"memorization": own}


def figure(samples: list[tuple[str, Tensor]], dataset: Dataset) -> Figure:
    """A sheet of images, or a scatter, per contender, beside held-out points."""
    columns = min(5, len(samples))
    rows = -(-len(samples) // columns)
    result = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(result)
    axes = result.subplots(rows, columns, squeeze=False).flatten()
    basis = None if dataset.image_shape else principal_axes(dataset.test)
    for axis in axes[len(samples) :]:
        axis.set_axis_off()
    for axis, (name, points) in zip(axes, samples, strict=False):
        axis.set_title(name, fontsize=9)
        axis.set(xticks=[], yticks=[])
        if dataset.image_shape is not None:
            sheet = image_sheet(points[: SHEET**2], dataset.image_shape, columns=SHEET)
            axis.imshow(sheet, cmap="gray_r" if dataset.image_shape[0] == 1 else None, vmin=0, vmax=1)
        else:
            assert basis is not None
            color = DATA_COLOR if name == "held out" else MODEL_COLOR
            axis.scatter(*(points[:2000] @ basis).T, s=2, color=color, linewidths=0)
            if axis is not axes[0]:
                axis.set(xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())
    return result


def table(found: dict[str, Any]) -> str:
    """The markdown table of a result, the lowest Frechet distance first."""
    names = [name for name in MEANINGS if name in found["real"]]
    goals = [f"{name.replace('_', ' ')} ({MEANINGS[name]})" for name in names]
    lines = [f"| | {' | '.join(goals)} | ms a step |", "|---" * (len(names) + 2) + "|"]

    def shown(values: list[float]) -> str:
        mean, error = mean_and_error(values)
        digits = 3 if abs(mean) < 10 else 1
        return f"{mean:.{digits}f} +- {error:.{digits}f}"

    def frechet(row: dict[str, Any]) -> float:
        return mean_and_error([run["figures"]["frechet"] for run in row["runs"]])[0]

    for row in sorted(found["rows"], key=frechet):
        cells = [shown([run["figures"][name] for run in row["runs"]]) for name in names]
        milliseconds = mean_and_error([run["step_milliseconds"] for run in row["runs"]])[0]
        lines.append(f"| {row['contender']} | {' | '.join(cells)} | {milliseconds:.1f} |")
    real = " | ".join(f"{found['real'][name]:.3f}" for name in names)
    lines.append(f"| real points | {real} | |")
    return "\n".join(lines)


def reading(found: dict[str, Any]) -> str:
    """A paragraph on what was found, from the rows alone."""
    means = {
        row["contender"]: mean_and_error([run["figures"]["frechet"] for run in row["runs"]]) for row in found["rows"]
    }
    order = sorted(means, key=lambda name: means[name][0])
    recalls = {
        row["contender"]: mean_and_error([run["figures"]["recall"] for run in row["runs"]])[0] for row in found["rows"]
    }
    parts = [
        f"The lowest Frechet distance, {means[order[0]][0]:.3g} +- {means[order[0]][1]:.2g}, is {order[0]}'s",
        f", before {order[1]}'s {means[order[1]][0]:.3g} +- {means[order[1]][1]:.2g}" if len(order) > 1 else "",
        f"; real points have {found['real']['frechet']:.3g}, in {found['space']}. ",
        f"The highest recall is {max(recalls, key=lambda name: recalls[name])}'s, {max(recalls.values()):.3f}.",
    ]
    return "".join(parts)
