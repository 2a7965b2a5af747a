"""A real PACS for tests: Debian's Orthanc with its DICOMweb plugin, on free loopback ports."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicom_files import as_file
from infmap_kit.serving.server import free_port
from patience import PATIENCE_S
from processes import end

AE_TITLE = "ORTHANC"
_PLUGINS = Path("/usr/share/orthanc/plugins")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Orthanc:
    """A running PACS.

    Parameters
    ----------
    dicom_port
        Of its C-STORE, C-FIND and C-ECHO, on 127.0.0.1, as ``AE_TITLE``.
    http_url
        Of its own REST interface.
    process
        What runs; tests may stop it and start another on the same folder.
    """

    dicom_port: int
    http_url: str
    process: subprocess.Popen[bytes]

    @property
    def dicomweb_url(self) -> str:
        """Root of DICOMweb: STOW-RS is ``POST .../studies``."""
        return f"{self.http_url}/dicom-web"

    def get(self, path: str) -> Any:
        """Ask the REST interface for a JSON document."""
        return json.loads(self._answer(urllib.request.Request(self.http_url + path)))

    def find(self, **tags: str) -> list[str]:
        """Orthanc's own identifiers of the instances with these tags (``StudyInstanceUID=…``)."""
        query = {"Level": "Instance", "Query": tags}
        found: list[str] = json.loads(self._post("/tools/find", json.dumps(query).encode()))
        return found

    def instances(self, **tags: str) -> list[Dataset]:
        """Everything that is stored with these tags, read back whole."""
        return [self._read(identifier) for identifier in self.find(**tags)]

    def preview(self, identifier: str) -> bytes:
        """Orthanc's own drawing of an instance, as PNG."""
        url = f"{self.http_url}/instances/{identifier}/preview"
        return self._answer(urllib.request.Request(url))

    def count(self) -> int:
        """How many instances there are."""
        return int(self.get("/statistics")["CountInstances"])

    def clear(self) -> None:
        """Forget everything."""
        for study in self.get("/studies"):
            self._answer(
                urllib.request.Request(f"{self.http_url}/studies/{study}", method="DELETE")
            )

    def stow(self, *datasets: Dataset) -> dict[str, Any]:
        """Store by DICOMweb STOW-RS (PS3.18, 10.5); the answer is the DICOM JSON."""
        boundary = uuid.uuid4().hex
        body = b"".join(
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            + as_file(dataset)
            + b"\r\n"
            for dataset in datasets
        )
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        answer = self._post(
            "/dicom-web/studies",
            body + f"--{boundary}--\r\n".encode(),
            {"Content-Type": kind, "Accept": "application/dicom+json"},
        )
        document: dict[str, Any] = json.loads(answer)
        return document

    def c_store(self, *datasets: Dataset) -> list[int]:
        """Store by C-STORE; the status of each, 0 for success."""
        from pynetdicom import AE
        from pynetdicom.presentation import build_context

        entity = AE(ae_title="INFMAPTEST")
        syntaxes = {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}
        entity.requested_contexts = [build_context(*pair) for pair in sorted(syntaxes)]
        association = entity.associate("127.0.0.1", self.dicom_port, ae_title=AE_TITLE)
        assert association.is_established, "Orthanc refuses the association"
        try:
            return [int(association.send_c_store(dataset).Status) for dataset in datasets]
        finally:
            association.release()

    def _read(self, identifier: str) -> Dataset:
        request = urllib.request.Request(f"{self.http_url}/instances/{identifier}/file")
        return dcmread(io.BytesIO(self._answer(request)))

    def _post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        return self._answer(
            urllib.request.Request(self.http_url + path, data=body, headers=dict(headers or {}))
        )

    def _answer(self, request: urllib.request.Request) -> bytes:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            content: bytes = answer.read()
        return content


@contextlib.contextmanager
def running_orthanc(
    folder: Path, *, ports: tuple[int, int] | None = None, **options: Any
) -> Iterator[Orthanc]:
    """Start Orthanc, and end it with the context.

    Parameters
    ----------
    folder
        Where it keeps everything; started again on the same folder, it still has it.
    ports
        DICOM and HTTP port; free ones when not given.
    options
        More of Orthanc's configuration.
    """
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    plugin = _PLUGINS / "libOrthancDicomWeb.so"
    if program is None or not plugin.exists():
        pytest.skip("needs Orthanc: apt-get install orthanc orthanc-dicomweb")
    dicom_port, http_port = ports or (free_port(), free_port())
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "Name": "infmap-kit tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugin)],
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": AE_TITLE,
        "DicomPort": dicom_port,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "StorageCompression": False,
        "ConcurrentJobs": 1,
        **options,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
        started = Orthanc(
            dicom_port=dicom_port, http_url=f"http://127.0.0.1:{http_port}", process=process
        )
        try:
            _wait(started, folder)
            yield started
        finally:
            end(process)


def _wait(orthanc: Orthanc, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if orthanc.process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            orthanc.get("/system")
            with socket.create_connection(("127.0.0.1", orthanc.dicom_port), timeout=1):
                return
        time.sleep(0.05)
    pytest.fail(f"Orthanc did not start: {(folder / 'orthanc.log').read_text()[-2000:]}")
