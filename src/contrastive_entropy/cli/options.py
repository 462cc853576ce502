"""What the commands share: options made from settings, errors in one line, and settings shown as flags."""

import functools
import inspect
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from contrastive_entropy.data.reading import ImageReading
from contrastive_entropy.errors import InputError, StoppedError, TrainingError
from contrastive_entropy.fitting.settings import (
    DATA,
    MACHINE,
    MODEL,
    OBJECTIVE,
    RARE,
    SHARED,
    TRAINING,
    Setting,
    reading_settings,
    settings_of,
)
from contrastive_entropy.spaces.inception import WEIGHTS

PANELS = (DATA, MODEL, OBJECTIVE, TRAINING, MACHINE, RARE)

DATA_HELP = (
    "Name (see `data list`), hub:owner/name, or path: .npy, .npz, .csv, .parquet and other tables, image folder."
)

DataRoot = Annotated[Path | None, typer.Option(help=SHARED["data_root"].says)]
Standardize = Annotated[bool, typer.Option("--standardize", help=SHARED["standardize"].says)]
Header = Annotated[bool | None, typer.Option("--header/--no-header", help=SHARED["header"].says)]
ReplaceFile = Annotated[bool, typer.Option("--overwrite", help="Replace the file.")]
FromDensity = Annotated[
    bool, typer.Option("--from-density", help="Add noise of the density's variance to the centers.")
]
FeatureWeights = Annotated[
    Path | None,
    typer.Option(help=f"Also FID, KID, precision and recall of images: torch-fidelity's {WEIGHTS}, never downloaded."),
]
Features = Annotated[
    bool,
    typer.Option(
        "--features/--no-features",
        help="Also compare images in EfficientNet-Lite0 features, if its package is installed; some 5 ms an image.",
    ),
]
Variance = Annotated[
    float | None, typer.Option(help="Of the density, data units squared. \\[default: as `fit` ends, of DATA]")
]


def asked_of_kind(from_density: bool, feature_weights: Path | None, features: bool) -> dict[str, Any]:
    """What was asked of a kind's evaluation: what it does by itself is left out, as not every kind knows all of it."""
    asked = {"from_density": from_density, "feature_weights": feature_weights}
    return {name: value for name, value in asked.items() if value} | ({} if features else {"features": False})


def flag(name: str) -> str:
    """A setting as the command line has it."""
    return "--" + name.replace("_", "-")


def parameter(setting: Setting, *, panel: str | None = None, default: Any = None) -> inspect.Parameter:
    """The option of a setting.

    Args:
        setting: with its `Option`.
        panel: of `--help`, if another than the setting's.
        default: None is the setting's own.
    """
    option, own = setting.option, setting.default if default is None else default
    says = option.says if own is not None or option.chosen is None else f"{option.says} \\[default: {option.chosen}]"
    says = re.sub(r"`([a-z]+_[a-z_]+)`", lambda found: flag(found[1]), says)
    names = (flag(setting.name),) if own is False else ()  # one that is on has --no-NAME, too
    kind: Any = setting.kind if own is not None else setting.kind | None
    annotation = Annotated[kind, typer.Option(*names, help=says, rich_help_panel=panel or option.panel)]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=own, annotation=annotation)


def extra(name: str, kind: Any, default: Any, says: str, *, panel: str = TRAINING) -> inspect.Parameter:
    """An option that is no setting."""
    names = (flag(name),) if kind is bool else ()
    annotation = Annotated[kind, typer.Option(*names, help=says, rich_help_panel=panel)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parameters_of(kind: type, *, without: Sequence[str] = ()) -> list[inspect.Parameter]:
    """The options of a settings class."""
    return [parameter(setting) for setting in settings_of(kind) if setting.name not in without]


def add_command(
    app: typer.Typer,
    name: str,
    says: str,
    parameters: Sequence[inspect.Parameter],
    run: Callable[[dict[str, Any], dict[str, Any]], None],
) -> None:
    """Add a command whose options are known as data.

    Args:
        app: to add it to.
        name: of the command.
        says: its help.
        parameters: its options; `--help` shows them by panel.
        run: called with all values by name, and with those that were typed.
    """

    def call(context: typer.Context, **values: Any) -> None:
        with errors_in_one_line():
            run(values, {name: value for name, value in values.items() if _typed(context, name)})

    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    ordered = [context, *sorted(parameters, key=lambda parameter: PANELS.index(_panel(parameter)))]
    call.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    call.__doc__ = says
    app.command(name)(call)


def _panel(parameter: inspect.Parameter) -> str:
    panel: str = parameter.annotation.__metadata__[0].rich_help_panel
    return panel


def _typed(context: typer.Context, name: str) -> bool:
    """Whether an option was given."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def reading_images(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes `reading`, an `ImageReading`, with a fit's options of how images are read in its place."""
    asked = reading_settings()
    own = [parameter for name, parameter in inspect.signature(function).parameters.items() if name != "reading"]

    @functools.wraps(function)
    def call(**values: Any) -> None:
        reading = ImageReading(**{setting.name: values.pop(setting.name) for setting in asked})
        function(**values, reading=reading)

    ordered = [*own, *(parameter(setting, panel="Folders of images") for setting in asked)]
    call.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return call


def in_one_line(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors take one line."""

    @functools.wraps(function)
    def call(*args: Any, **values: Any) -> None:
        with errors_in_one_line():
            function(*args, **values)

    return call


def with_flags(text: str) -> str:
    """A message of the library, in which `settings` stand in backticks, with the flags that people type."""
    known = _known_options()
    return re.sub(r"`([a-z_]+)`", lambda found: known.get(found[1], found[0]), text)


@functools.cache
def _known_options() -> dict[str, str]:
    """The flag of every option of every command."""
    from contrastive_entropy.cli.app import app

    found: dict[str, str] = {}
    pending: list[Any] = [typer.main.get_command(app)]
    while pending:
        command = pending.pop()
        pending += getattr(command, "commands", {}).values()
        options = [option for option in command.params if option.param_type_name == "option"]
        found |= {option.name: _spelling(option) for option in options}
    return found


def _spelling(option: Any) -> str:
    """An option as it is typed: --NAME, or --NAME/--no-NAME where neither is what happens by itself."""
    longest = max(option.opts, key=len)
    return "/".join([longest, *option.secondary_opts]) if option.default is None else longest


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """InputError: exit code 2; TrainingError: 1; StoppedError: 130; none has a traceback. Warnings take one line, too."""
    show = warnings.showwarning
    notices = logging.getLogger("contrastive_entropy")
    handler = _Notices()
    notices.addHandler(handler)
    notices.setLevel(logging.INFO)
    warnings.showwarning = lambda message, *_, **__: typer.echo(f"warning: {with_flags(str(message))}", err=True)
    try:
        yield
    except StoppedError as error:
        typer.echo(with_flags(str(error)), err=True)
        raise typer.Exit(130) from None
    except InputError as error:
        typer.echo(f"error: {with_flags(str(error))}", err=True)
        raise typer.Exit(2) from None
    except TrainingError as error:
        typer.echo(f"training stopped: {with_flags(str(error))}", err=True)
        raise typer.Exit(1) from None
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):
            raise
        typer.echo("error: not enough memory for so many points; ask for fewer", err=True)
        raise typer.Exit(2) from None
    finally:
        warnings.showwarning = show
        notices.removeHandler(handler)


class _Notices(logging.Handler):
    """The library's notices, e.g. of a download, on standard error; each once, though a fit reads its data twice."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = with_flags(record.getMessage())
        if text not in self.said:
            self.said.add(text)
            typer.echo(text, err=True)
