"""Containers and clusters: confined, on loopback, with the image that fits; valid by schema."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infmap_kit.errors import HostMismatch, ServerError
from infmap_kit.host.confinement import Confinement, Mount, PublishedPort
from infmap_kit.host.container import ContainerOptions, docker_command, shown
from infmap_kit.host.deploy import KserveOptions, compose_document, kserve_document, write_yaml
from infmap_kit.triton.repository import write_manifest
from infmap_kit.triton.server.options import ServerOptions

KSERVE_SCHEMA = Path(__file__).parents[2] / "data" / "kserve" / "inferenceservice.schema.json"
GOLDEN = Path(__file__).parents[2] / "data" / "confinement"
OPTIONS = ContainerOptions(user="1000:1000")


KSERVE = KserveOptions(storage_uri="pvc://models/infmap")


def _repository(
    folder: Path,
    *,
    target: str = "tensorrt",
    tensorrt: str = "11.2.1.2",
    precision: str = "fp16",
    accelerator: bool = False,
    built: dict[str, str] | None = None,
) -> Path:
    """A repository whose manifest says that its plans were built on a Turing GPU."""
    (folder / "infmap").mkdir(parents=True)
    (folder / "infmap" / "config.pbtxt").write_text('name: "infmap"\n')
    built_with = (
        {"tensorrt": tensorrt, "compute_capability": "7.5", **(built or {})}
        if target == "tensorrt"
        else dict(built or {})
    )
    gpu = target not in ("openvino", "embedded")
    write_manifest(
        folder,
        target=target,
        precision=precision,
        model={"backend": {"gpu": gpu}, "accelerator": accelerator},
        built_with=built_with,
    )
    return folder


def test_the_container_is_confined(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r")
    command = docker_command(repository, ServerOptions(http_port=9000, http=True), OPTIONS)
    image = command.index("nvcr.io/nvidia/tritonserver:26.08-py3")
    confinement, server = command[:image], command[image + 1 :]
    for word in (
        "--gpus=all",
        "--user=1000:1000",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--shm-size=256m",
        f"--mount=type=bind,source={repository},target=/models,readonly",
    ):
        assert word in confinement
    published = [word for word in confinement if word.startswith("--publish=")]
    assert published == [
        f"--publish=127.0.0.1:{pair}" for pair in ("9000:8000", "8001:8001", "8002:8002")
    ]
    assert server[:2] == ["tritonserver", "--model-repository=/models"]
    for word in (
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
    ):
        assert word in server


def test_docker_compose_and_kserve_are_as_they_were(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r")
    server, options = (
        ServerOptions(http_port=9000, http=True),
        ContainerOptions(user="1000:1000", shm_mib=512),
    )
    kserve = KserveOptions(storage_uri="pvc://models/infmap", namespace="radiology", replicas=3)
    command = shown(docker_command(repository, server, options))
    documents = {
        "compose.yaml": compose_document(repository, server, options),
        "kserve.yaml": kserve_document(repository, kserve),
    }
    place = str(repository)
    assert command.replace(place, "/srv/repository") == (GOLDEN / "docker.txt").read_text().strip()
    for name, document in documents.items():
        write_yaml(tmp_path / name, document)
        written = (tmp_path / name).read_text().replace(place, "/srv/repository")
        assert yaml.safe_load(written) == yaml.safe_load((GOLDEN / name).read_text()), name


# A value of each field that is not its default, and whether Kubernetes has a word for it.
OTHERWISE: dict[str, tuple[Any, bool]] = {
    "user": ("1000:1001", True),
    "read_only": (False, True),
    "dropped_capabilities": (("NET_RAW",), True),
    "no_new_privileges": (False, True),
    "pids_limit": (100, False),
    "stop_signal": ("SIGTERM", False),
    "stop_timeout_s": (7, False),
    "shm_mib": (64, True),
    "tmp_mib": (64, True),
    "tmp_options": (("rw", "nosuid"), False),
    "ports": ((PublishedPort(host="127.0.0.1", outer=9001, inner=8001),), False),
    "mounts": ((Mount(source=Path("/srv/other"), target="/other"),), False),
    "environment": ((("NAME", "value"),), True),
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Confinement)])
def test_every_setting_of_the_confinement_reaches_every_place(field: str) -> None:
    value, in_kubernetes = OTHERWISE[field]
    usual, other = Confinement(), dataclasses.replace(Confinement(), **{field: value})
    assert other.docker() != usual.docker()
    assert other.compose() != usual.compose()
    if in_kubernetes:
        assert _kubernetes(other) != _kubernetes(usual)


def _kubernetes(confinement: Confinement) -> list[Any]:
    return [
        confinement.container_security(),
        confinement.pod_security(),
        confinement.memory_volumes(),
        confinement.container_environment(),
    ]


@pytest.mark.parametrize(
    ("gpus", "reserved"),
    [
        ("all", {"count": "all"}),
        ("2", {"count": 2}),
        ("device=1", {"device_ids": ["1"]}),
        ("device=0,GPU-8a3f", {"device_ids": ["0", "GPU-8a3f"]}),
    ],
)
def test_compose_reserves_the_gpus_that_docker_would(
    tmp_path: Path, gpus: str, reserved: dict[str, Any]
) -> None:
    options = ContainerOptions(gpus=gpus)
    document = compose_document(_repository(tmp_path / "r"), ServerOptions(), options)
    (device,) = document["services"]["triton"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", **reserved, "capabilities": ["gpu"]}


@pytest.mark.parametrize("gpus", ["device=", "none", "0", "device=0,,1"])
def test_gpus_that_docker_does_not_know_are_refused(tmp_path: Path, gpus: str) -> None:
    with pytest.raises(ServerError, match="--gpus of all, a number or device=0,1"):
        compose_document(_repository(tmp_path / "r"), ServerOptions(), ContainerOptions(gpus=gpus))


def test_plans_go_to_the_kind_of_gpu_that_built_them(tmp_path: Path) -> None:
    """Portable ones to its compute capability; labels are those of NVIDIA's GPU feature discovery."""
    built = {"compute_capability": "7.5", "gpu": "NVIDIA GeForce RTX 2080 Ti"}
    one_kind = kserve_document(_repository(tmp_path / "a", built=built), KSERVE)
    assert one_kind["spec"]["predictor"]["nodeSelector"] == {
        "nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-2080-Ti"
    }
    portable = kserve_document(
        _repository(tmp_path / "b", built={**built, "portable": "yes"}), KSERVE
    )
    assert portable["spec"]["predictor"]["nodeSelector"] == {
        "nvidia.com/gpu.compute.major": "7",
        "nvidia.com/gpu.compute.minor": "5",
    }


