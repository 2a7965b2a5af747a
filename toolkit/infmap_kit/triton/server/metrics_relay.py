"""Triton's metrics on a port that stays, whichever server is behind it just now."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ipaddress
import socket
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

from infmap_kit.errors import ServerError

CONNECTIONS = 32
"""Callers at once; one more takes the place of whoever has been there longest."""

_PATH = "/metrics"
# Seconds that a caller may say nothing, and that one may take to go who was sent away.
_SILENCE_S = 10
_LEAVING_S = 0.5


class MetricsRelay:
    """Answers ``GET /metrics`` with what the server that it follows says.

    Triton lets two servers share its HTTP and gRPC ports, and not this one.

    Parameters
    ----------
    host, port
        Address and TCP port to listen on.

    Raises
    ------
    ServerError
        When the port cannot be used.
    """

    def __init__(self, host: str, port: int) -> None:
        self._followed: str | None = None
        try:
            self._listener = _Listener((host, port), _handler(self._fetch, host))
        except OSError as error:
            raise ServerError(
                f"port {port} (metrics) on {host} cannot be used ({error.strerror}): end what listens there, "
                "or choose other ports"
            ) from error
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)
        self._thread.start()

    def follow(self, url: str) -> None:
        """Ask for this address from now on."""
        self._followed = url

    def stop(self) -> None:
        """End listening."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(timeout=5)

    def _fetch(self) -> bytes | None:
        if self._followed is None:
            return None
        followed = urllib.parse.urlsplit(self._followed)
        # Not by urllib, which would ask a proxy where the environment names one.
        connection = http.client.HTTPConnection(followed.netloc, timeout=5)
        try:
            connection.request("GET", followed.path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class _Listener(http.server.ThreadingHTTPServer):
    """A thread and a file for each caller, and so for a few: ours are those of the servers' supervisor."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        # A dictionary for its order: the oldest is the first.
        self._callers: dict[socket.socket, None] = {}
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self._send_oldest_away()
            if not self._slots.acquire(timeout=_LEAVING_S):
                self.shutdown_request(request)
                return
        self._callers[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._callers.pop(request, None)
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a caller that leaves early is no fault of ours."""

    def _send_oldest_away(self) -> None:
        # Its thread wakes up and closes it.
        with contextlib.suppress(OSError, StopIteration):
            next(iter(self._callers.copy())).shutdown(socket.SHUT_RDWR)


def _handler(
    fetch: Callable[[], bytes | None], host: str
) -> type[http.server.BaseHTTPRequestHandler]:
    class RelayHandler(http.server.BaseHTTPRequestHandler):
        timeout = _SILENCE_S

        def do_GET(self) -> None:
            content = None
            if self._of_a_web_page():
                status = 403
            elif self.path != _PATH:
                status = 404
            else:
                content = fetch()
                status = 503 if content is None else 200
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(content or b"")

        def _of_a_web_page(self) -> bool:
            """Whether a browser asks for a page of elsewhere; also one whose name was made to point here."""
            at_home = not _is_loopback(host) or _is_loopback(_asked(self.headers.get("Host", "")))
            return "Origin" in self.headers or not at_home

        def log_message(self, *_: object) -> None:
            """Log nothing: a scrape comes every few seconds."""

    return RelayHandler


def _asked(header: str) -> str:
    """The host that a Host header names; empty when it names none."""
    try:
        return urllib.parse.urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
