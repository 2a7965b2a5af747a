"""The durable queue: nothing is lost or done twice, whatever happens in whatever order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infmap_kit.errors import NodeError
from infmap_kit.node.queue import view
from infmap_kit.node.queue.age import ages_s
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.outbox import Outbox
from infmap_kit.node.queue.states import Job, ResultFile, State
from infmap_kit.node.queue.store import Known, Store
from infmap_kit.node.queue.transitions import Finished
from infmap_kit.node.spool import Spool, WorkerLock, is_dead
from node_queue import work_until_idle

RESULTS = [ResultFile(kind="sc", sop_instance_uid="1.2.3", file="1-sc.dcm")]


def _add(store: Store, number: int) -> int:
    added = store.add(
        sop_instance_uid=f"1.2.{number}",
        sha256="00",
        file=f"{number}.dcm",
        size_bytes=1,
        caller="A",
    )
    assert isinstance(added, int)
    return added


def _claimed(store: Store, worker: str = "w") -> Job:
    job = store.claim(worker)
    assert job is not None
    return job


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "node.db")


def test_a_radiograph_from_arrival_to_done(database: Database) -> None:
    finished: list[Finished] = []
    store = Store(database, on_finished=finished.append)
    outbox = Outbox(database, on_finished=finished.append)
    number = _add(store, 1)
    job = _claimed(store)
    assert job.image_id == number
    assert store.claim("another") is None
    assert store.processed(
        job, "w", outcome=State.DONE, reason="detected", results=RESULTS, destinations=["a", "b"]
    )
    (to_a,), (to_b,) = (outbox.deliveries(name, besides=(), limit=9) for name in "ab")
    outbox.delivered(to_a, "")
    assert finished == []
    outbox.delivered(to_b, "0xB000 coercion of data elements")
    assert [(one.image_id, one.state) for one in finished] == [(number, State.DONE)]
    assert 0 <= (finished[0].latency_s or -1) < 60
    shown = view.image(database, number)
    assert shown["state"] == "done"
    assert "1.2.1" not in str(shown)
    assert [event["what"] for event in shown["history"]] == [
        "received from A",
        "processed: detected",
        "sc delivered to b with a warning: 0xB000 coercion of data elements",
        "done: detected",
    ]
    assert view.image(database, number, identify=True)["sop_instance_uid"] == "1.2.1"


def test_the_same_uid_is_entered_once(database: Database) -> None:
    store = Store(database)
    number = _add(store, 1)
    again = store.add(sop_instance_uid="1.2.1", sha256="11", file="x", size_bytes=1, caller="B")
    assert again == Known(image_id=number, file="1.dcm", sha256="00", rejection="")
    assert view.overview(database).counters["received"] == 1


def test_a_damaged_file_is_replaced_until_it_led_to_a_finding(database: Database) -> None:
    store = Store(database)
    number = _add(store, 1)
    job = _claimed(store)
    known = Known(image_id=number, file="1.dcm", sha256="00", rejection="")

    def put(file: str, known: Known) -> bool:
        return store.replace(
            known, sha256="22", file=file, size_bytes=2, caller="B", results_bytes=7
        )

    assert put("2.dcm", known)
    assert not put("3.dcm", known), "that one is no longer what is there"
    assert store.promised_bytes() == 7
    assert not store.processed(
        job, "w", outcome=State.DONE, reason="", results=RESULTS, destinations=["a"]
    ), "it was made of the old file"
    job = _claimed(store)
    assert (job.image_id, job.file) == (number, "2.dcm")
    store.processed(job, "w", outcome=State.DONE, reason="", results=RESULTS, destinations=[])
    assert not put("4.dcm", Known(image_id=number, file="2.dcm", sha256="22", rejection=""))
    assert view.overview(database).counters["replaced"] == 1


def test_what_is_finished_can_be_forgotten_and_nothing_else(database: Database) -> None:
    store = Store(database)
    first, second = _add(store, 1), _add(store, 2)
    done = _claimed(store)
    store.processed(done, "w", outcome=State.DONE, reason="", results=RESULTS, destinations=[])
    assert store.promised_bytes() == 0
    assert store.forget(first) == ["1.dcm", "1-sc.dcm"]
    assert store.forget(first) == store.forget(second) == []
    assert [image["id"] for image in view.images(database)] == [second]


def test_events_without_a_change_of_state_are_counted(database: Database) -> None:
    store = Store(database)
    store.count("duplicate")
    store.count_all({"duplicate": 2, "refused": 3})
    counters = view.overview(database).counters
    assert (counters["duplicate"], counters["refused"]) == (3, 3)


def test_a_failing_radiograph_goes_last_and_is_given_up(database: Database) -> None:
    store = Store(database)
    first, second = _add(store, 1), _add(store, 2)
    job = _claimed(store)
    assert not store.attempt_failed(job, "w", "odd", max_attempts=2)
    assert _claimed(store).image_id == second, "the other one goes first"
    job = _claimed(store, "w2")
    assert job.image_id == first
    assert store.attempt_failed(job, "w2", "odd", max_attempts=2)
    assert view.image(database, first)["state"] == "failed"
    assert view.image(database, first)["reason"] == "odd"
    assert store.retry(first) is State.WAITING, "it has no results to deliver"


def test_what_a_worker_lost_it_cannot_enter(tmp_path: Path, database: Database) -> None:
    spool = Spool(tmp_path / "spool")
    store = Store(database)
    _add(store, 1)
    lock = WorkerLock(spool)
    job = _claimed(store, lock.name)
    assert store.reclaim(lambda name: is_dead(spool, name), max_crashes=9) == 0
    lock.release()
    assert store.reclaim(lambda name: is_dead(spool, name), max_crashes=9) == 1
    assert _claimed(store, "another").image_id == job.image_id
    entered = store.processed(
        job, lock.name, outcome=State.DONE, reason="", results=RESULTS, destinations=["a"]
    )
    assert not entered
    assert not store.attempt_failed(job, lock.name, "odd", max_attempts=1)
    assert view.overview(database).deliveries == {}


def test_a_radiograph_on_which_the_process_dies_is_given_up(database: Database) -> None:
    store = Store(database)
    poison, good = _add(store, 1), _add(store, 2)
    for _ in range(3):
        assert _claimed(store, "dying").image_id == poison
        if _ == 0:
            assert _claimed(store, "other").image_id == good
        store.reclaim(lambda name: name == "dying", max_crashes=3)
    assert view.image(database, poison)["state"] == "failed"
    assert "ended 3 times" in view.image(database, poison)["reason"]


@pytest.mark.parametrize("outcome", [State.DONE, State.REJECTED])
def test_retry_of_what_is_dead_and_of_what_is_done(database: Database, outcome: State) -> None:
    store, outbox = Store(database), Outbox(database)
    number = _add(store, 1)
    with pytest.raises(NodeError, match="radiograph 1 is waiting: only what is finished"):
        store.retry(number)
    with pytest.raises(NodeError, match="there is no radiograph 99"):
        store.retry(99)
    store.processed(
        _claimed(store), "w", outcome=outcome, reason="", results=RESULTS, destinations=["a", "b"]
    )
    (to_a,), (to_b,) = (outbox.deliveries(name, besides=(), limit=9) for name in "ab")
    outbox.delivered(to_a, "")
    outbox.refused(to_b, "0xA900", is_dead=True)
    assert view.image(database, number)["reason"] == "not delivered to b: 0xA900"
    assert store.retry(number) is State.DELIVERING
    assert outbox.deliveries("a", besides=(), limit=9) == [], "it arrived there"
    outbox.delivered(to_b, "")
    assert view.image(database, number)["state"] == outcome
    if outcome is State.DONE:
        assert store.retry(number) is State.DELIVERING
        assert len(outbox.deliveries("a", besides=(), limit=9)) == 1, "once more"
    else:
        assert store.retry(number) is State.WAITING
        assert view.overview(database).deliveries == {}


def test_dead_letters_are_retried_while_another_destination_is_away(database: Database) -> None:
    store, outbox = Store(database), Outbox(database)
    number = _add(store, 1)
    results = [ResultFile(kind=k, sop_instance_uid=k, file=f"{k}.dcm") for k in ("seg", "sr")]
    store.processed(
        _claimed(store), "w", outcome=State.DONE, reason="",
        results=results, destinations=["away", "strict"],
    )  # fmt: skip
    with pytest.raises(NodeError, match="1 is delivering: only what is finished or a dead letter"):
        store.retry(number)
    seg, sr = outbox.deliveries("strict", besides=(), limit=9)
    outbox.refused(seg, "0xC000", is_dead=False)
    outbox.refused(seg, "0xA900", is_dead=True)
    outbox.delivered(sr, "0xB000")
    outbox.waited("away", 60, "it does not answer", give_up_after_s=3600)
    assert store.retry(number) is State.DELIVERING
    assert outbox.deliveries("strict", besides=(), limit=9) == [seg]
    shown = view.image(database, number)
    assert [one["waited_s"] for one in shown["deliveries"] if one["destination"] == "away"] == [
        60, 60,
    ]  # fmt: skip
    outbox.delivered(seg, "")
    outbox.waited("away", 3600, "it does not answer", give_up_after_s=3600)
    history = [event["what"] for event in view.image(database, number)["history"]]
    assert history[2:] == [
        "seg refused by strict: 0xC000",
        "seg refused by strict for good: 0xA900",
        "sr delivered to strict with a warning: 0xB000",
        "retried, it was delivering",
        "seg to away given up: it does not answer",
        "sr to away given up: it does not answer",
        "failed: not delivered to away: it does not answer",
    ]


def test_a_transaction_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    """Kill -9 between a statement and its commit."""
    path = tmp_path / "node.db"
    store = Store(Database(path))
    _add(store, 1)
    store.database.close()
    child = os.fork()
    if child == 0:
        database = Database(path)
        with database.transaction() as sql:
            sql.execute("UPDATE image SET state = 'done'")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert view.overview(Database(path)).images["waiting"] == 1


def test_what_is_no_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is a text, and not a short one either" * 40)
    with pytest.raises(NodeError, match="cannot use .*no.db as a store"):
        Database(tmp_path / "no.db")
    other = sqlite3.connect(tmp_path / "newer.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(NodeError, match=r"of version 1, found 99"):
        Database(tmp_path / "newer.db")


def test_two_processes_on_one_queue_do_nothing_twice(tmp_path: Path) -> None:
    path, total = tmp_path / "node.db", 150
    store = Store(Database(path))
    for number in range(total):
        _add(store, number)
    context = multiprocessing.get_context("spawn")
    logs = [tmp_path / f"{name}.log" for name in "ab"]
    processes = [
        context.Process(target=work_until_idle, args=(path, tmp_path / "spool", log))
        for log in logs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    done = Counter(line for log in logs for line in log.read_text().split())
    assert len(done) == total
    assert set(done.values()) == {1}
    assert view.overview(store.database).counters["finished done"] == total


class Queue(RuleBasedStateMachine):
    """Any order of steps, crashes among them; the counts must always agree."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "node.db"
        self.finished: Counter[State] = Counter()
        self.jobs: dict[str, Job] = {}
        self.added = self.forgotten = 0
        self._open()

    def _open(self) -> None:
        self.database = Database(self.path)
        self.store = Store(self.database, on_finished=self._count)
        self.outbox = Outbox(self.database, on_finished=self._count)

    def _count(self, one: Finished) -> None:
        self.finished[one.state] += 1

    @rule(number=st.integers(0, 30))
    def arrive(self, number: int) -> None:
        added = self.store.add(
            sop_instance_uid=str(number), sha256="", file=str(number), size_bytes=1, caller="A"
        )
        self.added += isinstance(added, int)

    @rule(worker=st.sampled_from("xyz"))
    def claim(self, worker: str) -> None:
        job = self.store.claim(worker)
        self.jobs.pop(worker, None)
        if job is not None:
            assert job.image_id not in {one.image_id for one in self.jobs.values()}, "claimed twice"
            self.jobs[worker] = job

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), to=st.sets(st.sampled_from("ab")), rejected=st.booleans())
    def predict(self, data: st.DataObject, to: set[str], rejected: bool) -> None:
        worker = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs.pop(worker)
        outcome = State.REJECTED if rejected else State.DONE
        assert self.store.processed(
            job, worker, outcome=outcome, reason="", results=RESULTS, destinations=sorted(to)
        )

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), how=st.sampled_from(["failed", "put back", "ignored", "crashed"]))
    def not_processed(self, data: st.DataObject, how: str) -> None:
        worker = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs.pop(worker)
        if how == "failed":
            self.store.attempt_failed(job, worker, "odd", max_attempts=2)
        elif how == "put back":
            self.store.put_back(job, worker, "away")
        elif how == "ignored":
            self.store.ignore(job, worker, "no rule")
        else:
            assert self.store.reclaim(lambda name: name == worker, max_crashes=100) == 1
        late = self.store.processed(
            job, worker, outcome=State.DONE, reason="", results=RESULTS, destinations=["a"]
        )
        assert not late

    @rule(name=st.sampled_from("ab"), dead=st.booleans(), refused=st.booleans())
    def deliver(self, name: str, dead: bool, refused: bool) -> None:
        for one in self.outbox.deliveries(name, besides=(), limit=2):
            if refused:
                self.outbox.refused(one, "0xC000", is_dead=dead)
            else:
                self.outbox.delivered(one, "")

    @rule(name=st.sampled_from("ab"), seconds=st.floats(0, 100))
    def be_away(self, name: str, seconds: float) -> None:
        self.outbox.waited(name, seconds, "away", give_up_after_s=150)

    @rule()
    def retry_and_forget(self) -> None:
        for number, _ in ages_s(self.database)[:1]:
            self.forgotten += bool(self.store.forget(number))
        for failed in view.images(self.database, state=State.FAILED):
            self.store.retry(failed["id"])

    @rule()
    def restart(self) -> None:
        self.database.close()
        self._open()

    @invariant()
    def counts_agree(self) -> None:
        seen = view.overview(self.database)
        assert sum(seen.images.values()) == self.added - self.forgotten
        assert seen.counters.get("received", 0) == self.added
        assert seen.images["working"] == len(self.jobs)
        for state, number in self.finished.items():
            assert seen.counters[f"finished {state}"] == number
        waiting = sum(counts["waiting"] for counts in seen.deliveries.values())
        assert bool(waiting) == bool(seen.images["delivering"])

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


Queue.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAnyOrder = Queue.TestCase
