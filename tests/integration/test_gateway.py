"""The gateway on a real nginx before a real Triton server: who is let in, what passes, and what dies there."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from authority import Authority, Certificate
from gateways import Gateway, running_gateway
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer
from raw_http2 import grpc_request

SERVICE = "/inference.GRPCInferenceService/"
INFER = "/v2/models/infmap/infer"
PATIENT = "DOE_JOHN_19520304"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the gateway's certificate, and those of its callers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ward(authority: Authority) -> Certificate:
    return authority.sign("ward-3")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The same name, by another authority."""
    return Authority(tmp_path_factory.mktemp("other"), "other").sign("ward-3")


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, server: TritonServer, authority: Authority
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(
        folder, authority, server.grpc_url, server.http_url.removeprefix("http://"),
        allowed=("ward-3",), key_callers=("archive",), requests_per_second=10_000, body_mib=4,
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(autouse=True)
def _the_server_stays_up(server: TritonServer) -> Iterator[None]:
    """Whatever a test does at the gateway, the same process answers afterwards."""
    pid = server.pid
    yield
    server.check_alive()
    assert server.pid == pid
    with InfmapClient(server.grpc_url) as client:
        assert client.model()


@functools.cache
def _picture() -> NDArray[np.uint8]:
    return network_input(synthetic_radiograph(0, height=512, width=512).radiograph.pixels)


def _ask_by_grpc(client: Any, image: NDArray[np.uint8] | None = None, **options: Any) -> Any:
    from tritonclient import grpc

    tensors = {"IMAGE": _picture()[np.newaxis] if image is None else image}
    tensors["CANVAS"] = np.zeros((len(tensors["IMAGE"]), 1, 1), np.uint8)
    inputs = [
        grpc.InferInput(name, list(array.shape), "UINT8").set_data_from_numpy(array)
        for name, array in tensors.items()
    ]
    wanted = [grpc.InferRequestedOutput(name) for name in ("SEVERITY", "PROBABILITY")]
    return client.infer("infmap", inputs, outputs=wanted, **options)


def _document(**changes: Any) -> dict[str, Any]:
    """A request as tritonclient writes it, in the binary tensor extension."""
    document = {
        "inputs": [
            {"name": "IMAGE", "shape": [1, 224, 224], "datatype": "UINT8",
             "parameters": {"binary_data_size": 224 * 224}},
            {"name": "CANVAS", "shape": [1, 1, 1], "datatype": "UINT8",
             "parameters": {"binary_data_size": 1}},
        ],
        "outputs": [{"name": "SEVERITY", "parameters": {"binary_data": True}}],
    }  # fmt: skip
    return {**document, **changes}


_TENSORS = b"\0" * 224 * 224 + b"\0"


def _binary(header: bytes, tensors: bytes) -> dict[str, Any]:
    return {
        "body": header + tensors,
        "headers": {"Inference-Header-Content-Length": str(len(header))},
    }


def test_a_certificate_gets_the_servers_answer_by_grpc(
    gateway: Gateway, server: TritonServer, ward: Certificate
) -> None:
    with InfmapClient(server.grpc_url) as direct:
        expected = direct.infer(_picture(), outputs=("SEVERITY", "PROBABILITY"))
    with gateway.grpc(ward) as client:
        assert client.is_server_ready()
        assert client.is_model_ready("infmap")
        assert client.get_model_metadata("infmap").name == "infmap"
        assert client.get_model_config("infmap").config.name == "infmap"
        answer = _ask_by_grpc(client)
    assert answer.as_numpy("SEVERITY")[0] == expected["SEVERITY"]
    np.testing.assert_array_equal(answer.as_numpy("PROBABILITY")[0], expected["PROBABILITY"])


def test_a_certificate_gets_the_servers_answer_by_http(
    gateway: Gateway, server: TritonServer, ward: Certificate
) -> None:
    for path in ("/v2/health/ready", "/v2/health/live", "/v2", "/v2/models/infmap/ready"):
        assert gateway.http(path, certificate=ward)[0] == 200
    status, answer = gateway.http("/v2/models/infmap", certificate=ward)
    assert (status, json.loads(answer)["name"]) == (200, "infmap")
    pixels = _picture().tobytes() + b"\0"
    status, answer = gateway.http(
        INFER, certificate=ward, **_binary(json.dumps(_document()).encode(), pixels)
    )
    assert status == 200
    with InfmapClient(server.grpc_url) as direct:
        expected = direct.infer(_picture(), outputs=("SEVERITY",))["SEVERITY"]
    assert np.frombuffer(answer[-4:], np.float32)[0] == expected


def test_triton_clients_own_http_client_passes(gateway: Gateway, ward: Certificate) -> None:
    pytest.importorskip("gevent", reason="tritonclient's HTTP client is not installed")
    from tritonclient import http

    with http.InferenceServerClient(
        gateway.address, ssl=True, ssl_context_factory=lambda: gateway.context(ward)
    ) as client:
        inputs = [
            http.InferInput("IMAGE", [1, 224, 224], "UINT8").set_data_from_numpy(_picture()[np.newaxis]),
            http.InferInput("CANVAS", [1, 1, 1], "UINT8").set_data_from_numpy(np.zeros((1, 1, 1), np.uint8)),
        ]  # fmt: skip
        for outputs in (None, [http.InferRequestedOutput("DETECTED")]):
            assert client.infer("infmap", inputs, outputs=outputs).as_numpy("DETECTED").shape == (
                1,
            )


def test_a_key_is_as_good_as_a_certificate(gateway: Gateway) -> None:
    header = {"authorization": f"Bearer {gateway.keys['archive']}"}
    with gateway.grpc() as client:
        assert client.is_server_ready(headers=header)
        assert _ask_by_grpc(client, headers=header)
    assert gateway.http("/v2/health/ready", headers=header)[0] == 200
    assert {"ward-3", "archive", ""} >= {line["caller"] for line in gateway.access_log()}


def _grpc_refusal(client: Any, **options: Any) -> tuple[str, str]:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException) as refused:
        _ask_by_grpc(client, **options)
    return str(refused.value.status()), str(refused.value.message())


