"""`contrastive-entropy reconstruct` and `limit`: what a trained autoencoder answers, and what it could reach."""

import io
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from torch import Tensor

from contrastive_entropy.data.schema import image_shape_of
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.fitting.settings import check_number_and_seed, check_seed
from contrastive_entropy.report.terminal import print_figures
from contrastive_entropy.storage import check_output, write_atomically, write_json, writing

SUFFIXES = (".npz", ".png")
"""Of files that `reconstruct` writes."""

ReplaceFile = Annotated[bool, typer.Option("--overwrite", help="Replace the file.")]

LIMIT_MEANINGS = {
    "points": "n of the joint density",
    "conditions": "y at which p(x|y) was evaluated",
    "limit": "log E ||p(.|y)||^2, nats: no decoder passes it",
    "limit_error": "its standard error over y; 0: a quadrature",
    "neighbors": "effective posterior neighbours, 1 / B",
    "value": "what the trained decoder reaches (E15)",
    "gap": "limit - value",
    "tightness": "exp(-gap)",
    "iid_tightness": "if centers were draws from p(x|y) (E19)",
    "limit_seconds": "for the limit",
    "seconds": "in all, without loading",
}


def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run folder of `fit autoencoder`.")],
    out: Annotated[Path, typer.Option(help=f"File to write: {' or '.join(SUFFIXES)}.")],
    index: Annotated[list[int] | None, typer.Option(help="Held-out points, by number; repeat it for more.")] = None,
    source: Annotated[
        Path | None, typer.Option("--input", help="Instead: a file or a folder of images, or a single image.")
    ] = None,
    number: Annotated[int, typer.Option("-n", "--number", help="Alternatives of each input.")] = 16,
    seed: Annotated[int, typer.Option(help="Same seed, same alternatives.")] = 0,
    overwrite: ReplaceFile = False,
) -> None:
    """Alternatives for inputs: .png shows each input with its alternatives, .npz holds `inputs` and `alternatives`.

    Of a run with --standardize, .npz is in the data's units, and --input too; .png shows the standardized columns.
    """
    check_number_and_seed(number, seed)
    check_output(out, overwrite=overwrite, suffixes=SUFFIXES)
    if index and source is not None:
        raise InputError("give --index or --input, not both")
    import torch

    from contrastive_entropy.models.autoencoder.inputs import read_inputs
    from contrastive_entropy.report.drawing import alternatives_figure, png_bytes

    opened = _opened(run)
    network = opened.network()
    inputs = read_inputs(opened, source, index or None)
    alternatives = network.reconstruct(inputs, number, generator=torch.Generator().manual_seed(seed))
    if out.suffix.lower() == ".png":
        content = png_bytes(alternatives_figure(inputs, alternatives, opened.schema, rows=len(inputs)))
    else:
        shape = image_shape_of(opened.schema) or (opened.schema.dimension,)
        stream = io.BytesIO()
        np.savez(
            stream,
            inputs=_in_units(opened, inputs).reshape(-1, *shape).numpy(),
            alternatives=_in_units(opened, alternatives).reshape(len(inputs), number, *shape).numpy(),
        )
        content = stream.getvalue()
    with writing(out):
        write_atomically(out, content)
    typer.echo(f"{number} alternatives for each of {len(inputs)} inputs written to {out}")


def limit(
    run: Annotated[Path, typer.Argument(help="Run folder of `fit autoencoder`.")],
    part: Annotated[str, typer.Option(help="train or held_out: the points of the joint density.")] = "train",
    conditions: Annotated[
        int | None, typer.Option(help="Draws of y. \\[default: a quadrature for one feature, else one per point]")
    ] = None,
    value: Annotated[bool, typer.Option(help="Also what the decoder reaches, on the same y.")] = True,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    overwrite: ReplaceFile = False,
) -> None:
    """The conditional bound's limit on ALL points of a run's data, in double precision, and the decoder's value."""
    check_seed(seed)
    check_output(out, overwrite=overwrite)
    if conditions is not None and conditions < 2:
        raise InputError(f"--conditions must be at least 2, got {conditions}")
    from contrastive_entropy.models.autoencoder.limit import whole_limit

    start = time.monotonic()
    try:
        figures = whole_limit(_opened(run), part=part, conditions=conditions, value=value, seed=seed)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was written", err=True)
        raise typer.Exit(130) from None
    print_figures(f"{run}, {part}: exact over all pairs of points", figures, LIMIT_MEANINGS)
    if out is not None:
        with writing(out):
            write_json(out, figures | {"run": str(run), "part": part, "wall_seconds": time.monotonic() - start})
        typer.echo(f"wrote {out}")


def _opened(folder: Path) -> Run:
    from contrastive_entropy.models.autoencoder import AUTOENCODER

    return Run.open(folder, [AUTOENCODER])


def _in_units(run: Run, points: Tensor) -> Tensor:
    """Of a table's rows; images as they are."""
    return points if image_shape_of(run.schema) else run.schema.decode(points)
