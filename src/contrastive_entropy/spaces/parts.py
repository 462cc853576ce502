"""Images to features, some at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from contrastive_entropy.progress import progress_line


def by_parts(what: str, points: Tensor, size: int, place: Callable[[Tensor], Tensor]) -> Tensor:
    """`place` of points (n, d), so many at once, with a progress line of this name: (n, k)."""
    found: list[Tensor] = []
    with progress_line(what, len(points), "images", per=1) as show:
        for part in points.split(size):
            found.append(place(part))
            show(sum(map(len, found)))
    return torch.cat(found)
