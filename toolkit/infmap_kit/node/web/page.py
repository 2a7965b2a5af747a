"""The node's page for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.node.queue.clock import shown_time
from infmap_kit.node.queue.tables import callers_table, images_table
from infmap_kit.report.page import render
from infmap_kit.report.table import Table, Toned


def page(seen: Mapping[str, Any]) -> str:
    """Show a node's state as one HTML file.

    Parameters
    ----------
    seen
        ``ae_title``, ``version``, ``port``, ``started_at``, ``now``, ``free_gb``, ``problems``, ``warnings``,
        ``received``, and how many ``images`` are in which state; ``models``, ``destinations``, the ``latest``
        radiographs and the ``worklist``, a mapping each; ``refused`` callers.
    """
    destinations = [
        (
            pacs["name"],
            pacs["kind"],
            *(str(pacs["counts"].get(state, 0)) for state in ("waiting", "delivered")),
            _count(pacs["counts"].get("dead", 0), alarming=True),
            _state(pacs["trouble"] or _dead_letters(pacs["counts"]), "well"),
        )
        for pacs in seen["destinations"]
    ]
    models = [
        (model["name"], model["url"], _state(model["trouble"], "answers"))
        for model in seen["models"]
    ]
    by_destination = ("name", "by", "waiting", "delivered", "dead", "state")
    return render(
        "status.html",
        Path(__file__).parent / "templates",
        title=f"{seen['ae_title']} · infmap-kit node",
        subtitle=f"infmap-kit {seen['version']} · DICOM port {seen['port']} · {seen['free_gb']:.1f} GiB "
        f"free · since {shown_time(seen['started_at'])[:16]} UTC",
        problems=seen["problems"],
        warnings=seen["warnings"],
        counts=[
            ("received", seen["received"]),
            *(
                (state, _count(number, alarming=state == "failed"))
                for state, number in seen["images"].items()
            ),
        ],
        models=Table("", ("name", "server", "state"), models, words=("state",)),
        destinations=Table("", by_destination, destinations, words=("state",)),
        refused=_wrapped(callers_table(seen["refused"]), "refused because"),
        worklist=_wrapped(images_table(seen["worklist"]), "found, or why"),
        latest=_wrapped(images_table(seen["latest"]), "found, or why"),
        now=shown_time(seen["now"]),
    )


def _wrapped(table: Table, sentences: str) -> Table:
    """A table whose column of sentences takes several lines, so that none of it is outside the window."""
    return dataclasses.replace(table, words=(sentences,))


def _state(trouble: str, well: str) -> Toned:
    return Toned(trouble, "bad") if trouble else Toned(well, "good")


def _dead_letters(counts: Mapping[str, int]) -> str:
    return "has dead letters: infmap-kit node retry ID" if counts.get("dead") else ""


def _count(number: int, *, alarming: bool) -> Toned:
    return Toned(str(number), "bad" if alarming and number else "")
