"""Triton's metrics on a port that stays, whichever server is behind it just now."""

from __future__ import annotations

import contextlib
import http.server
import threading
import urllib.request
from collections.abc import Callable

from infmap_kit.errors import ServerError

_PATH = "/metrics"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


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
        self._host = host
        self._followed: int | None = None
        try:
            self._listener = http.server.ThreadingHTTPServer(
                (host, port), _handler(self._fetch, host)
            )
        except OSError as error:
            raise ServerError(
                f"port {port} (metrics) on {host} cannot be used ({error.strerror}): end what listens there, "
                "or choose other ports"
            ) from error
        self._listener.daemon_threads = True
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)
        self._thread.start()

    def follow(self, port: int) -> None:
        """Ask the server with this metrics port from now on."""
        self._followed = port

    def stop(self) -> None:
        """End listening."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(timeout=5)

    def _fetch(self) -> bytes | None:
        if self._followed is None:
            return None
        url = f"http://{self._host}:{self._followed}{_PATH}"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:  # our own server
                content: bytes = reply.read()
                return content
        except OSError:
            return None


def _handler(
    fetch: Callable[[], bytes | None], host: str
) -> type[http.server.BaseHTTPRequestHandler]:
    class RelayHandler(http.server.BaseHTTPRequestHandler):
        # Whoever connects and says nothing does not stay.
        timeout = 10

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
            asked, _, _ = self.headers.get("Host", "").rpartition(":")
            at_home = host not in _LOOPBACK or asked in _LOOPBACK
            return "Origin" in self.headers or not at_home

        def log_message(self, *_: object) -> None:
            """Log nothing: a scrape comes every few seconds."""

    return RelayHandler
