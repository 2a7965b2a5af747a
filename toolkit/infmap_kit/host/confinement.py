"""What a server in a container may and may not do, said once for docker, compose and Kubernetes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.triton.server.options import STOP_TIMEOUT_S

NOBODY = "65534:65534"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Setting:
    """One setting in each place's own words; docker and compose always have one.

    Parameters
    ----------
    docker
        Arguments of ``docker run``.
    compose
        Keys of a compose service.
    container, pod
        Keys of the ``securityContext`` of Kubernetes' container and pod.
    volumes
        Kubernetes' ``emptyDir`` volumes, each after the path it is mounted at.
    """

    docker: list[str]
    compose: Mapping[str, Any]
    container: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pod: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    volumes: Sequence[tuple[str, dict[str, Any]]] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confinement:
    """How a container is confined.

    Kubernetes has no word of its own for the number of processes (the kubelet limits them), for the signal that
    ends a container, and for a temporary folder's options; KServe's runtime names its ports and mounts the
    repository itself.

    Parameters
    ----------
    user
        User and group ids that the server runs as.
    read_only
        Whether nothing but the temporary folder can be written.
    dropped_capabilities
        What of root's rights nobody in the container can have.
    no_new_privileges
        Whether no program in it can gain rights by being started.
    pids_limit
        Processes and threads at most.
    stop_signal
        What ends the server in order.
    stop_timeout_s
        After which it is killed.
    shm_mib
        Size of /dev/shm.
    tmp_mib, tmp_options
        Size of /tmp, and how it is mounted.
    ports
        What can be reached from outside, each as ``address:port outside:port inside``.
    mounts
        Folders of the machine that it can read and not write: the place in the container, and the folder.
    """

    user: str = NOBODY
    read_only: bool = True
    dropped_capabilities: tuple[str, ...] = ("ALL",)
    no_new_privileges: bool = True
    pids_limit: int = 4096
    stop_signal: str = "SIGINT"
    stop_timeout_s: int = int(STOP_TIMEOUT_S)
    shm_mib: int = 256
    tmp_mib: int = 256
    tmp_options: tuple[str, ...] = ("rw", "noexec", "nosuid", "nodev")
    ports: tuple[str, ...] = ()
    mounts: tuple[tuple[str, Path], ...] = ()

    def docker(self) -> list[str]:
        """The confinement as arguments of ``docker run``."""
        return [argument for setting in self._settings() for argument in setting.docker]

    def compose(self) -> dict[str, Any]:
        """The confinement as keys of a compose service."""
        return {
            key: value for setting in self._settings() for key, value in setting.compose.items()
        }

    def container_security(self) -> dict[str, Any]:
        """The confinement as the ``securityContext`` of Kubernetes' container."""
        return {
            key: value for setting in self._settings() for key, value in setting.container.items()
        }

    def pod_security(self) -> dict[str, Any]:
        """The confinement as the ``securityContext`` of Kubernetes' pod."""
        return {key: value for setting in self._settings() for key, value in setting.pod.items()}

    def writable_volumes(self) -> list[tuple[str, dict[str, Any]]]:
        """Kubernetes' volumes for what may be written, each after the path it is mounted at."""
        return [volume for setting in self._settings() for volume in setting.volumes]

    def _settings(self) -> Iterator[_Setting]:
        ids = dict(zip(("runAsUser", "runAsGroup", "fsGroup"), _ids(self.user), strict=False))
        yield _Setting(
            docker=[f"--user={self.user}"],
            compose={"user": self.user},
            container={"runAsNonRoot": True},
            pod=ids,
        )
        yield _Setting(
            docker=["--read-only"] * self.read_only,
            compose={"read_only": self.read_only},
            container={"readOnlyRootFilesystem": self.read_only},
        )
        dropped = list(self.dropped_capabilities)
        yield _Setting(
            docker=[f"--cap-drop={name}" for name in dropped],
            compose={"cap_drop": dropped},
            container={"capabilities": {"drop": dropped}},
        )
        yield _Setting(
            docker=["--security-opt=no-new-privileges"] * self.no_new_privileges,
            compose={"security_opt": ["no-new-privileges:true"] * self.no_new_privileges},
            container={"allowPrivilegeEscalation": not self.no_new_privileges},
        )
        yield _Setting(
            docker=[f"--pids-limit={self.pids_limit}"],
            compose={"pids_limit": self.pids_limit},
        )
        yield _Setting(
            docker=[f"--stop-signal={self.stop_signal}", f"--stop-timeout={self.stop_timeout_s}"],
            compose={
                "stop_signal": self.stop_signal,
                "stop_grace_period": f"{self.stop_timeout_s}s",
            },
        )
        yield _Setting(
            docker=[f"--shm-size={self.shm_mib}m"],
            compose={"shm_size": f"{self.shm_mib}m"},
            volumes=[("/dev/shm", {"medium": "Memory", "sizeLimit": f"{self.shm_mib}Mi"})],  # noqa: S108
        )
        tmp = f"/tmp:{','.join(self.tmp_options)},size={self.tmp_mib}m"  # noqa: S108  # of the container
        yield _Setting(
            docker=[f"--tmpfs={tmp}"],
            compose={"tmpfs": [tmp]},
            volumes=[("/tmp", {"sizeLimit": f"{self.tmp_mib}Mi"})],  # noqa: S108
        )
        yield _Setting(
            docker=[f"--publish={port}" for port in self.ports],
            compose={"ports": list(self.ports)},
        )
        yield _Setting(
            docker=[
                f"--mount=type=bind,source={source},target={target},readonly"
                for target, source in self.mounts
            ],
            compose={
                "volumes": [
                    {"type": "bind", "source": str(source), "target": target, "read_only": True}
                    for target, source in self.mounts
                ]
            },
        )


def _ids(user: str) -> list[int]:
    """User, group and group of files, where they are numbers: Kubernetes takes no names."""
    user, _, group = user.partition(":")
    return [int(user), int(group), int(group)] if user.isdecimal() and group.isdecimal() else []
