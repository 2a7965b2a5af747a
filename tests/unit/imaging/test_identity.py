"""UIDs' stand-ins, and libraries that stay quiet, from several threads too."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import warnings

import pytest
from pydicom import Dataset

from infmap_kit.imaging.identity import UID_KEY, hashed_uid, shown_uids
from infmap_kit.imaging.quiet import quiet

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


def test_quiet_counts_threads(caplog: pytest.LogCaptureFixture) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet():
            thread.start()
            inside.wait(10)
        # One has left, the other is still in: nobody may speak yet.
        warnings.warn("Secret", UserWarning, stacklevel=1)
        logging.getLogger("pydicom").warning("Secret")
        assert not heard
        assert "Secret" not in caplog.text
        leave.set()
        thread.join()
        logging.getLogger("pydicom").warning("spoken")
    assert "spoken" in caplog.text
