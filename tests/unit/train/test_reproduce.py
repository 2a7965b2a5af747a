"""A plan as a user gives it: real trainings, killed and taken up again; and what it would cost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_S

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("distributed", reason="the cohort extra is not installed")

from commands import run_command
from infmap_kit.errors import HostMismatch
from infmap_kit.text import json_line
from infmap_train.reproduction.cost import cost_of, count_radiographs
from infmap_train.reproduction.order import TrainingOrder
from infmap_train.reproduction.plan import TrainingPlan
from infmap_train.run_state import STATE, read_state
from processes import heed_ctrl_c, processes_naming
from train.conftest import write_data

pytestmark = pytest.mark.train

_PLAN = """
gpu = {gpu}
[fit]
encoder_weights = "none"
epochs = {epochs}
batch_size = 2
learning_rate = 1e-4
small_epochs = {epochs}
small_size = 32
folds = 2
[[trainings]]
architectures = ["unet"]
encoders = ["efficientnetlite0"]
frozen = [{frozen}]
"""
NAMES = [
    f"seed-0/u-net-efficientnet-lite0-{frozen}/fold-{fold}"
    for frozen in ("not-frozen", "frozen")
    for fold in (1, 2)
]


def _plan(*, gpu: str = "false", epochs: int = 3, frozen: str = "false, true") -> str:
    return _PLAN.format(gpu=gpu, epochs=epochs, frozen=frozen)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    write_data(tmp_path / "data", covid=6, normal=6)
    path = tmp_path / "plan.toml"
    path.write_text(_plan())
    return path


def _told(*words: object, code: int = 0) -> tuple[Any, str]:
    """The document on stdout, and stderr."""
    done = run_command("infmap-train", *words, "--json", timeout=600)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


def _epochs(runs: Path) -> int:
    return sum(len((read_state(runs / name) or {"history": []})["history"]) for name in NAMES)


def _tables(runs: Path) -> Any:
    """What `summarise` makes of the folder as it is, without where that lies."""
    document, _ = _told("summarise", runs)
    return [{**network, "runs": sorted(network["runs"])} for network in document["networks"]]


@contextlib.contextmanager
def _running(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "infmap_train.cli", *map(str, words)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _until(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not happened():
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_plan_that_is_killed_three_times_ends_as_an_unbroken_one(
    plan: Path, tmp_path: Path
) -> None:
    # A start costs more than an epoch: one network in two folds, of so many epochs that each kill meets them.
    plan.write_text(_plan(epochs=8, frozen="true"))
    names = NAMES[2:]
    asked = ("reproduce", plan, "--data", tmp_path / "data", "--runs")
    told, _ = _told(*asked, tmp_path / "unbroken", "--workers", 2)
    assert sorted(told["done"]) == sorted(names)
    assert (told["failed"], told["deaths"], told["epochs_done"]) == ({}, 0, 16)

    runs = tmp_path / "killed"
    with _running(*asked, runs, "--workers", 2) as process:
        # A worker, with what it trains.
        _until(process, lambda: _epochs(runs) >= 1)
        os.kill(_parent(processes_naming(str(runs / "seed-0"))[0]), signal.SIGKILL)
        # The command with its scheduler.
        reached = _epochs(runs)
        _until(process, lambda: _epochs(runs) >= reached + 3)
        process.kill()
    with _running(*asked, runs, "--workers", 2) as process:
        _until(process, lambda: bool(processes_naming(str(runs / "seed-0"))))
        reached = _epochs(runs)
        _until(process, lambda: _epochs(runs) > reached)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert "give the same command again" in stderr.decode().splitlines()[-1]
    deadline = time.monotonic() + PATIENCE_S
    while processes_naming(str(runs / "seed-0")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_naming(str(runs / "seed-0")), "nothing trains on"

    written = {name: _written(runs / name) for name in names}
    told, _ = _told(*asked, runs, "--workers", 2)
    assert (len(told["done"]), told["failed"]) == (2, {})
    assert told["summarise"] == [str(runs / "seed-0")]
    for name, at_ns in written.items():
        assert at_ns is None or _written(runs / name) == at_ns, "nothing is trained twice"
        epochs = re.findall(r" epoch (\d)  image_size", (runs / f"{name}.log").read_text())
        assert len(epochs) == len(set(epochs)), "nor is an epoch"
        history = [_without_time(folder / name) for folder in (runs, tmp_path / "unbroken")]
        assert history[0] == history[1]
    assert _tables(runs) == _tables(tmp_path / "unbroken")
    assert _tables(runs / "seed-0")[0]["folds"] == 2


def _written(run: Path) -> int | None:
    """When a finished run was written."""
    path = run / "spec.json"
    return path.stat().st_mtime_ns if path.exists() else None


def _without_time(run: Path) -> list[dict[str, Any]]:
    state = json.loads((run / STATE).read_text())
    return [{key: v for key, v in row.items() if key != "seconds"} for row in state["history"]]


def test_a_training_does_not_outlive_whoever_began_it(plan: Path, tmp_path: Path) -> None:
    with _process(plan, tmp_path) as process:
        time.sleep(1)
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=PATIENCE_S) == -signal.SIGKILL


def test_a_training_for_gpus_does_not_begin_on_a_cpu(plan: Path, tmp_path: Path) -> None:
    plan.write_text(_plan(gpu="true"))
    with _process(plan, tmp_path) as process:
        assert process.stdout is not None
        said = process.stdout.read().decode()
        assert process.wait(timeout=PATIENCE_S) == HostMismatch.exit_code, said
    assert "TensorFlow sees none here" in said
    assert not (tmp_path / "run" / STATE).exists()


@contextlib.contextmanager
def _process(plan: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a plan's first training, as a worker starts it, which holds its stdin open."""
    read = TrainingPlan.read(str(plan))
    first = read.trainings[0]
    order = TrainingOrder(
        network=first.network, options=first.options, data=str(folder / "data"),
        run=str(folder / "run"), gpu=read.gpu, data_licence="invented",
    )  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "infmap_train.reproduction.process", order.run],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    ) as process:  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(json_line(dataclasses.asdict(order)))
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def test_the_papers_plan_has_the_papers_steps() -> None:
    plan = TrainingPlan.read("paper")
    counts = count_radiographs(None, plan.trainings[0].options)
    # Table II: 10,035 of each class after augmentation, in batches of 32.
    assert counts.steps(plan.trainings[0].options) == 2 * 10035 // 32


