"""The rows of a run as a Parquet data set: one part a task, and a manifest with the SHA-256 of each.

A part is written beside and renamed, then noted in the manifest by one line. A task that ran twice has one
part all the same: its name follows from the task, and the second takes the first one's place. A part that is
not noted, or is not what was noted, counts as not there, and its task is done again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.model.files import (
    append_line,
    make_private,
    sha256_of,
    write_bytes,
    write_json,
    writing_to,
)
from infmap_kit.model.typed import typed
from infmap_kit.text import json_line

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = "rows"
"""Folder of the data set."""
MANIFEST = "manifest.jsonl"
"""Name of the file that records the parts, one line each, in the order in which they were written."""
SUMMARY = "manifest.json"
"""The same of a run that has ended, in one document."""

_PARTS_A_FOLDER = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class CohortPart:
    """One part: a Parquet file with the rows of one task.

    Parameters
    ----------
    task
        The task whose rows it holds.
    name
        Its path in the folder of the run.
    rows
        Number of rows.
    sha256
        SHA-256 of the file.
    rejected
        Number of rows by the code of their rejection.
    """

    task: int
    name: str
    rows: int
    sha256: str
    rejected: dict[str, int]


class PartWriter:
    """Writes the parts of a run; one process at a time may.

    Parameters
    ----------
    folder
        Folder of the run; made when it is missing.
    schema
        Arrow schema of the rows.

    Raises
    ------
    InfmapError
        When the folder cannot be used, or another process writes there.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        with writing_to(folder):
            make_private(folder)
            make_private(folder / ROWS)
            self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise InfmapError(
                    f"another run writes to {folder}: wait until it has ended"
                ) from None
            # What a run that was killed had not renamed yet.
            for stray in (folder / ROWS).glob("*/.*.part"):
                stray.unlink()
            self._parts = {
                part.task: part for part in read_parts(folder) if _is_whole(folder, part)
            }

    @property
    def parts(self) -> dict[int, CohortPart]:
        """The parts that are there whole, by task."""
        return self._parts

    def write(self, task: int, rows: Sequence[dict[str, Any]]) -> CohortPart:
        """Write the rows of a task, in the order of their numbers.

        Raises
        ------
        InfmapError
            When they cannot be written; whatever was there before still is.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        ordered = sorted(rows, key=lambda row: int(row["number"]))
        buffer = io.BytesIO()
        table = pa.Table.from_pylist(ordered, self._schema)
        pq.write_table(table, buffer, compression="zstd")
        content = buffer.getvalue()
        part = CohortPart(
            task=task,
            name=f"{ROWS}/block={task // _PARTS_A_FOLDER:05}/part-{task:08}.parquet",
            rows=len(ordered),
            sha256=hashlib.sha256(content).hexdigest(),
            rejected=dict(Counter(filter(None, (row.get("rejection") for row in ordered)))),
        )
        with writing_to(self._folder):
            write_bytes(self._folder / part.name, content, private=True)
            append_line(self._folder / MANIFEST, json_line(dataclasses.asdict(part)))
        self._parts[task] = part
        return part

    def seal(self, document: dict[str, Any]) -> None:
        """Write the manifest of a run that has ended, with what else is known of it."""
        parts = [dataclasses.asdict(self._parts[task]) for task in sorted(self._parts)]
        with writing_to(self._folder):
            write_json(self._folder / SUMMARY, {**document, "parts": parts}, private=True)

    def close(self) -> None:
        """Let another process write there."""
        os.close(self._lock)


def read_parts(folder: Path) -> list[CohortPart]:
    """The parts that a run's manifest names, the latest of each task, in the order of the tasks."""
    parts: dict[int, CohortPart] = {}
    with contextlib.suppress(FileNotFoundError), (folder / MANIFEST).open("rb") as file:
        for part in filter(None, map(_part, file)):
            parts[part.task] = part
    return [parts[task] for task in sorted(parts)]


def _part(line: bytes) -> CohortPart | None:
    """A part of a line; ``None`` where it is torn, or leads out of the folder."""
    try:
        part = typed(CohortPart, json.loads(line), MANIFEST)
    except (ValueError, RecursionError, SpecError):
        return None
    return part if part.name.startswith(f"{ROWS}/") and ".." not in part.name else None


def _is_whole(folder: Path, part: CohortPart) -> bool:
    try:
        return sha256_of(folder / part.name) == part.sha256
    except OSError:
        return False


def each_table(folder: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns of each part of a run, one after the other.

    Raises
    ------
    SpecError
        When a part is missing, or is not what the manifest says.
    """
    import pyarrow.parquet as pq

    for part in read_parts(folder):
        if not _is_whole(folder, part):
            raise SpecError(
                f"{part.name} is not what the manifest in {folder} says: give `cohort run` again, which "
                "makes it anew"
            )
        yield pq.read_table(folder / part.name, columns=list(columns), partitioning=None)
