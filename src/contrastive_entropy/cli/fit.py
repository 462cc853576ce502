"""`contrastive-entropy fit KIND`, made from the settings of each kind."""

import dataclasses
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import typer

from contrastive_entropy.cli import options
from contrastive_entropy.cli.run import evaluate_run
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.contract import Kind
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.fitting.run import CONFIG, Run, absolute
from contrastive_entropy.fitting.settings import refuse_changes, refuse_useless, settings_of
from contrastive_entropy.models import KINDS, open_run

fit_app = typer.Typer(help="Train a model into a run folder.", no_args_is_help=True)


def add_fit(app: typer.Typer, kind: Kind) -> None:
    """Add `fit KIND` to an app."""
    without = ("track_every",) if kind.track is None else ()
    parameters = [
        *options.parameters_of(kind.settings),
        options.extra("out", Path | None, None, f"Run folder. \\[default: runs/{kind.settings.FOLDER}]"),
        options.extra("resume", bool, False, "Continue the interrupted run in --out, exactly."),
        options.extra("overwrite", bool, False, "Replace the run in --out."),
        *options.parameters_of(Machine, without=without),
    ]
    options.add_command(app, kind.name, kind.says, parameters, partial(_fit, kind))


def _fit(kind: Kind, values: dict[str, Any], typed: dict[str, Any]) -> None:
    """Fit or resume, then evaluate."""
    settings = kind.settings(**{setting.name: values[setting.name] for setting in settings_of(kind.settings)})
    known = {field.name for field in dataclasses.fields(kind.settings)}
    given = {name: value for name, value in typed.items() if name in known}
    machine = {setting.name: values[setting.name] for setting in settings_of(Machine) if setting.name in values}
    folder = values["out"] or Path("runs") / settings.folder
    if values["resume"] and values["overwrite"]:
        raise InputError("--resume continues the run and --overwrite replaces it: give one of them")
    first = None if kind.first is None else kind.first(settings, folder)
    begun = first is not None and not (folder / CONFIG).is_file() and (first.folder / CONFIG).is_file()
    if values["resume"] and not begun:
        settings = settings if first is None else first.then
        if values["out"] is None and not folder.exists():
            raise InputError(f"--resume needs --out, the folder of the run: there is none at its default, {folder}")
        opened = _of_kind(open_run(folder), kind)
        refuse_changes(opened.settings, {name: getattr(absolute(settings), name) for name in given})
        from contrastive_entropy.fitting import trainer

        changed = {name: value for name, value in typed.items() if name in machine}
        run = trainer.resume(opened, machine=dataclasses.replace(opened.machine, **changed), progress=True)
    else:
        refuse_useless(given, settings.useless)
        from contrastive_entropy.fitting import trainer

        how: dict[str, Any] = {"machine": Machine(**machine), "overwrite": values["overwrite"], "progress": True}
        settings, dataset = trainer.prepare(kind, settings, folder, **how)
        run = trainer.fit(kind, settings, folder, dataset, **how)
    if not trainer.is_main_process():
        return
    if not run.finished:
        typer.echo(f"stopped; continue with: {resume_command(run)}", err=True)
        raise typer.Exit(130)
    evaluate_run(run, seed=1)


def _of_kind(run: Run, kind: Kind) -> Run:
    if run.kind.name != kind.name:
        raise InputError(f"{run.folder} holds a run of kind {run.kind.name}; continue with: {resume_command(run)}")
    return run


def resume_command(run: Run) -> str:
    """The command that continues this run."""
    return f"contrastive-entropy fit {run.kind.name} --out {shlex.quote(str(run.folder))} --resume"


for _kind in KINDS:
    add_fit(fit_app, _kind)
