"""A network to one destination, which can be cut."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from typing import Self

_PIECE = 1 << 16


class Cut(enum.StrEnum):
    """How a network fails."""

    RESET = "reset"
    """Connections end at once, and new ones too: a cable that is pulled out at a switch that says so."""
    SILENT = "silent"
    """Nothing arrives any more, and nobody says so."""


class Relay:
    """Passes on what arrives at a loopback port of its own; use it as a context manager.

    Parameters
    ----------
    port
        The loopback port to pass on to.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._cut: Cut | None = None
        self._mended = threading.Event()
        self._mended.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, how: Cut) -> None:
        """Cut the network until :meth:`mend`."""
        self._cut = how
        self._mended.clear()
        if how is Cut.RESET:
            self._end_all()

    def mend(self) -> None:
        """Pass on again. What was held back is lost, with its connections."""
        self._cut = None
        self._end_all()
        self._mended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self.mend()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._cut is Cut.RESET:
                    near.close()
                    continue
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._to), timeout=10)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            self._open |= {near, far}
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                if self._cut is Cut.SILENT:
                    self._mended.wait()
                    break
                target.sendall(piece)
        self._end(source, target)

    def _end_all(self) -> None:
        with self._lock:
            ending = tuple(self._open)
        self._end(*ending)

    def _end(self, *connections: socket.socket) -> None:
        with self._lock:
            self._open -= set(connections)
        for connection in connections:
            # Without a shutdown a thread that reads from it would go on to wait.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
