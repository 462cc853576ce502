"""A progress line for long sums."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar


@contextmanager
def progress_line(
    name: str, total: int, unit: str, *, done: int = 0, per: float = 1e6
) -> Iterator[Callable[[int], None]]:
    """Share done, speed and time left: a bar on a terminal, a line every ten seconds elsewhere.

    Args:
        name: what is computed.
        total: of what is counted.
        unit: of the speed.
        done: where it starts.
        per: how much of what is counted makes one unit.

    Yields:
        A function to call with what is done so far.
    """
    console = Console(stderr=True)
    start, first, shown = time.monotonic(), done, time.monotonic()
    bar = ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:.0f}% | {task.fields[speed]} | left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task(name, total=total, completed=done, speed="")

    def show(count: int) -> None:
        nonlocal shown
        now = time.monotonic()
        rate = max(count - first, 1) / max(now - start, 1e-9)
        bar.update(task, completed=count, speed=f"{rate / per:.0f} {unit}/s")
        if bar.disable and now - shown > 10:
            shown = now
            left = (total - count) / rate
            line = f"{name} | {count / total:.0%} | {rate / per:.0f} {unit}/s | {left:.0f} s left"
            console.print(line, soft_wrap=True, highlight=False)

    with bar:
        yield show
