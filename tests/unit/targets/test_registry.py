"""Targets are found by name; one that is registered outside the package goes all the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from infmap_kit.cli import main
from infmap_kit.errors import ExportError, SpecError
from infmap_kit.targets.registry import choose, find
from small_network import small_network

ROOT = Path(__file__).parents[3]
TOY = (sys.executable, str(ROOT / "tests" / "toy_target.py"))
PLAIN = (sys.executable, "-m", "infmap_kit")


def _run(program: tuple[str, ...], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_network(), path)
    return path


@pytest.fixture(scope="module")
def repository(model: Path) -> Path:
    """Two releases of the toy target, made by its own command line."""
    folder = model.parent / "toys"
    for marbles in (4, 7):
        done = _run(
            TOY, "export", model, "--target", "toy", "--marbles", marbles,
            "--repository", folder, "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        manifest = json.loads(done.stdout)["manifest"]
        assert (manifest["target"], manifest["model"]["marbles"]) == ("toy", marbles)
        assert manifest["gate"]["passed"]
    return folder


def test_targets_are_found_by_name() -> None:
    assert find("onnxruntime").precisions == ("fp32", "fp16")
    assert choose("auto").name in ("tensorrt", "embedded")
    with pytest.raises(ExportError, match=r"one of auto, tensorrt, .*found 'abacus'"):
        choose("abacus")
    with pytest.raises(SpecError, match=r"expected a target of tensorrt, .*found 'abacus'"):
        find("abacus")


def test_a_toy_target_is_verified_listed_examined_and_rolled_back(
    model: Path, repository: Path
) -> None:
    done = _run(TOY, "verify", model, "--repository", repository, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]
    done = _run(TOY, "doctor", "--repository", repository, "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["marbles"]["sentence"] == "All 7 marbles are here."
    assert "target" not in checks
    assert _run(TOY, "rollback", "--repository", repository).returncode == 0
    releases = json.loads(_run(TOY, "versions", "--repository", repository, "--json").stdout)
    assert [(release["model"]["marbles"], release["current"]) for release in releases] == [
        (7, False),
        (4, True),
    ]


def test_options_of_another_target_are_refused_by_name(model: Path) -> None:
    done = _run(TOY, "export", model, "--target", "toy", "--threads", 2)
    assert done.returncode == 1
    assert done.stderr == (
        "error: expected options of target toy, found --threads (of embedded): leave them out, or name another "
        "--target\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "{model}"),
        ("bench", "--samples", "10"),
        ("tune",),
        ("deploy", "compose", "--output", "{model}.yaml"),
        ("serve", "--print-command"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_target_that_is_unknown_is_named_in_one_line(
    arguments: tuple[str, ...], model: Path, repository: Path
) -> None:
    filled = [argument.format(model=model) for argument in arguments]
    done = _run(PLAIN, *filled, "--repository", repository)
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(r"error: expected a target of .* found 'toy': export .*\n", done.stderr)
    assert not model.with_name("small.onnx.yaml").exists()


def test_the_doctor_names_an_unknown_target_and_examines_the_rest(repository: Path) -> None:
    done = _run(PLAIN, "doctor", "--repository", repository, "--json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["target"]["status"] == "problem"
    assert "found 'toy'" in checks["target"]["sentence"]
    assert checks["repository"]["status"] == "ok"


def test_an_unknown_target_is_still_listed(repository: Path) -> None:
    for command in ("versions", "inspect"):
        place = ("--repository", repository) if command == "versions" else (repository,)
        done = _run(PLAIN, command, *place, "--json")
        assert done.returncode == 0, done.stderr
        assert '"target": "toy"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ("--target", "embedded", "--accelerator", "--cpu", "--batches", "7,3"),
            ("--batches", "--cpu", "--accelerator"),
        ),
        (("--target", "embedded", "--keep-fp32", "conv"), ("--keep-fp32",)),
        (("--target", "openvino", "--threads", "3"), ("--threads (of embedded)",)),
        (("--target", "openvino", "--cpu"), ("--cpu (of onnxruntime)",)),
        (("--target", "onnxruntime", "--calibration-images", "."), ("--calibration-images",)),
        (("--calibration-images", ".", "--precision", "fp32"), ("--calibration-images",)),
    ],
    ids=lambda arguments: arguments[-1] if isinstance(arguments[0], str) else None,
)
@pytest.mark.parametrize("command", ["export", "install", "bench table5"])
def test_what_the_target_does_not_know_is_refused(
    command: str,
    arguments: tuple[str, ...],
    named: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    place = [] if command == "bench table5" else [str(tmp_path / "x")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["infmap-kit", *command.split(), *place, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert all(flag in line for flag in named)
    assert list(tmp_path.iterdir()) == []


def test_install_has_every_option_of_a_target_that_export_has() -> None:
    shown = [
        set(re.findall(r"--[a-z0-9-]+", _run(PLAIN, command, "--help").stdout))
        for command in ("export", "install")
    ]
    targets = {
        *("--target", "--precision", "--batches", "--instances", "--keep-fp32"),
        *("--cpu", "--accelerator", "--threads", "--calibration-images"),
    }
    assert all(targets <= flags for flags in shown)
