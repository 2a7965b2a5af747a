from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import run_command
from infmap_train.data import dataset as data
from patience import PATIENCE_S
from processes import heed_ctrl_c
from train.conftest import ARGUMENTS, write_data

_COMMANDS = [
    *("fit", "cross-validate", "evaluate", "calibrate", "networks", "dataset build"),
    *("classify", "compare-maps", "detection-study", "reproduce", "summarise"),
    *("familiarity", "detection-score"),
]
_HEAVY = ("tensorflow", "segmentation_models", "tf2onnx", "sklearn", "matplotlib", "onnx")


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {"NO_COLOR": "1", "COLUMNS": "200"}
    return run_command("infmap-train", *arguments, environment=environment)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, infmap_train.cli as c\n"
        "try: c.app(['fit', '--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {_HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = _run(*name.split(), "--help")
    assert done.returncode == 0
    assert f"infmap-train {name}" in re.sub(r"\s+", " ", done.stdout).split("Example:")[1]


def test_fit_shows_the_papers_defaults() -> None:
    shown = re.sub(r"\s+", " ", _run("fit", "--help").stdout)
    for default in ("50", "32", "0.0001", "constant"):
        assert f"[default: {default}]" in shown


def test_classify_shows_the_papers_defaults() -> None:
    shown = re.sub(r"\s+", " ", _run("classify", "--help").stdout)
    for default in ("10", "32", "1e-05", "constant", "densenet121"):
        assert f"[default: {default}]" in shown
    # It has no masks to learn from.
    assert "dice" not in shown.lower()


@pytest.mark.train
def test_bad_data_is_told_at_once_without_a_traceback(tmp_path: Path) -> None:
    done = _run("fit", f"--data={tmp_path}", f"--run={tmp_path / 'run'}", "--encoder-weights=none")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "index.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.train
@pytest.mark.parametrize("spelled", ["--anatomy", "--target"])
def test_the_anatomy_may_be_called_a_target_as_before(spelled: str, tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", covid=5, normal=5)
    shutil.rmtree(folder / "lung_masks")
    run = f"--run={tmp_path / 'run'}"
    done = _run("fit", f"--data={folder}", run, "--encoder-weights=none", spelled, "lungs")
    assert done.returncode == 1
    *told, _problems, problem = done.stderr.splitlines()
    assert "no radiograph has a mask of the lungs" in problem
    assert ("--target is deprecated: say --anatomy lungs" in told) is (spelled == "--target")


def test_the_anatomy_is_said_once(tmp_path: Path) -> None:
    done = _run("fit", "--data=x", f"--run={tmp_path}", "--target=lungs", "--anatomy=infection")
    assert done.stderr == "error: --target is the earlier spelling of --anatomy: leave it out\n"
    assert done.returncode == 1


@pytest.mark.train
@pytest.mark.parametrize(
    "command", [("fit", "--run"), ("cross-validate", "--runs"), ("classify", "--run")]
)
def test_what_the_encoder_starts_from_is_asked_for_before_anything_is_read(
    command: tuple[str, str], tmp_path: Path
) -> None:
    name, folder = command
    done = _run(name, "--data=nowhere", f"{folder}={tmp_path / 'run'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: choose what the encoder starts from: --encoder-weights imagenet")
    assert all(way in line for way in ("chexnet", "FILE", "none", "download"))


def test_an_unknown_network_names_the_known_ones(tmp_path: Path) -> None:
    done = _run("fit", f"--data={tmp_path}", f"--run={tmp_path}", "--network=unet/vgg16")
    assert done.returncode == 1
    # As they can be typed.
    assert "chexnet, densenet121, inceptionv3, resnet50" in done.stderr


@pytest.mark.train
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--learning-rate=inf", "learning rate must be above 0, and at most 1"),
        ("--learning-rate=nan", "learning rate must be above 0, and at most 1"),
        ("--dice-smooth-pixels=inf", "dice smooth pixels must be a number"),
        ("--small-size=9984", "at most 224"),
        ("--validation-percent=99", "between 5 and 50"),
        ("--start-from=nowhere", "nowhere is not a finished run"),
        ("--encoder-weights=none --finding=nowhere.toml", "nowhere.toml"),
    ],
)
def test_what_makes_no_sense_is_told_before_a_picture_is_looked_for(
    given: str, told: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = _run("fit", f"--data={tmp_path / 'no-data'}", f"--run={run}", *given.split())
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not run.exists()


@pytest.mark.train
def test_a_served_engine_is_asked_without_tensorflow(
    finished_run: Path, pictures: data.Pictures
) -> None:
    folder = pictures.samples[0].image.parent.parent
    arguments = ["evaluate", str(finished_run), f"--data={folder}", "--url=127.0.0.1:1"]
    blocked = "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'tf_keras'])); "
    code = f"{blocked}import infmap_train.cli as c; sys.argv[1:] = {arguments!r}; c.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    # It came as far as asking: nobody listens there.
    assert "127.0.0.1:1" in done.stderr
    assert "TensorFlow" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.train
def test_evaluate_prints_one_document(finished_run: Path, pictures: data.Pictures) -> None:
    folder = pictures.samples[0].image.parent.parent
    done = _run("evaluate", finished_run, f"--data={folder}", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["images"] == {"covid": 6, "normal": 10}
    assert done.stderr.strip() == ""


@pytest.mark.train
def test_ctrl_c_ends_with_the_way_to_go_on(pictures: data.Pictures, tmp_path: Path) -> None:
    folder, run = pictures.samples[0].image.parent.parent, tmp_path / "run"
    command = [sys.executable, "-m", "infmap_train.cli", "fit", f"--data={folder}", f"--run={run}"]
    with subprocess.Popen(
        [*command, *ARGUMENTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    ) as process:
        deadline = time.monotonic() + 120
        while not (run / "split.json").exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "same command again" in told.splitlines()[-1]
    assert "Traceback" not in told
