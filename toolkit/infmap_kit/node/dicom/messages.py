"""Messages of callers that lack what they must have: answered, where pynetdicom would fall silent."""

from __future__ import annotations

import io
from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dsutils import decode, encode

from infmap_kit.node.intake import MISSING_UID

_C_STORE_RQ = 0x0001
_IS_COMMAND, _IS_LAST = 1, 2


class Messages(DIMSEServiceProvider):  # type: ignore[misc]  # pynetdicom is not analysed
    """Puts messages together; a C-STORE without a UID goes on with one that is none, to be refused."""

    def receive_primitive(self, primitive: Any) -> None:
        """Take the next part of a message.

        A part that cannot be read ends the association, as an invalid PDU does (PS3.8, 9.2.3).
        """
        try:
            primitive.presentation_data_value_list = [
                [context_id, self._completed(context_id, data)]
                for context_id, data in primitive.presentation_data_value_list
            ]
            super().receive_primitive(primitive)
        # Neither pydicom nor pynetdicom name the errors of a damaged command set.
        except Exception:  # noqa: BLE001
            if self.message is not None and self.message._data_set_file is not None:
                self.message._data_set_file.close()
            self.dul.event_queue.put("Evt19")

    def _completed(self, context_id: int, data: bytes) -> bytes:
        """Give a whole command set in one fragment the UIDs that it lacks."""
        context = self.assoc._accepted_cx.get(context_id)
        if context is None or data[0] != _IS_COMMAND | _IS_LAST or not self._is_first:
            return data
        command = decode(io.BytesIO(data[1:]), True, True)
        if command.get("CommandField") != _C_STORE_RQ:
            return data
        given = (command.get("AffectedSOPClassUID"), command.get("AffectedSOPInstanceUID"))
        if all(given):
            return data
        command.AffectedSOPClassUID = given[0] or context.abstract_syntax
        command.AffectedSOPInstanceUID = given[1] or MISSING_UID
        return data[:1] + bytes(encode(command, True, True) or b"")

    @property
    def _is_first(self) -> bool:
        """Whether no fragment of the present message came before."""
        return self.message is None or not self.message.encoded_command_set.tell()
