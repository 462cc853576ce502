"""What the commands share: options with their help, and errors in one line."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from contrastive_entropy.config import (
    ADAPTIVE,
    ANNEAL_MOST,
    ANNEAL_PACE,
    BODIES,
    PRECISIONS,
    SCHEDULES,
    SEEDS,
    AutoencoderConfig,
    Config,
    FitConfig,
)
from contrastive_entropy.data.load import located, names
from contrastive_entropy.errors import InputError, TrainingError

DATA_HELP = "Name (see `data list`), hub:owner/name, or path: .npy, .npz, .csv, .parquet, image folder."

Data = Annotated[str, typer.Option(help=DATA_HELP)]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with copies of hub data sets, e.g. DIR/mnist.")]
Points = Annotated[int | None, typer.Option(help="Train on so many of the points. \\[default: all]")]
Out = Annotated[Path | None, typer.Option(help="Run folder. \\[default: runs/DATA-OBJECTIVE]")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out, exactly.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")]
ReplaceFile = Annotated[bool, typer.Option("--overwrite", help="Replace the file.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps.")]
BatchSize = Annotated[int, typer.Option(help="Data points per step.")]
GeneratorBatch = Annotated[
    int,
    typer.Option(help="Data points per step; of debiased_nuclear_norm, so many for each half of the generated points."),
]
Components = Annotated[int, typer.Option(help="Generated points per step.")]
NoiseDimension = Annotated[
    int | None, typer.Option(help="Of the noise codes. \\[default: twice the data's, at most 32]")
]
LearningRate = Annotated[float, typer.Option(help="Of Adam; falls to 0 at the end.")]
GeneratorRate = Annotated[
    float | None,
    typer.Option(help="Of Adam; falls to 0 at the end. \\[default: 3e-3; beyond a width of 256, 3e-3 x 256 / width]"),
]
AverageFraction = Annotated[
    float,
    typer.Option(help="Share of the steps so far over which the weights are averaged. 0: the last step's weights."),
]
_DECAY = "Share of the steps, at the end, in which the learning rate falls to 0. 0: never."
DecayFraction = Annotated[float, typer.Option(help=_DECAY)]
DecayBehindAnnealing = Annotated[
    float | None, typer.Option(help=f"{_DECAY} \\[default: those after annealing, a tenth at least]")
]
CoarseEvery = Annotated[
    int | None,
    typer.Option(
        help="Every so many steps the objective sees a larger variance, up to the start's, so that separate parts keep "
        "their shares. 0: never. \\[default: 2 for debiased_nuclear_norm, 4 beside --fine-every, else 0]"
    ),
]
FineEvery = Annotated[
    int | None,
    typer.Option(
        help="With --principal-components, every so many steps the objective sees the finer ones alone, so that they are "
        "learnt, too. 0: never. \\[default: 4 for debiased_nuclear_norm, else 0]"
    ),
]
Variance = Annotated[
    float | None, typer.Option(help="Of the density, data units squared. \\[default: as `fit` ends, of DATA]")
]
VarianceStart = Annotated[
    float | None,
    typer.Option(
        help="Of the density, data units squared, standardized ones if so. \\[default: half the median squared distance]"
    ),
]
VarianceEnd = Annotated[
    float | None,
    typer.Option(
        help="Where it falls to: the finest detail that is asked for. \\[default: from near-neighbour distances]"
    ),
]
_ANNEAL = "Share of the steps in which the variance falls; 0: fixed at its end."
AnnealFraction = Annotated[float, typer.Option(help=_ANNEAL)]
GeneratorAnnealFraction = Annotated[
    float | None,
    typer.Option(
        help=f"{_ANNEAL} \\[default: {ANNEAL_MOST:g}, of "
        f"debiased_nuclear_norm in all coordinates at most {ANNEAL_PACE:g} x log(start / end)]"
    ),
]
Schedule = Annotated[
    str,
    typer.Option(
        help=f"How the variance falls: {', '.join(SCHEDULES)}; {ADAPTIVE} waits for samples without data "
        "near them and may end higher."
    ),
]
Body = Annotated[str, typer.Option(help=f"Network: {' or '.join(BODIES)} (images).")]
Width = Annotated[int, typer.Option(help="Of the hidden layers; channels at full size if convolutional.")]
Depth = Annotated[int, typer.Option(help="Hidden layers of the MLP, also of the one before the convolutions.")]
Decoder = Annotated[str | None, typer.Option(help=f"Body of the decoder: {', '.join(BODIES)}. \\[default: as --body]")]
DecoderWidth = Annotated[
    int | None, typer.Option(help="Of the decoder; needed if its body is another. \\[default: as --width]")
]
Frequencies = Annotated[
    int,
    typer.Option(help="Waves of the code that the decoder sees, the fastest of period 2^(2 - N); 0: the code alone."),
]
PrincipalComponents = Annotated[
    int,
    typer.Option(
        help="Directions of the data that an MLP writes in, and in which training evaluates the objective: far faster on large "
        "images. As many as training points: distances stay exact; more are cut to that. 0: all coordinates."
    ),
]
Standardize = Annotated[
    bool,
    typer.Option(
        "--standardize",
        help="Bring every column of a table to mean 0 and deviation 1. Variances, figures and pictures are of these columns; "
        ".csv and .npz files of samples are in the data's own units.",
    ),
]
HeldOut = Annotated[float, typer.Option(help="Share of a file's points to hold out.")]
Seed = Annotated[int, typer.Option(help="Same seed, same machine: same bytes.")]
Accelerator = Annotated[
    str,
    typer.Option(help="auto (a CUDA device if there is one, else the CPU), or as Lightning takes it: cpu, gpu, ..."),
]
Devices = Annotated[str, typer.Option(help="As Lightning takes it: 1, 2, auto, 0,1 ...")]
TrackEvery = Annotated[int | None, typer.Option(help="Steps between rows of bounds.csv. \\[default: 20 rows in all]")]
Precision = Annotated[
    str, typer.Option(help=f"Of the network, {', '.join(PRECISIONS)}; the objective is evaluated in float32 or better.")
]
LogEvery = Annotated[int, typer.Option(help="Steps between rows of metrics.csv.")]
CheckpointEvery = Annotated[int, typer.Option(help="Steps between checkpoints.")]


def given_options(context: typer.Context, names: "list[str]") -> dict[str, Any]:
    """Those of the options that were typed, with their values; paths as a run keeps them."""
    values = {name: context.params[name] for name in names if _is_given(context, name)}
    if "data" in values:
        values["data"] = located(values["data"])
    if values.get("data_root") is not None:
        values["data_root"] = str(Path(values["data_root"]).absolute())
    return values


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_changes(config: Config, given: dict[str, Any]) -> None:
    """A resumed run keeps its settings.

    Raises:
        InputError: one of the given values differs.
    """
    for name, value in given.items():
        if value != getattr(config, name):
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{flag} {value} differs from the run's {getattr(config, name)}: a resumed run keeps its settings. Leave it out, "
                "or start anew with --overwrite instead of --resume"
            )


def refuse_ignored(config: Config, given: dict[str, Any]) -> None:
    """Options that were typed and would do nothing.

    Raises:
        InputError: there is one.
    """
    ignored: dict[str, tuple[bool, str]] = {
        "held_out": (config.data in names(), f"{config.data} comes with held-out points"),
        "variance_start": (
            config.anneal_fraction == 0 and not (isinstance(config, FitConfig) and config.coarse_period),
            "with --anneal-fraction 0 the variance is fixed at its end",
        ),
        "schedule": (config.anneal_fraction == 0, "with --anneal-fraction 0 nothing falls"),
    }
    if isinstance(config, AutoencoderConfig):
        ignored |= {
            "code_dimension": (
                config.codes in ("one_hot", "heads"),
                f"codes {config.codes} have no dimension of their own",
            ),
            "feature_variance_start": (config.anneal_fraction == 0, "with --anneal-fraction 0 nothing falls"),
        }
    for name, (useless, reason) in ignored.items():
        if name in given and useless:
            raise InputError(f"--{name.replace('_', '-')} would be ignored: {reason}; leave it out")


PICTURE_OR_NUMBERS = (".npz", ".png")
SAMPLES = (*PICTURE_OR_NUMBERS, ".csv")


def check_output(out: Path | None, *, overwrite: bool, suffixes: tuple[str, ...] = ()) -> None:
    """A file to be written is not there yet, or may be replaced, and ends as it should.

    Raises:
        InputError: it does not.
    """
    if out is None:
        return
    if suffixes and out.suffix.lower() not in suffixes:
        raise InputError(f"--out must end in {' or '.join(suffixes)}, got {out.name}")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; replace it with --overwrite, or choose another --out")


def check_number_and_seed(number: int, seed: int) -> None:
    """Raise InputError for a number below 1 or a seed out of range."""
    if number < 1 or not 0 <= seed < SEEDS:
        raise InputError(f"-n must be at least 1 and --seed from 0 to 2^32 - 1, got {number} and {seed}")


def check_seed(seed: int) -> None:
    """Raise InputError for a seed out of range."""
    if not 0 <= seed < SEEDS:
        raise InputError(f"--seed must lie from 0 to 2^32 - 1, got {seed}")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Makes the folder; what cannot be written is an InputError."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror}); choose another --out") from error


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """InputError: exit code 2; TrainingError: 1; both without a traceback. Warnings take one line, too."""
    show = warnings.showwarning
    notices = logging.getLogger("contrastive_entropy")
    handler = _Notices()
    notices.addHandler(handler)
    notices.setLevel(logging.INFO)
    warnings.showwarning = lambda message, *_, **__: typer.echo(f"warning: {message}", err=True)
    try:
        yield
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except TrainingError as error:
        typer.echo(f"training stopped: {error}", err=True)
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
    """The library's notices, e.g. of a download, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)
