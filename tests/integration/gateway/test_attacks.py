"""Requests that would kill or mislead a bare Triton are refused at the gateway."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from authority import Certificate
from gateway_requests import (
    INFER,
    TENSORS,
    binary_request,
    grpc_message,
    grpc_refusal,
    request_document,
)
from gateways import Gateway
from patience import PATIENCE_S
from raw_http2 import grpc_request


def _deep() -> bytes:
    return b'{"inputs":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def _much(**more: Any) -> bytes:
    tensor = {"name": "IMAGE", "shape": [1_000_000, 224, 224], "datatype": "UINT8", **more}
    return json.dumps({"inputs": [tensor]}).encode()


def _twice() -> bytes:
    """Triton takes the first of two keys, JavaScript the last."""
    return _much(data=[])[:-1] + b"," + json.dumps(request_document()).encode()[1:]


def _in_chunks() -> dict[str, Any]:
    """A byte a chunk (CVE-2025-23310 and 23311)."""
    body = b"1\r\n \r\n" * 600_000 + b"0\r\n\r\n"
    return {"body": body, "headers": {"Transfer-Encoding": "chunked"}}


ATTACKS: dict[str, Callable[[], dict[str, Any]]] = {
    "a shape without data": lambda: {"body": _much(data=[])},
    "a shape without data, in the header": lambda: binary_request(_much(data=[]), b""),
    "a shape that is more than its bytes": lambda: binary_request(
        _much(parameters={"binary_data_size": 4}), b"1234"
    ),
    "a shape that overflows": lambda: binary_request(
        json.dumps(request_document()).encode().replace(b"[1, 224, 224]", b"[18446744073709551617, 224, 224]"),
        TENSORS,
    ),
    "a shape below nothing": lambda: binary_request(
        json.dumps(request_document()).encode().replace(b"[1, 224, 224]", b"[-1, -224, 224]"), TENSORS
    ),
    "nested lists": lambda: {"body": _deep()},
    "nested lists, in the header": lambda: binary_request(_deep(), b""),
    "nested lists, below the header's bound": lambda: binary_request(
        b'{"inputs":' + b"[" * 4000 + b"]" * 4000 + b"}", b""
    ),
    "many chunks": _in_chunks,
    "a key that stands twice": lambda: binary_request(_twice(), TENSORS),
    "shared memory": lambda: binary_request(
        _much(parameters={"shared_memory_region": "a", "shared_memory_byte_size": 8}), b""
    ),
    "shared memory for an answer": lambda: binary_request(
        json.dumps(
            request_document(outputs=[{"name": "SEVERITY", "parameters": {"shared_memory_region": "a"}}])
        ).encode(),
        TENSORS,
    ),
    "no header": lambda: {"body": b""},
    "a header that is longer than the body": lambda: {
        "body": b"{}", "headers": {"Inference-Header-Content-Length": "99"}
    },
    "a header of words": lambda: {
        "body": b"{}", "headers": {"Inference-Header-Content-Length": "two"}
    },
    "a header that is no object": lambda: binary_request(b"[1]", b""),
    "strings": lambda: binary_request(
        json.dumps(request_document()).encode().replace(b"UINT8", b"BYTES"), TENSORS
    ),
    "an id that is a list of lists": lambda: binary_request(
        json.dumps(request_document(id=[[["a"]]])).encode(), TENSORS
    ),
    "a parameter that is an object": lambda: binary_request(
        json.dumps(request_document(parameters={"binary_data_output": {"a": 1}})).encode(), TENSORS
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_kills_the_server_dies_at_the_gateway(
    gateway: Gateway, ward: Certificate, name: str
) -> None:
    """By a caller who may ask, and by one who may not; ``_the_server_stays_up`` looks at the server."""
    status, answer = gateway.http(INFER, certificate=ward, **ATTACKS[name]())
    assert status == 400, answer
    assert "refused at the gateway" in json.loads(answer)["error"]
    assert gateway.http(INFER, **ATTACKS[name]())[0] == 401


def _huge(message: Any) -> None:
    """CVE-2026-24173 and its like: a size that wraps around, or that nobody has."""
    message.inputs[0].shape[0] = 2**62


def _typed(message: Any) -> None:
    del message.raw_input_contents[:]
    message.inputs[0].shape[0] = 1_000_000
    for tensor in message.inputs:
        tensor.contents.uint_contents.append(1)


def _many_outputs(message: Any) -> None:
    """CVE-2026-24146."""
    for number in range(100_000):
        message.outputs.add(name=f"N{number}")


def _shared_memory(message: Any) -> None:
    """CVE-2025-23319, 23320 and 23334 begin with a region of the server's own."""
    message.inputs[0].parameters["shared_memory_region"].string_param = "triton_python_backend_shm"
    message.inputs[0].parameters["shared_memory_byte_size"].int64_param = 224 * 224
    del message.raw_input_contents[0]


def _classes(message: Any) -> None:
    message.outputs[0].parameters["classification"].int64_param = -1


