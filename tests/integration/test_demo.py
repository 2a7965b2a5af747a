"""`infmap-kit demo`: in a clone, and of the wheels in a fresh environment."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.model.files import sha256_of
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.runtime import default_folder, find_runtime
from linked_environment import linked_environment
from patience import PATIENCE_S
from processes import end, heed_ctrl_c, processes_naming

ROOT = Path(__file__).parents[2]


def _demo(program: list[str], folder: Path, **options: Any) -> dict[str, Any]:
    command = [*program, "demo", "--output", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _require_results(told: dict[str, Any], folder: Path, model: Path) -> None:
    """Refuse results that are not of the model, or a page that does not show them."""
    manifest = Manifest.read(folder / "model_repository")
    assert manifest.model["onnx_sha256"] == sha256_of(model / "segmentation.onnx")
    with (folder / "radiographs" / "index.csv").open() as file:
        drawn = [Path(row["file"]).name for row in csv.DictReader(file)]
    assert [Path(one["source"]).name for one in told["results"]] == drawn
    page = Path(told["page"])
    assert page.read_text().startswith("<!doctype html>")
    listed = (page.parent / "data" / "list.js").read_text()
    assert all(Path(name).stem in listed for name in drawn)


def test_ctrl_c_ends_all_and_the_next_call_goes_on(tmp_path: Path, demo_model: Path) -> None:
    folder = tmp_path / "the demo"
    program = [sys.executable, "-m", "infmap_kit"]
    started = subprocess.Popen(
        [*program, "demo", "--output", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    try:
        began = time.monotonic()
        server = ""
        while not server:
            assert started.poll() is None
            assert time.monotonic() - began < 300
            server = _child_server(started.pid)
            time.sleep(0.05)
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=PATIENCE_S)
    finally:
        end(started)
    assert started.returncode == 130
    assert b"give the same command again to go on" in errors
    assert not processes_naming(server), "the server has ended, and its stubs"
    published = Manifest.read(folder / "model_repository")

    told = _demo(program, folder)
    _require_results(told, folder, demo_model)
    assert Manifest.read(folder / "model_repository") == published, "it was not exported again"
    page = Path(told["page"]).stat()
    again = _demo(program, folder)
    assert (told["kept"], again["kept"]) == (0, len(told["results"]))
    assert again["results"] == told["results"]
    assert Path(told["page"]).stat().st_ino == page.st_ino, "nor was the page written again"


def _child_server(pid: int) -> str:
    """The repository that a process's Triton server was told to serve, which its stubs name too."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            words = (path.parent / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if parent == pid and words[0].endswith("tritonserver"):
            (named,) = (word for word in words if word.startswith("--model-repository="))
            return named.partition("=")[2]
    return ""


@pytest.mark.slow
def test_of_two_wheels_in_a_fresh_environment_without_an_index(
    tmp_path: Path, demo_model: Path
) -> None:
    dist = tmp_path / "dist"
    for package in (ROOT, ROOT / "packages" / "demo"):
        build = [
            "uv",
            "build",
            "--quiet",
            "--wheel",
            "--no-build-isolation",
            "--out-dir",
            str(dist),
        ]
        subprocess.run([sys.executable, "-m", *build, str(package)], check=True)
    environment = tmp_path / "environment"
    python = linked_environment(
        environment, "client", "export", "embedded", ours=False, with_pip=True
    )
    quiet = {**os.environ, "PYTHONPATH": ""}
    offline = ["--no-index", "--find-links", str(dist)]
    install = [str(python), "-m", "pip", "install", *offline, "infmap-kit-demo"]
    done = subprocess.run(install, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stderr
    (installed,) = re.findall("Successfully installed (.+)", done.stdout)
    assert re.sub(r"-[\d.]+\b", "", installed).split() == ["infmap-kit", "infmap-kit-demo"]
    if find_runtime().folder is not None:
        # What `infmap-kit runtime` would bring, of a registry.
        place = environment / default_folder().relative_to(sys.prefix)
        place.parent.mkdir(parents=True)
        place.symlink_to(default_folder())
    folder = tmp_path / "demo"
    nowhere = {**quiet, "PIP_NO_INDEX": "1"}
    told = _demo([str(environment / "bin" / "infmap-kit")], folder, env=nowhere, cwd=tmp_path)
    _require_results(told, folder, demo_model)
