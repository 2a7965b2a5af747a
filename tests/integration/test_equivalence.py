"""From a run to a served release, by the commands that a hospital types; and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from commands import run_command
from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine, OpenvinoEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.runners import CachingRunner, ReferenceRunner
from infmap_kit.graphs.precision.fp16_emulation import emulated_fp16
from infmap_kit.imaging.network_input import network_input
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import ModelSpec, NetworkSpec
from infmap_kit.progress import no_progress
from infmap_kit.release.bundle import write_bundle
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.release.verify import compare_served
from infmap_kit.targets.lowered import halved_networks, quantised_networks
from infmap_kit.targets.target import Proof
from infmap_kit.triton.releases import releases_of
from infmap_kit.triton.repository import check_repository
from infmap_kit.triton.server.process import TritonServer
from small_network import small_network

TESTS = Path(__file__).parents[1]


def _infmap_kit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-kit", *arguments)


def _run(folder: Path) -> Path:
    folder.mkdir()
    onnx.save(small_network(), folder / "segmentation.onnx")
    ModelSpec(
        name="small",
        version="1",
        network=NetworkSpec.parse("unet/densenet121"),
        files={"segmentation.onnx": sha256_of(folder / "segmentation.onnx")},
    ).write(folder / "spec.json")
    return folder


def test_the_commands_of_a_release(tmp_path: Path) -> None:
    run, repository = _run(tmp_path / "run"), tmp_path / "model_repository"
    bundle = tmp_path / "small.bundle"
    done = _infmap_kit("bundle", run, "--output", bundle, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pictures"] == 8
    for release in (1, 2):
        done = _infmap_kit("install", bundle, "--unsigned", "--repository", repository, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["manifest"]["release"] == release
    done = _infmap_kit("rollback", "--repository", repository, "--json")
    assert json.loads(done.stdout)["release"] == 1
    done = _infmap_kit("versions", "--repository", repository, "--json")
    listed = json.loads(done.stdout)
    assert [(one["release"], one["current"]) for one in listed] == [(2, False), (1, True)]
    report = tmp_path / "report"
    done = _infmap_kit("verify", bundle, "--repository", repository, "--report", report, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]
    assert (report / "worst.png").is_file()


def test_a_failing_gate_is_exit_code_3_and_nothing_is_published(tmp_path: Path) -> None:
    run, repository = _run(tmp_path / "run"), tmp_path / "model_repository"
    other = small_network(bias=-8.0)
    assert _infmap_kit("export", run, "--repository", repository).returncode == 0
    onnx.save(other, tmp_path / "other.onnx")
    report = tmp_path / "report"
    done = _infmap_kit(
        "verify", tmp_path / "other.onnx", "--repository", repository, "--report", report
    )
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert "is of another network" in done.stderr
    assert check_repository(repository).release == 1


def test_bisect_says_that_there_is_nothing_to_mend(tmp_path: Path) -> None:
    done = _infmap_kit("verify", "bisect", _run(tmp_path / "run"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passes"]


def test_what_is_served_is_what_was_proved(
    server: TritonServer, demo_model: Path, radiographs: list[tuple[str, NDArray[np.uint8]]]
) -> None:
    source = read_source(demo_model)
    pictures = [(name, network_input(pixels)) for name, pixels in radiographs]
    gate = compare_served(
        source, server.grpc_url, reference=reference_runner(source), pictures=pictures
    )
    gate.require()
    assert gate.dice > 0.99999
    assert gate.largest_error < 1e-3


def test_a_server_of_another_network_is_not_believed(server: TritonServer, tmp_path: Path) -> None:
    onnx.save(small_network(), tmp_path / "small.onnx")
    source = read_source(tmp_path / "small.onnx")
    with pytest.raises(GateFailed, match="the server at .* is of another network"):
        compare_served(
            source,
            server.grpc_url,
            reference=reference_runner(source),
            pictures=synthetic_pictures()[:1],
        )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_demo_models_engines_are_the_same_doctor(
    precision: str,
    demo_model: Path,
    tmp_path: Path,
    radiographs: list[tuple[str, NDArray[np.uint8]]],
) -> None:
    # The networks alone, without what a run has beside them.
    source = read_source(demo_model / "segmentation.onnx")
    path = tmp_path / "model.onnx"
    pictures = [
        *((name, network_input(pixels)) for name, pixels in radiographs),
        *synthetic_pictures(),
    ]
    proof = Proof(reference=CachingRunner(reference_runner(source)), pictures=pictures)
    if precision == "fp16":
        # As export does: the gate itself chooses what stays in FP32.
        halved = halved_networks(graphs_of(source), (), proof, no_progress)["segmentation"]
        engine: OnnxRuntimeEngine | OpenvinoEngine = OnnxRuntimeEngine(
            emulated_fp16(source.segmentation, halved).SerializeToString()
        )
        path.write_bytes(halved.model.SerializeToString())
    else:
        path.write_bytes(source.segmentation.SerializeToString())
        engine = OpenvinoEngine(path, precision="f32")
    engines = [engine, OpenvinoEngine(path, precision="f32")] if precision == "fp16" else [engine]
    for one in engines:
        gate = compare(
            proof.reference,
            ReferenceRunner(one),
            pictures,
            thresholds=thresholds_for(precision),
        )
        assert gate.reasons() == []
        assert len(gate.pictures) == 20


@pytest.mark.slow
def test_the_demo_models_with_q_dq_nodes_are_the_same_doctor(
    demo_model: Path, radiographs: list[tuple[str, NDArray[np.uint8]]]
) -> None:
    """Both networks in INT8 for GPUs, in ONNX Runtime; the gate itself chooses what stays in FP32."""
    source = with_parts(
        read_source(demo_model / "segmentation.onnx"), {"lungs": demo_model.with_name("demo_lungs")}
    )
    pictures = [(name, network_input(pixels)) for name, pixels in radiographs]
    proof = Proof(
        reference=CachingRunner(reference_runner(source)),
        pictures=[*pictures, *synthetic_pictures()],
    )
    quantised = quantised_networks(graphs_of(source), proof, None, no_progress)
    infection, lungs = (
        OnnxRuntimeEngine(quantised[name].model.SerializeToString())
        for name in ("segmentation", "lung_segmentation")
    )
    gate = compare(
        proof.reference,
        ReferenceRunner(infection, parts={"lungs": lungs}),
        proof.pictures,
        thresholds=thresholds_for("int8"),
    )
    assert gate.reasons() == []
    assert gate.dice >= 0.99
    assert gate.flips == ()
    kept = {name: len(network.kept) / network.quantised for name, network in quantised.items()}
    assert kept["segmentation"] < 1
    assert kept["lung_segmentation"] < 1 / 4


@pytest.mark.slow
def test_kill_9_of_export_install_and_rollback_leaves_one_whole_release(tmp_path: Path) -> None:
    run, repository = _run(tmp_path / "run"), tmp_path / "model_repository"
    write_bundle(run, tmp_path / "b", pictures=synthetic_pictures()[:1])
    script = (
        "import sys; from pathlib import Path\n"
        "from infmap_kit.gate.pictures import synthetic_pictures\n"
        "from infmap_kit.release.source import read_source\n"
        "from infmap_kit.release.export import publish\n"
        "from infmap_kit.release.install import install_bundle\n"
        "from infmap_kit.targets.embedded import EmbeddedOptions\n"
        "from infmap_kit.triton.releases import roll_back\n"
        "folder = Path(sys.argv[1]); repository = folder / 'model_repository'\n"
        "source = read_source(folder / 'run'); pictures = synthetic_pictures()[:1]\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    publish(source, repository, EmbeddedOptions(threads=1), pictures=pictures)\n"
        "    install_bundle(folder / 'b', repository, EmbeddedOptions(threads=1), unsigned=True)\n"
        "    roll_back(repository)\n"
    )
    releases = []
    for round_ in range(7):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.6 if round_ == 0 else 0.05 + 0.35 * round_)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if not repository.exists():
            continue
        releases.append(check_repository(repository).release)
        assert len({path.parent.name for path in repository.glob("*/*/segmentation.onnx")}) == 1
        for release in releases_of(repository):
            check_repository(release.folder)
    assert len(set(releases)) > 3, "it did publish between the kills"
    left = sorted(path.name for path in tmp_path.iterdir() if ".part-" in path.name)
    assert len(left) <= 1, "the next publication clears away what a killed one left"
