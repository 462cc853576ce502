"""How good samples made of a class are: the right class, its variety, and tightness class by class."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.catalog import CLASS_METRICS, figures
from contrastive_entropy.metrics.classes import LEAST, ByClass
from contrastive_entropy.metrics.diagnosis import diagnose_classes
from contrastive_entropy.metrics.evaluation import MODEL, REFERENCE, Evaluation, Headline, Table, evaluate_comparison
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.metrics.samples import Comparison, Counts
from contrastive_entropy.models.codes.space import compared_variance
from contrastive_entropy.models.conditional.sampler import ConditionalSampler
from contrastive_entropy.spaces.classifier import Classifier
from contrastive_entropy.spaces.images import image_spaces

READING = "mean over classes; about 1 is as close to the held-out points of a class as a second real sample of it."
"""How the headline is read."""

EPOCHS, SEEN = (10, 200), 300_000
"""Passes of the classifier, at least and at most, and rows that it sees in all where that lies between."""

LISTED = 20
"""Classes with a row of their own, at most: the worst."""


@torch.no_grad()
def evaluate_classes(
    run: Run, dataset: Dataset, *, seed: int, feature_weights: Path | None = None, features: bool = True
) -> Evaluation:
    """Make a sample of the class of every held-out point and compare class by class.

    Args:
        run: finished, of samples given a class.
        dataset: what `run.dataset()` returned.
        seed: of the samples.
        feature_weights, features: as in a generator's evaluation.

    Returns:
        Evaluation with the tables `samples`, of all classes together, `classes`, and `tightness`, a row for each class.
        The arrays are generated (n, d) and labels (n,).

    Raises:
        InputError: training has not finished, or too few points to compare; with feature_weights, as `Inception`.
    """
    train, held_out = dataset.train, dataset.held_out
    require_enough(dataset.name, len(train), len(held_out))
    network: ConditionalSampler = run.network()
    generator = torch.Generator().manual_seed(seed)
    counts = Counts.of(len(train), len(held_out))
    labels = _labels(held_out)
    again = labels[torch.randperm(len(labels), generator=generator)[: counts.again]]
    asked = torch.cat([labels[: counts.points], again])
    samples = network.draw(asked.unsqueeze(1).float(), generator=generator)
    variance = compared_variance(network, train.points)
    spaces, said = image_spaces(dataset.image_shape, features=features, feature_weights=feature_weights)
    reachable = network.reachable(train.points[: len(samples)])
    title = f"{run.plan.objective} on {Path(run.settings.data).name}"
    whole = evaluate_comparison(
        Comparison(samples, train.points, held_out.points, variance, dataset.image_shape, spaces, reachable=reachable),
        title,
        settings={"seed": seed},
        steps=run.plan.steps,
        notes=said,
    )
    made = samples[: counts.points], asked[: counts.points]
    classifier = _classifier(train)

    def side(points: Tensor, own: Tensor, *judged: Tensor) -> ByClass:
        accuracy = classifier.accuracy(dataset.schema.decode(judged[0]), judged[1])
        return ByClass(points, own, accuracy, held_out.points, labels, variance)

    sides = {
        MODEL: side(*made, *made),
        REFERENCE: side(*_real(train, labels, generator), held_out.points, labels),
    }
    found = _with_classes(whole, sides, run, f"accuracy: of {classifier.name}; real: of held-out points.")
    return dataclasses.replace(found, arrays=dict(zip(("generated", "labels"), made, strict=True)))


def _with_classes(whole: Evaluation, sides: dict[str, ByClass], run: Run, note: str) -> Evaluation:
    """The evaluation of all samples together, with the tables of their classes."""
    model, columns = sides[MODEL], {name: figures(CLASS_METRICS, one) for name, one in sides.items()}
    found = [*whole.diagnoses, *diagnose_classes(columns[MODEL], columns[REFERENCE], steps=run.plan.steps)]
    tables = [*whole.tables, Table("classes", "given the class", columns, CLASS_METRICS)]
    headline, notes = whole.headline, [*whole.notes, note]
    if model.tightness:
        headline = Headline("class_tightness", columns[MODEL]["class_tightness"], READING)
        tables.append(_by_class(sides, run.plan.model.levels))
    missing = len(model.held_out_labels.unique()) - len(model.tightness)
    if missing:
        notes.append(f"{missing} classes have fewer than {LEAST} held-out points, and no figures of their own.")
    return dataclasses.replace(
        whole,
        headline=headline,
        tables=tuple(tables),
        diagnoses=tuple({one.name: one for one in found}.values()),
        notes=tuple(notes),
    )


def _classifier(train: Part) -> Classifier:
    epochs = min(max(SEEN // len(train), EPOCHS[0]), EPOCHS[1])
    return Classifier(train.points, _labels(train), hidden=(256, 64), epochs=epochs)


def _labels(part: Part) -> Tensor:
    assert part.given is not None
    return part.given[:, 0].long()


def _real(train: Part, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Training points in the samples' place: of every class as many as are held out, or all that there are."""
    own, rows = _labels(train), []
    for label, count in zip(*labels.unique(return_counts=True), strict=True):
        members = torch.nonzero(own == label)[:, 0]
        rows.append(members[torch.randperm(len(members), generator=generator)[: int(count)]])
    chosen = torch.cat(rows)
    return train.points[chosen], own[chosen]


def _by_class(sides: dict[str, ByClass], levels: tuple[str, ...]) -> Table:
    """Tightness of each class; of many the worst."""
    model, real = (sides[name].tightness for name in (MODEL, REFERENCE))
    shown = sorted(sorted(model, key=lambda label: model[label])[:LISTED])
    title = "tightness, class by class" if len(model) <= LISTED else f"tightness of the {LISTED} worst classes"
    columns = {
        name: {levels[label]: known[label] for label in shown if label in known}
        for name, known in ((MODEL, model), (REFERENCE, real))
    }
    return Table("tightness", title, columns)
