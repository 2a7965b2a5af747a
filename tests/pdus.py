"""PDUs as a caller sends them (PS3.8, 9.3), byte for byte, for what no well-behaved program would send."""

from __future__ import annotations

import io
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, PYNETDICOM_IMPLEMENTATION_UID
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification
from pynetdicom.transport import AddressInformation

from node_host import CALLER

_MAX_PDU_BYTES = 2**14


def association_request(caller: str = CALLER) -> bytes:
    """An A-ASSOCIATE-RQ for C-ECHO (context 1) and C-STORE of CR in explicit little endian (context 3)."""
    entity = AE(ae_title=caller)
    entity.add_requested_context(Verification, ExplicitVRLittleEndian)
    entity.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = caller, "INFMAP"
    here = AddressInformation("127.0.0.1", 104)
    primitive.calling_presentation_address = primitive.called_presentation_address = here
    contexts = entity.requested_contexts
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = _MAX_PDU_BYTES
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
    primitive.user_information = [length, implementation]
    return bytes(A_ASSOCIATE_RQ(primitive).encode())


def echo_request() -> bytes:
    """A C-ECHO-RQ."""
    echo = C_ECHO()
    echo.MessageID, echo.AffectedSOPClassUID = 1, Verification
    return _pdus(C_ECHO_RQ(), echo, context=1)


def store_request(uid: str, content: bytes) -> bytes:
    """A C-STORE-RQ of a CR, with its attributes as they are."""
    store = C_STORE()
    store.MessageID, store.Priority = 1, 2
    store.AffectedSOPClassUID, store.AffectedSOPInstanceUID = ComputedRadiographyImageStorage, uid
    store.DataSet = io.BytesIO(content)
    return _pdus(C_STORE_RQ(), store, context=3)


def _pdus(message: Any, primitive: Any, *, context: int) -> bytes:
    message.primitive_to_message(primitive)
    parts = message.encode_msg(context, _MAX_PDU_BYTES)
    return b"".join(P_DATA_TF(part).encode() for part in parts)
