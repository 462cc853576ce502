"""How well are empty cells filled? Beside scikit-learn's IterativeImputer, means and modes: results/imputation.json.

python benchmarks/imputation.py --data adult.csv,diamonds.csv     # about ten minutes on one core
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import record
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # makes the next import work
from sklearn.impute import IterativeImputer

import contrastive_entropy as ce
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.experiments.journal import markdown, over_seeds
from contrastive_entropy.models.table.imputing import best_guess, imputations

SHARE = 0.1
"""Of the cells that are emptied, at random."""

CENTRAL = 0.9
"""Of the draws of a cell that its interval holds."""

ROWS, TRAINING_ROWS, DRAWS = 4000, 8000, 40
"""Held-out rows with gaps, rows that the IterativeImputer is fitted on, and draws of a cell."""

FEW_ROWS, FEW_STEPS, FEW_DRAWS = 400, 60, 10
"""The same, and steps of the fit, with --quick."""

OURS, ITERATIVE, MEAN = "ours (`fit table`)", "IterativeImputer (scikit-learn)", "mean and mode"
FIGURES = {"rmse": 3, "accuracy": 3, "coverage": 3, "target": 3, "fit_seconds": 0, "fill_seconds": 1}


def table(result: dict) -> str:
    """The markdown table that docs/tables.md shows: over the seeds, mean and standard error."""
    headers = ["table", "method", *(name.replace("_", " ") for name in FIGURES)]
    rows = []
    for row in result["rows"]:
        cells = [
            over_seeds([run[name] for run in row["runs"]], digits=digits) if name in row["runs"][0] else ""
            for name, digits in FIGURES.items()
        ]
        rows.append([row["table"], row["method"], *cells])
    return markdown(headers, rows)


def emptied(points: np.ndarray, learnt: list[int], seed: int) -> np.ndarray:
    """(n, d) booleans: the cells that are emptied, of those that are known and learnt."""
    chosen = np.random.default_rng(seed).random(points.shape) < SHARE
    chosen[:, [place for place in range(points.shape[1]) if place not in learnt]] = False
    return chosen & ~np.isnan(points)


def one_hot(points: np.ndarray, schema: MixedTable) -> np.ndarray:
    """(n, e): numbers as they are, a column for each level of a category; NaN where a cell is empty."""
    parts = []
    for place in schema.learnt:
        values = points[:, place : place + 1]
        if not schema.mixed[place].numeric:
            levels = np.arange(len(schema.mixed[place].levels))
            values = np.where(np.isnan(values), np.nan, (values == levels).astype(float))
        parts.append(values)
    return np.concatenate(parts, 1)


def from_one_hot(values: np.ndarray, points: np.ndarray, schema: MixedTable) -> np.ndarray:
    """(n, d): the largest of a category's columns is its level."""
    found, start = points.copy(), 0
    for place in schema.learnt:
        column = schema.mixed[place]
        width = 1 if column.numeric else len(column.levels)
        part = values[:, start : start + width]
        found[:, place] = part[:, 0] if column.numeric else part.argmax(1)
        start += width
    return found


def iterative(train: np.ndarray, gaps: np.ndarray, schema: MixedTable, seed: int) -> tuple[np.ndarray, float, float]:
    """The filled rows (n, d), and the seconds of the fit and of the filling."""
    start = time.monotonic()
    imputer = IterativeImputer(random_state=seed, max_iter=5, n_nearest_features=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(one_hot(train, schema))
    fitted = time.monotonic()
    filled = imputer.transform(one_hot(gaps, schema))
    return from_one_hot(filled, gaps, schema), fitted - start, time.monotonic() - fitted


def typical(train: np.ndarray, gaps: np.ndarray, schema: MixedTable) -> np.ndarray:
    """(n, d): the mean of a number, the most frequent level of a category."""
    found = gaps.copy()
    for place in schema.learnt:
        known = train[~np.isnan(train[:, place]), place]
        usual = known.mean() if schema.mixed[place].numeric else np.bincount(known.astype(int)).argmax()
        found[np.isnan(gaps[:, place]), place] = usual
    return found


def figures(filled: np.ndarray, truth: np.ndarray, cells: np.ndarray, train: np.ndarray, schema: MixedTable) -> dict:
    """Column by column: the root mean squared error in deviations of training rows, or the share of right levels."""
    found = {}
    for place in schema.learnt:
        own, real = filled[cells[:, place], place], truth[cells[:, place], place]
        if not len(real):
            continue
        name = schema.names[place]
        if schema.mixed[place].numeric:
            found[name] = float(np.sqrt(np.mean((own - real) ** 2)) / np.nanstd(train[:, place]))
        else:
            found[name] = float(np.mean(own == real))
    return found


def coverage(draws: list[np.ndarray], truth: np.ndarray, cells: np.ndarray, schema: MixedTable) -> dict[str, float]:
    """Number by number: the share of the emptied cells whose value lies in the central interval of its draws."""
    found = {}
    for place in schema.learnt:
        chosen = cells[:, place]
        if schema.mixed[place].numeric and chosen.any():
            drawn = np.stack([one[chosen, place] for one in draws])
            low, high = np.quantile(drawn, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2], axis=0)
            found[schema.names[place]] = float(np.mean((low <= truth[chosen, place]) & (truth[chosen, place] <= high)))
    return found


