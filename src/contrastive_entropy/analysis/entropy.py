"""Entropies and divergences of whole data sets, exact over all pairs, with progress and a place to continue from."""

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrastive_entropy.data.load import load_pair
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading
from contrastive_entropy.data.scales import NOWHERE_NEAR, Points, coarseness, default_variance
from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.streaming import (
    Progress,
    effective_points,
    squared_mmd,
    streamed_log_inner,
    streamed_log_norm,
    streamed_singular_values,
)
from contrastive_entropy.numerics.nuclear import effective_rank
from contrastive_entropy.progress import progress_line
from contrastive_entropy.storage import write_json
from contrastive_entropy.version import VERSION

logger = logging.getLogger("contrastive_entropy")

MEANINGS = {
    "points": "n",
    "dimension": "d",
    "variance": "v, of each point's Gaussian",
    "log_norm": "log <p,p>, nats",
    "renyi_entropy": "minus that, Renyi's quadratic entropy",
    "effective_points": "that stand alone at this v, 1 to n",
    "against_points": "m of the second set",
    "against_log_norm": "log <q,q>",
    "against_effective_points": "1 to m",
    "log_inner": "log <p,q>",
    "cauchy_schwarz_divergence": "log <p,p> + log <q,q> - 2 log <p,q>; 0 = equal",
    "mmd": "kernel exp(-|x-y|^2 / 4v); 0 = equal",
    "fidelity": "F, of the nuclear norm; 1 = equal",
    "bures_distance": "sqrt(2 - 2 F)",
    "cross_effective_rank": "directions that the two sets share",
    "seconds": "for the sums, and F",
}
"""What the figures are, for people, in this order."""

MOST_COLUMNS = 8192
"""Points of the second set whose Gram matrix, squared, is held for the fidelity: 512 MiB."""

SAVE_EVERY = 10.0
"""Seconds between savings of the partial sums."""


