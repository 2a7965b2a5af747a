"""The node beside a real PACS: Orthanc, dcmtk's storescu, a real Triton server."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pydicom import dcmread

from infmap_kit.export.pictures import synthetic_pictures
from infmap_kit.export.source import read_source
from infmap_kit.export.target import publish
from infmap_kit.imaging.synthetic import synthetic_radiograph
from infmap_kit.triton.config import EmbeddedOptions
from infmap_kit.triton.server import TritonServer
from infmap_kit.triton.serving import free_ports, serving
from node_box import (
    CALLER,
    PATIENT_ID,
    PATIENT_NAME,
    NodeBox,
    c_store_to,
    radiograph_file,
    running,
    send,
    stow_to,
    wait_until,
)
from orthanc import Orthanc, free_port, running_orthanc
from pictures import read_picture
from small_network import small_network

pytest.importorskip("pynetdicom")
if shutil.which("storescu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)


@pytest.fixture(scope="module")
def small_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Served by Triton like any, but quick: here the network does not matter."""
    folder = tmp_path_factory.mktemp("small")
    onnx.save(small_network(), folder / "small.onnx")
    source = read_source(folder / "small.onnx")
    publish(source, folder / "repository", EmbeddedOptions(), pictures=synthetic_pictures())
    return folder / "repository"


@pytest.fixture(scope="module")
def triton(small_repository: Path) -> Iterator[TritonServer]:
    with serving(small_repository, free_ports()) as running_server:
        yield running_server


@pytest.fixture
def pacs(orthanc: Orthanc) -> Orthanc:
    orthanc.clear()
    return orthanc


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten drawn radiographs as DICOM, each of its own patient."""
    folder = tmp_path_factory.mktemp("chests")
    return [
        radiograph_file(folder, synthetic_radiograph(n, height=300, width=260).radiograph.pixels, n)
        for n in range(10)
    ]


def _sets(pacs: Orthanc) -> Counter[tuple[str, ...]]:
    """How many studies hold which modalities, as Orthanc has them."""
    studies = [pacs.get(f"/studies/{study}/series") for study in pacs.get("/studies")]
    return Counter(
        tuple(sorted(one["MainDicomTags"]["Modality"] for one in series for _ in one["Instances"]))
        for series in studies
    )


def test_from_the_modality_to_the_pacs(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    box = NodeBox(tmp_path, triton.grpc_url, c_store_to(pacs) + stow_to(pacs))
    hand = radiograph_file(tmp_path, np.zeros((300, 300), np.uint8), 90, body_part="HAND")
    blank = radiograph_file(tmp_path, np.zeros((300, 300), np.uint8), 91)
    with running(box):
        echo = ["echoscu", "-aet", CALLER, "-aec", "INFMAP", "127.0.0.1", str(box.port)]
        assert subprocess.run(echo, check=False).returncode == 0
        assert send(box.port, [*chests, hand, blank]) == 0
        box.wait_for(done=10, rejected=1, ignored=1)
        assert send(box.port, chests) == 0, "again is a success"
        time.sleep(1)
        assert box.http("/ready") == (200, "ok\n")
        assert _sets(pacs) == {("OT", "SEG", "SR"): 10, ("SR",): 1}
        for source in map(dcmread, chests):
            found = pacs.instances(StudyInstanceUID=source.StudyInstanceUID)
            assert {one.PatientID for one in found} == {source.PatientID}
        status = box.status()
        assert status["images"]["done"] == 10
        assert status["since_the_beginning"]["duplicate"] == 10
        assert {name: counts["delivered"] for name, counts in status["deliveries"].items()} == {
            "pacs": 31,
            "web": 31,
        }
        assert box.metrics("infmap_node_received_total") == {"": 12}
        assert box.metrics("infmap_node_finished_total", "state")["done"] == 10
        assert box.metrics("infmap_node_delivered_total", "answer")["success"] == 62
        assert box.metrics("infmap_node_latency_seconds_count") == {"": 12}
        page = box.http("/")[1]
        assert "detected" in page
        assert box.end() == 0
    said = box.log_path.read_text() + page
    uids = {
        str(dcmread(file)[tag].value)
        for file in chests
        for tag in ("SOPInstanceUID", "StudyInstanceUID")
    }
    for secret in (PATIENT_NAME, "Geheim", PATIENT_ID, *uids):
        assert secret not in said
    events = Counter(line["event"] for line in box.log())
    assert events["received"] == events["judged"] + events["ignored"] == 12
    assert not any(line["level"] in ("warning", "error", "critical") for line in box.log())


@pytest.mark.parametrize(
    ("images", "node_kills", "triton_kills"),
    [(16, 3, 1), pytest.param(200, 10, 3, marks=pytest.mark.slow)],
)
def test_nothing_is_lost_or_done_twice_when_everything_is_killed(
    tmp_path: Path,
    small_repository: Path,
    images: int,
    node_kills: int,
    triton_kills: int,
) -> None:
    """The test of the promise: real and drawn radiographs, from Orthanc and from storescu."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)  # noqa: S311  # nothing to guess here
    files = _radiographs(tmp_path, images)
    ports = free_ports()
    node_port = free_port()
    with contextlib.ExitStack() as stack:
        triton = stack.enter_context(serving(small_repository, ports))
        modalities = {"node": ["INFMAP", "127.0.0.1", node_port]}
        pacs = stack.enter_context(running_orthanc(tmp_path / "pacs", DicomModalities=modalities))
        sender = stack.enter_context(
            running_orthanc(tmp_path / "sender", DicomModalities=modalities, DicomAet="SENDER")
        )
        box = NodeBox(
            tmp_path / "box", triton.grpc_url, c_store_to(pacs) + stow_to(pacs),
            callers=(CALLER, "SENDER"),
        )  # fmt: skip
        box.port = node_port
        box.write()
        box.start()
        stack.callback(lambda: box.kill())
        senders = [
            threading.Thread(target=_send_until_taken, args=(node_port, files[0::2])),
            threading.Thread(target=_send_from_orthanc, args=(sender, files[1::2])),
        ]
        for thread in senders:
            thread.start()
        kills = ["node"] * node_kills + ["triton"] * triton_kills
        chance.shuffle(kills)
        for victim in kills:
            time.sleep(chance.uniform(0.2, 3.0))
            if victim == "node":
                box.kill()
                time.sleep(chance.uniform(0, 1))
                box.start()
            else:
                os.kill(triton.pid, signal.SIGKILL)
                triton.stop()
                time.sleep(chance.uniform(0, 2))
                triton.start()
        for thread in senders:
            thread.join(600)
            assert not thread.is_alive()
        box.wait_for(600, done=images)
        status = box.status()
        assert status["images"] == {
            **dict.fromkeys(status["images"], 0), "done": images,
        }, f"seed {seed}"  # fmt: skip
        assert status["since_the_beginning"]["received"] == images
        assert box.metrics("infmap_node_received_total") == {"": images}
        assert box.metrics("infmap_node_finished_total", "state")["done"] == images
        assert _sets(pacs) == {("OT", "SEG", "SR"): images}, f"seed {seed}"
        for counts in status["deliveries"].values():
            assert counts == {"waiting": 0, "delivered": 3 * images, "dead": 0}


