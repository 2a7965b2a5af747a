"""Which trainings of a plan are given to which workers, and what becomes of those that fail or lose them.

The trainings are stand-ins that leave the files of a real one, by which all is decided here. Real ones are
killed in ``test_reproduce.py``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_S

distributed = pytest.importorskip("distributed", reason="the cohort extra is not installed")

from infmap_kit.cluster import ClusterOptions, is_wanted
from infmap_kit.errors import HostMismatch, ServerError, TrainingError
from infmap_kit.model.files import write_json
from infmap_train.reproduction import run as running
from infmap_train.reproduction.order import TrainingOrder, locked
from infmap_train.reproduction.plan import TrainingPlan
from infmap_train.reproduction.run import (
    ReproductionRun,
    ReproductionStart,
    TrainingTally,
    conduct,
)
from infmap_train.reproduction.task import Ended, ended
from infmap_train.run_state import STATE, read_state, take_up

_TEXT = """
gpu = {gpu}
[fit]
encoder_weights = "none"
epochs = {epochs}
folds = 3
[[trainings]]
architectures = ["unet"]
encoders = ["efficientnetlite0"]
"""
NAMES = [f"seed-0/u-net-efficientnet-lite0-not-frozen/fold-{fold}" for fold in (1, 2, 3)]

Work = Callable[[TrainingOrder], Ended]


def _plan(*, gpu: bool = False, epochs: int = 4) -> TrainingPlan:
    text = _TEXT.format(gpu=str(gpu).lower(), epochs=epochs)
    return TrainingPlan.parse(text.encode(), "plan.toml", Path("/"))


def _train(order: TrainingOrder, *, epochs: int, ends: bool = True) -> None:
    """What a training leaves after so many more epochs."""
    run = Path(order.run)
    identity = {
        "network": dataclasses.asdict(order.network),
        "options": dataclasses.asdict(order.options),
    }
    state = take_up(run, identity)
    state["history"] += [{"seconds": 2.0}] * epochs
    write_json(run / STATE, state)
    if ends:
        write_json(run / "spec.json", {})


@contextlib.contextmanager
def _cluster(**workers: dict[str, Any]) -> Iterator[str]:
    """Workers in this process, with what each offers; gives the scheduler's address."""
    usual = {"host": "127.0.0.1", "dashboard": False}
    with distributed.SpecCluster(
        workers={
            name: {"cls": distributed.Worker, "options": {**usual, "nthreads": 1, **offers}}
            for name, offers in workers.items()
        },
        scheduler={
            "cls": distributed.Scheduler,
            "options": {**usual, "port": 0, "dashboard_address": ":0"},
        },
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with _cluster(gpu={"resources": {"GPU": 1}}, bare={}) as address:
        yield address


Train = Callable[..., TrainingTally]


@pytest.fixture
def train(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Work on a plan with a stand-in for what a worker does: ``train(plan, work)``."""
    monkeypatch.setattr(running, "_LOOK_S", 0.01)

    def to_the_end(plan: TrainingPlan, work: Work, *, tries: int = 3) -> TrainingTally:
        monkeypatch.setattr(running, "work", functools.partial(_noted, work))
        start = ReproductionStart(
            plan=plan, data=tmp_path, runs=tmp_path / "runs",
            cluster=ClusterOptions(scheduler=scheduler), tries=tries,
        )  # fmt: skip
        *_, tally = conduct(start)
        return tally

    return to_the_end


def _noted(work: Work, order: TrainingOrder, *_: object) -> Ended:
    """Note in the training's log which worker began it."""
    order.log.parent.mkdir(parents=True, exist_ok=True)
    with order.log.open("a") as log:
        log.write(f"{distributed.get_worker().name}\n")
    return work(order)


def _begun(runs: Path) -> list[list[str]]:
    """By training, the workers that began it."""
    return [(runs / f"{name}.log").read_text().split() for name in NAMES]


def _whole(order: TrainingOrder) -> Ended:
    _train(order, epochs=order.options.epochs)
    return Ended()


def _second_fails(order: TrainingOrder) -> Ended:
    return Ended(reason="the loss became nan") if order.options.fold == 1 else _whole(order)


def _killed_after_an_epoch(order: TrainingOrder) -> Ended:
    reached = len((read_state(Path(order.run)) or {"history": []})["history"]) + 1
    is_last = reached == order.options.epochs
    _train(order, epochs=1, ends=is_last)
    return Ended() if is_last else Ended(was_killed=True, reason="killed")


def _always_killed(order: TrainingOrder) -> Ended:
    return Ended(was_killed=True, reason="killed") if order.options.fold == 1 else _whole(order)


def _impossible_here(_order: TrainingOrder) -> Ended:
    raise HostMismatch("TensorFlow sees no GPU")


def _says_so_alone(_order: TrainingOrder) -> Ended:
    return Ended()


def _while_wanted(order: TrainingOrder) -> Ended:
    while is_wanted():
        time.sleep(0.01)
    Path(f"{order.run}.left").touch()
    return Ended(was_killed=True)


def test_whoever_stops_leaves_nothing_running_on_a_cluster(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "work", functools.partial(_noted, _while_wanted))
    runs = tmp_path / "runs"
    start = ReproductionStart(
        plan=_plan(), data=tmp_path, runs=runs, cluster=ClusterOptions(scheduler=scheduler)
    )
    tallies = conduct(start)
    deadline = time.monotonic() + PATIENCE_S
    while len(list(runs.rglob("*.log"))) < 2 and time.monotonic() < deadline:
        assert len(next(tallies).running) <= 2
    assert not list(runs.rglob("*.left"))
    tallies.close()
    while len(list(runs.rglob("*.left"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(runs.rglob("*.left"))) == len(list(runs.rglob("*.log"))) == 2


def test_what_fails_stops_no_other_and_is_tried_again_by_the_next_call(
    train: Train, tmp_path: Path
) -> None:
    tally = train(_plan(), _second_fails)
    assert tally.failed == {NAMES[1]: "the loss became nan"}
    assert sorted(tally.done) == [NAMES[0], NAMES[2]]
    assert (tally.kept, tally.epochs_done, tally.epochs) == (0, 8, 12)
    before = [(tmp_path / "runs" / name / STATE).stat().st_mtime_ns for name in tally.done]
    again = train(_plan(), _whole)
    assert (again.kept, again.failed, len(again.done), again.epochs_done) == (2, {}, 3, 12)
    assert [len(workers) for workers in _begun(tmp_path / "runs")] == [1, 2, 1]
    after = [(tmp_path / "runs" / name / STATE).stat().st_mtime_ns for name in tally.done]
    assert before == after, "what is there is not trained again"


def test_a_training_that_comes_further_may_lose_any_number_of_workers(
    train: Train, tmp_path: Path
) -> None:
    tally = train(_plan(epochs=4), _killed_after_an_epoch, tries=2)
    assert len(tally.done) == 3
    assert tally.failed == {}
    assert tally.deaths == 9
    assert [len(workers) for workers in _begun(tmp_path / "runs")] == [4, 4, 4]


def test_a_training_that_always_loses_its_worker_has_failed(train: Train, tmp_path: Path) -> None:
    tally = train(_plan(), _always_killed, tries=3)
    assert tally.failed == {NAMES[1]: "killed; 3 times without an epoch between"}
    assert len(tally.done) == 2
    assert [len(workers) for workers in _begun(tmp_path / "runs")] == [1, 3, 1]


def test_trainings_for_gpus_go_to_workers_that_have_one(train: Train, tmp_path: Path) -> None:
    tally = train(_plan(gpu=True), _whole)
    assert tally.workers == 1
    assert {name for workers in _begun(tmp_path / "runs") for name in workers} == {"gpu"}
    assert train(_plan(), _whole).kept == 3, "where they were trained is not what they are"


def test_without_a_worker_that_has_a_gpu_a_plan_for_gpus_is_refused(tmp_path: Path) -> None:
    with _cluster(bare={}) as address:
        start = ReproductionStart(
            plan=_plan(gpu=True), data=tmp_path, runs=tmp_path / "runs",
            cluster=ClusterOptions(scheduler=address),
        )  # fmt: skip
        with pytest.raises(ServerError, match=r"--resources GPU=1.*gpu = false"):
            list(conduct(start))


def test_a_machine_that_can_do_no_training_stops_all(train: Train, tmp_path: Path) -> None:
    with pytest.raises(HostMismatch, match="sees no GPU"):
        train(_plan(), _impossible_here)
    assert not list((tmp_path / "runs").rglob("spec.json"))


def test_a_worker_that_writes_elsewhere_has_trained_nothing(train: Train) -> None:
    tally = train(_plan(), _says_so_alone)
    assert len(tally.failed) == 3
    assert "another disk" in tally.failed[NAMES[0]]


def test_a_plan_with_other_options_is_refused_before_anything_begins(
    train: Train, tmp_path: Path
) -> None:
    train(_plan(epochs=4), _second_fails)
    with pytest.raises(TrainingError, match="other options or data"):
        train(_plan(epochs=5), _whole)
    assert [len(workers) for workers in _begun(tmp_path / "runs")] == [1, 1, 1]


def test_two_calls_do_not_share_a_folder(train: Train, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "runs" / ".lock", patience_s=0, busy=""),
        pytest.raises(TrainingError, match="another process works on"),
    ):
        train(_plan(), _whole)


def test_the_end_is_estimated_from_the_epochs_that_are_known(tmp_path: Path) -> None:
    plan = _plan(epochs=4)
    start = ReproductionStart(plan=plan, data=tmp_path, runs=tmp_path)
    histories = {
        name: [{"seconds": 3.0}] * epochs for name, epochs in zip(NAMES, (0, 1, 3), strict=True)
    }
    assert ReproductionRun(start, "", histories).tally.ends_in_s == 3 * (4 + 3 + 1)
    unknown: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    assert ReproductionRun(start, "", unknown).tally.ends_in_s is None


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [
        (0, "error: of an earlier try\n", Ended()),
        (1, "epoch 1\nerror: the data are unfit\n", Ended(reason="the data are unfit")),
        (1, "Traceback\nValueError: shapes\n", Ended(reason="ValueError: shapes")),
        (1, "", Ended(reason="it ended with code 1")),
        (
            -9,
            "epoch 1\n",
            Ended(
                reason="its process was ended by SIGKILL: was there enough memory?", was_killed=True
            ),
        ),
        (-11, "", Ended(reason="its process was ended by SIGSEGV", was_killed=True)),
    ],
)
def test_why_a_training_ended_is_told_in_one_line(
    code: int, log: str, expected: Ended, tmp_path: Path
) -> None:
    path = tmp_path / "fold-1.log"
    earlier = "error: of an earlier try\n"
    path.write_text(earlier + log)
    assert ended(code, path, begun_bytes=len(earlier)) == expected
