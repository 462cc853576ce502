"""The kinds of model. A kind is a folder and a place in this tuple."""

from pathlib import Path
from typing import Any

from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import changed, refuse_useless
from contrastive_entropy.models.autoencoder import AUTOENCODER, AutoencoderSettings
from contrastive_entropy.models.codes import CODES, CodesSettings
from contrastive_entropy.models.conditional import CONDITIONAL, ConditionalSettings
from contrastive_entropy.models.generator import GENERATOR, GeneratorSettings
from contrastive_entropy.models.table import TABLE, TableSettings

KINDS = (GENERATOR, TABLE, CONDITIONAL, AUTOENCODER, CODES)
"""All there are, in the order of `fit --help`."""


def kind_of(settings: Any) -> Kind:
    """The kind that takes these settings.

    Raises:
        TypeError: none does.
    """
    for kind in KINDS:
        if type(settings) is kind.settings:
            return kind
    known = ", ".join(f"ce.{kind.settings.__name__}" for kind in KINDS)
    raise TypeError(f"expected one of {known}, got {type(settings).__name__}")


def fit(
    settings: Any,
    out: str | Path,
    *,
    machine: Machine | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Train a model into a run folder, as `contrastive-entropy fit` does.

    Args:
        settings: of a kind, such as `GeneratorSettings`, which name the data, too.
        out: the run folder; made, with its parents.
        machine: where it runs; None is the defaults.
        overwrite: replace a run that is there.
        progress: show a progress bar on standard error.

    Returns:
        The run: `run.sample(1000)`, `run.evaluate()`. `run.finished` is False if Ctrl-C stopped it.

    Raises:
        TypeError: settings of no kind.
        InputError: data, a value or the folder cannot be used.
        TrainingError: a term or a gradient is not finite.
        StoppedError: Ctrl-C stopped the fit of an autoencoder, whose codes were to be learnt; call again to continue.
    """
    from contrastive_entropy.fitting import trainer

    kind = kind_of(settings)
    refuse_useless(changed(settings), settings.useless)
    how: dict[str, Any] = {"machine": machine, "overwrite": overwrite, "progress": progress}
    settings, dataset = trainer.prepare(kind, settings, Path(out), **how)
    return trainer.fit(kind, settings, out, dataset, **how)


def open_run(folder: str | Path) -> Run:
    """A run that `fit` wrote.

    Raises:
        InputError: no run there, or of another version, or damaged.
    """
    return Run.open(folder, KINDS)


__all__ = [
    "KINDS",
    "AutoencoderSettings",
    "CodesSettings",
    "ConditionalSettings",
    "GeneratorSettings",
    "TableSettings",
    "fit",
    "kind_of",
    "open_run",
]
