"""What the kernel's variance does to samples of separate modes: results/mechanism.json and docs/images/mechanism.png.

python benchmarks/mechanism.py     # about fifteen minutes on one core

Eight Gaussians of deviation .05 on a circle of radius 1, in the plane and in the plane of two of ten coordinates. The
variance is the kernel's, twice the density's, in absolute units. It falls to each value from the median squared
distance of two points, or stays at a larger one. All objectives have the same network, steps and batches.
"""

import argparse
import time
from functools import partial

import record
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

import contrastive_entropy as ce
from contrastive_entropy.experiments.journal import markdown, mean_and_error, over_seeds
from contrastive_entropy.metrics.modes import mode_scores
from contrastive_entropy.networks.bodies import MLP
from contrastive_entropy.variance import geometric_schedule, median_pair_variance

VARIANCES = (0.001, 0.01, 0.1, 1.0, 10.0)
OBJECTIVES = {
    "log_likelihood": ce.log_likelihood,
    "normalized_inner_product": ce.normalized_inner_product,
    "nuclear_norm": partial(ce.nuclear_norm, smoothing=1e-2),
    "debiased_nuclear_norm": partial(ce.debiased_nuclear_norm, paired=True),
}
DIMENSIONS = (2, 10)
SEEDS = [0, 1, 2]
DEVIATION, POINTS, SAMPLES = 0.05, 5000, 2500
STEPS, BATCH = 800, 128
FIGURES = {"share in a mode": 3, "modes found": 1, "spread in a mode / real": 2, "pair distances off by": 3}
"""With the digits that the table shows of each."""


def centers(dimension: int) -> Tensor:
    angle = torch.arange(8) * torch.pi / 4
    found = torch.zeros(8, dimension)
    found[:, 0], found[:, 1] = angle.cos(), angle.sin()
    return found


def drawn(dimension: int, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    modes = centers(dimension)[torch.randint(8, (count,), generator=generator)]
    return modes + DEVIATION * torch.randn(count, dimension, generator=generator)


def pair_distances(points: Tensor) -> Tensor:
    """Sorted, of the first 1,000."""
    return torch.pdist(points[:1000].double()).sort().values


def figures(samples: Tensor, real: Tensor) -> dict[str, float]:
    """Of samples: in a mode is what lies within three deviations of a coordinate beyond the usual distance from it."""
    dimension = real.shape[1]
    radius = DEVIATION * (3 if dimension == 2 else dimension**0.5 + 3 / 2**0.5)
    found, own = (mode_scores(points, centers(dimension), radius=radius) for points in (samples, real))
    assert own.distance is not None
    off = (pair_distances(samples) - pair_distances(real)).abs().mean()
    values = (found.high_quality, found.modes, (found.distance or 0.0) / own.distance, float(off))
    return dict(zip(FIGURES, values, strict=True))


def trained(objective: str, dimension: int, variance: float, seed: int) -> Tensor:
    """Samples of a network whose objective sees the density's variance fall to half the kernel's."""
    points = drawn(dimension, POINTS, seed)
    torch.manual_seed(seed)
    network = MLP(2 * dimension, dimension, width=128)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    start = max(variance / 2, median_pair_variance(points))
    for step in range(STEPS):
        v = geometric_schedule(step, steps=STEPS, start=start, end=variance / 2)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, 2 * (STEPS - step) / STEPS)
        p = ce.GaussianMixture(points[torch.randint(0, POINTS, (BATCH,))], v)
        q = ce.GaussianMixture(network(torch.randn(BATCH, 2 * dimension)), v)
        optimizer.zero_grad()
        OBJECTIVES[objective](p, q).backward()
        optimizer.step()
    with torch.no_grad():
        return network(torch.randn(SAMPLES, 2 * dimension))


def table(result: dict) -> str:
    """The markdown table of docs/questions/mechanism.md: means and standard errors over the seeds."""
    rows = []
    for name, digits in FIGURES.items():
        for dimension, found in result["sets"].items():
            for objective, runs in found["runs"].items():
                cells = [over_seeds([one[name] for one in seeds], digits=digits) for seeds in runs.values()]
                real = f"{mean_and_error([one[name] for one in found['real']])[0]:.{digits}f}"
                rows.append([name, dimension, objective, *cells, real])
    variances = [f"v = {variance:g}" for variance in result["variances"]]
    return markdown(["figure", "dimensions", "objective", *variances, "real"], rows)


def picture(sheets: dict[str, dict[float, Tensor]], real: Tensor) -> Figure:
    """Samples in the plane, and their pair distances; grey: real ones."""
    figure = Figure(figsize=(2 * len(VARIANCES), 2 * len(OBJECTIVES) + 1.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(OBJECTIVES) + 1, len(VARIANCES))
    for row, (objective, found) in enumerate(sheets.items()):
        for axis, (variance, samples) in zip(axes[row], found.items(), strict=True):
            axis.scatter(*samples[:1000].T, s=1, color=f"C{row}")
            axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=[], yticks=[], aspect="equal")
            axis.set_title(f"v = {variance:g}" if row == 0 else "", fontsize=9)
        axes[row][0].set_ylabel(objective.replace("_", "\n"), fontsize=7)
    for axis, variance in zip(axes[-1], VARIANCES, strict=True):
        axis.hist(pair_distances(real), bins=60, range=(0, 2.6), density=True, color="#cccccc")
        for row, found in enumerate(sheets.values()):
            heights, edges = pair_distances(found[variance]).histogram(bins=60, range=(0, 2.6), density=True)
            axis.stairs(heights, edges, color=f"C{row}", linewidth=0.8)
        axis.set(ylim=(0, 5), yticks=[])
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1][0].set_ylabel("pair distances", fontsize=7)
    return figure


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    record.parsed(options, table)
    start = time.monotonic()
    origin = record.origin(SEEDS)
    sets: dict[str, dict] = {}
    sheets: dict[str, dict[float, Tensor]] = {objective: {} for objective in OBJECTIVES}
    for dimension in DIMENSIONS:
        tests = {seed: drawn(dimension, SAMPLES, 1000 + seed) for seed in SEEDS}
        real = [figures(drawn(dimension, SAMPLES, 2000 + seed), tests[seed]) for seed in SEEDS]
        runs: dict[str, dict[str, list[dict]]] = {}
        for objective in OBJECTIVES:
            runs[objective] = {}
            for variance in VARIANCES:
                samples = {seed: trained(objective, dimension, variance, seed) for seed in SEEDS}
                runs[objective][f"{variance:g}"] = [figures(samples[seed], tests[seed]) for seed in SEEDS]
                print(dimension, objective, variance, runs[objective][f"{variance:g}"][0], flush=True)
                if dimension == 2:
                    sheets[objective][variance] = samples[SEEDS[0]]
        sets[f"{dimension}"] = {"real": real, "runs": runs}
    shared = {"steps": STEPS, "batch": BATCH, "variances": VARIANCES}
    result = {**origin, **shared, "wall_seconds": round(time.monotonic() - start, 1), "sets": sets}
    record.write("mechanism", result)
    record.write_picture("mechanism", picture(sheets, drawn(2, SAMPLES, 1000)))
    print(table(result))


if __name__ == "__main__":
    main()
