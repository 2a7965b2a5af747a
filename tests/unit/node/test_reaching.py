"""Destinations that drip, or cannot be reached: an end in time, and the reason of the TLS library."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from infmap_kit.node.config import ClientTls, CStoreDestination, StowDestination
from infmap_kit.node.dicom.destinations import sending
from infmap_kit.node.dicom.response import DestinationUnavailable, Meaning
from moody_pacs import MoodyPacs
from node_host import radiograph_file
from node_tls import Certificates, make_certificates

from .conftest import MakeFile


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def _server_context(
    certificates: Certificates, name: str, *, wants: str | None = None, old: bool = False
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[name])
    if wants is not None:
        context.load_verify_locations(certificates[wants])
        context.verify_mode = ssl.CERT_REQUIRED
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@contextlib.contextmanager
def _accepting(context: ssl.SSLContext | None) -> Iterator[int]:
    """A server that shakes hands and reads; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(2)
                    secured = (
                        context.wrap_socket(connection, server_side=True) if context else connection
                    )
                    with secured:
                        secured.recv(1)
                        secured.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


_FAULTS = [
    (
        "stranger",
        None,
        False,
        "ca",
        "modality",
        "certificate verify failed: self-signed certificate",
    ),
    (
        "expired",
        None,
        False,
        "ca",
        "modality",
        "certificate verify failed: certificate has expired",
    ),
    ("elsewhere", None, False, "ca", "modality", "IP address mismatch, certificate is not valid"),
    ("node", "ca", False, "ca", None, "alert certificate required"),
    ("node", "ca", False, "ca", "stranger", "alert unknown ca"),
    ("node", "ca", False, "ca", "expired", "alert certificate expired"),
    ("node", None, True, "ca", "modality", "unsupported protocol|alert protocol version"),
    (None, None, False, "ca", "modality", "wrong version number: does it speak TLS there"),
]


@pytest.mark.parametrize("kind", ["c-store", "stow-rs"])
@pytest.mark.parametrize(("server", "wants", "old", "authority", "shown", "reason"), _FAULTS)
def test_each_fault_of_tls_is_told_in_the_librarys_words(
    certificates: Certificates, make_file: MakeFile, kind: str,
    server: str | None, wants: str | None, old: bool, authority: str, shown: str | None, reason: str,
) -> None:  # fmt: skip
    context = _server_context(certificates, server, wants=wants, old=old) if server else None
    tls = ClientTls(ca=certificates[authority], certificate=certificates[shown] if shown else None)
    file = make_file()
    with (
        _accepting(context) as port,
        pytest.raises(DestinationUnavailable, match=f"TLS: .*({reason})"),
        sending(_destination(kind, port, tls=tls), [file], ae_title="INFMAP") as send,
    ):
        send(file)


def _destination(
    kind: str,
    port: int,
    *,
    tls: ClientTls | None = None,
    timeout_s: float = 3,
    max_send_s: float = 30,
) -> CStoreDestination | StowDestination:
    if kind == "c-store":
        return CStoreDestination(
            name="d",
            kind="c-store",
            host="127.0.0.1",
            port=port,
            ae_title="PACS",
            tls=tls,
            timeout_s=timeout_s,
            max_send_s=max_send_s,
        )
    scheme = "https" if tls else "http"
    return StowDestination(
        name="d",
        kind="stow-rs",
        url=f"{scheme}://127.0.0.1:{port}/",
        tls=tls,
        timeout_s=timeout_s,
        max_send_s=max_send_s,
    )


@contextlib.contextmanager
def _dripping(start: bytes, *, reads: bool = True, every_s: float = 0.2) -> Iterator[int]:
    """A server that answers with a byte now and then, for ever; its port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                if reads:
                    connection.recv(2**16)
                connection.sendall(start)
                while not ended.wait(every_s):
                    if not reads:
                        connection.recv(1)
                    else:
                        connection.sendall(b"a")

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield int(listening.getsockname()[1])
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("stow-rs", b""),
        ("stow-rs", b"HTTP/1.1 200 OK\r\nX-Header: "),
        ("stow-rs", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        ("stow-rs", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
        ("c-store", b""),
        ("c-store", b"\x02\x00\x00\x00\x01\x00"),
    ],
)
def test_a_destination_that_drips_is_left_in_time(
    make_file: MakeFile, kind: str, start: bytes
) -> None:
    file = make_file()
    with _dripping(start) as port:
        began = time.monotonic()
        with (
            pytest.raises(DestinationUnavailable),
            sending(
                _destination(kind, port, timeout_s=1, max_send_s=2), [file], ae_title="I"
            ) as send,
        ):
            send(file)
        assert time.monotonic() - began < 30
        before = threading.active_count()
    assert before < 30, "no thread waits on for what never comes"


def test_a_server_that_takes_the_body_in_drips_is_left_in_time(tmp_path: Path) -> None:
    large = tmp_path / "large.dcm"
    large.write_bytes(bytes(40 * 2**20))
    with _dripping(b"", reads=False) as port:
        began = time.monotonic()
        with (
            pytest.raises(DestinationUnavailable, match="did not take an object within 1 s"),
            sending(
                _destination("stow-rs", port, timeout_s=60, max_send_s=1), [], ae_title="I"
            ) as send,
        ):
            send(large)
        assert time.monotonic() - began < 30


def test_a_pacs_that_stops_to_read_is_left_in_time(make_file: MakeFile, tmp_path: Path) -> None:
    file = radiograph_file(tmp_path, np.zeros((4000, 5000), np.uint8), 1)
    entity = AE(ae_title="PACS")
    entity.add_supported_context(ComputedRadiographyImageStorage, [ExplicitVRLittleEndian])
    entity.maximum_pdu_size = 2**16
    hold = threading.Event()
    server = entity.start_server(
        ("127.0.0.1", 0), block=False,
        evt_handlers=[(evt.EVT_PDU_RECV, lambda event: hold.wait(20) if event.pdu.pdu_type == 4 else None)],
    )  # fmt: skip
    try:
        port = server.server_address[1]
        began = time.monotonic()
        with (
            pytest.raises(DestinationUnavailable, match="did not take an object within 2 s"),
            sending(
                _destination("c-store", port, timeout_s=60, max_send_s=2), [file], ae_title="I"
            ) as send,
        ):
            send(file)
        assert time.monotonic() - began < 30
    finally:
        hold.set()
        server.shutdown()


def test_the_destination_that_works_still_works(
    certificates: Certificates, make_file: MakeFile
) -> None:
    moody = MoodyPacs(certificate=certificates["node"], authority=certificates["ca"])
    file = make_file()
    try:
        tls = ClientTls(ca=certificates["ca"], certificate=certificates["modality"])
        destination = CStoreDestination(
            name="m", kind="c-store", host="127.0.0.1", port=moody.port, ae_title="MOODY", tls=tls
        )
        with sending(destination, [file], ae_title="INFMAP") as send:
            assert send(file).meaning is Meaning.STORED
    finally:
        moody.server.shutdown()
