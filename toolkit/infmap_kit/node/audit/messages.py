"""Audit messages as DICOM defines them (PS3.15, A.5; RFC 3881), as JSON with the schema's own names.

DICOM's form is XML, for which there is no well-kept library in Python; elements and attributes of its schema
are the keys here, one to one. Patients, studies and instances are stand-ins
(:func:`~infmap_kit.imaging.dicom.identity.hashed_uid`), and patients only where there is a key: they are few.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infmap_kit.imaging.dicom.dataset import read_header, text_of
from infmap_kit.imaging.dicom.identity import hashed_uid, shown_patient
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.node.queue.clock import utc_now

Message = dict[str, Any]

SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = 0, 4, 8
"""``EventOutcomeIndicator``."""

_EVENTS = {
    "110100": "Application Activity",
    "110102": "Begin Transferring DICOM Instances",
    "110103": "DICOM Instances Accessed",
    "110104": "DICOM Instances Transferred",
    "110106": "Export",
    "110107": "Import",
    "110113": "Security Alert",
    "110120": "Application Start",
    "110121": "Application Stop",
    "110126": "Node Authentication",
    "110134": "Audit Recording Started",
    "110150": "Application",
    "110152": "Destination Role ID",
    "110153": "Source Role ID",
    "110154": "Destination Media",
    "110155": "Source Media",
    "110180": "Study Instance UID",
    "110182": "Node ID",
}
"""Codes of DICOM's terminology (PS3.16, annex D) and their meanings."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditedObject:
    """A DICOM object in an audit message.

    Parameters
    ----------
    sop_class
        UID of its SOP class.
    instance, study
        Stand-ins of its UIDs; empty where it has none.
    patient
        Stand-in of its Patient ID; empty without one, and without a key.
    """

    sop_class: str = ""
    instance: str = ""
    study: str = ""
    patient: str = ""


def subject_of(header: Any) -> AuditedObject:
    """The audited object of a pydicom data set."""

    def hashed(keyword: str) -> str:
        uid = text_of(header, keyword)
        return hashed_uid(uid) if uid else ""

    return AuditedObject(
        sop_class=text_of(header, "SOPClassUID"),
        instance=hashed("SOPInstanceUID"),
        study=hashed("StudyInstanceUID"),
        patient=shown_patient(header, identify=False).get("patient", ""),
    )


def subject_in(file: Path) -> AuditedObject:
    """The audited object of a DICOM file; empty if the file cannot be read."""
    try:
        with quiet(), file.open("rb") as content:
            return subject_of(read_header(content))
    # pydicom names no closed set of errors for damaged files.
    except Exception:  # noqa: BLE001
        return AuditedObject()


def message(
    event: str,
    *,
    source: str,
    action: str,
    participants: Iterable[Message],
    subjects: Iterable[AuditedObject] = (),
    outcome: int = SUCCESS,
    kind: str = "",
    alert: str = "",
) -> Message:
    """One audit message.

    Parameters
    ----------
    event, kind
        Codes of ``EventID`` and ``EventTypeCode``.
    source
        AE title of the node that says so.
    action
        ``EventActionCode``: C, R, U, D or E.
    participants
        Participants of the event; see :func:`participant`.
    subjects
        The objects it is about, of one patient.
    outcome
        ``EventOutcomeIndicator``.
    alert
        Text of a Security Alert.
    """
    identification: Message = {
        "EventID": _code(event),
        "EventActionCode": action,
        "EventDateTime": utc_now(),
        "EventOutcomeIndicator": outcome,
    }
    if kind:
        identification["EventTypeCode"] = [_code(kind)]
    return {
        "EventIdentification": identification,
        "ActiveParticipant": list(participants),
        "AuditSourceIdentification": {"AuditSourceID": source},
        "ParticipantObjectIdentification": [*_objects(list(subjects)), *_alert(source, alert)],
    }


def participant(
    user: str, *, role: str = "", is_requestor: bool = False, address: str = "", title: str = ""
) -> Message:
    """Somebody or something that took part.

    Parameters
    ----------
    user
        ``UserID``: an AE title, a URL, a program, a login.
    role
        Code of ``RoleIDCode``.
    is_requestor
        Whether it began.
    address
        Its host name or IP address.
    title
        Its AE title, where ``user`` is something else.
    """
    told: Message = {"UserID": user, "UserIsRequestor": is_requestor}
    if title:
        told["AlternativeUserID"] = f"AETITLES={title}"
    if role:
        told["RoleIDCode"] = [_code(role)]
    if address:
        told["NetworkAccessPointID"] = address
        told["NetworkAccessPointTypeCode"] = 2 if _is_ip(address) else 1
    return told


def _code(value: str) -> Message:
    return {"csd-code": value, "codeSystemName": "DCM", "originalText": _EVENTS[value]}


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _objects(subjects: list[AuditedObject]) -> list[Message]:
    """The studies with their instances, then the patient."""
    told = []
    for study in dict.fromkeys(subject.study for subject in subjects):
        members = [subject for subject in subjects if subject.study == study]
        classes = Counter(subject.sop_class for subject in members)
        told.append(
            {
                "ParticipantObjectTypeCode": 2,
                "ParticipantObjectTypeCodeRole": 3,
                "ParticipantObjectIDTypeCode": _code("110180"),
                "ParticipantObjectID": study,
                "SOPClass": [
                    _sop_class(uid, number, members) for uid, number in sorted(classes.items())
                ],
            }
        )
    told += [
        {
            "ParticipantObjectTypeCode": 1,
            "ParticipantObjectTypeCodeRole": 1,
            "ParticipantObjectIDTypeCode": {
                "csd-code": "2",
                "codeSystemName": "RFC-3881",
                "originalText": "Patient Number",
            },
            "ParticipantObjectID": patient,
        }
        for patient in dict.fromkeys(subject.patient for subject in subjects)
        if patient
    ]
    return told


def _sop_class(uid: str, number: int, members: Iterable[AuditedObject]) -> Mapping[str, Any]:
    instances = [one.instance for one in members if one.sop_class == uid and one.instance]
    return {
        "UID": uid,
        "NumberOfInstances": number,
        "Instance": [{"UID": instance} for instance in instances],
    }


def _alert(source: str, alert: str) -> list[Message]:
    if not alert:
        return []
    return [
        {
            "ParticipantObjectTypeCode": 2,
            "ParticipantObjectTypeCodeRole": 13,
            "ParticipantObjectIDTypeCode": _code("110182"),
            "ParticipantObjectID": source,
            "ParticipantObjectDetail": [{"type": "Alert Description", "value": alert}],
        }
    ]
