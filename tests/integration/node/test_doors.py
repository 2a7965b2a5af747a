"""Who comes in, and who does not: strangers, floods, giants, a watched folder; and the commands beside."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from infmap_kit.triton.server.process import TritonServer
from node_host import (
    CALLER,
    NodeHost,
    c_store_to,
    connected_to,
    modality_sets,
    radiograph_file,
    running,
    send,
    wait_until,
)
from orthanc import Orthanc

pytest.importorskip("pynetdicom")
if shutil.which("storescu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)


def test_strangers_floods_and_giants_are_refused_and_the_node_stays(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    host = NodeHost(
        tmp_path, triton.grpc_url, c_store_to(pacs),
        more="[limits]\nmax_object_mb = 8\nmax_associations = 4\nidle_s = 3\nartim_s = 3",
    )  # fmt: skip
    giant = radiograph_file(tmp_path, np.ones((3000, 4000), np.uint8), 500)
    with running(host):
        assert host.process is not None
        pid = host.process.pid
        memory_kb = _of_process(pid, "VmRSS")
        assert send(host.port, chests[:1], caller="STRANGER") != 0
        assert send(host.port, chests[:1], called="OTHER") != 0
        assert send(host.port, [giant]) != 0, "an object larger than the limit"
        with _associated(host.port) as connection:
            # A PDU of 2 GB: announced, and then as much of it as anyone cares to take.
            connection.sendall(struct.pack(">BBL", 4, 0, 2**31 - 1))
            with contextlib.suppress(OSError):
                for _ in range(64):
                    connection.sendall(b"\0" * 2**20)
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(connected_to(host.port)) for _ in range(60)]
            time.sleep(0.5)
            assert _of_process(pid, "Threads") < 60, "connections that say nothing are bounded"
            assert send(host.port, chests[:1]) == 0, "and close the door to nobody"
            time.sleep(4)
            for connection in silent:
                connection.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(1) == b"", "they were closed"
        assert _statuses_of_a_cut_one(host.port, chests[1]) == [0xC004, 0xC004]
        assert sum(host.images().values()) == 1, "what is cut short is no accepted radiograph"
        wait_until(lambda: send(host.port, chests[1:2]) == 0)
        host.wait_for(done=2)
        assert _of_process(pid, "VmHWM") < memory_kb + 300 * 1024
        assert list((tmp_path / "spool" / "arriving").iterdir()) == []
        reasons = [line["reason"] for line in host.log() if "reason" in line]
        assert "caller 'STRANGER' is not on the list" in reasons
        assert "an object of more than 8 MiB came" in reasons
        assert "a PDU of 2147483647 bytes was announced" in reasons


def _statuses_of_a_cut_one(port: int, file: Path) -> list[int]:
    """Answers to an object that has half of its pixels, and to one that has none."""
    from pydicom import dcmread
    from pynetdicom import AE

    dataset = dcmread(file)
    entity = AE(ae_title=CALLER)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="INFMAP")
    assert association.is_established
    try:
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]
        half = association.send_c_store(dataset).Status
        del dataset.PixelData
        return [half, association.send_c_store(dataset).Status]
    finally:
        association.release()


def _of_process(pid: int, what: str) -> int:
    """A number out of /proc, in kB where it is memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{what}:")))


@contextlib.contextmanager
def _associated(port: int) -> Iterator[socket.socket]:
    """A raw connection on which an association was accepted."""
    from pynetdicom import AE
    from pynetdicom.sop_class import ComputedRadiographyImageStorage

    entity = AE(ae_title=CALLER)
    entity.add_requested_context(ComputedRadiographyImageStorage)
    association = entity.associate("127.0.0.1", port, ae_title="INFMAP")
    assert association.is_established
    yield association.dul.socket.socket
    association.abort()


def test_a_watched_folder_is_a_way_in(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    host = NodeHost(tmp_path / "host", triton.grpc_url, c_store_to(pacs))
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with running(host):
        watching = subprocess.Popen(
            [sys.executable, "-m", "infmap_kit", "node", "watch-folder", str(inbox), "-c", str(host.config)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for file in chests[:3]:
                shutil.copy(file, inbox)
            host.wait_for(done=3)
        finally:
            watching.terminate()
            watching.wait(20)
    assert len(list((inbox / "accepted").iterdir())) == 3
    assert modality_sets(pacs) == {("OT", "SEG", "SR"): 3}


def test_check_and_the_other_commands(tmp_path: Path, triton: TritonServer) -> None:
    host = NodeHost(tmp_path, triton.grpc_url)
    done = host.run("status")
    assert done.returncode == 1
    assert "no node has run on" in done.stderr
    checking = [sys.executable, "-m", "infmap_kit", "node", "check"]
    good = subprocess.run(
        [*checking, str(host.config)], capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stderr
    assert f"model covid at {triton.grpc_url}" in good.stderr
    host.config.write_text(host.config.read_text().replace("port =", "prot =", 1) + "[extra]\n")
    bad = subprocess.run([*checking, str(host.config)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    last = len(host.config.read_text().splitlines())
    assert bad.stderr.splitlines() == [
        "line 3: node.prot is no key, meant is perhaps port",
        f"line {last}: extra is no key",
        f"error: {host.config} has faults: 2",
    ]
