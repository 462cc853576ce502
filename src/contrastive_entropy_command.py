"""What `contrastive-entropy` starts: a setting that must be made before torch is loaded, then the command line."""

import os
import sys

SPINS = "2000"
"""Turns of a waiting thread of GNU's OpenMP, which torch from PyPI has, before it sleeps; by default 300,000. On two cores,
with nothing beside it, `make demo` made 33 steps a second with it and 36 without; beside another busy process 9 and .1."""


def main() -> None:
    """Run the command line, with `SPINS` unless the environment says how threads should wait."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
        from contrastive_entropy.cli.app import app
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was begun")
    app()
