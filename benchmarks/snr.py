"""How well a training step sees a small change, over the variance: results/snr.json and docs/images/snr.png.

python benchmarks/snr.py [--data-root DIR]     # about ten minutes on one core; DIR/mnist adds MNIST

The model's points are those of the data, shrunk by 5% towards their mean, or shifted by 5% of the deviation along the
leading principal axis. Signal over noise is |mean| / standard deviation, over batches, of the derivative of the
debiased nuclear norm along that change. Batches are those of `fit generator`.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import record
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from contrastive_entropy import GaussianMixture
from contrastive_entropy.data.load import load
from contrastive_entropy.experiments.journal import markdown, mean_and_error
from contrastive_entropy.experiments.variance_sweep import distance_of, highest_coverage, measured
from contrastive_entropy.objectives.density import debiased_nuclear_norm
from contrastive_entropy.variance import neighbor_variance

FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
SEEDS = [0, 1, 2]
BATCHES, POINTS, CHANGE = 22, 512, 0.05
SETS = ("normal", "moons", "ring8", "digits", "friedman")
DEVIATIONS = (1.0, 0.3, 0.1)
"""Of `normal`, a Gaussian law whose signal is known: see `predicted`."""


def points_of(name: str, root: Path | None) -> Tensor:
    """Training points; of tables, in units of each column's deviation."""
    if name == "normal":
        return torch.randn(10_000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(DEVIATIONS)
    points = load(name, data_root=root if name == "mnist" else None).train.points
    return (points - points.mean(0)) / points.std(0) if name == "friedman" else points


def changes(points: Tensor) -> dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """Of points, by 5%, and their derivatives by the size of the change."""
    mean = points.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(points.T.double()))
    step = (values[-1].sqrt() * vectors[:, -1]).to(points)
    return {
        "shrunk": lambda z: (mean + (1 - CHANGE) * (z - mean), mean - z),
        "shifted": lambda z: (z + CHANGE * step, step.expand_as(z)),
    }


def signal(points: Tensor, change: Callable[[Tensor], tuple[Tensor, Tensor]], variance: float, seed: int) -> float:
    """|mean| / standard deviation of the derivative over the batches of a seed."""
    generator = torch.Generator().manual_seed(seed)
    slopes = []
    for _ in range(BATCHES):
        drawn = points[torch.randperm(len(points), generator=generator)[: 2 * POINTS]]
        x, (z, direction) = drawn[:POINTS], change(drawn[POINTS:])
        z.requires_grad_()
        debiased_nuclear_norm(GaussianMixture(x, variance), GaussianMixture(z, variance), paired=True).backward()
        assert z.grad is not None
        slopes.append(float((z.grad.double() * direction).sum()))
    found = torch.tensor(slopes, dtype=torch.float64)
    return float(found.mean().abs() / found.std())


def predicted(variance: float) -> dict[str, float]:
    """The signal of `normal` for many points: docs/questions/variance.md."""
    squares = torch.tensor(DEVIATIONS, dtype=torch.float64).square()
    weights = squares / (squares + variance)
    half = POINTS / 2
    shrunk = CHANGE * (2 * half) ** 0.5 * float(weights.sum() / weights.square().sum().sqrt())
    return {"shrunk": shrunk, "shifted": CHANGE * half**0.5}


def sweep(name: str) -> dict[str, dict[str, float]] | None:
    """Of each factor, mean coverage and distance of trained generators, as results/variance_sweep_*.json has them."""
    path = record.ROOT / "results" / f"variance_sweep_{name}.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    rows = {row["factor"]: row for row in found["rows"] if row["factor"] in FACTORS}
    best = highest_coverage(list(rows.values()))
    lowest = min(measured(row, distance_of(found))[0] for row in rows.values())
    return {
        f"{factor:g}": {
            "coverage": measured(row, "coverage")[0] / measured(best, "coverage")[0],
            "distance": measured(row, distance_of(found))[0] / lowest,
        }
        for factor, row in rows.items()
    }


def highest(curve: dict[str, list[float]]) -> str:
    return max(curve, key=lambda factor: mean_and_error(curve[factor])[0])


def table(result: dict) -> str:
    """The markdown table of docs/questions/variance.md: means over the seeds by factor, and what the highest would give."""
    rows = []
    for name, found in result["sets"].items():
        for change, curve in found["signal"].items():
            top, trained = highest(curve), found["trained"]
            cells = [f"{mean_and_error(curve[f'{factor:g}'])[0]:.2f}" for factor in result["factors"]]
            largest = max(mean_and_error(values)[1] for values in curve.values())
            there = [
                f"{trained[top][key]:.2f} against {trained['1'][key]:.2f}" if trained else "-"
                for key in ("coverage", "distance")
            ]
            rows.append([name, change, f"{found['variance']:.3g}", *cells, f"{largest:.2f}", top, *there])
            if "predicted" in found:
                own = [f"{found['predicted'][f'{factor:g}'][change]:.2f}" for factor in result["factors"]]
                rows.append(["", "predicted", "", *own, "", "", "", ""])
    headings = ["data", "model", "chosen variance", *(f"{factor:g}" for factor in result["factors"])]
    ends = ("largest error", "highest at", "coverage there against the choice", "distance there against the choice")
    return markdown([*headings, *ends], rows)


def picture(result: dict) -> Figure:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, change in zip(figure.subplots(1, 2), ("shrunk", "shifted"), strict=True):
        for index, (name, found) in enumerate(result["sets"].items()):
            means, errors = zip(*map(mean_and_error, found["signal"][change].values()), strict=True)
            axis.errorbar(result["factors"], means, errors, fmt="o-", markersize=3, color=f"C{index}", label=name)
            if "predicted" in found:
                own = [one[change] for one in found["predicted"].values()]
                axis.plot(result["factors"], own, "--", linewidth=1, color=f"C{index}", label=f"{name}, predicted")
        axis.axvline(1, color="#777777", linestyle=":")
        title = f"signal over noise, {change} by 5%"
        axis.set(xscale="log", yscale="log", xlabel="variance / choice", title=title)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    options = record.parsed(parser, table)
    start = time.monotonic()
    origin = record.origin(SEEDS)
    sets: dict[str, dict] = {}
    for name in [*SETS, *(["mnist"] if options.data_root else [])]:
        points = points_of(name, options.data_root)
        variance = neighbor_variance(points)
        sets[name] = {"variance": variance, "signal": {}, "trained": sweep(name)}
        for change, moved in changes(points).items():
            sets[name]["signal"][change] = {
                f"{factor:g}": [signal(points, moved, factor * variance, seed) for seed in SEEDS] for factor in FACTORS
            }
            print(name, change, sets[name]["signal"][change], flush=True)
        if name == "normal":
            sets[name]["predicted"] = {f"{factor:g}": predicted(factor * variance) for factor in FACTORS}
    shared = {"factors": FACTORS, "batches": BATCHES, "points": POINTS, "change": CHANGE}
    result = {**origin, **shared, "wall_seconds": round(time.monotonic() - start, 1), "sets": sets}
    record.write("snr", result)
    record.write_picture("snr", picture(result))
    print(table(result))


if __name__ == "__main__":
    main()
