"""Readers' decisions: checked and written in one transaction, and never changed."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from infmap_annotate.reading.worklist import Desk, Item, Worklist
from infmap_annotate.study.folder import Study, now
from infmap_annotate.study.readers import Reader


class Refused(Exception):
    """A decision that is refused, and why.

    Parameters
    ----------
    status
        HTTP status.
    code
        Short machine-readable reason.
    message
        One line for the reader.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Details:
    """Details of a decision that the page sends with it.

    Parameters
    ----------
    elapsed_ms
        Time that the reader looked, as the page measured it.
    tab
        Name of the browser's tab.
    key
        One for each decision: a page that lost the answer sends it again.
    """

    elapsed_ms: int
    tab: str
    key: str | None = None


class Ledger:
    """The study's decisions.

    Parameters
    ----------
    study
        The study that holds them.
    worklist
        The readers' items.
    """

    def __init__(self, study: Study, worklist: Worklist) -> None:
        self._study, self._worklist = study, worklist

    def choose(
        self, reader: Reader, item_id: str, kind: str, slot: int | None, details: Details
    ) -> int:
        """Record a ``pick``, ``reject`` or ``skip``; returns the decision's number.

        Raises
        ------
        Refused
            When the item is not the reader's current one, or does not allow that.
        """

        def insert(sql: sqlite3.Connection) -> int:
            item = self._current(reader, item_id)
            if self._worklist.desk(reader).is_rejected(item) and kind != "skip":
                raise _elsewhere()
            chosen = None
            if kind == "pick":
                if slot is None or not 1 <= slot <= len(item.order):
                    text = f"expected a slot from 1 to {len(item.order)}, found {slot}"
                    raise Refused(422, "bad-slot", text)
                chosen = item.order[slot - 1].id
            if kind == "reject" and not item.open_choice:
                raise Refused(
                    422, "may-not-reject", "In this stage one of the masks has to be picked."
                )
            return self._insert(
                sql, reader, item, kind, details, slot=slot if chosen else None, candidate_id=chosen
            )

        return self._once(reader, details, insert)

    def draw(
        self,
        reader: Reader,
        item_id: str,
        mask: NDArray[np.bool_],
        from_slot: int,
        details: Details,
    ) -> int:
        """Record a drawing; its file is on disk before its row is.

        Parameters
        ----------
        mask
            (H, W) bool, at the radiograph's size.
        from_slot
            Slot of the mask that the drawing began with; 0 for none.

        Raises
        ------
        Refused
            When the item is not the reader's current one, or may not be drawn.
        """
        if self._done_before(reader, details) is None:
            _may_draw(self._current(reader, item_id))
        # Refused or killed after this, a file remains that no row names, and does no harm.
        file, sha256 = self._study.add_mask(mask)

        def insert(sql: sqlite3.Connection) -> int:
            item = self._current(reader, item_id)
            _may_draw(item)
            if not 0 <= from_slot <= len(item.order):
                text = f"expected from_slot from 0 to {len(item.order)}, found {from_slot}"
                raise Refused(422, "bad-slot", text)
            candidate = sql.execute(
                "INSERT INTO candidate (picture_id, kind, reader_id, file, sha256) "
                "VALUES (?, 'reader', ?, ?, ?)",
                (item.picture.id, reader.id, file, sha256),
            ).lastrowid
            return self._insert(
                sql,
                reader,
                item,
                "draw",
                details,
                candidate_id=candidate,
                begun_from_id=item.order[from_slot - 1].id if from_slot else None,
            )

        return self._once(reader, details, insert)

    def undo(self, reader: Reader, item_id: str | None, details: Details) -> int:
        """Take the reader's last decision back, by one more row.

        Parameters
        ----------
        item_id
            The item that the page shows; ``None`` when it shows that all is done.

        Raises
        ------
        Refused
            When that is not the reader's current item, or nothing is left to take back.
        """

        def insert(sql: sqlite3.Connection) -> int:
            desk = self._worklist.desk(reader)
            current = desk.current
            if item_id != (current.id if current else None):
                raise _not_current()
            if desk.last is None:
                raise Refused(409, "nothing-to-undo", "There is nothing to undo.")
            last = desk.last
            items = (i for i in desk.items.values() if i.picture.id == last["picture_id"])
            item = next(items, None)
            if item is None:
                raise Refused(409, "nothing-to-undo", "That decision cannot be undone any more.")
            return self._insert(sql, reader, item, "undo", details, undoes=last["id"])

        return self._once(reader, details, insert)

    def previous(self, reader: Reader, item: Item) -> sqlite3.Row | None:
        """The decision that a reader took back on an open item, or with which they skipped it."""
        return self._study.first(
            "SELECT kind, slot FROM decision WHERE reader_id = ? AND picture_id = ? "
            "AND kind <> 'undo' ORDER BY id DESC LIMIT 1",
            *(reader.id, item.picture.id),
        )

    def why_absent(self, reader: Reader, desk: Desk, item_id: str) -> Refused:
        """The reason why a name is not on a reader's desk."""
        picture = self._worklist.picture_of(reader, item_id)
        if picture is None:
            return Refused(404, "unknown-item", "This radiograph is not in your list.")
        # Its masks are others now; or another third reader was quicker.
        still_there = any(item.picture.id == picture for item in desk.items.values())
        return _not_current() if still_there else _elsewhere()

    def show(self, reader: Reader, item: Item) -> None:
        """Record since when a reader sees an item."""
        key = (reader.id, item.picture.id)
        known = "SELECT 1 FROM shown WHERE reader_id = ? AND picture_id = ?"
        if self._study.first(known, *key) is None:
            with self._study.writing() as writing:
                writing.execute("INSERT OR IGNORE INTO shown VALUES (?, ?, ?)", (*key, now()))

    def _current(self, reader: Reader, item_id: str) -> Item:
        """Give the item if it is the one to decide, and refuse it otherwise."""
        desk = self._worklist.desk(reader)
        item = desk.items.get(item_id)
        if item is None:
            raise self.why_absent(reader, desk, item_id)
        if item == desk.current:
            return item
        raise _not_current() if desk.standing(item) is None else _elsewhere()

    def _once(
        self, reader: Reader, details: Details, insert: Callable[[sqlite3.Connection], int]
    ) -> int:
        with self._study.writing() as sql:
            before = self._done_before(reader, details)
            return insert(sql) if before is None else before

    def _done_before(self, reader: Reader, details: Details) -> int | None:
        row = self._study.first(
            "SELECT id FROM decision WHERE reader_id = ? AND key = ?", reader.id, details.key
        )
        return None if row is None else int(row["id"])

    def _insert(
        self,
        sql: sqlite3.Connection,
        reader: Reader,
        item: Item,
        kind: str,
        details: Details,
        *,
        slot: int | None = None,
        candidate_id: int | None = None,
        begun_from_id: int | None = None,
        undoes: int | None = None,
    ) -> int:
        moment = now()
        shown = self._study.first(
            "SELECT at FROM shown WHERE reader_id = ? AND picture_id = ?",
            *(reader.id, item.picture.id),
        )
        number = sql.execute(
            "INSERT INTO decision (reader_id, picture_id, stage, kind, slot, candidate_id, "
            "begun_from_id, order_shown, started_at, decided_at, elapsed_ms, tab, key, undoes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reader.id,
                item.picture.id,
                item.picture.stage,
                kind,
                slot,
                candidate_id,
                begun_from_id,
                json.dumps([candidate.id for candidate in item.order]),
                shown["at"] if shown else moment,
                moment,
                details.elapsed_ms,
                details.tab,
                details.key,
                undoes,
            ),
        ).lastrowid
        # The next item is seen from now on; in the same transaction, which is one sync less.
        current = self._worklist.desk(reader).current
        if current is not None:
            sql.execute(
                "INSERT OR REPLACE INTO shown VALUES (?, ?, ?)",
                (reader.id, current.picture.id, moment),
            )
        return int(number or 0)


def _may_draw(item: Item) -> None:
    if not item.open_choice:
        raise Refused(422, "may-not-draw", "In this stage one of the masks has to be picked.")


def _elsewhere() -> Refused:
    return Refused(
        409,
        "decided-elsewhere",
        "This radiograph was decided already, in another tab or before. The page goes on with the next one.",
    )


def _not_current() -> Refused:
    return Refused(
        410,
        "not-current",
        "This page is not the latest: another tab went on, or the masks have changed. Reload it to go on here.",
    )
