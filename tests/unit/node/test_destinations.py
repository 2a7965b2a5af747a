"""Sending to a PACS: what it answers is understood, whatever it answers."""

from __future__ import annotations

import contextlib
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

_UID = "2.25.7"


def _says(sequence: str, uid: str | None = _UID, **reason: int) -> str:
    """A Store Instances Response (PS3.18, annex I) about one object, as DICOM JSON."""
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}} if uid else {}
    item |= {tag.strip("_"): {"vr": "US", "Value": [value]} for tag, value in reason.items()}
    url = {"00081190": {"vr": "UR", "Value": ["http://pacs/studies/1"]}}
    return json.dumps(url | {sequence: {"vr": "SQ", "Value": [item]}})


def _stored(uid: str = _UID, **reason: int) -> str:
    return _says("00081199", uid, **reason)


def _failed(reason: int, uid: str | None = _UID) -> str:
    return _says("00081198", uid, _00081197=reason)


def _xml(sequence: str, more: str = "") -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
 <DicomAttribute tag="{sequence}" vr="SQ"><Item number="1">
  <DicomAttribute tag="00081155" vr="UI"><Value number="1">{_UID}</Value></DicomAttribute>{more}
 </Item></DicomAttribute></NativeDicomModel>"""


_SIGN_IN = "<!DOCTYPE html><html><body><form action='/login'>Sign in</form></body></html>"


class Web:
    """A STOW-RS server that answers as it is told."""

    def __init__(self) -> None:
        self.code, self.body = 200, _stored()
        self.headers: dict[str, str] = {}
        self.ends = True
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                content = self.rfile.read(int(self.headers["Content-Length"]))
                web.requests.append((self.path, dict(self.headers), content))
                self._answer(web.code, web.headers, web.body)

            def do_GET(self) -> None:  # what a followed redirect becomes
                web.requests.append((self.path, dict(self.headers), b""))
                self._answer(200, {}, "[]")

            def _answer(self, code: int, headers: dict[str, str], body: str) -> None:
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body.encode())
                    while not web.ends:
                        self.wfile.write(b" " * 2**16)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        serve = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        serve.start()

    def destination(self, **options: Any) -> StowDestination:
        url = f"http://127.0.0.1:{self.server.server_port}/dicom-web/"
        return StowDestination(name="web", kind="stow-rs", url=url, timeout_s=5, **options)

    def send(self, file: Path, **options: Any) -> StoreResponse:
        with sending(self.destination(**options), [file], ae_title="INFMAP") as send:
            return send(file)


@pytest.fixture
def file(make_file: MakeFile) -> Path:
    """A file of the object that the servers' answers name."""
    path = make_file()
    dataset = dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _UID
    dataset.save_as(path)
    return path


@pytest.fixture
def web() -> Iterator[Web]:
    started = Web()
    yield started
    started.server.shutdown()


def test_stow_posts_the_file_as_it_is(web: Web, file: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
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
    ("code", "body", "response"),
    [
        (200, _stored(), StoreResponse(Meaning.STORED)),
        (202, _stored(), StoreResponse(Meaning.STORED)),
        (
            202,
            _stored(_00081196=0xB000),
            StoreResponse(Meaning.STORED, "0xB000 coercion of data elements"),
        ),
        (200, _xml("00081199"), StoreResponse(Meaning.STORED)),
        (
            409,
            _xml("00081198", '<DicomAttribute tag="00081197"><Value>290</Value></DicomAttribute>'),
            StoreResponse(Meaning.REFUSED_FOR_GOOD, "0x0122 SOP class not supported"),
        ),
        (202, _failed(0xC122), StoreResponse(Meaning.REFUSED, "0xC122 cannot understand")),
        (200, _failed(0xC122), StoreResponse(Meaning.REFUSED, "0xC122 cannot understand")),
        (200, _failed(0xC122, None), StoreResponse(Meaning.REFUSED, "0xC122 cannot understand")),
        (202, _failed(0x0000), StoreResponse(Meaning.REFUSED, "0x0110 refused")),
        (202, _xml("00081198"), StoreResponse(Meaning.REFUSED, "0x0110 refused")),
        (202, _failed(0xB000), StoreResponse(Meaning.REFUSED, "0xB000 refused")),
        (
            409,
            _says("0008119A", None, _00081197=0x0122),
            StoreResponse(Meaning.REFUSED_FOR_GOOD, "0x0122 SOP class not supported"),
        ),
        (409, _stored(), StoreResponse(Meaning.REFUSED, "HTTP 409 without a reason")),
        (409, "", StoreResponse(Meaning.REFUSED, "HTTP 409 without a reason")),
        (400, "", StoreResponse(Meaning.REFUSED, "HTTP 400 bad request")),
        (413, "", StoreResponse(Meaning.REFUSED_FOR_GOOD, "HTTP 413 too large")),
    ],
)
def test_stow_answers(web: Web, file: Path, code: int, body: str, response: StoreResponse) -> None:
    web.code, web.body = code, body
    assert web.send(file) == response


