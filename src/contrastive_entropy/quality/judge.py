"""A table beside the one that it stands for: all figures, each beside what real rows reach, and what fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from contrastive_entropy.metrics.catalog import AS_REAL, HIGH, LOW, Metric
from contrastive_entropy.metrics.diagnosis import Diagnosis
from contrastive_entropy.quality import findings as found
from contrastive_entropy.quality import privacy, shapes, trees
from contrastive_entropy.quality.rows import Rows, Scale, drawn

ROWS = 20_000
"""Rows of either side whose columns and pairs are compared, at most."""

PRIVATE = "privacy"
"""What a figure needs that says something of copying: the rows that were trained on."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Rows in the samples' place: the samples themselves, or real ones.

    Args:
        rows: which.
        held_out: real rows that were not trained on.
        training: those that were, or None: then nothing is said of copying.
        real: other real rows, for what real rows reach.
        scale: of distances.
        target: column to predict, or None.
        seed: of trees and draws.
        thorough: whether trees are grown.
    """

    rows: Rows
    held_out: Rows
    training: Rows | None
    real: Rows
    scale: Scale
    target: int | None
    seed: int
    thorough: bool = True

    @property
    def has(self) -> frozenset[str]:
        """What figures may need."""
        parts = {"pairs": len(self.held_out.names) > 1, "trees": self.thorough, PRIVATE: self.training is not None}
        parts["target"] = self.thorough and self.target is not None and len(self.held_out.names) > 1
        return frozenset(name for name, there in parts.items() if there)

    @cached_property
    def shapes(self) -> np.ndarray:
        """(c,) scores of columns."""
        return shapes.shapes(drawn(self.rows, ROWS, self.seed), drawn(self.held_out, ROWS, self.seed))

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Scores of pairs."""
        return shapes.pairs(drawn(self.rows, ROWS, self.seed), drawn(self.held_out, ROWS, self.seed))

    @cached_property
    def missed(self) -> privacy.Missed:
        """Held-out rows that are far from all."""
        return privacy.missed(self.rows, self.held_out, self.real, self.scale)

    def of_training(self, figure: Callable[[Rows, Rows], float]) -> float:
        """A figure of the rows beside those that were trained on."""
        assert self.training is not None
        return figure(self.rows, self.training)


def _needs(*names: str) -> frozenset[str]:
    return frozenset(names)


TABLE_METRICS: tuple[Metric[Compared], ...] = (
    Metric("detection", "how well boosted trees tell them from real rows: area under the curve, .5 is not at all",
           lambda one: trees.detection(one.rows, one.held_out, seed=one.seed), AS_REAL, _needs("trees")),
    Metric("forest_detection", "the same of a random forest",
           lambda one: trees.detection(one.rows, one.held_out, seed=one.seed, forest=True), AS_REAL, _needs("trees")),
    Metric("shapes", "how like the columns are, one by one (SDMetrics column shapes)",
           lambda one: float(np.mean(one.shapes)), HIGH),
    Metric("pairs", "how like the dependences of columns are, two by two (SDMetrics column pair trends)",
           lambda one: float(np.nanmean(one.pairs["score"])) if one.pairs["score"].notna().any() else float("nan"),
           HIGH, _needs("pairs")),
    Metric("utility", "how well trees trained on them predict the target of held-out rows: area under the curve, or R^2",
           lambda one: trees.utility(drawn(one.rows, ROWS, one.seed), one.held_out, one.target or 0, seed=one.seed),
           AS_REAL, _needs("target")),
    Metric("missed", "held-out rows that none of them comes near", lambda one: one.missed.share, LOW),
    Metric("copies", "equal a training row in all columns", lambda one: one.of_training(privacy.copies), AS_REAL,
           _needs(PRIVATE)),
    Metric("near_copies", "equal one within a hundredth of a deviation",
           lambda one: one.of_training(lambda a, b: privacy.near_copies(a, b, one.scale)), AS_REAL, _needs(PRIVATE)),
    Metric("nearer_to_training", "nearer to a training row than to a held-out one; .5 gives nothing away",
           lambda one: one.of_training(lambda a, b: privacy.nearer_to_training(a, b, one.held_out, one.scale)), AS_REAL,
           _needs(PRIVATE)),
    Metric("membership", "how well their distance to a row says that it was trained on: area under the curve",
           lambda one: one.of_training(lambda a, b: privacy.membership(a, b, one.held_out, one.scale)), AS_REAL,
           _needs(PRIVATE)),
)  # fmt: skip
"""Every figure of a table, in the order in which people read them."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found of a table.

    Args:
        figures: of the samples, by name; those that do not apply are absent.
        real: the same of real rows in the samples' place.
        columns: name, kind, score and real score of each column, the worst first.
        pair_scores: a, b, score, real of every pair, the worst first.
        findings: what fails, the worst first.
        notes: what is not wrong but should be known.
        missed_rows: held-out rows that no sample comes near, the farthest first.
        target: name of the column that is predicted, or None.
    """

    figures: dict[str, float]
    real: dict[str, float]
    columns: pd.DataFrame
    pair_scores: pd.DataFrame
    findings: list[Diagnosis]
    notes: list[str] = field(default_factory=list)
    missed_rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    target: str | None = None


