"""A run over a cohort: tasks go to workers, their rows into parts; it may be ended at any moment."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.cluster import workers_gone, workers_of
from infmap_kit.cohort.parts import PartWriter
from infmap_kit.cohort.plan import Plan, Task, tasks_of
from infmap_kit.cohort.rows import Row
from infmap_kit.cohort.task import Done, Order, work
from infmap_kit.errors import InfmapError, InputRejected

if TYPE_CHECKING:
    from distributed import Client, Future

SET_ASIDE = "set-aside"
"""Code of a radiograph that took its worker along as often as it was tried."""

_AHEAD = 2
"""Tasks on their way for each worker: one is worked on, one is there when it ends."""

_LOOK_S = 5.0
"""Seconds between two counts of the workers, because a cluster grows and shrinks."""


@dataclasses.dataclass
class CohortTally:
    """The progress of a run.

    Parameters
    ----------
    radiographs
        Number of radiographs in the cohort.
    done, kept
        Whose rows are there, and those that an earlier call made.
    rejected
        Number of rejected radiographs by the code of the rejection.
    set_aside
        Numbers of those that took their worker along.
    tasks
        Tasks that this call has done.
    working_s
        Seconds that workers have worked on them, together.
    took_s
        Seconds since this call began.
    deaths
        Workers that were lost on the way.
    """

    radiographs: int
    done: int = 0
    kept: int = 0
    rejected: Counter[str] = dataclasses.field(default_factory=Counter)
    set_aside: list[int] = dataclasses.field(default_factory=list)
    tasks: int = 0
    working_s: float = 0.0
    took_s: float = 0.0
    deaths: int = 0

    @property
    def a_second(self) -> float:
        """Radiographs a second, in this call."""
        return (self.done - self.kept) / self.took_s if self.took_s else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the figures as a JSON document, for scripts and for the manifest."""
        return {
            "radiographs": self.radiographs,
            "done": self.done,
            "kept": self.kept,
            "rejected": dict(self.rejected),
            "set_aside": self.set_aside,
            "tasks": self.tasks,
            "working_s": round(self.working_s, 3),
            "took_s": round(self.took_s, 3),
            "radiographs_a_second": round(self.a_second, 3),
            "deaths": self.deaths,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
    """A unit of work for a worker: a task, or one radiograph of a task whose worker was lost."""

    task: int
    items: tuple[tuple[int, bytes], ...]
    tries: int = 0


class CohortRun:
    """A plan on its way; iterating gives the tally after each part.

    Parameters
    ----------
    folder
        Folder of the run, with its plan.
    plan
        The plan.
    parts
        Writes the parts.
    order
        Settings that all tasks share.
    client
        Connection to the workers.
    tries
        Number of times that a worker may die over a radiograph before the radiograph is set aside.

    Raises
    ------
    ServerError
        On the way, when the scheduler is gone, or what workers need does not answer.
    InfmapError
        On the way, when a part cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        parts: PartWriter,
        order: Order,
        client: Client,
        *,
        tries: int = 3,
    ) -> None:
        self._folder, self._plan, self._parts = folder, plan, parts
        self._order, self._client, self._tries = order, client, tries
        self.tally = tally_of(plan, parts)
        self._again: deque[_Piece] = deque()
        self._rows: dict[int, list[dict[str, Any]]] = {}
        self._room = 0
        self._looked_s = 0.0

    def __iter__(self) -> Generator[CohortTally, None, None]:
        """Run; whoever stops before the end closes the iterator, and what was done stays."""
        from distributed import as_completed

        begun_s = time.monotonic()
        # Of those that are done the rows are there: their locators are read, and passed over.
        coming = tasks_of(self._folder, self._plan, without=list(self._parts.parts))
        open_: dict[Any, _Piece] = {}
        completed = as_completed(loop=self._client.loop)
        try:
            while True:
                for piece in self._next(coming, room=self._space() - len(open_)):
                    future = self._submit(piece)
                    open_[future.key] = piece
                    completed.add(future)
                if not open_:
                    return
                future = next(completed)
                part_written = self._take(open_.pop(future.key), future)
                self.tally.took_s = time.monotonic() - begun_s
                if part_written:
                    yield self.tally
        finally:
            self._client.cancel(list(completed.futures), force=True)

    def _submit(self, piece: _Piece) -> Future:
        return self._client.submit(work, piece.items, self._order, pure=False, key=_key(piece))

    def _next(self, coming: Iterator[Task], *, room: int) -> Iterator[_Piece]:
        """Pieces to give out now, those of lost workers first: what waits elsewhere would fill the memory."""
        for _ in range(room):
            if self._again:
                yield self._again.popleft()
            elif (task := next(coming, None)) is not None:
                yield _Piece(task=task.number, items=task.items)
            else:
                return

    def _space(self) -> int:
        now_s = time.monotonic()
        if not self._room or now_s - self._looked_s > _LOOK_S:
            try:
                workers = workers_of(self._client)
            except (OSError, TimeoutError) as error:
                raise workers_gone(error, kept="done") from error
            self._room, self._looked_s = _AHEAD * max(workers, 1), now_s
        return self._room

    def _take(self, piece: _Piece, future: Future) -> bool:
        """Take what became of a piece; whether a part was written."""
        from distributed import KilledWorker

        try:
            done: Done = future.result()
        except KilledWorker:
            self.tally.deaths += 1
            return self._lost(piece)
        except InfmapError:
            raise
        except Exception as error:
            raise workers_gone(error, kept="done") from error
        finally:
            future.release()
        self.tally.working_s += done.took_s
        return self._add(piece, done.rows)

    def _lost(self, piece: _Piece) -> bool:
        """A worker was lost over a piece: its radiographs go one by one, and each has so many tries."""
        if len(piece.items) > 1:
            self._again += [_Piece(task=piece.task, items=(item,)) for item in piece.items]
            self._rows.setdefault(piece.task, [])
            return False
        tries = piece.tries + 1
        if tries < self._tries:
            self._again.append(dataclasses.replace(piece, tries=tries))
            return False
        ((number, locator),) = piece.items
        row = Row(number, locator, self._order.options)
        row.add_rejection(
            InputRejected(SET_ASIDE, f"its worker was lost over it {tries} times; it was set aside")
        )
        self.tally.set_aside.append(number)
        return self._add(piece, [row.values])

    def _add(self, piece: _Piece, rows: list[dict[str, Any]]) -> bool:
        rows = self._rows.pop(piece.task, []) + rows
        first = piece.task * self._plan.task_size
        if len(rows) < min(self._plan.task_size, self._plan.radiographs - first):
            self._rows[piece.task] = rows
            return False
        part = self._parts.write(piece.task, rows)
        self.tally.tasks += 1
        self.tally.done += part.rows
        self.tally.rejected.update(part.rejected)
        return True


def tally_of(plan: Plan, parts: PartWriter) -> CohortTally:
    """The progress of earlier calls."""
    done = sum(part.rows for part in parts.parts.values())
    tally = CohortTally(radiographs=plan.radiographs, done=done, kept=done)
    for part in parts.parts.values():
        tally.rejected.update(part.rejected)
    return tally


def _key(piece: _Piece) -> str:
    """A name for Dask, where tasks of one name are one task: every try has its own."""
    return f"cohort-{piece.task}-{piece.items[0][0]}-{len(piece.items)}-{piece.tries}-{time.monotonic_ns()}"
