"""Training steps per second of this tree beside an earlier commit: results/steps_NAME.json.

python benchmarks/steps.py --against 0123abc --name pairwise

A step is network, objective, gradient and Adam, outside of Lightning. The two trees take
turns in processes of their own; each figure is the fastest of the turns, because a neighbour's load only slows.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import record
import torch

CASES = {
    # name: data points, generated points, variance, objective
    "moons, batch 256, normalized_inner_product": (256, 512, 0.004, "normalized_inner_product"),
    "moons, batch 256, debiased_normalized_inner_product": (256, 512, 0.004, "debiased_normalized_inner_product"),
    "moons, batch 256, log_likelihood": (256, 512, 0.004, "log_likelihood"),
    "moons, batch 256, debiased_nuclear_norm": (256, 512, 0.004, "debiased_nuclear_norm"),
    "moons, batch 4096, normalized_inner_product": (4096, 4096, 0.004, "normalized_inner_product"),
    "moons, batch 4096, log_likelihood": (4096, 4096, 0.004, "log_likelihood"),
    "digits, batch 256, normalized_inner_product": (256, 512, 0.93, "normalized_inner_product"),
    "digits, batch 256, log_likelihood": (256, 512, 0.93, "log_likelihood"),
    "digits, batch 256, debiased_nuclear_norm": (256, 512, 0.93, "debiased_nuclear_norm"),
    "digits, batch 4096, normalized_inner_product": (4096, 4096, 0.93, "normalized_inner_product"),
}


def measure(name: str, seconds: float) -> float:
    """Steps per second."""
    import contrastive_entropy as ce
    from contrastive_entropy.data.load import load
    from contrastive_entropy.networks.bodies import MLP

    batch, components, variance, objective = CASES[name]
    data = load(name.split(",")[0]).train.points
    torch.manual_seed(0)
    network = MLP(32, data.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def step() -> None:
        p = ce.GaussianMixture(data[torch.randint(0, len(data), (batch,))], variance)
        bound = getattr(ce, objective)(p, ce.GaussianMixture(network(torch.randn(components, 32)), variance))
        optimizer.zero_grad()
        (-bound.value).backward()
        optimizer.step()

    for _ in range(3):
        step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return count / (time.perf_counter() - start)


def table(result: dict) -> str:
    """The markdown table that the documentation shows."""
    lines = [f"| training step | {result['against'][:7]} | now | ratio |", "|---|---|---|---|"]
    for name, case in result["cases"].items():
        lines.append(f"| {name} | {case['before']:.1f} | {case['now']:.1f} | {case['ratio']:.1f}x |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", help="commit to compare with")
    parser.add_argument("--name", default="now", help="results/steps_NAME.json")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--one", help="measure one case of the importable package and print it")
    options = record.parsed(parser, table)
    if options.one:
        print(measure(options.one, options.seconds))
        return
    if not options.against:
        parser.error("--against is needed")
    start = time.monotonic()
    against = record.commit_of(options.against)
    cases = {}
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", against, "src"], cwd=record.ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
            tree.extractall(folder, filter="data")
        sources = {"before": Path(folder) / "src", "now": record.ROOT / "src"}
        for name in CASES:
            if options.only not in name:
                continue
            rates: dict[str, list[float]] = {"before": [], "now": []}
            for _ in range(options.turns):
                for which, source in sources.items():
                    command = [sys.executable, __file__, "--one", name, "--seconds", str(options.seconds)]
                    environment = {**os.environ, "PYTHONPATH": str(source)}
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                    rates[which].append(float(done.stdout))
            best = {which: max(values) for which, values in rates.items()}
            cases[name] = best | {"ratio": best["now"] / best["before"], "turns": rates}
            print(name, {key: round(value, 1) for key, value in best.items()}, flush=True)
    result = {
        **record.origin(0),
        "against": against,
        "wall_seconds": round(time.monotonic() - start, 1),
        "cases": cases,
    }
    path = record.write(f"steps_{options.name}", result)
    print(f"wrote {path}\n\n{table(result)}")


if __name__ == "__main__":
    main()
