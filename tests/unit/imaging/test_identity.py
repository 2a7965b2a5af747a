"""UIDs' stand-ins, and libraries that stay quiet, from several threads too."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys

import pytest
from pydicom import Dataset

from infmap_kit.imaging.identity import UID_KEY, hashed_uid, shown_uids

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


_TWO_THREADS = """
import logging, threading, warnings
from infmap_kit.imaging.quiet import quiet

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
