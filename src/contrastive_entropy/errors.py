"""What this library raises and warns with, beside ValueError and TypeError at its boundary."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class NumericalWarning(UserWarning):
    """Precision was raised, or a spectrum was cut or regularised, to keep a result right."""


class InputError(ValueError):
    """What the user gave cannot be used: the message says what was expected, what came and what to do."""


class StoppedError(InputError):
    """Ctrl-C or SIGTERM stopped the work between two of its parts; the message says how to go on."""


class NotFiniteError(ValueError):
    """A mixture has centers that are NaN or infinite.

    Args:
        message: which mixture it is.
        terms: parts of the objective that were computed before this was seen, by name.
    """

    def __init__(self, message: str, terms: "Mapping[str, Tensor] | None" = None) -> None:
        super().__init__(message)
        self.terms = {} if terms is None else dict(terms)


class TrainingError(RuntimeError):
    """Training met a term or a gradient that is not finite: the message names step, term and likely cause."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = difflib.get_close_matches(name.replace("-", "_").lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
