"""Tables that the commands print, and the evaluation that ends a fit."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from contrastive_entropy.config import AutoencoderConfig
from contrastive_entropy.errors import InputError
from contrastive_entropy.metrics.diagnosis import Diagnosis
from contrastive_entropy.runs import EVALUATION, Run, write_json
from contrastive_entropy.spaces.inception import WEIGHTS

if TYPE_CHECKING:
    from contrastive_entropy.evaluation import Evaluation

FEW = 100
"""Points a side below which figures are said to be rough."""

MEANINGS = {
    "tightness": ("high", "F(model, data); 1 = the limit"),
    "debiased_tightness": ("high", "variety counted; about 1 = equal"),
    "energy_distance": ("low", "between the laws; about 0 = equal"),
    "column_distance": ("low", "that of the worst column by itself"),
    "precision": ("high", "samples that lie on the data"),
    "recall": ("high", "data that the samples reach"),
    "density": ("high", "real neighbourhoods per sample"),
    "coverage": ("high", "data with a sample close by"),
    "effective_rank": ("real", "kernel directions that are filled"),
    "far_share": ("low", "farther off than 99% of data"),
    "memorization": ("real", "nearer to training points than held-out ones"),
    "copies": ("low", "equal to a training point"),
}

INCEPTION_MEANINGS = {
    "inception_frechet": ("low", "FID, at this many points"),
    "inception_kernel": ("low", "KID; 0 = equal laws"),
    "inception_precision": ("high", "samples on the data, same features"),
    "inception_recall": ("high", "data reached, same features"),
}

BOUND_MEANINGS = {
    "points": "n",
    "dimension": "d",
    "variance": "v, of each point's Gaussian",
    "log_norm": "log <p,p>, nats",
    "renyi_entropy": "minus that, Renyi's quadratic entropy",
    "effective_points": "that stand alone at this v, 1 to n",
    "against_points": "m of the second set",
    "against_log_norm": "log <q,q>",
    "against_effective_points": "1 to m",
    "log_inner": "log <p,q>",
    "cauchy_schwarz_divergence": "log <p,p> + log <q,q> - 2 log <p,q>; 0 = equal",
    "mmd": "kernel exp(-|x-y|^2 / 4v); 0 = equal",
    "fidelity": "F, of the nuclear norm; 1 = equal",
    "bures_distance": "sqrt(2 - 2 F)",
    "cross_effective_rank": "directions that the two sets share",
    "seconds": "for the sums, and F",
}

RECONSTRUCTION_MEANINGS = {
    "best_error": ("low", "squared distance of an input to its nearest alternative"),
    "mean_error": ("real", "and to all of them"),
    "diversity": ("real", "distance between alternatives, over that of any two points"),
    "precision": ("high", "alternatives that lie on the data"),
    "far_share": ("low", "farther off than 99% of data"),
    "mean_preferred": ("low", "codes of training points at which a blur beats draws (E19)"),
    "purity": ("real", "alternatives of the input's own class"),
    "sharpness": ("1", "mean squared Laplacian over that of held-out images: 1 as sharp, near 0 a blur"),
    "clarity": ("high", "the classifier's confidence: blurs and superpositions lower it"),
}


def new_table(title: str, *headings: str) -> Table:
    """A table whose numbers are on the right."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("figure", "goal", "what it says") else "right")
    return table


def print_figures(title: str, figures: dict[str, Any], meanings: dict[str, str]) -> None:
    """A row for every figure that has a meaning."""
    table = new_table(title, "figure", "value", "what it says")
    for name, meaning in meanings.items():
        if name in figures:
            value = figures[name]
            table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.6g}", meaning)
    Console().print(table)


def evaluate_run(run: Run, *, seed: int, from_density: bool = False, feature_weights: Path | None = None) -> None:
    """Print the table, write evaluation.json and the figures.

    Raises:
        InputError: training has not finished, the data are gone or the folder cannot be written; from_density for an
            autoencoder, whose alternatives are centers; feature_weights for one, or that cannot be used.
    """
    if feature_weights is not None and isinstance(run.config, AutoencoderConfig):
        raise InputError(
            f"--feature-weights is for generators of images, and {run.folder} is an autoencoder; leave it out"
        )
    if from_density and isinstance(run.config, AutoencoderConfig):
        raise InputError("--from-density is for generators; an autoencoder's alternatives are compared as centers")
    try:
        if isinstance(run.config, AutoencoderConfig):
            paths = _evaluate_autoencoder(run, seed)
        else:
            paths = _evaluate_generator(run, seed, from_density, feature_weights)
    except OSError as error:
        raise InputError(f"cannot use {error.filename or run.folder} ({error.strerror})") from error
    for path in (*paths, run.folder / EVALUATION):
        typer.echo(f"wrote {path}")


