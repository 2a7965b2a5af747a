"""Serving the page on this machine until Ctrl-C."""

from __future__ import annotations

import secrets
from pathlib import Path

from infmap_kit.command import console
from infmap_kit.errors import ViewError
from infmap_kit.view.gallery import Gallery
from infmap_kit.view.opinions import Opinions
from infmap_kit.web.listener import answer, listen, quiet_config, url_of

LOOPBACK = "127.0.0.1"


def serve_results(folder: Path, *, reader: str, identify: bool = False, port: int = 0) -> None:
    """Serve a folder of results on loopback, to who has the token that is printed.

    Parameters
    ----------
    folder
        Folder that `infmap-kit infer` wrote.
    reader
        Whose opinions are kept.
    identify
        See :class:`~infmap_kit.view.gallery.Gallery`.
    port
        0 takes a free one.

    Raises
    ------
    ViewError
        When there are no results, or the port cannot be used.
    """
    gallery = Gallery(folder, identify=identify)
    opinions = Opinions(gallery, reader)
    # Of an extra, which exporting does without.
    from infmap_kit.view.app import make_app

    token = secrets.token_urlsafe(24)
    listener = listen(LOOPBACK, port, error=ViewError)
    config = quiet_config(make_app(gallery, opinions, token=token))
    address = f"{url_of(listener)}?token={token}"
    said = f"Showing {folder} to who has this address (Ctrl-C ends it):\n{address}"
    answer(config, listener, lambda: console.print(said, highlight=False, soft_wrap=True))
