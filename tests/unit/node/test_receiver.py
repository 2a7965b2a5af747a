"""The node's port: who is slow, strange or without the right certificate keeps nobody else out."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification

from infmap_kit.node.check.reading import read_config
from infmap_kit.node.dicom.places import Places
from infmap_kit.node.dicom.receiver import Receiver
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.intake import Intake
from infmap_kit.node.log import Troubles
from infmap_kit.serving.server import free_port
from node_host import CALLER, wait_until
from node_tls import Certificates, make_certificates

from .conftest import MakeFile

TLS = "handshake failed: "
PLAIN = "connection refused: "


@dataclasses.dataclass
class Door:
    """A receiver that listens, and what it refused."""

    port: int
    refusals: Refusals
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def refused(self) -> dict[str, int]:
        for name, number in self.refusals.take().items():
            self.counts[name] = self.counts.get(name, 0) + number
        return self.counts

    def wait_for(self, reason: str) -> None:
        wait_until(
            lambda: any(re.search(reason, name) for name in self.refused()),
            explain=lambda: str(self.counts),
        )

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10, source_address=(source, 0))

    def echo(self, *more: str, caller: str = CALLER) -> subprocess.CompletedProcess[str]:
        """DCMTK's echoscu."""
        if shutil.which("echoscu") is None:
            pytest.skip("needs dcmtk: apt-get install dcmtk")
        return subprocess.run(
            ["echoscu", "-to", "5", "-ta", "5", *more, "-aet", caller, "-aec", "INFMAP",
             "127.0.0.1", str(self.port)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


OpenDoor = Callable[..., Door]


@pytest.fixture
def open_door(tmp_path: Path, intake: Intake) -> Iterator[OpenDoor]:
    with contextlib.ExitStack() as stack:

        def start(*, node: str = "", limits: str = "", callers: str = "") -> Door:
            port, path = free_port(), tmp_path / "node.toml"
            path.write_text(
                f'[node]\nspool = "spool"\nport = {port}\n{node}\n[limits]\n{limits}\n'
                f'[[callers]]\nae_title = "{CALLER}"\n{callers}\n[[models]]\nname = "covid"\n'
                '[[destinations]]\nname = "pacs"\nkind = "c-store"\nhost = "pacs"\nport = 104\n'
                'ae_title = "PACS"\n'
                '[[rules]]\nname = "all"\nmodel = "covid"\nto = ["pacs"]\n'
            )
            refusals = Refusals()
            receiver = Receiver(read_config(path), intake, troubles=Troubles(), refusals=refusals)
            stack.callback(receiver.stop)
            return Door(port, refusals)

        yield start


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def _dripping(
    door: Door, number: int, content: bytes, every_s: float = 0.2
) -> Iterator[list[socket.socket]]:
    """Connections that send a byte now and then, as PS3.8 does not forbid."""
    ended = threading.Event()
    connections = [door.connect() for _ in range(number)]

    def drip() -> None:
        position = 0
        while not ended.wait(every_s):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(content[position : position + 1])
            position += 1

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield connections
    finally:
        ended.set()
        thread.join()
        for connection in connections:
            connection.close()


def _has_ended(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


_REQUEST_HEAD = b"\x01\x00\x00\x00\x01\x00" + b"\x00\x01" + bytes(254)


def test_dripping_connections_leave_the_door_open_and_are_ended(open_door: OpenDoor) -> None:
    door = open_door(limits="artim_s = 2\nidle_s = 60")
    with _dripping(door, 40, _REQUEST_HEAD) as connections:
        began = time.monotonic()
        for _ in range(3):
            done = door.echo()
            assert done.returncode == 0, done.stderr
        wait_until(lambda: all(_has_ended(one) for one in connections))
        assert time.monotonic() - began < 30, (
            "ended by the time of the whole request, not of a read"
        )
    door.wait_for("no whole request for an association came in time")
    door.wait_for("made room for a newer")


def test_a_dripping_handshake_ends_too(open_door: OpenDoor, certificates: Certificates) -> None:
    door = open_door(limits="artim_s = 1", node=f"tls = {certificates.toml('node')}")
    with _dripping(door, 20, b"\x16\x03\x01\x01\x00" + bytes(300)) as connections:
        done = door.echo("+tls", str(certificates["modality"]), str(certificates["modality"]),
                         "+cf", str(certificates["ca"]))  # fmt: skip
        assert done.returncode == 0, done.stderr
        wait_until(lambda: all(_has_ended(one) for one in connections))
    door.wait_for(f"{TLS}the caller did not end the handshake in time")


def test_an_association_that_drips_ends(open_door: OpenDoor) -> None:
    door = open_door(limits="idle_s = 1")
    entity = AE(ae_title=CALLER)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", door.port, ae_title="INFMAP")
    assert association.is_established
    connection = association.dul.socket.socket
    with contextlib.suppress(OSError):
        for byte in b"\x04\x00\x00\x00\x00\xff" + bytes(100):
            connection.send(bytes([byte]))
            time.sleep(0.1)
            if not association.is_established:
                break
    wait_until(lambda: not association.is_established)


def test_callers_of_a_named_address_come_first(open_door: OpenDoor) -> None:
    door = open_door(
        limits="max_associations = 4\nmax_associations_per_address = 2\nidle_s = 30",
        callers='address = "127.0.0.1"\n[[callers]]\nae_title = "ROAMING"',
    )

    def associated(title: str, source: str) -> Any:
        entity = AE(ae_title=title)
        entity.add_requested_context(Verification)
        return entity.associate("127.0.0.1", door.port, ae_title="INFMAP", bind_address=(source, 0))

    with contextlib.ExitStack() as stack:
        held = [associated("ROAMING", f"127.0.0.{number}") for number in (2, 2, 2, 3, 4)]
        for one in held:
            stack.callback(one.abort)
        assert [one.is_established for one in held] == [True, True, False, True, False]
        assert held[2].is_rejected
        assert door.echo().returncode == 0, "a place is kept for whoever the file names"

        def hold() -> bool:
            mine = associated(CALLER, "127.0.0.1")
            stack.callback(mine.abort)
            return bool(mine.is_established)

        wait_until(hold)
        assert associated(CALLER, "127.0.0.1").is_rejected, "all four are taken"
    door.wait_for("too many associations of this address")
    wait_until(lambda: associated("ROAMING", "127.0.0.2").is_established)


def test_who_waits_for_longest_goes_and_known_ones_last() -> None:
    places = Places(
        waiting=4, associations=4, per_address=4, is_known=lambda address: address == "known"
    )
    with contextlib.ExitStack() as stack:
        ends: dict[str, socket.socket] = {}

        def enter(key: str, address: str) -> str:
            mine, ends[key] = socket.socketpair()
            for one in (mine, ends[key]):
                stack.enter_context(one)
            return places.enter(key, address, mine)

        assert [enter(*pair) for pair in (("1", "known"), ("2", "b"), ("3", "c"), ("4", "c"))] == [
            ""
        ] * 4
        assert enter("5", "c") == "c", "two are a half"
        assert _has_ended(ends["3"])
        assert enter("6", "d") == "b", "and not the known one, which came before"
        assert enter("7", "known") == "c"
        assert not _has_ended(ends["1"])
        assert places.admit("3") == "its place was given to another"
        assert places.admit("1") == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "the caller speaks TLS, and .node. has no tls"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the caller speaks HTTP"),
        (b"\x04\x00\x00\x00\x00\x04abcd", "no request for an association"),
        (b"\x01\x00\x7f\xff\xff\xff", "too large"),
        (b"\x01\x00\x00\x00\x00\x04abcd", "cannot be read"),
        (b"", "left before its request"),
    ],
)
def test_strange_callers_are_named(open_door: OpenDoor, content: bytes, reason: str) -> None:
    door = open_door()
    with door.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: _has_ended(connection))
    door.wait_for(PLAIN + ".*" + reason)
    assert door.echo().returncode == 0


