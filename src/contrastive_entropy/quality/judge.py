"""All figures of samples of a table, beside those of real rows in their place, and what fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from contrastive_entropy.errors import InputError
from contrastive_entropy.quality.columns import beyond_chance, chance_of_shape, difference_in_words, shape_scores
from contrastive_entropy.quality.detection import BOOSTED_ROWS, detection, forest_detection
from contrastive_entropy.quality.findings import Finding, Weighed, percent, worst_first
from contrastive_entropy.quality.kinds import Coded, code
from contrastive_entropy.quality.missed import Missed, missed, missed_findings
from contrastive_entropy.quality.pairs import PairScores, excess, pair_scores, quantile_codes
from contrastive_entropy.quality.privacy import privacy, privacy_findings
from contrastive_entropy.quality.repeats import distinct_if_repeated, repeated_share
from contrastive_entropy.quality.utility import utility
from contrastive_entropy.quality.values import value_findings

TOLD_APART = 0.75
"""A classifier with a larger area under its curve tells samples from real rows."""

UNLIKE = 0.1
"""Of 1 - a column's shape score, or of a pair's excess, from which on it may be said."""

QUICK = 2000
"""Rows a side of the classifier that a quick judgement trains."""

EXAMPLES = 5
"""Most missed rows that are shown."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found.

    Args:
        figures: of the samples, by name: shapes, pairs, strong_pairs, detection, forest_detection, utility, missed; with
            training rows copies, near_copies, nearer_to_training and membership; uniqueness of keys. One that is not
            defined is left out.
        real: the same of real rows in the samples' place.
        columns: one row per column: name, kind, score, real, differs.
        pair_scores: one row per pair: a, b, score, real.
        findings: what fails, worst first.
        missed_rows: up to 5 real rows that no sample comes near.
        notes: what belongs to the figures and is no failure.
    """

    figures: dict[str, float]
    real: dict[str, float]
    columns: pd.DataFrame
    pair_scores: pd.DataFrame
    findings: list[Finding]
    missed_rows: pd.DataFrame
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Sides:
    """What is compared: samples with held-out rows, and other real rows with held-out rows in the samples' place."""

    samples: Coded
    held_out: Coded
    training: Coded | None
    stand_in: Coded
    beside: Coded
    everything: Coded


def judge(
    samples: pd.DataFrame,
    held_out: pd.DataFrame,
    *,
    training: pd.DataFrame | None = None,
    kinds: Mapping[str, str] | None = None,
    target: str | None = None,
    seed: int = 0,
    thorough: bool = True,
) -> Judgement:
    """Judge samples of a table by rows that they were not made from.

    Args:
        samples: (n) rows, whatever made them, in any order of rows and columns.
        held_out: (m) real rows that the samples' maker has not seen.
        training: real rows that it has seen; None: nothing is said on copying, and the figures of real rows are of one half
            of the held-out rows beside the other.
        kinds: column -> number, count, category, date or key; None, or a column left out: inferred from the real rows. Keys
            are left out of everything but their uniqueness.
        target: column that `utility` predicts; None: the last one that is no key.
        seed: of the rows that are drawn, of folds and of classifiers.
        thorough: False leaves out the forest and the utility, and trains the other classifier on fewer rows.

    Returns:
        Judgement. Seconds for 50,000 rows of 15 columns.

    Raises:
        InputError: no rows, other columns, training rows that are the held-out ones, a kind that its values are not of, or
            a target that is no column.
    """
    tables = {"samples": samples, "held-out rows": held_out}
    if training is not None:
        tables["training rows"] = training
    coded, keys = code(tables, kinds)
    if training is not None:
        _refuse_same_rows(coded, tables, keys)
    names = [column.name for column in coded["samples"].columns]
    if target is not None and target not in names:
        raise InputError(f"`target` is {target!r}; expected one of the columns {', '.join(map(str, names))}")
    rng = np.random.default_rng(seed)
    sides = _sides(coded, rng)
    figures, real = _laws(sides)
    columns, found = _columns(sides)
    pairs, more = _pairs(sides, figures, real)
    found += more + value_findings(sides.everything, sides.samples)
    found += _told_apart(sides, figures, real, rng, thorough=thorough)
    if thorough:
        place = names.index(target) if target is not None else len(names) - 1
        figures["utility"] = utility(sides.samples, sides.held_out, place, rng=rng)
        real["utility"] = utility(sides.stand_in, sides.beside, place, rng=rng)
    examples, more = _nearest_rows(sides, figures, real, rng)
    found += more + _keys(keys, samples, held_out, figures, real)
    return Judgement(_finite(figures), _finite(real), columns, pairs, worst_first(found), examples, _repeats(sides))


