"""What is going wrong with a fit, seen from its figures, and what to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contrastive_entropy.metrics.monitors import ALONE

ONE_DIRECTION = 1.5
"""Real points with a smaller effective rank are one blur at this variance."""

WIDE = 0.95
"""A kernel that weighs more than this share of the data alike tells none of them apart. At a good variance it may well be
half in many coordinates, where distances differ little."""

UNLIKE = 0.15
"""Of `metrics.column_distances`, in the worst column: half as much again as data with half or twice the deviation have."""

FAR_FROM_DONE = 0.75
"""A tightness below this share of what real points reach is said to be unfinished, if nothing else is said."""

TOO_SURE, TOO_WIDE = 0.82, 0.98
"""Shares of values in central 90% intervals, below and beyond which laws are said to be wrong."""

CONFUSED = 0.9
"""A share of samples with the right class below this share of what real points reach is said to be low."""

HALF = 0.5
"""A figure below this share of what real points reach is called low."""


@dataclass(frozen=True)
class Remedy:
    """Something to change.

    Args:
        action: what to do, e.g. raise or lower.
        setting: with what, by its name; None: with nothing that can be set.
        value: what to set it to, if that is known.

    >>> print(Remedy("lower", "variance_end"))
    lower `variance_end`
    >>> print(Remedy("train longer", "steps", 4000))
    train longer: `steps` 4000
    """

    action: str
    setting: str | None = None
    value: float | str | None = None

    def __str__(self) -> str:
        if self.setting is None:
            return self.action
        return (
            f"{self.action} `{self.setting}`" if self.value is None else f"{self.action}: `{self.setting}` {self.value}"
        )


@dataclass(frozen=True)
class Diagnosis:
    """A failure and its remedies.

    Args:
        name: of `SIGNATURES` or `TABLE_SIGNATURES`.
        seen: the figures that show it.
        remedies: any of which may help.

    >>> print(Diagnosis("unsharp", "sharpness 0.4 against 1", (Remedy("raise", "centers"), Remedy("raise", "batch_size"))))
    alternatives are blurred (sharpness 0.4 against 1): raise `centers` or raise `batch_size`
    """

    name: str
    seen: str
    remedies: tuple[Remedy, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.finding}: {_any_of([str(remedy) for remedy in self.remedies])}" if self.remedies else self.finding
        )

    @property
    def finding(self) -> str:
        """What is wrong and the figures that show it, without the remedies."""
        return f"{(SIGNATURES | TABLE_SIGNATURES)[self.name]} ({self.seen})"


def _any_of(parts: Sequence[str]) -> str:
    *first, last = parts
    comma = "," if len(first) > 1 else ""
    return f"{', '.join(first)}{comma} or {last}" if first else last


SIGNATURES = {
    "constant": "all samples are nearly one point",
    "vanishing": "most samples have no data near enough to be drawn to",
    "blurred": "the variance is too large to see anything but the data's mean and covariance",
    "gibberish": "samples do not look like data",
    "collapse": "samples show little of the data's variety",
    "uneven": "a column of the samples is unlike the data's",
    "missed part": "a part of the data has no samples near it",
    "unfinished": "the samples' law is still far from the data's",
    "memorization": "samples lie as near to training points as copies do",
    "averaged": "alternatives are blurred because the variance prefers the mean of what shares a code to draws of it",
    "merged": "the centers have fallen together",
    "unsharp": "alternatives are blurred",
    "confused": "samples do not show the class that they were made of",
    "overconfident": "predicted laws are too sure",
    "vague": "predicted laws are too wide",
}
"""What the diagnoses say, by name."""

TABLE_SIGNATURES = {
    "told apart": "a classifier tells samples from real rows",
    "column": "a column of the samples is unlike that of real rows",
    "pairs": "columns of the samples do not depend on each other as in real rows",
    "lost value": "a value that real rows often have is lost",
    "lost level": "a level that real rows often have is lost",
    "too frequent value": "a value is far more frequent than in real rows",
    "too frequent level": "a level is far more frequent than in real rows",
    "out of range": "samples lie outside the range of real rows",
    "missing values": "another share of values is missing than in real rows",
    "decimals": "numbers of the samples have more decimals than real ones",
    "copies": "samples repeat training rows",
    "near copies": "samples lie nearer to training rows than other real rows do",
    "membership": "samples tell which rows were trained on",
    "keys": "keys are not distinct",
}
"""The same of what is found in the rows of a table by themselves."""

_SMALLER = Remedy("lower", "variance_end")


def _longer(steps: int | None) -> Remedy:
    """Twice the steps that there were, if they are known."""
    return Remedy("raise", "steps") if steps is None else Remedy("train longer", "steps", 2 * steps)


def diagnose_training(
    figures: Mapping[str, float], *, at_end: bool, steps: int | None = None, better: str | None = None
) -> list[Diagnosis]:
    """Failures that `monitors` shows.

    Args:
        figures: of `monitors`.
        at_end: the variance has reached its end; a wide window before that is how annealing starts.
        steps: of the fit, if known.
        better: an objective that keeps samples apart, if the fit has another one.
    """
    found = []
    if figures["spread"] < 1e-3:
        seen = f"their variance is {figures['spread']:.2g} of the data's; likelihood and inner products can want this"
        found.append(Diagnosis("constant", seen, (_SMALLER, _debiased(better))))
    if figures["alone"] > HALF:
        seen = f"{figures['alone']:.0%} of them have none within {ALONE:g} standard deviations"
        remedies = (Remedy("raise", "variance_start"), Remedy("raise", "variance_end"), _longer(steps))
        found.append(Diagnosis("vanishing", seen, remedies))
    if at_end and figures["window"] > WIDE:
        seen = f"a sample's kernel spreads over {figures['window']:.0%} of the data"
        found.append(Diagnosis("blurred", seen, (_SMALLER,)))
    return found


def _debiased(better: str | None) -> Remedy:
    return (
        Remedy("take a debiased", "objective") if better is None else Remedy("another objective", "objective", better)
    )


def diagnose_samples(
    model: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    column: str | int | None = None,
    fit: bool = True,
    steps: int | None = None,
    better: str | None = None,
    missed: str | None = None,
    where: str = "",
) -> list[Diagnosis]:
    """Failures that an evaluation's figures show against what real points reach.

    Args:
        model: precision, recall, coverage, effective_rank and far_share of the samples; where they are known, tightness,
            memorization, copies and column_distance, too.
        reference: the same of training points in their place.
        column: the name or the number of the one that column_distance is of.
        fit: whether the samples are of a fit; else there is nothing to change but the variance of the comparison.
        steps: of the fit, if known.
        better: an objective that covers the data better, if the fit had another one.
        missed: words on the part of the data that samples miss, if it is more than chance explains.
        where: said after the names of precision, recall and coverage, e.g. ` in pixels`.
    """
    if reference["effective_rank"] < ONE_DIRECTION:
        seen = f"real points have an effective rank of {reference['effective_rank']:.3g} at it; tightness means little here"
        return [Diagnosis("blurred", seen, (_SMALLER if fit else Remedy("lower", "variance"),))]
    found = _unlike_data(model, reference, steps, better, where)
    if not found and missed is not None:
        more = (_longer(steps), Remedy("raise", "batch_size"), Remedy("raise", "components"), _SMALLER)
        found.append(Diagnosis("missed part", missed, more))
    unlike = model.get("column_distance", 0.0)
    if not found and unlike > max(UNLIKE, 3 * reference.get("column_distance", 0.0)):
        name = f"column {column}, counted from 0" if isinstance(column, int) else repr(column)
        seen = f"column distance {unlike:.3g} against {reference['column_distance']:.3g}, of {name}"
        apart = Remedy("bring columns that have units of their own to one scale:", "standardize")
        found.append(Diagnosis("uneven", seen, (apart, _longer(steps))))
    copies = model.get("copies", 0.0)
    copied = copies > HALF and copies > 2 * reference.get("copies", 0.0)
    if copied or (
        model.get("memorization", 0.5) > 0.9 and not _low(model, reference)
    ):  # blurred samples, too, lie near to everything
        nearer = f"{model['memorization']:.0%} of them lie nearer to one than a held-out point does"
        seen = f"{copies:.0%} of them equal one" if copied else nearer
        remedies = (Remedy("train on more data"), Remedy("lower", "steps"), Remedy("raise", "variance_end"))
        found.append(Diagnosis("memorization", seen, remedies))
    tightness, real = (figures.get("tightness", 1.0) for figures in (model, reference))
    if not found and tightness < FAR_FROM_DONE * real:
        seen = f"tightness {tightness:.3g} against {real:.3g}"
        found.append(Diagnosis("unfinished", seen, (_longer(steps),)))
    return found if fit else [Diagnosis(one.name, one.seen) for one in found]


def _low(model: Mapping[str, float], reference: Mapping[str, float]) -> list[str]:
    """Figures that are far below those of real points."""
    names = ("coverage", "effective_rank", "precision", "recall")
    return [name for name in names if model[name] < HALF * reference[name]]


def _unlike_data(
    model: Mapping[str, float], reference: Mapping[str, float], steps: int | None, better: str | None, where: str
) -> list[Diagnosis]:
    """Samples off the data, or with little of their variety."""
    low = _low(model, reference)
    names = {name: "effective rank" if name == "effective_rank" else name + where for name in low}
    shown = {name: f"{names[name]} {model[name]:.3g} against {reference[name]:.3g}" for name in low}
    if "precision" in low or model["far_share"] > max(0.25, 5 * reference["far_share"]):
        far = f"{model['far_share']:.0%} lie farther from data than 99% of data do"
        return [
            Diagnosis(
                "gibberish", shown.get("precision", far), (_longer(steps), Remedy("choose another", "variance_end"))
            )
        ]
    if not low:
        return []
    remedies = [_longer(steps), Remedy("raise", "batch_size"), Remedy("raise", "components"), _SMALLER]
    if better is not None:
        remedies.insert(1, _debiased(better))
    return [Diagnosis("collapse", ", ".join(shown[name] for name in low), tuple(remedies))]


def diagnose_predictions(figures: Mapping[str, float], *, steps: int, members: int | None) -> list[Diagnosis]:
    """Failures of predicted laws on rows that were not trained on.

    Args:
        figures: coverage_90.
        steps, members: of the fit; members None: it generates samples, and has no dropout, either.
    """
    coverage = figures["coverage_90"]
    seen = f"{coverage:.0%} of the values lie in the central 90% intervals"
    if coverage < TOO_SURE:
        more = (Remedy("take an ensemble", "members", 5),) if members == 1 else ()
        less = () if members is None else (Remedy("raise", "dropout"),)
        return [Diagnosis("overconfident", seen, (*more, *less, Remedy("train on more data")))]
    if coverage > TOO_WIDE:
        less = () if members is None else (Remedy("lower", "dropout"),)
        return [Diagnosis("vague", seen, (_longer(steps), *less))]
    return []


def diagnose_classes(
    model: Mapping[str, float], reference: Mapping[str, float], *, steps: int | None = None
) -> list[Diagnosis]:
    """Failures of samples that were made of a class.

    Args:
        model: accuracy, and class_recall where classes are large enough.
        reference: the same of training points in their place.
        steps: of the fit, if known.
    """
    found = []
    if model["accuracy"] < CONFUSED * reference["accuracy"]:
        seen = (
            f"a classifier finds it in {model['accuracy']:.0%} of them, and in {reference['accuracy']:.0%} of real ones"
        )
        found.append(Diagnosis("confused", seen, (_longer(steps), Remedy("raise", "batch_size"), _SMALLER)))
    recall, real = (side.get("class_recall", 1.0) for side in (model, reference))
    if recall < HALF * real:
        seen = f"class recall {recall:.3g} against {real:.3g}"
        found.append(Diagnosis("collapse", seen, (_longer(steps), Remedy("raise", "batch_size"), _SMALLER)))
    return found


def diagnose_alternatives(
    model: Mapping[str, float],
    reference: Mapping[str, float],
    bounds: Mapping[str, float],
    *,
    centers: int,
    steps: int | None = None,
    better: Sequence[Remedy] = (),
    missed: str | None = None,
) -> list[Diagnosis]:
    """Failures of an autoencoder's alternatives.

    Args:
        model: their figures: mean_preferred, and sharpness if they are images.
        reference: the same of draws from the posterior.
        bounds: neighbors and effective_centers.
        centers: C.
        steps: of the fit, if known.
        better: what keeps centers apart, if the fit does without it.
        missed: words on the part of the data that alternatives miss, if it is more than chance explains.
    """
    found = []
    expected = min(centers, bounds["neighbors"])
    merged = centers > 1 and bounds["effective_centers"] < 1 + 0.1 * (expected - 1)
    unsharp = model.get("sharpness", 1.0) < HALF * reference.get("sharpness", 1.0)
    if (merged or unsharp) and model["mean_preferred"] > HALF:
        seen = f"for {model['mean_preferred']:.0%} of codes"
        fewer = Remedy("let fewer share a code: lower", "feature_variance")
        return [Diagnosis("averaged", seen, (_SMALLER, fewer))]
    if merged:
        seen = f"{bounds['effective_centers']:.3g} of {centers} are apart, for {bounds['neighbors']:.3g} neighbours"
        found.append(Diagnosis("merged", seen, (*better, _SMALLER)))
    if unsharp:
        seen = f"sharpness {model['sharpness']:.2g} against {reference['sharpness']:.2g}"
        remedies = (_longer(steps), *(Remedy("raise", name) for name in ("centers", "batch_size", "frequencies")))
        found.append(Diagnosis("unsharp", seen, remedies))
    if not found and missed is not None:
        more = (_longer(steps), *(Remedy("raise", name) for name in ("centers", "batch_size")), _SMALLER)
        found.append(Diagnosis("missed part", missed, more))
    return found
