"""The two debiased objectives beside each other, before any network: results/affinity.json.

python benchmarks/affinity.py [--data-root DIR]     # about five minutes on two cores; DIR/mnist adds MNIST

- What a value with its gradient costs, in processor seconds, both taking turns.
- How clear a step's gradient is: the mean change of the objective when the model's law shrinks by 5% or moves by 5% of a
  deviation, over the change's deviation between batches. Both draw
  from the same points, the model's are then changed.
- How far the log of a batch's affinity is from the log of its expectation.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import record
import torch
from torch import Tensor

import contrastive_entropy as ce
from contrastive_entropy.data.load import load
from contrastive_entropy.objectives.bound import Bound
from contrastive_entropy.objectives.catalog import DENSITY_OBJECTIVES, parse
from contrastive_entropy.variance import neighbor_variance

OBJECTIVES = (
    "debiased_nuclear_norm",
    "debiased_affinity",
    "debiased_affinity:jitter=0.01",
    "debiased_affinity:jitter=1e-4",
)
HALVES = (256, 512)
"""Points in each half."""
BATCHES = 100
CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "shrink": lambda z, t: (1 - t) * (z - z.mean(0)) + z.mean(0),
    "shift": lambda z, t: z + t * z.std(0).mean() / z.shape[1] ** 0.5,
}


def bound(objective: str, x: Tensor, z: Tensor, variance: float) -> Bound:
    p, q = (ce.GaussianMixture(points, variance) for points in (x, z))
    return parse(objective, DENSITY_OBJECTIVES).bound(p, q, start=variance)


def drawn(data: Tensor, count: int) -> Tensor:
    return data[torch.randint(0, len(data), (count,))]


def seconds(data: Tensor, variance: float, half: int, turns: int = 15) -> dict[str, float]:
    """Least processor seconds of a value with its gradient."""
    found = {name: float("inf") for name in OBJECTIVES}
    for _ in range(turns):
        x, z = drawn(data, 2 * half), drawn(data, 2 * half)
        z = (z + 0.3 * variance**0.5 * torch.randn_like(z)).requires_grad_()
        for name in OBJECTIVES:
            start = time.process_time()
            bound(name, x, z, variance).backward()
            found[name] = min(found[name], time.process_time() - start)
    return found


def signal(objective: str, change: str, data: Tensor, variance: float, half: int) -> float:
    """Mean over deviation of the derivative along a change, at 5% of it."""
    torch.manual_seed(0)
    found = []
    for _ in range(BATCHES):
        x, z = drawn(data, 2 * half), drawn(data, 2 * half)
        t = torch.full((), 0.05, requires_grad=True)
        bound(objective, x, CHANGES[change](z, t), variance).value.backward()
        found.append(float(t.grad))
    values = torch.tensor(found)
    return float(-values.mean() / values.std())


def bias(data: Tensor, variance: float, half: int) -> dict[str, float]:
    """Log of the mean affinity of the data's halves less the mean of its log, in nats; its relative deviation."""
    torch.manual_seed(0)
    batches = (drawn(data, 2 * half) for _ in range(BATCHES))
    logs = torch.stack([bound("debiased_affinity", x, x, variance).limit for x in batches])
    return {
        "log_of_mean_less_mean_of_log": float(logs.exp().mean().log() - logs.mean()),
        "relative_deviation": float(logs.exp().std() / logs.exp().mean()),
    }


def table(result: dict) -> str:
    """The markdown table that docs/questions/optimum.md shows."""
    lines = [
        "| data | objective | shrink | shift | time at 256 | time at 512 |",
        "|---|---|---|---|---|---|",
    ]
    for data, one in result["sets"].items():
        for name in OBJECTIVES:
            ratios = [
                one["seconds"][str(half)][name] / one["seconds"][str(half)]["debiased_nuclear_norm"] for half in HALVES
            ]
            signals = [f"{one['signal'][name][change]:.2f}" for change in CHANGES]
            lines.append("| " + " | ".join([data, name, *signals, *(f"{ratio:.2f}x" for ratio in ratios)]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    options = record.parsed(parser, table)
    start = time.monotonic()
    sets = {"moons": load("moons"), "digits": load("digits")}
    if options.data_root:
        sets["mnist"] = load("mnist", data_root=options.data_root)
    found = {}
    for name, dataset in sets.items():
        data = dataset.train.points
        variance = neighbor_variance(data, points=256)
        found[name] = {
            "variance": variance,
            "seconds": {str(half): seconds(data, variance, half) for half in HALVES},
            "signal": {
                objective: {change: signal(objective, change, data, variance, 256) for change in CHANGES}
                for objective in OBJECTIVES
            },
            "bias": bias(data, variance, 256),
        }
        print(name, found[name], flush=True)
    result = {**record.origin(0), "wall_seconds": round(time.monotonic() - start, 1), "sets": found}
    path = record.write("affinity", result)
    print(f"wrote {path}\n\n{table(result)}")


if __name__ == "__main__":
    main()
