"""Files that are read whole or refused, and written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infmap_kit.errors import InfmapError, SpecError


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of outside.

    Raises
    ------
    ValueError
        When it is not JSON, no text, or nested deeper than it can be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file, or say in one line why not.

    Raises
    ------
    SpecError
        When the file is missing, unreadable, or holds something else than an object.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SpecError(f"expected a JSON object in {path}, found {type(document).__name__}")
    return document


def write_json(path: Path, document: object, *, private: bool = False) -> None:
    """Write JSON beside ``path`` and rename it, so that no half-written file is ever seen."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(), private=private)


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write ``content`` beside ``path`` and rename it.

    Parameters
    ----------
    private
        For patients' data: the file is its owner's alone (0600), whatever the umask, and so is its folder
        (see :func:`make_private`).
    """
    if private:
        make_private(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        if private:
            beside.unlink(missing_ok=True)
            beside.touch(0o600, exist_ok=False)
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def make_private(folder: Path) -> None:
    """Make a folder that is its owner's alone (0700), or one of it that exists.

    One that is not for these files alone is left as it is: the home or the present folder or one around it, one
    with a sticky bit, and somebody else's. The files in it are 0600 all the same.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole, seen = folder.resolve(), folder.stat()
    shared = any(place == whole or whole in place.parents for place in (Path.cwd(), Path.home()))
    if not shared and not seen.st_mode & stat.S_ISVTX and seen.st_uid == os.geteuid():
        folder.chmod(0o700)


@contextlib.contextmanager
def writing_to(folder: Path, error: type[InfmapError] = InfmapError) -> Iterator[None]:
    """Translate into ``error`` what goes wrong while files are written to a folder."""
    try:
        yield
    except OSError as reason:
        raise error(f"cannot write to {folder}: {reason.strerror}") from reason


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