def judge(
    samples: Rows,
    held_out: Rows,
    real: Rows,
    *,
    trained: bool,
    target: str | None = None,
    seed: int = 0,
    thorough: bool = True,
) -> Judgement:
    """Compare a table with real rows.

    Args:
        samples: the table.
        held_out: real rows that were not trained on.
        real: other real rows: those that were trained on, if it is known; what real rows reach is measured with these.
        trained: whether `real` was trained on; else nothing is said of copying.
        target: name of the column that is predicted; None is the last that may be.
        seed: of trees and draws.
        thorough: also grow trees, which takes some seconds.

    Returns:
        Judgement.
    """
    scale, aim = Scale.of(real), _target(held_out, target)
    training = real if trained else None
    ours = Compared(samples, held_out, training, real, scale, aim, seed, thorough)
    theirs = dataclass_like(ours, rows=real)
    first, second = (_figures(side) for side in (ours, theirs))
    if trained:
        second |= _of_held_out(theirs)
    all_real = Rows(np.concatenate([real.values, held_out.values]), held_out.schema)
    notes = _notes(held_out, real)
    return Judgement(
        first,
        second,
        _columns(ours, theirs),
        _pairs(ours, theirs),
        list(_findings(ours, theirs, first, second, all_real)),
        notes,
        held_out_rows(ours),
        None if aim is None else held_out.names[aim],
    )


def dataclass_like(one: Compared, *, rows: Rows) -> Compared:
    """The same comparison of other rows."""
    return Compared(rows, one.held_out, one.training, one.real, one.scale, one.target, one.seed, one.thorough)


def _figures(side: Compared) -> dict[str, float]:
    values = {
        metric.name: metric.of(side)
        for metric in TABLE_METRICS
        if metric.needs <= side.has and not (side.rows is side.real and PRIVATE in metric.needs)
    }
    if side.rows is side.real:
        values["missed"] = side.missed.real
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}


def _of_held_out(side: Compared) -> dict[str, float]:
    """What real rows that were not trained on reach in the figures of copying."""
    own = dataclass_like(side, rows=side.held_out)
    return {
        "copies": own.of_training(privacy.copies),
        "near_copies": own.of_training(lambda a, b: privacy.near_copies(a, b, own.scale)),
        "nearer_to_training": 0.5,
        "membership": 0.5,
    }


def _target(rows: Rows, asked: str | None) -> int | None:
    if asked is not None and asked in rows.names:
        return rows.names.index(asked)
    fitting = [index for index in range(len(rows.names)) if trees.predictable(rows, index)]
    return fitting[-1] if fitting else None


def _columns(ours: Compared, theirs: Compared) -> pd.DataFrame:
    schema = ours.held_out.schema
    kinds = [schema.mixed[index].kind for index in ours.held_out.learnt]
    table = pd.DataFrame({"name": ours.held_out.names, "kind": kinds, "score": ours.shapes, "real": theirs.shapes})
    return table.sort_values("score", ignore_index=True)


