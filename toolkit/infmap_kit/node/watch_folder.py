"""A folder as a way in: DICOM files that are put there go into the queue, as if they had been sent."""

from __future__ import annotations

import dataclasses
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from infmap_kit.errors import NodeError
from infmap_kit.node.config import FOLDER_CALLER
from infmap_kit.node.intake import Conflict, Intake, NoRoom, Receipt, Unusable
from infmap_kit.node.log import Trouble, note

ACCEPTED, REFUSED = "accepted", "refused"


@dataclasses.dataclass(frozen=True)
class _Sight:
    size_bytes: int
    modified_ns: int


class WatchFolder:
    """Looks at a folder again and again.

    A file is taken when it has not changed from one look to the next, and moved to ``accepted/`` after it
    is in the queue; what cannot be taken goes to ``refused/`` with a line that says why. Looking needs no
    help of the file system, so a share will do.

    Parameters
    ----------
    folder
        A folder that exists.
    intake
        The intake of the files.
    max_object_bytes
        Size of the largest file that is taken.
    """

    def __init__(self, folder: Path, intake: Intake, *, max_object_bytes: int) -> None:
        if not folder.is_dir():
            raise NodeError(f"expected a folder to watch, found none at {folder}: make it first")
        self._folder = folder
        self._intake = intake
        self._max_object_bytes = max_object_bytes
        self._before: dict[Path, _Sight] = {}
        self._full = Trouble("watch folder")

    def look(self) -> int:
        """Take the files that have come to rest, and give the number of those that were moved away."""
        now, moved = dict(self._sights()), 0
        for file, sight in now.items():
            if self._before.get(file) == sight:
                try:
                    moved += self._take(file, sight)
                except (NoRoom, OSError) as error:
                    self._full.begins("there is too little room", found=str(error))
                    break
        else:
            self._full.is_over()
        self._before = now
        return moved

    def watch(self, *, every_s: float = 1.0) -> None:
        """Look until the process ends."""
        while True:
            self.look()
            time.sleep(every_s)

    def _sights(self) -> Iterator[tuple[Path, _Sight]]:
        for file in sorted(self._folder.iterdir()):
            if file.name.startswith(".") or not file.is_file() or file.is_symlink():
                continue
            status = file.stat()
            yield file, _Sight(status.st_size, status.st_mtime_ns)

    def _take(self, file: Path, sight: _Sight) -> bool:
        try:
            receipt = self._copy(file, sight)
        except (Unusable, Conflict) as error:
            note("refused", reason=str(error), caller=FOLDER_CALLER)
            refused = self._move(file, REFUSED)
            refused.with_name(f"{refused.name}.reason.txt").write_text(
                f"{error}\n", encoding="utf-8"
            )
            return True
        if not receipt.is_new:
            note("was here already", image=receipt.image_id)
        self._move(file, ACCEPTED)
        return True

    def _copy(self, file: Path, sight: _Sight) -> Receipt:
        if sight.size_bytes > self._max_object_bytes:
            raise Unusable(f"expected at most {self._max_object_bytes >> 20} MiB, found more")
        self._intake.refuse_when_full()
        part = self._intake.spool.arriving / f"{uuid.uuid4().hex}.dcm"
        with self._intake.spool.others_held_off(by_node=False):
            try:
                shutil.copyfile(file, part)
                return self._intake.accept(part, caller=FOLDER_CALLER)
            finally:
                part.unlink(missing_ok=True)

    def _move(self, file: Path, room: str) -> Path:
        folder = self._folder / room
        folder.mkdir(exist_ok=True)
        target = folder / file.name
        if target.exists():
            target = folder / f"{file.stem}-{uuid.uuid4().hex[:8]}{file.suffix}"
        return file.rename(target)
