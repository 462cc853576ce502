"""The conditional bound's limit on all points of a run's data."""

import time
from typing import Any

import torch

from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.mixtures.limits import ConditionalBound, iid_tightness
from contrastive_entropy.models.autoencoder.evaluation import load_autoencoder
from contrastive_entropy.models.autoencoder.tracking import PARTS, conditions_of, encoded
from contrastive_entropy.progress import progress_line


def whole_limit(
    run: Run, *, part: str = "train", conditions: int | None = None, value: bool = True, seed: int = 0
) -> dict[str, Any]:
    """The limit of (E15) on all points of a part of a run's data, with a progress line, and the decoder's value.

    Args:
        run: of an autoencoder, finished.
        part: train or held_out.
        conditions: draws of y; None is the quadrature for one feature, else one draw per point.
        value: also the value at the same conditions.
        seed: of the draws.

    Returns:
        Figures by name.

    Raises:
        InputError: no such part, or the run cannot be used.
    """
    if part not in PARTS:
        raise InputError(f"`part` must be one of {', '.join(PARTS)}, got {part!r}")
    if conditions is not None and conditions < 1:
        raise InputError(f"`conditions` must be at least 1, got {conditions}")
    network = load_autoencoder(run)
    dataset = run.dataset()
    joint = encoded(network, (dataset.train if part == "train" else dataset.held_out).points)
    y, log_weights = conditions_of(joint, conditions, generator=torch.Generator().manual_seed(seed))
    start = time.monotonic()
    with progress_line("limit", len(y), "conditions", per=1) as show:
        log_limits = joint.log_norms(y, progress=show)
    limit_seconds = time.monotonic() - start
    found: dict[str, Any] = {"points": len(joint.points), "conditions": len(y)}
    if value:
        with progress_line("value", len(y), "conditions", per=1) as show:
            log_inners, log_norms = joint.log_inners_and_norms(y, network.mixture, progress=show)
    else:
        log_inners = log_norms = torch.zeros_like(log_limits)
    bound = ConditionalBound(log_inners, log_norms, log_limits, log_weights, joint.log_peak)
    found |= {"limit": bound.limit, "limit_error": bound.limit_error, "neighbors": 1 / bound.concentration}
    if value:
        found |= {
            "value": bound.value,
            "gap": bound.gap,
            "gap_error": bound.gap_error,
            "tightness": bound.tightness,
            "iid_tightness": float(iid_tightness(bound.concentration, network.centers)),
        }
    variances = {"variance": joint.variance, "feature_variance": joint.feature_variance, "centers": network.centers}
    return found | variances | {"limit_seconds": limit_seconds, "seconds": time.monotonic() - start}
