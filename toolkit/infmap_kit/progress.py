"""The progress of long work: reported by what works, shown as a bar on stderr by a command."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from infmap_kit.command import console

Progress = Callable[[str, int, int], None]
"""Called with a description, what is done, and the total."""

_TELL_S = 60.0


def no_progress(_description: str, _done: int, _total: int) -> None:
    """Show nothing."""


@contextlib.contextmanager
def progress_bar(first: str = "getting ready") -> Iterator[Progress]:
    """One bar on stderr, with a first description; another one or a smaller count starts it anew."""
    # Slow to import, and --help shows no bar.
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # In a log file a bar is noise.
    hidden = not console.is_terminal
    with Bars(*columns, console=console, transient=True, disable=hidden) as bars:
        task = bars.add_task(first, total=None)

        def show(description: str, done: int, total: int) -> None:
            bars.update(task, description=description, completed=done, total=total)

        yield show


def log_teller() -> Callable[[str], None]:
    """A function that reports progress where there is no bar: a line on stderr, at most one per minute."""
    told_s = time.monotonic()

    def tell(line: str) -> None:
        nonlocal told_s
        if not console.is_terminal and time.monotonic() - told_s > _TELL_S:
            told_s = time.monotonic()
            console.print(line, soft_wrap=True)

    return tell
