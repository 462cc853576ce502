"""Does the fast nuclear norm train as well as the exact one? Five seeds: results/quality.json.

python benchmarks/quality.py     # about twenty minutes on two cores
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from objectives import run

ROOT = Path(__file__).resolve().parent.parent
STEPS = 1000
SETS = {
    "moons": ["--data", "moons", "--objective", "nuclear_norm"],
    "digits": ["--data", "digits", "--objective", "debiased_nuclear_norm"],
}
METHODS = {
    "exact (singular values, no smoothing)": ["--smoothing", "0"],
    "smoothed, to 1e-9": ["--tolerance", "1e-9"],
    "smoothed, to 1e-3 (fast)": ["--tolerance", "1e-3"],
}
SMOOTHING = {"moons": "0.01", "digits": "0.001"}
FIGURES = ("relative_tightness", "energy_distance", "precision", "recall", "coverage", "effective_rank")


def figure(one: dict, name: str) -> float:
    evaluation = one["evaluation"]
    return evaluation[name] if name in evaluation else evaluation["model"][name]


def table(result: dict) -> str:
    """The markdown table that docs/spectrum.md shows: mean and standard error over the seeds."""
    lines = ["| data | method | " + " | ".join(FIGURES).replace("_", " ") + " | seconds |", "|---" * 9 + "|"]
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
    parser.add_argument("--table", type=Path, help="print the table of a result instead of measuring")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return
    start = time.monotonic()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    sets: dict[str, dict[str, list]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for data, common in SETS.items():
            sets[data] = {method: [] for method in METHODS}
            for seed in range(options.seeds):
                for number, (method, extra) in enumerate(METHODS.items()):
                    smoothing = [] if "--smoothing" in extra else ["--smoothing", SMOOTHING[data]]
                    arguments = [*common, *extra, *smoothing, "--steps", str(STEPS), "--seed", str(seed)]
                    sets[data][method].append(run(arguments, Path(scratch) / f"{data}-{seed}-{number}"))
    result = {
        "command": "python " + " ".join(["benchmarks/quality.py", *sys.argv[1:]]),
        "seed": list(range(options.seeds)),
        "commit": commit.stdout.strip(),
        "device": f"{torch.get_num_threads()} threads of {platform.machine()} CPU",
        "torch": torch.__version__,
        "wall_seconds": round(time.monotonic() - start, 1),
        "sets": sets,
    }
    path = ROOT / "results" / "quality.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {path}\n\n{table(result)}")


if __name__ == "__main__":
    main()
