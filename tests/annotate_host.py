"""`infmap-annotate serve` as a process of its own, and readers who never rest."""

from __future__ import annotations

import copy
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import requests

from doctors import Mask, blob, drawing
from patience import PATIENCE_S


class Server:
    """`infmap-annotate serve` as a process of its own, at one address."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self._folder, self._port = folder, 0
        self.url = url

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infmap_annotate.cli", "serve", str(self._folder), f"--port={self._port}"],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "300"},
        )  # fmt: skip
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/", line)
        assert found, line + self._process.stderr.read()
        self.url, self._port = found[1], int(found[2])

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


class Worker(threading.Thread):
    """A doctor who rejects, draws, picks and undoes without a pause, and asks again after a silence."""

    def __init__(self, server: Server, name: str, token: str) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._random = random.Random(name)  # noqa: S311
        self._keys = (f"{name}-{number}" for number in itertools.count())
        self._session = requests.Session()
        self._session.headers["X-Infmap"] = "1"
        self._session.post(
            f"{server.url}/sign-in", data={"name": name, "token": token}, timeout=PATIENCE_S
        )
        self.ending = threading.Event()
        self.answered: dict[int, tuple[str, Mask | None]] = {}
        self.repeated = 0
        self.fault = ""

    def again(self) -> Worker:
        """The same doctor, signed in as before, after a rest; a thread starts but once."""
        rested = copy.copy(self)
        threading.Thread.__init__(rested, daemon=True)
        rested.ending = threading.Event()
        return rested

    def run(self) -> None:
        try:
            item = self._persistently("get", "/api/items/current")
            while not self.ending.is_set():
                item = self._decide(item)
        except Exception:  # noqa: BLE001  # for whoever waits for this thread
            self.fault = traceback.format_exc()

    def _decide(self, item: dict[str, Any]) -> dict[str, Any]:
        key, mask = next(self._keys), None
        if item.get("rejected"):
            mask = blob(self._random.randrange(10**6))
            kind = "draw"
            query = {"from_slot": 1, "elapsed_ms": 5, "tab": "t", "key": key}
            answer = self._persistently(
                "put", f"/api/items/{item['item']}/drawing", params=query, data=drawing(mask)
            )
        else:
            kinds = ["undo"] if item["item"] is None else ["pick", "reject", "skip"]
            if item["can_undo"]:
                kinds.append("undo")
            kind = self._random.choice(kinds)
            decision = {
                "item": item["item"],
                "kind": kind,
                "slot": 1,
                "elapsed_ms": 5,
                "tab": "t",
                "key": key,
            }
            answer = self._persistently("post", "/api/decisions", json=decision)
        assert answer["decision"] not in self.answered
        self.answered[answer["decision"]] = (kind, mask)
        following: dict[str, Any] = answer["next"]
        return following

    def _persistently(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        while True:
            try:
                answer = self._session.request(
                    method, self._server.url + path, timeout=PATIENCE_S, **options
                )
            except requests.RequestException:
                self.repeated += 1
                time.sleep(0.02)
                continue
            # Full, or not to be written just now: the page asks again, too.
            if answer.status_code == 503:
                self.repeated += 1
                time.sleep(0.02)
                continue
            assert answer.status_code == 200, answer.text
            document: dict[str, Any] = answer.json()
            return document
