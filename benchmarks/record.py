"""What every benchmark shares: where a result comes from, the option that prints it again, its file and its picture."""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from contrastive_entropy.experiments.journal import commit
from contrastive_entropy.report.drawing import png_bytes

ROOT = Path(__file__).resolve().parent.parent


def parsed(parser: argparse.ArgumentParser, table: Callable[[dict], str]) -> argparse.Namespace:
    """The options; with --table RESULT, print the table of a result instead and leave."""
    parser.add_argument("--table", type=Path, help="print the table of a result instead of measuring")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text())))
        sys.exit()
    return options


def commit_of(ref: str) -> str:
    found = subprocess.run(["git", "rev-parse", ref], cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.strip()


def origin(seed: int | list[int], *, capability: bool = False, device: torch.device | None = None) -> dict[str, Any]:
    """Command, seed, commit, device and torch; capability: also the processor's instruction set, for kernels' speed."""
    instructions = f", {torch.backends.cpu.get_cpu_capability()}" if capability else ""
    processor = f"{torch.get_num_threads()} threads of {platform.machine()} CPU{instructions}"
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "seed": seed,
        "commit": commit(),
        "device": torch.cuda.get_device_name(device) if device is not None and device.type == "cuda" else processor,
        "torch": torch.__version__,
    }


def write(name: str, result: dict[str, Any]) -> Path:
    """Write results/NAME.json."""
    path = ROOT / "results" / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def write_picture(name: str, figure: Figure) -> None:
    """Write docs/images/NAME.png."""
    (ROOT / "docs" / "images" / f"{name}.png").write_bytes(png_bytes(figure))
