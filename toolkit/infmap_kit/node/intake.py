"""From a file that has arrived to an entry in the queue: what is answered with success is on disk, synced."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
import uuid
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.imaging.quiet import quiet
from infmap_kit.node.log import hashed, note
from infmap_kit.node.spool import Spool, settle
from infmap_kit.node.store import Known, Store
from infmap_kit.spec import sha256_of

_UID = re.compile(r"[0-9.]{1,64}")


class NoRoom(InfmapError):
    """The disk is full, or cannot be written; the sender may try again later."""


class Unusable(InfmapError):
    """What arrived is no DICOM object, or not the one that was announced."""


class Conflict(InfmapError):
    """Another radiograph is here under the same SOP Instance UID."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of an accepted file.

    Parameters
    ----------
    image_id
        Its number in the store.
    is_new
        False for a radiograph that was here already: it is not judged twice.
    remark
        How it differs from the one that was here; empty when it does not.
    """

    image_id: int
    is_new: bool
    remark: str = ""


class Intake:
    """Where every radiograph enters, whoever brings it.

    Parameters
    ----------
    spool
        Where files lie.
    store
        Where they are entered.
    keep_free_bytes
        Space that is not given to new files: results and the store's own log need it.
    """

    def __init__(self, spool: Spool, store: Store, *, keep_free_bytes: int) -> None:
        self.spool = spool
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
        if free < self._keep_free_bytes:
            raise NoRoom(
                f"expected {self._keep_free_bytes >> 20} MiB free on the spool's disk, "
                f"found {free >> 20}"
            )

    def accept(
        self, part: Path, *, caller: str, announced: tuple[str, str] | None = None
    ) -> Receipt:
        """Take a written file over; it is moved.

        Parameters
        ----------
        part
            A whole DICOM file in the spool's ``arriving``.
        caller
            AE title of the sender.
        announced
            SOP class and SOP instance that the sender named, where it did.

        Raises
        ------
        NoRoom
            When it could not be written down; nothing was accepted.
        Unusable
            When it is no DICOM object, or not the announced one.
        Conflict
            When other pixels, or another patient's, are here under its SOP Instance UID.
        """
        file = self.spool.images / f"{uuid.uuid4().hex}.dcm"
        try:
            self.refuse_when_full()
            found = _named(part)
            _check(found, announced)
            sha256, size_bytes = sha256_of(part), part.stat().st_size
            settle(part, file)
            added = self._store.add(
                sop_instance_uid=found[1], sha256=sha256, file=file.name, size_bytes=size_bytes,
                caller=caller,
            )  # fmt: skip
        # A file that is in its place stays there: whether its entry was made, the next start will know.
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NoRoom(f"the spool cannot be written: {reason}") from error
        finally:
            part.unlink(missing_ok=True)
        if isinstance(added, Known):
            try:
                return self._again(added, file, sha256)
            finally:
                file.unlink(missing_ok=True)
        note(
            "received", image=added, uid=hashed(found[1]), caller=caller, size_bytes=size_bytes,
        )  # fmt: skip
        return Receipt(image_id=added, is_new=True)

    def _again(self, known: Known, file: Path, sha256: str) -> Receipt:
        """What a second arrival under the same UID is: the same, the same picture, or another's."""
        if sha256 == known.sha256:
            self._store.count("duplicate")
            note("received again", image=known.image_id)
            return Receipt(image_id=known.image_id, is_new=False)
        try:
            is_same = _is_same_picture(file, self.spool.images / known.file)
        # As in _named(). What cannot be compared is not known to be the same.
        except Exception as error:
            raise Unusable("expected a DICOM object, found one that cannot be read") from error
        if not is_same:
            self._store.count("conflict")
            raise Conflict(
                f"expected a SOP Instance UID of its own, found that of radiograph {known.image_id}, which has "
                "other pixels or is another patient's"
            )
        self._store.count("duplicate")
        note("received again with other attributes; the first is kept", image=known.image_id)
        return Receipt(
            image_id=known.image_id, is_new=False, remark="other attributes; the first is kept"
        )


def _named(path: Path) -> tuple[str, str]:
    """SOP class and SOP instance of a file, as text, whatever it is."""
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    try:
        with quiet():
            syntax = read_file_meta_info(path).get("TransferSyntaxUID")
            # pydicom would inflate it here, to any size.
            is_deflated = syntax == DeflatedExplicitVRLittleEndian
            header = {} if is_deflated else dcmread(path, stop_before_pixels=True)
            found = tuple(str(header.get(key) or "") for key in ("SOPClassUID", "SOPInstanceUID"))
    except OSError:
        raise
    # pydicom names no closed set of errors for damaged files.
    except Exception as error:
        raise Unusable("expected a DICOM object, found one that cannot be read") from error
    if is_deflated:
        raise Unusable("expected a data set that is not deflated: store it uncompressed")
    return found[0], found[1]


def _check(found: tuple[str, str], announced: tuple[str, str] | None) -> None:
    if not all(_UID.fullmatch(uid) for uid in found):
        raise Unusable("expected a SOP class and a SOP Instance UID in the object, found none")
    if announced is not None and announced != found:
        raise Unusable(
            "expected the object that was announced, found another SOP class or instance"
        )


def _is_same_picture(one: Path, other: Path) -> bool:
    from pydicom import dcmread

    def identity(path: Path) -> tuple[object, ...]:
        dataset = dcmread(path)
        return (
            dataset.file_meta.TransferSyntaxUID,
            dataset.get("PixelData"),
            dataset.get("PatientID"),
            dataset.get("StudyInstanceUID"),
        )

    with quiet():
        return identity(one) == identity(other)
