"""A copy of a study in one file, taken while it is in use."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import tempfile
from pathlib import Path

from infmap_annotate.study.folder import DATABASE, KEY, MASKS, Study
from infmap_kit.errors import StudyError


def back_up(study: Study, file: Path) -> int:
    """Write decisions, masks and key into one tar archive; unpacked, it is the study again.

    SQLite's own online copy is taken first. Masks never change and are written before their rows, so that
    every mask that the copy names is there.

    Parameters
    ----------
    file
        Written beside and renamed; readable for its owner alone, as the key is in it.

    Returns
    -------
    int
        Number of masks in it.

    Raises
    ------
    StudyError
        When a mask is missing or damaged, naming it, or the file cannot be written.
    """
    beside = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
            snapshot = Path(folder) / DATABASE
            rows = _copy(study, snapshot)
            beside.touch(0o600)
            with beside.open("wb") as stream:
                with tarfile.open(fileobj=stream, mode="w") as archive:
                    archive.add(snapshot, DATABASE)
                    archive.add(study.folder / KEY, KEY)
                    for name, sha256 in rows:
                        content = study.read_mask(name, sha256)
                        entry = tarfile.TarInfo(f"{MASKS}/{name}")
                        entry.size, entry.mode = len(content), 0o644
                        archive.addfile(entry, io.BytesIO(content))
                stream.flush()
                os.fsync(stream.fileno())
        beside.replace(file)
    except OSError as error:
        raise StudyError(f"cannot write {file}: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
    return len(rows)


def _copy(study: Study, snapshot: Path) -> list[tuple[str, str]]:
    target = sqlite3.connect(snapshot)
    try:
        study.database.reading().backup(target)
        # The archive holds one file, which no log belongs to.
        target.execute("PRAGMA journal_mode = DELETE")
        return [(r[0], r[1]) for r in target.execute("SELECT file, sha256 FROM candidate")]
    finally:
        target.close()
