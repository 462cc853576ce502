"""Fit one data set with every objective and record the evaluations: results/objectives_DATA.json.

python benchmarks/objectives.py --data moons --steps 3000
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import record

VARIANTS = {
    "log_likelihood": ["--objective", "log_likelihood"],
    "normalized_inner_product": ["--objective", "normalized_inner_product"],
    "debiased_normalized_inner_product": ["--objective", "debiased_normalized_inner_product"],
    "projection": ["--objective", "projection"],
    "schur_trace": ["--objective", "schur_trace"],
    "nuclear_norm (exact)": ["--objective", "nuclear_norm"],
    "nuclear_norm (smoothed, 1e-2)": ["--objective", "nuclear_norm:smoothing=0.01"],
    "debiased_nuclear_norm": ["--objective", "debiased_nuclear_norm"],
}


def run(arguments: list[str], folder: Path) -> dict[str, object]:
    command = ["fit", "generator", *arguments]
    start = time.monotonic()
    program = [
        sys.executable,
        "-c",
        "from contrastive_entropy.cli.app import app; app()",
        *command,
        "--out",
        str(folder),
    ]
    subprocess.run(program, check=True)
    return {
        "command": " ".join(["contrastive-entropy", *command]),
        "wall_seconds": round(time.monotonic() - start, 1),
        "variance": json.loads((folder / "config.json").read_text())["plan"]["variance"]["end"],
        "evaluation": _figures(json.loads((folder / "evaluation.json").read_text())),
    }


def _figures(evaluation: dict) -> dict[str, object]:
    """The figures of a run, as results hold them."""
    columns = evaluation["tables"]["samples"]
    return {**columns, "relative_tightness": columns["model"]["fidelity_over_ceiling"]}


def table(result: dict) -> str:
    """The markdown table that docs/objectives.md shows."""
    figures = ["fidelity", "tightness", "energy_distance", "precision", "recall", "density", "coverage"]
    figures += ["effective_rank", "far_share"]
    digits = {"energy_distance": 5, "effective_rank": 0}

    def row(name: str, values: dict, ratio: float, seconds: str) -> str:
        if "debiased_tightness" in values:  # recorded before the debiased figure took the name
            values = {**values, "fidelity": values["tightness"], "tightness": values["debiased_tightness"]}
        cells = [f"{values[figure]:.{digits.get(figure, 3)}f}" for figure in figures]
        return "| " + " | ".join([name, f"{ratio:.3f}", *cells, seconds]) + " |"

    lines = ["| objective | fidelity / ceiling | " + " | ".join(figures).replace("_", " ") + " | seconds |"]
    lines += ["|---" * (len(figures) + 3) + "|"]
    for name, one in result["runs"].items():
        evaluation = one["evaluation"]
        lines.append(row(name, evaluation["model"], evaluation["relative_tightness"], f"{one['wall_seconds']:.0f}"))
    lines.append(row("real training points", evaluation["reference"], 1.0, ""))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="moons")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = record.parsed(parser, table)
    common = ["--data", options.data, "--steps", str(options.steps), "--seed", str(options.seed)]
    with tempfile.TemporaryDirectory() as scratch:
        runs = {
            name: run([*common, *extra], Path(scratch) / str(i)) for i, (name, extra) in enumerate(VARIANTS.items())
        }
    result = {
        **record.origin(options.seed),
        "command": f"python benchmarks/objectives.py --data {options.data} --steps {options.steps} --seed {options.seed}",
        "runs": runs,
    }
    path = record.write(f"objectives_{options.data}", result)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
