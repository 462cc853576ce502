"""Does the fast nuclear norm train as well as the exact one? Five seeds: results/quality.json.

python benchmarks/quality.py     # about twenty minutes on two cores
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import record

from objectives import run

STEPS = 1000
SETS = {
    "moons": "nuclear_norm",
    "digits": "debiased_nuclear_norm",
}
METHODS = {
    "exact (singular values, no smoothing)": "smoothing=0",
    "smoothed, to 1e-9": "tolerance=1e-9",
    "smoothed, to 1e-3 (fast)": "tolerance=1e-3",
}
SMOOTHING = {"moons": "0.01", "digits": "0.001"}
FIGURES = ("relative_tightness", "energy_distance", "precision", "recall", "coverage", "effective_rank")


def figure(one: dict, name: str) -> float:
    evaluation = one["evaluation"]
    return evaluation[name] if name in evaluation else evaluation["model"][name]


def table(result: dict) -> str:
    """The markdown table that docs/spectrum.md shows: mean and standard error over the seeds."""
    names = " | ".join(FIGURES).replace("relative_tightness", "fidelity / ceiling").replace("_", " ")
    lines = [f"| data | method | {names} | seconds |", "|---" * 9 + "|"]
    for data, methods in result["sets"].items():
        for method, runs in methods.items():
            cells = []
            for name in FIGURES:
                values = [figure(one, name) for one in runs]
                error = statistics.stdev(values) / len(values) ** 0.5
                digits = {"energy_distance": 5, "effective_rank": 1}.get(name, 3)
                cells.append(f"{statistics.mean(values):.{digits}f} +- {error:.{digits}f}")
            seconds = statistics.median(one["wall_seconds"] for one in runs)
            lines.append("| " + " | ".join([data, method, *cells, f"{seconds:.0f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    options = record.parsed(parser, table)
    start = time.monotonic()
    origin = record.origin(list(range(options.seeds)))
    sets: dict[str, dict[str, list]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for data, objective in SETS.items():
            sets[data] = {method: [] for method in METHODS}
            for seed in range(options.seeds):
                for number, (method, extra) in enumerate(METHODS.items()):
                    smoothing = "" if "smoothing" in extra else f":smoothing={SMOOTHING[data]}"
                    arguments = ["--data", data, "--objective", f"{objective}:{extra}{smoothing}"]
                    arguments += ["--steps", str(STEPS), "--seed", str(seed)]
                    sets[data][method].append(run(arguments, Path(scratch) / f"{data}-{seed}-{number}"))
    result = {
        **origin,
        "wall_seconds": round(time.monotonic() - start, 1),
        "sets": sets,
    }
    path = record.write("quality", result)
    print(f"wrote {path}\n\n{table(result)}")


if __name__ == "__main__":
    main()
