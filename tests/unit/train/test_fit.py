"""Training as a user meets it: killed, interrupted, taken up again, refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import InfmapError, SpecError, TrainingError
from infmap_kit.model.spec import Anatomy, NetworkSpec
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.options import FitOptions
from infmap_train.training.distribution import own_folder
from infmap_train.training.fit import fit
from train.conftest import ARGUMENTS, NETWORK, OPTIONS

pytestmark = pytest.mark.train


def _history(run: Path) -> list[dict[str, Any]]:
    rows = json.loads((run / "state.json").read_text())["history"]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def _stop_after_training(description: str, _done: int, _total: int) -> None:
    if description == "held-back":
        raise KeyboardInterrupt


def test_a_killed_training_ends_as_an_unbroken_one(
    pictures: data.Pictures, finished_run: Path, tmp_path: Path
) -> None:
    folder = pictures.samples[0].image.parent.parent
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "infmap_train.cli", "fit", f"--data={folder}", f"--run={run}"]
    with subprocess.Popen(
        [*command, *ARGUMENTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 240
        while not (run / "state.json").exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    # Two runs with one seed, in two processes: the first epochs are the same.
    assert _history(run) == _history(finished_run)[:1]
    assert not (run / "spec.json").exists()

    # What comes after the last epoch is compared elsewhere, and takes as long again.
    with pytest.raises(KeyboardInterrupt):
        fit(NETWORK, pictures, run, OPTIONS, progress=_stop_after_training)
    assert len(_history(run)) == 2
    assert _history(run) == _history(finished_run)
    assert _history(run)[0]["loss"] > _history(run)[1]["loss"]


def test_a_finished_run_is_read_and_not_trained_again(
    pictures: data.Pictures, finished_run: Path
) -> None:
    before = (finished_run / "spec.json").stat().st_mtime_ns
    report = fit(NETWORK, pictures, finished_run, OPTIONS)
    assert report == json.loads((finished_run / "metrics.json").read_text())
    assert (finished_run / "spec.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("earlier", [{}, {"target": "infection"}])
def test_a_run_of_before_there_was_an_anatomy_is_taken_up(
    earlier: dict[str, str], pictures: data.Pictures, finished_run: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(finished_run, old)
    state = json.loads((old / "state.json").read_text())
    del state["identity"]["options"]["anatomy"]
    state["identity"]["options"] |= earlier
    (old / "state.json").write_text(json.dumps(state))
    assert fit(NETWORK, pictures, old, OPTIONS) == json.loads((old / "metrics.json").read_text())


def test_masks_of_another_anatomy_are_refused(pictures: data.Pictures, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"masks of the lungs.*infection"):
        fit(NETWORK, pictures, tmp_path, dataclasses.replace(OPTIONS, anatomy=Anatomy.LUNGS))


def test_another_runs_folder_is_refused(pictures: data.Pictures, tmp_path: Path) -> None:
    identity = {"network": {}, "options": {}, "dataset": ""}
    (tmp_path / "state.json").write_text(
        json.dumps({"identity": identity, "history": [], "checkpoint": ""})
    )
    with pytest.raises(TrainingError, match="other options or data"):
        fit(NETWORK, pictures, tmp_path, OPTIONS)


def test_too_few_pictures_for_a_batch_are_named(pictures: data.Pictures, tmp_path: Path) -> None:
    options = FitOptions(batch_size=500, folds=2, encoder_weights="none")
    with pytest.raises(TrainingError, match="500"):
        fit(NETWORK, pictures, tmp_path, options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"anatomy": "heart"},
        {"schedule": "linear"},
        {"fold": 5},
        {"small_size": 100},
        {"flip_": 1},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((TrainingError, SpecError, TypeError)):
        FitOptions(**wrong)


def test_several_machines_write_beside_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number, wanted in ((0, tmp_path / "run"), (1, tmp_path / ".run.worker-1")):
        cluster = {"worker": ["one:1000", "two:1000"]}
        task = {"type": "worker", "index": number}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        assert own_folder(tmp_path / "run") == wanted
    monkeypatch.setenv("TF_CONFIG", "not JSON")
    with pytest.raises(TrainingError, match="TF_CONFIG"):
        own_folder(tmp_path / "run")


def test_a_training_starts_from_a_finished_run(
    pictures: data.Pictures, finished_run: Path, tmp_path: Path
) -> None:
    options = dataclasses.replace(OPTIONS, start_from=str(finished_run), epochs=1, small_epochs=1)
    run = tmp_path / "longer"
    with pytest.raises(KeyboardInterrupt):
        fit(NETWORK, pictures, run, options, progress=_stop_after_training)
    # The same pictures in the same order as the run's own first epoch, and less to learn.
    assert _history(run)[0]["loss"] < 0.9 * _history(finished_run)[0]["loss"]
    before, _ = run_folder.load_network(finished_run)
    thawed = dataclasses.replace(NETWORK, encoder_frozen=False)
    for network in (NETWORK, thawed):
        model = run_folder.start_from(finished_run, network)
        for weight, wanted in zip(model.get_weights(), before.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, wanted)


@pytest.mark.parametrize(
    ("network", "options", "mend"),
    [
        ("dla/densenet121", {}, "--network"),
        # What it was trained on would be held back.
        ("unet/efficientnetlite0", {"fold": 1}, "fold"),
        ("unet/efficientnetlite0", {"start_from": "nowhere"}, "not a finished run"),
    ],
)
def test_what_a_training_cannot_start_from(
    network: str,
    options: dict[str, Any],
    mend: str,
    pictures: data.Pictures,
    finished_run: Path,
    tmp_path: Path,
) -> None:
    chosen = dataclasses.replace(OPTIONS, **{"start_from": str(finished_run), **options})
    spec = NetworkSpec.parse(network, encoder_frozen=True)
    with pytest.raises(InfmapError, match=mend):
        fit(spec, pictures, tmp_path / "run", chosen)
    assert not (tmp_path / "run" / "state.json").exists()


def test_a_run_to_start_from_brings_its_encoder() -> None:
    with pytest.raises(TrainingError, match="leave encoder weights"):
        FitOptions(start_from="run", encoder_weights="imagenet")
