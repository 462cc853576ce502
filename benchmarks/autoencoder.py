"""Where a training step of an autoencoder goes: results/autoencoder.json.

python benchmarks/autoencoder.py --data-root DIR     # four minutes on two cores; DIR/mnist as the hub lays it out

The network, objective and optimiser of `fit autoencoder --data mnist`, step by step outside of Lightning, on 256 images a
step; the fastest of the repetitions of every part counts, because a neighbour's load only slows. Then the whole of
`fit autoencoder --features 1 --centers 30`, with a row of bounds.csv every 100 steps as in 2,000, and without.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import record
import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.contract import Answer
from contrastive_entropy.fitting.loop import Fit
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.trainer import fit
from contrastive_entropy.models.autoencoder import AUTOENCODER, AutoencoderSettings

PUBLISHED = ("learned", "heads")  # recorded results also hold kinds of codes that are gone
PARTS = ("encoder", "decoder", "objective", "objective's gradient", "network's gradient", "optimiser")


def measure(settings: AutoencoderSettings, dataset: Dataset, repeats: int) -> dict[str, float]:
    """Milliseconds of every part."""
    plan, data = AUTOENCODER.plan(settings, dataset), dataset.train.points
    network = AUTOENCODER.network(plan, dataset.schema)
    AUTOENCODER.place(network, dataset)
    loop = Fit(plan, AUTOENCODER.step(plan, network, dataset))
    now = loop.begin(0)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)
    fastest = dict.fromkeys(PARTS, float("inf"))
    for _ in range(repeats):
        clock = [time.perf_counter()]
        x = data[torch.randint(len(data), (settings.batch_size,), generator=generator)]
        features = network.encode(x)
        conditions = network.add_noise(features, generator=generator)
        clock.append(time.perf_counter())
        q = network.mixture(conditions)
        clock.append(time.perf_counter())
        parts = {"points": x, "centers": q.centers, "features": features.detach(), "conditions": conditions.detach()}
        bound = loop.part.judge(Answer(parts), now).bound
        clock.append(time.perf_counter())
        (gradient,) = torch.autograd.grad(bound.value, q.centers, retain_graph=True)
        clock.append(time.perf_counter())
        optimizer.zero_grad()
        q.centers.backward(-gradient)
        clock.append(time.perf_counter())
        optimizer.step()
        clock.append(time.perf_counter())
        for part, (start, end) in zip(PARTS, itertools.pairwise(clock), strict=True):
            fastest[part] = min(fastest[part], 1e3 * (end - start))
    return fastest


def whole(codes: str, steps: int, track_every: int, dataset: Dataset) -> float:
    """Steps per second of the command's training, checkpoints and logs included."""
    settings = AutoencoderSettings("mnist", features=1, centers=30, codes=codes, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        fit(AUTOENCODER, settings, Path(folder) / "run", dataset, machine=Machine(track_every=track_every))
        return steps / (time.monotonic() - start)


def table(result: dict) -> str:
    """The markdown table that docs/performance.md shows."""
    lines = [f"| codes | centers | {' | '.join(PARTS)} | step | steps/s | objective's share |", "|---" * 11 + "|"]
    for case in result["cases"]:
        if case["codes"] not in PUBLISHED:
            continue
        times = case["milliseconds"]
        step = sum(times.values())
        share = (times["objective"] + times["objective's gradient"]) / step
        cells = [case["codes"], str(case["centers"]), *(f"{times[part]:.1f} ms" for part in PARTS)]
        lines.append("| " + " | ".join([*cells, f"{step:.1f} ms", f"{1e3 / step:.0f}", f"{share:.0%}"]) + " |")
    for codes, rates in result["whole"].items():
        if codes not in PUBLISHED:
            continue
        for name, rate in zip(("as the command trains", "and bounds.csv every 100 steps"), rates, strict=True):
            cells = [f"{codes}, {name}", "30", *("" for _ in PARTS), f"{1e3 / rate:.1f} ms", f"{rate:.1f}", ""]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, help="folder with a copy of MNIST; the hub or its cache otherwise")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--steps", type=int, default=400, help="of the whole command")
    options = record.parsed(parser, table)
    start = time.monotonic()
    dataset = load("mnist", data_root=options.data_root, points=8192)
    cases = []
    for codes in ("learned", "heads"):
        for centers in (1, 10, 30):
            settings = AutoencoderSettings("mnist", features=1, centers=centers, codes=codes)
            times = measure(settings, dataset, options.repeats)
            cases.append({"codes": codes, "centers": centers, "milliseconds": times})
    result = {
        **record.origin(0),
        "cases": cases,
        "whole_steps": options.steps,
        "whole": {
            codes: [whole(codes, options.steps, every, dataset) for every in (options.steps, 100)]
            for codes in ("heads", "learned")
        },
        "wall_seconds": round(time.monotonic() - start, 1),
    }
    record.write("autoencoder", result)
    print(table(result))


if __name__ == "__main__":
    main()
