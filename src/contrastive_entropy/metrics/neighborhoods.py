"""Neighbourhoods of points: how many neighbours count, and how many points are needed to look at them."""

from contrastive_entropy.errors import InputError

NEIGHBORS = 5
"""The k-th neighbour's distance is the radius of a point's neighbourhood."""


def require_enough(name: str, train: int, held_out: int) -> None:
    """Raise InputError if there are too few points to evaluate on.

    Args:
        name: of the data.
        train, held_out: how many points there are.
    """
    if min(train, held_out) <= NEIGHBORS:
        raise InputError(
            f"{name}: {train} points to train on and {held_out} held out are too few to evaluate; at least {NEIGHBORS + 1} "
            "of either are needed: more points, or another `held_out`"
        )