def _radiographs(folder: Path, number: int) -> list[Path]:
    """Half real, where the development data are, else all drawn."""
    (folder / "in").mkdir()
    real: list[Path] = []
    data = Path(__file__).resolve().parents[3] / "shared" / "data" / "dev"
    if data.is_dir():
        real = sorted((data / "control").glob("*.png"))[: number // 2]
    files = []
    for index in range(number):
        if index < len(real):
            pixels = read_picture(real[index], gray=True)
        else:
            pixels = synthetic_radiograph(index, height=300, width=260).radiograph.pixels
        files.append(radiograph_file(folder / "in", pixels, index))
    return files


def _send_until_taken(port: int, files: list[Path]) -> None:
    """As modalities do: what was not answered with success is sent again."""
    for file in files:
        while send(port, [file]) != 0:
            time.sleep(0.2)


def _send_from_orthanc(sender: Orthanc, files: list[Path]) -> None:
    for file in files:
        sender.stow(dcmread(file))
    for instance in sender.get("/instances"):
        while True:
            with contextlib.suppress(OSError):
                sender._post("/modalities/node/store", instance.encode())
                break
            time.sleep(0.2)


def test_a_pacs_that_sleeps_costs_nothing_but_time(
    tmp_path: Path, triton: TritonServer, chests: list[Path]
) -> None:
    with contextlib.ExitStack() as stack:
        ports = (free_port(), free_port())
        pacs = stack.enter_context(running_orthanc(tmp_path / "pacs", ports=ports))
        pacs.process.terminate()
        pacs.process.wait(20)
        box = stack.enter_context(
            running(NodeBox(tmp_path / "box", triton.grpc_url, c_store_to(pacs) + stow_to(pacs)))
        )
        assert send(box.port, chests) == 0, "what the PACS does is not the modality's business"
        box.wait_for(delivering=10)
        time.sleep(8)
        assert box.http("/ready")[0] == 200
        awake = stack.enter_context(running_orthanc(tmp_path / "pacs", ports=ports))
        box.wait_for(done=10)
        assert _sets(awake) == {("OT", "SEG", "SR"): 10}
        troubles = [line["event"] for line in box.log() if line["event"].startswith("destination")]
        assert sorted(troubles) == [
            "destination pacs: it does not answer, or aborts",
            "destination pacs: well again",
            "destination web: it does not answer (ConnectionError)",
            "destination web: well again",
        ]


class _MoodyPacs:
    """Answers each C-STORE as the test likes."""

    def __init__(self, *, certificate: Path | None = None, authority: Path | None = None) -> None:
        from pynetdicom import AE, StoragePresentationContexts, evt

        tls = None
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
            tls.load_cert_chain(certificate)
            tls.verify_mode = ssl.CERT_REQUIRED
        self.status = 0x0000
        self.stored: list[str] = []
        self.port = free_port()
        entity = AE(ae_title="MOODY")
        entity.supported_contexts = StoragePresentationContexts
        self.server = entity.start_server(
            ("127.0.0.1", self.port), block=False, ssl_context=tls,
            evt_handlers=[(evt.EVT_C_STORE, self._answer)],
        )  # fmt: skip

    def _answer(self, event: Any) -> int:
        if self.status < 0xA700 or self.status >> 12 == 0xB:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return self.status

    @property
    def destination(self) -> str:
        return (
            '[[destinations]]\nname = "moody"\nkind = "c-store"\nhost = "127.0.0.1"\n'
            f'port = {self.port}\nae_title = "MOODY"\nmax_wait_s = 0.2\nmax_refusals = 3\n'
        )


def test_a_pacs_that_is_full_warns_and_refuses(
    tmp_path: Path, triton: TritonServer, chests: list[Path]
) -> None:
    moody = _MoodyPacs()
    try:
        with running(NodeBox(tmp_path, triton.grpc_url, moody.destination)) as box:
            moody.status = 0xA700
            send(box.port, chests[:1])
            box.wait_for(delivering=1)
            time.sleep(3)
            assert box.images()["delivering"] == 1, "a full PACS is waited for"
            moody.status = 0xB007
            box.wait_for(done=1)
            assert len(moody.stored) == 3
            shown = box.run("show", 1, "--json").stdout
            assert "0xB007 data set does not match SOP class" in shown
            assert box.metrics("infmap_node_delivered_total", "answer")["warning"] == 3

            moody.status = 0xC000
            send(box.port, chests[1:2])
            box.wait_for(failed=1)
            (listed,) = json.loads(box.run("list", "--state", "failed", "--json").stdout)
            assert listed["reason"] == "not delivered to moody: 0xC000 cannot understand"
            moody.status = 0x0000
            assert box.run("retry", 2).returncode == 0
            box.wait_for(done=2)
            assert len(moody.stored) == len(set(moody.stored)) == 6

            moody.status = 0xA900
            send(box.port, chests[2:3])
            box.wait_for(failed=1)
            warnings = [line for line in box.log() if line["level"] == "warning"]
            assert len(warnings) == 1 + 6 + 3, (
                "one line a trouble, two an object refused in the end"
            )
    finally:
        moody.server.shutdown()


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
    box = NodeBox(
        tmp_path / "box", triton.grpc_url, c_store_to(pacs), spool=small_disk / "spool",
        more="[limits]\nkeep_free_mb = 12\n[retention]\nmax_gb = 1",
    )  # fmt: skip
    big = radiograph_file(tmp_path, np.tile(np.arange(250, dtype=np.uint8), (6000, 20)), 77)
    ballast = small_disk / "ballast"
    with running(box):
        assert send(box.port, chests[:2]) == 0
        box.wait_for(done=2)
        _leave_free(small_disk, ballast, mib=10)
        assert [_status_of_sending(box.port, file) for file in chests[2:5]] == [
            "OutOfResources"
        ] * 3
        code, text = box.http("/ready")
        assert (code, text.splitlines()) == (
            503,
            ["expected 12 MiB free on the spool's disk, found 10"],
        )
        # More than what is left comes: it is told at the end, and nothing of it stays.
        _leave_free(small_disk, ballast, mib=14)
        assert _status_of_sending(box.port, big) == "OutOfResources"
        assert list((small_disk / "spool" / "arriving").iterdir()) == []
        assert box.metrics("infmap_node_received_total") == {"": 2}
        ballast.unlink()
        assert send(box.port, chests[2:5]) == 0
        box.wait_for(done=5)
    room = [line for line in box.log() if line["event"].startswith("room for radiographs")]
    assert [line["event"].partition(": ")[2] for line in room] == [
        "there is too little",
        "well again",
    ]
    assert room[0]["found"] == "expected 12 MiB free on the spool's disk, found 10"
    assert room[1]["times"] == 4
    assert _sets(pacs) == {("OT", "SEG", "SR"): 5}


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
    found = re.search(r"Received Store Response \((?:\w+: )?(\w+)", done.stderr + done.stdout)
    return found[1] if found else done.stderr[-500:]


_JUMPING_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The wall clock, set off by what stands in a file; all other clocks as they are. */
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME) {
        long offset_s = 0;
        FILE *file = fopen(getenv("CLOCK_OFFSET_FILE"), "r");
        if (file) {
            if (fscanf(file, "%ld", &offset_s) == 1) now->tv_sec += offset_s;
            fclose(file);
        }
    }
    return result;
}
"""


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "clock.c").write_text(_JUMPING_CLOCK)
    library, offset_s = tmp_path / "clock.so", tmp_path / "offset_s"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "clock.c"), "-ldl"]
    subprocess.run(command, check=True)
    offset_s.write_text("0")
    box = NodeBox(
        tmp_path / "box", triton.grpc_url, c_store_to(pacs),
        environment={"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(offset_s)},
    )  # fmt: skip
    with running(box):
        for number, jump in enumerate((0, -10_000, 7_000, -3_000_000)):
            offset_s.write_text(str(jump))
            assert send(box.port, chests[2 * number : 2 * number + 2]) == 0
        box.wait_for(done=8)
        assert box.metrics("infmap_node_latency_seconds_count") == {"": 8}
        assert box.metrics("infmap_node_latency_seconds_sum")[""] < 8 * 60
        times = [line["time"] for line in box.log()]
        assert times != sorted(times), "the clock did jump"
    assert _sets(pacs) == {("OT", "SEG", "SR"): 8}


def test_a_second_node_on_the_same_spool_ends_with_one_line(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    box = NodeBox(tmp_path / "box", triton.grpc_url, c_store_to(pacs))
    second = NodeBox(
        tmp_path / "second", triton.grpc_url, c_store_to(pacs), spool=tmp_path / "box/spool"
    )
    with running(box):
        done = second.run("run")
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: expected ")
        assert "found another node on it" in line
        assert send(box.port, chests[:2]) == 0
        box.wait_for(done=2)


def test_two_more_workers_do_nothing_twice(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    box = NodeBox(tmp_path, triton.grpc_url, c_store_to(pacs))
    with running(box), contextlib.ExitStack() as stack:
        workers = []
        for number in range(2):
            log = stack.enter_context((tmp_path / f"worker{number}.jsonl").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "infmap_kit", "node", "work", "-c", str(box.config)],
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
        assert send(box.port, [*chests, *more]) == 0
        wait_until(lambda: box.images()["done"] > 5)
        workers[0].kill()
        box.wait_for(done=25)
        workers[1].terminate()
        assert workers[1].wait(30) == 0
    logs = [
        box.log_path.read_text(),
        *((tmp_path / f"worker{n}.jsonl").read_text() for n in (0, 1)),
    ]
    judged = Counter(
        line.partition('"image": ')[2].partition(",")[0]
        for log in logs
        for line in log.splitlines()
        if '"event": "judged"' in line
    )
    assert set(judged.values()) == {1}
    assert all('"event": "judged"' in log for log in logs), "each did some"
    assert _sets(pacs) == {("OT", "SEG", "SR"): 25}


def test_strangers_floods_and_giants_are_refused_and_the_node_stays(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    box = NodeBox(
        tmp_path, triton.grpc_url, c_store_to(pacs),
        more="[limits]\nmax_object_mb = 8\nmax_associations = 4\nidle_s = 3",
    )  # fmt: skip
    giant = radiograph_file(tmp_path, np.ones((3000, 4000), np.uint8), 500)
    with running(box):
        assert box.process is not None
        pid = box.process.pid
        memory_kb = _of_process(pid, "VmRSS")
        assert send(box.port, chests[:1], caller="STRANGER") != 0
        assert send(box.port, chests[:1], called="OTHER") != 0
        assert send(box.port, [giant]) != 0, "an object larger than the limit"
        with _associated(box.port) as connection:
            # A PDU of 2 GB: announced, and then as much of it as anyone cares to take.
            connection.sendall(struct.pack(">BBL", 4, 0, 2**31 - 1))
            with contextlib.suppress(OSError):
                for _ in range(64):
                    connection.sendall(b"\0" * 2**20)
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(_connected(box.port)) for _ in range(60)]
            time.sleep(0.5)
            assert _of_process(pid, "Threads") < 60, "connections that say nothing are bounded"
            assert send(box.port, chests[:1]) != 0, "for as long as they last"
            time.sleep(4)
            for connection in silent:
                connection.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(1) == b"", "they were closed"
        wait_until(lambda: send(box.port, chests[:2]) == 0)
        box.wait_for(done=2)
        assert _of_process(pid, "VmHWM") < memory_kb + 300 * 1024
        assert list((tmp_path / "spool" / "arriving").iterdir()) == []
        reasons = [line["reason"] for line in box.log() if "reason" in line]
        assert "caller 'STRANGER' is not on the list" in reasons
        assert "an object of more than 8 MiB came" in reasons
        assert "a PDU of 2147483647 bytes was announced" in reasons


def _of_process(pid: int, what: str) -> int:
    """A number out of /proc, in kB where it is memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{what}:")))


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


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


