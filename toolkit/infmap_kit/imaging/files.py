"""The picture files among the paths of a command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from infmap_kit.imaging.readers import SIGNATURE_BYTES, has_picture_signature

PICTURE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"))
"""Suffixes, in small letters, by which a file claims to be a picture."""


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """List each file to read once, in the order of the paths, sorted within a folder.

    Nothing that was named gets lost: a path that is no folder stays as it is, missing or not, and
    so does a folder in which no picture was found, so that the reader refuses it by name. Out of a
    folder, and the folders in it, come the files that are pictures by their first bytes, and those
    that claim to be by their suffix: a damaged picture is refused by name, notes beside it are
    passed over. Passed over are hidden files and folders too, and links that lead out of the
    folder.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        for member in each_picture(path):
            files.setdefault(_real(member), member)
    return list(files.values())


def each_picture(path: Path) -> Iterator[Path]:
    """The files of one path, as :func:`find_pictures` lists them, one after the other."""
    found = False
    for member in _walk(path):
        found = True
        yield member
    if not found:
        yield path


def _walk(folder: Path) -> Iterator[Path]:
    root = _real(folder)
    errors: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and _real(path).is_relative_to(root) and _claims(path):
                yield path
    # The reader refuses folders that may not be opened.
    yield from (Path(error.filename) for error in errors)


def _real(path: Path) -> Path:
    """The place that a path leads to; unlike ``Path.resolve`` this answers for a link that leads to itself."""
    return Path(os.path.realpath(path))


def _claims(path: Path) -> bool:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return True
    try:
        # Asked first, because opening a pipe would wait for its other end.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return has_picture_signature(file.read(SIGNATURE_BYTES))
    except OSError:
        return False
