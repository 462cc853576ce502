"""`contrastive-entropy experiment NAME`, made from the settings of each experiment."""

import dataclasses
import importlib
import inspect
import math
from functools import partial
from pathlib import Path
from typing import Any

import typer

from contrastive_entropy.cli import options
from contrastive_entropy.errors import InputError
from contrastive_entropy.experiments import settings as experiments
from contrastive_entropy.fitting.settings import DATA, RARE, check, refuse_useless, settings_of
from contrastive_entropy.models.autoencoder.network import CODES
from contrastive_entropy.storage import write_atomically

experiment_app = typer.Typer(
    help="Reproduce a figure: runs, JSON, PNG and a paragraph of reading into --out; the same command continues.",
    no_args_is_help=True,
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A command.

    Args:
        name: of the command; its module has the same, with underscores.
        says: its help.
        settings: what may be asked.
        quick: changes that `--quick` makes.
    """

    name: str
    says: str
    settings: type[Any]
    quick: dict[str, Any]


EXPERIMENTS = (
    Experiment(
        "compare",
        "Every objective beside the losses that people would use instead: same network, steps, data and batches.",
        experiments.CompareSettings,
        experiments.COMPARE_QUICK,
    ),
    Experiment(
        "variance-sweep",
        "Diversity and meaning over the variance, and where the variance chosen from the data falls.",
        experiments.VarianceSweepSettings,
        experiments.VARIANCE_SWEEP_QUICK,
    ),
    Experiment(
        "mode-coverage",
        "Modes reached, share of samples on one, and evenness, beside the published figures.",
        experiments.ModeCoverageSettings,
        experiments.MODE_COVERAGE_QUICK,
    ),
    Experiment(
        "predicted-laws",
        "The law of y given x, of tables and of laws of known form, beside what people would use instead.",
        experiments.PredictedLawsSettings,
        experiments.PREDICTED_LAWS_QUICK,
    ),
    Experiment(
        "outliers",
        "Predicted laws of tables with outliers among the targets: likelihood, the robust fit, and the rows dropped.",
        experiments.OutliersSettings,
        experiments.OUTLIERS_QUICK,
    ),
    Experiment(
        "tables",
        "Samples of mixed tables beside those of what people use today, and beside real rows; with what a fit takes.",
        experiments.TablesSettings,
        experiments.TABLES_QUICK,
    ),
    Experiment(
        "class-conditional",
        "Samples made of a class: is the class right, are they varied, and how tight is every class.",
        experiments.ClassConditionalSettings,
        experiments.CLASS_CONDITIONAL_QUICK,
    ),
    Experiment(
        "bound-tracking",
        "Tightness of the conditional bound against the number of centers, with its limit and (E19).",
        experiments.BoundTrackingSettings,
        experiments.BOUND_TRACKING_QUICK,
    ),
    Experiment(
        "reconstruction-diversity",
        "Many alternatives for one input, beside the plain autoencoder's mean.",
        experiments.ReconstructionDiversitySettings,
        experiments.RECONSTRUCTION_DIVERSITY_QUICK,
    ),
)


def _add(experiment: Experiment) -> None:
    default = experiment.settings()
    parameters = [
        options.extra("out", Path, inspect.Parameter.empty, "Folder of the experiment.", panel=DATA),
        options.extra(
            "quick", bool, False, "A minute's version, to see how it works: no figures to rely on.", panel=RARE
        ),
    ]
    if hasattr(default, "fit"):
        for setting in settings_of(type(default.fit)):
            if setting.name not in experiment.settings.SETS:
                parameters.append(options.parameter(setting, default=getattr(default.fit, setting.name)))
    for setting in settings_of(experiment.settings):
        value = setting.default
        if isinstance(value, tuple):
            setting = dataclasses.replace(setting, kind=str, default=",".join(map(str, value)))
        parameters.append(options.parameter(setting))
    options.add_command(experiment_app, experiment.name, experiment.says, parameters, partial(_run, experiment))


def _run(experiment: Experiment, values: dict[str, Any], typed: dict[str, Any]) -> None:
    out, name = values["out"], experiment.name
    module = importlib.import_module(f"contrastive_entropy.experiments.{name.replace('-', '_')}")
    try:
        found = module.run(_settings(experiment, values, typed), out)
        table, reading = module.table(found), module.reading(found)
        write_atomically(out / f"{name}.md", f"{table}\n\n{reading}\n".encode())
    except OSError as error:
        raise InputError(f"cannot use {error.filename or out} ({error.strerror}); choose another --out") from error
    typer.echo(reading)
    for suffix in ("json", "png", "md"):
        typer.echo(f"wrote {out / f'{name}.{suffix}'}")


def _settings(experiment: Experiment, values: dict[str, Any], typed: dict[str, Any]) -> Any:
    """What the options ask for; with --quick, what was not typed is made small."""
    own = {}
    for setting in settings_of(experiment.settings):
        value = values[setting.name]
        own[setting.name] = (
            _listed(setting.name, value, setting.default) if isinstance(setting.default, tuple) else value
        )
    if values["quick"]:
        changes = {name: value for name, value in experiment.quick.items() if name not in typed}
        values = values | changes
        own |= {name: value for name, value in changes.items() if name in own}
    default = experiment.settings()
    if hasattr(default, "fit"):
        known = {setting.name for setting in settings_of(type(default.fit))} - set(experiment.settings.SETS)
        fit = dataclasses.replace(default.fit, **{name: values[name] for name in known})
        if "codes" in known and "codes" not in typed and fit.body == "convolutional":
            fit = dataclasses.replace(fit, codes=CODES[1])  # heads of whole images are large
        refuse_useless({name: value for name, value in typed.items() if name in known}, fit.useless)
        own["fit"] = fit
    settings = experiment.settings(**own)
    check(settings)
    return settings


def _listed(name: str, text: str, default: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values with commas between them, of the default's type; each counts once."""
    words = tuple(part.strip() for part in text.split(",") if part.strip() or default)
    values: tuple[Any, ...] = words
    kind = type(default[0]) if default else str
    if kind is int:
        values = _integers(name, words, least=0 if name == "seeds" else 1)
    elif kind is float:
        values = _factors(name, words)
    twice = {value for value in values if values.count(value) > 1}
    if twice:
        raise InputError(f"--{name} names {min(twice)} twice; each counts once")
    return values


def _factors(name: str, words: tuple[str, ...]) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        raise InputError(f"--{name} must be numbers with commas between them, got {','.join(words)!r}") from None
    if not all(0 < value < math.inf for value in values):
        raise InputError(f"--{name} must be positive numbers, got {','.join(words)!r}")
    return values


def _integers(name: str, words: tuple[str, ...], *, least: int) -> tuple[int, ...]:
    try:
        values = tuple(int(word) for word in words)
    except ValueError:
        raise InputError(
            f"--{name} must be whole numbers with commas between them, such as 1,2,5; got {','.join(words)!r}"
        ) from None
    if min(values) < least:
        raise InputError(f"--{name} must be at least {least}, got {min(values)}")
    return values


for _experiment in EXPERIMENTS:
    _add(_experiment)