def _evaluate_generator(run: Run, seed: int, from_density: bool, feature_weights: Path | None) -> list[Path]:
    from contrastive_entropy.evaluation import evaluate
    from contrastive_entropy.report import write_figures

    dataset = run.dataset()
    evaluation = evaluate(run, dataset, seed=seed, from_density=from_density, feature_weights=feature_weights)
    write_json(run.folder / EVALUATION, evaluation.as_dict())
    paths = write_figures(run, dataset.held_out.points, evaluation)
    print_evaluation(evaluation, f"{run.config.objective} on {Path(run.config.data).name}", fitted=True)
    end, asked = evaluation.settings["variance"], run.config.variance_end
    if asked is not None and end > 1.01 * asked:
        typer.echo(
            f"The variance ended at {end:.4g}, above the {asked:.4g} asked for: further down, too many samples would have had no "
            "data near them. Tightness compares at one variance only."
        )
    return paths


def print_evaluation(evaluation: "Evaluation", title: str, *, fitted: bool) -> None:
    """The table of samples beside real points, how to read it, and what is diagnosed: of a fit with what to change."""
    title += f", {evaluation.settings['points']} points a side, variance {evaluation.settings['variance']:.4g}"
    table = new_table(title, "figure", "model", "real", "goal", "what it says")
    for name, (goal, meaning) in (MEANINGS | INCEPTION_MEANINGS).items():
        if name in evaluation.model:
            table.add_row(name, _number(evaluation.model[name]), _number(evaluation.reference[name]), goal, meaning)
    console = Console()
    console.print(table)
    console.print(
        f"Tightness against its ceiling: [bold]{evaluation.relative_tightness:.3f}[/bold] = F(model, data) / F(data', data).\n"
        "At 1 the samples are as close to the held-out points as a second real sample\n"
        "('real' in the table: training points in the samples' place).",
        highlight=False,
    )
    inception = evaluation.settings.get("inception")
    if inception is not None and not inception["published_weights"]:
        note = f"The weights are not {WEIGHTS}: figures in their features are no FID and no KID."
        console.print(note, highlight=False, soft_wrap=True)
    if evaluation.settings["points"] < FEW:
        console.print(f"All of it is rough: {evaluation.settings['points']} points a side are few.", highlight=False)
    _print_diagnoses(console, evaluation.diagnoses, fitted=fitted)
    if not evaluation.diagnoses:
        console.print("Nothing is diagnosed.", highlight=False)


def _evaluate_autoencoder(run: Run, seed: int) -> list[Path]:
    from contrastive_entropy.reconstruction import evaluate_reconstruction
    from contrastive_entropy.report import write_reconstruction_figures

    dataset = run.dataset()
    evaluation = evaluate_reconstruction(run, dataset, seed=seed)
    write_json(run.folder / EVALUATION, evaluation.as_dict())
    paths = write_reconstruction_figures(run, evaluation)
    assert isinstance(run.config, AutoencoderConfig)
    name, centers = Path(run.config.data).name, run.config.centers
    bounds = new_table(f"bound (E15) of {centers} centers on {name}, nats", "figure", "train", "held out")
    for figure in evaluation.bounds["train"]:
        bounds.add_row(figure, *(_number(evaluation.bounds[part][figure]) for part in ("train", "held_out")))
    settings = evaluation.settings
    title = f"{settings['alternatives']} alternatives for each of {settings['inputs']} held-out inputs"
    table = new_table(title, "figure", "model", "real", "goal", "what it says")
    for figure, (goal, meaning) in RECONSTRUCTION_MEANINGS.items():
        if figure in evaluation.model:
            real = evaluation.reference.get(figure)
            shown = "" if real is None else _number(real)
            table.add_row(figure, _number(evaluation.model[figure]), shown, goal, meaning)
    console = Console()
    console.print(bounds)
    console.print(table)
    console.print(
        f"Held-out tightness: [bold]{evaluation.bounds['held_out']['tightness']:.3f}[/bold] = exp(value - limit); 1 = the "
        "decoder answers with the\nposterior itself. 'real': training points drawn from p(x|y) in the alternatives' place.",
        highlight=False,
    )
    _print_diagnoses(console, evaluation.diagnoses)
    return paths


def _print_diagnoses(console: Console, diagnoses: list[Diagnosis], *, fitted: bool = True) -> None:
    for found in diagnoses:
        text = str(found) if fitted else found.finding
        if not fitted and found.name == "blurred":
            text += ": lower --variance; tightness means little here"
        console.print(f"[bold]Diagnosis:[/bold] {text}", highlight=False, soft_wrap=True)


def _number(value: float) -> str:
    return f"{value:.5f}" if abs(value) < 0.01 else f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
