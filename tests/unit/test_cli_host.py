"""The commands for GPU hosts, through the command line itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import onnx
import pytest
import yaml

from commands import run_command
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.tensorrt.present_gpu import has_gpu
from small_network import (
    small_classifier_run,
    small_lung_run,
    small_network,
    small_run,
)


def _infmap_kit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-kit", *arguments)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_network(), path)
    return path


@pytest.fixture(scope="module")
def repository(model: Path) -> Path:
    folder = model.parent / "model_repository"
    options = OnnxruntimeOptions(batches=(1, 2))
    publish(read_source(model), folder, options, pictures=synthetic_pictures()[:1])
    return folder


@pytest.mark.skipif(has_gpu(), reason="is about machines without an NVIDIA GPU")
def test_plans_need_a_gpu_and_the_line_says_what_to_do(model: Path, tmp_path: Path) -> None:
    done = _infmap_kit("export", model, "--target", "tensorrt", "--repository", tmp_path / "r")
    assert done.returncode == 4
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no NVIDIA GPU here" in done.stderr
    assert "infmap-kit verify compile" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_export_for_tritons_own_backends(target: str, model: Path, tmp_path: Path) -> None:
    # OpenVINO has no GPU to keep off.
    cpu = {"onnxruntime": ["--cpu"]}.get(target, [])
    done = _infmap_kit(
        "export", model, "--target", target, "--batches", "1,4", *cpu, "--json",
        "--repository", tmp_path / "r",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)["manifest"]
    assert manifest["target"] == target
    assert manifest["model"]["backend"] == {"gpu": False, "batches": [1, 4]}


def test_verify_compiles_and_says_so(model: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")
    done = _infmap_kit("verify", "compile", model, "--gpu", "2080ti", "--gpu", "a10", "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [result["generation"] for result in results] == ["SM75", "SM86"] * 4
    assert all(result["passed"] for result in results)


def test_verify_compiles_a_classifier_and_lungs_too(tmp_path: Path) -> None:
    """Each part that is served is an engine on a GPU host; none of them may be forgotten."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")
    run = small_run(tmp_path / "run")
    parts = {
        "--classifier": small_classifier_run(tmp_path / "classifier"),
        "--lungs": small_lung_run(tmp_path / "lungs"),
    }
    beside = [word for pair in parts.items() for word in pair]
    done = _infmap_kit("verify", "compile", run, *beside, "--gpu", "t4", "--json")
    assert done.returncode == 0, done.stderr
    compiled = [result["graph"] for result in json.loads(done.stdout)]
    assert compiled == [
        *("segmentation", "lung_segmentation", "detection", "rendering", "summary", "classifier")
    ]


@pytest.mark.parametrize("option", ["--classifier", "--lungs"])
def test_verify_compile_refuses_a_part_that_is_not_there(option: str, model: Path) -> None:
    done = _infmap_kit("verify", "compile", model, option, "/nonexistent")
    assert done.returncode == 1
    assert f"after {option}, found /nonexistent" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("bisect", "--lungs", "/nonexistent"),
        ("bisect", "--gpu", "nosuchgpu"),
        ("published", "--precision", "int8"),
        ("published", "--gpu", "nosuchgpu"),
    ],
)
def test_verify_refuses_what_a_command_does_not_know(
    arguments: tuple[str, ...], model: Path
) -> None:
    command, *options = arguments
    done = _infmap_kit("verify", command, model, *options)
    assert done.returncode == 2
    assert f"No such option: {options[0]}" in " ".join(done.stderr.split())


def test_the_docker_command_is_shown_and_not_run(repository: Path) -> None:
    done = _infmap_kit(
        "serve", "--repository", repository, "--runtime", "docker", "--print-command"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("docker \\\n  run")
    assert "--read-only" in done.stdout


def test_deploy_writes_both_kinds(repository: Path, tmp_path: Path) -> None:
    compose, service = tmp_path / "compose.yaml", tmp_path / "service.yaml"
    done = _infmap_kit("deploy", "compose", "--repository", repository, "--output", compose)
    assert done.returncode == 0, done.stderr
    assert list(yaml.safe_load(compose.read_text())["services"]) == ["triton"]
    done = _infmap_kit(
        "deploy", "kserve", "--repository", repository, "--output", service, "--storage-uri", "s3://models/infmap",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(service.read_text())["kind"] == "InferenceService"
