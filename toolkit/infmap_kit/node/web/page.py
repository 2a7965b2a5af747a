"""The node's page for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.report.page import render
from infmap_kit.report.table import Table, Toned

_TONES = {
    "done": "good",
    "failed": "bad",
    **dict.fromkeys(("waiting", "working", "delivering"), "warning"),
}


def page(seen: Mapping[str, Any]) -> str:
    """Show what a node does, as one HTML file.

    Parameters
    ----------
    seen
        ``ae_title``, ``version``, ``port``, ``started_at``, ``now``, ``free_gb``, ``problems``, ``received``,
        and how many ``images`` are in which state; ``models``, ``destinations`` and the ``latest``
        radiographs, a mapping each.
    """
    destinations = [
        (
            one["name"],
            one["kind"],
            *(str(one["counts"].get(state, 0)) for state in ("waiting", "delivered")),
            _count(one["counts"].get("dead", 0), alarming=True),
            _state(one["trouble"], "well"),
        )
        for one in seen["destinations"]
    ]
    latest = [
        (
            str(one["id"]),
            _moment(one["received_at"]),
            one["caller"],
            Toned(one["state"], _TONES.get(one["state"], "soft")),
            one["reason"],
        )
        for one in seen["latest"]
    ]
    return render(
        "status.html",
        Path(__file__).parent / "templates",
        title=f"{seen['ae_title']} · infmap-kit node",
        subtitle=f"infmap-kit {seen['version']} · DICOM port {seen['port']} · {seen['free_gb']:.1f} GiB "
        f"free · since {_moment(seen['started_at'])[:16]} UTC",
        problems=seen["problems"],
        counts=[
            ("received", seen["received"]),
            *(
                (state, _count(number, alarming=state == "failed"))
                for state, number in seen["images"].items()
            ),
        ],
        models=Table(
            "",
            ("name", "server", "state"),
            [
                (one["name"], one["url"], _state(one["trouble"], "answers"))
                for one in seen["models"]
            ],
            words=("state",),
        ),
        destinations=Table(
            "",
            ("name", "by", "waiting", "delivered", "dead", "state"),
            destinations,
            words=("state",),
        ),
        latest=Table(
            "",
            ("no.", "received, UTC", "from", "state", "found, or why"),
            latest,
            words=("found, or why",),
        ),
        now=_moment(seen["now"]),
    )


def _state(trouble: str, well: str) -> Toned:
    return Toned(trouble, "bad") if trouble else Toned(well, "good")


def _count(number: int, *, alarming: bool) -> Toned:
    return Toned(str(number), "bad" if alarming and number else "")


def _moment(iso: str) -> str:
    return iso[:19].replace("T", " ")
