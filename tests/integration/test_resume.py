"""`infmap-kit infer` over many files: interrupted, gone on with, and in bounded memory."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.results.folder import ResultOptions
from infmap_kit.results.infer import InferenceRun
from infmap_kit.results.journal import JOURNAL
from infmap_kit.results.outcome import Outcome
from infmap_kit.serving.in_process import InProcessModel, open_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.server.process import TritonServer
from memory import peak_mib
from patience import PATIENCE_S
from processes import heed_ctrl_c
from radiograph_folders import write_mixed
from results import json_lines, written_contents
from small_network import deeper_network, small_run

COUNT = 24


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    options = EmbeddedOptions(threads=1)
    publish(
        read_source(small_run(folder / "run")),
        folder / "r",
        options,
        pictures=synthetic_pictures()[:1],
    )
    return folder / "r"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Radiographs, two of them with one content, one as DICOM, and one file that is none."""
    return write_mixed(tmp_path_factory.mktemp("pictures"), COUNT)


def _command(pictures: Path, output: Path, *arguments: object) -> list[str]:
    command = (sys.executable, "-m", "infmap_kit", "infer", pictures, "-o", output, *arguments)
    return list(map(str, command))


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != JOURNAL}


def test_ctrl_c_ends_in_one_line_and_nothing_is_done_twice(
    server: TritonServer, pictures: Path, tmp_path: Path
) -> None:
    command = _command(pictures, tmp_path / "out", "--url", server.grpc_url, "--json")
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, preexec_fn=heed_ctrl_c
    )
    assert running.stdout is not None
    # It waits for its reader, so that it cannot end before it is interrupted.
    fcntl.fcntl(running.stdout, fcntl.F_SETPIPE_SZ, 4096)
    begun = b"".join(running.stdout.readline() for _ in range(5))
    running.send_signal(signal.SIGINT)
    rest, stderr = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, stderr
    (line,) = stderr.decode().splitlines()
    done = int(line.removeprefix("error: stopped after ").partition(" of 24 files")[0])
    *told, last = json_lines(begun + rest)
    assert last == {"error": line.removeprefix("error: "), "exit_code": 130}
    assert 5 <= len(told) <= done < COUNT
    before = _times(tmp_path / "out")
    assert len(before) == 2 * done, "a map and a JSON of each, and nothing half"

    again = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert again.returncode == 6, again.stderr
    assert f"{done} of 24 were there already" in again.stderr.decode()
    assert {name: _times(tmp_path / "out")[name] for name in before} == before
    told_again = json_lines(again.stdout)
    assert [one["source"] for one in told_again[: len(told)]] == [one["source"] for one in told]
    assert told_again[: len(told)] == told, "the very answers of before"
    assert len(told_again) == COUNT

    undisturbed = _command(pictures, tmp_path / "whole", "--url", server.grpc_url)
    assert subprocess.run(undisturbed, capture_output=True, check=False).returncode == 6
    assert written_contents(tmp_path / "out") == written_contents(tmp_path / "whole")


@pytest.fixture(scope="module")
def model(repository: Path) -> Iterator[InProcessModel]:
    with open_repository(repository) as opened:
        yield opened


def _infer(
    pictures: Path, output: Path, model: InProcessModel, *, resume: bool = True, **options: Any
) -> list[Outcome]:
    files = sorted(pictures.iterdir())
    run = InferenceRun(files, output, model, options=ResultOptions(**options), resume=resume)
    outcomes = list(run)
    assert run.done == len(outcomes) == len(files)
    assert [outcome.source for outcome in outcomes] == files
    return outcomes


def _made(outcomes: list[Outcome]) -> list[str]:
    """Names of the files that were answered anew; what is no picture is looked at each time."""
    return [one.source.name for one in outcomes if not one.kept and one.rejection is None]


