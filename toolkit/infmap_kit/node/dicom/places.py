"""Places of connections: nobody's silence closes the door for others, and known callers come first."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable

from infmap_kit.node.dicom.reaching import shut_down


@dataclasses.dataclass(kw_only=True)
class _Guest:
    address: str
    is_known: bool
    connection: socket.socket
    is_admitted: bool = False


class Places:
    """Places for connections that wait to be admitted, and for associations.

    A newcomer always gets a place to wait: a genuine request arrives within milliseconds, so that whoever
    waits for longest has to go, one of the newcomer's own address where that has used up its share, else one
    whose address no caller's entry names.

    Parameters
    ----------
    waiting
        Connections that may wait at once; half of them of one address.
    associations
        Associations at once.
    per_address
        Associations at once of one address that no caller's entry names.
    is_known
        Whether a caller's entry names an address.
    reserved
        Associations that are kept for addresses that callers' entries name.
    """

    def __init__(
        self,
        *,
        waiting: int,
        associations: int,
        per_address: int,
        is_known: Callable[[str], bool],
        reserved: int = 0,
    ) -> None:
        self._waiting, self._associations, self._per_address = waiting, associations, per_address
        self._is_known, self._reserved = is_known, reserved
        self._guests: dict[object, _Guest] = {}
        self._lock = threading.Lock()

    def enter(self, key: object, address: str, connection: socket.socket) -> str:
        """Give a connection a place to wait; another may have to leave.

        Parameters
        ----------
        key
            Names the connection.
        address
            Address of the caller.
        connection
            Shut down, should it have to make room.

        Returns
        -------
        str
            Address of the one that had to leave; empty where there was room.
        """
        newcomer = _Guest(address=address, is_known=self._is_known(address), connection=connection)
        with self._lock:
            out = self._guests.pop(self._in_the_way_of(newcomer), None)
            self._guests[key] = newcomer
        if out is None:
            return ""
        shut_down(out.connection)
        return out.address

    def secured(self, key: object, connection: socket.socket) -> None:
        """Put TLS's socket in the place of the one that it was made from."""
        with self._lock:
            if key in self._guests:
                self._guests[key].connection = connection

    def admit(self, key: object) -> str:
        """Turn a connection that waits into an association; give the reason why not, or an empty text."""
        with self._lock:
            guest = self._guests.get(key)
            if guest is None:
                return "its place was given to another"
            admitted = [one for one in self._guests.values() if one.is_admitted]
            if len(admitted) >= self._associations:
                return "too many associations"
            if not guest.is_known:
                strangers = [one for one in admitted if not one.is_known]
                if len(strangers) >= self._associations - self._reserved:
                    return "too many associations"
                if sum(one.address == guest.address for one in strangers) >= self._per_address:
                    return "too many associations of this address"
            guest.is_admitted = True
        return ""

    def free(self, key: object) -> None:
        """Give a place back."""
        with self._lock:
            self._guests.pop(key, None)

    def _in_the_way_of(self, newcomer: _Guest) -> object:
        """Key of the connection that has to leave; ``None`` when there is room."""
        # In the order in which they came.
        waiting = {key: guest for key, guest in self._guests.items() if not guest.is_admitted}
        same = [key for key, guest in waiting.items() if guest.address == newcomer.address]
        if len(same) >= max(1, self._waiting // 2):
            return same[0]
        if len(waiting) < self._waiting:
            return None
        strangers = [key for key, guest in waiting.items() if not guest.is_known]
        return (strangers or list(waiting))[0]
