"""The bound of all of MNIST, exact, and what it costs: results/bound_mnist.json.

python benchmarks/whole_data.py --data-root DIR     # DIR/mnist as the hub lays it out; a minute on two cores
python benchmarks/whole_data.py --data-root DIR --fidelity     # F of all of MNIST: results/fidelity_mnist.json
python benchmarks/whole_data.py --data-root DIR --limit RUN    # conditional limit of a run on it: results/limit_mnist.json

Runs `contrastive-entropy bound mnist` in a process of its own; measures, before and after it, the machine's float32
matrix product; and compares a subset with a float64 reference.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import record
import torch

SUBSET = 3000


def products_seconds(n: int, d: int, batch: int = 4096) -> float:
    """Time of the matrix products that n (n + 1) / 2 inner products of d coordinates need, at this machine's speed."""
    a, b = torch.randn(batch, d), torch.randn(batch, d)
    out = torch.empty(batch, batch)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        torch.mm(a, b.T, out=out)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2] / batch**2 * n * (n + 1) / 2


def reference(points: np.ndarray, variance: float) -> float:
    """log <p, p> by float64 differences, one row at a time."""
    x, rows = points.astype(np.float64), []
    for row in x:
        exponents = -((x - row) ** 2).sum(1) / (4 * variance)
        rows.append(exponents.max() + np.log(np.exp(exponents - exponents.max()).sum()))
    rows_array = np.array(rows)
    total = rows_array.max() + np.log(np.exp(rows_array - rows_array.max()).sum())
    return float(total - 2 * np.log(len(x)) - x.shape[1] / 2 * np.log(4 * np.pi * variance))


def run(arguments: list[str], command: str = "bound") -> tuple[dict, float]:
    """Figures of `contrastive-entropy COMMAND` in a process of its own, and that process's peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        program = [sys.executable, "-c", "from contrastive_entropy.cli import app; app()", command, *arguments]
        subprocess.run([*program, "--out", str(out)], check=True)
        return json.loads(out.read_text()), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def described(command: str, script: str) -> dict:
    return record.origin(0) | {"command": command, "script": script}


def fidelity(data_root: Path, count: int = 2000) -> None:
    """All 60,000 training digits against as many held-out ones, and a part of it against singular values."""
    import contrastive_entropy as ce
    from contrastive_entropy.data.load import load
    from contrastive_entropy.mixtures.operator import singular_values

    dataset = load("mnist", data_root=data_root)
    with tempfile.TemporaryDirectory() as folder:
        others = Path(folder) / "held_out.npy"
        np.save(others, dataset.held_out.points[:count].numpy())
        arguments = ["mnist", "--data-root", str(data_root), "--against", str(others), "--fidelity"]
        figures, peak = run(arguments)
    x, z, variance = dataset.train.points[:3000], dataset.held_out.points[:count], figures["variance"]
    start = time.monotonic()
    exact = singular_values(ce.GaussianMixture(x.double(), variance), ce.GaussianMixture(z.double(), variance))
    dense_seconds = time.monotonic() - start
    found = ce.streamed_singular_values(x, z, variance=variance)
    result = described(
        f"contrastive-entropy bound mnist --data-root DIR --against FILE --fidelity, FILE: {count} held-out digits",
        "python benchmarks/whole_data.py --data-root DIR --fidelity",
    ) | {
        "figures": {key: value for key, value in figures.items() if key != "against"},
        "wall_seconds": figures["fidelity_seconds"],
        "peak_memory_mib": peak,
        "data_mib": 60_000 * 784 * 4 / 2**20,
        "subset": len(x),
        "subset_fidelity": float(found.sum()),
        "subset_reference": float(exact.sum()),
        "subset_error": abs(float(found.sum() - exact.sum())),
        "subset_reference_seconds": dense_seconds,
    }
    record.write("fidelity_mnist", result)
    print(json.dumps(result, indent=2))


def conditional_limit(folder: Path) -> None:
    """The limit of (E15) on all of a run's training data, and a part of it against the definition in float64."""
    from contrastive_entropy.fitting.run import Run
    from contrastive_entropy.mixtures.joint import JointMixture
    from contrastive_entropy.models.autoencoder.evaluation import load_autoencoder
    from contrastive_entropy.models.autoencoder.tracking import encoded

    figures, peak = run([str(folder)], "limit")
    opened = Run.open(folder)
    joint = encoded(load_autoencoder(opened), opened.dataset().train.points[:SUBSET])
    subset = JointMixture(joint.points, joint.features, joint.variance, joint.feature_variance)
    _, conditions = subset.draw(50, generator=torch.Generator().manual_seed(0))
    x, y = subset.points.double().numpy(), subset.features.double().numpy()
    gram = np.stack([np.exp(-((x - row) ** 2).sum(1) / (4 * subset.variance)) for row in x])
    exponents = -((conditions.double().numpy()[:, None] - y) ** 2).sum(-1) / (2 * subset.feature_variance)
    weights = np.exp(exponents - exponents.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    expected = np.log((weights @ gram * weights).sum(1)) + subset.log_peak
    result = described(
        "contrastive-entropy limit RUN, RUN: of experiment reconstruction-diversity --data mnist --data-root DIR",
        "python benchmarks/whole_data.py --data-root DIR --limit RUN",
    ) | {
        "figures": {key: value for key, value in figures.items() if key != "run"},
        "wall_seconds": figures["seconds"],
        "peak_memory_mib": peak,
        "data_mib": 70_000 * 784 * 4 / 2**20,
        "subset": SUBSET,
        "subset_error": float(np.abs(subset.log_norms(conditions).numpy() - expected).max()),
    }
    record.write("limit_mnist", result)
    print(json.dumps(result, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--fidelity", action="store_true", help="measure the fidelity instead")
    parser.add_argument("--limit", type=Path, metavar="RUN", help="the conditional limit of this run instead")
    options = parser.parse_args()
    if options.limit:
        conditional_limit(options.limit)
        return
    if options.fidelity:
        fidelity(options.data_root)
        return
    import contrastive_entropy as ce
    from contrastive_entropy.data.load import load_points

    start = time.monotonic()
    before = products_seconds(60_000, 784)
    figures, memory = run(["mnist", "--data-root", str(options.data_root)])
    after = products_seconds(60_000, 784)
    subset = load_points("mnist", data_root=options.data_root)[0][:SUBSET]
    expected = reference(subset.numpy(), figures["variance"])
    found = ce.streamed_log_norm(subset, variance=figures["variance"])
    products = (before + after) / 2
    result = described(
        "contrastive-entropy bound mnist --data-root DIR", "python benchmarks/whole_data.py --data-root DIR"
    ) | {
        "figures": figures,
        "wall_seconds": figures["seconds"],
        "products_seconds": products,
        "products_seconds_before_and_after": [before, after],
        "ratio_to_products": figures["seconds"] / products,
        "peak_memory_mib": memory,
        "data_mib": 60_000 * 784 * 4 / 2**20,
        "subset": SUBSET,
        "subset_log_norm": found,
        "subset_reference": expected,
        "subset_error": abs(found - expected),
        "whole_script_seconds": time.monotonic() - start,
    }
    record.write("bound_mnist", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
