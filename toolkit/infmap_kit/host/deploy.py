"""A repository on a host of its own, or on a cluster: compose files and KServe's InferenceService.

More than one host is Kubernetes' and KServe's work; the repository's root is what they are given.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from infmap_kit.errors import ServerError
from infmap_kit.host.confinement import Confinement
from infmap_kit.host.container import (
    HTTP_PORT,
    ContainerOptions,
    confinement,
    fitting_image,
    server_arguments,
    wants_gpu,
)
from infmap_kit.model.files import write_bytes
from infmap_kit.triton.repository import check_repository
from infmap_kit.triton.server.options import ServerOptions, hardened

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_STORAGE = ("pvc://", "s3://", "gs://", "hf://", "https://", "oci://", "abfs://")
# KServe's Triton runtime sets these two itself, and its health checks look there.
_KSERVE_HTTP_PORT = 8080


@dataclasses.dataclass(frozen=True, kw_only=True)
class KserveOptions:
    """Name and size of an InferenceService.

    Parameters
    ----------
    storage_uri
        Address of the repository's root in the cluster, such as ``pvc://models/infmap``.
    name
        The service's name.
    namespace
        The service's namespace; ``None`` leaves it to ``kubectl``.
    replicas
        The most hosts; one is always up.
    cpus, memory
        Resources of each, as Kubernetes writes them.
    """

    storage_uri: str
    name: str = "infmap"
    namespace: str | None = None
    replicas: int = 1
    cpus: str = "4"
    memory: str = "8Gi"

    def __post_init__(self) -> None:
        if not self.storage_uri.startswith(_STORAGE):
            raise ServerError(
                f"expected a storage URI of {', '.join(_STORAGE)}, found {self.storage_uri!r}"
            )
        for name in (self.name, self.namespace):
            if name is not None and not _DNS_LABEL.fullmatch(name):
                raise ServerError(
                    f"expected a name of lower-case letters, digits and dashes, found {name!r}"
                )
        if self.replicas < 1:
            raise ServerError(f"expected 1 replica or more, found {self.replicas}")


def compose_document(
    repository: Path, server: ServerOptions, options: ContainerOptions, *, key: str | None = None
) -> dict[str, Any]:
    """A compose file with the same confinement as ``infmap-kit serve --runtime docker``.

    Takes and raises what :func:`~infmap_kit.host.container.docker_command` does; the repository is mounted
    read-only from where it is.
    """
    manifest = check_repository(repository)
    service: dict[str, Any] = {
        "image": options.image or fitting_image(manifest).reference,
        "command": server_arguments(key),
        **confinement(repository, server, options).compose(),
        "healthcheck": {
            "test": ["CMD", "curl", "-fsS", f"http://127.0.0.1:{HTTP_PORT}/v2/health/ready"],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "120s",
        },
        "restart": "unless-stopped",
    }
    if wants_gpu(manifest):
        device = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return {"name": "infmap-kit", "services": {"triton": service}}


def kserve_document(
    repository: Path, options: KserveOptions, *, key: str | None = None
) -> dict[str, Any]:
    """An InferenceService for KServe's own Triton runtime.

    Raises what :func:`~infmap_kit.host.container.docker_command` raises.

    Parameters
    ----------
    repository
        A copy of the repository at the storage URI; its manifest says which image and which GPUs fit.
    options
        Name, place and size.
    key
        See :func:`~infmap_kit.triton.server.options.hardened`.
    """
    manifest = check_repository(repository)
    image, confined = fitting_image(manifest), Confinement()
    gpus = {"nvidia.com/gpu": "1"} if wants_gpu(manifest) else {}
    size = {"cpu": options.cpus, "memory": options.memory, **gpus}
    model: dict[str, Any] = {
        "modelFormat": {"name": "triton"},
        "runtime": "kserve-tritonserver",
        "runtimeVersion": image.reference.rpartition(":")[2],
        "protocolVersion": "v2",
        "storageUri": options.storage_uri,
        # Added to the runtime's own, which name the repository and the ports.
        "args": hardened(key),
        "env": confined.container_environment(),
        "resources": {"requests": dict(size), "limits": dict(size)},
        "securityContext": {"privileged": False, **confined.container_security()},
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": _KSERVE_HTTP_PORT},
            "periodSeconds": 5,
            "failureThreshold": 60,
        },
        "volumeMounts": [
            {"name": Path(path).name, "mountPath": path} for path, _ in confined.memory_volumes()
        ],
    }
    pod_security = {**confined.pod_security(), "seccompProfile": {"type": "RuntimeDefault"}}
    predictor: dict[str, Any] = {
        "minReplicas": 1,
        "maxReplicas": options.replicas,
        "automountServiceAccountToken": False,
        "securityContext": pod_security,
        "model": model,
        "volumes": [
            {"name": Path(path).name, "emptyDir": volume}
            for path, volume in confined.memory_volumes()
        ],
    }
    capability = manifest.built_with.get("compute_capability")
    if capability is not None:
        # Labels of NVIDIA's GPU feature discovery: plans load on the generation that built them.
        major, _, minor = capability.partition(".")
        predictor["nodeSelector"] = {
            "nvidia.com/gpu.compute.major": major,
            "nvidia.com/gpu.compute.minor": minor,
        }
    namespace = {"namespace": options.namespace} if options.namespace is not None else {}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": options.name, **namespace},
        "spec": {"predictor": predictor},
    }


def write_yaml(path: Path, document: dict[str, Any]) -> None:
    """Write a document as YAML; written beside and renamed."""
    text = yaml.safe_dump(document, sort_keys=False, width=110)
    write_bytes(path, text.encode())
