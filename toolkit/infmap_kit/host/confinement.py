"""The confinement of a server in a container, for docker, compose and Kubernetes alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from infmap_kit.telemetry import ONNX_RUNTIME
from infmap_kit.triton.server.options import STOP_TIMEOUT_S

UNPRIVILEGED = "65534:65534"
"""The unprivileged user and group of Linux."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedPort:
    """A TCP port of the container that can be reached from outside.

    Parameters
    ----------
    host
        Address of the machine to bind to.
    outer, inner
        The port there, and in the container.
    """

    host: str
    outer: int
    inner: int

    def __str__(self) -> str:
        return f"{self.host}:{self.outer}:{self.inner}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder of the machine that the container can read, and write only where it says so.

    Parameters
    ----------
    source, target
        Absolute path on the machine, and path in the container.
    read_only
        Whether the container can only read it.
    """

    source: Path
    target: str
    read_only: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confinement:
    """The confinement of a container.

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
        Root's rights that no process in the container can have.
    no_new_privileges
        Whether no program in it can gain rights by being started.
    pids_limit
        Processes and threads at most.
    stop_signal
        The signal that ends the server in order.
    stop_timeout_s
        Seconds after which it is killed.
    shm_mib
        Size of /dev/shm.
    tmp_mib, tmp_options
        Size of /tmp, in memory, and how it is mounted.
    ports
        Ports that can be reached from outside.
    mounts
        Folders of the machine that it sees.
    environment
        Variables of the server.
    """

    user: str = UNPRIVILEGED
    read_only: bool = True
    dropped_capabilities: tuple[str, ...] = ("ALL",)
    no_new_privileges: bool = True
    pids_limit: int = 4096
    stop_signal: str = "SIGINT"
    stop_timeout_s: int = int(STOP_TIMEOUT_S)
    shm_mib: int = 256
    tmp_mib: int = 256
    tmp_options: tuple[str, ...] = ("rw", "noexec", "nosuid", "nodev")
    ports: tuple[PublishedPort, ...] = ()
    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = tuple(sorted(ONNX_RUNTIME.items()))

    def docker(self) -> list[str]:
        """The confinement as arguments of ``docker run``."""
        return [
            f"--user={self.user}",
            *["--read-only"] * self.read_only,
            *(f"--cap-drop={name}" for name in self.dropped_capabilities),
            *["--security-opt=no-new-privileges"] * self.no_new_privileges,
            f"--pids-limit={self.pids_limit}",
            f"--stop-signal={self.stop_signal}",
            f"--stop-timeout={self.stop_timeout_s}",
            f"--shm-size={self.shm_mib}m",
            f"--tmpfs={self._tmpfs}",
            *(f"--env={name}={value}" for name, value in self.environment),
            *(f"--publish={port}" for port in self.ports),
            *(
                f"--mount=type=bind,source={mount.source},target={mount.target}"
                + ",readonly" * mount.read_only
                for mount in self.mounts
            ),
        ]

    def compose(self) -> dict[str, Any]:
        """The confinement as keys of a compose service."""
        return {
            "user": self.user,
            "read_only": self.read_only,
            "cap_drop": list(self.dropped_capabilities),
            "security_opt": ["no-new-privileges:true"] * self.no_new_privileges,
            "pids_limit": self.pids_limit,
            "stop_signal": self.stop_signal,
            "stop_grace_period": f"{self.stop_timeout_s}s",
            "shm_size": f"{self.shm_mib}m",
            "tmpfs": [self._tmpfs],
            "environment": dict(self.environment),
            "ports": [str(port) for port in self.ports],
            "volumes": [
                {
                    "type": "bind",
                    "source": str(mount.source),
                    "target": mount.target,
                    "read_only": mount.read_only,
                }
                for mount in self.mounts
            ],
        }

    def container_security(self) -> dict[str, Any]:
        """The confinement as the ``securityContext`` of Kubernetes' container."""
        return {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": self.read_only,
            "capabilities": {"drop": list(self.dropped_capabilities)},
            "allowPrivilegeEscalation": not self.no_new_privileges,
        }

    def container_environment(self) -> list[dict[str, str]]:
        """The variables as the ``env`` of Kubernetes' container."""
        return [{"name": name, "value": value} for name, value in self.environment]

    def pod_security(self) -> dict[str, Any]:
        """The confinement as the ``securityContext`` of Kubernetes' pod, which takes no names."""
        user, _, group = self.user.partition(":")
        if not (user.isdecimal() and group.isdecimal()):
            return {}
        return {"runAsUser": int(user), "runAsGroup": int(group), "fsGroup": int(group)}

    def memory_volumes(self) -> list[tuple[str, dict[str, Any]]]:
        """Kubernetes' ``emptyDir`` volumes, each after the path it is mounted at."""
        return [
            ("/dev/shm", {"medium": "Memory", "sizeLimit": f"{self.shm_mib}Mi"}),  # noqa: S108
            ("/tmp", {"sizeLimit": f"{self.tmp_mib}Mi"}),  # noqa: S108  # of the container
        ]

    @property
    def _tmpfs(self) -> str:
        return f"/tmp:{','.join(self.tmp_options)},size={self.tmp_mib}m"  # noqa: S108  # of the container
