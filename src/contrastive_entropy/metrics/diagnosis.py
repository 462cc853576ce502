"""What is going wrong with a fit, seen from its figures, and what to change."""

from collections.abc import Mapping
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
"""A debiased tightness below this share of what real points reach is said to be unfinished, if nothing else is said."""

HALF = 0.5
"""A figure below this share of what real points reach is called low."""


@dataclass(frozen=True)
class Diagnosis:
    """A failure and its remedy.

    Args:
        name: of `SIGNATURES`.
        seen: the figures that show it.
        change: what to do.
    """

    name: str
    seen: str
    change: str

    def __str__(self) -> str:
        return f"{self.finding}: {self.change}"

    @property
    def finding(self) -> str:
        """What is wrong and the figures that show it, without the remedy."""
        return f"{SIGNATURES[self.name]} ({self.seen})"


SIGNATURES = {
    "constant": "all samples are nearly one point",
    "vanishing": "most samples have no data near enough to be drawn to",
    "blurred": "the variance is too large to see anything but the data's mean and covariance",
    "gibberish": "samples do not look like data",
    "collapse": "samples show little of the data's variety",
    "uneven": "a column of the samples is unlike the data's",
    "unfinished": "the samples' law is still far from the data's",
    "memorization": "samples lie as near to training points as copies do",
    "averaged": "alternatives are blurred because the variance prefers the mean of what shares a code to draws of it",
    "merged": "the centers have fallen together",
    "unsharp": "alternatives are blurred",
}
"""What the diagnoses say, by name."""


def diagnose_training(figures: Mapping[str, float], *, at_end: bool) -> list[Diagnosis]:
    """Failures that `monitors` shows.

    Args:
        figures: of `monitors`.
        at_end: the variance has reached its end; a wide window before that is how annealing starts.
    """
    found = []
    if figures["spread"] < 1e-3:
        seen = f"their variance is {figures['spread']:.2g} of the data's"
        change = "lower --variance-end, or take debiased_nuclear_norm: likelihood and inner products can want this"
        found.append(Diagnosis("constant", seen, change))
    if figures["alone"] > HALF:
        seen = f"{figures['alone']:.0%} of them have none within {ALONE:g} standard deviations"
        found.append(
            Diagnosis("vanishing", seen, "raise --variance-start or --variance-end, or anneal over more --steps")
        )
    if at_end and figures["window"] > WIDE:
        seen = f"a sample's kernel spreads over {figures['window']:.0%} of the data"
        found.append(Diagnosis("blurred", seen, "lower --variance-end"))
    return found


def diagnose_samples(
    model: Mapping[str, float], reference: Mapping[str, float], *, column: str | int | None = None
) -> list[Diagnosis]:
    """Failures that an evaluation's figures show against what real points reach.

    Args:
        model: precision, recall, coverage, effective_rank, far_share and memorization of the samples; where they are known,
            debiased_tightness, copies and column_distance, too.
        reference: the same of training points in their place.
        column: the name or the number of the one that column_distance is of.
    """
    found = []
    if reference["effective_rank"] < ONE_DIRECTION:
        seen = f"real points have an effective rank of {reference['effective_rank']:.3g} at it"
        return [Diagnosis("blurred", seen, "lower --variance-end; tightness means little here")]
    low = {
        name for name in ("precision", "recall", "coverage", "effective_rank") if model[name] < HALF * reference[name]
    }
    shown = {name: f"{name.replace('_', ' ')} {model[name]:.3g} against {reference[name]:.3g}" for name in low}
    off = model["far_share"] > max(0.25, 5 * reference["far_share"])
    if "precision" in low or off:
        seen = shown.get("precision") or f"{model['far_share']:.0%} lie farther from data than 99% of data do"
        found.append(
            Diagnosis(
                "gibberish",
                seen,
                "train anew for more --steps, or look at what `contrastive-entropy variance` says of --variance-end",
            )
        )
    elif low:
        found.append(
            Diagnosis(
                "collapse",
                ", ".join(shown[name] for name in sorted(low)),
                "train anew for more --steps, with debiased_nuclear_norm if it was another objective, with a larger "
                "--batch-size and --components, or a lower --variance-end",
            )
        )
    unlike = model.get("column_distance", 0.0)
    if not found and unlike > max(UNLIKE, 3 * reference.get("column_distance", 0.0)):
        name = f"column {column}, counted from 0" if isinstance(column, int) else repr(column)
        seen = f"column distance {unlike:.3g} against {reference['column_distance']:.3g}, of {name}"
        change = "train anew with --standardize, if columns have units of their own, or for more --steps"
        found.append(Diagnosis("uneven", seen, change))
    copies = model.get("copies", 0.0)
    copied = copies > HALF and copies > 2 * reference.get("copies", 0.0)
    if copied or (model["memorization"] > 0.9 and not low):  # blurred samples, too, lie near to everything
        nearer = f"{model['memorization']:.0%} of them lie nearer to one than a held-out point does"
        seen = f"{copies:.0%} of them equal one" if copied else nearer
        found.append(
            Diagnosis("memorization", seen, "train on more data, with fewer --steps, or with a higher --variance-end")
        )
    tightness, real = (figures.get("debiased_tightness", 1.0) for figures in (model, reference))
    if not found and tightness < FAR_FROM_DONE * real:
        seen = f"debiased tightness {tightness:.3g} against {real:.3g}"
        found.append(Diagnosis("unfinished", seen, "train anew for more --steps"))
    return found


def diagnose_alternatives(
    model: Mapping[str, float], reference: Mapping[str, float], bounds: Mapping[str, float], *, centers: int
) -> list[Diagnosis]:
    """Failures of an autoencoder's alternatives.

    Args:
        model: their figures: mean_preferred, and sharpness if they are images.
        reference: the same of draws from the posterior.
        bounds: neighbors and effective_centers.
        centers: C.
    """
    found = []
    expected = min(centers, bounds["neighbors"])
    merged = centers > 1 and bounds["effective_centers"] < 1 + 0.1 * (expected - 1)
    unsharp = model.get("sharpness", 1.0) < HALF * reference.get("sharpness", 1.0)
    if (merged or unsharp) and model["mean_preferred"] > HALF:
        seen = f"for {model['mean_preferred']:.0%} of codes"
        change = "lower --variance-end, or --feature-variance, so that fewer share a code"
        return [Diagnosis("averaged", seen, change)]
    if merged:
        seen = f"{bounds['effective_centers']:.3g} of {centers} are apart, for {bounds['neighbors']:.3g} neighbours"
        change = "train anew with normalized_inner_product and codes heads, or a lower --variance-end"
        found.append(Diagnosis("merged", seen, change))
    if unsharp:
        seen = f"sharpness {model['sharpness']:.2g} against {reference['sharpness']:.2g}"
        change = "train anew for more --steps, with more --centers, a larger --batch-size or more --frequencies"
        found.append(Diagnosis("unsharp", seen, change))
    return found
