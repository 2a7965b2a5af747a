"""`infmap-annotate serve`: what it has answered is in the study, once, and nothing else is."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import time

from annotate_host import Server, Worker
from chaos.invariants import demand, demand_anonymous, demand_same
from chaos.troubles import Trouble
from chaos.victim import Victim
from doctors import Mask, new_study
from infmap_annotate.study.folder import Study
from infmap_annotate.study.masks import decode_mask
from infmap_kit.serving.server import free_port
from launcher import Command


class Annotate(Victim):
    name = "annotate"
    share = 14
    bears = (Trouble.FULL_DISK, Trouble.NO_PERMISSION)

    def prepare(self) -> None:
        study, tokens = new_study(self.folder, drawn=0, bare=30)
        study.database.close()
        self._study = study.folder
        self._port = free_port()
        self._answered: dict[int, tuple[str, Mask | None]] = {}
        self._workers: list[Worker] = []
        self._command = self._start()
        self._server = Server(self._study, url=f"http://127.0.0.1:{self._port}")
        self._workers = [Worker(self._server, name, tokens[name]) for name in ("anna", "ben")]
        self._secrets = list(tokens.values())

    def strike(self, chance: random.Random) -> bool:
        self._workers = [worker.again() for worker in self._workers]
        for worker in self._workers:
            worker.start()
        time.sleep(chance.uniform(0.02, 0.4))
        was_killed = self._command.kill()
        if chance.random() < 0.5:
            # Into the trouble, if there is any.
            self._command = self._start(wait=False)
            self._command.ended.wait(chance.uniform(0, 0.5))
        return was_killed

    def recover(self) -> None:
        if self._command.ended.is_set():
            self._command = self._start()
        for worker in self._workers:
            worker.ending.set()
        for worker in self._workers:
            worker.join(60)
            demand(not worker.is_alive(), "a reader waits for ever")
            demand(not worker.fault, worker.fault)

    def check(self) -> None:
        answered = {k: v for worker in self._workers for k, v in worker.answered.items()}
        sql = sqlite3.connect(self._study / "study.sqlite")
        demand(sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "half: the database")
        demand(not sql.execute("PRAGMA foreign_key_check").fetchall(), "half: keys of nothing")
        rows = sql.execute(
            "SELECT decision.id, decision.kind, file FROM decision "
            "LEFT JOIN candidate ON candidate.id = candidate_id"
        ).fetchall()
        sql.close()
        demand_same((row[0] for row in rows), list(answered), "decisions")
        for number, kind, file in rows:
            asked, mask = answered[number]
            demand(kind == asked, f"decision {number} is {kind}, not {asked}")
            if mask is not None and number not in self._answered:
                content = (self._study / "masks" / file).read_bytes()
                demand((decode_mask(content) == mask).all(), f"half: the mask of {number}")
        self._answered = answered
        study = Study(self._study)
        for candidates in study.candidates().values():
            for candidate in candidates:
                content = (self._study / "masks" / candidate.file).read_bytes()
                demand(hashlib.sha256(content).hexdigest() == candidate.sha256, candidate.file)
        study.database.close()
        log = self.log.read_text()
        demand_anonymous(log, self._secrets)
        demand("Traceback" not in log, f"a traceback: {log[-1500:]}")

    def end(self) -> None:
        for worker in self._workers:
            worker.ending.set()
        self._command.kill()

    def _start(self, *, wait: bool = True) -> Command:
        began = len(self.log.read_text()) if self.log.exists() else 0
        command = self.world.launcher.start(
            "infmap-annotate", "serve", self._study, f"--port={self._port}", log=self.log
        )
        while wait and "http://" not in self.log.read_text()[began:]:
            demand(not command.ended.is_set(), f"it does not start: {self.log.read_text()[-900:]}")
            time.sleep(0.01)
        return command
