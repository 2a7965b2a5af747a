"""The node's TCP side: connections that are silent, slow, strange or too many hold up no others."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import socketserver
import ssl
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from infmap_kit.node.dicom.messages import Messages
from infmap_kit.node.dicom.places import Places
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.dicom.request import (
    AssociationRequest,
    ConnectionRefused,
    Rejection,
    read_request,
    reject,
    shake_hands,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Door:
    """Rules by which connections become associations.

    Parameters
    ----------
    tls
        The context for callers; ``None`` for a port in the open.
    artim_s
        Most seconds from the connection to its whole request for an association, with TLS's handshake.
    places
        The places.
    refusals
        Counters of refused connections.
    check
        Gives the rejection of a request, or ``None``.
    socket_for
        Makes the socket of an association that begins, from it and from its request.
    """

    tls: ssl.SSLContext | None
    artim_s: float
    places: Places
    refusals: Refusals
    check: Callable[[AssociationRequest], Rejection | None]
    socket_for: Callable[[Any, AssociationRequest], AssociationSocket]


class Listener(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom is not analysed
    """Takes connections, each in a thread of its own; ``door`` is set before it serves."""

    daemon_threads = True
    request_queue_size = 128
    door: Door

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        # TLS's handshake waits for the caller: it is done in the connection's own thread.
        connection, address = self.socket.accept()
        return connection, address

    def verify_request(self, request: Any, address: Any) -> bool:
        """Give a connection its place."""
        out = self.door.places.enter(address, address[0], request)
        if out:
            self.door.refusals.add("it waited, and made room for a newer connection", address=out)
        return True

    def shutdown(self) -> None:
        """Listen no more."""
        # As pynetdicom does, but for its list of servers that were started by other means.
        socketserver.BaseServer.shutdown(self)
        self.server_close()

    def handle_error(self, _request: Any, address: Any) -> None:
        """Say that a connection failed, without what pynetdicom would quote."""
        self.door.refusals.add("the connection failed", address=address[0])


class Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom is not analysed
    """Makes an association of a connection, when its request has come and is allowed."""

    request: Any

    def handle(self) -> None:
        """Read the request, answer it, and stay until the association's end."""
        door: Door = self.server.door
        address = self.client_address[0]
        try:
            self._handle(door, address)
        except ConnectionRefused as refused:
            door.refusals.add(refused, address=address)
        finally:
            door.places.free(self.client_address)
            with contextlib.suppress(OSError):
                self.request.close()

    def _handle(self, door: Door, address: str) -> None:
        deadline_s = time.monotonic() + door.artim_s
        if door.tls is not None:
            self.request = shake_hands(self.request, door.tls, deadline_s=deadline_s)
            door.places.secured(self.client_address, self.request)
        request = read_request(self.request, address=address, deadline_s=deadline_s)
        rejection = door.check(request) or self._without_place(door)
        if rejection is not None:
            door.refusals.add(
                rejection, address=address, caller=request.caller, called=request.called
            )
            with contextlib.suppress(OSError):
                reject(self.request, rejection)
            return
        association = self._create_association()
        association.dimse = Messages(association)
        association.dul.socket = door.socket_for(association, request)
        association.start()
        association.join()

    def _without_place(self, door: Door) -> Rejection | None:
        reason = door.places.admit(self.client_address)
        # Rejected for now, by the presentation layer: local limit exceeded.
        return Rejection(answer=(2, 3, 2), kind=reason) if reason else None
