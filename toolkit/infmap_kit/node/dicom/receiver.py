"""The DICOM side of the node: C-ECHO and C-STORE, for known callers alone (PS3.4, annexes A and B).

Its answers:

======================================  =============================================================
``0x0000``                              on disk, synced, in the queue; or it was here already
``0xB000``                              the same picture was here with other attributes; it is kept
``0xA700``                              no room, or the disk cannot be written: send it again later
``0xA900``                              of another SOP class than the one that was agreed on
``0x0117``                              its SOP Instance UID is none, or not the one that was announced
``0xC001``                              another picture is here under its UID
``0xC002``                              not readable, or deflated
``0xC003``                              without a SOP class or a SOP Instance UID
``0xC004``                              cut short: fewer pixels than it announces; send it again
rejected association                    unknown caller or called title; too many, or too often
aborted association                     an object larger than the limit, or a silent caller
closed connection                       no whole request within ``artim_s``, or no handshake of TLS
======================================  =============================================================
"""

from __future__ import annotations

import contextlib
import ipaddress
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynetdicom
from pynetdicom import AE, evt

from infmap_kit.errors import NodeError
from infmap_kit.imaging.dicom.decoding import pixel_decoder
from infmap_kit.node.config import NodeConfig
from infmap_kit.node.dicom.bounds import ANNOUNCED_PDU_BYTES, BoundedSocket, Rate
from infmap_kit.node.dicom.listener import Door, Handler, Listener
from infmap_kit.node.dicom.places import Places
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.dicom.request import AssociationRequest, Rejection
from infmap_kit.node.dicom.tls import server_tls
from infmap_kit.node.intake import Conflict, Fault, Incomplete, Intake, NoRoom, Unusable
from infmap_kit.node.log import Troubles, note

SUCCESS, COERCED, OUT_OF_RESOURCES, ANOTHER = 0x0000, 0xB000, 0xA700, 0xC001
CUT_SHORT = 0xC004
_STATUS_OF = {
    Fault.OTHER_CLASS: 0xA900, Fault.OTHER_INSTANCE: 0x0117, Fault.NO_UID: 0x0117,
    Fault.UNREADABLE: 0xC002, Fault.MISSING_UID: 0xC003,
}  # fmt: skip

SOP_CLASSES = (
    "ComputedRadiographyImageStorage",
    "DigitalXRayImageStorageForPresentation",
    "DigitalXRayImageStorageForProcessing",
    "SecondaryCaptureImageStorage",
)
"""Keywords of the SOP classes that may be sent: those of radiographs."""

# Result, source and reason of an A-ASSOCIATE-RJ (PS3.8, 9.3.4).
_CALLING_TITLE_UNKNOWN, _CALLED_TITLE_UNKNOWN, _CONGESTION = (1, 1, 3), (1, 1, 7), (2, 3, 1)