def test_tls_in_and_out(tmp_path: Path, triton: TritonServer, chests: list[Path]) -> None:
    _certificates(tmp_path)
    pem = {name: tmp_path / f"{name}.pem" for name in ("ca", "node", "modality", "stranger")}
    moody = _MoodyPacs(certificate=pem["node"], authority=pem["ca"])
    keys = {"ca": pem["ca"], "certificate": pem["node"], "key": pem["node"]}
    shown_to_others = "{ " + ", ".join(f'{key} = "{path}"' for key, path in keys.items()) + " }"
    box = NodeBox(
        tmp_path / "box", triton.grpc_url,
        f"{moody.destination}tls = {shown_to_others}\n",
        node=f"tls = {shown_to_others}",
    )  # fmt: skip

    def shown(name: str, authority: str = "ca") -> list[str]:
        return ["+tls", str(pem[name]), str(pem[name]), "+cf", str(pem[authority])]

    try:
        with running(box):
            assert send(box.port, chests[:1]) != 0, "in the open"
            assert send(box.port, chests[:1], more=shown("stranger")) != 0, "of another authority"
            assert send(box.port, chests[:1], more=shown("modality", "stranger")) != 0
            with contextlib.ExitStack() as stack:
                # Handshakes that nobody goes on with hold up nobody else.
                for _ in range(5):
                    stack.enter_context(_connected(box.port))
                assert send(box.port, chests[:2], more=shown("modality")) == 0
            box.wait_for(done=2)
        assert len(moody.stored) == 6
    finally:
        moody.server.shutdown()