def test_a_tls_caller_at_a_plain_port_is_named(open_door: OpenDoor) -> None:
    door = open_door()
    context = ssl.create_default_context()
    with pytest.raises((ssl.SSLError, OSError)), door.connect() as connection:
        context.wrap_socket(connection, server_hostname="127.0.0.1")
    assert door.echo("+tla", "-ic").returncode != 0
    door.wait_for("the caller speaks TLS")


def test_the_tls_librarys_reason_is_counted_for_each_fault(
    open_door: OpenDoor, certificates: Certificates
) -> None:
    door = open_door(node=f"tls = {certificates.toml('node')}", limits="artim_s = 5")

    def echo(name: str, authority: str = "ca") -> int:
        pem = str(certificates[name])
        return door.echo("+tls", pem, pem, "+cf", str(certificates[authority])).returncode

    assert echo("modality") == 0
    assert echo("stranger") != 0
    door.wait_for(f"{TLS}certificate verify failed: self-signed certificate")
    assert echo("expired") != 0
    door.wait_for(f"{TLS}certificate verify failed: certificate has expired")
    assert door.echo("+tla", "+cf", str(certificates["ca"])).returncode != 0
    door.wait_for(f"{TLS}peer did not return a certificate")
    assert echo("modality", "stranger") != 0
    door.wait_for(f"{TLS}.*alert unknown ca")
    assert door.echo().returncode != 0
    door.wait_for(f"{TLS}the caller speaks DICOM without TLS")
    old = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{door.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        input=b"", capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert old.returncode != 0
    door.wait_for(f"{TLS}(unsupported protocol|no shared cipher|version too low)")
    assert echo("modality") == 0
    assert sum(number for name, number in door.refused().items() if name.startswith(TLS)) == 6


def _store(door: Door, file: Path, **command: Any) -> tuple[int | None, str]:
    """Send an object with a message of one's choice; status and comment, or no status."""
    dataset = dcmread(file)
    entity = AE(ae_title=CALLER)
    entity.add_requested_context(ComputedRadiographyImageStorage)
    entity.dimse_timeout = 5
    association = entity.associate("127.0.0.1", door.port, ae_title="INFMAP")
    assert association.is_established
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = command.get("sop_class", ComputedRadiographyImageStorage)
    request.AffectedSOPInstanceUID = command.get("instance", dataset.get("SOPInstanceUID"))
    context = association.accepted_contexts[0]
    syntax = context.transfer_syntax[0]
    request.DataSet = io.BytesIO(
        encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian) or b""
    )
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.abort()
    return (None, "") if answer is None else (answer.Status, answer.ErrorComment or "")


