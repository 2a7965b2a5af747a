"""The intake of files that have arrived, into the queue; an accepted file is on disk, synced."""

from __future__ import annotations

import dataclasses
import enum
import re
import sqlite3
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.dicom.completeness import missing_pixels, pixel_digest
from infmap_kit.imaging.dicom.dataset import read_header, text_of
from infmap_kit.imaging.dicom.identity import hashed_uid
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.radiograph import MAX_PIXELS, Reason
from infmap_kit.model.files import sha256_of
from infmap_kit.node.audit.messages import AuditedObject, subject_of
from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.log import cause_of, note
from infmap_kit.node.queue.store import Known, Store
from infmap_kit.node.spool import Spool, settle

if TYPE_CHECKING:
    from pydicom import Dataset

_UNREADABLE = "expected a DICOM object, found one that cannot be read"
# As rejections are entered, with their code first.
_DAMAGED = (f"{Reason.UNREADABLE}:", f"{Reason.TRUNCATED}:")
_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")

MISSING_UID = "0"
"""Stands for a UID that a message should have named; it is no UID, for these have several components."""

_RESULT_BYTES_A_PIXEL = 4
"""A Secondary Capture in RGB, and a little for the others."""


class NoRoom(InfmapError):
    """The disk is full, or cannot be written; the sender may try again later."""


class Fault(enum.Enum):
    """The reason why an arrived file cannot be used."""

    UNREADABLE = enum.auto()
    MISSING_UID = enum.auto()
    NO_UID = enum.auto()
    OTHER_CLASS = enum.auto()
    OTHER_INSTANCE = enum.auto()


class Unusable(InfmapError):
    """An arrived file is no DICOM object, or not the one that was announced."""

    def __init__(self, message: str, fault: Fault = Fault.UNREADABLE) -> None:
        super().__init__(message)
        self.fault = fault


class Incomplete(Unusable):
    """An arrived object has fewer pixels than it announces: cut short on the way, or still being written."""


