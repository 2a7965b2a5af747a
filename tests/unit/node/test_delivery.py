"""Delivery: patient with a destination that is away, done with what it never takes."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.node.config import StowDestination
from infmap_kit.node.dicom import delivery as sender_module
from infmap_kit.node.dicom.delivery import Sender
from infmap_kit.node.dicom.response import (
    DestinationUnavailable,
    Meaning,
    StoreResponse,
    response_of,
)
from infmap_kit.node.queue import view
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.outbox import Outbox
from infmap_kit.node.queue.states import ResultFile, State
from infmap_kit.node.queue.store import Store

Answer = Callable[[str], StoreResponse]


class Bench:
    """A sender whose destination and clock are the test's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, images: int) -> None:
        self.folder, self.now_s, self.pause_s = folder, 1000.0, 0.0
        self.sent: list[str] = []
        self.answer: Answer = lambda _: StoreResponse(Meaning.STORED)
        self.database = Database(folder / "node.db")
        store = Store(self.database)
        for number in range(1, images + 1):
            file = f"{number}.dcm"
            (folder / file).touch()
            store.add(sop_instance_uid=file, sha256="", file=file, size_bytes=1, caller="A")
            job = store.claim("w")
            assert job is not None
            result = ResultFile(kind="sc", sop_instance_uid=file, file=file)
            store.processed(
                job, "w", outcome=State.DONE, reason="", results=[result], destinations=["web"]
            )
        monkeypatch.setattr(sender_module, "sending", self._sending)
        monkeypatch.setattr("infmap_kit.node.dicom.delivery.time.monotonic", lambda: self.now_s)
        destination = StowDestination(
            name="web", kind="stow-rs", url="http://pacs", max_refusals=3, give_up_after_h=1
        )
        self.sender = Sender(destination, Outbox(self.database), results=folder, ae_title="INFMAP")

    @contextlib.contextmanager
    def _sending(self, *_: Any, **__: Any) -> Iterator[Callable[[Path], StoreResponse]]:
        def send(path: Path) -> StoreResponse:
            self.sent.append(path.name)
            return self.answer(path.name)

        yield send

    def step(self, times: int = 1) -> float:
        """So many steps, each after the pause that the one before asked for."""
        for _ in range(times):
            self.now_s += self.pause_s
            self.pause_s = self.sender.step()
        return self.pause_s

    def states(self) -> dict[str, int]:
        counts = view.overview(self.database).images
        return {state: number for state, number in counts.items() if number}


def _stored(_: str) -> StoreResponse:
    return StoreResponse(Meaning.STORED)


def _away(_: str) -> StoreResponse:
    raise DestinationUnavailable("it does not answer")


def test_all_that_waits_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, images=40)
    bench.step(3)
    assert bench.states() == {"done": 40}
    assert len(bench.sent) == 40


def test_pauses_grow_up_to_a_limit_while_it_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, monkeypatch, images=2)
    bench.answer = _away
    with caplog.at_level(logging.INFO, "infmap_kit.node"):
        pauses_s = [bench.step() for _ in range(20)]
        assert pauses_s[0] <= 1
        assert all(30 <= pause <= 60 for pause in pauses_s[-8:])
        assert bench.sender.trouble == "it does not answer"
        bench.answer = lambda _: StoreResponse(Meaning.STORED)
        bench.step(4)
    assert bench.states() == {"done": 2}
    lines = [record.message for record in caplog.records]
    assert lines == ["destination web: it does not answer", "destination web: well again"]


def test_what_was_away_for_too_long_is_dead_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch, images=2)
    bench.answer = _away
    bench.step(30)
    assert bench.states() == {"delivering": 2}, "half an hour is not too long"
    bench.step(80)
    assert bench.states() == {"failed": 2}
    assert view.image(bench.database, 1)["reason"] == "not delivered to web: it does not answer"
    assert (tmp_path / "1.dcm").exists()


def test_a_changed_clock_makes_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, images=1)
    bench.answer = _away
    bench.step()
    with bench.database.transaction() as sql:
        sql.execute("UPDATE image SET received_at = '2099-01-01T00:00:00.000+00:00'")
    bench.step(3)
    assert bench.states() == {"delivering": 1}


@pytest.mark.parametrize(("status", "times"), [(0xA900, 1), (0x0122, 1), (0xC000, 3)])
def test_a_refused_object_is_dead_after_its_number_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, times: int
) -> None:
    bench = Bench(tmp_path, monkeypatch, images=3)
    bench.answer = lambda name: response_of(status if name == "2.dcm" else 0)
    bench.step(1)
    assert bench.sent[:3] == ["1.dcm", "2.dcm", "3.dcm"]
    assert bench.states()["done"] == 2
    for _ in range(100):
        bench.now_s += 1
        bench.sender.step()
    assert bench.sent.count("2.dcm") == times
    assert bench.states() == {"done": 2, "failed": 1}


def test_an_object_on_which_the_destination_breaks_off_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_BATCH", 2)
    bench = Bench(tmp_path, monkeypatch, images=12)
    bench.answer = lambda name: _away(name) if name in ("1.dcm", "2.dcm") else _stored(name)
    bench.step(9)
    assert bench.states() == {"done": 10, "delivering": 2}
    bench.step(12)
    assert bench.states() == {"done": 10, "delivering": 2}, "it may be the destination's own fault"
    bench.answer = _stored
    bench.step(2)
    assert bench.states() == {"done": 12}


def test_a_result_whose_file_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch, images=2)
    (tmp_path / "1.dcm").unlink()
    bench.step(2)
    assert bench.states() == {"done": 1, "failed": 1}
    assert "gone" in json.dumps(view.image(bench.database, 1))
