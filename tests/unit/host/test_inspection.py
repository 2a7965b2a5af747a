"""What a path holds, read from its files alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from infmap_kit.errors import SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.host.inspection import inspect
from infmap_kit.release.bundle import write_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_network


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    onnx.save(small_network(), tmp_path / "small.onnx")
    for _ in range(2):
        publish(
            read_source(tmp_path / "small.onnx"),
            tmp_path / "r",
            EmbeddedOptions(),
            pictures=synthetic_pictures()[:1],
        )
    return tmp_path / "r"


def test_a_repository_has_its_history_and_gate(repository: Path) -> None:
    document = inspect(repository)
    assert (document["kind"], document["whole"], document["release"]) == ("repository", True, 2)
    assert document["gate"]["passed"]
    assert [(release["release"], release["current"]) for release in document["history"]] == [
        (2, True),
        (1, False),
    ]


def test_damage_is_reported(repository: Path) -> None:
    (repository / "infmap" / "2" / "segmentation.onnx").write_bytes(b"")
    document = inspect(repository)
    assert not document["whole"]
    assert "is not what was exported" in document["fault"]


def test_a_run_has_its_figures(demo_model: Path) -> None:
    document = inspect(demo_model)
    assert (document["kind"], document["whole"]) == ("run", True)
    spec = json.loads((demo_model / "spec.json").read_text())
    assert document["metrics"] == spec["metrics"]


def test_a_bundle_has_its_contents(demo_model: Path, tmp_path: Path) -> None:
    write_bundle(demo_model, tmp_path / "b", pictures=synthetic_pictures()[:1])
    document = inspect(tmp_path / "b")
    assert (document["kind"], document["pictures"], document["signed"]) == ("bundle", 1, False)
    assert document["version"] == inspect(demo_model)["version"]


def test_what_is_none_of_them_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    for path, reason in (
        (tmp_path, "is none"),
        (tmp_path / "file", "is none"),
        (tmp_path / "no", "not exist"),
    ):
        with pytest.raises(SpecError, match=reason):
            inspect(path)


@pytest.mark.alone
@pytest.mark.parametrize("command", ["inspect", "doctor"])
def test_both_answer_within_two_seconds_without_what_computes(
    command: str, repository: Path
) -> None:
    heavy = "{'tensorflow', 'openvino', 'onnx', 'onnxruntime', 'cv2'}"
    where = [str(repository)] if command == "inspect" else ["--repository", str(repository)]
    script = (
        "import sys\nfrom infmap_kit.cli import main\n"
        f"sys.argv = ['infmap-kit', {command!r}, '--json', *{where!r}]\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\nprint({heavy} & set(sys.modules), file=sys.stderr)"
    )
    best = 1e9
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        best = min(best, time.monotonic() - started)
        json.loads(done.stdout)
        assert done.stderr.splitlines()[-1] == "set()", done.stderr
    assert best < 2
