"""Bounds of one caller: bytes of a message, associations a minute."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynetdicom.fsm import StateMachine
from pynetdicom.transport import AssociationSocket

from infmap_kit.node.dicom.request import read_exactly

if TYPE_CHECKING:
    from pynetdicom.association import Association

ANNOUNCED_PDU_BYTES = 128 * 1024
"""Maximum length of a PDU that is announced to callers (DICOM PS3.8, D.1)."""

_PDU_BYTES = 2**20
# pynetdicom reserves nothing for a PDU that announces gigabytes, but would go on reading it into memory. A
# request for an association with all contexts and syntaxes stays below this, as does what was announced.


class BoundedSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom is not analysed
    """A caller's connection that ends when a message grows too large.

    Parameters
    ----------
    association
        The association of the caller; its socket is taken over.
    max_bytes
        Most bytes of one message, and of all that arrive before it is answered.
    on_excess
        Called with the reason before the connection ends.
    has_room
        Whether there is room to write more. Without room the rest is read and thrown away, so that the
        caller gets an answer.
    first
        A PDU that was read already.
    pdu_s
        Most seconds from the first byte of a PDU to its last, and for what is sent to be taken.
    """

    def __init__(
        self,
        association: Association,
        *,
        max_bytes: int,
        on_excess: Callable[[str], None],
        has_room: Callable[[], bool],
        first: bytes,
        pdu_s: float,
    ) -> None:
        super().__init__(association, client_socket=association.dul.socket.socket)
        # The connection was announced to the state machine when pynetdicom made its own socket.
        association.dul.event_queue.get_nowait()
        association.dul.state_machine = _EndingStateMachine(association.dul)
        self._max_bytes = max_bytes
        self._on_excess = on_excess
        self._has_room = has_room
        self._received = 0
        self._first = memoryview(first)
        self._pdu_s = pdu_s
        self.socket.settimeout(pdu_s)

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        return bool(self._first) or bool(super().ready)

    def begin_message(self) -> None:
        """Count anew, when the message before was answered."""
        self._received = 0

    def recv(self, nr_bytes: int) -> Any:
        """Read so many bytes.

        Raises
        ------
        OSError
            When that would be too many; the state machine then ends the association.
        """
        self._received += nr_bytes
        if nr_bytes > _PDU_BYTES:
            self._end(f"a PDU of {nr_bytes} bytes was announced")
        if self._received > self._max_bytes:
            self._end(f"an object of more than {self._max_bytes >> 20} MiB came")
        if not self._has_room():
            self._throw_away()
        if self._first:
            content, self._first = bytearray(self._first[:nr_bytes]), self._first[nr_bytes:]
            return content
        connection = self.socket
        try:
            return read_exactly(connection, nr_bytes, time.monotonic() + self._pdu_s)
        except TimeoutError:
            self._on_excess(f"a PDU did not come within {self._pdu_s:g} s")
            raise
        finally:
            connection.settimeout(self._pdu_s)

    def _throw_away(self) -> None:
        """Replace the file of the present message by one that stores nothing."""
        message = self.assoc.dimse.message
        file = getattr(message, "_data_set_file", None)
        if file is None or isinstance(file, _Nowhere):
            return
        file.close()
        Path(file.name).unlink(missing_ok=True)
        message._data_set_file = _Nowhere(file.name)

    def _end(self, reason: str) -> None:
        from pynetdicom.pdu import A_ABORT_RQ

        abort = A_ABORT_RQ()
        # The service provider ends it, and gives no reason that the standard knows.
        abort.source, abort.reason_diagnostic = 2, 0
        self.send(abort.encode())
        self._on_excess(reason)
        raise OSError(reason)


class _EndingStateMachine(StateMachine):  # type: ignore[misc]  # pynetdicom is not analysed
    """The protocol's states (PS3.8, 9.2), that end an association on whatever they do not foresee.

    pynetdicom's own would end its thread with a traceback, and leave the association without one.
    """

    def __init__(self, dul: Any) -> None:
        super().__init__(dul)
        self.current_state = dul.state_machine.current_state

    def do_action(self, event: str) -> None:
        """Go on to the next state."""
        try:
            super().do_action(event)
        # Whatever an action meets: pynetdicom names no closed set of errors.
        except Exception:  # noqa: BLE001
            self.dul.assoc.is_aborted, self.dul.assoc.is_established = True, False
            self.dul.assoc._kill = self.dul._kill_thread = True


class _Nowhere(io.BytesIO):
    """A temporary file as pynetdicom expects it, that stores nothing."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.file = name, self

    def write(self, content: Any, /) -> int:
        return len(content)


class Rate:
    """A limit of so many a minute for each caller; as many may come at once after a pause."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def allows(self, caller: str) -> bool:
        """Whether one more may come now; it is counted when it may."""
        now = time.monotonic()
        with self._lock:
            left, before = self._left.get(caller, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - before) * self._per_minute / 60)
            allowed = left >= 1
            self._left[caller] = (left - allowed, now)
        return allowed
