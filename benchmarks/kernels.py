"""Why a Gaussian Gram matrix and not raw distances: results/kernels.json and docs/images/kernels.png.

python benchmarks/kernels.py [--data-root DIR]     # about six minutes on two cores; DIR/mnist adds MNIST

The same network and steps for four matrices M(x, z): log ||M(x,z)||_* + log ||M(x,z')||_* - log ||M(z,z')||_* is
maximised for kernels and minimised for distances. The scale falls from the median distance to that of near neighbours.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import record
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from contrastive_entropy.data.load import load
from contrastive_entropy.metrics.distances import energy_distance
from contrastive_entropy.metrics.neighborhoods import neighborhood_scores
from contrastive_entropy.networks.bodies import MLP
from contrastive_entropy.numerics.nuclear import effective_rank, matrix_nuclear_norm
from contrastive_entropy.report.drawing import draw_sheet, png_bytes
from contrastive_entropy.variance import geometric_schedule, median_pair_variance, neighbor_variance

STEPS, BATCH, SMOOTHING, SAMPLES = 1000, 256, 1e-3, 1000


def squares(x: Tensor, z: Tensor) -> Tensor:
    return (x.square().sum(1, keepdim=True) + z.square().sum(1) - 2 * x @ z.T).clamp_min(1e-9)


# v is the kernel's variance; every kernel has its scale at a distance of sqrt(v).
MATRICES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "Gaussian": lambda x, z, v: torch.exp(-squares(x, z) / (2 * v)),
    "Laplace": lambda x, z, v: torch.exp(-(squares(x, z) / v).sqrt()),
    "inverse multiquadric": lambda x, z, v: (1 + squares(x, z) / v).rsqrt(),
    "squared distance": lambda x, z, v: squares(x, z) / v,
}


def train(name: str, data: Tensor, seed: int) -> tuple[Tensor, float, Tensor]:
    """Samples, seconds, and the singular values of the last batch's matrix, scaled to sum to 1."""
    torch.manual_seed(seed)
    start_scale, end_scale = 2 * median_pair_variance(data), 2 * neighbor_variance(data)
    network = MLP(32, data.shape[1], width=256 if data.shape[1] < 100 else 512)
    location, scale = data.mean(0), data.std()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    sign = 1 if name == "squared distance" else -1
    matrix = MATRICES[name]
    start = time.perf_counter()
    for step in range(STEPS):
        v = geometric_schedule(step, steps=STEPS, start=start_scale, end=end_scale)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, 5 * (STEPS - step) / STEPS)
        x = data[torch.randint(0, len(data), (BATCH,))]
        z = location + scale * network(torch.randn(2 * BATCH, 32))
        first, second = z[:BATCH], z[BATCH:]
        norms = [
            matrix_nuclear_norm(matrix(a, b, v), smoothing=SMOOTHING)
            for a, b in ((x, first), (x, second), (first, second))
        ]
        value = norms[0].log() + norms[1].log() - norms[2].log()
        optimizer.zero_grad()
        (sign * value).backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        s = torch.linalg.svdvals(matrix(x, first, v).double())
        return location + scale * network(torch.randn(SAMPLES, 32)), seconds, s / s.sum()


def figures(samples: Tensor, test: Tensor, classifier: MLPClassifier) -> dict[str, object]:
    """Purity: samples in which the classifier sees one class with more than .9; shares: of the predicted classes."""
    probabilities = torch.from_numpy(classifier.predict_proba(samples.numpy()))
    shares = torch.bincount(probabilities.argmax(1), minlength=10) / len(samples)
    count = min(len(test), len(samples))
    scores = neighborhood_scores(test[:count], samples[:count])
    return {
        "purity": float((probabilities.amax(1) > 0.9).double().mean()),
        "least_class_share": float(shares.min()),
        "largest_class_share": float(shares.max()),
        "precision": scores.precision,
        "recall": scores.recall,
        "coverage": scores.coverage,
        "energy_distance": energy_distance(samples, test),
    }


def picture(sheets: dict[str, dict[str, Tensor]], shapes: dict[str, tuple[int, int, int]]) -> Figure:
    columns = list(next(iter(sheets.values())))
    figure = Figure(figsize=(3 * len(columns), 3.3 * len(sheets)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(sheets), len(columns), squeeze=False)
    for row, (data, found) in zip(grid, sheets.items(), strict=True):
        for axis, name in zip(row, columns, strict=True):
            draw_sheet(axis, found[name], shapes[data], columns=7)
            axis.set_title(f"{data}: {name}", fontsize=10)
            axis.set_axis_off()
    return figure


def table(result: dict) -> str:
    """The markdown table that docs/spectrum.md shows."""
    names = ("purity", "precision", "recall", "coverage", "energy_distance", "effective_rank")
    lines = ["| data | matrix | " + " | ".join(names).replace("_", " ") + " | class shares |", "|---" * 9 + "|"]
    for data, found in result["sets"].items():
        for name, one in found.items():
            cells = [f"{one[key]:.3f}" if key in one else "" for key in names]
            shares = f"{one['least_class_share']:.2f}-{one['largest_class_share']:.2f}"
            lines.append("| " + " | ".join([data, name, *cells, shares]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = record.parsed(parser, table)
    start = time.monotonic()
    origin = record.origin(options.seed)
    names = ["digits", *(["mnist"] if options.data_root else [])]
    sheets: dict[str, dict[str, Tensor]] = {}
    shapes, sets = {}, {}
    for data in names:
        dataset = load(data, data_root=options.data_root)
        assert dataset.train.labels is not None
        assert dataset.image_shape is not None
        shapes[data] = dataset.image_shape
        train_points, labels = dataset.train.points[:20_000], dataset.train.labels[:20_000]
        classifier = MLPClassifier(128, max_iter=300, n_iter_no_change=5, tol=1e-3, random_state=0)
        classifier.fit(train_points.numpy(), labels.numpy())
        test = dataset.held_out.points[:SAMPLES]
        sets[data] = {"real": figures(train_points[:SAMPLES], test, classifier)}
        sheets[data] = {"real": train_points}
        for name in MATRICES:
            samples, seconds, spectrum = train(name, train_points, options.seed)
            sheets[data][name] = samples
            sets[data][name] = figures(samples, test, classifier) | {
                "effective_rank": float(effective_rank(spectrum)),
                "seconds": round(seconds, 1),
                "leading_singular_values": spectrum[:8].tolist(),
            }
            print(data, name, sets[data][name], flush=True)
    result = {
        **origin,
        "steps": STEPS,
        "wall_seconds": round(time.monotonic() - start, 1),
        "sets": sets,
    }
    record.write("kernels", result)
    (record.ROOT / "docs" / "images" / "kernels.png").write_bytes(png_bytes(picture(sheets, shapes)))
    print(table(result))


if __name__ == "__main__":
    main()
