"""The command line of infmap-annotate, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from commands import run_command
from doctors import blob, new_study, write_pictures
from patience import PATIENCE_S
from processes import heed_ctrl_c

COMMANDS = [
    "init", "predict", "serve", "export", "stats", "backup", "readers add", "readers revoke", "readers list",
]  # fmt: skip
HEAVY = (
    "tensorflow", "infmap_train.networks.segmentation", "onnxruntime",
    "onnx", "cv2", "sklearn", "scipy", "starlette", "uvicorn",
    "jinja2", "PIL", "tritonclient", "numpy",
)  # fmt: skip


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-annotate", *arguments)


def _done(*arguments: object) -> str:
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert f"Example: infmap-annotate {command} " in " ".join(
        _done(*command.split(), "--help").split()
    )


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom infmap_annotate.cli import main\nsys.argv = ['infmap-annotate', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "predict" in done.stdout
    assert done.stderr == ""


def test_serving_needs_neither_tensorflow_nor_onnx() -> None:
    script = (
        "import sys, infmap_annotate.web.pages\n"
        "heavy = ('tensorflow', 'onnx', 'onnxruntime', 'sklearn', 'tritonclient')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_from_data_to_figures(tmp_path: Path) -> None:
    data, study = write_pictures(tmp_path / "data", drawn=2, normal=1), tmp_path / "study"
    tokens = json.loads(
        _done(
            "init", study, "--data", data, "--readers", "anna,ben", "--third-readers=cara", "--json"
        )
    )
    assert list(tokens) == ["owner", "anna", "ben", "cara"]
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(2):
        cv2.imwrite(str(masks / f"covid_{number}.png"), blob(9 + number).astype(np.uint8) * 255)
    _done("predict", study, "--masks", masks, "--name", "elsewhere")
    document = json.loads(_done("stats", study, "--json"))
    assert document["stages"]["1"]["settled"] == {"open": 2}
    assert "Cohen's" in _done("stats", study)
    fresh = json.loads(_done("readers", "add", study, "anna", "--json"))
    assert fresh["anna"] != tokens["anna"]
    _done("readers", "revoke", study, "ben")
    rows = {row["name"]: row for row in json.loads(_done("readers", "list", study, "--json"))}
    assert rows["ben"]["revoked_at"]
    assert not rows["anna"]["revoked_at"]
    _done("backup", study, tmp_path / "study.tar")
    assert (tmp_path / "study.tar").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["stats", "{}/nowhere"], "is no study"),
        (["export", "{}/study", "{}/set"], "no radiograph has a final mask"),
        (["predict", "{}/study", "--name", "x"], "either --run, --url"),
        (["predict", "{}/study", "--name", "x", "--run", "{}/nowhere"], "no finished run"),
        (["serve", "{}/study", "--host", "0.0.0.0"], "in the clear"),  # noqa: S104
        (["serve", "{}/study", "--certificate", "{}/c", "--key", "{}/k"], "cannot use"),
        (["readers", "revoke", "{}/study", "nobody"], "no reader 'nobody'"),
        (["init", "{}/other", "--data", "{}", "--readers", "anna"], "no known data set"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_goes_wrong_is_one_line(tmp_path: Path, arguments: list[str], reason: str) -> None:
    new_study(tmp_path, drawn=1)
    done = _run(*(word.format(tmp_path) for word in arguments))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_is_how_serving_ends(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1)
    with subprocess.Popen(
        [sys.executable, "-m", "infmap_annotate.cli", "serve", str(study.folder), "--port=0"],
        stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "Serving" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "Traceback" not in told


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    import socket

    study, _ = new_study(tmp_path, drawn=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _run("serve", study.folder, "--port", port)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in done.stderr
