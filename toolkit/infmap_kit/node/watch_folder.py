"""A folder as a way in: DICOM files that are put there go into the queue, as if they had been sent."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import re
import signal
import stat
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from infmap_kit.errors import NodeError
from infmap_kit.model.files import shortened
from infmap_kit.node.config import FOLDER_CALLER
from infmap_kit.node.intake import Conflict, Intake, NoRoom, Receipt, Unusable
from infmap_kit.node.log import Trouble, note

ACCEPTED, REFUSED = "accepted", "refused"

_UNFINISHED = re.compile(
    r"(?i).*(\.(part|partial|filepart|tmp|temp|crdownload|download|swp|lock)|~)|~.*", re.DOTALL
)
"""Names that programs give to what they are still writing."""

_CHUNK_BYTES = 2**20
_REASON = ".reason.txt"


@dataclasses.dataclass(frozen=True)
class _Sight:
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Sight:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclasses.dataclass
class _Watched:
    """A file as it was first seen with its present size and time, and why it was not taken since."""

    sight: _Sight
    since_s: float
    waits: str = ""
    is_unusable: bool = False


class _Changed(Exception):
    """The file is another one than at the last look."""


class WatchFolder:
    """Looks at a folder again and again.

    A file is taken when it has been the same for a while and no program has it open for writing, and moved to
    ``accepted/`` after it is in the queue; what cannot be taken goes to ``refused/`` with a line that says
    why. What is cut short or cannot be read may still be on its way: it is given longer. Looking needs no
    help of the file system, so a share will do; writers on other machines are known by the file's changes
    and its completeness alone.

    Parameters
    ----------
    folder
        A folder that exists.
    intake
        The intake of the files.
    max_object_bytes
        Size of the largest file that is taken.
    settle_s
        Seconds for which a file must not have changed.
    patience_s
        The same for a file that cannot be used as it is, or is still open for writing.
    """

    def __init__(
        self,
        folder: Path,
        intake: Intake,
        *,
        max_object_bytes: int,
        settle_s: float,
        patience_s: float,
    ) -> None:
        if not folder.is_dir():
            raise NodeError(f"expected a folder to watch, found none at {folder}: make it first")
        self._folder = folder
        self._intake = intake
        self._max_object_bytes = max_object_bytes
        self._settle_s = settle_s
        self._patience_s = max(patience_s, settle_s)
        self._watched: dict[Path, _Watched] = {}
        self._ignored: set[str] = set()
        self._trouble = Trouble("watch folder")

    def look(self) -> int:
        """Take the files that have come to rest, and give the number of those that were moved away."""
        before, self._watched, moved = self._watched, {}, 0
        try:
            for file, sight in self._sights():
                self._watched[file] = _Watched(sight, time.monotonic())
            for file, watched in before.items():
                if file in self._watched and self._watched[file].sight == watched.sight:
                    self._watched[file] = watched
                    if self._rests_for(watched, self._settle_s):
                        moved += self._take(file, watched)
        except NoRoom as error:
            self._trouble.begins("there is too little room", found=str(error))
        except OSError as error:
            # Its text quotes the file's name, which may be a patient's.
            self._trouble.begins(f"it cannot be read or written: {error.strerror}")
        else:
            self._trouble.is_over()
        return moved

    def watch(self, *, every_s: float = 1.0) -> None:
        """Look until the process ends."""
        while True:
            self.look()
            time.sleep(every_s)

    def _sights(self) -> Iterator[tuple[Path, _Sight]]:
        ignored: Counter[str] = Counter()
        for file in sorted(self._folder.iterdir()):
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue
            kind = _ignored_kind(file.name, status.st_mode)
            if kind:
                ignored[kind] += 1
            elif stat.S_ISREG(status.st_mode):
                yield file, _Sight.of(status)
        for kind in ignored.keys() - self._ignored:
            note("ignored in the watch folder, said once", what=kind, found=ignored[kind])
        self._ignored |= ignored.keys()

    def _rests_for(self, watched: _Watched, seconds: float) -> bool:
        return time.monotonic() - watched.since_s >= seconds

    def _take(self, file: Path, watched: _Watched) -> bool:
        is_patient = self._rests_for(watched, self._patience_s)
        if watched.is_unusable and not is_patient:
            return False
        try:
            with _opened(file) as stream:
                is_open = has_writer(stream)
                if is_open and (watched.is_unusable or not is_patient):
                    self._waits(watched, "a program has it open for writing")
                    return False
                receipt = self._copy(stream, watched.sight)
        except _Changed:
            return False
        except _Unopened as error:
            self._waits(watched, str(error))
            return False
        except Unusable as error:
            # The rest may be on its way, and the kernel does not see writers on other machines.
            watched.is_unusable = True
            if is_open or not is_patient:
                self._waits(watched, str(error))
                return False
            self._refuse(file, str(error))
        except Conflict as error:
            self._refuse(file, str(error))
        else:
            if not receipt.is_new:
                note("was here already", image=receipt.image_id)
            self._move(file, ACCEPTED)
        return True

    def _waits(self, watched: _Watched, reason: str) -> None:
        if reason != watched.waits:
            watched.waits = reason
            note("a file waits in the watch folder", reason=reason)

    def _copy(self, stream: BinaryIO, sight: _Sight) -> Receipt:
        if sight.size_bytes > self._max_object_bytes:
            raise Unusable(f"expected at most {self._max_object_bytes >> 20} MiB, found more")
        self._intake.refuse_when_full()
        part = self._intake.spool.arriving / f"{uuid.uuid4().hex}.dcm"
        with self._intake.spool.others_held_off(by_node=False):
            try:
                with part.open("wb") as copy:
                    while chunk := _read(stream):
                        copy.write(chunk)
                        if copy.tell() > sight.size_bytes:
                            break
                if _Sight.of(os.fstat(stream.fileno())) != sight:
                    raise _Changed
                return self._intake.accept(part, caller=FOLDER_CALLER)
            finally:
                part.unlink(missing_ok=True)

    def _refuse(self, file: Path, reason: str) -> None:
        note("refused", reason=reason, caller=FOLDER_CALLER)
        refused = self._move(file, REFUSED)
        named = shortened(refused.name, room_bytes=len(_REASON))
        refused.with_name(f"{named}{_REASON}").write_text(f"{reason}\n", encoding="utf-8")

    def _move(self, file: Path, room: str) -> Path:
        folder = self._folder / room
        folder.mkdir(exist_ok=True)
        target = folder / file.name
        if target.exists():
            again = f"-{uuid.uuid4().hex[:8]}{file.suffix[:32]}"
            target = folder / f"{shortened(file.stem, room_bytes=len(os.fsencode(again)))}{again}"
        return file.rename(target)


class _Unopened(Exception):
    """A file that cannot be read, for now."""


def _ignored_kind(name: str, mode: int) -> str:
    """The kind of a directory entry that is never taken; empty for one that may be taken."""
    if stat.S_ISDIR(mode):
        return "" if name in (ACCEPTED, REFUSED) else "folders: files in them are not looked at"
    if stat.S_ISLNK(mode):
        return "links"
    if not stat.S_ISREG(mode):
        return "pipes, sockets or devices"
    if name.startswith("."):
        return "hidden files"
    if _UNFINISHED.fullmatch(name):
        return "unfinished files, by their name: *.part, *.tmp, *~ and the like"
    return ""


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """Open what was seen, and not what somebody has put in its place: no link, and no pipe that blocks."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _Unopened(f"it cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        yield stream


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(_CHUNK_BYTES)
    except OSError as error:
        raise _Unopened(f"it cannot be read: {error.strerror}") from error


