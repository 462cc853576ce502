"""How good a trained model of a table is: its rows beside rows that were not trained on."""

import dataclasses
from pathlib import Path

import torch

from contrastive_entropy.data.columns import DATE
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.diagnosis import Remedy
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.quality import judge
from contrastive_entropy.quality.evaluation import evaluation, pair_arrays

LEAST_SAMPLES, MOST_SAMPLES = 1000, 20_000
"""Rows that are drawn to be compared: as many as are held out, within these."""

FEW_LEVELS = 30
"""Levels of a category that is predicted where no target is named."""


def evaluate(run: Run, dataset: Dataset, *, seed: int = 1, features: bool = True) -> Evaluation:
    """Draw rows and compare them with the held-out ones, and with those that were trained on.

    Args:
        run: of a table, finished.
        dataset: what `run.dataset()` returned.
        seed: of the rows, and of the trees that look at them.
        features: are for images; nothing is compared in any, either way.

    Returns:
        Evaluation with the tables `rows` and `columns`. The arrays are generated (n, d), pair_scores and
        pair_scores_real (d, d).

    Raises:
        InputError: training has not finished, or too few rows to compare.
    """
    schema = dataset.schema
    assert isinstance(schema, MixedTable)
    train, held_out = dataset.train.points, dataset.held_out.points
    require_enough(dataset.name, len(train), len(held_out))
    count = min(max(len(held_out), LEAST_SAMPLES), MOST_SAMPLES)
    points = run.generate(count, generator=torch.Generator().manual_seed(seed))
    target = run.settings.target or target_of(schema)
    samples, unseen, seen = (schema.plain(part) for part in (points, held_out, train))
    found = judge(samples, unseen, training=seen, kinds=schema.kinds_learnt, target=target, seed=seed)
    name = Path(run.settings.data).name
    title = f"{run.plan.objective} on {name}, {len(points):,} rows beside {len(held_out):,} held out"
    settings = {"seed": seed, "rows": len(points), "target": target}
    return dataclasses.replace(
        evaluation(found, title, settings, remedies=_remedies(run.plan.steps)),
        arrays={"generated": points, **pair_arrays(found, schema.names)},
    )


def target_of(schema: MixedTable) -> str:
    """The last column that is no date; of categories, one of few levels."""
    learnt = [column for column in schema.mixed if column.learnt]
    fitting = [one for one in learnt if one.kind != DATE and len(one.levels) <= FEW_LEVELS]
    return (fitting or learnt)[-1].name


def _remedies(steps: int) -> dict[str, tuple[Remedy, ...]]:
    """What may help, by the name of a diagnosis."""
    better = (Remedy("train longer", "steps", 2 * steps), Remedy("raise", "width"))
    apart = (Remedy("lower", "steps"), Remedy("raise", "dropout"), Remedy("train on more data"))
    return {
        **dict.fromkeys(("told apart", "column", "pairs", "missed part", "lost value", "lost level"), better),
        **dict.fromkeys(("copies", "near copies", "membership"), apart),
    }
