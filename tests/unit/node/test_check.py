"""What a newcomer gets wrong is found, with the line and the fix: a real PACS, and real sockets."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infmap_kit.node.check.look import CheckState, Look
from infmap_kit.node.check.machine import look_at_machine
from infmap_kit.node.check.reach import look_at_destinations, look_at_models
from infmap_kit.node.check.reading import lines_in, read_config
from infmap_kit.node.config import NodeConfig
from infmap_kit.serving.server import free_port
from node_tls import make_certificates
from orthanc import AE_TITLE, Orthanc

pytest.importorskip("pynetdicom")


@dataclasses.dataclass(frozen=True)
class Written:
    """A node's file, and the configuration in it."""

    path: Path
    config: NodeConfig

    def faults(self, looks: Iterator[Look]) -> list[str]:
        """What is not good, as it is told."""
        lines = lines_in(self.path)
        found = [look for look in looks if look.verdict in (CheckState.FAULT, CheckState.NOTE)]
        assert all(look.fix for look in found)
        return [look.told(lines) for look in found]


Write = Callable[..., Written]


@pytest.fixture
def write(tmp_path: Path, orthanc: Orthanc) -> Write:
    """Writes a good file for Orthanc, with parts of it replaced."""

    def made(*replaced: tuple[str, str], more: str = "") -> Written:
        text = f"""[node]
spool = "spool"
port = {free_port()}
{more}
[status]
port = {free_port()}
[[callers]]
ae_title = "{AE_TITLE}"
[[models]]
name = "covid"
url = "127.0.0.1:{free_port()}"
[[destinations]]
name = "pacs"
kind = "c-store"
host = "127.0.0.1"
port = {orthanc.dicom_port}
ae_title = "{AE_TITLE}"
[[destinations]]
name = "web"
kind = "stow-rs"
url = "{orthanc.dicomweb_url}"
[[rules]]
name = "chest"
model = "covid"
outputs = ["sc", "seg", "sr", "gsps"]
to = ["pacs", "web"]
"""
        for before, after in replaced:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / "node.toml"
        path.write_text(text)
        return Written(path, read_config(path))

    return made


def test_a_good_file_has_good_destinations(write: Write) -> None:
    looks = list(look_at_destinations(write().config))
    assert {look.what for look in looks} == {"C-ECHO to pacs", "QIDO-RS to web"}
    assert all(look.verdict is CheckState.GOOD for look in looks)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('host = "127.0.0.1"', 'host = "pacs.invalid"', "line 15: destinations[0].host: host pacs.invalid"),
        ("http://127.0.0.1", "http://web.invalid", "line 21: destinations[1].url: host web.invalid"),
        ("/dicom-web", "/dicomweb", "line 21: destinations[1].url: QIDO-RS to web: HTTP 404"),
        (
            "[[models]]", 'address = "10.0.0.0/8"\n[[models]]',
            "line 18: destinations[0].ae_title: C-ECHO from pacs: its address (127.0.0.1) is not that",
        ),
    ],
)  # fmt: skip
def test_a_wrong_name_or_address_is_found_at_its_line(
    write: Write, before: str, after: str, fault: str
) -> None:
    written = write((before, after))
    (actual,) = written.faults(look_at_destinations(written.config))
    assert fault in actual


def test_a_closed_port_and_a_model_that_is_away_are_told_with_their_fixes(
    write: Write, orthanc: Orthanc
) -> None:
    written = write((f"port = {orthanc.dicom_port}", f"port = {free_port()}"))
    (closed,) = written.faults(look_at_destinations(written.config))
    assert (
        "line 16: destinations[0].port: C-ECHO to pacs: does not answer (connection refused)"
        in closed
    )
    (away,) = written.faults(look_at_models(written.config))
    assert away.startswith("fault: line 11: models[0].url: model covid at 127.0.0.1:")
    assert "--url" not in away


@contextlib.contextmanager
def _pacs(*, calling: str = "", called: str = "") -> Iterator[int]:
    """A PACS of pynetdicom's that takes nothing but C-ECHO and secondary captures, from whom it knows."""
    from pynetdicom import AE
    from pynetdicom.sop_class import SecondaryCaptureImageStorage, Verification

    entity = AE(ae_title=called or AE_TITLE)
    entity.require_calling_aet = [calling] if calling else []
    entity.require_called_aet = bool(called)
    for sop_class in (Verification, SecondaryCaptureImageStorage):
        entity.add_supported_context(sop_class)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("strictness", "line"),
    [
        ({"calling": "SOMEBODY"}, "line 1: node.ae_title: C-ECHO to pacs"),
        ({"called": "OTHER"}, "line 17: destinations[0].ae_title: C-ECHO to pacs"),
    ],
)
def test_either_ae_title_that_is_wrong_is_named(
    write: Write, orthanc: Orthanc, strictness: dict[str, str], line: str
) -> None:
    with _pacs(**strictness) as port:
        written = write((f"port = {orthanc.dicom_port}", f"port = {port}"))
        (actual,) = written.faults(look_at_destinations(written.config))
    assert line in actual


def test_results_that_a_pacs_does_not_take_are_named_before_any_is_sent(
    write: Write, orthanc: Orthanc
) -> None:
    with _pacs() as port:
        written = write((f"port = {orthanc.dicom_port}", f"port = {port}"))
        actual = written.faults(look_at_destinations(written.config))
    assert [line.split(": ")[3] for line in actual] == [
        "pacs takes gsps", "pacs takes seg", "pacs takes sr",
    ]  # fmt: skip


def test_this_machine_is_looked_at(write: Write) -> None:
    written = write()
    assert written.faults(look_at_machine(written.config)) == []
    with socket.create_server(("127.0.0.1", written.config.node.port)):
        (busy,) = written.faults(look_at_machine(written.config))
    assert "line 3: node.port" in busy
    assert "address already in use" in busy


def test_a_disk_that_is_too_small_is_told(write: Write) -> None:
    written = write(more="[limits]\nkeep_free_mb = 999999999\n[retention]\nmax_gb = 99999999")
    small, kept = written.faults(look_at_machine(written.config))
    assert small.startswith("fault: line 5: limits.keep_free_mb: free space")
    assert kept.startswith("note: line 7: retention.max_gb: retention")


def test_a_certificate_that_ends_soon_is_told(write: Write, tmp_path: Path) -> None:
    pem = make_certificates(tmp_path / "pem")
    written = write(more=f"tls = {pem.toml('node')}")
    (ending,) = written.faults(look_at_machine(written.config))
    assert ending.startswith(
        "note: line 4: node.tls.certificate: certificate: node.pem ends in 2 days"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_what_the_services_user_may_not_read_is_told(write: Write, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    os.chown(tmp_path / "spool", pwd.getpwnam("nobody").pw_uid, -1)
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o600)
    written = write(("[[rules]]", 'token_file = "token"\n[[rules]]'))
    (actual,) = written.faults(look_at_machine(written.config))
    assert "destinations[1].token_file: user" in actual
    assert "cannot be read by nobody" in actual
