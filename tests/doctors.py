"""Small invented studies, served in this process, and doctors who ask by HTTP."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
import uvicorn
from numpy.typing import NDArray

from infmap_annotate.study.candidates import add_model, pictures_of_stage
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Rules, Study
from infmap_annotate.web.pages import make_app
from patience import PATIENCE_S

Mask = NDArray[np.bool_]
# Not square, and no multiple of 8: rows and columns exchanged, or bits lost at a row's end, would be seen.
HEIGHT, WIDTH = 70, 93


def blob(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Mask:
    """A mask of random place and size."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    centre = (int(rng.integers(15, width - 15)), int(rng.integers(15, height - 15)))
    cv2.ellipse(
        mask, centre, (int(rng.integers(5, 25)), int(rng.integers(5, 25))), 0, 0, 360, 1, -1
    )
    return mask.astype(bool)


def write_pictures(
    folder: Path, *, drawn: int, bare: int = 0, normal: int = 0, a_patient: int = 1
) -> Path:
    """A data set: COVID-19 radiographs with masks and without, normal ones, so many a patient."""
    rng = np.random.default_rng(3)
    for name in ("images", "infection_masks", "control"):
        (folder / name).mkdir(parents=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "file", "class", "group"])
        for number in range(drawn + bare + normal):
            kind = "normal" if number >= drawn + bare else "covid"
            name = f"{kind}_{number}"
            place = f"{'control' if kind == 'normal' else 'images'}/{name}.png"
            picture = rng.integers(40, 200, (HEIGHT, WIDTH)).astype(np.uint8)
            cv2.imwrite(str(folder / place), picture)
            if number < drawn:
                mask = blob(number).astype(np.uint8) * 255
                cv2.imwrite(str(folder / "infection_masks" / f"{name}.png"), mask)
            writer.writerow([name, place, kind, f"patient-{kind}-{number // a_patient}"])
    return folder


def new_study(
    folder: Path,
    *,
    drawn: int = 3,
    bare: int = 0,
    normal: int = 0,
    first: Sequence[str] = ("anna", "ben"),
    third: Sequence[str] = (),
    models: Sequence[str] = ("unet", "dla"),
    **rules: Any,
) -> tuple[Study, dict[str, str]]:
    """A study with masks of models in each of its stages, and everybody's token."""
    data = write_pictures(folder / "data", drawn=drawn, bare=bare, normal=normal)
    tokens = init_study(folder / "study", data, first=first, third=third, rules=Rules(**rules))
    study = Study(folder / "study")
    for offset, model in enumerate(models, start=1):
        for stage in sorted({p.stage for p in study.pictures() if p.stage}):
            masks = {p.id: blob(1000 * offset + p.id) for p in pictures_of_stage(study, stage)}
            add_model(study, model, stage, masks, {"made_by": "tests"})
    return study, tokens


@dataclasses.dataclass
class Doctor:
    """Somebody who asks as the pages do."""

    url: str
    session: requests.Session
    tab: str = "tab-1"
    _keys: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def get(self, path: str) -> requests.Response:
        """Ask for anything."""
        return self.session.get(self.url + path, timeout=PATIENCE_S, allow_redirects=False)

    def item(self) -> dict[str, Any]:
        """The current item."""
        answer = self.get("/api/items/current")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def masks(self, item: Mapping[str, Any]) -> list[Mask]:
        """An item's masks by slot, decoded by OpenCV."""
        contents = [self.get(candidate["mask"]).content for candidate in item["candidates"]]
        return [decoded(content) > 0 for content in contents]

    def post(self, **decision: Any) -> requests.Response:
        """Send a decision; whatever is not named is as a page would send it."""
        body = {"item": None, "slot": None, "elapsed_ms": 1200, "tab": self.tab,
                "key": f"{self.tab}-{next(self._keys)}", **decision}  # fmt: skip
        return self.session.post(self.url + "/api/decisions", json=body, timeout=PATIENCE_S)

    def decide(self, kind: str, slot: int | None = None) -> dict[str, Any]:
        """Decide on the current item; returns what comes next."""
        answer = self.post(item=self.item()["item"], kind=kind, slot=slot)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["next"])

    def put(
        self, item: str, content: bytes, *, from_slot: int = 0, **query: Any
    ) -> requests.Response:
        """Send a drawing's bytes."""
        return self.session.put(
            f"{self.url}/api/items/{item}/drawing",
            params={"from_slot": from_slot, "elapsed_ms": 5000, "tab": self.tab, **query},
            data=content,
            headers={"Content-Type": "image/png"},
            timeout=PATIENCE_S,
        )


class Site:
    """A study that is served.

    Parameters
    ----------
    study, tokens
        As ``new_study`` gave them.
    """

    def __init__(self, study: Study, tokens: dict[str, str]) -> None:
        self.study, self.tokens = study, tokens
        app = make_app(study, hosts=frozenset({"127.0.0.1"}))
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        """Where it is served."""
        (port,) = {s.getsockname()[1] for server in self._server.servers for s in server.sockets}
        return f"http://127.0.0.1:{port}"

    def enter(self, name: str, *, tab: str = "tab-1") -> Doctor:
        """Sign somebody in."""
        session = requests.Session()
        session.headers["X-Infmap"] = "1"
        answer = session.post(
            f"{self.url}/sign-in",
            data={"name": name, "token": self.tokens[name]},
            allow_redirects=False,
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 303, answer.text
        return Doctor(self.url, session, tab)

    def decisions(self) -> list[dict[str, Any]]:
        """Every row, as it stands in the study."""
        rows = self.study.database.reading().execute("SELECT * FROM decision ORDER BY id")
        return [dict(row) for row in rows]

    @contextlib.contextmanager
    def open(self) -> Iterator[Site]:
        """Serve while the block lasts."""
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)
        try:
            yield self
        finally:
            self._server.should_exit = True
            self._thread.join(10)


OpenSite = Callable[..., Site]
"""Makes and serves a study, with the options of ``new_study``."""


def encoded(picture: NDArray[Any]) -> bytes:
    """A picture as PNG."""
    return cv2.imencode(".png", picture)[1].tobytes()


def decoded(content: bytes) -> NDArray[Any]:
    """A PNG's pixels as they are stored."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def drawing(mask: Mask) -> bytes:
    """A mask as the drawing page sends it."""
    return encoded(mask.astype(np.uint8) * 255)
