"""What the host goes through: a full disk, a clock that jumps, a second node, more workers."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from chaos.clock import jumping_clock
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.triton.server.process import TritonServer
from node_host import (
    CALLER,
    NodeHost,
    c_store_to,
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip("needs to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_told_to_the_sender(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, small_disk: Path, chests: list[Path]
) -> None:
    host = NodeHost(
        tmp_path / "host", triton.grpc_url, c_store_to(pacs), spool=small_disk / "spool",
        more="[limits]\nkeep_free_mb = 12\n[retention]\nmax_gb = 1",
    )  # fmt: skip
    big = radiograph_file(tmp_path, np.tile(np.arange(250, dtype=np.uint8), (6000, 20)), 77)
    ballast = small_disk / "ballast"
    with running(host):
        assert send(host.port, chests[:2]) == 0
        host.wait_for(done=2)
        _leave_free(small_disk, ballast, mib=10)
        assert [_status_of_sending(host.port, file) for file in chests[2:5]] == [
            "OutOfResources"
        ] * 3
        code, text = host.http("/ready")
        assert (code, text.splitlines()) == (
            503,
            ["expected 12 MiB free on the spool's disk, found 10"],
        )
        # More than what is left comes: it is told at the end, and nothing of it stays.
        _leave_free(small_disk, ballast, mib=14)
        assert _status_of_sending(host.port, big) == "OutOfResources"
        assert list((small_disk / "spool" / "arriving").iterdir()) == []
        assert host.metrics("infmap_node_received_total") == {"": 2}
        ballast.unlink()
        assert send(host.port, chests[2:5]) == 0
        host.wait_for(done=5)
    room = [line for line in host.log() if line["event"].startswith("room for radiographs")]
    assert [line["event"].partition(": ")[2] for line in room] == [
        "there is too little",
        "well again",
    ]
    assert room[0]["found"] == "expected 12 MiB free on the spool's disk, found 10"
    assert room[1]["times"] == 4
    assert modality_sets(pacs) == {("OT", "SEG", "SR"): 5}


def _leave_free(disk: Path, ballast: Path, *, mib: int) -> None:
    ballast.unlink(missing_ok=True)
    spare = shutil.disk_usage(disk).free - (mib << 20) - 2**19
    ballast.write_bytes(b"\0" * spare)


def _status_of_sending(port: int, file: Path) -> str:
    """What storescu shows of the answer to one object."""
    done = subprocess.run(
        ["storescu", "-v", "-aet", CALLER, "-aec", "INFMAP", "127.0.0.1", str(port), str(file)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    actual = re.search(r"Received Store Response \((?:\w+: )?(\w+)", done.stderr + done.stdout)
    return actual[1] if actual else done.stderr[-500:]


_COMPRESSED_BY = {
    "1.2.840.10008.1.2.4.70": ("dcmcjpeg", "+e1"),
    "1.2.840.10008.1.2.4.57": ("dcmcjpeg", "+el"),
    "1.2.840.10008.1.2.4.80": ("dcmcjpls", "+el"),
    "1.2.840.10008.1.2.5": ("dcmcrle",),
}


def test_compressed_radiographs_are_taken_as_they_are(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    files = []
    for (syntax, compress), chest in zip(_COMPRESSED_BY.items(), chests, strict=False):
        files.append(tmp_path / f"{syntax}.dcm")
        subprocess.run([*compress, chest, files[-1]], check=True, timeout=60)
        assert dcmread(files[-1]).file_meta.TransferSyntaxUID == syntax
    host = NodeHost(tmp_path / "host", triton.grpc_url, c_store_to(pacs))
    with running(host):
        address = ("-aet", CALLER, "-aec", "INFMAP", "127.0.0.1", str(host.port))
        for file in files:
            subprocess.run(["dcmsend", "-dn", *address, file], check=True, timeout=60)
        host.wait_for(done=len(files))


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    clock = jumping_clock(tmp_path)
    if clock is None:
        pytest.skip("needs a C compiler")
    offset_s = tmp_path / "offset_s"
    offset_s.write_text("0")
    host = NodeHost(
        tmp_path / "host", triton.grpc_url, c_store_to(pacs),
        environment={**clock, "CLOCK_OFFSET_FILE": str(offset_s)},
    )  # fmt: skip
    with running(host):
        for number, jump in enumerate((0, -10_000, 7_000, -3_000_000)):
            offset_s.write_text(str(jump))
            assert send(host.port, chests[2 * number : 2 * number + 2]) == 0
        host.wait_for(done=8)
        assert host.metrics("infmap_node_latency_seconds_count") == {"": 8}
        assert host.metrics("infmap_node_latency_seconds_sum")[""] < 8 * 60
        times = [line["time"] for line in host.log()]
        assert times != sorted(times), "the clock did jump"
    assert modality_sets(pacs) == {("OT", "SEG", "SR"): 8}


def test_a_second_node_on_the_same_spool_ends_with_one_line(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    host = NodeHost(tmp_path / "host", triton.grpc_url, c_store_to(pacs))
    second = NodeHost(
        tmp_path / "second", triton.grpc_url, c_store_to(pacs), spool=tmp_path / "host/spool"
    )
    with running(host):
        done = second.run("run")
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: expected ")
        assert "found another node on it" in line
        assert send(host.port, chests[:2]) == 0
        host.wait_for(done=2)


def test_two_more_workers_do_nothing_twice(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    host = NodeHost(tmp_path, triton.grpc_url, c_store_to(pacs))
    with running(host), contextlib.ExitStack() as stack:
        workers = []
        for number in range(2):
            log = stack.enter_context((tmp_path / f"worker{number}.jsonl").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "infmap_kit", "node", "work", "-c", str(host.config)],
                stderr=log,
            )
            stack.callback(process.kill)
            workers.append(process)
        wait_until(
            lambda: all(
                "worker ready" in (tmp_path / f"worker{n}.jsonl").read_text() for n in (0, 1)
            )
        )
        more = [
            radiograph_file(
                tmp_path, synthetic_radiograph(n, height=200, width=200).radiograph.pixels, n
            )
            for n in range(100, 115)
        ]
        assert send(host.port, [*chests, *more]) == 0
        wait_until(lambda: host.images()["done"] > 5)
        workers[0].kill()
        host.wait_for(done=25)
        workers[1].terminate()
        assert workers[1].wait(30) == 0
    logs = [
        host.log_path.read_text(),
        *((tmp_path / f"worker{n}.jsonl").read_text() for n in (0, 1)),
    ]
    processed = Counter(
        line.partition('"image": ')[2].partition(",")[0]
        for log in logs
        for line in log.splitlines()
        if '"event": "processed"' in line
    )
    assert set(processed.values()) == {1}
    assert all('"event": "processed"' in log for log in logs), "each did some"
    assert modality_sets(pacs) == {("OT", "SEG", "SR"): 25}
