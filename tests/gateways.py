"""A real nginx with the configuration that `infmap-kit deploy gateway` writes, and callers who ask it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from authority import Authority, Certificate
from infmap_kit.host.gateway import GatewayOptions, write_gateway
from infmap_kit.serving.server import free_port
from patience import PATIENCE_S

MODULES = Path("/usr/share/nginx/modules")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running gateway.

    Parameters
    ----------
    folder
        Its configuration and logs.
    port
        On localhost.
    authority
        PEM file that its own certificate is checked with.
    keys
        Caller to key.
    """

    folder: Path
    port: int
    authority: Path
    keys: Mapping[str, str]

    @property
    def address(self) -> str:
        """As tritonclient takes it."""
        return f"localhost:{self.port}"

    def grpc(self, certificate: Certificate | None = None) -> Any:
        """A tritonclient over gRPC."""
        from tritonclient import grpc

        own = {}
        if certificate is not None:
            own = {"private_key": str(certificate.key), "certificate_chain": str(certificate.path)}
        return grpc.InferenceServerClient(
            self.address, ssl=True, root_certificates=str(self.authority), **own
        )

    def context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """TLS as Python speaks it."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if certificate is not None:
            context.load_cert_chain(certificate.path, certificate.key)
        return context

    def http(
        self,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        certificate: Certificate | None = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of an answer; a body of many parts goes in chunks."""
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=self.context(certificate), timeout=PATIENCE_S
        )
        with contextlib.closing(connection):
            method = method or ("GET" if body is None else "POST")
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def access_log(self) -> list[dict[str, Any]]:
        """What is written down of requests."""
        lines = (self.folder / "access.log").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def running_gateway(
    folder: Path, authority: Authority, grpc_url: str, http_url: str | None = None, **options: Any
) -> Iterator[Gateway]:
    """nginx before a server, with a certificate of ``authority``; skips where nginx is missing."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    if http_url is not None and not (MODULES / "ngx_http_js_module.so").exists():
        pytest.skip("nginx' module njs is not installed: apt-get install libnginx-mod-http-js")
    own = authority.sign("gateway")
    port = free_port()
    chosen = {"names": ("localhost",), "client_ca": authority.path, **options}
    keys = write_gateway(
        folder,
        GatewayOptions(
            certificate=own.path, certificate_key=own.key, listen=f"127.0.0.1:{port}",
            grpc_upstream=grpc_url, http_upstream=http_url, **chosen,
        ),
    )  # fmt: skip
    command = [nginx, "-p", str(folder), "-c", "nginx.conf", "-g", "daemon off;"]
    with (folder / "start.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(port, process, folder)
        yield Gateway(folder=folder, port=port, authority=authority.path, keys=keys)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "start.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError("the gateway does not listen")
