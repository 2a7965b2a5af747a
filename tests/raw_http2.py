"""gRPC requests in hand-made HTTP/2, since clients refuse to send what no client should."""

from __future__ import annotations

import struct

_FRAME_BYTES = 16384


def grpc_request(
    method: str, message: bytes, *headers: tuple[bytes, bytes], compressed: bool = False
) -> bytes:
    """All bytes of a connection with one request.

    Parameters
    ----------
    method
        Of Triton's service.
    message
        As it goes on the wire.
    headers
        Beside the usual ones; a name may stand twice.
    compressed
        Whether to say that the message is compressed.
    """
    path = f"/inference.GRPCInferenceService/{method}".encode()
    fields = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"), *headers,
    ]  # fmt: skip
    head = b"".join(_literal(name, value) for name, value in fields)
    body = struct.pack(">BI", compressed, len(message)) + message
    parts = [body[at : at + _FRAME_BYTES] for at in range(0, len(body), _FRAME_BYTES)]
    data = b"".join(_frame(0, part is parts[-1], 1, part) for part in parts)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 4, 1, head) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
