"""What the estimators share: parameters to settings, and a fit in a folder that is gone afterwards."""

import csv
import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.schema import Table
from contrastive_entropy.errors import InputError, suggestion
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.run import METRICS
from contrastive_entropy.fitting.settings import SEEDS
from contrastive_entropy.fitting.trainer import fit

KEPT_OUT = 0.2
"""Share of the rows that calibrate intervals."""

OF_THE_DATA = {"data", "target", "given", "data_root", "points", "held_out", "seed", "space"}
"""Settings that say which rows are seen: an estimator is given them."""


def seed_of(state: int | np.random.RandomState | None) -> int:
    """The seed of a fit: the number itself, or one that is drawn."""
    if isinstance(state, int | np.integer):
        return int(state)
    return int(check_random_state(state).randint(SEEDS // 2))


def asked(kind: Kind, parameters: Mapping[str, Any], further: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a kind's settings that an estimator's parameters name, and further ones.

    Raises:
        InputError: a further one is a parameter of its own, or no setting.
    """
    known = {field.name for field in dataclasses.fields(kind.settings)} - OF_THE_DATA
    own = {name: value for name, value in parameters.items() if name in known}
    for name in further or {}:
        if name in own or name not in known:
            reason = "is a parameter of its own" if name in own else f"is no setting{suggestion(name, known)}"
            raise InputError(f"settings: {name} {reason}")
    # numbers of a grid that numpy made
    together = own | dict(further or {})
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in together.items()}


def fitted(
    kind: Kind, settings: Any, dataset: Dataset, *, accelerator: str, verbose: bool
) -> tuple[Any, dict[str, np.ndarray]]:
    """The trained network, and the columns of its metrics by name.

    Raises:
        KeyboardInterrupt: Ctrl-C, at the end of the step.
    """
    with tempfile.TemporaryDirectory(prefix="contrastive-entropy-") as folder:
        machine = Machine(accelerator=accelerator)
        run = fit(kind, settings, Path(folder) / "run", dataset, machine=machine, progress=verbose)
        if not run.finished:
            raise KeyboardInterrupt
        network = run.network()
        with (run.folder / METRICS).open(newline="") as file:
            rows = list(csv.DictReader(file))
    return network, {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def parted_off(dataset: Dataset) -> tuple[Dataset, Part]:
    """The data without some rows that calibrate, and these; rows without weight are not among them."""
    train = dataset.train
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    if train.weights is not None:
        rows = rows[train.weights[rows].sign().argsort(descending=True, stable=True)]
    out = max(round(KEPT_OUT * len(train)), 1)
    return dataclasses.replace(dataset, train=train.rows(rows[out:])), train.rows(rows[:out])


def bare(schema: Table) -> Table:
    """The same columns, whose numbers are already standardized."""
    return Table.of(schema.dimension, schema.names)
