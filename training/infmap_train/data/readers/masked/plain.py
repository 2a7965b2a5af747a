"""The plain layout: a folder with ``index.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import Sample, read_index
from infmap_train.data.readers.reader import Reader


def _read(folder: Path, _marks: Sequence[Path]) -> list[Sample]:
    return read_index(folder)


def _at_the_top(folder: Path, mark: Path) -> bool:
    return mark.parent == folder


READER = Reader(
    name="plain",
    title="the plain layout",
    mark="index.csv",
    read=_read,
    knows=_at_the_top,
)
