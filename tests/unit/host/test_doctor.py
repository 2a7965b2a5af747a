"""The doctor names what does not fit, with the fix."""

from __future__ import annotations

import socket
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import onnx
import pytest

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.host import host_checks
from infmap_kit.host.doctor import examine
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports
from infmap_kit.targets.check import HostCheck, Status
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.tensorrt.present_gpu import PresentGpu
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.options import ServerOptions
from published import seal_anew
from small_network import small_network


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    onnx.save(small_network(), tmp_path / "small.onnx")
    folder = tmp_path / "model_repository"
    publish(
        read_source(tmp_path / "small.onnx"),
        folder,
        EmbeddedOptions(),
        pictures=synthetic_pictures()[:1],
    )
    return folder


def _by_name(repository: Path, options: ServerOptions | None = None) -> dict[str, HostCheck]:
    return {check.name: check for check in examine(repository, options or free_ports())}


@pytest.mark.alone
def test_a_host_that_fits_has_no_problem_and_says_so_quickly(repository: Path) -> None:
    started = time.monotonic()
    checks = examine(repository, free_ports())
    assert time.monotonic() - started < 2
    assert {check.status for check in checks} <= {Status.OK, Status.SKIPPED}
    assert {"Python", "server", "openvino", "repository", "gate", "ports", "space", "memory"} <= {
        check.name for check in checks
    }


def test_every_problem_has_a_fix_and_is_one_line(repository: Path) -> None:
    (repository / "infmap" / "config.pbtxt").unlink()
    _, *_ = checks = examine(repository, free_ports())
    for check in checks:
        assert "\n" not in check.sentence
        if check.status in (Status.PROBLEM, Status.WARNING):
            assert check.fix
    assert "lacks infmap/config.pbtxt" in _by_name(repository)["repository"].sentence


def test_no_repository_is_a_problem(tmp_path: Path) -> None:
    check = _by_name(tmp_path / "none")["repository"]
    assert check.status is Status.PROBLEM
    assert "infmap-kit export" in check.sentence


def test_a_library_other_than_the_proved_one_is_a_warning(repository: Path) -> None:
    built_with = {**Manifest.read(repository).built_with, "openvino": "2020.1"}
    seal_anew(repository, built_with=built_with)
    check = _by_name(repository)["openvino"]
    assert check.status is Status.WARNING
    assert "was proved with 2020.1" in check.sentence
    assert "verify" in check.fix


def test_an_engine_that_was_not_proved_is_a_warning(repository: Path) -> None:
    seal_anew(repository, gate={})
    assert _by_name(repository)["gate"].status is Status.WARNING


def test_a_busy_port_is_named(repository: Path) -> None:
    options = free_ports()
    with socket.socket() as busy:
        busy.bind((options.host, options.grpc_port))
        busy.listen()
        check = _by_name(repository, options)["ports"]
    assert check.status is Status.PROBLEM
    assert str(options.grpc_port) in check.sentence


def test_a_repository_that_everybody_may_write_is_a_warning(repository: Path) -> None:
    repository.chmod(0o777)
    check = _by_name(repository)["permissions"]
    assert check.status is Status.WARNING
    assert check.fix == f"chmod o-w {repository}"


def _built(tensorrt: str, capability: str, **more: str) -> dict[str, str]:
    return {"tensorrt": tensorrt, "compute_capability": capability, **more}


@pytest.mark.parametrize(
    ("built_with", "gpu", "name", "sentence"),
    [
        (_built("11.3.0.99", "8.6"), ("7.5", 580), "plan", "7.5"),
        (
            _built("11.3.0.99", "7.5", gpu="NVIDIA T4"),
            ("7.5", 580),
            "plan",
            "on NVIDIA T4, and this",
        ),
        (_built("11.3.0.99", "7.5"), ("7.5", 550), "image", "580"),
        (_built("9.1", "7.5"), ("7.5", 580), "image", "9.1"),
        (_built("10.5.0", "7.5"), ("7.5", 550), "driver", "security"),
    ],
)
def test_plans_that_do_not_fit_the_gpu(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    built_with: dict[str, str],
    gpu: tuple[str, int],
    name: str,
    sentence: str,
) -> None:
    """No GPU is here; what its driver would say is put in, the verdict is the doctor's own."""
    capability, driver = gpu
    _put_in(monkeypatch, PresentGpu(name="GeForce X", capability=capability, driver=driver))
    _seal_plans(repository, built_with)
    check = _by_name(repository)[name]
    assert check.status in (Status.PROBLEM, Status.WARNING)
    assert sentence in check.sentence


