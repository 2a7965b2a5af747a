"""`--runtime` of the commands that serve a repository themselves and measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.errors import ServerError

if TYPE_CHECKING:
    from infmap_kit.serving.server import Serve

Runtime = Annotated[
    str,
    typer.Option(
        help="Server to run: auto (a tritonserver on this machine) or docker (NVIDIA's stock image)."
    ),
]


def served_by(runtime: str) -> Serve:
    """The function that serves a repository, by the name that ``--runtime`` gives.

    Raises
    ------
    ServerError
        For another name.
    """
    from infmap_kit.serving.server import served_here

    if runtime == "docker":
        from infmap_kit.host.container import served_in_container

        return served_in_container
    if runtime != "auto":
        raise ServerError(f"expected --runtime to be one of auto, docker, found {runtime!r}")
    return served_here
