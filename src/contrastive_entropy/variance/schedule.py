"""How the variance falls while a model trains."""

import math


def geometric_schedule(step: int, *, steps: int, start: float, end: float, fraction: float = 0.8) -> float:
    """Variance at a step: geometric from start to end over the first fraction of the steps, then constant.

    Args:
        step: from 0.
        steps: of the whole training.
        start, end: positive.
        fraction: of the steps that anneal, in [0, 1]; 0 is constant at end.

    Returns:
        In the units of start and end.

    Raises:
        ValueError: start or end not positive.

    >>> geometric_schedule(40, steps=100, start=4.0, end=1.0)
    2.0
    """
    if not (start > 0 and end > 0):
        raise ValueError(f"start and end must be positive, got {start} and {end}")
    last = fraction * steps
    return end if step >= last else start * math.exp(math.log(end / start) * (step / last))