def _put_in(monkeypatch: pytest.MonkeyPatch, present: PresentGpu) -> None:
    monkeypatch.setattr(host_checks, "has_gpu", lambda: True)
    monkeypatch.setattr(host_checks, "present_gpu", lambda: present)


def _seal_plans(repository: Path, built_with: dict[str, str], **model: object) -> None:
    model = {**Manifest.read(repository).model, "backend": {"gpu": True}, **model}
    seal_anew(repository, target="tensorrt", precision="fp16", built_with=built_with, model=model)


@pytest.mark.parametrize(
    ("gpu", "status"), [("GeForce X", Status.PROBLEM), ("NVIDIA A10", Status.WARNING)]
)
def test_an_older_driver_stops_a_geforce_and_no_data_centre_gpu(
    repository: Path, monkeypatch: pytest.MonkeyPatch, gpu: str, status: Status
) -> None:
    """NVIDIA's compatibility package lets data-centre GPUs run newer images on older branches."""
    _put_in(monkeypatch, PresentGpu(name=gpu, capability="8.6", driver=550))
    _seal_plans(repository, _built("11.3.0.99", "8.6"))
    assert _by_name(repository)["image"].status is status


def test_portable_plans_fit_another_gpu_of_their_capability(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_in(monkeypatch, PresentGpu(name="NVIDIA A10", capability="8.6", driver=580))
    _seal_plans(repository, _built("11.3.0.99", "8.6", gpu="NVIDIA A40", portable="yes"))
    assert "plan" not in _by_name(repository)


def test_plans_that_take_more_memory_than_the_gpu_has_are_a_problem(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = PresentGpu(name="NVIDIA A10", capability="8.6", driver=580, memory_mib=8192)
    _put_in(monkeypatch, gpu)
    memory = {"segmentation": 3 << 30, "rendering": 6 << 30}
    _seal_plans(repository, _built("11.3.0.99", "8.6"), gpu_memory_bytes=memory)
    check = _by_name(repository)["GPU memory"]
    assert check.status is Status.PROBLEM
    assert "9216 MiB" in check.sentence
    _seal_plans(repository, _built("11.3.0.99", "8.6"), gpu_memory_bytes={"rendering": 6 << 30})
    assert "GPU memory" not in _by_name(repository)


@pytest.mark.parametrize(
    ("installed", "status", "words"),
    [
        ("", Status.WARNING, "no plans can be built here"),
        ("11.3.0.99", Status.OK, "for Triton 26.09"),
        ("11.3.0.7", Status.PROBLEM, "o known Triton image loads"),
    ],
)
def test_the_doctor_says_how_tensorrt_comes_with_internet_and_without(
    repository: Path, monkeypatch: pytest.MonkeyPatch, installed: str, status: Status, words: str
) -> None:
    def version(_name: str) -> str:
        if not installed:
            raise PackageNotFoundError
        return installed

    _put_in(monkeypatch, PresentGpu(name="NVIDIA A10", capability="8.6", driver=580))
    monkeypatch.setattr(host_checks, "version", version)
    assert "TensorRT" not in _by_name(repository), "the embedded target needs none"
    for folder in (repository, repository.with_name("none")):
        if folder == repository:
            _seal_plans(repository, _built("11.3.0.99", "8.6"))
        check = _by_name(folder)["TensorRT"]
        assert check.status is status
        assert words in check.sentence
        if status is not Status.OK:
            # What pip finds: a version without its build names no package.
            assert "'tensorrt==11.3.0.*'" in check.fix
            assert "without internet" in check.fix
            assert "container" in check.fix


def test_a_key_that_is_none_is_a_problem(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("no key")
    monkeypatch.setenv("INFMAP_KIT_PUBLIC_KEY", str(tmp_path / "key"))
    assert _by_name(repository)["bundle key"].status is Status.PROBLEM
