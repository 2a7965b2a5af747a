"""Sending objects to a PACS: by C-STORE (PS3.4, annex B) and by DICOMweb STOW-RS (PS3.18, 10.5)."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from infmap_kit.imaging.dicom.dataset import read_header, read_object
from infmap_kit.node.config import ClientTls, CStoreDestination, Destination, StowDestination
from infmap_kit.node.dicom.reaching import (
    Connections,
    associated,
    cut_off_after,
    hang_up,
    tls_context,
    why_unreachable,
)
from infmap_kit.node.dicom.response import (
    DestinationUnavailable,
    Meaning,
    StoreResponse,
    response_about,
    response_of,
)
from infmap_kit.node.dicom.tls import is_told, reason_of

if TYPE_CHECKING:
    import requests
    from pydicom import Dataset

Send = Callable[[Path], StoreResponse]
"""Sends one file; raises :class:`~infmap_kit.node.dicom.response.DestinationUnavailable`."""

# Far more than an answer about one object needs; one that is longer is cut, and read as none.
_LONGEST_ANSWER = 2**20
_HTTP_FOR_GOOD = {413: "too large", 415: "media type not supported"}


@contextlib.contextmanager
def sending(destination: Destination, files: Sequence[Path], *, ae_title: str) -> Iterator[Send]:
    """Connect to a destination in order to send these files.

    Parameters
    ----------
    destination
        The destination.
    files
        The files that are going to be sent; the association is negotiated for them.
    ae_title
        AE title of the node.

    Raises
    ------
    DestinationUnavailable
        When it takes nothing.
    """
    if isinstance(destination, CStoreDestination):
        with _association(destination, files, ae_title) as send:
            yield send
    else:
        with web_session(destination) as (session, connections):

            def stow(path: Path) -> StoreResponse:
                with _in_time(destination, connections.cut_off):
                    return _stow(session, destination, path)

            yield stow


@contextlib.contextmanager
def _association(
    destination: CStoreDestination, files: Sequence[Path], ae_title: str
) -> Iterator[Send]:
    with associated(destination, _contexts(files), ae_title=ae_title) as association:
        if not association.is_established:
            yield lambda path: StoreResponse(Meaning.REFUSED_FOR_GOOD, _not_taken(path))
            return

        def c_store(path: Path) -> StoreResponse:
            with _in_time(destination, lambda: hang_up(association)):
                return _c_store(association, path)

        yield c_store


@contextlib.contextmanager
def _in_time(destination: Destination, cut_off: Callable[[], object]) -> Iterator[None]:
    """Cut off the sending of an object that takes too long, and say so."""
    with cut_off_after(destination.max_send_s, cut_off) as is_late:
        try:
            yield
        except DestinationUnavailable as error:
            if not is_late():
                raise
            raise DestinationUnavailable(
                f"it did not take an object within {destination.max_send_s:g} s"
            ) from error


def _contexts(files: Sequence[Path]) -> list[Any]:
    """Presentation contexts for the files: as each is stored, and uncompressed besides."""
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
    from pynetdicom.presentation import build_context

    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    pairs: set[tuple[str, tuple[str, ...]]] = set()
    for path in files:
        meta = _header(path).file_meta
        pairs.add((meta.MediaStorageSOPClassUID, plain))
        if meta.TransferSyntaxUID.is_compressed:
            pairs.add((meta.MediaStorageSOPClassUID, (meta.TransferSyntaxUID,)))
    return [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in sorted(pairs)]


def _c_store(association: Any, path: Path) -> StoreResponse:
    with path.open("rb") as file:
        dataset = read_object(file)
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == dataset.SOPClassUID
    }
    if not accepted:
        return StoreResponse(Meaning.REFUSED_FOR_GOOD, _not_taken(path))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed and syntax not in accepted:
        dataset.decompress()
    try:
        answer = association.send_c_store(dataset)
    except (RuntimeError, ValueError) as error:
        if not association.is_established:
            raise DestinationUnavailable("it ended the association") from error
        return StoreResponse(Meaning.REFUSED, f"it cannot be sent: {type(error).__name__}")
    if "Status" not in answer:
        raise DestinationUnavailable("it did not answer in time, or ended the association")
    return response_of(int(answer.Status))


@contextlib.contextmanager
def web_session(destination: StowDestination) -> Iterator[tuple[requests.Session, Connections]]:
    """A session with a destination by DICOMweb: its certificates and secrets, and nothing of the environment.

    Raises
    ------
    DestinationUnavailable
        When its secret cannot be read.
    """
    import requests

    with requests.Session() as session:
        connections = Connections()
        for scheme in ("http://", "https://"):
            session.mount(scheme, connections.adapter())
        # Passwords of ~/.netrc and proxies of the environment are not meant for the PACS.
        session.trust_env = False
        # A redirect would be followed with a GET, whose answer says nothing of the object. Asked not to
        # follow it, requests reads it all the same, however long it is.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        tls = destination.tls or ClientTls()
        if tls.ca is not None:
            session.verify = str(tls.ca)
        if tls.certificate is not None:
            session.cert = (str(tls.certificate), str(tls.key or tls.certificate))
        try:
            if destination.token_file is not None:
                session.headers["Authorization"] = f"Bearer {_secret(destination.token_file)}"
            elif destination.user is not None and destination.password_file is not None:
                session.auth = (destination.user, _secret(destination.password_file))
        except OSError as error:
            raise DestinationUnavailable(f"its secret cannot be read: {error.strerror}") from error
        yield session, connections


def _stow(session: requests.Session, destination: StowDestination, path: Path) -> StoreResponse:
    import requests

    boundary = uuid.uuid4().hex
    start = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b""
    try:
        with session.post(
            f"{destination.url.rstrip('/')}/studies",
            data=start + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode(),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "Accept": "application/dicom+json",
            },
            timeout=destination.timeout_s,
            stream=True,
        ) as answer:
            for piece in answer.iter_content(2**16):
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    body = b""
                    break
    except requests.RequestException as error:
        reason = _why_no_answer(destination, error)
        raise DestinationUnavailable(f"it does not answer ({reason})") from error
    # requests opens the certificates when it needs them.
    except OSError as error:
        raise DestinationUnavailable(f"its certificates cannot be used: {error}") from error
    if answer.is_redirect:
        # Without the query, which may hold a session of somebody's.
        target = answer.headers["Location"].partition("?")[0]
        raise DestinationUnavailable(
            f"it answers HTTP {answer.status_code}, a redirect to {target[:200]!r}: redirects are "
            "not followed, its url in the node's file must be the final one"
        )
    return _stow_response(answer.status_code, body, _header(path).SOPInstanceUID)


def _why_no_answer(destination: StowDestination, error: Exception) -> str:
    """The reason of a failed request; what a server says of a certificate may be lost as it hangs up."""
    url = urlsplit(destination.url)
    if is_told(error) or url.scheme != "https" or url.hostname is None:
        return reason_of(error)
    tls = tls_context(destination.tls or ClientTls())
    why = why_unreachable(url.hostname, url.port or 443, tls, timeout_s=destination.timeout_s)
    return why or reason_of(error)


def _stow_response(code: int, body: bytes, instance: str) -> StoreResponse:
    if code in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT):
        response = response_about(instance, body)
        if code == HTTPStatus.CONFLICT:
            if response is None or response.meaning is Meaning.STORED:
                return StoreResponse(Meaning.REFUSED, "HTTP 409 without a reason")
        elif response is None:
            raise DestinationUnavailable(
                f"it answers HTTP {code} and does not name the object as stored (PS3.18, 10.5.3): "
                "its url must be the root of DICOMweb, with no page to sign in before it"
            )
        return response
    if code in _HTTP_FOR_GOOD:
        return StoreResponse(Meaning.REFUSED_FOR_GOOD, f"HTTP {code} {_HTTP_FOR_GOOD[code]}")
    if code == HTTPStatus.BAD_REQUEST:
        return StoreResponse(Meaning.REFUSED, "HTTP 400 bad request")
    raise DestinationUnavailable(f"it answers HTTP {code}")


def _not_taken(path: Path) -> str:
    return f"it does not take {_header(path).SOPClassUID.name}"


def _header(path: Path) -> Dataset:
    with path.open("rb") as file:
        return read_header(file, ["SOPClassUID", "SOPInstanceUID"])


def _secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
