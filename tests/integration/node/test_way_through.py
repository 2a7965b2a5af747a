"""From the modality to the PACS, and nothing lost on the way: Orthanc, storescu, a real Triton server."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from infmap_kit.host.alerts import RULES
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_port, free_ports, serving
from infmap_kit.triton.server.process import TritonServer
from node_host import (
    CALLER,
    PATIENT_ID,
    PATIENT_NAME,
    NodeHost,
    c_store_to,
    modality_sets,
    radiograph_file,
    running,
    send,
    stow_to,
)
from orthanc import Orthanc, running_orthanc
from patience import PATIENCE_S
from pictures import read_picture

pytest.importorskip("pynetdicom")
if shutil.which("storescu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)


def test_from_the_modality_to_the_pacs(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    host = NodeHost(tmp_path, triton.grpc_url, c_store_to(pacs) + stow_to(pacs))
    hand = radiograph_file(tmp_path, np.zeros((300, 300), np.uint8), 90, body_part="HAND")
    blank = radiograph_file(tmp_path, np.zeros((300, 300), np.uint8), 91)
    with running(host):
        echo = ["echoscu", "-aet", CALLER, "-aec", "INFMAP", "127.0.0.1", str(host.port)]
        assert subprocess.run(echo, check=False).returncode == 0
        assert send(host.port, [*chests, hand, blank]) == 0
        host.wait_for(done=10, rejected=1, ignored=1)
        assert send(host.port, chests) == 0, "again is a success"
        time.sleep(1)
        assert host.http("/ready") == (200, "ok\n")
        assert modality_sets(pacs) == {("OT", "SEG", "SR"): 10, ("SR",): 1}
        for source in map(dcmread, chests):
            actual = pacs.instances(StudyInstanceUID=source.StudyInstanceUID)
            assert {one.PatientID for one in actual} == {source.PatientID}
        status = host.status()
        assert status["images"]["done"] == 10
        assert status["since_the_beginning"]["duplicate"] == 10
        assert {name: counts["delivered"] for name, counts in status["deliveries"].items()} == {
            "pacs": 31,
            "web": 31,
        }
        assert host.metrics("infmap_node_received_total") == {"": 12}
        assert host.metrics("infmap_node_finished_total", "state")["done"] == 10
        assert host.metrics("infmap_node_delivered_total", "answer")["success"] == 62
        assert host.metrics("infmap_node_latency_seconds_count") == {"": 12}
        with urllib.request.urlopen(triton.options.metrics_url, timeout=PATIENCE_S) as answer:
            metrics = host.http("/metrics")[1] + answer.read().decode()
        # That of the latency's histogram stands there without its ending.
        rules = RULES.read_text().replace("_bucket[", "[")
        known = set(re.findall(r"^# TYPE (\w+)", metrics, flags=re.MULTILINE))
        assert set(re.findall(r"\b(?:infmap|nv)_\w+", rules)) <= known, "alerts name what there is"
        page = host.http("/")[1]
        assert "detected" in page
        assert host.end() == 0
    stated = host.log_path.read_text() + page
    uids = {
        str(dcmread(file)[tag].value)
        for file in chests
        for tag in ("SOPInstanceUID", "StudyInstanceUID")
    }
    for secret in (PATIENT_NAME, "Geheim", PATIENT_ID, *uids):
        assert secret not in stated
    events = Counter(line["event"] for line in host.log())
    assert events["received"] == events["processed"] + events["ignored"] == 12
    assert not any(line["level"] in ("warning", "error", "critical") for line in host.log())


def test_a_restored_node_goes_on_with_what_was_waiting(
    tmp_path: Path, triton: TritonServer, pacs: Orthanc, chests: list[Path]
) -> None:
    old = NodeHost(tmp_path / "old", triton.grpc_url, c_store_to(pacs))
    with running(old):
        assert send(old.port, chests[:2]) == 0
        old.wait_for(done=2)
        assert old.end() == 0
    # Triton is away, so that what comes now waits.
    old.triton_url = "127.0.0.1:9"
    old.write()
    backup = tmp_path / "backup.tar"
    with running(old):
        assert send(old.port, chests[2:5]) == 0
        done = old.run("backup", backup, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["unfinished"] == 3
        assert old.http("/live")[0] == 200
    new = NodeHost(tmp_path / "new", triton.grpc_url, c_store_to(pacs))
    assert old.run("restore", backup).returncode == 1, "a node's folder is not overwritten"
    assert new.run("restore", backup).returncode == 0
    with running(new):
        new.wait_for(done=5)
        assert modality_sets(pacs) == {("OT", "SEG", "SR"): 5}
        assert new.metrics("infmap_node_delivered_total", "answer")["success"] == 3 * 5
        assert send(new.port, chests[:5]) == 0, "known, so not worked on again"
        patient = dcmread(chests[0]).PatientID
        forgotten = new.run("forget", "--patient-id", patient, "--json")
        assert len(json.loads(forgotten.stdout)["radiographs"]) == 1
        assert new.images()["done"] == 4
        assert new.end() == 0
    # The old one delivers as well what it held: the same objects under the same UIDs.
    old.triton_url = triton.grpc_url
    old.write()
    with running(old):
        old.wait_for(done=5)
    assert modality_sets(pacs) == {("OT", "SEG", "SR"): 5}
    left = b"".join(path.read_bytes() for path in new.folder.rglob("spool/**/*") if path.is_file())
    assert patient.encode() not in left


@pytest.mark.parametrize(
    ("images", "node_kills", "triton_kills"),
    [(16, 3, 1)],
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
        host = NodeHost(
            tmp_path / "host", triton.grpc_url, c_store_to(pacs) + stow_to(pacs),
            callers=(CALLER, "SENDER"),
        )  # fmt: skip
        host.port = node_port
        host.write()
        host.start()
        stack.callback(lambda: host.kill())
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
                host.kill()
                time.sleep(chance.uniform(0, 1))
                host.start()
            else:
                os.kill(triton.pid, signal.SIGKILL)
                triton.stop()
                time.sleep(chance.uniform(0, 2))
                triton.start()
        for thread in senders:
            thread.join(600)
            assert not thread.is_alive()
        host.wait_for(600, done=images)
        status = host.status()
        assert status["images"] == {
            **dict.fromkeys(status["images"], 0), "done": images,
        }, f"seed {seed}"  # fmt: skip
        assert status["since_the_beginning"]["received"] == images
        assert host.metrics("infmap_node_received_total") == {"": images}
        assert host.metrics("infmap_node_finished_total", "state")["done"] == images
        assert modality_sets(pacs) == {("OT", "SEG", "SR"): images}, f"seed {seed}"
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
