"""The page as a folder, to be opened without a server."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import ViewError
from infmap_kit.model.files import make_private, write_bytes, writing_to
from infmap_kit.progress import Progress, no_progress
from infmap_kit.results.view import RADIOGRAPH
from infmap_kit.view import page
from infmap_kit.view.document import list_document, result_document
from infmap_kit.view.gallery import MAP, PICTURES, Card, Gallery
from infmap_kit.view.opinions import Opinions
from infmap_kit.view.thumbnails import thumbnail


def export_results(
    results: Path,
    folder: Path,
    *,
    reader: str,
    identify: bool = False,
    progress: Progress = no_progress,
) -> int:
    """Write a page of results into a new folder, with everything that it shows.

    ::

        index.html view.js view.css icon.svg   the page
        data/list.js                     the gallery, and what the reader said
        data/ID.js thumbnails/ID.jpg     one result with its pictures, and its small one
        maps/ID.png                      where a result's map is all that was kept

    A browser that opened a file runs scripts beside it and reads nothing else: so data are scripts.

    Returns
    -------
    int
        Number of results.

    Raises
    ------
    ViewError
        When there are no results, or the folder is not empty or cannot be written.
    """
    gallery = Gallery(results, identify=identify)
    opinions = Opinions(gallery, reader)
    with writing_to(folder, ViewError):
        if folder.exists() and any(folder.iterdir()):
            raise ViewError(f"{folder} is not empty: name a new folder, or remove it")
        make_private(folder)
        listed = list_document(gallery, opinions)
        cards = gallery.cards()
        for done, card in enumerate(cards, start=1):
            _write_result(gallery, card, folder)
            progress("results", done, len(cards))
        _write(folder / "data" / "list.js", _given("list", listed))
        _write(folder / "view.js", page.script())
        _write(folder / "view.css", page.style())
        _write(folder / "icon.svg", page.icon())
        # Last: whoever finds it finds the rest.
        _write(folder / "index.html", page.html(exported=True))
    return len(cards)


def _write_result(gallery: Gallery, card: Card, folder: Path) -> None:
    paths = {kind: gallery.picture(card, kind) for kind in PICTURES}
    map_ = None if paths[RADIOGRAPH] else paths[MAP]
    contents = {
        kind: base64.b64encode(path.read_bytes()).decode()
        for kind, path in paths.items()
        if path is not None and kind != MAP
    }
    _write(
        folder / "data" / f"{card.id}.js",
        _given(card.id, {**result_document(card), "contents": contents}),
    )
    if map_ is not None:
        write_bytes(folder / "maps" / f"{card.id}.png", map_.read_bytes(), private=True)
    if (small := thumbnail(gallery, card)) is not None:
        write_bytes(folder / "thumbnails" / f"{card.id}.jpg", small, private=True)


def _given(name: str, document: Mapping[str, Any]) -> str:
    """A script that hands a document to the page: JSON in ASCII, which is a JavaScript expression too."""
    return f"infmapGive({json.dumps(name)}, {json.dumps(document)});\n"


def _write(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"), private=True)
