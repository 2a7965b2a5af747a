"""Connections to destinations: an end to those that take for ever, and why there is none."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

from infmap_kit.node.dicom.tls import reason_of

_ALERT_S = 0.5


@contextlib.contextmanager
def cut_off_after(seconds: float, cut_off: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Call ``cut_off`` when the block takes longer; the block is given a way to ask whether it did.

    A time-out of a socket is one for each read: a server that drips bytes keeps to it for ever.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        cut_off()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()


def shut_down(connection: socket.socket) -> None:
    """End a connection under the thread that waits for it, which then reads its end."""
    # Not TLS's own way, which takes the connection apart under that thread.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Connections:
    """The connections of an HTTP session, so that they can be ended while it waits."""

    def __init__(self) -> None:
        self._open: list[Any] = []

    def adapter(self) -> Any:
        """Make an adapter for the session, whose connections are noted here."""
        from requests.adapters import HTTPAdapter
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

        open_ = self._open

        def noting(base: type[Any]) -> type[Any]:
            class Noting(base):  # type: ignore[misc]  # a class of urllib3's, whichever it is
                def _new_conn(self) -> socket.socket:
                    connection: socket.socket = super()._new_conn()
                    open_.append(self)
                    self.plain = connection
                    return connection

            return Noting

        pools: dict[str, Any] = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}

        class Adapter(HTTPAdapter):
            def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
                super().init_poolmanager(*arguments, **options)
                self.poolmanager.pool_classes_by_scheme = {
                    scheme: type(
                        pool.__name__, (pool,), {"ConnectionCls": noting(pool.ConnectionCls)}
                    )
                    for scheme, pool in pools.items()
                }

        return Adapter()

    def cut_off(self) -> None:
        """End all connections."""
        for connection in self._open:
            # TLS's socket takes the plain one's place after the handshake.
            for one in (connection.sock, connection.plain):
                if one is not None:
                    shut_down(one)


def why_unreachable(host: str, port: int, tls: ssl.SSLContext | None, *, timeout_s: float) -> str:
    """Connect once more to find out why there was no answer, for libraries that keep the reason to themselves.

    Returns
    -------
    str
        The reason; empty when nothing is wrong with the connection.
    """
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((host, port), timeout_s))
            if tls is not None:
                # The time-out is one for the whole handshake.
                connection = stack.enter_context(tls.wrap_socket(connection, server_hostname=host))
                connection.settimeout(_ALERT_S)
                # TLS 1.3 says after the handshake that it wants another certificate, or one at all.
                with contextlib.suppress(TimeoutError):
                    connection.recv(1)
    except OSError as error:
        return reason_of(error)
    return ""
