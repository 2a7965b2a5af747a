"""The gateway lets in whom it knows, to the APIs that answer, and its log names callers alone."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from authority import Authority, Certificate
from gateway_requests import (
    INFER,
    TENSORS,
    ask_by_grpc,
    binary_request,
    grpc_refusal,
    request_document,
    served_picture,
)
from gateways import Gateway, running_gateway
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer
from patience import PATIENCE_S
from raw_http2 import grpc_request

SERVICE = "/inference.GRPCInferenceService/"
PATIENT = "DOE_JOHN_19520304"


def test_a_certificate_gets_the_servers_answer_by_grpc(
    gateway: Gateway, server: TritonServer, ward: Certificate
) -> None:
    with InfmapClient(server.grpc_url) as direct:
        expected = direct.infer(served_picture(), outputs=("SEVERITY", "PROBABILITY"))
    with gateway.grpc(ward) as client:
        assert client.is_server_ready()
        assert client.is_model_ready("infmap")
        assert client.get_model_metadata("infmap").name == "infmap"
        assert client.get_model_config("infmap").config.name == "infmap"
        answer = ask_by_grpc(client)
    assert answer.as_numpy("SEVERITY")[0] == expected["SEVERITY"]
    np.testing.assert_array_equal(answer.as_numpy("PROBABILITY")[0], expected["PROBABILITY"])


def test_a_certificate_gets_the_servers_answer_by_http(
    gateway: Gateway, server: TritonServer, ward: Certificate
) -> None:
    for path in ("/v2/health/ready", "/v2/health/live", "/v2", "/v2/models/infmap/ready"):
        assert gateway.http(path, certificate=ward)[0] == 200
    status, answer = gateway.http("/v2/models/infmap", certificate=ward)
    assert (status, json.loads(answer)["name"]) == (200, "infmap")
    pixels = served_picture().tobytes() + b"\0"
    status, answer = gateway.http(
        INFER, certificate=ward, **binary_request(json.dumps(request_document()).encode(), pixels)
    )
    assert status == 200
    with InfmapClient(server.grpc_url) as direct:
        expected = direct.infer(served_picture(), outputs=("SEVERITY",))["SEVERITY"]
    assert np.frombuffer(answer[-4:], np.float32)[0] == expected


def test_triton_clients_own_http_client_passes(gateway: Gateway, ward: Certificate) -> None:
    pytest.importorskip("gevent", reason="tritonclient's HTTP client is not installed")
    from tritonclient import http

    with http.InferenceServerClient(
        gateway.address, ssl=True, ssl_context_factory=lambda: gateway.context(ward)
    ) as client:
        inputs = [
            http.InferInput("IMAGE", [1, 224, 224], "UINT8").set_data_from_numpy(served_picture()[np.newaxis]),
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
        assert ask_by_grpc(client, headers=header)
    assert gateway.http("/v2/health/ready", headers=header)[0] == 200
    assert {"ward-3", "archive", ""} >= {line["caller"] for line in gateway.access_log()}


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
            assert grpc_refusal(client, headers=headers)[0] == code, (certificate, headers)


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


def test_a_web_page_cannot_ask_with_the_certificate_of_its_reader(
    gateway: Gateway, ward: Certificate
) -> None:
    header = json.dumps(request_document()).encode()
    request = binary_request(header, TENSORS)
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
        assert grpc_refusal(client, headers={"origin": origin})[0] == "StatusCode.PERMISSION_DENIED"


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
        deadline = time.monotonic() + PATIENCE_S
        while len(gateway.access_log()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)


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
            status, message = grpc_refusal(client)
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
        deadline = time.monotonic() + PATIENCE_S
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
        assert grpc_refusal(client)[0] == "StatusCode.UNAVAILABLE"
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
