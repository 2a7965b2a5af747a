"""What the previous state published is still read, by the commands that a hospital types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import run_command
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.serving.in_process import open_repository
from infmap_kit.serving.server import free_ports
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.repository import check_repository
from previous import unpack_previous


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that only read."""
    return unpack_previous(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """For tests that write."""
    return unpack_previous(tmp_path / "previous")


def _json(folder: Path, *arguments: object) -> Any:
    """What a command says, begun in ``folder``."""
    done = run_command("infmap-kit", *arguments, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _releases(folder: Path) -> list[tuple[int, bool]]:
    listed = _json(folder, "versions", "--repository", "embedded")
    return [(one["release"], one["current"]) for one in listed]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("run", "run"),
        ("lungs", "run"),
        ("classifier", "run"),
        ("embedded", "repository"),
        ("onnxruntime", "repository"),
        ("small.bundle", "bundle"),
    ],
)
def test_inspect_finds_it_whole(previous: Path, path: str, kind: str) -> None:
    found = _json(previous, "inspect", path)
    assert (found["kind"], found["whole"]) == (kind, True)


def test_versions_and_rollback(copy: Path) -> None:
    assert _releases(copy) == [(2, True), (1, False)]
    assert _json(copy, "rollback", "--repository", "embedded")["release"] == 1
    assert _releases(copy) == [(2, False), (1, True)]
    assert check_repository(copy / "embedded").release == 1


@pytest.mark.parametrize("origin", ["run", "small.bundle"])
def test_verify_proves_its_engines_again(previous: Path, tmp_path: Path, origin: str) -> None:
    parts = ["--lungs", "lungs", "--classifier", "classifier"] if origin == "run" else []
    report = ["--report", tmp_path]
    said = _json(previous, "verify", origin, "--repository", "embedded", *parts, *report)
    assert said["passed"]


def test_verify_proves_a_repository_of_tritons_own_backends(previous: Path, tmp_path: Path) -> None:
    assert _json(previous, "verify", "run", "--repository", "onnxruntime", "--report", tmp_path)[
        "passed"
    ]


def test_install_publishes_its_bundle_beside_its_releases(copy: Path) -> None:
    said = _json(copy, "install", "small.bundle", "--unsigned", "--repository", "embedded",
                 "--target", "embedded", "--precision", "fp32")  # fmt: skip
    assert said["manifest"]["release"] == 3
    assert _releases(copy) == [(3, True), (2, False), (1, False)]
    assert _json(copy, "rollback", "--repository", "embedded")["release"] == 2


def test_its_run_folders_are_exported(copy: Path) -> None:
    """The task of each stands under the key ``training.target``."""
    said = _json(
        copy, "export", "run", "--target", "embedded", "--precision", "fp32", "--repository", "embedded",
        "--lungs", "lungs", "--classifier", "classifier",
    )  # fmt: skip
    assert said["manifest"]["release"] == 3
    assert {"lungs", "classifier"} <= set(said["manifest"]["model"])


@pytest.mark.parametrize("repository", ["embedded", "onnxruntime"])
def test_doctor_finds_no_fault_in_it(previous: Path, repository: str) -> None:
    ports = free_ports()
    numbers = {"http": ports.http_port, "grpc": ports.grpc_port, "metrics": ports.metrics_port}
    arguments = [word for kind, port in numbers.items() for word in (f"--{kind}-port", str(port))]
    # The exit code says whether there is a problem of the machine, which is not what is asked here.
    done = run_command(
        "infmap-kit", "doctor", "--json", "--repository", repository, *arguments, cwd=previous
    )
    found = {check["name"]: check["status"] for check in json.loads(done.stdout)}
    assert (found["repository"], found["gate"]) == ("ok", "ok"), done.stdout


@pytest.mark.parametrize("repository", ["embedded", "onnxruntime"])
def test_it_is_asked_for_what_it_has(
    previous: Path, repository: str, chest_dicoms: list[Path]
) -> None:
    """It has no probability in bytes, which `infer` asks of what is published now."""
    radiograph = read_radiograph(chest_dicoms[0])
    with open_repository(previous / repository) as model:
        exact, short = (find_infection(radiograph, model, exact=one) for one in (True, False))
    assert short.summary is None
    assert np.array_equal(short.probability, exact.probability)


def test_progression_reads_its_results(previous: Path, tmp_path: Path) -> None:
    course = _json(previous, "progression", "maps", "-o", tmp_path)
    assert [result["day"] for result in course["results"]] == [0, 3, 8]


def test_the_queue_of_its_node_is_shown(copy: Path) -> None:
    config = copy / "node.toml"
    config.write_text(
        f'[node]\nspool = "{copy / "spool"}"\n[[callers]]\nae_title = "MODALITY"\n'
        '[[models]]\nname = "covid"\n[[rules]]\nname = "chest"\nmodel = "covid"\nto = []\n'
    )
    status = _json(copy, "node", "status", "--config", config)
    assert {state: number for state, number in status["images"].items() if number} == {
        "waiting": 1, "delivering": 1, "done": 2, "rejected": 1, "ignored": 1, "failed": 1,
    }  # fmt: skip
    assert status["deliveries"]["away"]["waiting"] == 3
    assert status["deliveries"]["moody"] == {"waiting": 0, "delivered": 7, "dead": 3}
    (failed,) = _json(copy, "node", "list", "--state", "failed", "--config", config)
    assert failed["reason"] == "not delivered to moody: 0xC000 cannot understand"
    shown = _json(copy, "node", "show", failed["id"], "--config", config)
    assert [one["state"] for one in shown["deliveries"]] == ["dead"] * 3
