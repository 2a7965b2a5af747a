"""`infmap-kit doctor`: what does not fit on this host, a sentence and a fix each."""

from __future__ import annotations

import contextlib
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.host import host_checks, repository_checks
from infmap_kit.targets.check import HostCheck, as_sentence, problem
from infmap_kit.targets.registry import find
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.options import ServerOptions


def examine(repository: Path, options: ServerOptions) -> list[HostCheck]:
    """Look at everything that serving a repository here depends on.

    Parameters
    ----------
    repository
        The repository to serve.
    options
        Address and ports that the server would listen on.
    """
    manifest = target = None
    unknown: list[HostCheck] = []
    with contextlib.suppress(InfmapError):
        manifest = Manifest.read(repository)
    if manifest is not None:
        try:
            target = find(manifest.target)
        except InfmapError as error:
            fix = "Export or install again with this version."
            unknown.append(problem("target", as_sentence(error), fix))
    return [
        *host_checks.python(),
        *host_checks.server(target),
        *unknown,
        *repository_checks.libraries(target, manifest),
        *(target.checks(manifest) if target is not None and manifest is not None else ()),
        *host_checks.gpu(target, manifest),
        *repository_checks.repository(repository, manifest),
        *repository_checks.permissions(repository),
        *host_checks.space(repository),
        *host_checks.surroundings(),
        *host_checks.memory(),
        *host_checks.ports(options),
        *repository_checks.signing_key(),
    ]