def _certificates(folder: Path) -> None:
    """An authority, two of its certificates for this machine, and one that signed itself, each with its key."""
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for name in ("ca", "stranger", "node", "modality"):
        signed = ["-CA", "ca.pem", "-CAkey", "ca.pem"] if name in ("node", "modality") else []
        command = [
            *openssl, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", f"{name}.key", "-out", f"{name}.crt", *signed,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        both = (folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text()
        (folder / f"{name}.pem").write_text(both)


def test_a_watched_folder_is_a_way_in(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    box = NodeBox(tmp_path / "box", triton.grpc_url, c_store_to(pacs))
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with running(box):
        watching = subprocess.Popen(
            [sys.executable, "-m", "infmap_kit", "node", "watch-folder", str(inbox), "-c", str(box.config)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for file in chests[:3]:
                shutil.copy(file, inbox)
            box.wait_for(done=3)
        finally:
            watching.terminate()
            watching.wait(20)
    assert len(list((inbox / "accepted").iterdir())) == 3
    assert _sets(pacs) == {("OT", "SEG", "SR"): 3}


def test_check_and_the_other_commands(tmp_path: Path, triton: TritonServer) -> None:
    box = NodeBox(tmp_path, triton.grpc_url)
    done = box.run("status")
    assert done.returncode == 1
    assert "no node has run on" in done.stderr
    checking = [sys.executable, "-m", "infmap_kit", "node", "check"]
    good = subprocess.run([*checking, str(box.config)], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    box.config.write_text(box.config.read_text().replace("port =", "prot =", 1) + "[extra]\n")
    bad = subprocess.run([*checking, str(box.config)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert bad.stderr.splitlines() == [
        "extra is no key",
        "node.prot is no key, meant is perhaps port",
        f"error: {box.config} has faults: 2",
    ]