def has_writer(stream: BinaryIO) -> bool:
    """Whether a program on this machine has the file open for writing, so far as the kernel tells.

    A lease for reading is granted only while nobody has the file open for writing (fcntl(2), F_SETLEASE). Where
    there are no leases (most shares, and files of another user) the tables of open files in ``/proc`` are
    searched, as far as they may be read.

    Parameters
    ----------
    stream
        The file, opened for reading.
    """
    with contextlib.suppress(OSError):
        # A writer that comes in between breaks the lease; the default signal would end this process.
        fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN or _is_written_by_a_process(stream)
    fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_written_by_a_process(stream: BinaryIO) -> bool:
    status = os.fstat(stream.fileno())
    for folder in Path("/proc").glob("[0-9]*/fd"):
        # Processes end meanwhile, and those of others may not be looked into.
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                with contextlib.suppress(OSError):
                    if os.path.samestat(entry.stat(), status) and _writes(entry):
                        return True
    return False


def _writes(entry: Path) -> bool:
    """Whether a ``/proc/PID/fd/N`` was opened for writing (proc(5))."""
    info = (entry.parent.parent / "fdinfo" / entry.name).read_text(encoding="ascii")
    (flags,) = re.findall(r"^flags:\s*([0-7]+)$", info, re.MULTILINE)
    return bool(int(flags, 8) & (os.O_WRONLY | os.O_RDWR))
