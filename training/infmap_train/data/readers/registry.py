"""The registry of readers, and the choice of the one that recognises a folder."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib
import os
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_train.data.dataset import Sample
from infmap_train.data.readers import labelled, masked
from infmap_train.data.readers.masked.plain import READER as PLAIN
from infmap_train.data.readers.reader import Reader

# Deeper than any archive nests its tables and folders.
_DEPTH = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The reader of a folder, and why it is that one."""

    reader: Reader
    reason: str
    marks: tuple[Path, ...]

    def read(self, folder: Path) -> list[Sample]:
        """Samples of all classes."""
        return self.reader.read(folder, self.marks)


@functools.cache
def all_readers() -> tuple[Reader, ...]:
    """Every reader in the two folders, by name."""
    names = (
        module.name
        for package in (labelled, masked)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    )
    found = (getattr(importlib.import_module(name), "READER", None) for name in names)
    return tuple(sorted((r for r in found if isinstance(r, Reader)), key=lambda r: r.name))


def find_reader(name: str) -> Reader:
    """Find a reader by its name.

    Raises
    ------
    TrainingError
        Naming all.
    """
    for reader in all_readers():
        if reader.name == name:
            return reader
    names = ", ".join(reader.name for reader in all_readers())
    raise TrainingError(f"expected --reader to be one of {names}, found {name!r}")


def choose_reader(folder: Path, name: str = "", *, must_know: bool = True) -> Choice | None:
    """Choose the reader of a folder; ``None`` when none knows it.

    An index at the top decides; else there must be the marks of one data set alone.

    Parameters
    ----------
    name
        The reader to take, whatever else lies there; empty to find out.
    must_know
        Refuse a folder that the named reader does not know, or else find out.

    Raises
    ------
    TrainingError
        When there is no such folder, the named reader finds nothing that it knows, or several know the folder.
    """
    if not folder.is_dir():
        raise TrainingError(
            f"expected a folder of radiographs at {folder}, found none: look at its spelling"
        )
    if name:
        reader = find_reader(name)
        marks = _marks(folder, [reader])[reader.name]
        if marks:
            return Choice(reader=reader, reason=f"--reader {name}", marks=marks)
        if must_know:
            raise TrainingError(
                f"--reader {name} reads {reader.title}: expected {reader.mark} in {folder}, found none"
            )
    if (folder / PLAIN.mark).is_file():
        return Choice(reader=PLAIN, reason=f"found {PLAIN.mark}", marks=(folder / PLAIN.mark,))
    known = [r for r in all_readers() if r is not PLAIN]
    found = {name: marks for name, marks in _marks(folder, known).items() if marks}
    if len(found) > 1:
        seen = "; ".join(f"{name}: {marks[0]}" for name, marks in found.items())
        raise TrainingError(
            f"{folder} holds several data sets ({seen}): pass the folder of each, or --reader NAME"
        )
    for name, marks in found.items():
        where = marks[0].relative_to(folder)
        return Choice(reader=find_reader(name), reason=f"found {where}", marks=marks)
    return None


def expected() -> str:
    """The marks by which data sets are recognised, for a message."""
    usual_first = sorted(all_readers(), key=lambda reader: reader is not PLAIN)
    return ", ".join(f"{reader.mark} ({reader.title})" for reader in usual_first)


def _marks(folder: Path, among: Sequence[Reader]) -> dict[str, tuple[Path, ...]]:
    """The marks of each reader in a folder; what lies inside a mark is not looked at."""
    found: dict[str, list[Path]] = {reader.name: [] for reader in among}
    for path in _entries(folder):
        for reader in among:
            if fnmatch.fnmatchcase(path.name, reader.mark) and reader.knows(folder, path):
                found[reader.name].append(path)
    return {name: tuple(sorted(paths)) for name, paths in found.items()}


def _entries(folder: Path) -> Iterator[Path]:
    """Files and folders below a folder, but not hidden ones, and not deeper than any archive needs."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(place)
        for name in (*folders, *files):
            yield here / name
        if len(here.relative_to(folder).parts) + 1 >= _DEPTH:
            folders.clear()
