"""Why a Gaussian Gram matrix and not raw distances: results/kernels.json and docs/images/kernels.png.

python benchmarks/kernels.py [--data-root DIR]     # about twenty minutes on one core; DIR/mnist adds MNIST

The same network and steps for six matrices M(x, z): log ||M(x,z)||_* + log ||M(x,z')||_* - log ||M(z,z')||_* is
maximised for kernels and minimised for distances. The scale falls from the median distance to that of near neighbours.
Points are centred on the mean of the data.
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
from contrastive_entropy.experiments.journal import markdown, mean_and_error, shown
from contrastive_entropy.metrics.distances import energy_distance
from contrastive_entropy.metrics.neighborhoods import neighborhood_scores
from contrastive_entropy.networks.bodies import MLP
from contrastive_entropy.numerics.nuclear import effective_rank, matrix_nuclear_norm
from contrastive_entropy.report.drawing import draw_sheet
from contrastive_entropy.variance import geometric_schedule, median_pair_variance, neighbor_variance

STEPS, BATCH, SMOOTHING, SAMPLES = 300, 256, 1e-3, 1000
SEEDS = [0, 1, 2]


def squares(x: Tensor, z: Tensor) -> Tensor:
    return (x.square().sum(1, keepdim=True) + z.square().sum(1) - 2 * x @ z.T).clamp_min(1e-9)


def distances(x: Tensor, z: Tensor) -> Tensor:
    return squares(x, z).sqrt()


def brownian(x: Tensor, z: Tensor) -> Tensor:
    """|x| + |z| - |x - z|: the covariance of a Brownian field that is 0 at the origin."""
    origin = x.new_zeros(1, x.shape[1])
    return distances(x, origin) + distances(origin, z) - distances(x, z)


# v is the kernel's variance; every kernel has its scale at a distance of sqrt(v).
MATRICES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "Gaussian": lambda x, z, v: torch.exp(-squares(x, z) / (2 * v)),
    "Laplace": lambda x, z, v: torch.exp(-(squares(x, z) / v).sqrt()),
    "inverse multiquadric": lambda x, z, v: (1 + squares(x, z) / v).rsqrt(),
    "abs(x) + abs(z) - abs(x - z)": lambda x, z, v: brownian(x, z) / v**0.5,
    "distance": lambda x, z, v: distances(x, z) / v**0.5,
    "squared distance": lambda x, z, v: squares(x, z) / v,
}


def train(name: str, data: Tensor, seed: int) -> tuple[Tensor, float, Tensor]:
    """Samples, seconds, and the singular values of the last batch's matrix, scaled to sum to 1."""
    torch.manual_seed(seed)
    start_scale, end_scale = 2 * median_pair_variance(data), 2 * neighbor_variance(data)
    network = MLP(32, data.shape[1], width=256 if data.shape[1] < 100 else 512)
    location, scale = data.mean(0), data.std()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    sign = 1 if name.endswith("distance") else -1
    matrix = MATRICES[name]
    start = time.perf_counter()
    for step in range(STEPS):
        v = geometric_schedule(step, steps=STEPS, start=start_scale, end=end_scale)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, 5 * (STEPS - step) / STEPS)
        x = data[torch.randint(0, len(data), (BATCH,))] - location
        z = scale * network(torch.randn(2 * BATCH, 32))
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
            draw_sheet(axis, found[name][:49], shapes[data], columns=7)
            axis.set_title(f"{data}: {name}", fontsize=10)
            axis.set_axis_off()
    return figure


def table(result: dict) -> str:
    """The markdown table that docs/questions/kernel.md shows: means and standard errors over the seeds."""
    names = ("purity", "precision", "recall", "coverage", "energy_distance", "effective_rank", "leading_share")
    shares = ("least_class_share", "largest_class_share")
    rows = []
    for data, found in result["sets"].items():
        for name, runs in found.items():
            cells = [
                shown(*mean_and_error([run[key] for run in runs]), digits=3) if key in runs[0] else "" for key in names
            ]
            least, largest = (mean_and_error([run[key] for run in runs])[0] for key in shares)
            rows.append([data, name, *cells, f"{least:.2f}-{largest:.2f}"])
    return markdown(["data", "matrix", *(name.replace("_", " ") for name in names), "class shares"], rows)


def measured(
    data: str, root: Path | None, seeds: list[int]
) -> tuple[dict[str, list[dict]], dict[str, Tensor], tuple[int, int, int]]:
    """Figures of every matrix and seed, samples of the first seed, and the shape of an image."""
    dataset = load(data, data_root=root)
    assert dataset.train.labels is not None
    assert dataset.image_shape is not None
    points, labels = dataset.train.points[:20_000], dataset.train.labels[:20_000]
    classifier = MLPClassifier(128, max_iter=300, n_iter_no_change=5, tol=1e-3, random_state=0)
    classifier.fit(points.numpy(), labels.numpy())
    test = dataset.held_out.points[:SAMPLES]
    found: dict[str, list[dict]] = {"real": [figures(points[:SAMPLES], test, classifier)]}
    sheet = {"real": points}
    for name in MATRICES:
        found[name] = []
        for seed in seeds:
            samples, seconds, spectrum = train(name, points, seed)
            sheet.setdefault(name, samples)
            spectral = {"effective_rank": float(effective_rank(spectrum)), "leading_share": float(spectrum[0])}
            found[name].append(figures(samples, test, classifier) | spectral | {"seconds": round(seconds, 1)})
            print(data, name, seed, found[name][-1], flush=True)
    return found, sheet, dataset.image_shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    options = record.parsed(parser, table)
    start = time.monotonic()
    origin = record.origin(SEEDS)
    sheets: dict[str, dict[str, Tensor]] = {}
    shapes, sets = {}, {}
    roots = {"digits": None} | ({"mnist": options.data_root} if options.data_root else {})
    for data, root in roots.items():
        sets[data], sheets[data], shapes[data] = measured(data, root, SEEDS)
    result = {**origin, "steps": STEPS, "wall_seconds": round(time.monotonic() - start, 1), "sets": sets}
    record.write("kernels", result)
    record.write_picture("kernels", picture(sheets, shapes))
    print(table(result))


if __name__ == "__main__":
    main()
