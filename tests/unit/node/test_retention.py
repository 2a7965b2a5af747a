"""What is finished is forgotten by age and space; what is not, never."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from infmap_kit.node import retention
from infmap_kit.node.config import Retention
from infmap_kit.node.queue import view
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import ResultFile, State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.retention import Cleaner
from infmap_kit.node.spool import Spool

_STATES = (State.DONE, State.REJECTED, State.IGNORED, State.FAILED, State.WAITING)


@pytest.fixture
def filled(spool: Spool, store: Store) -> Store:
    """One radiograph in each state, 1 MiB each, its result as large."""
    for number, state in enumerate(_STATES, start=1):
        (spool.images / f"{number}.dcm").write_bytes(b"\0" * 2**20)
        store.add(
            sop_instance_uid=str(number), sha256="", file=f"{number}.dcm", size_bytes=1, caller="A"
        )
        if state is State.WAITING:
            continue
        job = store.claim("w")
        assert job is not None
        (spool.results / f"{number}-sc.dcm").write_bytes(b"\0" * 2**20)
        result = ResultFile(kind="sc", sop_instance_uid="", file=f"{number}-sc.dcm")
        if state is State.IGNORED:
            store.ignore(job, "w", "")
        elif state is State.FAILED:
            store.attempt_failed(job, "w", "", max_attempts=1)
        else:
            store.processed(job, "w", outcome=state, reason="", results=[result], destinations=[])
    return store


def _left(store: Store) -> list[str]:
    return [image["state"] for image in reversed(view.images(store.database))]


class Machine:
    """The kernel's count since the machine booted, and the wall clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot, self.up_s = "first", 100.0
        self.wall = dt.datetime.now(dt.UTC)
        monkeypatch.setattr("infmap_kit.node.queue.age.boottime_s", lambda: self.up_s)
        monkeypatch.setattr("infmap_kit.node.queue.age.boot_id", lambda: self.boot)
        machine = self

        class Clock(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> Clock:
                return cls.fromtimestamp(machine.wall.timestamp(), tz)

        monkeypatch.setattr("datetime.datetime", Clock)

    def runs(self, days: float) -> None:
        self.up_s += 86400 * days
        self.wall += dt.timedelta(days=days)

    def is_off(self, days: float) -> None:
        self.boot, self.up_s = f"after {self.boot}", 1.0
        self.wall += dt.timedelta(days=days)


def test_by_age(filled: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    cleaner = Cleaner(Retention(days=7), spool, filled)
    cleaner.step()
    machine.runs(6)
    cleaner.step()
    assert len(_left(filled)) == 5
    machine.runs(2)
    cleaner.step()
    assert _left(filled) == ["failed", "waiting"]
    assert {path.name for path in spool.images.iterdir()} == {"4.dcm", "5.dcm"}
    assert view.overview(filled.database).counters["received"] == 5, "what was counted stays"


def _nothing() -> None:
    """The node goes on."""


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_jumps_makes_nothing_old_or_young(
    filled: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    machine = Machine(monkeypatch)
    Cleaner(Retention(days=7), spool, filled).step()
    # Set while the node runs, while it is ended, and while the machine is off.
    changes: tuple[Callable[[], None], ...] = (
        _nothing,
        filled.database.close,
        lambda: machine.is_off(0),
    )
    for change in changes:
        machine.wall += dt.timedelta(days=365 * years)
        change()
        again = Store(Database(spool.database))
        Cleaner(Retention(days=7), spool, again).step()
        assert len(_left(again)) == 5
        again.database.close()
    machine.runs(8)
    Cleaner(Retention(days=7), spool, filled).step()
    assert _left(filled) == ["failed", "waiting"]


def test_a_machine_that_is_off_ages_nothing_and_a_restarted_one_goes_on(
    filled: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    cleaner = Cleaner(Retention(days=7), spool, filled)
    for _ in range(4):
        cleaner.step()
        machine.runs(1.5)
        cleaner.step()
        machine.is_off(30)
    assert len(_left(filled)) == 5
    cleaner.step()
    machine.runs(1.5)
    cleaner.step()
    assert len(_left(filled)) == 2


def test_what_was_retried_is_young_again(
    filled: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    cleaner = Cleaner(Retention(days=7), spool, filled)
    cleaner.step()
    machine.runs(6)
    filled.retry(3)
    job = filled.claim("w")
    assert job is not None
    filled.ignore(job, "w", "")
    cleaner.step()
    machine.runs(2)
    cleaner.step()
    assert _left(filled) == ["ignored", "failed", "waiting"]


def test_by_space_the_oldest_first(filled: Store, spool: Spool) -> None:
    used = spool.used_bytes()
    Cleaner(Retention(max_gb=(used - 2**20) / 2**30), spool, filled).step()
    assert _left(filled) == ["rejected", "ignored", "failed", "waiting"]
    Cleaner(Retention(max_gb=1e-9), spool, filled).step()
    assert _left(filled) == ["failed", "waiting"]


def test_halves_that_stopped_growing_are_removed(
    store: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr("infmap_kit.node.retention.time.monotonic", lambda: now_s)
    cleaner = Cleaner(Retention(), spool, store)
    growing, left = spool.arriving / "growing", spool.arriving / "left"
    left.write_bytes(b"half")
    for _ in range(8):
        growing.write_bytes(b"\0" * int(now_s + 1))
        cleaner.step()
        now_s += retention.EVERY_S
    assert growing.exists()
    assert not left.exists()