@pytest.mark.parametrize(
    ("tags", "command", "status"),
    [
        ({}, {}, 0x0000),
        ({"SOPClassUID": CTImageStorage}, {}, 0xA900),
        ({}, {"instance": "2.25.99"}, 0x0117),
        ({"SOPInstanceUID": "../../etc/passwd"}, {"instance": "2.25.99"}, 0x0117),
        ({"SOPInstanceUID": "../../etc/passwd"}, {}, 0x0117),
        ({"SOPInstanceUID": ".."}, {}, 0x0117),
        ({"SOPInstanceUID": None}, {"instance": "2.25.99"}, 0xC003),
        ({"SOPClassUID": None}, {}, 0xC003),
        ({}, {"instance": None}, 0xC003),
        ({}, {"instance": None, "sop_class": None}, 0xC003),
        ({}, {"sop_class": None}, 0x0000),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_uids_is_told_apart(
    open_door: OpenDoor, intake: Intake, make_file: MakeFile,
    tags: dict[str, Any], command: dict[str, Any], status: int,
) -> None:  # fmt: skip
    door = open_door()
    file = make_file(1)
    dataset = dcmread(file)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(file, enforce_file_format=False)
    actual, comment = _store(door, file, **command)
    assert actual == status, comment
    assert bool(comment) == (status != 0)
    assert "passwd" not in comment
    assert list(intake.spool.arriving.iterdir()) == []
    assert len(list(intake.spool.images.iterdir())) == (status == 0)