def summary(columns: dict[str, float], schema: MixedTable, target: str | None) -> dict:
    """The means over numbers and over categories, the target's figure, and those of all columns."""
    kinds = dict(zip(schema.names, schema.mixed, strict=True))
    numbers = [value for name, value in columns.items() if kinds[name].numeric]
    categories = [value for name, value in columns.items() if not kinds[name].numeric]
    found = {name: float(np.mean(values)) for name, values in (("rmse", numbers), ("accuracy", categories)) if values}
    return found | ({} if target is None else {"target": columns[target]}) | {"columns": columns}


def measure(data: str, target: str | None, seed: int, *, quick: bool, say: Callable[[str], None]) -> dict[str, dict]:
    """The figures of every method for one table and one seed of the split, the fit and the gaps."""
    settings = ce.TableSettings(data=data, target=target, seed=seed, steps=FEW_STEPS if quick else None)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        run = ce.fit(settings, Path(folder) / "run")
        fit_seconds = time.monotonic() - start
        network, dataset = run.network(), run.dataset()
    say(f"{data}, seed {seed}: fitted in {fit_seconds:.0f} s")
    schema, rows = dataset.schema, FEW_ROWS if quick else ROWS
    train, truth = dataset.train.points.numpy(), dataset.held_out.points[:rows].numpy()
    cells = emptied(truth, schema.learnt, seed)
    gaps = np.where(cells, np.nan, truth)
    frame = schema.frame(torch.from_numpy(gaps))
    start = time.monotonic()
    best = schema.numbers(best_guess(network, frame)).numpy()
    seconds = time.monotonic() - start
    count = FEW_DRAWS if quick else DRAWS
    draws = [schema.numbers(one).numpy() for one in imputations(network, frame, count, seed=seed)]
    covered = coverage(draws, truth, cells, schema)
    say(f"{data}, seed {seed}: {count} draws")
    some = train[: FEW_ROWS if quick else TRAINING_ROWS]
    theirs, *both = iterative(some, gaps, schema, seed)
    plain = typical(train, gaps, schema)
    found = {
        name: summary(figures(filled, truth, cells, train, schema), schema, target)
        for name, filled in ((OURS, best), (ITERATIVE, theirs), (MEAN, plain))
    }
    found[OURS] |= {"fit_seconds": fit_seconds, "fill_seconds": seconds, "covered": covered}
    if covered:
        found[OURS]["coverage"] = float(np.mean(list(covered.values())))
    found[ITERATIVE] |= dict(zip(("fit_seconds", "fill_seconds"), both, strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="paths to tables, with commas between")
    parser.add_argument("--targets", help="a column of each table whose figure is also shown by itself, with commas")
    parser.add_argument("--seeds", default="0", help="of splits, fits and gaps, with commas between")
    parser.add_argument("--quick", action="store_true", help="short fits, few rows: to see that it runs")
    options = record.parsed(parser, table)
    if not options.data:
        parser.error("--data names the tables, such as adult.csv,diamonds.csv")
    paths, seeds = options.data.split(","), [int(seed) for seed in options.seeds.split(",")]
    targets = options.targets.split(",") if options.targets else [None] * len(paths)
    if len(targets) != len(paths):
        parser.error(f"--targets must name one column for each of {len(paths)} tables, got {options.targets}")
    start, rows = time.monotonic(), []
    for path, target in zip(paths, targets, strict=True):
        found = [measure(path, target, seed, quick=options.quick, say=say) for seed in seeds]
        name = Path(path).name.split(".")[0]
        rows += [{"table": name, "method": method, "runs": [one[method] for one in found]} for method in found[0]]
    result = {
        **record.origin(seeds),
        "wall_seconds": round(time.monotonic() - start, 1),
        "rows": rows,
    }
    print(table(result))
    if not options.quick:
        print(f"wrote {record.write('imputation', result)}")


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