def test_version_compatible_plans_are_let_in_everywhere(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r", built={"version_compatible": "yes"})
    option = "--backend-config=tensorrt,version-compatible=true"
    command = docker_command(repository, ServerOptions(), OPTIONS)
    assert option in command
    assert any(word.endswith(":26.10-py3") for word in command)
    compose = compose_document(repository, ServerOptions(), OPTIONS)
    assert option in compose["services"]["triton"]["command"]
    assert option in kserve_document(repository, KSERVE)["spec"]["predictor"]["model"]["args"]
    assert option not in docker_command(_repository(tmp_path / "s"), ServerOptions(), OPTIONS)


def test_openvino_in_fp32_is_kept_from_bf16_everywhere(tmp_path: Path) -> None:
    """Triton's backend answers as bf16 does where the CPU has it, whatever the repository says."""
    repository = _repository(tmp_path / "r", target="openvino", precision="fp32")
    name, value = "ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI"
    assert f"--env={name}={value}" in docker_command(repository, ServerOptions(), OPTIONS)
    compose = compose_document(repository, ServerOptions(), OPTIONS)
    assert compose["services"]["triton"]["environment"][name] == value
    model = kserve_document(repository, KSERVE)["spec"]["predictor"]["model"]
    assert {"name": name, "value": value} in model["env"]
    bf16 = _repository(tmp_path / "s", target="openvino", precision="bf16")
    command = docker_command(bf16, ServerOptions(), OPTIONS)
    assert not any(name in word for word in command)


def test_onnx_runtime_in_fp32_is_kept_from_tf32_everywhere(tmp_path: Path) -> None:
    """Its CUDA provider takes TF32 for FP32 unless it is told not to (``use_tf32``), on Ampere and later."""
    repository = _repository(tmp_path / "r", target="onnxruntime", precision="fp32")
    name = "NVIDIA_TF32_OVERRIDE"
    assert f"--env={name}=0" in docker_command(repository, ServerOptions(), OPTIONS)
    compose = compose_document(repository, ServerOptions(), OPTIONS)
    assert compose["services"]["triton"]["environment"][name] == "0"
    model = kserve_document(repository, KSERVE)["spec"]["predictor"]["model"]
    assert {"name": name, "value": "0"} in model["env"]
    half = _repository(tmp_path / "s", target="onnxruntime", precision="fp16")
    assert not any(name in word for word in docker_command(half, ServerOptions(), OPTIONS))


def test_what_onnx_runtime_builds_at_its_start_outlives_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = _repository(tmp_path / "r", target="onnxruntime", accelerator=True)
    cache = tmp_path / "cache" / "infmap-kit" / "engines"
    command = docker_command(repository, ServerOptions(), OPTIONS)
    assert f"--mount=type=bind,source={cache},target=/var/cache/infmap-kit" in command
    assert cache.is_dir()
    volumes = compose_document(repository, ServerOptions(), OPTIONS)["services"]["triton"][
        "volumes"
    ]
    assert [volume["read_only"] for volume in volumes] == [True, False]
    predictor = kserve_document(repository, KSERVE)["spec"]["predictor"]
    mounted = {mount["mountPath"] for mount in predictor["model"]["volumeMounts"]}
    assert "/var/cache/infmap-kit" in mounted
    assert {m["name"] for m in predictor["model"]["volumeMounts"]} == {
        volume["name"] for volume in predictor["volumes"]
    }


def test_without_a_gpu_none_is_asked_for(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r", target="openvino")
    assert not [w for w in docker_command(repository, ServerOptions(), OPTIONS) if "gpus" in w]
    document = compose_document(repository, ServerOptions(), OPTIONS)
    assert "deploy" not in document["services"]["triton"]


def test_no_secret_stands_in_the_arguments(tmp_path: Path) -> None:
    """Every user of a machine can read them; nothing that could be sent opens the restricted APIs."""
    repository = _repository(tmp_path / "r")
    first, second = (docker_command(repository, ServerOptions(), OPTIONS) for _ in range(2))
    assert first == second
    (restricted,) = (word for word in first if word.startswith("--grpc-restricted-protocol="))
    assert "\n" in restricted


def test_http_stays_in_the_container_unless_it_is_asked_for(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r")
    inside = docker_command(repository, ServerOptions(http_port=9000), OPTIONS)
    assert "--http-address=127.0.0.1" in inside
    assert not any("9000" in word for word in inside)
    outside = docker_command(repository, ServerOptions(http_port=9000, http=True), OPTIONS)
    assert "--publish=127.0.0.1:9000:8000" in outside
    assert "--http-address=127.0.0.1" not in outside


def test_compose_files_are_valid_by_the_compose_specs_schema(tmp_path: Path) -> None:
    """The schema is the compose project's own, as the package check-jsonschema brings it."""
    document = compose_document(_repository(tmp_path / "r"), ServerOptions(), OPTIONS)
    write_yaml(tmp_path / "compose.yaml", document)
    schema = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    read = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    jsonschema.validate(read, json.loads(schema.read_text(encoding="utf-8")))
    service = read["services"]["triton"]
    assert service["image"] == "nvcr.io/nvidia/tritonserver:26.08-py3"
    assert (service["read_only"], service["cap_drop"], service["user"]) == (
        True,
        ["ALL"],
        "1000:1000",
    )
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["volumes"][0]["read_only"]


def test_compose_builds_what_the_embedded_target_needs(tmp_path: Path) -> None:
    """NVIDIA's images lack OpenVINO's Python package; the versions are those of the proof."""
    built = {"openvino": "2026.4.1", "numpy": "2.4.6"}
    repository = _repository(tmp_path / "r", target="embedded", precision="int8", built=built)
    document = compose_document(repository, ServerOptions(), OPTIONS)
    write_yaml(tmp_path / "compose.yaml", document)
    schema = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    read = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    jsonschema.validate(read, json.loads(schema.read_text(encoding="utf-8")))
    service = read["services"]["triton"]
    first, second = service["build"]["dockerfile_inline"].splitlines()
    assert first == "FROM nvcr.io/nvidia/tritonserver:26.09-py3"
    assert second.endswith("pip install --no-cache-dir openvino==2026.4.1 numpy==2.4.6")
    assert "image" not in service
    assert "deploy" not in service
    assert (service["read_only"], service["user"]) == (True, "1000:1000")
    own = compose_document(repository, ServerOptions(), ContainerOptions(image="ours:1"))
    assert own["services"]["triton"]["image"] == "ours:1"
    assert "build" not in own["services"]["triton"]


def test_plans_of_a_jetson_need_an_image_that_is_named(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r", built={"compute_capability": "8.7"})
    with pytest.raises(HostMismatch, match=r"Jetson Orin.*26\.02-py3-igpu.*name it with --image"):
        docker_command(repository, ServerOptions(), OPTIONS)
    with pytest.raises(HostMismatch, match="Jetson Orin"):
        kserve_document(repository, KSERVE)
    named = ContainerOptions(image="nvcr.io/nvidia/tritonserver:26.02-py3-igpu")
    assert named.image in docker_command(repository, ServerOptions(), named)


def _kserve(folder: Path, **options: Any) -> dict[str, Any]:
    chosen = KserveOptions(**{"storage_uri": "pvc://models/infmap", **options})
    document = kserve_document(_repository(folder / "r"), chosen)
    write_yaml(folder / "service.yaml", document)
    read: dict[str, Any] = yaml.safe_load((folder / "service.yaml").read_text())
    return read


def test_inference_services_are_valid_by_kserves_own_api(tmp_path: Path) -> None:
    service = _kserve(tmp_path, namespace="radiology", replicas=3)
    jsonschema.validate(service, json.loads(KSERVE_SCHEMA.read_text(encoding="utf-8")))
    predictor = service["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == "pvc://models/infmap"
    assert predictor["model"]["runtimeVersion"] == "26.08-py3"
    assert predictor["model"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert predictor["nodeSelector"] == {
        "nvidia.com/gpu.compute.major": "7",
        "nvidia.com/gpu.compute.minor": "5",
    }


def test_the_schema_refuses_a_field_that_kserve_does_not_know(tmp_path: Path) -> None:
    service = _kserve(tmp_path)
    service["spec"]["predictor"]["model"]["storageURI"] = "pvc://models/infmap"
    with pytest.raises(jsonschema.ValidationError, match="storageURI"):
        jsonschema.validate(service, json.loads(KSERVE_SCHEMA.read_text(encoding="utf-8")))


def test_plans_of_an_unknown_tensorrt_fit_no_image(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r", tensorrt="8.6.1")
    with pytest.raises(HostMismatch, match=r"TensorRT 8\.6\.1"):
        docker_command(repository, ServerOptions(), OPTIONS)


def test_the_embedded_target_is_for_no_container(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "r", target="embedded")
    with pytest.raises(HostMismatch, match="without --runtime docker"):
        docker_command(repository, ServerOptions(), OPTIONS)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"user": "root"}, "not root"),
        ({"user": "0:0"}, "not root"),
        ({"shm_mib": 1}, "64 MiB or more"),
    ],
)
def test_impossible_containers_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ServerError, match=reason):
        ContainerOptions(**options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"storage_uri": "/models"}, "storage URI of pvc"),
        ({"storage_uri": "s3://m", "name": "In fmap"}, "lower-case"),
        ({"storage_uri": "s3://m", "namespace": "-x"}, "lower-case"),
        ({"storage_uri": "s3://m", "replicas": 0}, "1 replica"),
        ({"storage_uri": "s3://m", "gpu_resource": "amd.com/gpu"}, "nvidia.com/mig-1g.10gb"),
        ({"storage_uri": "s3://m", "deployment_mode": "Serverless"}, "Standard, RawDeployment"),
    ],
)
def test_impossible_services_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ServerError, match=reason):
        KserveOptions(**options)
