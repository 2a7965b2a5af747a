"""Studies to annotate, served by the real command, and doctors at a real browser."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page

from infmap_annotate.study.candidates import add_mask_folder
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Rules, Study
from infmap_annotate.web.pages import make_app
from infmap_annotate.web.serving import Address
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from patience import PATIENCE_MS, PATIENCE_S
from pictures import read_picture
from processes import heed_ctrl_c

Gray = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Case:
    """A radiograph and what a doctor marked on it, both (H, W) uint8; the mask is 0 or 255."""

    name: str
    image: Gray
    mask: Gray


@functools.cache
def _synthetic_case(seed: int, height: int, width: int) -> Case:
    drawn = synthetic_radiograph(seed, height=height, width=width)
    return Case(f"case-{seed:02d}", drawn.radiograph.pixels, drawn.infection_mask * 255)


def synthetic_cases(count: int, *, height: int = 320, width: int = 300) -> list[Case]:
    """Nobody's radiographs."""
    return [_synthetic_case(seed, height, width) for seed in range(count)]


def real_cases(shared_data: Path, count: int) -> list[Case]:
    """Radiographs of the development data, with the masks of their data set; two sizes."""
    images = sorted((shared_data / "images").glob("qata_*.png"))[:: 1191 // count][: count - 2]
    images += sorted((shared_data / "images").glob("gb_*.png"))[:2]
    return [
        Case(
            path.stem,
            read_picture(path, gray=True),
            read_picture(shared_data / "infection_masks" / path.name, gray=True),
        )
        for path in images
    ]


MODELS: dict[str, Callable[[Gray], Gray]] = {
    "shrunk": lambda mask: cv2.erode(mask, np.ones((9, 9), np.uint8)).astype(np.uint8),
    "grown": lambda mask: cv2.dilate(mask, np.ones((9, 9), np.uint8)).astype(np.uint8),
    "moved": lambda mask: np.roll(mask, 11, axis=1),
}
"""What stands in for networks: the drawn mask, changed."""


@dataclasses.dataclass
class Toy:
    """A study, and what the tests know about it."""

    folder: Path
    cases: Mapping[str, Case]
    tokens: Mapping[str, str]

    def decisions(self, reader: str | None = None) -> list[dict[str, Any]]:
        """All rows as they were written, oldest first; the reader's alone where one is named."""
        with contextlib.closing(sqlite3.connect(self.folder / "study.sqlite")) as sql:
            sql.row_factory = sqlite3.Row
            rows = sql.execute(
                "SELECT decision.*, reader.name AS reader, picture.name AS picture, "
                "candidate.kind AS mask_kind, candidate.file AS mask_file FROM decision "
                "JOIN reader ON reader.id = decision.reader_id "
                "JOIN picture ON picture.id = decision.picture_id "
                "LEFT JOIN candidate ON candidate.id = candidate_id "
                "ORDER BY decision.id"
            ).fetchall()
        return [dict(row) for row in rows if reader in (None, row["reader"])]

    def mask_of(self, decision: Mapping[str, Any]) -> Gray:
        """The mask that was picked or drawn, (H, W) uint8, 0 or 255."""
        return read_picture(self.folder / "masks" / decision["mask_file"], gray=True)

    def execute(self, statement: str) -> None:
        """Change the study behind the server's back, as its owner's commands do."""
        with contextlib.closing(sqlite3.connect(self.folder / "study.sqlite", timeout=10)) as sql:
            sql.execute(statement)
            sql.commit()


def make_study(
    folder: Path, cases: list[Case], *, stage_one: int, draw_in_stage_one: bool = False
) -> Toy:
    """The first ``stage_one`` cases keep the drawn mask; three models mark all of them."""
    data, made = folder / "data", folder / "models"
    (data / "images").mkdir(parents=True)
    (data / "infection_masks").mkdir()
    lines = ["name,file,class,group"]
    for number, case in enumerate(cases):
        cv2.imwrite(str(data / "images" / f"{case.name}.png"), case.image)
        if number < stage_one:
            cv2.imwrite(str(data / "infection_masks" / f"{case.name}.png"), case.mask)
        lines.append(f"{case.name},images/{case.name}.png,covid,{case.name}")
        for model, change in MODELS.items():
            (made / model).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(made / model / f"{case.name}.png"), change(case.mask))
    (data / "index.csv").write_text("\n".join(lines) + "\n")
    tokens = init_study(
        folder / "study",
        data,
        first=["anna", "ben"],
        third=["cara"],
        rules=Rules(draw_in_stage_one=draw_in_stage_one),
    )
    study = Study(folder / "study")
    for model in MODELS:
        for stage in (1, 2) if stage_one < len(cases) else (1,):
            add_mask_folder(study, model, stage, made / model)
    study.database.close()
    return Toy(folder / "study", {case.name: case for case in cases}, tokens)