def test_a_stated_throughput_goes_with_the_multiplications(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / NAMES[0]).mkdir(parents=True)
    (tmp_path / "runs" / NAMES[0] / "spec.json").write_text("{}")
    read = TrainingPlan.read(str(plan))
    cost = cost_of(read, data=tmp_path / "data", runs=tmp_path / "runs", throughput=100)
    thawed, frozen = cost.networks
    assert (thawed.trainings, thawed.left, frozen.left) == (2, 1, 2)
    # 6 of 12 radiographs are learnt from, in batches of 2, for 3 epochs of a 49th of the pixels.
    assert thawed.steps == {32: 9}
    assert thawed.step_s[32] == pytest.approx(2 / 100 * (0.63 / 5.73) / 49, rel=0.02)
    assert cost.left_s == pytest.approx(3 * 9 * thawed.step_s[32])
    assert cost.as_json()["time_of_a_step"].startswith("Stated: 100 radiographs a second")


def test_a_dry_run_times_a_step_and_trains_nothing(plan: Path, tmp_path: Path) -> None:
    plan.write_text(_plan(gpu="true", frozen="false"))
    asked = ("reproduce", plan, "--dry-run", "--data", tmp_path / "data", "--runs", tmp_path / "r")
    told, _ = _told(*asked)
    (network,) = told["networks"]
    assert told["time_of_a_step"].startswith("Measured: one step of each network on ")
    assert (told["covid"], told["normal"], told["left"]) == (6, 6, 2)
    assert network["step_s"]["32"] > 0
    assert told["one_worker_s"] == pytest.approx(2 * 9 * network["step_s"]["32"])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ((), 1, "expected --data DATA and --runs FOLDER, or --dry-run"),
        (("--throughput", 9), 1, "--throughput is for --dry-run"),
        (("--data", "nowhere", "--runs", "runs"), 4, "this machine has none"),
        (("--data", "d", "--runs", "r", "--scheduler", "tcp://127.0.0.1:9", "--workers", 2), 1, "leave it out"),
    ],
)  # fmt: skip
def test_what_cannot_be_begun_is_told_at_once(
    more: tuple[object, ...], code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    document, stderr = _told("reproduce", "paper", *more, code=code)
    assert told in document["error"]
    assert len(stderr.splitlines()) == 1
