"""A PACS that is asked by DICOMweb: which instances it has (QIDO-RS), and their content (WADO-RS).

DICOM PS3.18, 10.6 and 10.4. A user and a password come from ``~/.netrc``, a token from the environment variable
``INFMAP_DICOMWEB_TOKEN``: neither is written anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import threading
from collections.abc import Iterator
from email.message import Message
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import InfmapError, InputRejected, ServerError
from infmap_kit.imaging.radiograph import MAX_FILE_BYTES, Reason

if TYPE_CHECKING:
    import requests

TOKEN = "INFMAP_DICOMWEB_TOKEN"  # noqa: S105  # the variable's name
_PAGE = 500
"""Answers of one request; a PACS may give fewer, and is asked until it gives none."""
_TIMEOUT_S = (10, 120)
_UID = re.compile(r"[0-9.]{1,64}")
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_INSTANCE_ACCEPTED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """The search for radiographs in a PACS.

    Parameters
    ----------
    date
        A day of the study, ``20240131``, or a span, ``20200101-20241231``; all when empty.
    modalities
        Such as ``("CR", "DX")``; each is a query of its own. All when empty.
    body_part
        Body Part Examined; all when empty.

    Raises
    ------
    InfmapError
        When the date is none.
    """

    date: str = ""
    modalities: tuple[str, ...] = ("CR", "DX")
    body_part: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"|\d{8}|\d{8}-(\d{8})?|-\d{8}", self.date):
            raise InfmapError(
                f"expected --date such as 20240131 or 20200101-20241231, found {self.date!r}"
            )


def search(root: str, query: Query) -> Iterator[str]:
    """WADO-RS address of each instance that a PACS has, series by series.

    Parameters
    ----------
    root
        Root of DICOMweb, such as ``https://pacs/dicom-web``.

    Raises
    ------
    ServerError
        When the PACS does not answer, or refuses.
    """
    asked = {"StudyDate": query.date, "BodyPartExamined": query.body_part}
    for modality in query.modalities or ("",):
        matching = {key: value for key, value in {**asked, "Modality": modality}.items() if value}
        for series in _pages(f"{root}/series", matching):
            at = f"{root}/studies/{_uid(series, _STUDY)}/series/{_uid(series, _SERIES)}/instances"
            for instance in _pages(at, {}):
                yield f"{at}/{_uid(instance, _INSTANCE)}"


def retrieve(address: str) -> bytes:
    """Content of an instance, in whatever transfer syntax it is stored.

    Raises
    ------
    InputRejected
        ``missing`` or ``too-large``, or ``unreadable`` for an answer that is no instance.
    ServerError
        When the PACS does not answer, or refuses.
    """
    import requests

    with _translated(address), _get(address, accept=_INSTANCE_ACCEPTED) as answer:
        if answer.status_code in (requests.codes.not_found, requests.codes.gone):
            raise InputRejected(Reason.MISSING, "the PACS has no such instance")
        _require_success(answer, address)
        content = bytearray()
        for piece in answer.iter_content(2**20):
            content += piece
            if len(content) > MAX_FILE_BYTES + 2**12:
                raise InputRejected(
                    Reason.TOO_LARGE, f"expected at most {MAX_FILE_BYTES >> 20} MiB, found more"
                )
        return _first_part(bytes(content), answer.headers.get("Content-Type", ""))


def _pages(address: str, matching: dict[str, str]) -> Iterator[dict[str, Any]]:
    offset, before = 0, None
    while True:
        parameters = {**matching, "limit": str(_PAGE), "offset": str(offset)}
        with _translated(address), _get(address, parameters) as answer:
            _require_success(answer, address)
            found = [] if answer.status_code == 204 else answer.json()
        if not isinstance(found, list):
            raise ServerError(
                f"expected a list of matches from {address}, found something else: look at the address"
            )
        if found and found == before and len(found) == _PAGE:
            raise ServerError(
                f"the PACS at {address} knows no offset, and gives {_PAGE} matches and no more: ask for "
                "less at once, with --date"
            )
        # One that knows no limit either gives all of them again.
        if not found or found == before:
            return
        yield from found
        offset, before = offset + len(found), found


def _get(address: str, parameters: dict[str, str] | None = None, accept: str = "") -> Any:
    headers = {"Accept": accept or "application/dicom+json"}
    if token := os.environ.get(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    return _session(threading.get_ident()).get(
        address, params=parameters, headers=headers, timeout=_TIMEOUT_S, stream=True
    )


@functools.lru_cache(maxsize=64)
def _session(_thread: int) -> requests.Session:
    """A session for each thread, since sessions cannot be shared."""
    import requests

    return requests.Session()


@contextlib.contextmanager
def _translated(address: str) -> Iterator[None]:
    """Translate what requests raises about an address, an answer that is no JSON among it."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise ServerError(f"the PACS at {address} does not answer: {error}") from error


def _require_success(answer: requests.Response, address: str) -> None:
    if not answer.ok:
        raise ServerError(
            f"the PACS refuses {address} with status {answer.status_code}: look at the address, and at the "
            f"user in ~/.netrc or the token in {TOKEN}"
        )


def _uid(match: dict[str, Any], tag: str) -> str:
    values = match.get(tag, {}).get("Value") or [""]
    if not _UID.fullmatch(str(values[0])):
        raise ServerError(
            f"expected a UID ({tag}) in every match of the PACS, found none: ask its vendor, or name files"
        )
    return str(values[0])


def _first_part(content: bytes, content_type: str) -> bytes:
    """The first part of a multipart answer (RFC 2046, 5.1.1), or the answer itself where it is none."""
    header = Message()
    header["Content-Type"] = content_type
    if not content_type.lower().startswith("multipart/"):
        return content
    boundary = f"--{header.get_boundary('')}".encode()
    start = content.find(boundary)
    begin = content.find(b"\r\n\r\n", start) + 4
    end = content.find(b"\r\n" + boundary, begin)
    if start < 0 or begin < 4 or end < 0:
        raise InputRejected(
            Reason.UNREADABLE, "expected a whole instance from the PACS, found none"
        )
    return content[begin:end]
