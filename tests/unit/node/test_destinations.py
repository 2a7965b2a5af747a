"""Sending to a PACS: what it answers is understood, whatever it answers."""

from __future__ import annotations

import email
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import AE, evt

from infmap_kit.node.config import CStoreDestination, StowDestination
from infmap_kit.node.dicom.destinations import sending
from infmap_kit.node.dicom.response import DestinationUnavailable, Meaning, StoreResponse

from .conftest import MakeFile

_STORED = {"00081199": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2"]}}]}}
_WARNED = {"00081199": {"vr": "SQ", "Value": [{"00081196": {"vr": "US", "Value": [0xB000]}}]}}


def _failed(reason: int) -> dict[str, Any]:
    return {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}


class Web:
    """A STOW-RS server that answers as it is told."""

    def __init__(self) -> None:
        self.code, self.body = 200, json.dumps(_STORED)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                content = self.rfile.read(int(self.headers["Content-Length"]))
                web.requests.append((self.path, dict(self.headers), content))
                self.send_response(web.code)
                self.end_headers()
                self.wfile.write(web.body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def destination(self, **options: Any) -> StowDestination:
        url = f"http://127.0.0.1:{self.server.server_port}/dicom-web/"
        return StowDestination(name="web", kind="stow-rs", url=url, timeout_s=5, **options)

    def send(self, file: Path, **options: Any) -> StoreResponse:
        with sending(self.destination(**options), [file], ae_title="INFMAP") as send:
            return send(file)


@pytest.fixture
def web() -> Iterator[Web]:
    started = Web()
    yield started
    started.server.shutdown()


def test_stow_posts_the_file_as_it_is(web: Web, make_file: MakeFile, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    file = make_file()
    assert web.send(file, token_file=tmp_path / "token") == StoreResponse(Meaning.STORED)
    ((path, headers, content),) = web.requests
    assert path == "/dicom-web/studies"
    assert headers["Authorization"] == "Bearer secret"
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    whole, part = email.message_from_bytes(head + content).walk()
    assert whole.get_content_type() == "multipart/related"
    assert part.get_content_type() == "application/dicom"
    assert file.read_bytes() in content


@pytest.mark.parametrize(
    ("code", "document", "response"),
    [
        (200, _STORED, StoreResponse(Meaning.STORED)),
        (200, None, StoreResponse(Meaning.STORED)),
        (202, _WARNED, StoreResponse(Meaning.STORED, "0xB000 coercion of data elements")),
        (202, None, StoreResponse(Meaning.STORED, "HTTP 202")),
        (202, _failed(0xC122), StoreResponse(Meaning.REFUSED, "0xC122 cannot understand")),
        (
            409,
            _failed(0x0122),
            StoreResponse(Meaning.REFUSED_FOR_GOOD, "0x0122 SOP class not supported"),
        ),
        (409, None, StoreResponse(Meaning.REFUSED, "HTTP 409 without a reason")),
        (400, None, StoreResponse(Meaning.REFUSED, "HTTP 400 bad request")),
        (413, None, StoreResponse(Meaning.REFUSED_FOR_GOOD, "HTTP 413 too large")),
    ],
)
def test_stow_answers(
    web: Web,
    make_file: MakeFile,
    code: int,
    document: dict[str, Any] | None,
    response: StoreResponse,
) -> None:
    web.code, web.body = code, json.dumps(document) if document else "<html>?</html>"
    assert web.send(make_file()) == response


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503])
def test_stow_is_away(web: Web, make_file: MakeFile, code: int) -> None:
    web.code, web.body = code, ""
    with pytest.raises(DestinationUnavailable, match=f"it answers HTTP {code}"):
        web.send(make_file())


def test_stow_out_of_resources_is_away(web: Web, make_file: MakeFile) -> None:
    web.code, web.body = 409, json.dumps(_failed(0xA700))
    with pytest.raises(DestinationUnavailable, match="out of resources"):
        web.send(make_file())


def test_nobody_listens(make_file: MakeFile) -> None:
    file = make_file()
    web = StowDestination(name="w", kind="stow-rs", url="http://127.0.0.1:9/", timeout_s=2)
    with (
        pytest.raises(DestinationUnavailable, match=r"it does not answer \(ConnectionError\)"),
        sending(web, [file], ae_title="INFMAP") as send,
    ):
        send(file)
    pacs = CStoreDestination(
        name="p", kind="c-store", host="127.0.0.1", port=9, ae_title="PACS", timeout_s=2
    )
    with (
        pytest.raises(DestinationUnavailable, match="it does not answer, or aborts"),
        sending(pacs, [file], ae_title="INFMAP"),
    ):
        pass


class Pacs:
    """A C-STORE SCP with contexts of the test's choice."""

    def __init__(self, *contexts: tuple[str, list[str]], callers: list[str] | None = None) -> None:
        self.received: list[Any] = []
        self.status, self.aborts = 0x0000, False
        entity = AE(ae_title="PACS")
        entity.require_calling_aet = callers or []
        for sop_class, syntaxes in contexts:
            entity.add_supported_context(sop_class, syntaxes)
        self.server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: Any) -> int:
        if self.aborts:
            event.assoc.abort()
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.received.append(dataset)
        return self.status

    def send(self, *files: Path) -> list[StoreResponse]:
        destination = CStoreDestination(
            name="p", kind="c-store", host="127.0.0.1", port=self.server.server_address[1],
            ae_title="PACS", timeout_s=5,
        )  # fmt: skip
        try:
            with sending(destination, files, ae_title="INFMAP") as send:
                return [send(file) for file in files]
        finally:
            self.server.shutdown()