def measure(
    data: str,
    against: str | None = None,
    *,
    variance: float | None = None,
    fidelity: bool = False,
    batch_size: int = 4096,
    data_root: Path | None = None,
    header: bool | None = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: bool = False,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Log <p,p> of a data set; with a second one, its norm, their inner product, D_CS and MMD, and the fidelity if wanted.

    Args:
        data, against, data_root, header, standardize, seed: as in `data.load_pair`.
        reading: how folders of images are read, as `images` of `data.load_pair`.
        variance: of the densities, in data units squared; None is what `fit` would anneal down to.
        fidelity: also F of the two sets, the second of which is held in memory, `MOST_COLUMNS` points at most.
        batch_size: points read at once from either side.
        out: JSON file; while the sums run, their state is in a file beside it, from which the same call continues.

    Returns:
        What is written to the file.

    Raises:
        InputError: data, variance or file that cannot be used.
    """
    _check(variance, batch_size, fidelity=fidelity, alone=against is None)
    start = time.monotonic()
    p, q, _ = load_pair(
        data, against, seed=seed, data_root=data_root, standardize=standardize, header=header, images=reading
    )
    if fidelity and q is not None and len(q) > MOST_COLUMNS:
        raise InputError(
            f"`fidelity` takes at most {MOST_COLUMNS:,} points of {against} in memory, and it has {len(q):,}: "
            f"swap the two, or give a part of it"
        )
    for points in (p, q):
        if isinstance(points, torch.Tensor) and (coarse := coarseness(points)) is not None:
            logger.warning(coarse)
    variance = default_variance(p, data) if variance is None else float(variance)
    loaded = time.monotonic()
    settings = {"data": data, "against": against, "variance": variance, "batch_size": batch_size, "seed": seed}
    settings |= {name: True for name, given in {"fidelity": fidelity, "standardize": standardize}.items() if given}
    settings |= reading.asked | ({} if header is None else {"header": header})
    sums = _Sums(settings | {"digest": [_digest(part) for part in (p, q) if part is not None and out is not None]}, out)
    try:
        figures = _figures(p, q, variance, batch_size, sums)
        if q is not None and fidelity:
            figures |= _fidelity(p, q, variance, batch_size)
    except ValueError as error:
        raise InputError(str(error)) from error
    figures |= {"loading_seconds": loaded - start, "seconds": time.monotonic() - loaded}
    sums.finish(figures)
    return figures


def _check(variance: float | None, batch_size: int, *, fidelity: bool, alone: bool) -> None:
    """Raise InputError for arguments of `measure` that cannot be used."""
    if variance is not None and not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    if batch_size < 1:
        raise InputError(f"batch must be at least 1, got {batch_size}")
    if fidelity and alone:
        raise InputError("`fidelity` compares two data sets: give the second one with `against`")


def _figures(p: Points, q: Points | None, variance: float, batch_size: int, sums: "_Sums") -> dict[str, Any]:
    """Of p and, if there is one, of q and both together."""

    def norm(name: str, points: Points) -> float:
        pairs = len(points) * (len(points) + 1) // 2
        return sums.run(name, pairs, partial(streamed_log_norm, points, variance=variance, batch_size=batch_size))

    log_p = norm("log <p,p>", p)
    scale: dict[str, Any] = {"variance": variance, "dimension": int(p.shape[1])}
    figures: dict[str, Any] = {
        "points": len(p),
        **scale,
        "log_norm": log_p,
        "renyi_entropy": -log_p,
        "effective_points": effective_points(log_p, **scale),
    }
    if q is None:
        return figures
    log_q = norm("log <q,q>", q)
    inner = partial(streamed_log_inner, p, q, variance=variance, batch_size=batch_size)
    log_pq = sums.run("log <p,q>", len(p) * len(q), inner)
    return figures | {
        "against_points": len(q),
        "against_log_norm": log_q,
        "against_effective_points": effective_points(log_q, **scale),
        "log_inner": log_pq,
        "cauchy_schwarz_divergence": max(0.0, log_p + log_q - 2 * log_pq),
        "mmd": squared_mmd(log_p, log_q, log_pq, **scale) ** 0.5,
    }


def _fidelity(p: Points, q: Points, variance: float, batch_size: int) -> dict[str, float]:
    """F, the Bures distance and the effective rank of the operator between the two sets, with a progress line."""
    start = time.monotonic()
    with progress_line("fidelity", len(p) * len(q), "million pairs") as show:
        columns = torch.as_tensor(np.array(q) if isinstance(q, np.ndarray) else q)
        values = streamed_singular_values(
            p, columns, variance=variance, batch_size=batch_size, progress=lambda rows: show(rows * len(q))
        )
    total = min(1.0, float(values.sum()))
    if total == 0:
        raise InputError(NOWHERE_NEAR)
    return {
        "fidelity": total,
        "bures_distance": (2 - 2 * total) ** 0.5,
        "cross_effective_rank": float(effective_rank(values)),
        "fidelity_seconds": time.monotonic() - start,
    }


class _Sums:
    """Streamed sums of one call, with a progress line each, and their state in a file."""

    def __init__(self, settings: dict[str, Any], out: Path | None) -> None:
        self.settings, self.out = settings, out
        self.partial = None if out is None else out.with_name(out.name + ".partial")
        self.states: dict[str, Progress] = {}
        self.saved = time.monotonic()
        if out is None or self.partial is None:
            return
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            found = json.loads(self.partial.read_text()) if self.partial.exists() else None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot use {self.partial} ({error}); remove it, or choose another `out`") from error
        if isinstance(found, dict) and found.get("settings") == settings:
            self.states = {name: Progress(*state) for name, state in found["sums"].items()}
        self._save()  # finds out now whether the folder can be written

    def run(self, name: str, pairs: int, stream: Callable[..., float]) -> float:
        """One sum, continued from where it stands."""
        with progress_line(name, pairs, "million pairs", done=self.states.get(name, Progress()).pairs) as show:

            def progress(state: Progress) -> None:
                self.states[name] = state
                show(state.pairs)
                if time.monotonic() - self.saved > SAVE_EVERY:
                    self._save()

            try:
                return stream(progress=progress, resume=self.states.get(name))
            finally:
                self._save()

    def finish(self, figures: dict[str, Any]) -> None:
        """Write the figures and remove the state."""
        if self.out is None or self.partial is None:
            return
        description = {key: value for key, value in self.settings.items() if key != "digest"}
        machine = {"version": VERSION, "torch": torch.__version__, "threads": torch.get_num_threads()}
        try:
            write_json(self.out, description | figures | machine)
            self.partial.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {self.out} ({error.strerror}); choose another `out`") from error

    def _save(self) -> None:
        if self.partial is None:
            return
        self.saved = time.monotonic()
        sums = {name: dataclasses.astuple(state) for name, state in self.states.items()}
        try:
            write_json(self.partial, {"settings": self.settings, "sums": sums})
        except OSError as error:
            raise InputError(f"cannot write {self.partial} ({error.strerror}); choose another `out`") from error


def _digest(points: Points) -> str:
    """SHA-256, read in slices."""
    state = hashlib.sha256()
    for start in range(0, len(points), 4096):
        state.update(np.ascontiguousarray(points[start : start + 4096]).tobytes())
    return state.hexdigest()
