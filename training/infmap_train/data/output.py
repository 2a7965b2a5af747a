"""Output that is written completely or not at all: folders, and tables as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.model.files import write_bytes


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a place beside ``folder`` to write to; once all is written it takes the folder's place.

    Parameters
    ----------
    folder
        New or empty.
    """
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        yield beside
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    r"""Write rows of cells under a heading; ``None`` becomes an empty cell.

    What of a file's name is no UTF-8 is written by its escape, such as ``\udcfc``.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_bytes(path, text.getvalue().encode("utf-8", "backslashreplace"))


def json_ready(value: Any) -> Any:
    """``value`` with NaN as null: JSON has no NaN, and a metric of no samples has no figure."""
    if isinstance(value, Mapping):
        return {key: json_ready(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