def test_who_is_not_known_is_refused(
    gateway: Gateway, authority: Authority, stranger: Certificate
) -> None:
    wrong = {"authorization": "Bearer " + "x" * 43}
    known = {"authorization": gateway.keys["archive"]}
    cases: list[tuple[Certificate | None, dict[str, str], int, str]] = [
        (None, {}, 401, "StatusCode.UNAUTHENTICATED"),
        (None, wrong, 401, "StatusCode.UNAUTHENTICATED"),
        (None, known, 401, "StatusCode.UNAUTHENTICATED"),
        (stranger, {}, 403, "StatusCode.PERMISSION_DENIED"),
        (authority.sign("ward-9", expired=True), {}, 403, "StatusCode.PERMISSION_DENIED"),
        (authority.sign("ward-33"), {}, 401, "StatusCode.UNAUTHENTICATED"),
    ]
    for certificate, headers, status, code in cases:
        for path in ("/v2/health/ready", "/v2/repository/index", "/"):
            answer = gateway.http(path, certificate=certificate, headers=headers)
            assert answer[0] == status, (certificate, headers)
        with gateway.grpc(certificate) as client:
            assert _grpc_refusal(client, headers=headers)[0] == code, (certificate, headers)


@pytest.mark.parametrize("organisation", ["x,CN=ward-3", "x\\,CN=ward-3"])
def test_an_organisation_that_looks_like_a_caller_is_not_that_caller(
    gateway: Gateway, authority: Authority, organisation: str
) -> None:
    mallory = authority.sign("mallory", organisation=organisation)
    assert gateway.http("/v2/health/ready", certificate=mallory)[0] == 401
    honest = authority.sign("ward-3", organisation="Hospital, \\, Ltd\\")
    assert gateway.http("/v2/health/ready", certificate=honest)[0] == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused_and_new_is_not(
    gateway: Gateway, ward: Certificate, version: ssl.TLSVersion
) -> None:
    for asked, welcome in ((version, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = gateway.context(ward)
        # Without this our own library would refuse before the gateway is asked.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = asked
        with socket.create_connection(("localhost", gateway.port), 10) as plain:
            if welcome:
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    assert secure.version() == "TLSv1.2"
                continue
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                context.wrap_socket(plain, server_hostname="localhost")


def test_nothing_passes_without_tls(gateway: Gateway) -> None:
    with socket.create_connection(("localhost", gateway.port), 10) as plain:
        plain.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.recv(100).startswith(b"HTTP/1.1 400")


CHANGES: dict[str, Callable[[Any], Any]] = {
    "repository index": lambda client: client.get_model_repository_index(),
    "load": lambda client: client.load_model("infmap"),
    "unload": lambda client: client.unload_model("infmap"),
    "shared memory": lambda client: client.register_system_shared_memory("a", "/a", 8),
    "shared memory status": lambda client: client.get_system_shared_memory_status(),
    "cuda memory": lambda client: client.unregister_cuda_shared_memory(),
    "trace": lambda client: client.update_trace_settings(settings={"trace_level": ["TENSORS"]}),
    "trace read": lambda client: client.get_trace_settings(),
    "log": lambda client: client.update_log_settings({"log_verbose_level": 4}),
    "statistics": lambda client: client.get_inference_statistics(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_apis_that_change_the_server_are_not_there_by_grpc(
    gateway: Gateway, ward: Certificate, name: str
) -> None:
    from tritonclient.utils import InferenceServerException

    with gateway.grpc(ward) as client, pytest.raises(InferenceServerException) as refused:
        CHANGES[name](client)
    assert refused.value.status() == "StatusCode.UNIMPLEMENTED"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index", "/v2/repository/models/infmap/load", "/v2/systemsharedmemory/status",
        "/v2/cudasharedmemory/status", "/v2/trace/setting", "/v2/logging", "/v2/models/stats", "/metrics",
        "/v2/models/infmap/stats", "/v2/models/infmap/trace/setting", "/v2/models/other/infer",
        "/v2/models/infmap/generate", "/v2/health/../repository/index",
        "/v2/health/ready/%2e%2e/%2e%2e/logging",
        "/v2//repository/index", "/v2/models/infmap/infer/../../../logging", "/v2/models/infmap%2f..%2fstats",
        "/v2/health/ready%0a", "/v2/models/infmap%0a", "/v2/models/infmap/infer%0a",
    ],
)  # fmt: skip
def test_apis_that_change_the_server_are_not_there_by_http(
    gateway: Gateway, ward: Certificate, path: str
) -> None:
    for method in ("GET", "POST"):
        assert gateway.http(path, certificate=ward, method=method)[0] == 404


def _deep() -> bytes:
    return b'{"inputs":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def _much(**more: Any) -> bytes:
    tensor = {"name": "IMAGE", "shape": [1_000_000, 224, 224], "datatype": "UINT8", **more}
    return json.dumps({"inputs": [tensor]}).encode()


def _twice() -> bytes:
    """Triton takes the first of two keys, JavaScript the last."""
    return _much(data=[])[:-1] + b"," + json.dumps(_document()).encode()[1:]


def _in_chunks() -> dict[str, Any]:
    """A byte a chunk (CVE-2025-23310 and 23311)."""
    body = b"1\r\n \r\n" * 600_000 + b"0\r\n\r\n"
    return {"body": body, "headers": {"Transfer-Encoding": "chunked"}}


ATTACKS: dict[str, Callable[[], dict[str, Any]]] = {
    "a shape without data": lambda: {"body": _much(data=[])},
    "a shape without data, in the header": lambda: _binary(_much(data=[]), b""),
    "a shape that is more than its bytes": lambda: _binary(
        _much(parameters={"binary_data_size": 4}), b"1234"
    ),
    "a shape that overflows": lambda: _binary(
        json.dumps(_document()).encode().replace(b"[1, 224, 224]", b"[18446744073709551617, 224, 224]"),
        _TENSORS,
    ),
    "a shape below nothing": lambda: _binary(
        json.dumps(_document()).encode().replace(b"[1, 224, 224]", b"[-1, -224, 224]"), _TENSORS
    ),
    "nested lists": lambda: {"body": _deep()},
    "nested lists, in the header": lambda: _binary(_deep(), b""),
    "nested lists, below the header's bound": lambda: _binary(
        b'{"inputs":' + b"[" * 4000 + b"]" * 4000 + b"}", b""
    ),
    "many chunks": _in_chunks,
    "a key that stands twice": lambda: _binary(_twice(), _TENSORS),
    "shared memory": lambda: _binary(
        _much(parameters={"shared_memory_region": "a", "shared_memory_byte_size": 8}), b""
    ),
    "shared memory for an answer": lambda: _binary(
        json.dumps(
            _document(outputs=[{"name": "SEVERITY", "parameters": {"shared_memory_region": "a"}}])
        ).encode(),
        _TENSORS,
    ),
    "no header": lambda: {"body": b""},
    "a header that is longer than the body": lambda: {
        "body": b"{}", "headers": {"Inference-Header-Content-Length": "99"}
    },
    "a header of words": lambda: {
        "body": b"{}", "headers": {"Inference-Header-Content-Length": "two"}
    },
    "a header that is no object": lambda: _binary(b"[1]", b""),
    "strings": lambda: _binary(
        json.dumps(_document()).encode().replace(b"UINT8", b"BYTES"), _TENSORS
    ),
    "an id that is a list of lists": lambda: _binary(
        json.dumps(_document(id=[[["a"]]])).encode(), _TENSORS
    ),
    "a parameter that is an object": lambda: _binary(
        json.dumps(_document(parameters={"binary_data_output": {"a": 1}})).encode(), _TENSORS
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


def _message() -> Any:
    """A request that is in order."""
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name="infmap")
    for name, shape, pixels in (
        ("IMAGE", [1, 224, 224], bytes(224 * 224)),
        ("CANVAS", [1, 1, 1], b"\0"),
    ):
        message.inputs.add(name=name, shape=shape, datatype="UINT8")
        message.raw_input_contents.append(pixels)
    message.outputs.add(name="SEVERITY")
    return message


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
    message = _message()
    with grpc.secure_channel(gateway.address, own) as channel:
        service = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert service.ModelInfer(message, timeout=30).outputs
        malform(message)
        with pytest.raises(grpc.RpcError) as refused:
            service.ModelInfer(message, timeout=30)
    assert refused.value.code().name in ("INVALID_ARGUMENT", "NOT_FOUND")


def test_a_web_page_cannot_ask_with_the_certificate_of_its_reader(
    gateway: Gateway, ward: Certificate
) -> None:
    header = json.dumps(_document()).encode()
    request = _binary(header, _TENSORS)
    request["headers"] |= {"Content-Type": "text/plain", "Origin": "https://elsewhere.example"}
    assert gateway.http(INFER, certificate=ward, **request)[0] == 403
    foreign = {"Host": "elsewhere.example"}
    assert gateway.http("/v2/health/ready", certificate=ward, headers=foreign)[0] == 421


@pytest.mark.parametrize("origin", ["0", "null", "false", "https://localhost"])
def test_any_origin_is_one(gateway: Gateway, ward: Certificate, origin: str) -> None:
    """nginx takes "0" for false where a variable stands alone."""
    header = {"Origin": origin}
    assert gateway.http("/v2/health/ready", certificate=ward, headers=header)[0] == 403
    with gateway.grpc(ward) as client:
        assert (
            _grpc_refusal(client, headers={"origin": origin})[0] == "StatusCode.PERMISSION_DENIED"
        )


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
    request = _binary(json.dumps(_document()).encode(), _TENSORS)
    request["body"] = zlib.compress(request["body"])
    request["headers"] |= {"Content-Encoding": "deflate"}
    assert gateway.http(INFER, certificate=ward, **request)[0] == 415
    with gateway.grpc(ward) as client:
        status, message = _grpc_refusal(client, compression_algorithm="gzip")
    assert (status, "not a request" in message) == ("StatusCode.INVALID_ARGUMENT", True)


def test_a_compressed_message_does_not_pass_behind_a_header_that_stands_twice(
    gateway: Gateway, ward: Certificate
) -> None:
    """nginx 1.22 looks at the first, and Triton at the last."""
    packer = zlib.compressobj(wbits=31)
    message = packer.compress(_message().SerializeToString()) + packer.flush()
    encodings = ((b"grpc-encoding", b"identity"), (b"grpc-encoding", b"gzip"))
    assert _infer_status(gateway, ward, message, *encodings, compressed=True) != "0"
    assert _infer_status(gateway, ward, _message().SerializeToString()) == "0"


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
        deadline = time.monotonic() + 20
        while len(gateway.access_log()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    status: str = gateway.access_log()[before]["grpc_status"]
    return status


def test_the_log_is_json_also_of_a_connection_that_ended_early(
    gateway: Gateway, ward: Certificate
) -> None:
    context = gateway.context(ward)
    context.set_alpn_protocols(["h2"])
    before = len(gateway.access_log())
    with (
        socket.create_connection(("localhost", gateway.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        # No path of HTTP/2 holds a newline.
        secure.sendall(grpc_request("ModelInfer\n", b""))
        deadline = time.monotonic() + 20
        while len(gateway.access_log()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_what_is_too_large_is_refused(gateway: Gateway, ward: Certificate) -> None:
    size = (5 << 20) // 224**2
    document = _document()
    document["inputs"][0] |= {
        "shape": [size, 224, 224], "parameters": {"binary_data_size": size * 224 * 224},
    }  # fmt: skip
    request = _binary(json.dumps(document).encode(), b"\0" * (size * 224 * 224 + 1))
    assert gateway.http(INFER, certificate=ward, **request)[0] == 413
    with gateway.grpc(ward) as client:
        status, message = _grpc_refusal(client, image=np.zeros((size, 224, 224), np.uint8))
    assert (status, "too large" in message) == ("StatusCode.RESOURCE_EXHAUSTED", True)


def test_a_caller_over_its_rate_is_refused_and_others_are_not(
    server: TritonServer, authority: Authority, ward: Certificate, tmp_path: Path
) -> None:
    """Callers are told apart by who they are, not by where they come from."""
    with running_gateway(
        tmp_path, authority, server.grpc_url, server.http_url.removeprefix("http://"),
        requests_per_second=1, key_callers=("archive",),
    ) as gateway:  # fmt: skip
        answers = [gateway.http("/v2/health/live", certificate=ward)[0] for _ in range(6)]
        assert answers[0] == 200
        assert 429 in answers
        with gateway.grpc(ward) as client:
            status, message = _grpc_refusal(client)
            assert (status, "too many" in message) == ("StatusCode.RESOURCE_EXHAUSTED", True)
        other = {"Authorization": f"Bearer {gateway.keys['archive']}"}
        assert gateway.http("/v2/health/live", headers=other)[0] == 200


def test_a_caller_with_too_many_requests_at_once_is_refused(
    server: TritonServer, authority: Authority, ward: Certificate, tmp_path: Path
) -> None:
    """Requests whose bodies never come, as of a client that trickles."""
    with (
        running_gateway(
            tmp_path, authority, server.grpc_url, server.http_url.removeprefix("http://"),
            connections=2,
        ) as gateway,
        contextlib.ExitStack() as stack,
    ):  # fmt: skip
        for _ in range(2):
            plain = stack.enter_context(socket.create_connection(("localhost", gateway.port), 10))
            open_request = stack.enter_context(
                gateway.context(ward).wrap_socket(plain, server_hostname="localhost")
            )
            open_request.sendall(
                f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n".encode()
            )
        deadline = time.monotonic() + 10
        while gateway.http("/v2/health/live", certificate=ward)[0] == 200:
            assert time.monotonic() < deadline
        assert gateway.http("/v2/health/live", certificate=ward)[0] == 429


def test_a_long_conversation_is_not_broken_off(gateway: Gateway, ward: Certificate) -> None:
    """nginx ends a connection after its thousandth request, and the client goes on with another."""
    with gateway.grpc(ward) as client:
        assert all(client.is_server_live() for _ in range(2500))


def test_a_server_that_is_away_is_unavailable(
    authority: Authority, ward: Certificate, tmp_path: Path
) -> None:
    with (
        running_gateway(tmp_path, authority, "127.0.0.1:9") as gateway,
        gateway.grpc(ward) as client,
    ):
        assert _grpc_refusal(client)[0] == "StatusCode.UNAVAILABLE"
        assert (
            gateway.http("/v2/health/ready", certificate=ward)[0] == 404
        )  # HTTP was not asked for


def test_logs_name_callers_and_no_patient(
    gateway: Gateway, ward: Certificate, stranger: Certificate
) -> None:
    """A DICOM client that has the wrong address, say, has the patient's name in its path."""
    for certificate in (ward, stranger, None):
        for path in (
            f"/dicom-web/studies?PatientName={PATIENT}",
            f"/{PATIENT}",
            f"{INFER}?p={PATIENT}",
        ):
            headers = {
                "User-Agent": PATIENT,
                "Referer": PATIENT,
                "X-Patient": PATIENT,
                "Cookie": PATIENT,
            }
            gateway.http(path, certificate=certificate, headers=headers)
            gateway.http(path, PATIENT.encode(), certificate=certificate, headers=headers)
    written = (gateway.folder / "access.log").read_text() + (
        gateway.folder / "error.log"
    ).read_text()
    assert PATIENT not in written
    assert not list(gateway.folder.glob("temp-*/**/*[0-9]"))
    (*_, last) = [line for line in gateway.access_log() if line["caller"] == "ward-3"]
    assert {"time", "status", "route", "seconds", "address"} <= set(last)


def test_headers_tell_browsers_to_keep_away(gateway: Gateway, ward: Certificate) -> None:
    import http.client

    connection = http.client.HTTPSConnection(
        "localhost", gateway.port, context=gateway.context(ward)
    )
    for path in ("/v2/health/ready", "/nowhere"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["server"] == "nginx"
    connection.close()
