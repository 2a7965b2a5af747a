"""A progress bar on stderr for whatever counts its steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from infmap_kit.command import console
from infmap_train.options import Progress


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """One bar; a new description or a smaller count starts it anew."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # In a log file a bar is noise.
    hidden = not console.is_terminal
    with Bars(*columns, console=console, transient=True, disable=hidden) as bars:
        task = bars.add_task("getting ready", total=None)

        def show(description: str, done: int, total: int) -> None:
            bars.update(task, description=description, completed=done, total=total)

        yield show
