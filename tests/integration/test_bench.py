"""`infmap-kit bench` and `tune` against the real server: the scopes nest, and the record can be believed."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from infmap_kit.bench.load import LoadOptions
from infmap_kit.bench.measure import BenchOptions, measure, require_settled
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.records.sentences import meaning_sentences
from infmap_kit.bench.scopes import (
    APART,
    ENGINE_ALONE,
    ENGINE_WITH_TRANSFERS,
    FILE_TO_MAP,
    LUNGS,
    ONNX_RUNTIME,
    OTHER_ENGINE,
    OTHER_ONNX_RUNTIME,
    SCOPES,
    SERVED_ENSEMBLE,
    SERVED_SEGMENTATION,
    STAGES,
)
from infmap_kit.bench.subject import Subject
from infmap_kit.bench.tune import Goal, tune
from infmap_kit.bench.tune import best as best_trial
from infmap_kit.errors import HostMismatch, ServerError, SpecError, Unstable
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports, served_here, serving
from infmap_kit.targets.backends import BackendOptions
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.embedded_configs import served_graphs
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import Setting
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.releases import roll_back
from infmap_kit.triton.repository import Manifest, check_repository
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import TRITON_VERSION, find_runtime
from plans_without_gpu import stand_in_for_tensorrt
from published import answered_by_the_runner, seal_anew
from small_network import small_network

QUICK = BenchOptions(samples=20, warm_up=3, tolerance_percent=1000, budget_s=120, independent=False)


def test_bench_measures_nested_scopes(repository: Path, tmp_path: Path, demo_model: Path) -> None:
    """The plain call, with no command's name; however busy this machine is."""
    command = [sys.executable, "-m", "infmap_kit", "bench", "--json", "--samples", "20"]
    command += ["--repository", str(repository), "--warm-up", "3", "--results", str(tmp_path)]
    command += ["--tolerance", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    scopes = record["scopes"]
    assert scopes.keys() == {*SCOPES, *APART, *STAGES} - {ENGINE_WITH_TRANSFERS, LUNGS}
    assert record["not_measured"].keys() == {ENGINE_WITH_TRANSFERS}
    # Each scope holds the one before. What else the machine does comes and goes, so the quickest request of
    # one is held against the middle of the next.
    names = (ENGINE_ALONE, SERVED_SEGMENTATION, SERVED_ENSEMBLE, FILE_TO_MAP)
    for inner, outer in itertools.pairwise(names):
        assert min(scopes[inner]["samples_ms"]) < scopes[outer]["p50_ms"]
    for name in names:
        samples = sorted(scopes[name]["samples_ms"])
        assert len(samples) >= 20
        assert samples[0] > 1, "a network that answers within a millisecond was not asked"
    assert record["precision"] == "fp32"
    nodes = onnx.load(demo_model / "segmentation.onnx").graph.node
    assert record["inspected"] == {"f32": sum(node.op_type == "Conv" for node in nodes)}
    assert record["machine"]["cores"] >= 1
    assert record["accuracy"]["gate"]["dice"] >= 0.999
    metrics = json.loads((demo_model / "spec.json").read_text())["metrics"]
    assert record["accuracy"]["held_back"]["pixels F1"] == metrics["pixels"]["f1"]
    assert record["cold_start"]["ready_ms"] > record["cold_start"]["first_request_ms"] > 1
    # Triton's own clock runs inside ours.
    assert record["server"]["infmap"]["total"] < scopes[SERVED_ENSEMBLE]["mean_ms"]
    # It counts a request a moment after it was answered: of the block before, or not yet.
    counted, asked = (
        record["server"]["infmap"]["requests"],
        len(scopes[SERVED_ENSEMBLE]["samples_ms"]),
    )
    assert asked - 2 <= counted <= asked + 2
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md", ".csv", ".html"}
    (path,) = tmp_path.glob("*.json")
    assert BenchRecord.read(path).as_json() == record


@pytest.fixture(scope="module")
def small_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that answers in a fraction of a millisecond."""
    folder = tmp_path_factory.mktemp("small")
    onnx.save(small_network(), folder / "small.onnx")
    publish(
        read_source(folder / "small.onnx"),
        folder / "model_repository",
        EmbeddedOptions(threads=1),
        pictures=synthetic_pictures()[:2],
    )
    return folder / "model_repository"


def test_load_and_baselines_stand_in_the_same_record(small_repository: Path) -> None:
    options = dataclasses.replace(
        QUICK,
        baselines=True,
        load=LoadOptions(concurrencies=(1, 2), batches=(1, 4), offered_shares=(0.5,), seconds=0.5),
    )
    record = measure(small_repository, [], options, beside=small_repository)
    assert record.scopes[ONNX_RUNTIME].p50_ms > 0
    # Another model in the same run; of the model itself the ratio is about 1, however busy the machine is.
    ratios = record.ratios
    assert 0.3 < ratios[f"{ENGINE_ALONE} / {OTHER_ENGINE}"].ratio < 3
    assert ratios.keys() >= {f"{ENGINE_ALONE} / {OTHER_ONNX_RUNTIME}"}
    assert record.beside["version"] == record.model["version"]
    assert f"The other model is {record.model['name']}" in " ".join(meaning_sentences(record))
    # Not one of the paper's, so Keras cannot build it; the record says so and the rest goes on.
    assert "none of the paper's" in record.not_measured["Keras predict"]
    assert [(p["batch"], p["concurrency"]) for p in record.throughput] == [(1, 1), (1, 2), (4, 1)]
    for point in record.throughput:
        assert point["images_per_s"] == pytest.approx(
            point["batch"] * point["requests"] / point["seconds"], rel=1e-3
        )
    limit = record.cores_limit
    assert limit["limit_per_s"] == pytest.approx(limit["cores"] * limit["one_core_per_s"], rel=1e-3)
    assert limit["throughput_mode_per_s"] > 0
    (open_loop,) = record.open_loop
    assert open_loop["offered_per_s"] == pytest.approx(
        0.5 * max(p["images_per_s"] for p in record.throughput if p["batch"] == 1), rel=1e-3
    )
    assert record.failure == ""


def test_a_server_that_dies_ends_the_run_and_the_record_says_so(small_repository: Path) -> None:
    """Killed from outside, as the kernel does when memory runs out."""
    pids: list[int] = []

    @contextlib.contextmanager
    def serve(repository: Path) -> Iterator[TritonServer]:
        with served_here(repository) as server:
            pids.append(server.pid)
            yield server

    def kill(description: str, _done: int, _total: int) -> None:
        # The first of these comes when every scope has its first samples.
        if description == "scopes in turn" and pids:
            os.kill(pids.pop(), signal.SIGKILL)

    options = dataclasses.replace(QUICK, samples=100_000, budget_s=60)
    record = measure(small_repository, [], options, serve=serve, progress=kill)
    assert record.failure
    assert record.scopes[ENGINE_ALONE].samples_ms
    with pytest.raises(ServerError, match="ended early"):
        require_settled(record)


def test_what_does_not_settle_in_its_budget_is_unstable(small_repository: Path) -> None:
    options = dataclasses.replace(QUICK, tolerance_percent=1e-6, budget_s=2)
    begun = time.monotonic()
    record = measure(small_repository, [], options)
    assert time.monotonic() - begun < 60
    assert record.doubts
    with pytest.raises(Unstable) as raised:
        require_settled(record)
    assert raised.value.exit_code == 5


def _published(folder: Path, options: BackendOptions) -> Path:
    import onnx

    onnx.save(small_network(), folder / "small.onnx")
    publish(
        read_source(folder / "small.onnx"),
        folder / "repository",
        options,
        pictures=synthetic_pictures()[:1],
    )
    return folder / "repository"


@pytest.mark.skipif(
    find_runtime().backends is None, reason="a server on the PATH has its own backends"
)
def test_a_server_without_the_backend_is_said_in_one_line(tmp_path: Path) -> None:
    repository = _published(tmp_path, OpenvinoOptions(batches=(1, 4)))
    with pytest.raises(HostMismatch, match="target openvino, and the server for CPUs has none"):
        measure(repository, [], QUICK)
    with pytest.raises(HostMismatch, match="target openvino, and the server for CPUs has none"):
        tune(repository)


@pytest.mark.parametrize(
    ("options", "inspected"),
    [
        (OpenvinoOptions(batches=(1, 4)), {"f32": 1}),
        (OnnxruntimeOptions(gpu=False, batches=(1, 4)), {}),
    ],
    ids=lambda value: getattr(value, "target", ""),
)
def test_another_target_is_measured_and_tuned_by_its_own_engines(
    options: BackendOptions, inspected: dict[str, int], tmp_path: Path
) -> None:
    """On the python backend in the place of Triton's own, which the server for CPUs lacks."""
    repository = _published(tmp_path, options)
    answered_by_the_runner(repository)
    record = measure(repository, [], dataclasses.replace(QUICK, baselines=True))
    assert record.failure == ""
    assert record.target == options.target
    assert {ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP, ONNX_RUNTIME, *STAGES} - {LUNGS} <= set(
        record.scopes
    )
    assert record.inspected == inspected
    # Triton's own account, of each model behind the ensemble.
    assert set(record.server) == {"infmap", "segmentation", "detection", "rendering"}
    with pytest.raises(SpecError, match="leaves threads to Triton"):
        tune(repository, settings=[Setting(threads=2, instances=1)], seconds=0.2)
    settings = [Setting(threads=0, instances=1), Setting(threads=0, instances=2)]
    manifest, trials = tune(repository, settings=settings, seconds=0.3)
    assert [trial.setting for trial in trials] == settings
    chosen = manifest.model["tuned"]["chosen"]["instances"]
    counts = {
        path.parent.name: parse_config(path.read_text()).instance_group[0].count
        for path in repository.glob("*/config.pbtxt")
        if path.parent.name != "infmap"
    }
    assert counts == {"segmentation": chosen, "detection": 1, "rendering": 1, "summary": 1}
    assert check_repository(repository).release == 2


def test_plans_are_measured_by_tensorrt_itself_and_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stand-ins for NVIDIA's library and Triton's backend, which only run on a GPU."""
    stand_in_for_tensorrt(monkeypatch)
    repository = _published(tmp_path, TensorrtOptions(batches=(1, 4)))
    answered_by_the_runner(repository)
    record = measure(repository, [], QUICK)
    assert record.failure == ""
    assert (record.target, record.precision) == ("tensorrt", "fp16")
    # The engine alone computes on what lies on the GPU; the way there and back is a scope of its own.
    assert {ENGINE_ALONE, ENGINE_WITH_TRANSFERS, SERVED_ENSEMBLE, FILE_TO_MAP} <= set(record.scopes)
    assert ENGINE_WITH_TRANSFERS not in record.not_measured
    assert record.inspected == {"HALF": 1}
    assert BenchRecord.from_json(record.as_json(), "here").inspected == {"HALF": 1}
    assert not [text for text in record.warnings if "CUDA" in text]
    manifest, trials = tune(repository, seconds=0.2)
    assert [trial.setting.instances for trial in trials] == [1, 2, 4]
    assert manifest.model["tuned"]["chosen"]["threads"] == 0
    assert check_repository(repository).release == 2


def test_a_repository_is_measured_and_tuned_in_its_container(tmp_path: Path) -> None:
    """What a host with docker calls, and no tritonserver on its PATH: bench, and tune after it."""
    repository = _published(tmp_path, OnnxruntimeOptions(gpu=False, batches=(1, 4)))
    answered_by_the_runner(repository)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    stand_in = Path(__file__).parents[1] / "docker_stand_in.py"
    docker.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
    docker.chmod(0o755)
    before = {**os.environ, "PATH": f"{docker.parent}{os.pathsep}{os.environ['PATH']}"}
    common = ["--runtime", "docker", "--repository", str(repository), "--json"]
    answers = []
    for words in (
        ["bench", "--samples", "10", "--tolerance", "1000", "--results", str(tmp_path / "results")],
        ["tune", "--seconds", "0.5"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "infmap_kit", *words, *common],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=before,
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    record, tuned = answers
    assert record["target"] == "onnxruntime"
    # What the server says of itself, which is no version of ours in somebody else's image.
    assert record["versions"]["triton"] == TRITON_VERSION
    assert {ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP} <= record["scopes"].keys()
    assert tuned["release"] == 2
    assert check_repository(repository).release == 2


def test_an_engine_alone_that_is_not_where_its_server_computes_is_said(tmp_path: Path) -> None:
    """ONNX Runtime for CPUs beside a server on a GPU: the two scopes must not be taken for one another."""
    repository = _published(tmp_path, OnnxruntimeOptions(gpu=False, batches=(1,)))
    answered_by_the_runner(repository)
    only = dataclasses.replace(QUICK, only=(ENGINE_ALONE,))
    assert not [text for text in measure(repository, [], only).warnings if "CUDA" in text]
    model = Manifest.read(repository).model
    seal_anew(repository, model={**model, "backend": {**model["backend"], "gpu": True}})
    (warning,) = (text for text in measure(repository, [], only).warnings if "CUDA" in text)
    assert "onnxruntime-gpu" in warning


def test_a_target_from_outside_the_package_is_measured_through_its_server(tmp_path: Path) -> None:
    import onnx

    onnx.save(small_network(), tmp_path / "small.onnx")
    toy = [sys.executable, str(Path(__file__).parents[1] / "toy_target.py")]
    repository = ["--repository", str(tmp_path / "repository")]
    for words in (
        ["export", str(tmp_path / "small.onnx"), "--target", "toy"],
        ["bench", "--samples", "10", "--tolerance", "1000", "--json", "--results", str(tmp_path)],
    ):
        done = subprocess.run(
            [*toy, *words, *repository], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["target"] == "toy"
    assert {ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP} <= record["scopes"].keys()


FAKE = """#!{python}
import sys
path = sys.argv[sys.argv.index("-f") + 1]
open(path, "w").write("Concurrency,p50 latency,p90 latency,p95 latency,p99 latency\\n1,{p50},2000,3000,4000\\n")
"""


def test_a_second_load_generator_agrees_or_not(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its table is microseconds; the program itself is stood in for, since it is no part of a wheel we need."""
    from infmap_kit.bench.independent import measure_independently
    from infmap_kit.bench.pictures import bench_pictures
    from infmap_kit.bench.statistics import Latencies

    program = tmp_path / "perf_analyzer"
    with Subject.served(small_repository, bench_pictures([])) as subject:
        for factor, agrees in ((1.02, True), (1.5, False)):
            program.write_text(FAKE.format(python=sys.executable, p50=round(8000 * factor)))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            monkeypatch.setenv("PERF_ANALYZER", str(program))
            figures = measure_independently(subject, Latencies((8.0, 8.0, 8.0)))
            assert figures["agrees"] is agrees
            assert figures["difference_percent"] == pytest.approx(100 * (factor - 1))
        monkeypatch.setenv("PERF_ANALYZER", str(tmp_path / "nowhere"))
        assert "not here" in measure_independently(subject, Latencies((8.0,)))["missing"]


def test_tune_publishes_the_best_setting_and_keeps_the_one_before(
    small_repository: Path, tmp_path: Path
) -> None:
    import shutil

    repository = tmp_path / "model_repository"
    shutil.copytree(small_repository, repository)
    settings = [Setting(threads=1, instances=1), Setting(threads=1, instances=1, streams=2)]
    manifest, trials = tune(repository, goal=Goal.THROUGHPUT, seconds=0.5, settings=settings)
    assert check_repository(repository) == manifest
    assert manifest.release == 2
    best = best_trial(trials, Goal.THROUGHPUT).setting
    config = parse_config((repository / "infmap" / "config.pbtxt").read_text())
    assert config.instance_group[0].count == best.instances
    assert config.parameters["streams"].string_value == str(best.streams)
    assert served_graphs(config)[0].threads == best.threads
    assert served_graphs(config)[1].threads == 1
    assert manifest.model["tuned"]["chosen"] == dataclasses.asdict(best)
    assert len(manifest.model["tuned"]["trials"]) == 2
    assert manifest.gate["passed"]
    with serving(repository, free_ports()) as server, InfmapClient(server.grpc_url) as client:
        picture = synthetic_pictures()[0][1]
        client.infer(picture, picture)
        assert client.release == 2
        assert not {"graphs", "streams"} & set(client.model())
    assert roll_back(repository).release == 1
