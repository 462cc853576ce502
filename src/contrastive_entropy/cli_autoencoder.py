"""`contrastive-entropy reconstruct` and `limit`: what a trained autoencoder answers, and what it could reach."""

import io
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from contrastive_entropy import cli_options as options
from contrastive_entropy.cli_tables import print_figures
from contrastive_entropy.errors import InputError
from contrastive_entropy.runs import Run, write_atomically, write_json

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
    out: Annotated[Path, typer.Option(help=f"File to write: {' or '.join(options.PICTURE_OR_NUMBERS)}.")],
    index: Annotated[list[int] | None, typer.Option(help="Held-out points, by number; repeat it for more.")] = None,
    source: Annotated[
        Path | None, typer.Option("--input", help="Instead: a file or a folder of images, or a single image.")
    ] = None,
    number: Annotated[int, typer.Option("-n", "--number", help="Alternatives of each input.")] = 16,
    seed: Annotated[int, typer.Option(help="Same seed, same alternatives.")] = 0,
    overwrite: options.ReplaceFile = False,
) -> None:
    """Alternatives for inputs: .png shows each input with its alternatives, .npz holds `inputs` and `alternatives`.

    Of a run with --standardize, .npz is in the data's units, and --input too; .png shows the standardized columns.
    """
    with options.errors_in_one_line():
        options.check_number_and_seed(number, seed)
        options.check_output(out, overwrite=overwrite, suffixes=options.PICTURE_OR_NUMBERS)
        if index and source is not None:
            raise InputError("give --index or --input, not both")
        import torch

        from contrastive_entropy.reconstruction import load_autoencoder, read_inputs
        from contrastive_entropy.report import alternatives_figure, png_bytes

        opened = Run.open(run)
        network = load_autoencoder(opened)
        inputs = read_inputs(opened, source, index or None)
        alternatives = network.reconstruct(inputs, number, generator=torch.Generator().manual_seed(seed))
        if out.suffix.lower() == ".png":
            content = png_bytes(alternatives_figure(inputs, alternatives, opened.image_shape, rows=len(inputs)))
        else:
            shape = opened.image_shape or (opened.dimension,)
            if opened.image_shape is None:
                inputs, alternatives = opened.schema.decode(inputs), opened.schema.decode(alternatives)
            stream = io.BytesIO()
            np.savez(
                stream,
                inputs=inputs.reshape(-1, *shape).numpy(),
                alternatives=alternatives.reshape(len(inputs), number, *shape).numpy(),
            )
            content = stream.getvalue()
        with options.writing(out):
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
    overwrite: options.ReplaceFile = False,
) -> None:
    """The conditional bound's limit on ALL points of a run's data, in double precision, and the decoder's value."""
    with options.errors_in_one_line():
        options.check_seed(seed)
        options.check_output(out, overwrite=overwrite)
        if conditions is not None and conditions < 2:
            raise InputError(f"--conditions must be at least 2, got {conditions}")
        from contrastive_entropy.reconstruction import whole_limit

        start = time.monotonic()
        try:
            figures = whole_limit(Run.open(run), part=part, conditions=conditions, value=value, seed=seed)
        except KeyboardInterrupt:
            typer.echo("stopped; nothing was written", err=True)
            raise typer.Exit(130) from None
        print_figures(f"{run}, {part}: exact over all pairs of points", figures, LIMIT_MEANINGS)
        if out is not None:
            with options.writing(out):
                write_json(out, figures | {"run": str(run), "part": part, "wall_seconds": time.monotonic() - start})
            typer.echo(f"wrote {out}")
