"""Samples of any generator, compared with held-out points as a run's are."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.data.load import load, load_points, names, readings_of, refuse_unlike, roots_of
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading
from contrastive_entropy.data.scales import Points, default_variance, unevenness
from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.evaluation import Evaluation, evaluate_comparison
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.metrics.samples import Comparison, Counts, check_samples
from contrastive_entropy.spaces.inception import Inception

logger = logging.getLogger("contrastive_entropy")


def evaluate_samples(
    samples: Tensor,
    dataset: Dataset,
    *,
    variance: float,
    feature_weights: Path | None = None,
    title: str | None = None,
) -> Evaluation:
    """Compare samples, whatever made them, with the held-out points.

    Args:
        samples: (n, d), in the units of `dataset.train`, standardized if it is; n >= 12. The last ones, up to 1,000, serve
            as a second sample of their law: rows that are sorted must be shuffled before. Best are 11,000, or as many as
            are held out and a thousand more.
        dataset: to compare with.
        variance: of the densities in the spectrum, the tightness and the effective rank, v > 0, in data units squared.
        feature_weights: of `inception.Inception`: also compares in Inception features; None adds nothing.
        title: what is compared, for people.

    Returns:
        Evaluation; the reference column compares as many training points with the same held-out points.

    Raises:
        InputError: too few points to compare, another number of coordinates, samples that are not finite, or a variance
            that is not positive or at which no points overlap; with feature_weights, as `Inception`.
    """
    train, held_out = dataset.train.points, dataset.held_out.points
    require_enough(dataset.name, len(train), len(held_out))
    check_samples(samples, dimension=dataset.dimension, name=dataset.name, variance=variance)
    space = None if feature_weights is None else Inception(feature_weights, dataset.image_shape)
    return evaluate_comparison(
        Comparison(samples, train, held_out, variance, images=dataset.image_shape is not None, space=space),
        f"samples and {dataset.name}" if title is None else title,
        settings={},
        names=dataset.schema.names,
        fit=False,
    )


def evaluate_files(
    samples: str,
    data: str,
    *,
    variance: float | None = None,
    data_root: Path | None = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: bool = False,
    held_out: float | None = None,
    seed: int = 0,
    feature_weights: Path | None = None,
) -> Evaluation:
    """`evaluate_samples` of a file, or of a named data set's training points.

    High figures say something only of a generator that was not trained on the held-out points.

    Args:
        samples: as in `data.load_points`, in any order; of a mapped .npy file only the rows that are drawn are looked at.
        data, data_root, standardize: as in `data.load`; samples are in the units of the data before they are standardized.
        reading: how folders of images are read, of both; the subfolders are those of the data.
        variance: of the densities; None is what a fit would anneal down to.
        held_out: share of a file's points that is held out; None is what `data.load` does.
        seed: of the samples that are drawn, of a toy's draw and of a file's split.
        feature_weights: as in `evaluate`.

    Returns:
        Evaluation.

    Raises:
        InputError: as `data.load` and `evaluate_samples`; samples of another kind, shape, range or order of columns;
            held_out of data that come with held-out points.
    """
    if variance is not None and not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    if held_out is not None and data in names():
        raise InputError(f"`held_out` would be ignored: {data} comes with held-out points; leave it out")
    root, samples_root = roots_of(data_root, data, samples)
    readings = readings_of(reading, data, samples)
    share = HELD_OUT if held_out is None else held_out
    dataset = load(data, seed=seed, data_root=root, held_out=share, standardize=standardize, images=readings[0])
    double = dataset.schema.standardized or dataset.schema.shifted
    points, schema = load_points(samples, seed=seed, data_root=samples_root, double=double, images=readings[1])
    chosen = _chosen(samples, points, dataset, seed)
    refuse_unlike(chosen, schema, dataset.schema, names=(samples, data))
    if (uneven := unevenness(dataset)) is not None:
        logger.warning(uneven)
    chosen = dataset.schema.encode(chosen, samples)
    if variance is None:
        variance = default_variance(dataset.train.points, data)
    title = f"{Path(samples).name} beside {Path(data).name}"
    found = evaluate_samples(chosen, dataset, variance=variance, feature_weights=feature_weights, title=title)
    given = {"samples": samples, "data": data, "seed": seed, "held_out": held_out, "standardize": standardize}
    return dataclasses.replace(found, settings={**given, **reading.asked, **found.settings})


def _chosen(samples: str, points: Points, dataset: Dataset, seed: int) -> Tensor:
    """As many samples as are compared, in random order."""
    if points.shape[1] != dataset.dimension:
        raise InputError(f"{samples} has {points.shape[1]} coordinates and {dataset.name} has {dataset.dimension}")
    count = Counts.of(len(dataset.train), len(dataset.held_out)).total
    # of its own, not the generator that splits a file: rows that belong to the data's would all be the held-out ones
    order = np.random.default_rng([seed, 1]).permutation(len(points))[:count]
    chosen = torch.as_tensor(points[order])
    bad = order[~chosen.isfinite().all(1).numpy()]
    if len(bad):
        raise InputError(
            f"{samples}: row {min(bad)}, counted from 0, holds NaN or infinite values; remove or fill such rows"
        )
    return chosen
