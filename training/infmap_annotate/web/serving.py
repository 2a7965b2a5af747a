"""Serving a study until Ctrl-C or SIGTERM."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from infmap_annotate.study.folder import Study
from infmap_kit.command import console
from infmap_kit.errors import MissingDependency, StudyError
from infmap_kit.web.listener import answer, listen, quiet_config, url_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """The address on which a study is served, and its names.

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
        from infmap_kit.web.guard import is_loopback

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
        import uvicorn  # noqa: F401  # asked here, where the extra to install can be named

        from infmap_annotate.web.pages import make_app
    except ImportError as error:
        raise MissingDependency(
            f"serving needs {error.name}, which is not installed: pip install 'infmap-kit[annotate]'"
        ) from error

    study = Study(folder)
    listener = listen(address.host, address.port, error=StudyError)
    config = quiet_config(
        make_app(study, hosts=address.hosts, secure=address.secure),
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
    )
    try:
        config.load()
    except OSError as error:
        raise StudyError(
            f"cannot use {address.certificate} and {address.key} as certificate and key: {error}"
        ) from error
    url = url_of(listener, scheme="https" if address.certificate else "http")
    said = f"Serving {folder} on {url} (Ctrl-C ends it)"
    answer(config, listener, lambda: console.print(said, highlight=False))
