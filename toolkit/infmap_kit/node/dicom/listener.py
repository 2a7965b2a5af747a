"""The node's TCP side: connections that are silent, slow or too many hold up no others."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from typing import Any

from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from infmap_kit.errors import NodeError
from infmap_kit.node.config import ServerTls
from infmap_kit.node.log import note


class Listener(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom is not analysed
    """Takes connections, each in a thread of its own, up to a number."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._opening = 0
        self._lock = threading.Lock()
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = self.socket.accept()
        # For every read: a caller that stops in the middle of a PDU would keep its place for ever.
        connection.settimeout(self.ae.network_timeout)
        if self.ssl_context:
            # The handshake waits for the caller; it is done in the connection's own thread.
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, _request: Any, _address: Any) -> bool:
        """Whether there is a place for a connection."""
        # Beyond the allowed number callers get a rejection; beyond twice of it, threads are too dear.
        with self._lock:
            number = len(self.active_associations) + self._opening
            has_place = number <= 2 * int(self.ae.maximum_associations)
            self._opening += has_place
        return has_place

    def opened(self) -> None:
        """Count a connection no more that has become an association, or has failed to."""
        with self._lock:
            self._opening -= 1

    def shutdown(self) -> None:
        """Listen no more."""
        # As pynetdicom does, but for its list of servers that were started by other means.
        socketserver.BaseServer.shutdown(self)
        self.server_close()

    def handle_error(self, _request: Any, address: Any) -> None:
        """Say that a connection failed, without what pynetdicom would quote."""
        note("a connection failed", address=address[0])


class Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom is not analysed
    """Makes an association of a connection."""

    def handle(self) -> None:
        """Shake hands where TLS is spoken, and begin."""
        try:
            if isinstance(self.request, ssl.SSLSocket):
                self.request.do_handshake()
            super().handle()
        finally:
            self.server.opened()


def server_tls(options: ServerTls) -> ssl.SSLContext:
    """The TLS context for callers, with the certificates that they must show.

    Raises
    ------
    NodeError
        When a file is no certificate or key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
        if options.ca is not None:
            context.load_verify_locations(options.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, OSError) as error:
        raise NodeError(f"node.tls: the certificate, key or ca cannot be used: {error}") from error
    return context