class Conflict(InfmapError):
    """Another radiograph is here under the same SOP Instance UID."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """The outcome of an accepted file.

    Parameters
    ----------
    image_id
        Its number in the store.
    is_new
        Whether it is to be processed: false for a radiograph that was here already, and whole.
    remark
        Difference from the earlier object with the same UID; empty if there is none.
    """

    image_id: int
    is_new: bool
    remark: str = ""


class Intake:
    """The way of every radiograph into the queue.

    Parameters
    ----------
    spool, store
        The radiographs' files, and the queue of them.
    keep_free_bytes
        Space that is not given to new files: results and the store's own log need it.
    trail
        The audit log, which hears of each radiograph before its sender does.
    """

    def __init__(
        self, spool: Spool, store: Store, *, keep_free_bytes: int, trail: Trail | None = None
    ) -> None:
        self.spool = spool
        self._trail = trail
        self._store = store
        self._keep_free_bytes = keep_free_bytes

    def refuse_when_full(self) -> None:
        """Raise unless there is room for more.

        Raises
        ------
        NoRoom
            When too little is free on the spool's disk.
        """
        free = self.spool.free_bytes()
        # Radiographs that were accepted before need room for their results.
        required = self._keep_free_bytes + self._store.promised_bytes()
        if free < required:
            raise NoRoom(
                f"expected {required >> 20} MiB free on the spool's disk, found {free >> 20}"
            )

    def has_room_to_arrive(self) -> bool:
        """Whether an object that is being received may go on growing; half of the reserve is for these."""
        return self.spool.free_bytes() > self._keep_free_bytes // 2

    def accept(
        self,
        part: Path,
        *,
        caller: str,
        address: str = "",
        announced: tuple[str, str] | None = None,
    ) -> Receipt:
        """Take a written file over; it is moved.

        Parameters
        ----------
        part
            A whole DICOM file in the spool's ``arriving``.
        caller, address
            AE title of the sender, and where it sends from.
        announced
            SOP class and SOP instance that the sender named, where it did.

        Raises
        ------
        NoRoom
            When it could not be written down; nothing was accepted.
        Unusable
            When it is no DICOM object, or not the announced one.
        Incomplete
            When its pixels are fewer than it announces.
        Conflict
            When other pixels, or another patient's, are here under its SOP Instance UID.
        """
        file = self.spool.images / f"{uuid.uuid4().hex}.dcm"
        try:
            self.refuse_when_full()
            header = _header(part)
            _check(header, announced)
            if missing := missing_pixels(part):
                raise Incomplete(f"expected a whole object, found one cut short: {missing}")
            sha256, size_bytes = sha256_of(part), part.stat().st_size
            settle(part, file)
            added = self._store.add(
                sop_instance_uid=header.instance, sha256=sha256, file=file.name, caller=caller,
                size_bytes=size_bytes, results_bytes=header.results_bytes,
                accession=header.accession,
            )  # fmt: skip
            replaced = (
                isinstance(added, Known)
                and added.sha256 != sha256
                and self._is_damaged_before(added, file)
                and self._store.replace(
                    added, sha256=sha256, file=file.name, caller=caller, size_bytes=size_bytes,
                    results_bytes=header.results_bytes, accession=header.accession,
                )
            )  # fmt: skip
        # A file that is in its place stays there; the next start finds out whether its entry was made.
        except (OSError, sqlite3.Error) as error:
            reason = cause_of(error)
            raise NoRoom(f"the spool cannot be written: {reason}") from error
        finally:
            part.unlink(missing_ok=True)
        if isinstance(added, Known) and replaced:
            (self.spool.images / added.file).unlink(missing_ok=True)
            note("replaced, it was cut short or damaged", image=added.image_id, caller=caller)
            self._record(header, caller, address, "U")
            return Receipt(image_id=added.image_id, is_new=True)
        if isinstance(added, Known):
            try:
                receipt = self._again(added, file, sha256)
            finally:
                file.unlink(missing_ok=True)
            self._record(header, caller, address, "R")
            return receipt
        uid = hashed_uid(header.instance)
        note("received", image=added, uid=uid, caller=caller, size_bytes=size_bytes)
        self._record(header, caller, address, "C")
        return Receipt(image_id=added, is_new=True)

    def _record(self, header: _Header, caller: str, address: str, action: str) -> None:
        if self._trail is not None:
            self._trail.received(header.subject, caller=caller, address=address, action=action)

    def _is_damaged_before(self, known: Known, file: Path) -> bool:
        """Whether the one that is here cannot be read, and is of the patient and study that has come.

        What is cut inside a compressed picture shows only when it is decoded, which the worker has done.
        """
        before = self.spool.images / known.file
        try:
            is_damaged = known.rejection.startswith(_DAMAGED) or bool(missing_pixels(before))
            return is_damaged and _study(file) == _study(before)
        # As in _header(): what cannot be compared is not replaced.
        except Exception:  # noqa: BLE001
            return False

    def _again(self, known: Known, file: Path, sha256: str) -> Receipt:
        """Decide whether a second arrival under the same UID is the same file, the same picture, or another."""
        if sha256 == known.sha256:
            self._store.count("duplicate")
            note("received again", image=known.image_id)
            return Receipt(image_id=known.image_id, is_new=False)
        try:
            is_same = _picture(file) == _picture(self.spool.images / known.file)
        # As in _header(): two that cannot be compared may differ.
        except Exception as error:
            raise Unusable(_UNREADABLE) from error
        if not is_same:
            self._store.count("conflict")
            raise Conflict(
                f"expected a SOP Instance UID of its own, found that of radiograph {known.image_id}, which has "
                "other pixels or is another patient's"
            )
        self._store.count("duplicate")
        remark = "other attributes; the first is kept"
        note(f"received again with {remark}", image=known.image_id)
        return Receipt(image_id=known.image_id, is_new=False, remark=remark)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Header:
    """The tags of an arrived file that intake needs."""

    sop_class: str
    instance: str
    results_bytes: int
    accession: str
    subject: AuditedObject


def _header(path: Path) -> _Header:
    try:
        with quiet(), path.open("rb") as file:
            tags = read_header(file)
            pixels = int(tags.get("Rows") or 0) * int(tags.get("Columns") or 0)
            return _Header(
                sop_class=str(tags.get("SOPClassUID") or ""),
                instance=str(tags.get("SOPInstanceUID") or ""),
                results_bytes=_RESULT_BYTES_A_PIXEL * min(max(pixels, 0), MAX_PIXELS),
                accession=text_of(tags, "AccessionNumber"),
                subject=subject_of(tags),
            )
    except OSError:
        raise
    except InputRejected as error:
        raise Unusable(error.reason) from error
    # pydicom names no closed set of errors for damaged files.
    except Exception as error:
        raise Unusable(_UNREADABLE) from error


def _check(header: _Header, announced: tuple[str, str] | None) -> None:
    """Check the UIDs; messages do not quote them, for some senders put names or paths in their place."""
    if not header.sop_class or not header.instance or (announced and MISSING_UID in announced):
        raise Unusable(
            "expected an object with a SOP class and a SOP Instance UID, found none",
            Fault.MISSING_UID,
        )
    if not all(_UID.fullmatch(uid) for uid in (header.sop_class, header.instance)):
        raise Unusable("expected UIDs of digits and dots, at most 64; found others", Fault.NO_UID)
    if announced is not None and announced[0] != header.sop_class:
        raise Unusable(
            "expected the SOP class that was agreed on, found another", Fault.OTHER_CLASS
        )
    if announced is not None and announced[1] != header.instance:
        raise Unusable(
            "expected the SOP instance that was announced, found another", Fault.OTHER_INSTANCE
        )


def _study(path: Path) -> list[object]:
    with quiet(), path.open("rb") as file:
        return _study_in(read_header(file))


def _picture(path: Path) -> list[object]:
    with quiet(), path.open("rb") as file:
        header = read_header(file)
        syntax = header.file_meta.get("TransferSyntaxUID")
        return [syntax, pixel_digest(file, header), *_study_in(header)]


def _study_in(header: Dataset) -> list[object]:
    return [header.get(name) for name in ("PatientID", "StudyInstanceUID")]
