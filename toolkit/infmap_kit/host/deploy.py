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
    environment,
    fitting_image,
    server_arguments,
)
from infmap_kit.model.files import write_bytes
from infmap_kit.targets.backends import on_gpu
from infmap_kit.targets.registry import find
from infmap_kit.triton.repository import check_repository
from infmap_kit.triton.server.options import ServerOptions, hardened

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_STORAGE = ("pvc://", "s3://", "gs://", "hf://", "https://", "oci://", "abfs://")
_GPU_RESOURCE = re.compile(r"nvidia\.com/(gpu|mig-[1-7]g\.[0-9]+gb(\.[a-z.]+)?)(\.shared)?")
DEPLOYMENT_MODES = ("Standard", "RawDeployment")
"""KServe's modes without Knative: since 0.16, and before."""
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
    gpu_resource
        Name of the GPU's resource: a whole GPU, or a slice of one such as ``nvidia.com/mig-1g.10gb``.
    deployment_mode
        KServe's name of the mode without Knative: ``Standard``, or ``RawDeployment`` before KServe 0.16.
    """

    storage_uri: str
    name: str = "infmap"
    namespace: str | None = None
    replicas: int = 1
    cpus: str = "4"
    memory: str = "8Gi"
    gpu_resource: str = "nvidia.com/gpu"
    deployment_mode: str = "Standard"

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
        if not _GPU_RESOURCE.fullmatch(self.gpu_resource):
            raise ServerError(
                "expected a GPU resource such as nvidia.com/gpu or nvidia.com/mig-1g.10gb, found "
                f"{self.gpu_resource!r}"
            )
        if self.deployment_mode not in DEPLOYMENT_MODES:
            raise ServerError(
                f"expected a deployment mode of {', '.join(DEPLOYMENT_MODES)}, found {self.deployment_mode!r}"
            )
        if self.replicas < 1:
            raise ServerError(f"expected 1 replica or more, found {self.replicas}")


def compose_document(
    repository: Path, server: ServerOptions, options: ContainerOptions
) -> dict[str, Any]:
    """A compose file with the same confinement as ``infmap-kit serve --runtime docker``.

    Takes and raises what :func:`~infmap_kit.host.container.docker_command` does; the repository is mounted
    read-only from where it is.
    """
    manifest = check_repository(repository)
    dockerfile = "" if options.image else find(manifest.target).dockerfile(manifest)
    image = (
        {"build": {"dockerfile_inline": dockerfile}}
        if dockerfile
        else {"image": options.image or fitting_image(manifest).reference}
    )
    service: dict[str, Any] = {
        **image,
        "command": server_arguments(manifest, server),
        **confinement(repository, manifest, server, options).compose(),
        "healthcheck": {
            "test": ["CMD", "curl", "-fsS", f"http://127.0.0.1:{HTTP_PORT}/v2/health/ready"],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "120s",
        },
        "restart": "unless-stopped",
    }
    if on_gpu(manifest):
        device = {"driver": "nvidia", **_reserved(options.gpus), "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return {"name": "infmap-kit", "services": {"triton": service}}


def kserve_document(repository: Path, options: KserveOptions) -> dict[str, Any]:
    """An InferenceService for KServe's own Triton runtime.

    Raises what :func:`~infmap_kit.host.container.docker_command` raises.

    Parameters
    ----------
    repository
        A copy of the repository at the storage URI; its manifest says which image and which GPUs fit.
    options
        Name, place and size.
    """
    manifest = check_repository(repository)
    image, target = fitting_image(manifest), find(manifest.target)
    confined = Confinement(environment=environment(manifest))
    volumes = confined.memory_volumes()
    if cached := target.engine_cache(manifest):
        volumes.append((cached, {}))
    gpus = {options.gpu_resource: "1"} if on_gpu(manifest) else {}
    size = {"cpu": options.cpus, "memory": options.memory, **gpus}
    model: dict[str, Any] = {
        "modelFormat": {"name": "triton"},
        "runtime": "kserve-tritonserver",
        "runtimeVersion": image.reference.rpartition(":")[2],
        "protocolVersion": "v2",
        "storageUri": options.storage_uri,
        # Added to the runtime's own, which name the repository and the ports.
        "args": [*target.server_options(manifest), *hardened()],
        "env": confined.container_environment(),
        "resources": {"requests": dict(size), "limits": dict(size)},
        "securityContext": {"privileged": False, **confined.container_security()},
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": _KSERVE_HTTP_PORT},
            "periodSeconds": 5,
            "failureThreshold": 60,
        },
        "volumeMounts": [{"name": Path(path).name, "mountPath": path} for path, _ in volumes],
    }
    pod_security = {**confined.pod_security(), "seccompProfile": {"type": "RuntimeDefault"}}
    predictor: dict[str, Any] = {
        "minReplicas": 1,
        "maxReplicas": options.replicas,
        "automountServiceAccountToken": False,
        "securityContext": pod_security,
        "model": model,
        "volumes": [{"name": Path(path).name, "emptyDir": volume} for path, volume in volumes],
    }
    if labels := target.gpu_labels(manifest):
        predictor["nodeSelector"] = labels
    namespace = {"namespace": options.namespace} if options.namespace is not None else {}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": options.name,
            **namespace,
            # KServe's default is Serverless, where Knative's flags forbid node selectors and security contexts.
            "annotations": {"serving.kserve.io/deploymentMode": options.deployment_mode},
        },
        "spec": {"predictor": predictor},
    }


def kustomize_documents(repository: Path, options: KserveOptions) -> dict[str, dict[str, Any]]:
    """A kustomize folder by its files' names: the InferenceService, and who may reach it.

    A server on a cluster's network is open to all of it. Here only pods of the same namespace that carry the
    label ``infmap-kit/asks: "true"`` reach it. Takes and raises what :func:`kserve_document` does.
    """
    selected = {"matchLabels": {"serving.kserve.io/inferenceservice": options.name}}
    asking = {"matchLabels": {"infmap-kit/asks": "true"}}
    namespace = {"namespace": options.namespace} if options.namespace is not None else {}
    return {
        "kustomization.yaml": {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            **namespace,
            "resources": ["inferenceservice.yaml", "networkpolicy.yaml"],
        },
        "inferenceservice.yaml": kserve_document(repository, options),
        "networkpolicy.yaml": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": options.name, **namespace},
            "spec": {
                "podSelector": selected,
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": asking}]}],
            },
        },
    }


def _reserved(gpus: str) -> dict[str, Any]:
    """Docker's ``--gpus`` in a compose file: all, a number, or devices by their numbers or UUIDs.

    Raises
    ------
    ServerError
        When it is none of these.
    """
    if gpus == "all":
        return {"count": "all"}
    if gpus.isdigit() and int(gpus):
        return {"count": int(gpus)}
    devices = gpus.removeprefix("device=").strip('"').split(",")
    if not gpus.startswith("device=") or not all(devices):
        raise ServerError(f"expected --gpus of all, a number or device=0,1, found {gpus!r}")
    return {"device_ids": devices}


def write_yaml(path: Path, document: dict[str, Any]) -> None:
    """Write a document as YAML; written beside and renamed."""
    text = yaml.safe_dump(document, sort_keys=False, width=110)
    write_bytes(path, text.encode())
