"""Listening on an address, and answering on it until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from infmap_kit.errors import InfmapError

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 3
"""Seconds that answers have which are on their way at the end."""


def listen(host: str, port: int, *, error: type[InfmapError]) -> socket.socket:
    """Listen, so that from here on browsers wait instead of being refused; port 0 takes a free one.

    Raises
    ------
    InfmapError
        Of the kind ``error``, when the port cannot be used.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as reason:
        listener.close()
        raise error(
            f"port {port} on {host} cannot be used ({reason.strerror}): end what listens there, or choose "
            "another with --port"
        ) from reason
    return listener


def url_of(listener: socket.socket, *, scheme: str = "http") -> str:
    """The address as browsers are given it, with a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def answer(config: uvicorn.Config, listener: socket.socket, tell: Callable[[], None]) -> None:
    """Answer with an application until Ctrl-C, which is how it ends from the moment that ``tell`` is called."""
    import uvicorn

    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        tell()
        server.run(sockets=[listener])


def quiet_config(app: object, **options: object) -> uvicorn.Config:
    """An application that logs no request, since its paths may name radiographs, and does not say what it is.

    Parameters
    ----------
    app
        ASGI application.
    options
        Further options of ``uvicorn.Config``.
    """
    import uvicorn

    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
        **options,  # type: ignore[arg-type]
    )