def test_what_differs_is_made_again_and_nothing_else(
    pictures: Path, model: InProcessModel, tmp_path: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for path in [*sorted(pictures.iterdir())[::4], pictures / "90.png", pictures / "Doe^Jane.dcm"]:
        (folder / path.name).write_bytes(path.read_bytes())
    every = sorted(path.name for path in folder.iterdir() if path.name != "91.png")
    formats = ("png", "json", "sr")
    assert _made(_infer(folder, output, model, formats=formats)) == every
    assert _made(_infer(folder, output, model, formats=formats)) == []
    # The journal names no patient.
    assert "doe" not in (output / JOURNAL).read_text().lower()
    assert (output / JOURNAL).stat().st_mode & 0o777 == 0o600

    # A map that is gone or another, and a file of another content.
    (output / "04.infection_map.png").unlink()
    painted = bytearray((output / "08.infection_map.png").read_bytes())
    painted[-20] ^= 1
    (output / "08.infection_map.png").write_bytes(painted)
    (folder / "12.png").write_bytes((folder / "16.png").read_bytes())
    made = _infer(folder, output, model, formats=formats)
    assert _made(made) == ["04.png", "08.png", "12.png"]
    # A name that is taken anew: what lay under it is of another file now.
    (folder / "00.png").rename(folder / "000.png")
    (folder / "000.jpg").write_bytes((folder / "04.png").read_bytes())
    assert _made(_infer(folder, output, model, formats=formats)) == ["000.jpg", "000.png"]
    # Other options, then again no difference.
    renamed = sorted(path.name for path in folder.iterdir() if path.name != "91.png")
    for options in ({"identify": True}, {"formats": ("json",)}, {"secondary_capture": True}):
        changed: dict[str, Any] = {"formats": formats, **options}
        assert _made(_infer(folder, output, model, **changed)) == renamed
        assert _made(_infer(folder, output, model, **changed)) == []
        assert _made(_infer(folder, output, model, resume=False, **changed)) == renamed


def test_another_model_keeps_nothing(pictures: Path, model: InProcessModel, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", deeper_network())
    publish(
        read_source(run),
        tmp_path / "r",
        EmbeddedOptions(threads=1),
        pictures=synthetic_pictures()[:1],
    )
    first = _infer(pictures, tmp_path / "out", model)
    with open_repository(tmp_path / "r") as other:
        second = _infer(pictures, tmp_path / "out", other)
    assert len(_made(second)) == len(_made(first)) == COUNT - 1
    answers = json.loads((tmp_path / "out" / "00.json").read_text())
    assert answers["model"]["onnx_sha256"] == other.model().onnx_sha256()


def test_a_torn_line_of_the_journal_costs_one_file(
    pictures: Path, model: InProcessModel, tmp_path: Path
) -> None:
    _infer(pictures, tmp_path, model, formats=("json",))
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])
    assert len(_made(_infer(pictures, tmp_path, model, formats=("json",)))) == 1
    assert _made(_infer(pictures, tmp_path, model, formats=("json",))) == []


@pytest.mark.slow
def test_memory_is_bounded_and_many_files_are_told_in_a_sentence(
    repository: Path, tmp_path: Path
) -> None:
    """Maps alone would be 1.1 GB."""
    pictures = tmp_path / "in"
    pictures.mkdir()
    drawn = synthetic_radiograph(1, height=2000, width=1800).radiograph.pixels
    cv2.imwrite(str(pictures / "000.jpg"), drawn)
    for number in range(1, 101):
        os.link(pictures / "000.jpg", pictures / f"{number:03}.jpg")
    command = _command(pictures, tmp_path / "out", "--repository", repository)
    with (tmp_path / "told").open("wb") as told:
        running = subprocess.Popen(command, stderr=told)
        peak = 0
        # Not what wait() tells: that begins with this process' own memory, of which it was forked.
        while running.poll() is None:
            with contextlib.suppress(OSError):
                peak = max(peak, peak_mib(running.pid))
            time.sleep(0.05)
    assert running.returncode == 0
    assert "101 files: 101 " in (tmp_path / "told").read_text()
    assert 0 < peak < 700
