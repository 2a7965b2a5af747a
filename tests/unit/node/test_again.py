"""Results are found again and removed where a DICOMweb server takes DELETE, as Orthanc's does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infmap_kit.node.check.again import Sent, is_there, missing, remove
from infmap_kit.node.config import CStoreDestination, StowDestination
from infmap_kit.node.dicom.response import DestinationUnavailable
from infmap_kit.serving.server import free_port
from orthanc import AE_TITLE, Orthanc

pytest.importorskip("pynetdicom")

SENT = Sent(study="1.2.3", series="1.2.3.4", instance="1.2.3.4.5")


class Archive(BaseHTTPRequestHandler):
    """One study, until it is removed; then it is not found."""

    studies: set[str]

    def do_GET(self) -> None:
        study = self.path.split("/")[3]
        found = [{"00080018": {"vr": "UI", "Value": [SENT.instance]}}]
        self._answer(200 if study in self.studies else 404, json.dumps(found).encode())

    def do_DELETE(self) -> None:
        self.studies.discard(self.path.split("/")[3])
        self._answer(204)

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def archive() -> Iterator[StowDestination]:
    handler = type("Handler", (Archive,), {"studies": {SENT.study, "9.9.9"}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield StowDestination(
            name="web",
            kind="stow-rs",
            url=f"http://127.0.0.1:{server.server_address[1]}/dicom-web/",
        )
        server.shutdown()


def test_what_was_sent_is_removed_and_nothing_else(archive: StowDestination) -> None:
    assert missing(archive, [SENT], ae_title="INFMAP") == []
    assert remove(archive, SENT.study) == ""
    assert not is_there(archive, [SENT], ae_title="INFMAP")
    other = Sent(study="9.9.9", series="9.9", instance=SENT.instance)
    assert is_there(archive, [other], ae_title="INFMAP")


def test_a_destination_that_may_not_be_asked_says_so(orthanc: Orthanc) -> None:
    """Orthanc lets only modalities that it knows ask, and has no DELETE in DICOMweb."""
    pacs = CStoreDestination(
        name="pacs", kind="c-store", host="127.0.0.1", port=orthanc.dicom_port, ae_title=AE_TITLE
    )
    with pytest.raises(DestinationUnavailable, match="INFMAP may perhaps not ask there"):
        missing(pacs, [SENT], ae_title="INFMAP")
    assert "no way" in remove(pacs, SENT.study)
    web = StowDestination(name="web", kind="stow-rs", url=orthanc.dicomweb_url)
    assert remove(web, SENT.study) == "it answers DELETE with HTTP 405"
    away = StowDestination(name="web", kind="stow-rs", url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DestinationUnavailable):
        is_there(away, [SENT], ae_title="INFMAP")
