"""What this library raises and warns with, beside ValueError and TypeError at its boundary."""

import difflib
from collections.abc import Iterable


class NumericalWarning(UserWarning):
    """Precision was raised, or a spectrum was cut or regularised, to keep a result right."""


class InputError(ValueError):
    """What the user gave cannot be used: the message says what was expected, what came and what to do."""


class TrainingError(RuntimeError):
    """Training met a term or a gradient that is not finite: the message names step, term and likely cause."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = difflib.get_close_matches(name.replace("-", "_").lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
