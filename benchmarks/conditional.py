"""Does a mixture decoder answer with one center C times? Objectives side by side: results/conditional_digits.json.

python benchmarks/conditional.py     # digits; about ten minutes on two cores

Ten centers, one feature, at several variances. `effective centers` is 1 if all centers of a condition are equal, 10 if
they are apart at the density's variance; the rest is what `fit autoencoder` evaluates on held-out digits.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import record

from contrastive_entropy.data.load import load
from contrastive_entropy.experiments.journal import mean_and_error
from contrastive_entropy.fitting.trainer import fit
from contrastive_entropy.models.autoencoder import AUTOENCODER, AutoencoderSettings
from contrastive_entropy.objectives.catalog import CONDITIONAL_OBJECTIVES, names

VARIANCES = (0.23, 0.93, 3.0)
FIGURES = ("effective_centers", "tightness", "best_error", "mean_error")


def measure(objective: str, variance: float, codes: str, seed: int, steps: int) -> dict[str, float]:
    settings = AutoencoderSettings(
        data="digits",
        objective=objective,
        features=1,
        centers=10,
        codes=codes,
        steps=steps,
        variance_end=variance,
        seed=seed,
    )
    dataset = load("digits")
    with tempfile.TemporaryDirectory() as folder:
        evaluation = fit(AUTOENCODER, settings, Path(folder) / "run", dataset).evaluate()
    held_out = evaluation.table("bounds")["held_out"]
    return {name: held_out[name] for name in FIGURES} | {
        name: evaluation.model[name] for name in ("diversity", "clarity")
    }


def table(result: dict) -> str:
    """The markdown table that docs/conditional.md shows."""
    names = [*FIGURES, "diversity", "clarity"]
    lines = [
        f"| objective | codes | variance | {' | '.join(names).replace('_', ' ')} |",
        "|---" * (len(names) + 3) + "|",
    ]
    for case in result["cases"]:
        if case["codes"] == "one_hot":  # recorded, but gone
            continue
        cells = []
        for name in names:
            values = [run[name] for run in case["runs"]]
            cells.append("{:.2f} +- {:.2f}".format(*mean_and_error(values)))
        row = [case["objective"], case["codes"], str(case["variance"]), *cells]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    options = record.parsed(parser, table)
    start, cases = time.monotonic(), []
    for codes in ("heads",):
        for variance in VARIANCES:
            for objective in names(CONDITIONAL_OBJECTIVES):
                runs = [measure(objective, variance, codes, seed, options.steps) for seed in range(options.seeds)]
                cases.append({"objective": objective, "codes": codes, "variance": variance, "runs": runs})
                print(
                    f"{time.monotonic() - start:.0f} s", table({"cases": cases[-1:]}).splitlines()[-1], file=sys.stderr
                )
    result = {
        **record.origin(list(range(options.seeds))),
        "wall_seconds": round(time.monotonic() - start, 1),
        "cases": cases,
    }
    record.write("conditional_digits", result)
    print(table(result))


if __name__ == "__main__":
    main()
