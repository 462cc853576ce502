"""Samples of any generator, compared with held-out points as a run's are."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contrastive_entropy.data.dataset import HELD_OUT, Dataset
from contrastive_entropy.data.frames import Frame, headers_of, is_table, read_frame
from contrastive_entropy.data.load import load, load_points, names, readings_of, refuse_unlike, roots_of
from contrastive_entropy.data.reading import AS_THEY_ARE, ImageReading
from contrastive_entropy.data.scales import Points, default_variance, unevenness
from contrastive_entropy.data.schema import Table
from contrastive_entropy.data.tables import say
from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.evaluation import Evaluation, evaluate_comparison
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.metrics.samples import Comparison, Counts, check_samples
from contrastive_entropy.quality import Judgement, judge
from contrastive_entropy.quality.evaluation import evaluation, is_numeric, judged
from contrastive_entropy.spaces.images import image_spaces

logger = logging.getLogger("contrastive_entropy")


def evaluate_samples(
    samples: Tensor,
    dataset: Dataset,
    *,
    variance: float,
    feature_weights: Path | None = None,
    features: bool = True,
    title: str | None = None,
    trained: bool = True,
) -> Evaluation:
    """Compare samples, whatever made them, with the held-out points.

    Args:
        samples: (n, d), in the units of `dataset.train`, standardized if it is; n >= 12. The last ones, up to 1,000, serve
            as a second sample of their law: rows that are sorted must be shuffled before. Best are 11,000, or as many as
            are held out and a thousand more.
        dataset: to compare with.
        variance: of the densities in the spectrum, the tightness and the effective rank, v > 0, in data units squared.
        feature_weights: of `inception.Inception`: also compares in Inception features; None adds nothing.
        features: also compares images in features of `efficientnet.EfficientNet`, where its package is installed.
        title: what is compared, for people.
        trained: whether the samples were made from `dataset.train`; else nothing is said on copying.

    Returns:
        Evaluation; the reference column compares as many training points with the same held-out points.

    Raises:
        InputError: too few points to compare, another number of coordinates, samples that are not finite, or a variance
            that is not positive or at which no points overlap; with feature_weights, as `Inception`.
    """
    train, held_out = dataset.train.points, dataset.held_out.points
    require_enough(dataset.name, len(train), len(held_out))
    check_samples(samples, dimension=dataset.dimension, name=dataset.name, variance=variance)
    spaces, said = image_spaces(dataset.image_shape, features=features, feature_weights=feature_weights)
    return evaluate_comparison(
        Comparison(samples, train, held_out, variance, dataset.image_shape, spaces, trained),
        f"samples and {dataset.name}" if title is None else title,
        settings={},
        names=dataset.schema.names,
        fit=False,
        notes=said,
    )


def evaluate_files(
    samples: str,
    data: str,
    *,
    training: str | None = None,
    variance: float | None = None,
    data_root: Path | None = None,
    header: bool | None = None,
    reading: ImageReading = AS_THEY_ARE,
    standardize: bool = False,
    held_out: float | None = None,
    seed: int = 0,
    feature_weights: Path | None = None,
    features: bool = True,
) -> Evaluation:
    """`evaluate_samples` of a file, or of a named data set's training points; tables are judged row by row, too.

    Args:
        samples: as in `data.load_points`, in any order; of a mapped .npy file only the rows that are drawn are looked at.
            Tables may hold text, dates and missing values: then `quality.judge` alone is said of them.
        data, data_root, standardize: as in `data.load`; samples are in the units of the data before they are standardized.
        header: of all tables, as in `data.load`.
        reading: how folders of images are read, of both; the subfolders are those of the data.
        training: what the samples were made from; then all of `data` is held out. A data set that comes with held-out
            points may be named twice. None: nothing is said on copying.
        variance: of the densities; None is what a fit would anneal down to.
        held_out: share of a file's points that is held out; None is what `data.load` does.
        seed: of the samples that are drawn, of a toy's draw and of a file's split.
        feature_weights, features: as in `evaluate`.

    Returns:
        Evaluation; of tables with the table `rows`, and where they are numbers with the table `samples` before it.

    Raises:
        InputError: as `data.load`, `evaluate_samples` and `quality.judge`; samples of another kind, shape, range or order
            of columns; held_out of data that come with held-out points, or beside training points.
    """
    if variance is not None and not 0 < variance < float("inf"):
        raise InputError(f"variance must be a positive number, got {variance}")
    if held_out is not None and (data in names() or training is not None):
        why = f"{data} comes with held-out points" if data in names() else f"all of {data} is held out with `training`"
        raise InputError(f"`held_out` would be ignored: {why}; leave it out")
    given = {"samples": samples, "data": data, "training": training, "seed": seed, "held_out": held_out}
    given |= {"standardize": standardize} | ({} if header is None else {"header": header})
    title = f"{Path(samples).name} beside {Path(data).name}"
    sources = [samples, data, *([] if training is None else [training])]
    frames = _frames(sources, header)
    tables = _tables(sources, frames)
    if tables is not None and not all(map(_is_points, tables)):
        found = _judged(tables, seed)
        return dataclasses.replace(evaluation(found, title, given), notes=(*found.notes, *_unsaid(training)))
    asked = _Asked(title, variance, data_root, reading, standardize, seed, feature_weights, features, frames)
    dataset = _dataset(data, training, asked, held_out)
    compared = _compared(samples, data, dataset, asked, training is not None)
    if tables is not None:
        compared = _both(compared, _judged(tables, seed))
    notes = (*compared.notes, *_unsaid(training))
    return dataclasses.replace(compared, settings={**given, **reading.asked, **compared.settings}, notes=notes)


def _unsaid(training: str | None) -> list[str]:
    return [] if training is not None else ["What the samples were made from is not known: give it as `training`."]


def _frames(sources: list[str], header: bool | None) -> dict[str, Frame | None]:
    """The table of each source that is a file of one, read once; None of others."""
    found: dict[str, Frame | None] = {}
    for source, own in zip(sources, headers_of(header, *sources), strict=True):
        if source not in found:
            is_file = is_table(source) and Path(source).is_file()
            found[source] = read_frame(Path(source), header=own) if is_file else None
    say(tuple(dict.fromkeys(note for frame in found.values() if frame is not None for note in frame.notes)))
    return found


def _tables(sources: list[str], frames: dict[str, Frame | None]) -> list[tuple[str, pd.DataFrame]] | None:
    """Samples, held-out rows and training rows where all are files of tables, else None."""
    known = [(source, frame) for source in sources if (frame := frames[source]) is not None]
    if len(known) < len(sources):
        return None
    return [(source, frame.table if frame.named else frame.table.set_axis(range(frame.table.shape[1]), axis=1))
            for source, frame in known]  # fmt: skip


def _is_points(table: tuple[str, pd.DataFrame]) -> bool:
    """Whether a table can be compared as points."""
    return is_numeric(table[1])


def _judged(tables: list[tuple[str, pd.DataFrame]], seed: int) -> Judgement:
    """Rows by themselves; columns without names are those in their places."""
    names = next((table.columns for _, table in tables if not _unnamed(table)), None)
    named = [_named(table, names) for _, table in tables]
    return judge(named[0], named[1], training=named[2] if len(named) > 2 else None, seed=seed)


def _unnamed(table: pd.DataFrame) -> bool:
    return list(table.columns) == list(range(table.shape[1]))


def _named(table: pd.DataFrame, names: pd.Index | None) -> pd.DataFrame:
    whole = names is not None and len(names) == table.shape[1] and _unnamed(table)
    return table.set_axis(names, axis=1) if whole else table


def _both(compared: Evaluation, found: Judgement) -> Evaluation:
    """The evaluation of points with the judgement of rows.

    Repeated records are far from all that is not equal to one: what nearest points say of samples is then left out. What
    both see is said once.
    """
    table, diagnoses, notes = judged(found, "the same rows by themselves")
    doubtful = {"missed part", *(("gibberish", "collapse", "memorization") if notes else ())}
    kept = [one for one in compared.diagnoses if one.name not in doubtful]
    return dataclasses.replace(
        compared,
        tables=(*compared.tables, table),
        diagnoses=(*kept, *diagnoses),
        notes=(*compared.notes, *notes),
    )


@dataclasses.dataclass(frozen=True)
class _Asked:
    """How samples are compared as points: as in `evaluate_files`."""

    title: str
    variance: float | None
    data_root: Path | None
    reading: ImageReading
    standardize: bool
    seed: int
    feature_weights: Path | None
    features: bool
    frames: dict[str, Frame | None]


def _compared(samples: str, data: str, dataset: Dataset, asked: _Asked, trained: bool) -> Evaluation:
    """Samples as points beside held-out points."""
    root = roots_of(asked.data_root, data, samples)[1]
    images = readings_of(asked.reading, data, samples)[1]
    double = dataset.schema.standardized or dataset.schema.shifted
    points, schema = load_points(
        samples, seed=asked.seed, data_root=root, double=double, images=images, frame=asked.frames[samples]
    )
    chosen = _chosen(samples, points, dataset, asked.seed)
    refuse_unlike(chosen, schema, dataset.schema, names=(samples, data))
    if (uneven := unevenness(dataset)) is not None:
        logger.warning(uneven)
    return evaluate_samples(
        dataset.schema.encode(chosen, samples),
        dataset,
        variance=default_variance(dataset.train.points, data) if asked.variance is None else asked.variance,
        feature_weights=asked.feature_weights,
        features=asked.features,
        title=asked.title,
        trained=trained,
    )


def _dataset(data: str, training: str | None, asked: _Asked, held_out: float | None) -> Dataset:
    """Training points and held-out ones: of a split, of a data set that comes with both, or of two files."""
    if training is None or (training == data and data in names()):
        root, images = roots_of(asked.data_root, data)[0], readings_of(asked.reading, data)[0]
        share = HELD_OUT if held_out is None else held_out
        return load(
            data, seed=asked.seed, data_root=root, held_out=share, standardize=asked.standardize, images=images,
            frame=asked.frames[data],
        )  # fmt: skip
    return _given_parts(training, data, asked)


def _given_parts(training: str, data: str, asked: _Asked) -> Dataset:
    """Training points, and all of other points held out."""
    roots, readings = roots_of(asked.data_root, training, data), readings_of(asked.reading, training, data)
    seed, double = asked.seed, asked.standardize
    frames = asked.frames[training], asked.frames[data]
    train, schema = load_points(
        training, seed=seed, data_root=roots[0], double=double, images=readings[0], frame=frames[0]
    )
    if isinstance(schema, Table):
        schema = schema.standardizing(torch.as_tensor(train)) if asked.standardize else schema.shifting(train)
    elif asked.standardize:
        raise InputError(f"{data} holds images, whose pixels share one scale; leave `standardize` out")
    double = schema.standardized or schema.shifted
    rest, other = load_points(data, seed=seed, data_root=roots[1], double=double, images=readings[1], frame=frames[1])
    refuse_unlike(rest, other, schema, names=(data, training))
    known, held_out = (part if isinstance(part, Tensor) else torch.as_tensor(np.array(part)) for part in (train, rest))
    name = data if data in names() else Path(data).name
    return Dataset.of(name, schema.encode(known), schema.encode(held_out, data), schema)


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
