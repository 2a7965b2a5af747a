"""UIDs' stand-ins, and libraries that stay quiet, from several threads too."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import subprocess
import sys

import pytest
from pydicom import Dataset

from infmap_kit.imaging.dicom.identity import UID_KEY, hashed_uid, shown_patient, shown_uids

_UID = "1.2.276.0.7230010.3.1.4.8323329"


def test_a_stand_in_is_the_uids_sha_256() -> None:
    expected = hashlib.sha256(_UID.encode()).hexdigest()[:32]
    assert hashed_uid(_UID, key="") == f"sha256:{expected}"


def test_with_a_key_only_its_holder_can_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UID_KEY, "the hospital's own")
    expected = hmac.digest(b"the hospital's own", _UID.encode(), "sha256").hex()[:32]
    assert hashed_uid(_UID) == f"hmac-sha256:{expected}"
    assert hashed_uid(_UID, key="another") != hashed_uid(_UID)


def test_uids_are_shown_only_when_they_may_be() -> None:
    header = Dataset()
    header.StudyInstanceUID, header.SOPInstanceUID = "1.2", "1.2.3"
    assert shown_uids(header, identify=True) == {"study": "1.2", "instance": "1.2.3"}
    hidden = shown_uids(header, identify=False)
    assert set(hidden) == {"study", "instance"}
    assert not {"1.2", "1.2.3"} & set(hidden.values())


def _header(patient: str, date: str) -> Dataset:
    header = Dataset()
    header.PatientID, header.StudyDate, header.StudyTime = patient, date, "0930"
    return header


def test_without_a_key_nothing_is_said_of_patient_and_time() -> None:
    """Patient IDs are few: whoever tries all of them would turn a plain hash back."""
    assert shown_patient(_header("4711", "20260301"), identify=False, key="") == {}


def test_who_may_identify_says_them_as_they_are() -> None:
    assert shown_patient(_header("4711", "20260301"), identify=True, key="k") == {
        "patient": "4711",
        "study_time": "2026-03-01T09:30:00",
    }
    assert shown_patient(Dataset(), identify=True) == {}


def test_with_a_key_times_between_radiographs_of_a_patient_stay_and_dates_go() -> None:
    def reported(patient: str, date: str, key: str = "k") -> tuple[str, dt.datetime]:
        shown = shown_patient(_header(patient, date), identify=False, key=key)
        assert shown["study_time_shifted"] is True
        return shown["patient"], dt.datetime.fromisoformat(shown["study_time"])

    (one, first), (same, second) = reported("4711", "20260301"), reported("4711", "20260308")
    other, of_other = reported("4712", "20260301")
    assert one == same == f"hmac-sha256:{hmac.digest(b'k', b'4711', 'sha256').hex()[:32]}"
    assert one != other
    assert second - first == dt.timedelta(days=7)
    taken = dt.datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001
    spans = [taken - first, taken - of_other, taken - reported("4711", "20260301", "another")[1]]
    assert len(set(spans)) == 3
    assert all(dt.timedelta(0) < span <= dt.timedelta(days=3650) for span in spans)


def test_a_patient_who_is_not_named_has_no_time_either() -> None:
    assert shown_patient(_header("", "20260301"), identify=False, key="k") == {}


_TWO_THREADS = """
import logging, threading, warnings
from infmap_kit.imaging.dicom.quiet import quiet

logging.basicConfig(level=logging.WARNING, format="%(message)s")
inside, leave = threading.Event(), threading.Event()

def other():
    with quiet():
        inside.set()
        leave.wait(10)

thread = threading.Thread(target=other)
with quiet():
    thread.start()
    inside.wait(10)
# One has left, the other is still in: nobody may speak yet.
warnings.warn("Secret")
logging.getLogger("pydicom").warning("Secret")
leave.set()
thread.join()
logging.getLogger("pydicom").warning("spoken")
warnings.warn("warned")
"""


def test_quiet_counts_threads() -> None:
    """In a process of its own: whoever else is quiet in this one would count as well."""
    done = subprocess.run(
        [sys.executable, "-c", _TWO_THREADS], capture_output=True, text=True, check=True
    )
    assert "Secret" not in done.stderr
    assert "spoken" in done.stderr
    assert "warned" in done.stderr


def test_quiet_holds_for_the_first_dicom_of_a_process() -> None:
    script = (
        "import logging; from infmap_kit.imaging.dicom.quiet import quiet\n"
        "logging.basicConfig()\n"
        "with quiet():\n"
        "    from pydicom import Dataset\n"
        "    Dataset().PatientSex = 'Secret text that is no code string'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
