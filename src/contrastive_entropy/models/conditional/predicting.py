"""Rows of x in, a table of predicted laws out."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrastive_entropy.data.points import read_points
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run

if TYPE_CHECKING:
    import pandas as pd

ROWS = 4096
"""That are predicted at once."""


def rows_of(run: Run, path: Path) -> Tensor:
    """The columns of x in a file, in the order of the run's.

    Args:
        run: of a conditional density.
        path: as `data.load.read_points` takes it; columns are found by name where both have names, and may be more.

    Returns:
        (n, k) float32, encoded as the run's.

    Raises:
        InputError: the file lacks a column or cannot be read.
    """
    if not path.exists():
        raise InputError(f"no such file: {path}")
    given = run.given_schema
    assert given is not None
    points, schema = read_points(path, double=given.shifted, header=run.settings.header)
    wanted = run.plan.model.given
    names = schema.names if isinstance(schema, Table) else None
    if names is not None and set(wanted) <= set(names):
        return given.encode(points[:, [names.index(name) for name in wanted]])
    if names is not None and not all(name.isdecimal() for name in wanted):
        missing = [name for name in wanted if name not in names]
        raise InputError(f"{path} lacks columns that the run predicts from: {', '.join(missing[:10])}")
    if points.shape[1] != len(wanted):
        raise InputError(f"{path} has {points.shape[1]} columns and the run predicts from {len(wanted)}")
    return given.encode(points)


@torch.no_grad()
def predictions_of(run: Run, given: Tensor, levels: Tensor) -> "pd.DataFrame":
    """Mean, deviation and quantiles of every target, a row for each of x.

    Args:
        run: finished.
        given: (n, k).
        levels: (l,) of the quantiles.

    Returns:
        Columns NAME_mean, NAME_deviation, NAME_q0.05 and so on, in the units of the targets.

    Raises:
        InputError: training has not finished.
    """
    import pandas as pd

    network, schema = run.network(), run.schema
    assert isinstance(schema, Table)
    names = schema.names or [f"y{index}" for index in range(schema.dimension)]
    parts = []
    for rows in given.split(ROWS):
        laws = network(rows)
        found: dict[str, Tensor] = {}
        for index, name in enumerate(names):
            law = laws.marginal([index])
            offset = schema.columns[index].mean if schema.shifted else None
            found[f"{name}_mean"] = _moved(law.mean[:, 0], offset)
            found[f"{name}_deviation"] = law.covariance[:, 0, 0].sqrt()
            for level, values in zip(levels.tolist(), law.quantile(levels).T, strict=True):
                found[f"{name}_q{level:g}"] = _moved(values, offset)
        parts.append(pd.DataFrame({name: values.numpy() for name, values in found.items()}))
    return pd.concat(parts, ignore_index=True)


def _moved(values: Tensor, offset: float | None) -> Tensor:
    """By an offset, in float64; as they are without one."""
    return values if offset is None else values.double() + offset
