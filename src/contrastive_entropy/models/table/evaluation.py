"""How good a trained model of a table is: its rows beside rows that were not trained on."""

from pathlib import Path

import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.mixed import MixedTable
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.diagnosis import Remedy
from contrastive_entropy.metrics.evaluation import Evaluation
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.quality.evaluation import evaluation_of, pair_arrays
from contrastive_entropy.quality.judge import judge
from contrastive_entropy.quality.rows import Rows

LEAST_SAMPLES, MOST_SAMPLES = 1000, 20_000
"""Rows that are drawn to be compared: as many as are held out, within these."""


def evaluate(run: Run, dataset: Dataset, *, seed: int = 1) -> Evaluation:
    """Draw rows and compare them with the held-out ones, and with those that were trained on.

    Args:
        run: of a table, finished.
        dataset: what `run.dataset()` returned.
        seed: of the rows, and of the trees that look at them.

    Returns:
        Evaluation with the tables `samples` and `columns`. The arrays are generated (n, d), pair_scores and
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
    learnt = [index for index, column in enumerate(schema.mixed) if column.learnt]
    samples, real_out, real = (Rows(part[:, learnt].numpy(), schema) for part in (points, held_out, train))
    judgement = judge(samples, real_out, real, trained=True, target=run.settings.target, seed=seed)
    name = Path(run.settings.data).name
    title = f"{run.plan.objective} on {name}, {len(points):,} rows beside {len(held_out):,} held out"
    longer = Remedy("train longer", "steps", 2 * run.plan.steps)
    shorter = Remedy("lower", "steps")
    remedies = {
        **dict.fromkeys(
            ("told apart", "pairs", "missed part", "lost value", "column"), (longer, Remedy("raise", "width"))
        ),
        **dict.fromkeys(
            ("copies", "near copies", "membership"), (shorter, Remedy("raise", "dropout"), Remedy("train on more data"))
        ),
    }
    return evaluation_of(
        judgement,
        title,
        settings={"seed": seed, "rows": len(points)},
        remedies=remedies,
        arrays={"generated": points, **pair_arrays(judgement, schema.names)},
    )
