"""Files that are read whole or refused, and written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import stat
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.text import json_bytes

MAX_JSON_BYTES = 64 * 2**20
"""Largest JSON file that is read."""

MAX_DEPTH = 64
"""Deepest nesting of a JSON document: whatever walks through one of our records gets there and back."""


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse JSON of outside.

    Parameters
    ----------
    text
        The text, or its bytes in UTF-8, -16 or -32.
    finite
        Whether infinite numbers and NaN are refused, which JSON does not have.

    Raises
    ------
    ValueError
        When it is not JSON (RFC 8259), no text, nested deeper than any record, holds a key twice, a number that
        is infinite or none, or half a character, which can be written nowhere.
    """
    try:
        document = load_strictly(text, finite=finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    level, depth = [document], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not item.isascii():
                item.encode()
            elif finite and isinstance(item, float) and not math.isfinite(item):
                raise ValueError("it holds a number that is larger than any")
        level, depth = below, depth + 1
    return document


def load_strictly(text: str | bytes, *, finite: bool = True) -> Any:
    """``json.loads`` for what has one meaning alone; the parameters are those of :func:`parse_json`.

    Raises
    ------
    ValueError
        When it is not JSON, or holds a key twice, of which readers take the one or the other; or NaN or
        Infinity, which Python's ``json`` takes and JSON does not have.
    RecursionError
        When it is nested too deep.
    """
    constant = _refuse_constant if finite else None
    return json.loads(text, object_pairs_hook=_each_key_once, parse_constant=constant)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"it holds the key {key!r:.60} twice")
        document[key] = value
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file, or say in one line why not.

    Raises
    ------
    SpecError
        When the file is missing, unreadable, or holds something else than an object.
    """
    try:
        # A pipe would make it wait.
        if path.exists() and not path.is_file():
            raise SpecError(f"cannot read {path}: it is no file")
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise SpecError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB, which no record is")
        document = parse_json(content.decode("utf-8"))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SpecError(f"expected a JSON object in {path}, found {type(document).__name__}")
    return document


def parse_toml(content: bytes, where: str) -> dict[str, Any]:
    """Parse a TOML file's bytes, which errors name as ``where``.

    Raises
    ------
    SpecError
        When it is not TOML.
    """
    try:
        return tomllib.loads(content.decode("utf-8"))
    # Besides what is no TOML: bytes that are no text, thousands of digits, and what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where} is not TOML: {error}") from error


def write_json(path: Path, document: object, *, private: bool = False) -> None:
    """Write JSON beside ``path`` and rename it, so that no half-written file is ever seen."""
    write_bytes(path, json_bytes(document), private=private)


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write ``content`` beside ``path`` and rename it; ``private`` as in :func:`write_together`."""
    write_together({path: content}, private=private)


def write_together(contents: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write files that belong together beside their paths, and rename them when all are there.

    A full disk leaves none of them.

    Parameters
    ----------
    private
        For patients' data: the files are their owner's alone (0600), whatever the umask, and so are their
        folders (see :func:`make_private`).
    """
    written: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            if private:
                make_private(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not made of its name, which may be as long as a name can be.
            written[path] = path.with_name(f".{uuid.uuid4().hex}.part")
            if private:
                written[path].touch(0o600, exist_ok=False)
            written[path].write_bytes(content)
        for path, beside in written.items():
            beside.replace(path)
    finally:
        for beside in written.values():
            beside.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Append a line to its owner's file by one write: a kill leaves it whole, or a torn last one.

    Raises
    ------
    OSError
        When the file cannot be written, or the line not whole.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = os.fstat(descriptor).st_size
        torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        content = b"\n" * torn + line
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk: those that are new, and that others are gone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LONGEST_NAME_BYTES = 255
"""Longest name of a file, in bytes, on every usual file system (NAME_MAX)."""


def shortened(name: str, *, room_bytes: int) -> str:
    """A file's name, cut where it would leave less than ``room_bytes`` for a suffix.

    A cut one ends in a part of its own hash, so that two long names stay two.
    """
    most_bytes = _LONGEST_NAME_BYTES - room_bytes
    if len(os.fsencode(name)) <= most_bytes:
        return name
    end = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    while len(os.fsencode(name + end)) > most_bytes:
        name = name[:-1]
    return name + end


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


def require_new_folder(folder: Path, error: type[InfmapError] = InfmapError) -> None:
    """Refuse to write a set into a folder that holds something: two sets would be one afterwards."""
    with writing_to(folder, error):
        if folder.exists() and any(folder.iterdir()):
            raise error(f"{folder} is not empty: name a new folder, or remove it")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """The folder of the user's caches, such as TensorRT's timings: in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "infmap-kit"