def _refuse_same_rows(coded: Mapping[str, Coded], tables: Mapping[str, pd.DataFrame], keys: list[str]) -> None:
    """Raise InputError where training rows are the held-out rows, in any order of rows and columns."""

    def rows(name: str) -> np.ndarray:
        text = tables[name][keys].astype(str).to_numpy(dtype=object)
        whole = pd.concat([pd.DataFrame(text), pd.DataFrame(coded[name].values)], axis=1)
        return np.sort(pd.util.hash_pandas_object(whole, index=False).to_numpy())

    if np.array_equal(rows("held-out rows"), rows("training rows")):
        raise InputError(
            "the training rows are the held-out rows: nothing tells a copy from a new row; "
            "give rows that the samples were not made from, or leave out `training`"
        )


def _nearest_rows(
    sides: _Sides, figures: dict[str, float], real: dict[str, float], rng: np.random.Generator
) -> tuple[pd.DataFrame, list[Weighed]]:
    """Figures and findings of distances: what is missed, of which examples, and what copies."""
    found = []
    whole, sampled = distinct_if_repeated(sides.everything, sides.everything, sides.samples)
    lost = missed(whole, sampled, rng=rng)
    if lost is not None:
        figures["missed"], real["missed"] = lost.share, lost.real
        found += missed_findings(lost, whole)
    if sides.training is not None:
        copied = privacy(sides.samples, sides.training, sides.held_out, rng=rng)
        figures |= copied.figures
        real |= copied.real
        found += privacy_findings(copied, len(sides.samples), len(sides.held_out))
    return _examples(whole, lost), found


def _sides(coded: Mapping[str, Coded], rng: np.random.Generator) -> _Sides:
    samples, held_out, training = (coded.get(name) for name in ("samples", "held-out rows", "training rows"))
    assert samples is not None
    assert held_out is not None
    if training is not None:
        everything = Coded(held_out.columns, np.concatenate([held_out.values, training.values]))
        return _Sides(samples, held_out, training, training.draw(len(samples), rng), held_out, everything)
    order = rng.permutation(len(held_out))
    half = (len(order) + 1) // 2
    rest = held_out.take(order[half:]) if len(order) > 1 else held_out
    return _Sides(samples, held_out, None, held_out.take(order[:half]).draw(len(samples), rng), rest, held_out)


def _laws(sides: _Sides) -> tuple[dict[str, float], dict[str, float]]:
    """The shapes of both sides: the mean over columns."""
    pairs = (sides.held_out, sides.samples), (sides.beside, sides.stand_in)
    own, real = ({"shapes": float(shape_scores(*pair).mean())} for pair in pairs)
    return own, real


def _columns(sides: _Sides) -> tuple[pd.DataFrame, list[Weighed]]:
    """One row per column, and the worst column if it fails."""
    own, real = shape_scores(sides.held_out, sides.samples), shape_scores(sides.beside, sides.stand_in)
    words = [
        difference_in_words(column, sides.held_out.values[:, place], sides.samples.values[:, place])
        for place, column in enumerate(sides.held_out.columns)
    ]
    table = pd.DataFrame(
        {
            "name": [column.name for column in sides.held_out.columns],
            "kind": [column.kind for column in sides.held_out.columns],
            "score": own,
            "real": real,
            "differs": words,
        }
    )
    chance = [
        chance_of_shape(column, sides.held_out.values[:, place], sides.samples.values[:, place])
        for place, column in enumerate(sides.held_out.columns)
    ]
    beyond = (1 - own) - np.maximum(np.maximum(chance, 2 * (1 - real)), UNLIKE)
    place = int(beyond.argmax())
    if beyond[place] <= 0:
        return table, []
    others = int((beyond > 0).sum()) - 1
    seen = f"{table['name'][place]}: score {own[place]:.3f} against {real[place]:.3f}; {words[place]}"
    seen += f"; {others} more columns fail" if others > 1 else "; one more column fails" * others
    return table, [(1 - float(own[place]), Finding("column", seen))]