class Receiver:
    """Listens for radiographs.

    Parameters
    ----------
    config
        Titles, callers and limits.
    intake
        The intake of the radiographs.
    troubles
        Troubles that are shared with the node's other parts.
    on_received
        Called after each new radiograph.
    on_rejected
        Called after each association that was rejected.
    refusals
        Counts them, and connections that were refused before.

    Raises
    ------
    NodeError
        When the port cannot be used, or the certificate is none.
    """

    def __init__(
        self,
        config: NodeConfig,
        intake: Intake,
        *,
        troubles: Troubles,
        on_received: Callable[[], None] = lambda: None,
        on_rejected: Callable[[], None] = lambda: None,
        refusals: Refusals | None = None,
    ) -> None:
        self._config = config
        self._intake = intake
        self._refusals = refusals or Refusals()
        self._on_received = on_received
        self._on_rejected = on_rejected
        self._rate = Rate(config.limits.associations_per_minute)
        self._no_room = troubles.about("room for radiographs")
        # Written as it comes, so that memory does not grow with the object; on the spool's disk, so that
        # accepting is a rename.
        pynetdicom._config.STORE_RECV_CHUNKED_DATASET = True
        pynetdicom._config.LOG_HANDLER_LEVEL = "none"
        tempfile.tempdir = str(intake.spool.arriving)
        self._server = self._listen()
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="receiver", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._server.server_address[1])

    def is_alive(self) -> bool:
        """Whether it still listens."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Listen no more; associations that are open are aborted."""
        self._server.shutdown()
        for association in self._server.active_associations:
            association.abort()

    def _listen(self) -> Listener:
        node, limits = self._config.node, self._config.limits
        entity = AE(ae_title=node.ae_title)
        # pynetdicom counts its threads, those that are about to end too; here places are counted.
        entity.maximum_associations = 10**6
        entity.maximum_pdu_size = ANNOUNCED_PDU_BYTES
        entity.network_timeout = entity.dimse_timeout = limits.idle_s
        entity.acse_timeout = limits.artim_s
        syntaxes = transfer_syntaxes()
        entity.add_supported_context(pynetdicom.sop_class.Verification)
        for keyword in SOP_CLASSES:
            entity.add_supported_context(getattr(pynetdicom.sop_class, keyword), syntaxes)
        try:
            server: Listener = entity.make_server(
                (node.host, node.port),
                evt_handlers=[
                    (evt.EVT_C_ECHO, self._echo),
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_CONN_CLOSE, _remove_half),
                    (evt.EVT_ABORTED, _remove_half),
                ],
                server_class=Listener,
                request_handler=Handler,
            )
        except OSError as error:
            raise NodeError(
                f"port {node.port} on {node.host} cannot be used ({error.strerror}): "
                "end what listens there, or choose another in [node]"
            ) from error
        server.door = Door(
            tls=server_tls(node.tls) if node.tls else None,
            artim_s=limits.artim_s,
            places=self._places(),
            refusals=self._refusals,
            check=self._check,
            socket_for=self._bounded,
        )
        return server

    def _places(self) -> Places:
        limits = self._config.limits
        named = [caller.address for caller in self._config.callers if caller.address is not None]

        def is_known(address: str) -> bool:
            return any(ipaddress.ip_address(address) in network for network in named)

        return Places(
            waiting=2 * limits.max_associations,
            associations=limits.max_associations,
            per_address=limits.max_associations_per_address,
            is_known=is_known,
            reserved=limits.max_associations // 4 if named else 0,
        )

    def _bounded(self, association: Any, request: AssociationRequest) -> BoundedSocket:
        def report_excess(reason: str) -> None:
            note("refused", reason=reason, address=request.address)

        return BoundedSocket(
            association,
            max_bytes=self._config.limits.max_object_mb << 20,
            on_excess=report_excess,
            has_room=self._intake.has_room_to_arrive,
            first=request.pdu,
            pdu_s=self._config.limits.idle_s,
        )

    def _check(self, request: AssociationRequest) -> Rejection | None:
        """Reject callers that are not on the list, call another, or come too often."""
        rejection = None
        if not self._is_known(request.caller, request.address):
            rejection = Rejection(
                answer=_CALLING_TITLE_UNKNOWN, kind="the caller is not on the list",
                detail=f"caller {request.caller!r} is not on the list",
            )  # fmt: skip
            if any(caller.ae_title == request.caller for caller in self._config.callers):
                rejection = Rejection(
                    answer=_CALLING_TITLE_UNKNOWN, kind="the caller has another address on the list",
                    detail=f"caller {request.caller!r} has another address on the list",
                )  # fmt: skip
        elif request.called != self._config.node.ae_title:
            rejection = Rejection(
                answer=_CALLED_TITLE_UNKNOWN, kind="another AE title was called",
                detail=f"expected to be called {self._config.node.ae_title!r}, found {request.called!r} "
                f"of caller {request.caller!r}",
            )  # fmt: skip
        elif not self._rate.allows(request.caller):
            rejection = Rejection(
                answer=_CONGESTION, kind="a caller asks for too many associations",
                detail=f"caller {request.caller!r} asks for too many associations",
            )  # fmt: skip
        if rejection is not None:
            self._on_rejected()
        return rejection

    def _is_known(self, title: str, address: str) -> bool:
        return any(
            caller.ae_title == title
            and (caller.address is None or ipaddress.ip_address(address) in caller.address)
            for caller in self._config.callers
        )

    def _echo(self, event: Any) -> int:
        event.assoc.dul.socket.begin_message()
        return SUCCESS

    def _store(self, event: Any) -> Any:
        caller = event.assoc.requestor.ae_title.strip()
        # The object must be of the class that was agreed on, and the one that the message names.
        announced = (event.context.abstract_syntax, str(event.request.AffectedSOPInstanceUID))
        try:
            receipt = self._intake.accept(
                Path(event.dataset_path),
                caller=caller,
                address=event.assoc.requestor.address,
                announced=announced,
            )
        except NoRoom as error:
            # The figures differ each time, and would make it another trouble.
            self._no_room.begins("there is too little", found=str(error))
            return self._answer(OUT_OF_RESOURCES, str(error))
        except Incomplete as error:
            note("refused", reason=str(error), caller=caller)
            return self._answer(CUT_SHORT, "cut short, fewer pixels than announced: send it again")
        except (Unusable, Conflict) as error:
            note("refused", reason=str(error), caller=caller)
            status = _STATUS_OF[error.fault] if isinstance(error, Unusable) else ANOTHER
            return self._answer(status, str(error))
        finally:
            event.assoc.dul.socket.begin_message()
        self._no_room.is_over()
        if receipt.is_new:
            self._on_received()
        return COERCED if receipt.remark else SUCCESS

    def _answer(self, status: int, comment: str) -> Any:
        from pydicom import Dataset

        answer = Dataset()
        answer.Status = status
        answer.ErrorComment = comment[:64]
        return answer


def transfer_syntaxes() -> list[str]:
    """UIDs of the transfer syntaxes whose pixels can be decoded here.

    Deflated ones are not among them: a small file may inflate to any size, and a sender must be able to
    send without (PS3.5, 10.1).
    """
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    usable = []
    for uid in pynetdicom.ALL_TRANSFER_SYNTAXES:
        with contextlib.suppress(NotImplementedError):
            if pixel_decoder(uid).is_available and uid != DeflatedExplicitVRLittleEndian:
                usable.append(str(uid))
    return usable


def _remove_half(event: Any) -> None:
    """Remove the file of a transfer that ended early."""
    half = getattr(event.assoc.dimse.message, "_data_set_path", None)
    if half is not None:
        Path(half).unlink(missing_ok=True)
