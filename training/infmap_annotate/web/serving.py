"""Serving a study until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from pathlib import Path

from infmap_annotate.study.folder import Study
from infmap_kit.command import console
from infmap_kit.errors import MissingDependency, StudyError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """Where a study is served, and under which names.

    Parameters
    ----------
    host, port
        To listen on; port 0 takes a free one.
    names
        Further names under which browsers ask.
    certificate, key
        PEM files; with them it is HTTPS.
    behind_proxy
        Whether something in front speaks HTTPS with the browsers.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        from infmap_annotate.web.guard import is_loopback

        if (self.certificate is None) != (self.key is None):
            raise StudyError("expected --certificate and --key together")
        if not (is_loopback(self.host) or self.certificate or self.behind_proxy):
            raise StudyError(
                f"{self.host} is reached from other machines, and tokens and radiographs would travel "
                "in the clear: give --certificate and --key, or --behind-proxy when something in "
                "front speaks HTTPS"
            )

    @property
    def secure(self) -> bool:
        """Whether browsers speak HTTPS."""
        return self.certificate is not None or self.behind_proxy

    @property
    def hosts(self) -> frozenset[str]:
        """Names under which the server may be asked."""
        return frozenset(
            ("localhost", "127.0.0.1", "::1", *map(str.lower, (self.host, *self.names)))
        )


def serve_study(folder: Path, address: Address) -> None:
    """Serve until Ctrl-C or SIGTERM; whatever was answered is on disk, so it may be killed as well.

    Raises
    ------
    MissingDependency
        Naming the extra to install.
    StudyError
        When the folder is no study, or the port cannot be used.
    """
    try:
        import uvicorn

        from infmap_annotate.web.pages import make_app
    except ImportError as error:
        raise MissingDependency(
            f"serving needs {error.name}, which is not installed: pip install 'infmap-kit[annotate]'"
        ) from error

    study = Study(folder)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
        # From here on browsers wait instead of being refused.
        listener.listen()
    except OSError as error:
        raise StudyError(
            f"port {address.port} on {address.host} cannot be used ({error.strerror}): end what listens "
            "there, or choose another with --port"
        ) from error
    port = listener.getsockname()[1]
    scheme = "https" if address.certificate else "http"
    host = f"[{address.host}]" if ":" in address.host else address.host
    config = uvicorn.Config(
        make_app(study, hosts=address.hosts, secure=address.secure),
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
    )
    try:
        config.load()
    except OSError as error:
        raise StudyError(
            f"cannot use {address.certificate} and {address.key} as certificate and key: {error}"
        ) from error
    # Ctrl-C is how it ends.
    with contextlib.suppress(KeyboardInterrupt):
        console.print(
            f"Serving {folder} on {scheme}://{host}:{port}/ (Ctrl-C ends it)", highlight=False
        )
        uvicorn.Server(config).run(sockets=[listener])