class Server:
    """A study's application on a thread; it may be ended and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        app = make_app(Study(self._folder), hosts=Address().hosts)
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=PATIENCE_S)
        assert not self._thread.is_alive()


class Command(Server):
    """The same by ``infmap-annotate serve``."""

    def start(self) -> None:
        command = [sys.executable, "-m", "infmap_annotate.cli", "serve", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_ctrl_c,
            env={**os.environ, "COLUMNS": "400"},
        )
        assert self._process.stderr
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self._process.stderr.readline())
        assert found, self._process.stderr.read()
        self._port = int(found[1])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=PATIENCE_S)


@contextlib.contextmanager
def served(toy: Toy, by: type[Server] = Server) -> Iterator[Server]:
    """Serve a study while the block lasts."""
    server = by(toy.folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Doctor:
    """One reader at one tab."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def sign_in(self, name: str, token: str) -> Doctor:
        self.page.goto(f"{self.url}/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        return self

    def another_tab(self) -> Doctor:
        other = Doctor(self.page.context.new_page(), self.url)
        other.page.goto(f"{self.url}/pick")
        return other

    def wait(self, state: str = "ready") -> Doctor:
        self.page.wait_for_selector(f"body[data-state={state}]", timeout=PATIENCE_MS)
        return self

    @property
    def number(self) -> str:
        return self.page.locator("#number").inner_text()

    @property
    def said(self) -> str:
        return self.page.locator("#toast").inner_text()

    @property
    def notice(self) -> str:
        return self.page.locator("#notice").inner_text()

    def decide(self, key: str) -> Doctor:
        """Press a key that decides, and wait for what comes next."""
        count = self.page.evaluate("performance.getEntriesByName('ready').length")
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "count => document.body.dataset.state === 'done' ||"
            " performance.getEntriesByName('ready').length > count",
            arg=count,
            timeout=PATIENCE_MS,
        )
        return self

    def panel(self, slot: int) -> Gray:
        """What a panel's canvas shows: (H, W, 3) uint8 RGB; slot 0 is the radiograph alone."""
        return canvas_pixels(self.page, f".panel[data-slot='{slot}'] canvas")


def canvas_pixels(page: Page, selector: str) -> Gray:
    """A canvas as (H, W, 3) uint8 RGB."""
    width, height, pixels = page.locator(selector).evaluate(
        """canvas => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => {
             const { width, height } = canvas;
             const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
             let text = '';
             for (let i = 0; i < data.length; i += 8192)
               text += String.fromCharCode(...data.subarray(i, i + 8192));
             resolve([width, height, btoa(text)]);
           })))"""
    )
    return from_base64(pixels).reshape(height, width, 4)[..., :3]


def from_base64(text: str) -> Gray:
    """Bytes that a page handed out."""
    return np.frombuffer(base64.b64decode(text), np.uint8)


def signed_in(context: BrowserContext, server: Server, toy: Toy, name: str = "anna") -> Doctor:
    """A doctor with the first radiograph before them."""
    doctor = Doctor(context.new_page(), server.url)
    return doctor.sign_in(name, toy.tokens[name]).wait()
