"""Every command in an environment that has one extra, or none, names the extra that it lacks, in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

import pytest

pytest.importorskip("sklearn", reason="the annotate extra is not installed")

import without_extras
from extras_commands import ARGUMENTS, known_commands, prepare, words
from infmap_kit.extras import extra_with
from linked_environment import linked_environment
from without_extras import distributions

EXTRAS = ("client", "export", "embedded", "node", "annotate")
"""Those of small packages. `dicom` and `view` are parts of `node`, `sign` is a library, `int8`, `compile`
and `tensorrt` are `export` and a library more; `train` is tried by its own tests."""

Answers: TypeAlias = dict[str, tuple[int, str]]
"""Exit code and stderr of each command."""

_HINT = re.compile(r"pip install 'infmap-kit\[(\w+)\]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("extras")
    prepare(made)
    return made


def _answers(extra: str, folder: Path, place: Path, commands: Collection[str]) -> Answers:
    """What commands say in a real environment of one extra, or of none where empty."""
    python = linked_environment(place, extra)
    (site,) = place.glob("lib/python*/site-packages")
    root = Path(__file__).parents[2]
    (site / "infmap.pth").write_text(f"{root / 'toolkit'}\n{root / 'training'}\n")
    environment = {**os.environ, "PYTHONPATH": "", "COLUMNS": "200"}
    code = "import sys, importlib.util as u; print(*filter(u.find_spec, sys.argv[1:]))"
    found = subprocess.run(
        [python, "-c", code, "onnx", "highdicom", "openvino"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    has = {"annotate": "onnx", "export": "onnx", "node": "highdicom", "embedded": "openvino"}
    assert found.stdout.strip() == has.get(extra, ""), "it is an environment of that extra alone"
    done = subprocess.run(
        [python, without_extras.__file__],
        input=json.dumps([words(command) for command in commands]),
        capture_output=True, text=True, check=False, cwd=folder, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, map(tuple, json.loads(done.stdout)), strict=True))


@pytest.fixture(scope="module")
def bare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What every command says where no extra is installed."""
    return _answers("", folder, tmp_path_factory.mktemp("bare") / "environment", ARGUMENTS)


def _judge(answers: Answers, extra: str) -> dict[str, str]:
    """Refuse whatever no user could make sense of, and give the extra that each command asked for."""
    asked = {}
    for command, (code, told) in answers.items():
        assert "Traceback" not in told, (command, told)
        assert code in range(7), (command, code, told)
        named = _HINT.findall(told)
        if "not installed" in told or "No module named" in told:
            assert len(named) == 1, (command, told)
            assert told.startswith("error: ")
            assert len(told.strip().splitlines()) == 1, (command, told)
        if named:
            assert not distributions(named[0]) <= distributions(extra), (command, told)
            asked[command] = named[0]
    return asked


def test_every_command_is_tried() -> None:
    assert known_commands() == set(ARGUMENTS)


def test_without_any_extra_every_command_names_the_one_that_it_lacks(bare: Answers) -> None:
    asked = _judge(bare, "")
    expected = {
        **{
            f"infmap-kit {name}": "export"
            for name in ("bundle", "install", "export", "verify bisect")
        },
        **{
            f"infmap-kit {name}": "client"
            for name in ("infer", "progression noise", "serve", "tune")
        },
        **{f"infmap-kit {name}": "node" for name in ("node run", "node work")},
        **{f"infmap-train {name}": "train" for name in ("fit", "networks", "dataset build")},
        **{f"infmap-annotate {name}": "annotate" for name in ("init", "serve", "predict")},
    }
    assert {command: asked.get(command) for command in expected} == expected
    able = {
        "infmap-kit inspect",
        "infmap-kit synthesize",
        "infmap-kit progression report",
        "infmap-kit view",
    }
    assert not able & asked.keys(), "what needs no extra asks for none"


@pytest.mark.slow
@pytest.mark.parametrize("extra", EXTRAS)
def test_with_one_extra_a_command_works_or_names_another(
    extra: str, bare: Answers, folder: Path, tmp_path: Path
) -> None:
    # Whatever lacks nothing without it lacks nothing with it.
    commands = [command for command, (_, told) in bare.items() if _HINT.search(told)]
    _judge(_answers(extra, folder, tmp_path / "environment", commands), extra)


@pytest.mark.parametrize(
    ("program", "module", "extra"),
    [
        ("infmap-kit", "onnx", "export"), ("infmap-kit", "openvino", "embedded"),
        ("infmap-kit", "grpc", "client"), ("infmap-kit", "nncf", "int8"),
        ("infmap-kit", "cryptography", "sign"), ("infmap-kit", "pynetdicom", "node"),
        ("infmap-kit", "tensorrt", "tensorrt"), ("infmap-kit", "tensorrt_rtx_bindings", "compile"),
        ("infmap-train", "onnx", "train"), ("infmap-annotate", "onnx", "annotate"), ("infmap-kit", "numpy", ""),
    ],
)  # fmt: skip
def test_the_extra_is_the_programs_own_or_the_smallest(
    program: str, module: str, extra: str
) -> None:
    assert extra_with(module, program=program) == extra