MALFORMED = [_huge, _typed, _many_outputs, _shared_memory, _classes]


@pytest.mark.parametrize("malform", MALFORMED)
def test_malformed_messages_of_a_caller_are_refused_and_the_server_stays_up(
    gateway: Gateway, ward: Certificate, malform: Callable[[Any], None]
) -> None:
    import grpc
    from tritonclient.grpc import service_pb2_grpc

    own = grpc.ssl_channel_credentials(
        gateway.authority.read_bytes(), ward.key.read_bytes(), ward.path.read_bytes()
    )
    message = grpc_message()
    with grpc.secure_channel(gateway.address, own) as channel:
        service = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert service.ModelInfer(message, timeout=PATIENCE_S).outputs
        malform(message)
        with pytest.raises(grpc.RpcError) as refused:
            service.ModelInfer(message, timeout=PATIENCE_S)
    assert refused.value.code().name in ("INVALID_ARGUMENT", "NOT_FOUND")


def _raw(gateway: Gateway, certificate: Certificate, request: bytes) -> list[bytes]:
    """Statuses of the answers to bytes that no client would send."""
    told = b""
    with (
        socket.create_connection(("localhost", gateway.port), 10) as plain,
        gateway.context(certificate).wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(request)
        secure.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while part := secure.recv(65536):
                told += part
    return re.findall(rb"^HTTP/1\.[01] (\d{3})", told, re.MULTILINE)


_HIDDEN = b"POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
SMUGGLING = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "a length with a sign": b"Content-Length: +5\r\n",
    "an encoding that looks like one": b"Transfer-Encoding: xchunked\r\n",
    "an encoding behind a space": b"Transfer-Encoding : chunked\r\n",
    "a list of encodings": b"Transfer-Encoding: identity, chunked\r\n",
    "two encodings": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "a header that goes on": b"Transfer-Encoding:\r\n chunked\r\n",
    "a lone carriage return": b"X: a\rOrigin: 0\r\n",
    "two hosts": b"Host: elsewhere.example\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_nothing_is_smuggled_behind_a_request(
    gateway: Gateway, ward: Certificate, name: str
) -> None:
    """The connection ends with the one refusal, so that what follows is no request of its own."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n".encode() + SMUGGLING[name]
    (status,) = _raw(gateway, ward, head + b"\r\n0\r\n\r\n" + _HIDDEN)
    assert status in (b"400", b"501")


def test_compressed_requests_are_refused(gateway: Gateway, ward: Certificate) -> None:
    """Four megabytes of zeros are four kilobytes on the way."""
    request = binary_request(json.dumps(request_document()).encode(), TENSORS)
    request["body"] = zlib.compress(request["body"])
    request["headers"] |= {"Content-Encoding": "deflate"}
    assert gateway.http(INFER, certificate=ward, **request)[0] == 415
    with gateway.grpc(ward) as client:
        status, message = grpc_refusal(client, compression_algorithm="gzip")
    assert (status, "not a request" in message) == ("StatusCode.INVALID_ARGUMENT", True)


def test_a_compressed_message_does_not_pass_behind_a_header_that_stands_twice(
    gateway: Gateway, ward: Certificate
) -> None:
    """nginx 1.22 looks at the first, and Triton at the last."""
    packer = zlib.compressobj(wbits=31)
    message = packer.compress(grpc_message().SerializeToString()) + packer.flush()
    encodings = ((b"grpc-encoding", b"identity"), (b"grpc-encoding", b"gzip"))
    assert _infer_status(gateway, ward, message, *encodings, compressed=True) != "0"
    assert _infer_status(gateway, ward, grpc_message().SerializeToString()) == "0"


def _infer_status(
    gateway: Gateway, certificate: Certificate, message: bytes, *headers: tuple[bytes, bytes],
    compressed: bool = False,
) -> str:  # fmt: skip
    """gRPC's status in the gateway's log."""
    before = len(gateway.access_log())
    context = gateway.context(certificate)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", gateway.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(grpc_request("ModelInfer", message, *headers, compressed=compressed))
        deadline = time.monotonic() + PATIENCE_S
        while len(gateway.access_log()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    status: str = gateway.access_log()[before]["grpc_status"]
    return status


def test_what_is_too_large_is_refused(gateway: Gateway, ward: Certificate) -> None:
    size = (5 << 20) // 224**2
    document = request_document()
    document["inputs"][0] |= {
        "shape": [size, 224, 224], "parameters": {"binary_data_size": size * 224 * 224},
    }  # fmt: skip
    request = binary_request(json.dumps(document).encode(), b"\0" * (size * 224 * 224 + 1))
    assert gateway.http(INFER, certificate=ward, **request)[0] == 413
    with gateway.grpc(ward) as client:
        status, message = grpc_refusal(client, image=np.zeros((size, 224, 224), np.uint8))
    assert (status, "too large" in message) == ("StatusCode.RESOURCE_EXHAUSTED", True)
