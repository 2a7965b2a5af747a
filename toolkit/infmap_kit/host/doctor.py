"""`infmap-kit doctor`: what does not fit on this box, in one sentence each, with the mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.host import host_checks, repository_checks
from infmap_kit.host.check import Check
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.options import ServerOptions


def examine(repository: Path, options: ServerOptions) -> list[Check]:
    """Look at everything that serving a repository here depends on.

    Parameters
    ----------
    repository
        What is to be served.
    options
        Where.
    """
    manifest = _manifest(repository)
    checks: list[Callable[[], Iterator[Check]]] = [
        host_checks.python,
        lambda: host_checks.server(manifest),
        lambda: repository_checks.libraries(manifest),
        lambda: host_checks.bf16(manifest),
        lambda: host_checks.gpu(manifest),
        lambda: repository_checks.repository(repository, manifest),
        lambda: repository_checks.permissions(repository),
        lambda: host_checks.space(repository),
        host_checks.memory,
        lambda: host_checks.ports(options),
        repository_checks.signing_key,
    ]
    return [check for checking in checks for check in checking()]


def _manifest(repository: Path) -> Manifest | None:
    try:
        return Manifest.read(repository)
    except InfmapError:
        return None
