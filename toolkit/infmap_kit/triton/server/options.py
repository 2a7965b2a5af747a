"""Address and ports of a server, and the options that every server is started with."""

from __future__ import annotations

import dataclasses
import socket

from infmap_kit.errors import ServerError

STOP_TIMEOUT_S = 30.0
"""Seconds after which a server that was asked to end is killed."""


# The header that would open Triton's restricted APIs, and its value. Nobody can send it: HTTP/2 has no
# upper-case names (RFC 9113, 8.2.1), and a value of HTTP ends at the line (RFC 9110, 5.5).
_UNSENDABLE = "Closed=to\neverybody"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Address and ports of a server; the ports are Triton's usual ones.

    Parameters
    ----------
    host
        Address to bind to. Triton speaks without encryption or sign-in, so the default is loopback.
    http_port, grpc_port, metrics_port
        TCP ports.
    metrics_host
        Address that the metrics are told on; ``None`` for ``host``.
    http
        Whether Triton speaks HTTP besides gRPC. Three small requests end such a server, without any sign-in and
        from a web page too (CVE-2025-23310, CVE-2025-23311), so that it does not by default.
    """

    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    metrics_host: str | None = None
    http: bool = False

    def __post_init__(self) -> None:
        ports = (self.http_port, self.grpc_port, self.metrics_port)
        if len(set(ports)) != 3 or not all(1 <= port <= 65535 for port in ports):
            raise ServerError(f"expected three different ports of 1 to 65535, found {ports}")

    def unusable_ports(self) -> dict[int, str]:
        """Ports that cannot be listened on just now, each to which it is and the system's reason."""
        reasons = {}
        http = {"HTTP": self.http_port} if self.http else {}
        ports = {**http, "gRPC": self.grpc_port, "metrics": self.metrics_port}
        for name, port in ports.items():
            with socket.socket() as probe:
                # As Triton binds: a port in TIME_WAIT is free, a port with a listener is not.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self.host, port))
                except OSError as error:
                    reasons[port] = (
                        f"port {port} ({name}) on {self.host} cannot be used ({error.strerror})"
                    )
        return reasons

    @property
    def grpc_url(self) -> str:
        """Endpoint for clients, as ``host:port``."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        """Triton's HTTP endpoint, with scheme, where it speaks HTTP."""
        return f"http://{self.host}:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """Endpoint for Prometheus."""
        return f"http://{self.metrics_host or self.host}:{self.metrics_port}/metrics"


def hardened() -> list[str]:
    """Options of every server that is started or deployed, wherever it runs.

    Loading models, mapping memory, tracing and changing logs are closed to everybody, since a key would stand
    in the arguments, which every user of a machine can read. Configs may be read: they say which model answers.
    """
    closed = f"shared-memory,model-repository,trace,logging:{_UNSENDABLE}"
    return [
        f"--http-restricted-api={closed}",
        f"--grpc-restricted-protocol={closed}",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        "--strict-readiness=true",
        "--log-format=default",
        f"--exit-timeout-secs={int(STOP_TIMEOUT_S) - 5}",
    ]
