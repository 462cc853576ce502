"""Files that are whole or not there, and JSON."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contrastive_entropy.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, then rename, so that a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_bytes(value: Any) -> bytes:
    """Indented JSON without NaN; the same value gives the same bytes."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Write `json_bytes`, atomically."""
    write_atomically(path, json_bytes(value))


def read_json(path: Path) -> dict[str, Any] | None:
    """What `write_json` wrote; None if it is not there, or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def check_output(out: Path | None, *, overwrite: bool, suffixes: tuple[str, ...] = ()) -> None:
    """A file to be written is not there yet, or may be replaced, and ends as it should.

    Raises:
        InputError: it does not.
    """
    if out is None:
        return
    if suffixes and not out.name.lower().endswith(suffixes):
        raise InputError(f"`out` must end in {' or '.join(suffixes)}, got {out.name}")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; replace it with `overwrite`, or choose another `out`")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Makes the folder; what cannot be written is an InputError."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror}); choose another `out`") from error
