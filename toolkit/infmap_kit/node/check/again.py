"""Results in a destination: found again by C-FIND (PS3.4, annex C) or QIDO-RS (PS3.18, 10.6), and removed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from http import HTTPStatus

from pydicom import Dataset

from infmap_kit.node.config import CStoreDestination, Destination, StowDestination
from infmap_kit.node.dicom.destinations import web_session
from infmap_kit.node.dicom.reaching import associated
from infmap_kit.node.dicom.response import DestinationUnavailable

_PENDING = (0xFF00, 0xFF01)
_INDEXING_S = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """UIDs of an object that was sent."""

    study: str
    series: str
    instance: str


def missing(destination: Destination, sent: Sequence[Sent], *, ae_title: str) -> list[Sent]:
    """Objects that a destination does not find, after a while in which it may still be at it.

    Raises
    ------
    DestinationUnavailable
        When it cannot be asked.
    """
    deadline_s = time.monotonic() + _INDEXING_S
    while True:
        found = _instances(destination, sent, ae_title)
        lost = [one for one in sent if one.instance not in found]
        if not lost or time.monotonic() > deadline_s:
            return lost
        time.sleep(0.5)


def is_there(destination: Destination, sent: Sequence[Sent], *, ae_title: str) -> bool:
    """Whether a destination finds any of the objects.

    Raises
    ------
    DestinationUnavailable
        When it cannot be asked.
    """
    return bool(_instances(destination, sent, ae_title) & {one.instance for one in sent})


def remove(destination: Destination, study: str) -> str:
    """Ask a destination to remove a study, where its protocol has a way; why it did not, or an empty text.

    DICOM itself has none. Many a DICOMweb server takes a DELETE of the study.
    """
    import requests

    if isinstance(destination, CStoreDestination):
        return "C-STORE knows no way to remove"
    try:
        with web_session(destination) as (session, _):
            answer = session.delete(
                f"{destination.url.rstrip('/')}/studies/{study}", timeout=destination.timeout_s
            )
    except (requests.RequestException, DestinationUnavailable) as error:
        return f"it does not answer ({type(error).__name__})"
    return "" if answer.ok else f"it answers DELETE with HTTP {answer.status_code}"


def _instances(destination: Destination, sent: Sequence[Sent], ae_title: str) -> set[str]:
    if isinstance(destination, CStoreDestination):
        return _found_by_c_find(destination, sent, ae_title)
    return _found_by_qido(destination, {one.study for one in sent})


def _found_by_c_find(pacs: CStoreDestination, sent: Sequence[Sent], ae_title: str) -> set[str]:
    from pynetdicom.presentation import build_context
    from pynetdicom.sop_class import (
        StudyRootQueryRetrieveInformationModelFind as Find,
    )

    found = set()
    with associated(pacs, [build_context(Find)], ae_title=ae_title) as association:
        if not association.is_established:
            raise DestinationUnavailable("it takes no C-FIND of this node")
        for one in sent:
            query = Dataset()
            query.QueryRetrieveLevel = "IMAGE"
            query.StudyInstanceUID, query.SeriesInstanceUID = one.study, one.series
            query.SOPInstanceUID = one.instance
            status = None
            for answer, identifier in association.send_c_find(query, Find):
                status = answer.get("Status")
                if status in _PENDING and identifier is not None:
                    found.add(str(identifier.get("SOPInstanceUID")))
            if status is None:
                raise DestinationUnavailable(
                    f"it ends the association at C-FIND: {ae_title} may perhaps not ask there"
                )
            if status != 0:
                raise DestinationUnavailable(f"it answers C-FIND with 0x{status:04X}")
    return found


def _found_by_qido(web: StowDestination, studies: set[str]) -> set[str]:
    import requests

    found = set()
    for study in studies:
        try:
            with web_session(web) as (session, _):
                answer = session.get(
                    f"{web.url.rstrip('/')}/studies/{study}/instances",
                    headers={"Accept": "application/dicom+json"},
                    timeout=web.timeout_s,
                )
            # A study that is not there is no error to some, and not found to others.
            if answer.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
                continue
            if answer.status_code != HTTPStatus.OK:
                raise DestinationUnavailable(f"it answers QIDO-RS with HTTP {answer.status_code}")
            found |= {str(one["00080018"]["Value"][0]) for one in answer.json()}
        except (requests.RequestException, LookupError, TypeError, ValueError) as error:
            raise DestinationUnavailable(
                f"its answer to QIDO-RS cannot be read ({type(error).__name__})"
            ) from error
    return found
