"""A training step with the nuclear norm beside one with the normalised inner product: results/training.json.

python benchmarks/training.py --data-root DIR     # a minute and a half on two cores; DIR/mnist as the hub lays it out

A step is network (MLP 3 x 256), objective, gradient and Adam, outside of Lightning; 256 data points. The two take turns,
and the fastest turn of each counts, because a neighbour's load only slows.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import record
import torch
from torch import Tensor

import contrastive_entropy as ce
from contrastive_entropy.data.load import load, load_points
from contrastive_entropy.networks.bodies import MLP

OBJECTIVES = ("normalized_inner_product", "nuclear_norm", "debiased_normalized_inner_product", "debiased_nuclear_norm")


def stepper(data: Tensor, variance: float, objective: str, components: int, smoothing: float) -> Callable[[], None]:
    torch.manual_seed(0)
    network = MLP(32, data.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    options = {"smoothing": smoothing} if objective.endswith("nuclear_norm") else {}

    def step() -> None:
        p = ce.GaussianMixture(data[torch.randint(0, len(data), (256,))], variance)
        q = ce.GaussianMixture(network(torch.randn(components, 32)), variance)
        bound = getattr(ce, objective)(p, q, **options)
        optimizer.zero_grad()
        (-bound.value).backward()
        optimizer.step()

    for _ in range(150):  # the network finds the data
        step()
    return step


def measure(steps: dict[str, Callable[[], None]], seconds: float, turns: int = 4) -> dict[str, float]:
    """Milliseconds of a step."""
    fastest = dict.fromkeys(steps, float("inf"))
    for _ in range(turns):
        for name, step in steps.items():
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < seconds / turns:
                step()
                count += 1
            fastest[name] = min(fastest[name], 1e3 * (time.perf_counter() - start) / count)
    return fastest


def table(result: dict) -> str:
    """The markdown table that docs/spectrum.md shows."""
    lines = ["| data | generated points | " + " | ".join(OBJECTIVES).replace("_", " ") + " | ratios |"]
    lines += ["|---" * (len(OBJECTIVES) + 3) + "|"]
    for case in result["cases"]:
        times = case["milliseconds"]
        plain, debiased = (times[b] / times[a] for a, b in (OBJECTIVES[:2], OBJECTIVES[2:]))
        cells = [case["data"], str(case["components"]), *(f"{times[name]:.2f} ms" for name in OBJECTIVES)]
        lines.append("| " + " | ".join([*cells, f"{plain:.2f}, {debiased:.2f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each objective and case")
    options = record.parsed(parser, table)
    start = time.monotonic()
    moons = load("moons").train.points
    sets = [("moons, variance 0.5 (start)", moons, 0.5, 1e-2), ("moons, variance 0.004 (end)", moons, 0.004, 1e-2)]
    if options.data_root is not None:
        mnist = torch.as_tensor(load_points("mnist", data_root=options.data_root)[0][:8192])
        sets += [("MNIST, variance 15.5", mnist, 15.5, 1e-3)]
    cases = []
    for data, points, variance, smoothing in sets:
        for components in (256, 512):
            steps = {name: stepper(points, variance, name, components, smoothing) for name in OBJECTIVES}
            times = measure(steps, options.seconds)
            cases.append({"data": data, "components": components, "smoothing": smoothing, "milliseconds": times})
    result = {
        **record.origin(0),
        "wall_seconds": round(time.monotonic() - start, 1),
        "cases": cases,
    }
    record.write("training", result)
    print(table(result))


if __name__ == "__main__":
    main()
