"""The sources of a cohort's radiographs: files, objects of a store, instances of a PACS.

A locator says where one lies, in bytes: a path as the system has it, ``s3://bucket/key`` or another URL of
fsspec, or the WADO-RS address of an instance.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

from infmap_kit.errors import InputRejected, ServerError
from infmap_kit.imaging.radiograph import MAX_FILE_BYTES, Reason
from infmap_kit.imaging.readers import read_content

_SCHEME = re.compile(rb"([a-z][a-z0-9+.-]+)://")


def scheme_of(locator: bytes) -> str:
    """The scheme of a locator, such as ``s3``; empty for a path."""
    found = _SCHEME.match(locator)
    return found[1].decode() if found else ""


def name_of(locator: bytes) -> str:
    """The last part of a locator, which may be a patient's name: for decoders, and not for results."""
    return os.fsdecode(locator.rstrip(b"/").rpartition(b"/")[2])


def fetch(locator: bytes) -> bytes:
    """Content of a radiograph.

    Raises
    ------
    InputRejected
        ``missing``, ``not-a-file``, ``too-large`` or ``unreadable``.
    ServerError
        When where it lies does not answer: no fault of the radiograph, which may be asked for again.
    """
    scheme = scheme_of(locator)
    if not scheme:
        return read_content(Path(os.fsdecode(locator)))
    if scheme in ("http", "https"):
        from infmap_kit.cohort.dicomweb import retrieve

        return retrieve(locator.decode())
    return _fetch_object(locator.decode(), scheme)


@functools.lru_cache(maxsize=8)
def file_system(scheme: str) -> Any:
    """The fsspec file system of a scheme, with whatever its own configuration says.

    Raises
    ------
    ServerError
        When there is none of that name.
    """
    import fsspec

    try:
        return fsspec.filesystem(scheme)
    except ImportError as error:
        raise ServerError(
            f"{scheme}:// needs a package that is not installed ({error}); for s3:// pip install "
            "'infmap-kit[s3]'"
        ) from error
    except ValueError as error:
        raise ServerError(
            f"fsspec knows no file system {scheme}://: copy the radiographs to one that it knows, or to a disk"
        ) from error


def _fetch_object(url: str, scheme: str) -> bytes:
    system = file_system(scheme)
    try:
        with system.open(url, "rb", block_size=2**22) as file:
            content: bytes = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise InputRejected(Reason.MISSING, "there is no such object") from error
    except IsADirectoryError as error:
        raise InputRejected(Reason.NOT_A_FILE, "expected an object, found a folder") from error
    except Exception as error:
        # Stores of fsspec share no class of errors but OSError, and not all keep to it.
        raise ServerError(f"{scheme}:// does not answer: {_line(error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise InputRejected(
            Reason.TOO_LARGE, f"expected at most {MAX_FILE_BYTES >> 20} MiB, found more"
        )
    return content


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
