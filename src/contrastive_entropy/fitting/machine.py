"""Where and how a fit runs."""

import dataclasses
from dataclasses import dataclass

import torch

from contrastive_entropy.fitting.settings import MACHINE, RARE, check, option

AUTO, SINGLE, BRAIN = "auto", "32-true", "bf16-mixed"

PRECISIONS = (AUTO, SINGLE, BRAIN, "16-mixed")
"""Precisions of the network. Weights themselves are float32 always: 16-bit ones would not see small steps."""

BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Instructions of x86 processors that multiply such numbers."""


@dataclass(frozen=True)
class Machine:
    """Where and how a fit runs; kept in the run, because a resumed run is the same only on the same terms.

    Args:
        accelerator, devices: as Lightning's Trainer takes them; auto is `automatic_device`.
        precision: of the network, of `PRECISIONS`; the objective is evaluated in float32 or better in any case.
        log_every: steps between rows of metrics.csv and TensorBoard.
        checkpoint_every: steps between checkpoints.
        track_every: steps between rows of bounds.csv; None is 20 rows in all. For kinds that track a bound.

    Raises:
        InputError: unknown precision, or a number of steps is below 1.
    """

    accelerator: str = option(
        "auto",
        "auto (a CUDA device if there is one, else the CPU), or as Lightning takes it: cpu, gpu, ...",
        panel=MACHINE,
    )
    devices: str = option("1", "As Lightning takes it: 1, 2, auto, 0,1 ...", panel=RARE)
    precision: str = option(
        AUTO,
        f"Of the network, {', '.join(PRECISIONS)}; the objective is evaluated in float32 or better. {AUTO} is {SINGLE}, "
        f"but for codes of images {BRAIN} where the processor computes so.",
        panel=RARE,
        choices=PRECISIONS,
    )
    log_every: int = option(10, "Steps between rows of metrics.csv.", panel=RARE, least=1)
    checkpoint_every: int = option(100, "Steps between checkpoints.", panel=RARE, least=1)
    track_every: int | None = option(
        None, "Steps between rows of bounds.csv.", panel=RARE, least=1, chosen="20 rows in all"
    )

    def __post_init__(self) -> None:
        check(self)

    def resolved(self, *, convolves: bool) -> "Machine":
        """With the precision that `auto` stands for.

        Args:
            convolves: whether the network is much faster in bfloat16 where that is computed.
        """
        if self.precision != AUTO:
            return self
        device = automatic_device().type if self.accelerator == "auto" else self.accelerator
        on_gpu = device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        native = on_gpu or (device == "cpu" and _multiplies_bfloat16())
        return dataclasses.replace(self, precision=BRAIN if convolves and native else SINGLE)


def automatic_device() -> torch.device:
    """What `auto` takes: a CUDA device (ROCm's are called so, too) or the CPU; Apple's GPUs lack double precision."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def emulation(precision: str) -> str | None:
    """Why a precision is slow on this machine's processor, if it is; GPUs are not looked at."""
    if precision != BRAIN or torch.cpu.get_capabilities()["architecture"] != "x86_64" or _multiplies_bfloat16():
        return None
    return "this processor has no bfloat16 arithmetic, so bf16-mixed may be ten times slower here than 32-true"


def _multiplies_bfloat16() -> bool:
    processor = torch.cpu.get_capabilities()
    return any(processor.get(name) for name in BFLOAT16)