def _pairs(ours: Compared, theirs: Compared) -> pd.DataFrame:
    if len(ours.held_out.names) < 2:
        return pd.DataFrame(columns=["a", "b", "score", "real"])
    return ours.pairs.assign(real=theirs.pairs["score"]).sort_values("score", ignore_index=True)


def held_out_rows(side: Compared) -> pd.DataFrame:
    """Up to five held-out rows that no sample comes near."""
    points = drawn(side.held_out, privacy.POINTS, 3)
    return points.shown(side.missed.rows[:5])


def _findings(
    ours: Compared, theirs: Compared, figures: dict[str, float], real: dict[str, float], data: Rows
) -> list[Diagnosis]:
    samples, held_out = ours.rows, ours.held_out
    listed: list[Diagnosis] = []
    told = {name: figures[name] for name in ("detection", "forest_detection") if figures.get(name, 0.0) > found.TOLD}
    if told:
        name, value = max(told.items(), key=lambda item: item[1])
        listed.append(Diagnosis("told apart", f"{name.replace('_', ' ')} {value:.2f}; real rows {real[name]:.2f}"))
    listed += _copying(figures, real, min(len(samples), privacy.POINTS))
    for look in (found.out_of_range, found.values_unknown, found.values_lost, found.exact_lost, found.missing_off):
        listed += list(look(samples, data))
    excess = figures["missed"] - real["missed"]
    noise = np.sqrt(max(real["missed"], 0.01) / max(min(len(held_out), privacy.POINTS), 1))
    if excess > max(4 * noise, 0.005):
        example = held_out_rows(ours).iloc[0].to_dict()
        row = ", ".join(f"{name} = {value}" for name, value in list(example.items())[:6])
        listed.append(Diagnosis("missed part", f"{figures['missed']:.1%} of real rows, such as {row}"))
    worst = ours.shapes - theirs.shapes
    index = int(np.argmin(worst))
    if worst[index] < -max(found.UNLIKE, 3 / np.sqrt(min(len(samples), len(held_out)))):
        listed.append(
            Diagnosis(
                "column",
                f"{held_out.names[index]}: score {ours.shapes[index]:.2f}; real rows {theirs.shapes[index]:.2f}",
            )
        )
    if figures.get("pairs", 1.0) < real.get("pairs", 0.0) - found.PAIRS_UNLIKE:
        worst_pair = _pairs(ours, theirs).iloc[0]
        listed.append(
            Diagnosis(
                "pairs",
                f"score {figures['pairs']:.2f}; real rows {real['pairs']:.2f}; the worst are {worst_pair['a']} and "
                f"{worst_pair['b']}",
            )
        )
    return listed


def _copying(figures: dict[str, float], real: dict[str, float], count: int) -> list[Diagnosis]:
    """Copies beyond what real rows repeat, by more than chance."""
    listed: list[Diagnosis] = []
    for name, words in (("copies", "copies"), ("near_copies", "near copies")):
        if name not in figures:
            continue
        share, own = figures[name], real[name]
        error = np.sqrt(max(own * (1 - own), 1 / count) / count)
        if share - own > max(0.01, 5 * error) and share > 1.5 * own and not listed:
            listed.append(Diagnosis(words, f"{share:.1%} of them; real rows {own:.1%}"))
    error = 0.5 / np.sqrt(count)
    attack = figures.get("membership", 0.5)
    if attack > 0.5 + max(0.1, 5 * error) and not listed:
        listed.append(Diagnosis("membership", f"area under the curve {attack:.2f}; .5 gives nothing away"))
    return listed


def _notes(held_out: Rows, real: Rows) -> list[str]:
    repeated = privacy.copies(held_out, real)
    if repeated <= 0.05:
        return []
    return [f"{repeated:.0%} of the held-out rows equal another real row in all columns: repeated rows are no copies."]
