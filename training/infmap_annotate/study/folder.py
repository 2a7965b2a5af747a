"""The study folder: made by `infmap-annotate init`, read by everything else.

::

    study.sqlite     pictures, candidates, readers, decisions; nothing in it is ever deleted
    secret           key of the names under which readers see things; for its owner alone
    masks/           one file a candidate and drawing, all in one encoding

The radiographs stay where they are: the study knows their paths and SHA-256. When they are moved, a link
``data`` in the study's folder leads to their data set.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_annotate.study.database import Database
from infmap_annotate.study.masks import encode_mask, write_durably
from infmap_kit.errors import StudyError
from infmap_kit.model.files import make_private

DATABASE = "study.sqlite"
KEY = "secret"
MASKS = "masks"
MOVED = "data"

MOST_CANDIDATES = 6
"""Masks that a reader can be shown for one radiograph: as many as there are keys, 1 to 6."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Decisions of a study's owner about it, made once.

    Parameters
    ----------
    seed
        Seed of all orders.
    dice_bound
        Two different masks count as agreeing when their Dice reaches this.
    draw_in_stage_one
        Whether readers may reject all masks and draw in stage I too; in stage II they always may.
    """

    seed: int = 0
    dice_bound: float = 0.8
    draw_in_stage_one: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.dice_bound <= 1:
            raise StudyError(
                f"expected the Dice bound to be above 0 and at most 1, found {self.dice_bound}"
            )


@dataclasses.dataclass(frozen=True)
class Picture:
    """A radiograph of the study; ``stage`` is ``None`` for a normal one, which is not annotated."""

    id: int
    name: str
    file: str
    sha256: str
    width: int
    height: int
    patient_group: str
    stage: int | None


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A mask of a radiograph: drawn before the study, a model's, or drawn by a reader in it."""

    id: int
    picture_id: int
    kind: str
    model_id: int | None
    reader_id: int | None
    file: str
    sha256: str


class Study:
    """An open study.

    Parameters
    ----------
    folder
        The folder that ``init`` made.

    Raises
    ------
    StudyError
        When it is no study, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / DATABASE).is_file():
            for room in (folder, folder / MASKS):
                make_private(room)
        self.database = Database(folder / DATABASE)
        try:
            self.secret = bytes.fromhex((folder / KEY).read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise StudyError(f"cannot read {folder / KEY}, the study's key: {error}") from error
        self.rules = Rules(**self.fact("rules"))
        moved = folder / MOVED
        self.data = moved if moved.exists() else Path(self.fact("data"))
        self._pictures: list[Picture] | None = None

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Read rows."""
        return self.database.reading().execute(sql, values).fetchall()

    def first(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Read the first row of an answer; ``None`` when it has none."""
        return next(iter(self.query(sql, *values)), None)

    def fact(self, key: str) -> Any:
        """Read the value that was recorded under a key."""
        ((value,),) = self.query("SELECT value FROM fact WHERE key = ?", key)
        return json.loads(value)

    def pictures(self) -> list[Picture]:
        """All radiographs, normal ones too; a study never gets others than it was made with."""
        if self._pictures is None:
            self._pictures = [
                Picture(**row) for row in self.query("SELECT * FROM picture ORDER BY id")
            ]
        return self._pictures

    def candidates(self) -> dict[int, list[Candidate]]:
        """All masks, by radiograph."""
        by_picture: dict[int, list[Candidate]] = {}
        for row in self.query("SELECT * FROM candidate ORDER BY id"):
            candidate = Candidate(**row)
            by_picture.setdefault(candidate.picture_id, []).append(candidate)
        return by_picture

    def image_path(self, picture: Picture) -> Path:
        """Path of a radiograph's file."""
        return self.data / picture.file

    def read_image(self, picture: Picture) -> bytes:
        """Read a radiograph's file.

        Raises
        ------
        StudyError
            When it is missing, or not the file that the study was made with.
        """
        path = self.image_path(picture)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == picture.sha256:
                return content
        raise StudyError(
            f"{path} is missing or was changed since the study was made: bring back the file"
        )

    def read_mask(self, file: str, sha256: str) -> bytes:
        """Read the file of a candidate's mask.

        Raises
        ------
        StudyError
            When it is missing or damaged.
        """
        path = self.folder / MASKS / file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StudyError(
                f"cannot read {path}: {error.strerror}; take it from a backup"
            ) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StudyError(f"{path} is damaged (its SHA-256 differs): take it from a backup")
        return content

    def add_mask(self, mask: NDArray[np.bool_]) -> tuple[str, str]:
        """Write an (H, W) mask to a new file, durably, and give the file's name and SHA-256."""
        name, content = f"{secrets.token_hex(8)}.png", encode_mask(mask)
        write_durably(self.folder / MASKS / name, content)
        return name, hashlib.sha256(content).hexdigest()

    def writing(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """Write all of it or nothing; it is on disk when the block has ended."""
        return self.database.transaction()


def make_folder(folder: Path, facts: dict[str, Any]) -> None:
    """Make an empty study: tables, facts, key and folder of masks."""
    make_private(folder)
    (folder / MASKS).mkdir(mode=0o700)
    key = os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(key, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    database = Database(folder / DATABASE, make=True)
    with database.transaction() as sql:
        sql.executemany(
            "INSERT INTO fact VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )
    database.close()


def now() -> str:
    """The time, in UTC, to the millisecond."""
    return as_text(dt.datetime.now(dt.UTC))


def as_text(time: dt.datetime) -> str:
    """Format a time as the study stores it; texts sort as times do."""
    return time.astimezone(dt.UTC).isoformat(timespec="milliseconds")
