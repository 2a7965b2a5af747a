"""Forgetting a patient: all that the node holds of somebody goes, from the disk and from the queue's files.

Whose a radiograph is, its own file says; the queue knows only UIDs and accession numbers. Each step can be done
again: a call that was killed is finished by the next one, whomever that names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import NodeError
from infmap_kit.imaging.dicom.dataset import read_header, text_of
from infmap_kit.imaging.dicom.identity import hashed_uid
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.model.files import sync_folder
from infmap_kit.node.audit.messages import AuditedObject, subject_in
from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.queue import view
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.erasure import (
    Held,
    compact,
    erase,
    gone,
    held,
    on_the_way,
    still_to_go,
)
from infmap_kit.node.queue.states import FINAL
from infmap_kit.node.spool import NodeLock, Spool, is_running


class Name(enum.StrEnum):
    """The DICOM attributes, by keyword, by which a patient to be removed can be named."""

    PATIENT = "PatientID"
    ACCESSION = "AccessionNumber"
    STUDY = "StudyInstanceUID"
    INSTANCE = "SOPInstanceUID"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forgotten:
    """The data that the node held about a patient.

    Parameters
    ----------
    radiographs
        Those that are named.
    files
        Their files, relative to the spool.
    size_bytes
        Size of these files.
    subjects
        The radiographs as the audit log names them.
    unknown
        Numbers of radiographs whose files are gone or cannot be read: whose they are cannot be said.
    """

    radiographs: list[Held]
    files: list[str]
    size_bytes: int
    unknown: list[int]
    subjects: list[AuditedObject]

    def as_json(self, *, dry_run: bool) -> dict[str, Any]:
        """Return the list as a JSON document without a name, and without a UID."""
        return {
            "dry_run": dry_run,
            "radiographs": [
                {
                    "id": one.image_id,
                    "state": str(one.state),
                    "received_at": one.received_at,
                    "caller": one.caller,
                }
                for one in self.radiographs
            ],
            "files": self.files,
            "size_bytes": self.size_bytes,
            "unknown": self.unknown,
        }


def find(spool: Spool, database: Database, name: Name, value: str) -> Forgotten:
    """Find what the node holds of somebody, and touch nothing.

    Parameters
    ----------
    name, value
        By what, and its value as it stands in the radiograph, or the stand-in that logs and lists show
        (:func:`~infmap_kit.imaging.dicom.identity.hashed_uid`).

    Raises
    ------
    NodeError
        When the value is empty.
    """
    if not value.strip():
        raise NodeError(
            f"expected a {name}, found an empty one, which would match everything without one"
        )
    named, unknown = [], []
    for one in held(database):
        if name is Name.INSTANCE:
            names: Mapping[str, str] | None = {name: one.sop_instance_uid}
        else:
            files = (spool.images / one.file, *(spool.results / file for file in one.results))
            names = next((found for found in map(_names, files) if found is not None), None)
        if names is None:
            unknown.append(one.image_id)
        elif _is_it(names[name], value):
            named.append(one)
    files_of = sorted({file for one in named for file in _files(spool, one)})
    return Forgotten(
        radiographs=named,
        files=files_of,
        size_bytes=sum((spool.folder / file).stat().st_size for file in files_of),
        unknown=unknown,
        subjects=[_subject(spool, one) for one in named],
    )


def _subject(spool: Spool, one: Held) -> AuditedObject:
    """The radiograph for the audit log; of one whose file is gone, the queue knows the UID."""
    subject = subject_in(spool.images / one.file)
    return subject if subject.instance else AuditedObject(instance=hashed_uid(one.sop_instance_uid))


def forget_all(
    spool: Spool, database: Database, name: Name, value: str, *, trail: Trail | None = None
) -> Forgotten:
    """Remove what the node holds of somebody; what an earlier call left is finished as well.

    Parameters
    ----------
    name, value
        As for :func:`find`.
    trail
        The audit log, which hears of it before anything goes.

    Raises
    ------
    NodeError
        When a radiograph is not finished or just being received, and when the value is empty; nothing was
        removed. When traces could not be removed from the queue's files: calling it again does.
    """
    with _left_by_a_crash_removed(spool, database):
        _refuse_while_one_arrives(spool, database, name, value)
        found = find(spool, database, name, value)
        unfinished = {
            one.image_id: str(one.state) for one in found.radiographs if one.state not in FINAL
        }
        if unfinished:
            raise NodeError(on_the_way(unfinished))
        if trail is not None and found.radiographs:
            trail.forgotten(found.subjects)
        erase(database, [one.image_id for one in found.radiographs], found.files)
        remaining = still_to_go(database)
        for file in remaining:
            (spool.folder / file).unlink(missing_ok=True)
        for room in (spool.images, spool.results):
            sync_folder(room)
        gone(database, remaining)
        compact(database)
    return found


@contextlib.contextmanager
def _left_by_a_crash_removed(spool: Spool, database: Database) -> Iterator[None]:
    """Do what the node does when it starts, where none runs, and let none start meanwhile."""
    if is_running(spool):
        yield
        return
    lock = NodeLock(spool)
    try:
        with spool.others_held_off(by_node=True):
            spool.sweep(view.files(database), view.image_ids(database))
        yield
    finally:
        lock.release()


def _refuse_while_one_arrives(spool: Spool, database: Database, name: Name, value: str) -> None:
    # In this order: whatever gets its entry in between is known then.
    files = [*spool.arriving.iterdir(), *spool.images.iterdir()]
    known = view.files(database)
    for file in files:
        names = None if file.name in known else _names(file)
        if names is not None and _is_it(names[name], value):
            raise NodeError(
                "a radiograph of it is just being received, and nothing was forgotten: call this again in five "
                "minutes; what a sender left half is removed by then"
            )


def _names(file: Path) -> dict[str, str] | None:
    """The identifiers of a file's patient, study and instance; ``None`` if it cannot be read."""
    if file.suffix == ".json":
        return None
    try:
        with quiet(), file.open("rb") as content:
            header = read_header(content)
            return {name: text_of(header, name) for name in Name}
    # pydicom names no closed set of errors for damaged files.
    except Exception:  # noqa: BLE001
        return None


def _is_it(found: str, value: str) -> bool:
    return bool(found) and value.strip() in (found.strip(), hashed_uid(found))


def _files(spool: Spool, one: Held) -> Iterator[str]:
    """Files of a radiograph that are there, relative to the spool; halves that a dead worker left, too."""
    for file in (spool.images / one.file, *spool.results.glob(f"{one.image_id}-*")):
        if file.is_file():
            yield str(file.relative_to(spool.folder))
