"""The server is killed while it saves; what it has said yes to is there, once."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import time
from pathlib import Path

from annotate_host import Server, Worker
from doctors import new_study
from infmap_annotate.study.folder import Study
from infmap_annotate.study.masks import decode_mask


def _killed(tmp_path: Path, kills: int) -> None:
    study, tokens = new_study(tmp_path, drawn=0, bare=30)
    study.database.close()
    server = Server(study.folder)
    server.start()
    workers = [Worker(server, name, tokens[name]) for name in ("anna", "ben")]
    for worker in workers:
        worker.start()
    pause = random.Random(0)  # noqa: S311
    for _ in range(kills):
        before = sum(len(worker.answered) for worker in workers)
        wanted = before + pause.randint(2, 12)
        while sum(len(worker.answered) for worker in workers) < wanted:
            assert all(worker.is_alive() for worker in workers), [w.fault for w in workers]
            time.sleep(0.002)
        # In the middle of the next one, wherever that is.
        time.sleep(pause.uniform(0, 0.02))
        server.kill()
        server.start()
    for worker in workers:
        worker.ending.set()
        worker.join(30)
        assert not worker.is_alive()
    server.kill()

    answered = {k: v for worker in workers for k, v in worker.answered.items()}
    assert len(answered) >= 2 * kills
    assert sum(worker.repeated for worker in workers) >= kills
    sql = sqlite3.connect(study.folder / "study.sqlite")
    assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert sql.execute("PRAGMA foreign_key_check").fetchall() == []
    rows = sql.execute(
        "SELECT decision.id, decision.kind, file FROM decision "
        "LEFT JOIN candidate ON candidate.id = candidate_id"
    ).fetchall()
    # All that was answered, nothing twice, and nothing that nobody heard of.
    assert {row[0] for row in rows} == set(answered)
    for number, kind, file in rows:
        asked, mask = answered[number]
        assert kind == asked
        if mask is not None:
            assert (decode_mask((study.folder / "masks" / file).read_bytes()) == mask).all()
    for candidates in Study(study.folder).candidates().values():
        for candidate in candidates:
            content = (study.folder / "masks" / candidate.file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == candidate.sha256


def test_three_times(tmp_path: Path) -> None:
    _killed(tmp_path, 3)