def _pairs(sides: _Sides, figures: dict[str, float], real: dict[str, float]) -> tuple[pd.DataFrame, list[Weighed]]:
    """One row per pair, the mean scores, and the worst pair if it fails beyond its columns."""
    own, other = pair_scores(sides.held_out, sides.samples), pair_scores(sides.beside, sides.stand_in)
    for found, scores in ((figures, own), (real, other)):
        found["pairs"], found["strong_pairs"] = scores.mean(), scores.mean(strong=True)
    names = np.array([column.name for column in sides.held_out.columns], dtype=object)
    a, b = names[own.places].T if len(own.places) else (names[:0], names[:0])
    table = pd.DataFrame({"a": a, "b": b, "score": own.scores, "real": other.scores})
    return table, _pair_findings(sides, own, table)


def _pair_findings(sides: _Sides, scores: PairScores, table: pd.DataFrame) -> list[Weighed]:
    if not len(scores.places):
        return []
    held_out, samples, beside, stand_in = quantile_codes(
        sides.everything, sides.held_out, sides.samples, sides.beside, sides.stand_in
    )
    own = np.array([excess(held_out, samples, *pair) for pair in scores.places])
    real = np.array([excess(beside, stand_in, *pair) for pair in scores.places])
    beyond = own - max(UNLIKE, 2 * real.max(), beyond_chance(held_out[0], samples[0]))
    worst = int(beyond.argmax())
    if beyond[worst] <= 0:
        return []
    row = table.iloc[worst]
    seen = (
        f"{row['a']} and {row['b']}: {percent(float(own[worst]))} of their joint law is off beyond either by itself; "
        f"score {row['score']:.3f} against {row['real']:.3f}"
    )
    others = int((beyond > 0).sum()) - 1
    seen += f"; {others} more pairs fail" if others > 1 else "; one more pair fails" * others
    return [(float(own[worst]) + 0.2, Finding("pairs", seen))]


def _told_apart(
    sides: _Sides, figures: dict[str, float], real: dict[str, float], rng: np.random.Generator, *, thorough: bool
) -> list[Weighed]:
    """Both classifiers' figures, and the finding where one tells samples apart."""
    held_out, samples = distinct_if_repeated(sides.everything, sides.held_out, sides.samples)
    beside, stand_in = distinct_if_repeated(sides.everything, sides.beside, sides.stand_in)
    rows = BOOSTED_ROWS if thorough else QUICK
    figures["detection"] = detection(held_out, samples, rng=rng, rows=rows)
    real["detection"] = detection(beside, stand_in, rng=rng, rows=rows)
    if thorough:
        figures["forest_detection"] = forest_detection(held_out, samples, rng=rng)
        real["forest_detection"] = forest_detection(beside, stand_in, rng=rng)
    found = {name: figures[name] for name in ("forest_detection", "detection") if name in figures}
    name = max(found, key=lambda one: np.nan_to_num(found[one]))
    count = min(len(held_out), len(samples))
    if not found[name] > TOLD_APART + (0.5 / count**0.5 if count < 100 else 0.0):
        return []
    what = "a forest" if name == "forest_detection" else "boosted trees"
    seen = f"{what} tell samples from real rows, area under the curve {found[name]:.2f} against {real[name]:.2f}"
    return [(2 * found[name] - 1, Finding("told apart", seen.replace("a forest tell", "a forest tells")))]


def _repeats(sides: _Sides) -> list[str]:
    share = repeated_share(sides.everything)
    if share == 0:
        return []
    return [
        f"{percent(share)} of the real rows repeat another one in all columns, held-out rows training rows among them: "
        "classifiers looked at every row once, and what is said of copies is beside what held-out rows repeat"
    ]


def _keys(
    keys: list[str], samples: pd.DataFrame, held_out: pd.DataFrame, figures: dict[str, float], real: dict[str, float]
) -> list[Weighed]:
    """Share of distinct values of keys, of the worst of them."""
    if not keys:
        return []
    own = {key: float(samples[key].nunique() / len(samples)) for key in keys}
    worst = min(own, key=lambda key: own[key])
    figures["uniqueness"] = own[worst]
    real["uniqueness"] = float(held_out[worst].nunique() / len(held_out))
    if own[worst] >= min(0.999, real["uniqueness"]) - 1e-9:
        return []
    seen = f"{worst} names rows, and {percent(own[worst])} of its values in the samples are distinct"
    return [(0.5, Finding("keys", seen))]


def _examples(real: Coded, lost: Missed | None) -> pd.DataFrame:
    """The farthest missed rows, as they were given but for keys: categories are text."""
    rows = real.values[[] if lost is None else lost.rows[:EXAMPLES]]
    return pd.DataFrame({column.name: column.decoded(rows[:, place]) for place, column in enumerate(real.columns)})


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if np.isfinite(value)}
