"""Names for a radiograph that do not identify its patient."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any

from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.dicom.study_time import study_time

if TYPE_CHECKING:
    from pydicom import Dataset

UID_KEY = "INFMAP_UID_KEY"
"""Environment variable with a secret for :func:`hashed_uid` and :func:`shown_patient`."""

_LONGEST_SHIFT_S = 10 * 365 * 86400


def hashed_uid(uid: str, *, key: str | None = None) -> str:
    """Stand-in for a UID: always the same one, that cannot be turned back.

    Whoever holds the UID can make the same stand-in, and so find the picture again: a hospital its own,
    but anyone else as well who has a list of UIDs. With a key, an HMAC, only who has the key can.

    Parameters
    ----------
    key
        Secret; the environment's ``INFMAP_UID_KEY`` when not given, none when that is empty.

    Returns
    -------
    str
        ``sha256:`` or ``hmac-sha256:`` and 32 hexadecimal digits.
    """
    return stand_in(uid.encode(), key=key)


def stand_in(content: bytes, *, key: str | None = None) -> str:
    """Stand-in for any bytes, as :func:`hashed_uid` makes it for a UID."""
    secret = _key(key)
    if secret:
        return f"hmac-sha256:{hmac.digest(secret, content, 'sha256').hex()[:32]}"
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def _key(key: str | None) -> bytes:
    return (os.environ.get(UID_KEY, "") if key is None else key).encode()


def shown_uids(header: Dataset, *, identify: bool) -> dict[str, str]:
    """The study, series and instance UIDs that a data set has, hashed unless ``identify`` shows them."""
    stems = {"study": "Study", "series": "Series", "instance": "SOP"}
    uids = {name: text_of(header, f"{stem}InstanceUID") for name, stem in stems.items()}
    return {name: uid if identify else hashed_uid(uid) for name, uid in uids.items() if uid}


def shown_accession(accession: str, *, identify: bool, key: str | None = None) -> str:
    """Stand-in for an accession number: the number itself with ``identify``, else an HMAC; empty without a key.

    Such numbers are counted up, so that trying all of them would turn a hash without a secret back.
    """
    if identify or not accession:
        return accession
    return stand_in(accession.encode(), key=key) if _key(key) else ""


def shown_patient(header: Dataset, *, identify: bool, key: str | None = None) -> dict[str, Any]:
    """The patient and the time of a radiograph, so far as they may be shown.

    Patient IDs are few: without a secret, trying all of them would turn a hash back, and a date tells
    almost as much as a name. So without ``identify`` and without a key nothing is shown. With a key, the
    patient is an HMAC, and the time is moved back by a span of up to ten years that is the patient's own
    and follows from the key: times between the radiographs of one patient stay as they are (DICOM PS3.15,
    E.3.6, longitudinal temporal information with modified dates).

    Parameters
    ----------
    header
        A data set.
    identify
        Whether the patient and the time themselves may be shown.
    key
        Secret, as for :func:`hashed_uid`.

    Returns
    -------
    dict
        Some of ``patient``, ``study_time`` (ISO 8601, to the second, without a zone) and
        ``study_time_shifted`` (only ever true).
    """
    with quiet():
        patient, taken = text_of(header, "PatientID"), study_time(header)
    if identify:
        shown = {"patient": patient, "study_time": taken.isoformat() if taken else ""}
        return {name: value for name, value in shown.items() if value}
    secret = _key(key)
    if not secret or not patient:
        return {}
    hidden: dict[str, Any] = {"patient": stand_in(patient.encode(), key=key)}
    if taken is not None:
        drawn = hmac.digest(secret, b"time of " + patient.encode(), "sha256")
        back_s = 1 + int.from_bytes(drawn[:8], "big") % _LONGEST_SHIFT_S
        moved = taken - dt.timedelta(seconds=back_s)
        hidden |= {"study_time": moved.isoformat(), "study_time_shifted": True}
    return hidden