def test_c_store_in_one_association(make_file: MakeFile) -> None:
    pacs = Pacs((ComputedRadiographyImageStorage, [ImplicitVRLittleEndian]))
    files = [make_file(number) for number in range(3)]
    assert pacs.send(*files) == [StoreResponse(Meaning.STORED)] * 3
    assert [one.PatientID for one in pacs.received] == [dcmread(file).PatientID for file in files]


def test_a_compressed_object_is_sent_as_it_is_or_decompressed(make_file: MakeFile) -> None:
    file = make_file()
    dataset = dcmread(file)
    pixels = dataset.pixel_array.copy()
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    dataset.save_as(file, enforce_file_format=True)
    as_it_is = Pacs((ComputedRadiographyImageStorage, [ExplicitVRLittleEndian, RLELossless]))
    assert as_it_is.send(file) == [StoreResponse(Meaning.STORED)]
    assert as_it_is.received[0].file_meta.TransferSyntaxUID == RLELossless
    plain = Pacs((ComputedRadiographyImageStorage, [ExplicitVRLittleEndian]))
    assert plain.send(file) == [StoreResponse(Meaning.STORED)]
    assert plain.received[0].file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (plain.received[0].pixel_array == pixels).all()


def test_a_class_that_is_not_taken_is_refused_for_good(make_file: MakeFile) -> None:
    pacs = Pacs((CTImageStorage, [ExplicitVRLittleEndian]))
    (response,) = pacs.send(make_file())
    assert response.meaning is Meaning.REFUSED_FOR_GOOD
    assert "does not take Computed Radiography Image Storage" in response.remark


def test_a_pacs_that_does_not_know_us_is_away(make_file: MakeFile) -> None:
    pacs = Pacs((ComputedRadiographyImageStorage, [ExplicitVRLittleEndian]), callers=["OTHER"])
    with pytest.raises(DestinationUnavailable, match="it rejects the association of INFMAP"):
        pacs.send(make_file())


def test_a_pacs_that_aborts_is_away(make_file: MakeFile) -> None:
    pacs = Pacs((ComputedRadiographyImageStorage, [ExplicitVRLittleEndian]))
    pacs.aborts = True
    with pytest.raises(DestinationUnavailable, match="ended the association"):
        pacs.send(make_file())


def test_a_pacs_that_says_nothing_is_away(make_file: MakeFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        destination = CStoreDestination(
            name="p", kind="c-store", host="127.0.0.1", port=silent.getsockname()[1],
            ae_title="PACS", timeout_s=1,
        )  # fmt: skip
        file = make_file()
        with (
            pytest.raises(DestinationUnavailable, match="it does not answer"),
            sending(destination, [file], ae_title="INFMAP"),
        ):
            pass
