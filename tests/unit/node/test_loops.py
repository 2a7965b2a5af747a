"""A thread of the node outlives a full disk, and nothing else."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable

import pytest

from infmap_kit.node.config import Retention
from infmap_kit.node.loops import Loop
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.store import Store
from infmap_kit.node.retention import Cleaner
from infmap_kit.node.spool import Spool
from odd_names import small_disk


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("left", [0, 4096])
def test_a_full_disk_is_told_and_outlived(left: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="infmap_kit.node")
    with small_disk(4096) as disk:
        spool = Spool(disk / "spool")
        database = Database(spool.database)
        Store(database).add(sop_instance_uid="1", sha256="", file="1.dcm", size_bytes=1, caller="A")
        database.close()
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - left))
        cleaner = Cleaner(Retention(), spool, Store(database))
        rounds: list[float] = []

        def step() -> float:
            # In place of the cleaner's minute.
            cleaner.step()
            rounds.append(time.monotonic())
            return 0.05

        loop = Loop("cleaner", step, close=database.close)
        loop.start()
        try:
            _wait_until(lambda: any("cannot be used" in text for text in caplog.messages))
            assert loop.trouble == "", "starting the node anew would not make room"
            assert not rounds
            ballast.unlink()
            _wait_until(lambda: len(rounds) > 1)
        finally:
            loop.stop()
            loop.join(20)
    told = [text for text in caplog.messages if text.startswith("cleaner: ")]
    assert told[-1] == "cleaner: well again"
    assert len(told) == 2, "once, however often it failed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [sqlite3.DatabaseError("malformed"), KeyError("x")])
def test_any_other_error_ends_it(error: Exception) -> None:
    def step() -> float:
        raise error

    loop = Loop("cleaner", step)
    loop.start()
    loop.join(5)
    assert loop.trouble == "cleaner has ended"
