"""What this library raises and warns with, beside ValueError and TypeError at its boundary."""


class NumericalWarning(UserWarning):
    """Precision was raised, or a spectrum was cut or regularised, to keep a result right."""


class InputError(ValueError):
    """What the user gave cannot be used: the message says what was expected, what came and what to do."""


class TrainingError(RuntimeError):
    """Training met a term or a gradient that is not finite: the message names step, term and likely cause."""
