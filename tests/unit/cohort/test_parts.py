"""Parts are there once, whole and right, wherever the process that writes them is ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

pq = pytest.importorskip("pyarrow.parquet", reason="the cohort extra is not installed")

from infmap_kit.cohort.parts import MANIFEST, ROWS, PartWriter, read_parts
from infmap_kit.cohort.rows import schema_of
from infmap_kit.errors import InfmapError

SIZE = 3
SCHEMA = schema_of(("PatientSex",))


def rows_of(task: int) -> list[dict[str, Any]]:
    """Rows of a task, not in their order; one is rejected."""
    numbers = range(task * SIZE, (task + 1) * SIZE)
    rows: list[dict[str, Any]] = [
        {"number": number, "content": f"{number}", "severity_percent": number / 2}
        for number in numbers
    ]
    rows[1] = {"number": numbers[1], "rejection": "blank"}
    return rows[::-1]


def written(folder: Path, but: Collection[int] = ()) -> dict[int, list[dict[str, Any]]]:
    """Rows of every file that a reader of the data set would find, by the task in its name."""
    found: dict[int, list[dict[str, Any]]] = {}
    for path in (folder / ROWS).rglob("*.parquet"):
        task = int(path.stem.removeprefix("part-"))
        assert task not in found
        if task in but:
            continue
        found[task] = pq.read_table(path, partitioning=None).to_pylist()
    return found


def whole(task: int) -> list[dict[str, Any]]:
    """The rows that a reader must find."""
    nothing = dict.fromkeys(SCHEMA.names)
    return sorted(({**nothing, **row} for row in rows_of(task)), key=lambda row: row["number"])


def _write_and_die(folder: Path, task: int, steps: int) -> bool:
    """Write in another process that ends at its so-manieth touch of a file; whether it came to its end."""
    child = os.fork()
    if child == 0:
        left = steps
        with contextlib.suppress(BaseException):
            writer = PartWriter(folder, SCHEMA)

            def count(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal left
                if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.chmod"):
                    left -= 1
                    if left < 0:
                        os._exit(1)

            sys.addaudithook(count)
            writer.write(task, rows_of(task))
            os._exit(0)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 1)
    return code == 0


class Writing(RuleBasedStateMachine):
    """What is noted is there, what is there is whole, and a run that goes on ends with every row once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="infmap-parts-"))
        self.noted: set[int] = set()
        self.damaged: set[int] = set()

    tasks = st.integers(0, 3)

    @rule(task=tasks)
    def write(self, task: int) -> None:
        """A task is done, for the first time or again."""
        with contextlib.closing(PartWriter(self.folder, SCHEMA)) as writer:
            part = writer.write(task, rows_of(task))
            assert part.rejected == {"blank": 1}
        self.noted.add(task)
        self.damaged.discard(task)

    @rule(task=tasks, steps=st.integers(0, 12))
    def be_killed(self, task: int, steps: int) -> None:
        """The writer is ended between any two touches of files."""
        if _write_and_die(self.folder, task, steps):
            self.noted.add(task)
            self.damaged.discard(task)

    @rule(cut=st.integers(1, 60))
    def tear_the_manifest(self, cut: int) -> None:
        """The end of the last line did not reach the disk."""
        path = self.folder / MANIFEST
        if path.exists() and (content := path.read_bytes()):
            last = content.rstrip(b"\n").rpartition(b"\n")[2]
            path.write_bytes(content[: -min(cut, len(last))])
            self.noted &= {part.task for part in read_parts(self.folder)}

    @rule(task=tasks)
    def damage(self, task: int) -> None:
        """A file's content did not reach the disk."""
        for path in (self.folder / ROWS).rglob(f"part-{task:08}.parquet"):
            path.write_bytes(path.read_bytes()[:-7])
            self.noted.discard(task)
            self.damaged.add(task)

    @invariant()
    def what_is_noted_is_there_and_what_is_there_is_whole(self) -> None:
        """Seen by the writer that comes next, and by a reader who knows no manifest."""
        with contextlib.closing(PartWriter(self.folder, SCHEMA)) as writer:
            assert writer.parts.keys() == self.noted
        found = written(self.folder, self.damaged)
        assert self.noted <= found.keys()
        for task, rows in found.items():
            assert rows == whole(task)

    def teardown(self) -> None:
        """A run that goes on does what is not noted, and leaves each row once and nothing half."""
        with contextlib.closing(PartWriter(self.folder, SCHEMA)) as writer:
            for task in set(range(4)) - writer.parts.keys():
                writer.write(task, rows_of(task))
        numbers = [row["number"] for rows in written(self.folder).values() for row in rows]
        assert sorted(numbers) == list(range(4 * SIZE))
        assert not list((self.folder / ROWS).rglob("*.part"))
        shutil.rmtree(self.folder)


Writing.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestWriting = Writing.TestCase


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with (
        contextlib.closing(PartWriter(tmp_path, SCHEMA)),
        pytest.raises(InfmapError, match="another run writes"),
    ):
        PartWriter(tmp_path, SCHEMA)
    PartWriter(tmp_path, SCHEMA).close()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    with contextlib.closing(PartWriter(tmp_path, SCHEMA)) as writer:
        writer.write(0, rows_of(0))
    child = os.fork()
    if child == 0:
        import resource
        import signal

        code = 1
        with contextlib.suppress(InfmapError):
            writer = PartWriter(tmp_path, SCHEMA)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            writer.write(1, rows_of(1))
            code = 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert written(tmp_path).keys() == {0}
    with contextlib.closing(PartWriter(tmp_path, SCHEMA)) as writer:
        assert writer.parts.keys() == {0}
    assert not [path for path in tmp_path.rglob("*.part") if path.is_file()]


def test_rows_are_their_owners_alone(tmp_path: Path) -> None:
    with contextlib.closing(PartWriter(tmp_path / "run", SCHEMA)) as writer:
        writer.write(0, rows_of(0))
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "run").rglob("*")}
    assert modes == {0}
