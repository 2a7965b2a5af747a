"""The spool: one node, sweeping up, and workers whose locks end with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infmap_kit.errors import NodeError
from infmap_kit.node.spool import NodeLock, Spool, WorkerLock, is_dead, is_running
from patience import PATIENCE_S


def test_the_second_node_on_a_spool_is_refused(spool: Spool) -> None:
    assert not is_running(spool)
    lock = NodeLock(spool)
    assert is_running(spool)
    with pytest.raises(NodeError, match=rf"found another node on it \(process {os.getpid()}\)"):
        NodeLock(spool)
    lock.release()
    NodeLock(spool).release()


def test_a_worker_is_dead_when_its_process_is(spool: Spool) -> None:
    script = (
        "import sys, time; from pathlib import Path; from infmap_kit.node.spool import *\n"
        "lock = WorkerLock(Spool(Path(sys.argv[1])))\n"
        "print(lock.name, flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(spool.folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    assert not is_dead(spool, name)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_dead(spool, name)
    assert list(spool.workers.iterdir()) == []
    assert is_dead(spool, "never-lived")
    with WorkerLock(spool) as lock:
        assert not is_dead(spool, lock.name)


def test_what_nobody_knows_is_swept(spool: Spool) -> None:
    living = WorkerLock(spool)
    names = {
        spool.arriving / "tmp1.dcm": True,
        spool.images / "known.dcm": False,
        spool.images / "never-entered.dcm": True,
        spool.results / "1-sc.dcm": False,
        spool.results / "1-seg.gone-worker.part": True,
        spool.results / f"1-seg.{living.name}.part": False,
        spool.results / "2-sc.dcm": True,
    }
    for path in names:
        path.touch()
    assert spool.sweep({"known.dcm", "1-sc.dcm"}, {1}) == 4
    assert {path: not path.exists() for path in names} == names


def test_an_unusable_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NodeError, match=r"cannot use .*file/spool as a spool: Not a directory"):
        Spool(tmp_path / "file" / "spool")


def test_the_spool_is_for_nobody_elses_eyes(spool: Spool) -> None:
    assert spool.folder.stat().st_mode & 0o077 == 0


def test_sweeping_waits_for_the_intake_of_others(spool: Spool) -> None:
    script = (
        "import sys; from pathlib import Path; from infmap_kit.node.spool import Spool\n"
        "with Spool(Path(sys.argv[1])).others_held_off(by_node=True): print('in', flush=True)\n"
    )
    with spool.others_held_off(by_node=False):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(spool.folder)], stdout=subprocess.PIPE
        )
        time.sleep(0.5)
        assert process.poll() is None
    assert process.communicate(timeout=PATIENCE_S)[0] == b"in\n"