@pytest.mark.parametrize("code", [200, 202])
@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{}", "null", "[" * 100_000, _SIGN_IN, "<a>" * 100_000,
        _stored("2.25.70"), _failed(0xC122, "2.25.70"), '{"00081199": ["2.25.7"]}',
        _stored(_00081196=0xB000)[:-9],
        _stored().replace('"vr"', f'"more": "{" " * 2**21}", "vr"'),
        _stored(_00081196=7).replace("[7]", "[1e999]"),
        _xml("00081199").replace("utf-8", "no-such"),
    ],
)  # fmt: skip
def test_stow_delivers_only_what_the_answer_names(
    web: Web, file: Path, code: int, body: str
) -> None:
    web.code, web.body = code, body
    with pytest.raises(DestinationUnavailable, match=f"it answers HTTP {code} and does not name"):
        web.send(file)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_stow_follows_no_redirect(web: Web, file: Path, code: int) -> None:
    web.code, web.body = code, _stored()
    web.headers = {"Location": "/sign-in/studies?session=secret"}
    with pytest.raises(DestinationUnavailable) as error:
        web.send(file)
    assert str(error.value) == (
        f"it answers HTTP {code}, a redirect to '/sign-in/studies': "
        "redirects are not followed, its url in the node's file must be the final one"
    )
    assert [path for path, *_ in web.requests] == ["/dicom-web/studies"]


@pytest.mark.parametrize("code", [200, 301, 500])
def test_an_answer_without_an_end_is_not_read_to_it(web: Web, file: Path, code: int) -> None:
    web.code, web.ends = code, False
    web.headers = {"Location": "http://["}
    with pytest.raises(DestinationUnavailable, match=f"it answers HTTP {code}"):
        web.send(file)


def test_a_connection_that_ends_within_the_answer_is_away(web: Web, file: Path) -> None:
    web.headers = {"Content-Length": "100000"}
    with pytest.raises(DestinationUnavailable, match=r"does not answer \(ChunkedEncodingError\)"):
        web.send(file)


@pytest.mark.parametrize("code", [204, 304, 401, 403, 404, 429, 500, 503])
def test_stow_is_away(web: Web, file: Path, code: int) -> None:
    web.code, web.body = code, ""
    with pytest.raises(DestinationUnavailable, match=f"it answers HTTP {code}"):
        web.send(file)


def test_stow_out_of_resources_is_away(web: Web, file: Path) -> None:
    web.code, web.body = 409, _failed(0xA700)
    with pytest.raises(DestinationUnavailable, match="out of resources"):
        web.send(file)


def test_nobody_listens(make_file: MakeFile) -> None:
    file = make_file()
    web = StowDestination(name="w", kind="stow-rs", url="http://127.0.0.1:9/", timeout_s=2)
    with (
        pytest.raises(DestinationUnavailable, match=r"it does not answer \(connection refused\)"),
        sending(web, [file], ae_title="INFMAP") as send,
    ):
        send(file)
    pacs = CStoreDestination(
        name="p", kind="c-store", host="127.0.0.1", port=9, ae_title="PACS", timeout_s=2
    )
    with (
        pytest.raises(DestinationUnavailable, match=r"it does not answer \(connection refused\)"),
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
