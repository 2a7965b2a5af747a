"""Readers' work: the radiographs, their order, and the masks at their places."""

from __future__ import annotations

import dataclasses
import functools
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from infmap_annotate.reading.verdict import Jury
from infmap_annotate.study.folder import Candidate, Picture, Study
from infmap_annotate.study.readers import Reader
from infmap_annotate.study.sequence import opaque_id, shuffled

_DONE = ("pick", "draw")
# Letters, of six bits each.
_HALF = 11


@dataclasses.dataclass(frozen=True)
class Item:
    """One radiograph for one reader.

    Parameters
    ----------
    id
        Name that only this reader sees, and that shows nothing of the radiograph.
    number
        Its place in the reader's order, from 1.
    order
        The masks; the first is at slot 1.
    open_choice
        Whether all masks may be rejected and a new one drawn.
    """

    id: str
    number: int
    picture: Picture
    order: tuple[Candidate, ...]
    open_choice: bool


@dataclasses.dataclass(frozen=True)
class Progress:
    """The progress of a reader."""

    done: int
    total: int
    skipped: int


class Desk:
    """One reader's items and decisions at one moment.

    Parameters
    ----------
    items
        The items by name, in the reader's order.
    made
        The decisions that stand, oldest first.
    """

    def __init__(self, items: Mapping[str, Item], made: Sequence[sqlite3.Row]) -> None:
        self.items = items
        self._made = made
        self._standing = {row["picture_id"]: row for row in made}

    def standing(self, item: Item) -> sqlite3.Row | None:
        """The reader's last decision on an item; ``None`` when it is open."""
        return self._standing.get(item.picture.id)

    @property
    def last(self) -> sqlite3.Row | None:
        """The decision that an undo takes back."""
        return self._made[-1] if self._made else None

    @property
    def current(self) -> Item | None:
        """The item to decide now; ``None`` when all is done."""
        return next(iter(self._to_do), None)

    @property
    def following(self) -> Item | None:
        """The item after it."""
        return next(iter(self._to_do[1:]), None)

    @property
    def progress(self) -> Progress:
        """The progress of the reader."""
        kinds = [row["kind"] for i in self.items.values() if (row := self.standing(i)) is not None]
        return Progress(
            done=sum(kind in _DONE for kind in kinds),
            total=len(self.items),
            skipped=kinds.count("skip"),
        )

    def is_rejected(self, item: Item) -> bool:
        """Whether the reader rejected all masks and has to draw one."""
        return self._kind(item) == "reject"

    def _kind(self, item: Item) -> str | None:
        row = self.standing(item)
        return None if row is None else str(row["kind"])

    @functools.cached_property
    def _to_do(self) -> list[Item]:
        """Rejected items, which wait for a drawing; open ones; skipped ones, oldest first."""
        items = list(self.items.values())
        kinds = {item.id: self._kind(item) for item in items}
        skipped = [item for item in items if kinds[item.id] == "skip"]
        return [
            *(item for item in items if kinds[item.id] == "reject"),
            *(item for item in items if kinds[item.id] is None),
            *sorted(skipped, key=lambda item: self._standing[item.picture.id]["id"]),
        ]


class Worklist:
    """Gives every reader of a study their desk.

    Parameters
    ----------
    study
        The study.
    jury
        Its verdicts are what third readers have to decide.
    """

    def __init__(self, study: Study, jury: Jury) -> None:
        self._study, self._jury = study, jury
        self._plans: dict[tuple[int, Any], dict[str, Item]] = {}

    def desk(self, reader: Reader) -> Desk:
        """A reader's desk now."""
        made = self._study.query(
            "SELECT * FROM standing WHERE reader_id = ? ORDER BY id", reader.id
        )
        if reader.role == "owner":
            return Desk({}, ())
        if reader.role == "third":
            return Desk(self._disputes(reader, {row["picture_id"] for row in made}), made)
        # Masks come with models; between two of them the plan is the same.
        ((models,),) = self._study.query("SELECT count(*) FROM model")
        if (reader.id, models) not in self._plans:
            self._plans[reader.id, models] = self._plan(reader)
        return Desk(self._plans[reader.id, models], made)

    def picture_of(self, reader: Reader, item_id: str) -> int | None:
        """Number of the radiograph that a name was ever made for; ``None`` for no name of this reader's."""
        for picture in self._study.pictures():
            if item_id.startswith(self._name(reader, picture)):
                return picture.id
        return None

    def _name(self, reader: Reader, picture: Picture, masks: Sequence[Candidate] = ()) -> str:
        """Name an item: half of the name is the radiograph's, half of the masks and their order.

        Masks may change, by a model that joins or a first reader's new choice; a decision on the old ones
        must not be taken for one on the new.
        """
        parts = [(), tuple(mask.id for mask in masks)] if masks else [()]
        key = (self._study.secret, reader.id, picture.id)
        return "".join(opaque_id(*key, *part)[:_HALF] for part in parts)

    def _plan(self, reader: Reader) -> dict[str, Item]:
        candidates = self._study.candidates()
        ready = []
        for picture in self._study.pictures():
            masks = [c for c in candidates.get(picture.id, ()) if c.kind != "reader"]
            # Stage I is a choice between what a doctor drew and what machines did.
            if picture.stage is not None and len(masks) >= (2 if picture.stage == 1 else 1):
                ready.append((picture, masks))
        return self._items(reader, ready, by_stage=True)

    def _disputes(self, reader: Reader, decided: set[int]) -> dict[str, Item]:
        by_number = {picture.id: picture for picture in self._study.pictures()}
        disputed = []
        for number, verdict in self._jury.verdicts().items():
            if verdict.by == "disputed" or number in decided:
                disputed.append((by_number[number], list(verdict.disputed)))
        return self._items(reader, disputed)

    def _items(
        self,
        reader: Reader,
        pairs: Sequence[tuple[Picture, list[Candidate]]],
        *,
        by_stage: bool = False,
    ) -> dict[str, Item]:
        seed = self._study.rules.seed
        mixed = shuffled(pairs, seed, reader.name, key=lambda pair: pair[0].name)
        if by_stage:
            mixed.sort(key=lambda pair: pair[0].stage or 0)
        items = {}
        for number, (picture, masks) in enumerate(mixed, start=1):
            order = shuffled(masks, seed, reader.name, picture.name, key=lambda mask: mask.id)
            name = self._name(reader, picture, order)
            open_choice = (
                reader.role == "third" or picture.stage == 2 or self._study.rules.draw_in_stage_one
            )
            items[name] = Item(name, number, picture, tuple(order), open_choice)
        return items
