"""What fails, in words, and when a difference is more than chance."""

from dataclasses import dataclass

import numpy as np

SURE = 10.0
"""Of `surprise`, from which on two shares are said to differ: about one case in twenty thousand by chance."""


@dataclass(frozen=True)
class Finding:
    """Something that samples get wrong.

    Args:
        name: what kind of thing, in words: told apart, column, pairs, lost value, lost level ...
        seen: the figures that show it.

    >>> print(Finding("lost level", "colour: 'red' in 12.0% of the real rows and .0% of the samples"))
    lost level: colour: 'red' in 12.0% of the real rows and .0% of the samples
    """

    name: str
    seen: str

    def __str__(self) -> str:
        return f"{self.name}: {self.seen}"


Weighed = tuple[float, Finding]
"""A finding and how bad it is, about 0 to 1."""


def surprise(first: int, n: int, second: int, m: int) -> float:
    """How surprising two counts are if both have one share: minus the logarithm of (a bound on) their probability.

    Given their sum, the one count is binomial with share n / (n + m); Chernoff's bound of its tail.

    Args:
        first: counted among n.
        n: at least 1.
        second: counted among m.
        m: at least 1.

    Returns:
        At least 0, in nats.

    >>> round(surprise(10, 100, 0, 100), 3)  # ten times heads
    6.931
    """
    total, share = first + second, n / (n + m)
    if total == 0:
        return 0.0
    parts = ((first, total * share), (second, total * (1 - share)))
    return float(sum(count * np.log(count / expected) for count, expected in parts if count))


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.0694), percent(0.0)
    ('6.9%', '.0%')
    """
    text = f"{100 * share:.1f}%"
    return text[1:] if text.startswith("0.") else text


def worst_first(found: list[Weighed]) -> list[Finding]:
    """Findings in the order of their weights, largest first; of equal ones the earlier first."""
    return [finding for _, finding in sorted(found, key=lambda one: -one[0])]
