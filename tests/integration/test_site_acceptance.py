"""`infmap-kit accept`: the whole path on this host; a fault planted in each step is found and named."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from infmap_kit.errors import InfmapError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.progress import Progress
from infmap_kit.release.export import publish
from infmap_kit.release.origin import read_origin
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports
from infmap_kit.site_acceptance import site
from infmap_kit.site_acceptance.acceptance import STEPS, Step, accept
from infmap_kit.site_acceptance.line import AcceptanceLine, AcceptanceOutcome
from infmap_kit.site_acceptance.report import AcceptanceReport
from infmap_kit.site_acceptance.site import AcceptanceOptions, Site
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.tensorrt import gpus
from infmap_kit.triton.server.private_copy import temporary_folder
from processes import processes_naming
from published import seal_anew
from small_network import small_network, small_run

QUICK = AcceptanceOptions(
    pictures=synthetic_pictures()[:2], load_s=2, clients=2, samples=10, latency_s=20
)
GPU_LINES = {"card", "driver", "image", "GPU memory under load"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def published(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "model_repository"
    publish(read_source(run), folder, EmbeddedOptions(threads=1), pictures=synthetic_pictures()[:2])
    return folder


@pytest.fixture
def small(published: Path, tmp_path: Path) -> Path:
    """A repository of a small network, to plant a fault in."""
    return Path(shutil.copytree(published, tmp_path / "model_repository"))


def _lines(report: AcceptanceReport) -> dict[str, AcceptanceLine]:
    return {line.name: line for lines in report.lines.values() for line in lines}


def _steps(*names: str) -> list[Step]:
    return [step for name in names for step in STEPS if step.name == name]


def _contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _outputs(repository: Path) -> int:
    """Number of outputs that Triton is told of, read without the kit."""
    config = (repository / "infmap" / "config.pbtxt").read_text()
    return len(text_format.Parse(config, model_config_pb2.ModelConfig()).output)


def test_the_whole_path_is_proved_signed_and_leaves_nothing(
    repository: Path, tmp_path: Path
) -> None:
    key, public, output = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "report"
    openssl = ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)]
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    subprocess.run(openssl, check=True)
    before, beside = _contents(repository), sorted(repository.parent.iterdir())
    command = [sys.executable, "-m", "infmap_kit", "accept", str(repository), "--json"]
    command += ["--output", str(output), "--sign", str(key)]
    # A latency need not settle, where other tests run beside it: there must be figures, not good ones.
    command += ["--load-seconds", "3", "--latency-seconds", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told, shown = process.communicate(timeout=1200)
    assert process.returncode == 0, shown

    document = json.loads(told)
    lines = {line["name"]: line for line in document["lines"]}
    assert document["accepted"]
    assert {n for n, line in lines.items() if line["outcome"] != "passed"} == {
        *GPU_LINES,
        "bundle key",
    }
    assert all("needs no GPU" in lines[name]["found"] for name in GPU_LINES)
    # All subsets of the four outputs of every model, each further one alone, and all together.
    asked = (2**4 - 1) + (_outputs(repository) - 4) + 1
    for way in ("gRPC", "HTTP"):
        assert lines[f"outputs over {way}"]["found"] == f"{asked} of {asked} subsets answered right"
    assert {"gate, fp32, 1 picture a request", "gate, fp32, 2 pictures a request"} <= set(lines)
    assert document["latency"]["paper_ms"] is None, "the demo model is not in Table V"
    assert all(scope["n"] >= 10 for scope in document["latency"]["scopes"].values())
    assert document["repository"]["files"] == {
        name: digest for name, digest in before.items() if name != "manifest.json"
    }
    assert "release change: done" in shown, "progress is shown where there is no terminal"

    text = (output / "acceptance.json").read_bytes()
    assert json.loads(text) == document
    for private in (str(repository), str(Path.home()) + "/", socket.gethostname()):
        assert private not in told
        assert private not in (output / "acceptance.html").read_text()
    assert getpass.getuser() not in {
        word for line in lines.values() for word in line["found"].split()
    }
    done = subprocess.run(
        ["sha256sum", "--check", "acceptance.json.sha256"], cwd=output, check=False
    )
    assert done.returncode == 0
    (tmp_path / "digest").write_bytes(hashlib.sha256(text).digest())
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
    verify += ["-in", str(tmp_path / "digest"), "-sigfile", str(output / "acceptance.json.sig")]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0

    assert _contents(repository) == before
    assert sorted(repository.parent.iterdir()) == beside
    assert not processes_naming(f"/infmap-kit-{process.pid}-")
    assert not list(temporary_folder().glob(f"infmap-kit-{process.pid}-*"))


def _swap_graph(repository: Path) -> None:
    (path,) = repository.glob("infmap/*/segmentation.onnx")
    graph = read_source(_saved(repository.parent / "other.onnx")).segmentation
    onnx.save(graph, path)


def _saved(path: Path) -> Path:
    onnx.save(small_network(bias=-11.0), path)
    return path


def _move_threshold(repository: Path) -> None:
    (path,) = repository.glob("infmap/*/detection.onnx")
    onnx.save(detection_graph(0.7), path)


def test_a_swapped_graph_is_named_and_nothing_of_it_is_run(small: Path) -> None:
    _swap_graph(small)
    report = accept(small, QUICK, steps=_steps("repository", "gate", "server", "latency"))
    lines = _lines(report)
    assert lines["files"].outcome is AcceptanceOutcome.FAILED
    assert lines["files"].found.startswith(
        "repository/infmap/1/segmentation.onnx is not what was exported"
    )
    for name in ("gate", "server", "latency"):
        assert lines[name].outcome is AcceptanceOutcome.NOT_RUN
    with pytest.raises(
        InfmapError, match="not accepted; in the way: files, gate, server, latency, .*left out"
    ):
        report.require()


def test_a_swapped_graph_under_a_new_seal_is_found_by_the_origin(small: Path, run: Path) -> None:
    _swap_graph(small)
    seal_anew(small)
    options = dataclasses.replace(QUICK, origin=read_origin(run))
    lines = _lines(accept(small, options, steps=_steps("repository", "gate")))
    assert lines["files"].outcome is AcceptanceOutcome.PASSED
    for batch in ("1 picture", "2 pictures"):
        line = lines[f"gate, fp32, {batch} a request"]
        assert line.outcome is AcceptanceOutcome.FAILED
        assert "expected Dice of at least 0.999 against the reference, found 0." in line.found


def test_a_changed_threshold_is_found_by_the_gate(small: Path) -> None:
    _move_threshold(small)
    seal_anew(small)
    line = _lines(accept(small, QUICK, steps=_steps("repository", "gate")))[
        "gate, fp32, 1 picture a request"
    ]
    assert line.outcome is AcceptanceOutcome.FAILED
    assert "threshold was moved" in line.found


def test_a_wrong_driver_table_is_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {**gpus._table(), "images": {**gpus._table()["images"]}}
    table["images"]["26.09"] = {**table["images"]["26.09"], "driver": 470}
    monkeypatch.setattr(gpus, "_table", lambda: table)
    line = _lines(accept(small, QUICK, steps=_steps("host")))["driver table"]
    assert line.outcome is AcceptanceOutcome.FAILED
    assert line.found.startswith(
        "image 26.09 with CUDA 13.4 names driver 470: install infmap-kit again"
    )


def _killing(at: str) -> tuple[list[int], Progress]:
    """Kill our servers at the first progress of this name."""
    killed: list[int] = []

    def progress(description: str, done: int, _total: int) -> None:
        if at in description and done and not killed:
            killed.extend(processes_naming(f"/infmap-kit-{os.getpid()}-"))
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    return killed, progress


def _swap_in_copy(at: Site) -> Iterator[AcceptanceLine]:
    _swap_graph(at.copy)
    return iter(())


SWAP = Step(name="swap", about="a fault", run=_swap_in_copy)


def test_a_stopped_server_a_closed_port_and_a_restart_that_fails_are_named(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "free_ports", lambda **_: free_ports())
    killed, progress = _killing("memory under load")
    # Asked for outputs after the server was killed: it is waited for.
    steps = [*_steps("repository", "server", "load", "outputs"), SWAP, *_steps("restart")]
    lines = _lines(accept(small, QUICK, steps=steps, progress=progress))
    assert lines["outputs over gRPC"].outcome is AcceptanceOutcome.PASSED
    assert lines["outputs over HTTP"].outcome is AcceptanceOutcome.FAILED
    assert "does not answer over HTTP" in lines["outputs over HTTP"].found
    assert killed
    assert lines["answers under load"].outcome is AcceptanceOutcome.FAILED
    assert "an answer was lost: no server answers at" in lines["answers under load"].found
    assert lines["server ended by itself"].outcome is AcceptanceOutcome.FAILED
    assert "SIGKILL" in lines["server ended by itself"].found
    assert lines["restart"].outcome is AcceptanceOutcome.FAILED
    assert "segmentation.onnx is not what was exported" in lines["restart"].found


def test_a_release_that_answers_otherwise_is_named(small: Path) -> None:
    steps = [*_steps("repository", "server"), SWAP, *_steps("release change")]
    line = _lines(accept(small, QUICK, steps=steps))["release change under load"]
    assert line.outcome is AcceptanceOutcome.FAILED
    assert "another answer: SEVERITY is 37.8 off" in line.found


def test_a_server_that_dies_while_it_is_timed_is_named(small: Path) -> None:
    killed, progress = _killing("scopes in turn")
    # It has a server of its own, and no other has to be started before.
    (step,) = _steps("latency")
    lines = _lines(
        accept(small, QUICK, steps=[dataclasses.replace(step, needs="")], progress=progress)
    )
    assert killed
    line = lines["latency, served ensemble"]
    assert line.outcome is AcceptanceOutcome.FAILED
    assert "no server answers" in line.found


def test_a_touched_repository_is_named(small: Path) -> None:
    def touch(at: Site) -> Iterator[AcceptanceLine]:
        (at.repository / "left-behind").touch()
        return iter(())

    report = accept(small, QUICK, steps=[Step(name="touch", about="a fault", run=touch)])
    assert _lines(report)["repository untouched"].outcome is AcceptanceOutcome.FAILED


def test_what_time_does_not_allow_is_not_run_and_not_accepted(small: Path) -> None:
    told: dict[str, Sequence[AcceptanceLine]] = {}
    options = dataclasses.replace(QUICK, time_limit_s=1e-6)
    report = accept(small, options, on_step=told.__setitem__)
    assert set(told) == {*(step.name for step in STEPS), "cleaning up"}
    assert not report.accepted
    assert report.counts()[AcceptanceOutcome.FAILED] == 0
    assert _lines(report)["host"].found == "the time limit has passed"


def test_a_part_of_the_steps_is_no_acceptance(small: Path) -> None:
    report = accept(small, QUICK, steps=_steps("repository"))
    assert report.reasons == []
    assert not report.accepted
    with pytest.raises(InfmapError, match="latency, left out"):
        report.require()
