"""Does tightness tell how good a fit is? results/tightness.json and docs/images/tightness.png.

python benchmarks/tightness.py [--data-root DIR]   # about an hour on one core; DIR/mnist adds MNIST

Many fits of each data set, good and bad: objectives, variances, steps and widths differ. Of each the three figures of
tightness at the variance that the library would choose, and rank correlations with figures that know nothing of kernels.
Runs that are in the result already are not made again.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor

import contrastive_entropy as ce
from contrastive_entropy.experiments.comparison import Judge
from contrastive_entropy.models.generator import GeneratorSettings
from contrastive_entropy.variance import neighbor_variance

OBJECTIVES = (
    "debiased_nuclear_norm",
    "debiased_affinity",
    "nuclear_norm:smoothing=0.01",
    "normalized_inner_product",
    "debiased_normalized_inner_product",
    "log_likelihood",
    "energy",
)
SETS: dict[str, dict[str, tuple[Any, ...]]] = {
    # variances in units of the chosen one, steps, widths
    "moons": {"variances": (0.2, 1.0, 5.0), "steps": (150, 600), "widths": (64,)},
    "digits": {"variances": (0.3, 1.0, 3.0), "steps": (150, 600), "widths": (256,)},
    "mnist": {"variances": (1.0, 3.0), "steps": (150, 400), "widths": (256,)},
}
KEY = ("objective", "factor", "steps", "width")
"""What tells a run of a data set from its others."""

POINTS = 1000
"""Held-out points and samples in a figure of tightness."""

TIGHTNESS = {
    "fidelity_over_ceiling": "F over its ceiling",
    "tightness": "debiased tightness (E20)",
    "affinity": "cosine of the mean roots (E24)",
}
QUALITY = {"recall": 1, "coverage": 1, "precision": 1, "energy": -1, "frechet": -1}
"""Figures, and whether more of them is better."""


def figures(samples: Tensor, held_out: Tensor, variance: float) -> dict[str, float]:
    """The three figures of tightness, of at most `POINTS` points a side."""
    count = min(POINTS, len(held_out), len(samples)) // 2 * 2
    p, q = (ce.GaussianMixture(points[:count], variance) for points in (held_out, samples))
    x, again = p.select(0, count // 2), p.select(count // 2, count)
    bound = ce.debiased_affinity(p, q, paired=True)
    return {
        "fidelity_over_ceiling": float(ce.fidelity(x, q.select(0, count // 2)) / ce.fidelity(x, again)),
        "tightness": float(ce.tightness(p, q)),
        "affinity": float((-0.5 * bound.gap).exp()),
    }


def fitted(settings: GeneratorSettings) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        run = ce.fit(settings, Path(folder) / "run", progress=False)
        return run.generate(10_000, generator=torch.Generator().manual_seed(1))


def correlations(rows: list[dict]) -> dict[str, dict[str, list[float]]]:
    """Spearman's of each tightness with each figure, better being higher, and a 90% interval by resampling runs."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, list[float]]] = {}
    for name in TIGHTNESS:
        x = np.array([row[name] for row in rows])
        found[name] = {}
        for figure, sign in QUALITY.items():
            y = sign * np.array([row[figure] for row in rows])
            picks = [rng.integers(0, len(rows), len(rows)) for _ in range(500)]
            values = [spearmanr(x[pick], y[pick]).statistic for pick in picks]
            found[name][figure] = [float(v) for v in (spearmanr(x, y).statistic, *np.nanquantile(values, [0.05, 0.95]))]
    return found


def picture(sets: dict[str, dict]) -> Figure:
    figure = Figure(figsize=(3.6 * len(TIGHTNESS), 3.2 * len(sets)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(sets), len(TIGHTNESS), squeeze=False)
    for axes, (data, one) in zip(grid, sets.items(), strict=True):
        for axis, (name, label) in zip(axes, TIGHTNESS.items(), strict=True):
            for objective in dict.fromkeys(row["objective"] for row in one["rows"]):
                rows = [row for row in one["rows"] if row["objective"] == objective]
                axis.plot([row[name] for row in rows], [row["frechet"] for row in rows], "o", ms=4, label=objective)
            axis.set(yscale="log", xlabel=label, ylabel=f"{data}: Frechet distance" if axis is axes[0] else None)
            axis.axvline(1, color="0.8", lw=1, zorder=0)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def table(result: dict) -> str:
    """The markdown table that docs/questions/tightness.md shows."""
    lines = [
        "| data | runs | figure | " + " | ".join(QUALITY).replace("_", " ") + " |",
        "|---" * (len(QUALITY) + 3) + "|",
    ]
    for data, one in result["sets"].items():
        for name, label in TIGHTNESS.items():
            cells = ["{:.2f} ({:.2f} to {:.2f})".format(*one["correlations"][name][figure]) for figure in QUALITY]
            lines.append("| " + " | ".join([data, str(len(one["rows"])), label, *cells]) + " |")
    return "\n".join(lines)


def root_of(name: str, root: Path | None) -> str | None:
    """Of the hub's data sets alone."""
    return str(root) if root and name == "mnist" else None


def settings_of(name: str, options: argparse.Namespace, found: dict) -> list[tuple[dict, GeneratorSettings]]:
    grid = SETS[name]
    keys = [
        {"objective": objective, "factor": factor, "steps": steps, "width": width}
        for steps in grid["steps"]
        for width in grid["widths"]
        for factor in grid["variances"]
        for objective in OBJECTIVES
    ]
    return [
        (
            key,
            GeneratorSettings(
                name,
                data_root=root_of(name, options.data_root),
                objective=key["objective"],
                steps=key["steps"],
                width=key["width"],
                variance_end=found["variance"] * key["factor"],
            ),
        )
        for key in keys
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    options = record.parsed(parser, table)
    start = time.monotonic()
    file = record.ROOT / "results" / "tightness.json"
    before = json.loads(file.read_text())["sets"] if file.exists() else {}
    sets: dict[str, dict] = {}
    for name in SETS:
        if name == "mnist" and not options.data_root:
            continue
        dataset = ce.load(name, data_root=root_of(name, options.data_root))
        judge = Judge(dataset)
        found = {"variance": neighbor_variance(dataset.train.points, points=256), "real": judge.real(), "rows": []}
        sets[name] = found
        known = {tuple(row[part] for part in KEY): row for row in before.get(name, {}).get("rows", [])}
        for key, settings in settings_of(name, options, found):
            row = known.get(tuple(key.values()))
            if row is None:
                samples = fitted(settings)
                row = {**key, **judge.figures(samples[: judge.wanted])}
                row |= figures(samples, dataset.held_out.points, found["variance"])
                print(name, {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
            found["rows"].append(row)
            found["correlations"] = correlations(found["rows"]) if len(found["rows"]) > 3 else {}
            wall = round(time.monotonic() - start, 1)
            record.write("tightness", {**record.origin(0), "wall_seconds": wall, "sets": before | sets})
    result = json.loads(file.read_text())
    record.write_picture("tightness", picture(sets))
    print(table(result))


if __name__ == "__main__":
    main()
