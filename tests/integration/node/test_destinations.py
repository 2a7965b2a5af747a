"""What the PACS does: it sleeps, is full, refuses; over TLS or in the open."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from pathlib import Path

import pytest

from infmap_kit.serving.server import free_port
from infmap_kit.triton.server.process import TritonServer
from moody_pacs import MoodyPacs
from node_host import (
    NodeHost,
    c_store_to,
    connected_to,
    modality_sets,
    running,
    send,
    stow_to,
    wait_until,
)
from node_tls import make_certificates
from orthanc import running_orthanc

pytest.importorskip("pynetdicom")
if shutil.which("storescu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)


def test_a_pacs_that_sleeps_costs_nothing_but_time(
    tmp_path: Path, triton: TritonServer, chests: list[Path]
) -> None:
    with contextlib.ExitStack() as stack:
        ports = (free_port(), free_port())
        pacs = stack.enter_context(running_orthanc(tmp_path / "pacs", ports=ports))
        pacs.process.terminate()
        pacs.process.wait(20)
        host = stack.enter_context(
            running(NodeHost(tmp_path / "host", triton.grpc_url, c_store_to(pacs) + stow_to(pacs)))
        )
        assert send(host.port, chests) == 0, "what the PACS does is not the modality's business"
        host.wait_for(delivering=10)
        time.sleep(12)
        assert host.http("/ready")[0] == 200
        awake = stack.enter_context(running_orthanc(tmp_path / "pacs", ports=ports))
        host.wait_for(done=10)
        assert modality_sets(awake) == {("OT", "SEG", "SR"): 10}
        for name in ("pacs", "web"):
            # While it wakes up a PACS may abort once or twice; that is another reason, and may be said too.
            first, *waking, last = host.events(f"destination {name}: ")
            assert first == "it does not answer (connection refused)"
            assert len(waking) <= 2, waking
            assert last == "well again"


def test_a_pacs_that_is_full_warns_and_refuses(
    tmp_path: Path, triton: TritonServer, chests: list[Path]
) -> None:
    moody = MoodyPacs()
    try:
        with running(NodeHost(tmp_path, triton.grpc_url, moody.destination)) as host:
            moody.status = 0xA700
            send(host.port, chests[:1])
            host.wait_for(delivering=1)
            time.sleep(3)
            assert host.images()["delivering"] == 1, "a full PACS is waited for"
            moody.status = 0xB007
            host.wait_for(done=1)
            assert len(moody.stored) == 3
            shown = host.run("show", 1, "--json").stdout
            assert "0xB007 data set does not match SOP class" in shown
            assert host.metrics("infmap_node_delivered_total", "answer")["warning"] == 3

            moody.status = 0xC000
            send(host.port, chests[1:2])
            host.wait_for(failed=1)
            (listed,) = json.loads(host.run("list", "--state", "failed", "--json").stdout)
            assert listed["reason"] == "not delivered to moody: 0xC000 cannot understand"
            moody.status = 0x0000
            assert host.run("retry", 2).returncode == 0
            host.wait_for(done=2)
            assert len(moody.stored) == len(set(moody.stored)) == 6

            moody.status = 0xA900
            send(host.port, chests[2:3])
            host.wait_for(failed=1)
            warnings = [line for line in host.log() if line["level"] == "warning"]
            assert len(warnings) == 1 + 6 + 3, (
                "one line a trouble, two an object refused in the end"
            )
    finally:
        moody.server.shutdown()


def test_tls_in_and_out(tmp_path: Path, triton: TritonServer, chests: list[Path]) -> None:
    pem = make_certificates(tmp_path)
    moody = MoodyPacs(certificate=pem["node"], authority=pem["ca"])
    host = NodeHost(
        tmp_path / "host", triton.grpc_url,
        f"{moody.destination}tls = {pem.toml('node')}\n",
        node=f"tls = {pem.toml('node')}",
    )  # fmt: skip

    def shown(name: str, authority: str = "ca") -> list[str]:
        return ["+tls", str(pem[name]), str(pem[name]), "+cf", str(pem[authority])]

    try:
        with running(host):
            assert send(host.port, chests[:1]) != 0, "in the open"
            assert send(host.port, chests[:1], more=shown("stranger")) != 0, "of another authority"
            assert send(host.port, chests[:1], more=shown("modality", "stranger")) != 0
            with contextlib.ExitStack() as stack:
                # Handshakes that nobody goes on with hold up nobody else.
                for _ in range(5):
                    stack.enter_context(connected_to(host.port))
                assert send(host.port, chests[:2], more=shown("modality")) == 0
            host.wait_for(done=2)
            failed = "infmap_node_handshakes_failed_total"
            wait_until(lambda: len(host.metrics(failed, "reason")) == 3)
            reasons = host.metrics(failed, "reason")
            assert "the caller speaks DICOM without TLS, and [node] has tls" in reasons
            assert "certificate verify failed: self-signed certificate" in reasons
            page = host.http("/")[1]
            for reason in reasons:
                assert reason in page
                counted = host.status()["since_the_beginning"]
                assert counted[f"handshake failed: {reason}"] == 1
                assert any(line.get("reason") == reason for line in host.log())
        assert len(moody.stored) == 6
    finally:
        moody.server.shutdown()
