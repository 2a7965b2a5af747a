"""The journal of a folder of results: what was written, of what, so that a run can be gone on with.

One line of JSON for each file's results, appended when all of them are there, and by one write, so that a kill
leaves the line whole or a torn last one, which is passed over. A later line about results of the same name
takes an earlier one's place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infmap_kit.errors import SpecError
from infmap_kit.model.files import append_line, make_private, sha256_of
from infmap_kit.model.typed import typed
from infmap_kit.text import json_line

JOURNAL = ".infer.jsonl"
"""Name of the file in the folder of results."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """The results of one file.

    Parameters
    ----------
    stem
        Beginning of their names.
    made_of
        Stand-in for the file's content.
    made_by
        Digest of the model and of the options.
    document
        The JSON of the answer; empty for a rejection.
    rejected
        Code, reason and what was found, of a rejection; else empty.
    written
        Kind to the names of the files that were written.
    sha256
        SHA-256 of each: a kill may leave another model's results where this one's were noted.
    """

    stem: str
    made_of: str
    made_by: str
    document: dict[str, Any]
    rejected: dict[str, Any]
    written: dict[str, list[str]]
    sha256: dict[str, str]


class Journal:
    """The journal of a folder; threads may share it.

    What stays in memory of each entry is where it stands.

    Parameters
    ----------
    folder
        The folder of results, which need not exist.
    resume
        Whether what was written before is known; else only what is written from now on is noted.

    Raises
    ------
    OSError
        When there is a journal that cannot be read.
    """

    def __init__(self, folder: Path, *, resume: bool = True) -> None:
        self._folder = folder
        self._path = folder / JOURNAL
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        self._known: set[tuple[str, str]] = set()
        for place, entry in self._entries() if resume else ():
            self._places[entry.stem] = place
            self._known.add((entry.made_of, entry.made_by))

    def may_know(self, made_of: str, made_by: str) -> bool:
        """Whether results of such a file by such a model and options were written, under whatever name."""
        return (made_of, made_by) in self._known

    def find(self, stem: str, made_of: str, made_by: str) -> Entry | None:
        """The results of that name, if they are of this file, model and options, and all there as they were."""
        place = self._places.get(stem)
        if place is None or not self.may_know(made_of, made_by):
            return None
        with self._path.open("rb") as file:
            file.seek(place)
            entry = _entry(file.readline())
        if entry is None or (entry.made_of, entry.made_by) != (made_of, made_by):
            return None
        there = {name: _sha256(self._folder / name) for name in entry.sha256}
        return entry if there == entry.sha256 else None

    def add(self, entry: Entry) -> None:
        """Note results that were written, all of them."""
        line = json_line(dataclasses.asdict(entry))
        with self._lock:
            make_private(self._folder)
            append_line(self._path, line)

    def _entries(self) -> Iterator[tuple[int, Entry]]:
        """Each entry with its place in the file."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            place = 0
            for line in file:
                if (entry := _entry(line)) is not None:
                    yield place, entry
                place += len(line)


def _entry(line: bytes) -> Entry | None:
    """An entry of a line; ``None`` where it is torn, or none of this version."""
    try:
        entry = typed(Entry, json.loads(line), JOURNAL)
    except (ValueError, RecursionError, SpecError):
        return None
    return entry if all(Path(name).name == name for name in entry.sha256) else None


def _sha256(path: Path) -> str:
    """SHA-256 of a file; empty where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return ""
