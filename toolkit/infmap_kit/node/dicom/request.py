"""The first PDU of a connection: read whole within a time, before anything is begun for its caller.

That time is PS3.8's ARTIM time (9.1.5). A time-out for each read would not do: a byte every few seconds
would keep a connection open for ever.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
import struct
import time

from pynetdicom.pdu import A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from infmap_kit.node.dicom.tls import tls_reason

# A request for an association with all contexts and syntaxes stays far below this.
_REQUEST_BYTES = 2**18
_HEADER = struct.Struct(">BBL")
_ASSOCIATE_RQ = 0x01
_TLS_HANDSHAKE = 0x16
_HTTP = (b"GET ", b"POST", b"PUT ", b"HEAD", b"OPTI", b"CONN", b"DELE", b"PRI ")
_GOODBYE_S = 2.0


class ConnectionRefused(Exception):
    """A connection that never becomes an association.

    Parameters
    ----------
    kind
        One of few texts, by which such connections are counted.
    detail
        More about this one, for the log; the kind where there is no more.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


class HandshakeFailed(ConnectionRefused):
    """A connection on which TLS could not be agreed upon; the kind is the reason of the TLS library."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rejection:
    """An A-ASSOCIATE-RJ: result, source and reason as in PS3.8, 9.3.4, and what is logged."""

    answer: tuple[int, int, int]
    kind: str
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssociationRequest:
    """An A-ASSOCIATE-RQ that arrived whole: the PDU, the titles in it, and the caller's address."""

    pdu: bytes
    caller: str
    called: str
    address: str


def shake_hands(
    connection: socket.socket, context: ssl.SSLContext, *, deadline_s: float
) -> ssl.SSLSocket:
    """Begin TLS with a caller, until ``deadline_s`` of ``time.monotonic``.

    Raises
    ------
    HandshakeFailed
        With the TLS library's reason.
    ConnectionRefused
        When the caller is silent, leaves, or does not speak TLS.
    """
    first = _peek(connection, deadline_s)
    if first != _TLS_HANDSHAKE:
        spoken = "DICOM without TLS" if first == _ASSOCIATE_RQ else "something else than TLS"
        raise HandshakeFailed(f"the caller speaks {spoken}, and [node] has tls")
    connection.settimeout(_left_s(deadline_s))
    secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        secured.do_handshake()
    except TimeoutError as error:
        secured.close()
        raise HandshakeFailed("the caller did not end the handshake in time") from error
    except ssl.SSLError as error:
        secured.close()
        raise HandshakeFailed(tls_reason(error)) from error
    except OSError as error:
        secured.close()
        raise HandshakeFailed("the caller left during the handshake") from error
    return secured


def read_request(
    connection: socket.socket, *, address: str, deadline_s: float
) -> AssociationRequest:
    """Read an A-ASSOCIATE-RQ until ``deadline_s`` of ``time.monotonic``.

    Raises
    ------
    ConnectionRefused
        When none comes in time, or something else does.
    """
    header = _read(connection, _HEADER.size, deadline_s)
    kind, _, length = _HEADER.unpack(header)
    if kind == _TLS_HANDSHAKE and header[1] == 3:
        raise ConnectionRefused("the caller speaks TLS, and [node] has no tls")
    if header[:4] in _HTTP:
        raise ConnectionRefused("the caller speaks HTTP")
    if kind != _ASSOCIATE_RQ:
        raise ConnectionRefused("what came first is no request for an association")
    if length > _REQUEST_BYTES:
        raise ConnectionRefused(
            "the request for an association is too large",
            f"a request of {length} bytes was announced",
        )
    pdu = header + _read(connection, length, deadline_s)
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(pdu)
        caller, called = request.calling_ae_title, request.called_ae_title
        request.to_primitive()
    # pynetdicom names no closed set of errors for damaged PDUs.
    except Exception as error:
        raise ConnectionRefused("the request for an association cannot be read") from error
    return AssociationRequest(
        pdu=pdu, caller=caller.strip(), called=called.strip(), address=address
    )


def reject(connection: socket.socket, rejection: Rejection) -> None:
    """Answer a request with A-ASSOCIATE-RJ, and wait a moment for the caller to leave (PS3.8, 9.2.3)."""
    primitive = A_ASSOCIATE()
    primitive.result, primitive.result_source, primitive.diagnostic = rejection.answer
    connection.settimeout(_GOODBYE_S)
    connection.sendall(A_ASSOCIATE_RJ(primitive).encode())
    deadline_s = time.monotonic() + _GOODBYE_S
    # Closed with something unread, the connection would be reset, and the answer lost.
    while connection.recv(4096):
        connection.settimeout(_left_s(deadline_s))


def read_exactly(connection: socket.socket, length: int, deadline_s: float) -> bytearray:
    """Read so many bytes, or fewer when the caller ends.

    Raises
    ------
    TimeoutError
        When they have not come until ``deadline_s`` of ``time.monotonic``.
    """
    content = bytearray()
    while len(content) < length:
        connection.settimeout(_left_s(deadline_s))
        piece = connection.recv(min(length - len(content), 2**16))
        if not piece:
            break
        content += piece
    return content


def _read(connection: socket.socket, length: int, deadline_s: float) -> bytes:
    try:
        content = read_exactly(connection, length, deadline_s)
    except TimeoutError as error:
        raise ConnectionRefused("no whole request for an association came in time") from error
    except ssl.SSLError as error:
        raise HandshakeFailed(tls_reason(error)) from error
    except OSError as error:
        raise ConnectionRefused("the caller left before its request") from error
    if len(content) < length:
        raise ConnectionRefused("the caller left before its request")
    return bytes(content)


def _peek(connection: socket.socket, deadline_s: float) -> int:
    """Give the first byte and leave it to be read."""
    try:
        connection.settimeout(_left_s(deadline_s))
        first = connection.recv(1, socket.MSG_PEEK)
    except TimeoutError as error:
        raise HandshakeFailed("the caller did not end the handshake in time") from error
    except OSError as error:
        raise ConnectionRefused("the caller left before its request") from error
    if not first:
        raise ConnectionRefused("the caller left before its request")
    return first[0]


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
