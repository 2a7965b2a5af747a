"""Connections to destinations: an end to those that take for ever, and why there is none."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.node.config import ClientTls, CStoreDestination
from infmap_kit.node.dicom.response import AssociationRejected, DestinationUnavailable
from infmap_kit.node.dicom.tls import client_tls, reason_of

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


@contextlib.contextmanager
def associated(
    destination: CStoreDestination, contexts: Sequence[Any], *, ae_title: str
) -> Iterator[Any]:
    """An association with a destination, released at the end.

    It is not established where the destination takes none of the presentation contexts.

    Parameters
    ----------
    destination
        The destination.
    contexts
        Presentation contexts to propose, as from ``pynetdicom.presentation.build_context``.
    ae_title
        AE title of the node.

    Raises
    ------
    AssociationRejected
        When it says no, with its reason.
    DestinationUnavailable
        When it does not answer.
    """
    from pynetdicom import AE, evt

    entity = AE(ae_title=ae_title)
    entity.connection_timeout = entity.acse_timeout = destination.timeout_s
    entity.dimse_timeout = entity.network_timeout = destination.timeout_s
    entity.requested_contexts = list(contexts)
    with quiet():
        tls = tls_context(destination.tls) if destination.tls else None
        reached: list[Any] = []

        def hang_up_all() -> None:
            for one in reached:
                hang_up(one)

        # To connect, and to be answered, has a time each; a request that is answered in drips has none.
        with cut_off_after(2 * destination.timeout_s, hang_up_all):
            association = entity.associate(
                destination.host,
                destination.port,
                ae_title=destination.ae_title,
                tls_args=(tls, destination.host) if tls else None,
                evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: reached.append(event.assoc))],
            )
        if association.is_rejected:
            answer = association.acceptor.primitive
            raise AssociationRejected(
                ae_title, source=answer.result_source, reason=answer.diagnostic
            )
        is_answered = association.rejected_contexts and not association.accepted_contexts
        if not association.is_established and not is_answered:
            hang_up(association)
            why = why_unreachable(
                destination.host, destination.port, tls, timeout_s=destination.timeout_s
            )
            raise DestinationUnavailable(
                f"it does not answer ({why})" if why else "it does not answer, or aborts"
            )
        try:
            yield association
        finally:
            if association.is_established:
                with cut_off_after(destination.max_send_s, lambda: hang_up(association)):
                    association.release()
            # A thread of pynetdicom's may still wait for bytes that never come.
            hang_up(association)


def hang_up(association: Any) -> None:
    """End an association's connection under the thread that waits for it."""
    wrapper = association.dul.socket
    connection = wrapper.socket if wrapper is not None else None
    if connection is not None:
        shut_down(connection)


def tls_context(options: ClientTls) -> ssl.SSLContext:
    """The TLS context for a destination.

    Raises
    ------
    DestinationUnavailable
        When its certificates cannot be used.
    """
    try:
        return client_tls(options)
    except OSError as error:
        raise DestinationUnavailable(
            f"its certificates cannot be used: {reason_of(error)}"
        ) from error
